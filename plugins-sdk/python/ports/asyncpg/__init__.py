"""The rows and the errors of databases, by the names that plugins know from the package of this name. The database is one of SQLite."""

from parlor_port.pages import Row as Record

from . import exceptions
from .exceptions import (
    ForeignKeyViolationError, IntegrityConstraintViolationError, InterfaceError, NotNullViolationError, PostgresError, UniqueViolationError,
)

__all__ = [
    "ForeignKeyViolationError", "IntegrityConstraintViolationError", "InterfaceError", "NotNullViolationError", "PostgresError", "Record",
    "UniqueViolationError", "exceptions",
]
