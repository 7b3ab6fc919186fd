"""Tables, statements and classes of rows, by the names that plugins of maubot know from SQLAlchemy 1.3.

Written from the use in published plugins, over the small database of SQLite that the layer has: see `parlor_port.plain`. It has no code of
SQLAlchemy.
"""

from . import engine, exc, ext, orm, schema, sql, types
from .expressions import and_, asc, case, desc, distinct, false, func, not_, null, or_, text, true
from .schema import (
    CheckConstraint, Column, ForeignKey, ForeignKeyConstraint, Index, MetaData, PrimaryKeyConstraint, Table, UniqueConstraint,
)
from .statements import delete, insert, join, outerjoin, select, update
from .types import (
    BIGINT, BOOLEAN, CHAR, DATETIME, INTEGER, JSON, TEXT, TIMESTAMP, VARCHAR, BigInteger, Boolean, Date, DateTime, Enum, Float, Integer, LargeBinary,
    Numeric, SmallInteger, String, Text, Time, TypeDecorator, Unicode, UnicodeText,
)

__all__ = [
    "BIGINT", "BOOLEAN", "BigInteger", "Boolean", "CHAR", "CheckConstraint", "Column", "DATETIME", "Date", "DateTime", "Enum", "Float",
    "ForeignKey", "ForeignKeyConstraint", "INTEGER", "Index", "Integer", "JSON", "LargeBinary", "MetaData", "Numeric",
    "PrimaryKeyConstraint", "SmallInteger", "String", "TEXT", "TIMESTAMP", "Table", "Text", "Time", "TypeDecorator", "Unicode",
    "UnicodeText", "UniqueConstraint", "VARCHAR", "and_", "asc", "case", "delete", "desc", "distinct", "engine", "exc", "ext", "false",
    "func", "insert", "join", "not_", "null", "or_", "orm", "outerjoin", "schema", "select", "sql", "text", "true", "types", "update",
]
