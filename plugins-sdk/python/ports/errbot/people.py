"""People, rooms and messages, by the names that plugins of errbot know."""

import re
from functools import partial
from typing import Any, Optional

from parlor import errors, rooms, user
from parlor_port import places
from parlor_port.occupants import Occupant


#: All that the plugins of the folder say and do in rooms, in the order in which they ask for it.
outbox = places.Outbox()

#: A JID: a domain, with what may stand before and behind it.
_JID = re.compile(r"""(?:[^\s@/"&':<>]{1,1023}@)?(?:\w[\w.-]{0,1022}|\[[0-9A-Fa-f:.]+\])(?:/[^\x00-\x1f]{1,1023})?""")


class Identifier:
    """A recipient. As a text, it is the address."""

    def __init__(self, jid: str) -> None:
        self._jid = jid

    def __str__(self) -> str:
        return self._jid

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._jid!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (Identifier, str)):
            return NotImplemented
        return (other._jid if isinstance(other, Identifier) else other) == self._jid

    def __hash__(self) -> int:
        return hash(self._jid)

    @property
    def bare(self) -> str:
        """The address without what stands behind `/`."""
        return self._jid.partition("/")[0]

    @property
    def node(self) -> str:
        """The part before `@`."""
        return self.bare.rpartition("@")[0]

    @property
    def domain(self) -> str:
        """The part behind `@`."""
        return self.bare.rpartition("@")[2]

    @property
    def resource(self) -> str:
        """The part behind `/`."""
        return self._jid.partition("/")[2]


class Person(Identifier):
    """A person."""

    @property
    def person(self) -> str:
        """The address."""
        return self.bare

    @property
    def nick(self) -> str:
        """The name: what stands before `@`."""
        return self.node or self.domain

    fullname = username = nick

    @property
    def client(self) -> str:
        """The device, which is not told."""
        return self.resource

    @property
    def aclattr(self) -> str:
        """The address, as rules name it."""
        return self.bare

    @property
    def email(self) -> str:
        """It is not known."""
        return ""

    def stripped(self) -> "Person":
        """The person, whatever the device."""
        return Person(self.bare)


class Room(Identifier):
    """A room."""

    @property
    def name(self) -> str:
        """The part before `@`."""
        return self.node

    room = name

    @property
    def exists(self) -> bool:
        """Whether the account is in it."""
        return places.is_room(self._jid)

    joined = exists

    @property
    def occupants(self) -> "list[RoomOccupant]":
        """The occupants. Needs `rooms.read`."""
        return [RoomOccupant(f"{self._jid}/{one.nick}") for one in rooms.occupants(self._jid)]

    @property
    def topic(self) -> Optional[str]:
        """Its subject. Needs `rooms.read`."""
        found = rooms.get(self._jid)
        return None if found is None else getattr(found, "subject", None)

    @topic.setter
    def topic(self, text: str) -> None:
        """Sets it, as all of these do once the function that asks for it returns or yields. Needs `rooms.moderate`."""
        outbox.put_call(lambda: rooms.set_subject(self._jid, str(text)))

    def join(self, username: Optional[str] = None, password: Optional[str] = None) -> None:
        """Enters it. Needs `rooms.join`."""
        given: dict[str, Any] = {name: str(one) for name, one in (("nick", username), ("password", password)) if one}
        outbox.put_call(lambda: rooms.open(self._jid, **given))

    def leave(self, reason: Optional[str] = None) -> None:
        """Leaves it. The host tells no reason. Needs `rooms.join`."""
        outbox.put_call(lambda: rooms.close(self._jid))

    def create(self) -> None:
        """Makes it, or enters the one that there is. Needs `rooms.join` and `rooms.configure`."""
        outbox.put_call(lambda: rooms.open(self._jid, auto_configure=True))

    def destroy(self) -> None:
        """Destroys it. Needs `rooms.configure`."""
        outbox.put_call(lambda: rooms.destroy(self._jid))

    def invite(self, *people: Any) -> None:
        """Invites people by their addresses. Needs `rooms.moderate`."""
        for one in people:
            outbox.put_call(partial(rooms.invite, self._jid, str(one)))


