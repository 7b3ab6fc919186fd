"""People in rooms, who are `ROOM/NICK`. Where the room shows their own addresses, they are also equal to these."""

from typing import Any, Optional

from parlor import errors, occupant_of, user


class Occupant(str):
    """Somebody in a room, as a text. A list with the person's own address holds it, if the room shows the address, and the account may read
    who is there. A set or the keys of a mapping do not: they look for `ROOM/NICK`."""

    #: The message that they wrote; None: there is none, and they are nobody but `ROOM/NICK`.
    _of: Any = None

    def of(self, message: Any) -> "Occupant":
        """The same, as the author of a message."""
        self._of = message
        return self

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other) is True or _is_at(str(self), self._of, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    # Two of one room are the same by what they are called there.
    __hash__ = str.__hash__


def _is_at(called: str, message: Any, other: object) -> bool:
    """Whether this is the own address of the author of a message in a room."""
    if not isinstance(other, str) or "@" not in other or "/" in other or message is None or message.delayed or other == called.partition("/")[0]:
        return False
    try:
        return other.lower() == address(message) != str(user.bare_jid())
    except errors.Error:
        return False


def address(message: Any) -> Optional[str]:
    """The own address of the author of a message in a room. None: the room does not show it, or somebody else has the nickname now."""
    one = occupant_of(message)
    if one is None or one.jid is None:
        return None
    is_same = not message.occupant_id or not one.occupant_id or message.occupant_id == one.occupant_id
    return str(one.jid).partition("/")[0].lower() if is_same else None
