"""The columns of a table."""

from ..schema import Columns as ColumnCollection
from ..schema import Columns as ImmutableColumnCollection

__all__ = ["ColumnCollection", "ImmutableColumnCollection"]
