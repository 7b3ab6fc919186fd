"""The database of a plugin."""

from .base import Connection, Engine, Transaction
from .result import ResultProxy, RowProxy

__all__ = ["Connection", "Engine", "ResultProxy", "RowProxy", "Transaction"]
