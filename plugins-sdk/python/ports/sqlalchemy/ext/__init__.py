"""More about classes whose objects are rows."""

from . import declarative

__all__ = ["declarative"]
