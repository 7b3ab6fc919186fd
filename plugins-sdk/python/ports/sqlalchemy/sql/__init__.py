"""Expressions and statements."""

from ..expressions import and_, asc, case, desc, distinct, false, func, not_, null, or_, text, true
from ..statements import delete, insert, join, outerjoin, select, update

__all__ = [
    "and_", "asc", "case", "delete", "desc", "distinct", "false", "func", "insert", "join", "not_", "null", "or_", "outerjoin", "select", "text",
    "true", "update",
]
