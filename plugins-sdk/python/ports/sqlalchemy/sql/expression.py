"""The same as `sqlalchemy.sql`."""

from . import (
    and_, asc, case, delete, desc, distinct, false, func, insert, join, not_, null, or_, outerjoin, select, text, true, update,
)

__all__ = [
    "and_", "asc", "case", "delete", "desc", "distinct", "false", "func", "insert", "join", "not_", "null", "or_", "outerjoin", "select", "text",
    "true", "update",
]
