"""Why something was not done, by the names that plugins know."""

import sqlite3
from typing import Any, Optional


class SQLAlchemyError(Exception):
    """Any reason."""


class ArgumentError(SQLAlchemyError):
    """A table, a class or a statement is written in a way that the layer does not know."""


class InvalidRequestError(SQLAlchemyError):
    """It makes no sense at that moment."""


class CompileError(SQLAlchemyError):
    """A statement cannot be written as SQL."""


class ResourceClosedError(InvalidRequestError):
    """A connection or a transaction is closed."""


class NoSuchColumnError(KeyError, InvalidRequestError):
    """A row has no such column."""


class NoResultFound(InvalidRequestError):
    """There is no row."""


class MultipleResultsFound(InvalidRequestError):
    """There is more than one row."""


class StatementError(SQLAlchemyError):
    """A statement was not carried out."""

    def __init__(self, message: str, statement: Optional[str] = None, params: Any = None, orig: Optional[BaseException] = None) -> None:
        super().__init__(message)
        self.statement = statement
        self.params = params
        self.orig = orig


class DBAPIError(StatementError):
    """The database did not carry it out."""


class InterfaceError(DBAPIError):
    """A value is of no type that the database takes."""


class DatabaseError(DBAPIError):
    """Any reason of the database itself."""


class DataError(DatabaseError):
    """A value is out of range."""


class OperationalError(DatabaseError):
    """A table is missing, the database is full, or it is in use."""


class IntegrityError(DatabaseError):
    """A rule of a table says no."""


class InternalError(DatabaseError):
    """The database is in a state that should not be."""


class ProgrammingError(DatabaseError):
    """A statement is wrong."""


class NotSupportedError(DatabaseError):
    """The database does not have that."""


_KINDS: "tuple[tuple[type[BaseException], type[DBAPIError]], ...]" = (
    (sqlite3.IntegrityError, IntegrityError), (sqlite3.OperationalError, OperationalError), (sqlite3.ProgrammingError, ProgrammingError),
    (sqlite3.DataError, DataError), (sqlite3.InternalError, InternalError), (sqlite3.NotSupportedError, NotSupportedError),
    (sqlite3.InterfaceError, InterfaceError), (sqlite3.DatabaseError, DatabaseError),
)


def of(error: BaseException, statement: str, params: Any) -> DBAPIError:
    """The same error by the name that plugins know."""
    kind = next((kind for inner, kind in _KINDS if isinstance(error, inner)), DBAPIError)
    return kind(f"(sqlite3.{type(error).__name__}) {error}", statement, params, error)
