"""Why something was not done with objects."""

from ..exc import InvalidRequestError, MultipleResultsFound, NoResultFound, SQLAlchemyError


class StaleDataError(SQLAlchemyError):
    """The row of an object is gone."""


class UnmappedInstanceError(InvalidRequestError):
    """It is no object with a row."""


__all__ = ["MultipleResultsFound", "NoResultFound", "StaleDataError", "UnmappedInstanceError"]
