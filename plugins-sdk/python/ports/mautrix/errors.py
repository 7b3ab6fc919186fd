"""Why something was not done, by the names that plugins know."""

import sys


class MatrixError(Exception):
    """Any reason."""


class MatrixRequestError(MatrixError):
    """Any reason why a request was not done."""

    #: The name of the reason, and the status that a server of Matrix answers with.
    errcode = "M_UNKNOWN"
    http_status = 400

    @property
    def message(self) -> str:
        """The reason in words."""
        return str(self)


class MNotFound(MatrixRequestError):
    """The thing does not exist."""

    errcode, http_status = "M_NOT_FOUND", 404


class MForbidden(MatrixRequestError):
    """It may not be done."""

    errcode, http_status = "M_FORBIDDEN", 403


class MUnknown(MatrixRequestError):
    """It is not known why."""


class MRoomInUse(MatrixRequestError):
    """There is a room of this alias."""

    errcode = "M_ROOM_IN_USE"


class MBadState(MatrixRequestError):
    """It is so already, or cannot be so now."""

    errcode = "M_BAD_STATE"


class MLimitExceeded(MatrixRequestError):
    """It was asked for too often."""

    errcode, http_status = "M_LIMIT_EXCEEDED", 429


class MBadJSON(MatrixRequestError):
    """It was not written as it should be."""

    errcode = "M_BAD_JSON"


class MatrixBadRequest(MatrixRequestError):
    """It was not asked for as it should be."""


#: The reasons with names. Plugins that name them by this one mean all of them.
MatrixStandardRequestError = MatrixRequestError


class MatrixResponseError(MatrixRequestError):
    """The answer was not understood."""


class MatrixConnectionError(MatrixRequestError):
    """There is no connection."""


class MatrixUnknownRequestError(MatrixRequestError):
    """A reason without a name."""


class IntentError(Exception):
    """A state could not be set. Nothing raises it: plugins only name it."""


# Plugins also import them from the parts of the library of this name.
__path__: list[str] = []
for _name in ("base", "request", "well_known"):
    sys.modules[f"{__name__}.{_name}"] = sys.modules[__name__]
