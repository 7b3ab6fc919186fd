"""Why something was not done, by the names that plugins know."""


class MatrixRequestError(Exception):
    """Any reason."""


class MNotFound(MatrixRequestError):
    """The thing does not exist."""


class MForbidden(MatrixRequestError):
    """It may not be done."""
