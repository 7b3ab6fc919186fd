"""Why a request was not made, by the names that plugins know."""

import json
from typing import Any


class RequestException(IOError):
    """Any reason."""

    def __init__(self, *arguments: Any, response: Any = None) -> None:
        super().__init__(*arguments)
        self.response = response


class HTTPError(RequestException):
    """The status is 400 or more."""


class ConnectionError(RequestException):
    """There is no connection to the server, or the owner did not grant it."""


class Timeout(RequestException):
    """No answer came in time."""


class ConnectTimeout(ConnectionError, Timeout):
    """No connection came in time."""


class ReadTimeout(Timeout):
    """No answer came in time."""


class TooManyRedirects(RequestException):
    """It was sent on too often."""


class InvalidURL(RequestException, ValueError):
    """The address is none."""


class JSONDecodeError(RequestException, json.JSONDecodeError):
    """The body is no JSON."""

    def __init__(self, message: str, text: str = "", position: int = 0) -> None:
        json.JSONDecodeError.__init__(self, message, text, position)
        self.response = None


class InsecureRequestWarning(Warning):
    """It is never given: certificates are always verified."""
