"""Classes whose objects are rows, and sessions."""

from . import exc
from .listed import Loading
from .mapped import declarative_base, declared_attr
from .query import Query
from .related import Relation, backref
from .session import Session, scoped_session, sessionmaker

relationship = relation = Relation
joinedload = subqueryload = selectinload = lazyload = contains_eager = Loading

__all__ = [
    "Query", "Session", "backref", "contains_eager", "declarative_base", "declared_attr", "exc", "joinedload", "lazyload", "relation",
    "relationship", "scoped_session", "selectinload", "sessionmaker", "subqueryload",
]
