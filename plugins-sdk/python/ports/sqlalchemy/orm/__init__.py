"""Classes whose objects are rows, and sessions."""

from . import exc
from .mapped import declarative_base, declared_attr
from .query import Query
from .session import Session, scoped_session, sessionmaker

__all__ = ["Query", "Session", "declarative_base", "declared_attr", "exc", "scoped_session", "sessionmaker"]
