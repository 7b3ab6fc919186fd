"""Classes whose objects are rows."""

from ..orm.mapped import declarative_base, declared_attr

__all__ = ["declarative_base", "declared_attr"]