class RoomOccupant(Person):
    """Somebody in a room, by the nickname there. Where the room shows the address of the author of a message, it equals that, too."""

    def __init__(self, jid: str, message: Any = None) -> None:
        super().__init__(jid)
        if message is not None:
            self._jid = Occupant(jid).of(message)

    def __str__(self) -> str:
        return str(self._jid)

    @property
    def room(self) -> Room:
        """The room."""
        return Room(self.bare)

    @property
    def nick(self) -> str:
        """The nickname."""
        return self.resource

    fullname = username = nick

    @property
    def person(self) -> str:
        """The address in the room."""
        return self._jid

    @property
    def aclattr(self) -> str:
        """The same, as rules name it."""
        return self._jid


class RoomError(Exception):
    """Something about a room went wrong. Calls about rooms are made when a handler ends: if one fails, the handler fails, and no `except` in it sees that."""


class RoomNotJoinedError(RoomError):
    """The account is not in the room."""


class RoomDoesNotExistError(RoomError):
    """There is no such room."""


class UserDoesNotExistError(Exception):
    """There is no such person."""


class UserNotUniqueError(Exception):
    """Several people are meant."""


class Message:
    """A message."""

    def __init__(self, body: str = "", frm: Any = None, to: Any = None, parent: Any = None, **_: Any) -> None:
        self.body = body
        self.frm = frm
        self.to = to
        self.parent = parent
        #: Data that plugins keep beside it while they handle it.
        self.ctx: dict[str, Any] = {}
        self.extras: dict[str, Any] = {}
        self.delayed = False
        self.type = "groupchat" if isinstance(to, Room) else "chat"
        #: The message as parlor has it, if it is one that came.
        self.of_parlor: Any = None

    @property
    def is_group(self) -> bool:
        """Whether it was said in a room."""
        return self.type == "groupchat"

    @property
    def is_direct(self) -> bool:
        """Whether it was said to the bot alone."""
        return not self.is_group

    @property
    def is_threaded(self) -> bool:
        """Whether it belongs to a thread."""
        return self.of_parlor is not None and self.of_parlor.thread is not None

    @property
    def nick(self) -> str:
        """The author."""
        return str(getattr(self.frm, "nick", ""))

    def clone(self) -> "Message":
        """The same once more."""
        other = Message(self.body, self.frm, self.to, self.parent)
        other.ctx, other.extras = dict(self.ctx), dict(self.extras)
        other.type, other.of_parlor = self.type, self.of_parlor
        return other

    def __str__(self) -> str:
        return self.body


def bot() -> Person:
    """The bot itself."""
    return Person(str(user.bare_jid()))


def identifier(text: str) -> Identifier:
    """Returns the person or room of an address. An occupant of a room is told from a person's device by the room. `ValueError`: it is
    none."""
    text = str(text).strip()
    if not _JID.fullmatch(text):
        raise ValueError(f"{text!r} is no JID, such as romeo@example.org, hall@rooms.example.org or hall@rooms.example.org/Romeo")
    bare, _, resource = text.partition("/")
    if places.is_room(bare):
        return RoomOccupant(text) if resource else Room(bare)
    return Person(text)


def author(of: Any) -> Identifier:
    """The author of a message that came."""
    if of.kind == "groupchat":
        return RoomOccupant(f"{of.chat}/{of.nick or ''}", of)
    return RoomOccupant(of.chat, of) if "/" in of.chat else Person(of.chat)


def message(of: Any) -> Message:
    """A message that came."""
    places.hear(of)
    is_group = of.kind == "groupchat"
    frm = author(of)
    if is_group:
        to: Identifier = Room(of.chat)
    else:
        try:
            to = bot()
        except errors.Error:
            to = Person("")
    made = Message(of.body or "", frm, to)
    made.type, made.of_parlor, made.delayed = "groupchat" if is_group else "chat", of, bool(of.delayed)
    return made
