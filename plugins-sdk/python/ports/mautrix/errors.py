"""Why something was not done, by the names that plugins know."""

import sys


class MatrixRequestError(Exception):
    """Any reason."""


class MNotFound(MatrixRequestError):
    """The thing does not exist."""


class MForbidden(MatrixRequestError):
    """It may not be done."""


class MUnknown(MatrixRequestError):
    """It is not known why."""


class MRoomInUse(MatrixRequestError):
    """There is a room of this alias."""


class MBadState(MatrixRequestError):
    """It is so already, or cannot be so now."""


class MLimitExceeded(MatrixRequestError):
    """It was asked for too often."""


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
