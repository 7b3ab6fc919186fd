"""The things that plugins of errbot hear beside messages: people who enter and leave rooms, subjects, and reactions."""

import inspect
from typing import Any, Awaitable, Callable, Optional

import parlor
from parlor import errors, rooms
from parlor_port import places

from . import people

REACTION_ADDED, REACTION_REMOVED = "added", "removed"


class Reaction:
    """Somebody reacts to a message, or does so no more."""

    def __init__(
        self, reactor: Any = None, reacted_to_owner: Any = None, action: Optional[str] = None, timestamp: Optional[str] = None,
        reaction_name: Optional[str] = None, reacted_to: Any = None,
    ) -> None:
        self.reactor = reactor
        #: The author of the message. None: it was not heard lately.
        self.reacted_to_owner = reacted_to_owner
        self.action = action
        #: The seconds since 1970.
        self.timestamp = timestamp
        #: The sign itself, such as 👍.
        self.reaction_name = reaction_name
        #: The `id` of the message, and its `text` if it was heard lately.
        self.reacted_to = reacted_to


#: The latest message with reactions, and what it changes: several plugins of a folder hear it.
_latest: tuple[Any, list[Reaction]] = (None, [])


def reactions(message: Any) -> list[Reaction]:
    """The reactions that a message adds, and those that it withdraws."""
    global _latest
    key = (message.chat, message.from_, places.event_id(message))
    if _latest[0] != key:
        given = message.extensions.reactions
        new, gone = places.changed(message, given)
        changes = [*((REACTION_REMOVED, name) for name in gone), *((REACTION_ADDED, name) for name in new)]
        _latest = key, [_reaction(message, given, *one) for one in changes]
    return _latest[1]


def _reaction(message: Any, given: Any, action: str, name: str) -> Reaction:
    number = places.name_of(message.chat, given.id)
    about = places.heard(message.chat, number)
    is_own = about.own if about is not None else places.is_said(message.chat, number)
    owner = people.bot() if is_own else None if about is None else people.author(about)
    text = None if about is None else about.body
    return Reaction(people.author(message), owner, action, f"{message.at.timestamp():.6f}", name, {"id": number, "text": text})


class Rooms:
    """Tells a plugin of rooms, if it has methods for that."""

    def __init__(self, kind: type, base: type, tell: Callable[..., Awaitable[Any]]) -> None:
        """`tell`: calls a method of this name."""
        self._tell = tell
        own = {name: getattr(kind, name) for name in ("callback_room_joined", "callback_room_left", "callback_room_topic")}
        #: By the names of the methods that the plugin has: whether they take a person, too. Those of earlier versions are for rooms of the account.
        self._methods = {name: _takes_person(method) for name, method in own.items() if method is not getattr(base, name)}
        #: The rooms of the account of which the plugin was told that it has entered them.
        self._entered: set[str] = set()

    def begin(self) -> None:
        """Has the host tell of rooms."""
        known = self._methods
        if "callback_room_joined" in known:
            parlor.on("chatRoomOpened")(self._enter)
        if "callback_room_joined" in known or "callback_room_left" in known:
            parlor.on("roomLeft")(self._leave)
        if known.get("callback_room_joined"):
            parlor.on("occupantJoined")(self._join)
        if known.get("callback_room_left"):
            parlor.on("occupantLeft")(self._part)
        if "callback_room_topic" in known:
            parlor.on("roomSubjectChanged")(self._subject)

    async def ready(self) -> None:
        """Tells of the rooms that the account is in already."""
        if "callback_room_joined" not in self._methods:
            return
        try:
            several = rooms.get_all()
        except errors.Denied:
            return
        for one in several:
            if one.joined:
                await self._enter(one)

    async def _call(self, method: str, room: str, person: Any, by: Any) -> None:
        if method in self._methods:
            await self._tell(method, people.Room(room), *((person, by) if self._methods[method] else ()))

    async def _enter(self, room: Any) -> None:
        if str(room.jid) not in self._entered:
            self._entered.add(str(room.jid))
            await self._call("callback_room_joined", str(room.jid), people.bot(), None)

    async def _leave(self, room: Any) -> None:
        self._entered.discard(str(room.jid))
        await self._call("callback_room_left", str(room.jid), people.bot(), _actor(room, str(room.jid)))

    async def _join(self, occupant: Any) -> None:
        # The account itself has entered with the event of its room.
        if not occupant.own:
            await self._call("callback_room_joined", str(occupant.room), _person(occupant), None)

    async def _part(self, occupant: Any) -> None:
        if not occupant.own:
            await self._call("callback_room_left", str(occupant.room), _person(occupant), _actor(occupant, str(occupant.room)))

    async def _subject(self, room: Any) -> None:
        await self._tell("callback_room_topic", people.Room(str(room.jid)))


def _takes_person(method: Callable[..., Any]) -> bool:
    """Whether a method takes more than itself and the room."""
    given = inspect.signature(method).parameters.values()
    named = [one for one in given if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    return len(named) > 3 or any(one.kind is one.VAR_POSITIONAL for one in given)


def _person(occupant: Any) -> people.RoomOccupant:
    return people.RoomOccupant(f"{occupant.room}/{occupant.nick}")


def _actor(about: Any, room: str) -> Optional[people.Identifier]:
    """The person who made somebody go. None: nobody did, or the room does not tell."""
    nick, jid = getattr(about.actor, "nick", None), getattr(about.actor, "jid", None)
    return people.RoomOccupant(f"{room}/{nick}") if nick else people.Person(str(jid)) if jid else None
