"""The known state of the rows of objects."""

from dataclasses import dataclass, field
from typing import Any, Optional

from .. import exc
from ..schema import Column

#: The attributes of an object with what is known of its row, the rows that it will refer to, the lists of those that refer to it, and what is to
#: change in tables between.
STATE = "_parlor_state"
OWED = "_parlor_owed"
LISTS = "_parlor_lists"
LINKS = "_parlor_links"


@dataclass
class State:
    """A row of an object. It is stored if its key is known."""

    session: Any = None
    key: "Optional[tuple[Any, ...]]" = None
    #: The values as they are in the database, and as they were when the transaction began. None: there was no row.
    values: dict[str, Any] = field(default_factory=dict)
    before: Optional[dict[str, Any]] = None


def columns_of(kind: Any) -> dict[str, Column]:
    """The columns of a class, by its attributes."""
    found = getattr(kind, "_parlor_columns", None)
    if not isinstance(found, dict):
        raise exc.InvalidRequestError(f"{kind!r} is no class with a table")
    return found


def state_of(owner: Any) -> State:
    """Returns the known state of the row of an object."""
    found: State = owner.__dict__.setdefault(STATE, State())
    return found


def forget(owner: Any, has_all: bool = False) -> None:
    """Has the lists of an object read again; with `has_all`, what was to change is given up, too."""
    for name in (LISTS, OWED, LINKS) if has_all else (LISTS,):
        owner.__dict__.pop(name, None)
