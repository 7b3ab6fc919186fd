"""Requests to webhooks as `@webhook(raw=True)` gives them, and what `abort` and `response` of a web server's package do.

A request has `content-type` and the headers that plugin.toml lists by `headers`. An answer may have the headers that the host lets through.
"""

import contextvars
import io
import json
from typing import Any, Mapping, Optional
from urllib.parse import parse_qsl

from parlor_port.web import Headers

FORM = "application/x-www-form-urlencoded"


class Fields(dict[str, str]):
    """The fields of a form or a query: a key gives the first value. They also are attributes, and "" if there is none."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        super().__init__()
        self._pairs = pairs
        for key, value in pairs:
            self.setdefault(key, value)

    def __getattr__(self, name: str) -> str:
        if name.startswith("_"):
            raise AttributeError(name)
        return self.get(name, "")

    def getall(self, key: str) -> list[str]:
        """All values."""
        return [value for name, value in self._pairs if name == key]

    getlist = getall


class Answered(Exception):
    """The answer to a request, which is raised or returned."""

    def __init__(self, status: int = 500, body: Any = "", headers: Optional[Mapping[str, str]] = None) -> None:
        super().__init__(f"status {status}")
        self.status = self.status_code = status
        self.body = body
        self.headers = Headers(headers)


def abort(code: int = 500, text: Any = "Unknown Error.") -> Any:
    """Ends the method with an answer."""
    raise Answered(code, text)


class Response:
    """The parts of the answer beside the text that a method returns."""

    def __init__(self) -> None:
        self.status: Any = 200
        self.headers = Headers()

    def set_header(self, name: str, value: Any) -> None:
        """Sets a header."""
        self.headers[name] = str(value)

    add_header = set_header

    @property
    def content_type(self) -> str:
        """The media type of the answer."""
        return self.headers.get("content-type", "")

    @content_type.setter
    def content_type(self, value: str) -> None:
        self.headers["Content-Type"] = value

    @property
    def status_code(self) -> int:
        """The status as a number. A text such as `201 Created` begins with it."""
        return int(str(self.status).partition(" ")[0])


class Request:
    """A request, as the host has given it."""

    def __init__(self, hook: Any) -> None:
        self._hook = hook
        self.headers = Headers(dict(hook.headers))

    @property
    def method(self) -> str:
        """The method of HTTP."""
        return str(self._hook.method)

    @property
    def query_string(self) -> str:
        """The query, as it was sent."""
        return self._hook.query or ""

    @property
    def _body(self) -> bytes:
        return bytes(self._hook.body)

    def get_header(self, name: str, default: Any = None) -> Any:
        """A header, or another value."""
        return self.headers.get(name, default)

    @property
    def content_type(self) -> str:
        """The media type of the body, with its parameters."""
        return self.headers.get("content-type", "")

    mimetype = property(lambda self: self.headers.media_type)

    @property
    def content_length(self) -> int:
        """The size of the body."""
        return len(self._body)

    @property
    def body(self) -> io.BytesIO:
        """The body as a file."""
        return io.BytesIO(self._body)

    @property
    def data(self) -> bytes:
        """The body."""
        return self._body

    def get_data(self, as_text: bool = False, **_: Any) -> Any:
        """The body, also as a text."""
        return self._body.decode("utf-8", "replace") if as_text else self._body

    @property
    def json(self) -> Any:
        """The body as JSON, if its media type says so. Other JSON ends the method with the status 400."""
        return self.get_json()

    def get_json(self, force: bool = False, silent: bool = False, **_: Any) -> Any:
        """The same, also without the media type, or with None for other JSON."""
        kind = self.headers.media_type
        if not force and kind != "application/json" and not kind.endswith("+json"):
            return None
        try:
            return json.loads(self._body)
        except ValueError:
            return None if silent else abort(400, "the body is no JSON")

    @property
    def query(self) -> Fields:
        """The fields of the query."""
        return Fields(parse_qsl(self.query_string, keep_blank_values=True))

    GET = args = query

    @property
    def forms(self) -> Fields:
        """The fields of the form. One with files ends the method with the status 415: its fields would be missing."""
        if self.headers.media_type == "multipart/form-data":
            abort(415, "the plugin takes no forms with files")
        is_form = self.headers.media_type == FORM
        return Fields(parse_qsl(self.get_data(True), keep_blank_values=True) if is_form else [])

    POST = form = forms

    @property
    def params(self) -> Fields:
        """The fields of the query and of the form."""
        return Fields([*self.query._pairs, *self.forms._pairs])

    values = params


#: The request that is handled, and what its answer has. Each handler is a task of its own.
_request: "contextvars.ContextVar[Request]" = contextvars.ContextVar("request")
_response: "contextvars.ContextVar[Response]" = contextvars.ContextVar("response")


class Current:
    """Stands for the request that is handled, or for its answer."""

    def __init__(self, of: "contextvars.ContextVar[Any]") -> None:
        object.__setattr__(self, "_of", of)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return getattr(self._of.get(), name)
        except LookupError:
            raise RuntimeError("no request is handled") from None

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._of.get(), name, value)


request: Any = Current(_request)
response: Any = Current(_response)


def begin(hook: Any) -> tuple[Request, Response]:
    """Makes this the request that is handled."""
    made = Request(hook), Response()
    _request.set(made[0])
    _response.set(made[1])
    return made
