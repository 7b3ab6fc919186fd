"""Why a statement was not carried out. SQLite has one error for all rules that a table has."""

import sqlite3

PostgresError = InterfaceError = sqlite3.Error
IntegrityConstraintViolationError = UniqueViolationError = ForeignKeyViolationError = NotNullViolationError = sqlite3.IntegrityError
