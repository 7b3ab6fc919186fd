"""The levels of people, which Matrix has in the place of roles and affiliations: a plugin gives some, and hears when they change."""

import contextlib
from functools import partial
from typing import Any, AsyncIterator, Awaitable, Callable, Iterator, Literal, Mapping, Optional, Sequence

from mautrix.errors import MForbidden, MNotFound
from mautrix.types import EventType, PowerLevelStateEventContent, StateEvent
from parlor import errors, rooms, user
from parlor_port import places, ready

from . import room_state
from .made_rooms import allowed, bare

#: The levels that XMPP does not let anybody choose.
_FIXED: Mapping[str, Any] = {
    "users_default": 0, "events_default": 0, "state_default": 50, "invite": 0, "ban": 50, "kick": 50, "redact": 50, "events": {},
}
#: A call of the host that is made later.
_Step = Callable[[], Awaitable[Any]]


async def give(room: str, content: Any) -> None:
    """Gives the people whose levels a content changes the roles and affiliations that these stand for. Others stay what they are. `MForbidden`: it
    is about the account itself, an owner, or something else than people. `MNotFound`: a person is not there, or the room hides the address. Nothing
    is done then."""
    await ready.wait()
    if not places.is_room(room):
        raise MForbidden(f"{room} is no room: people in chats have no levels")
    for name, usual in _FIXED.items():
        if (given := _field(content, name)) is not None and given != usual:
            raise MForbidden(f"XMPP has levels of people alone: {name} cannot be set")
    steps = [step for person in _people(room, _changed(room, content)) async for step in person.steps(room)]
    for one in steps:
        await allowed(one())


def _field(content: Any, name: str) -> Any:
    """A field of a content, also one that the plugin has set by `content[name]`."""
    return content.get(name) if hasattr(content, "get") else getattr(content, name, None)


def _changed(room: str, content: Any) -> dict[str, int]:
    """The people whose levels a content changes. It is compared with the levels that the plugin read with it; if the plugin made it, with those of now."""
    users = {str(name): int(level) for name, level in (_field(content, "users") or {}).items()}
    read = getattr(content, "_read", None)
    before = room_state.content(room, EventType.ROOM_POWER_LEVELS).users if read is None else read
    # Only a content that was read shows who was taken out of it.
    gone = [] if read is None else [name for name in read if name not in users]
    # Somebody who is not in the room may be an admin whose level is not known.
    return {**{name: level for name, level in users.items() if before.get(name) != level}, **dict.fromkeys(gone, 0)}


class _Person:
    """Somebody who is to have another level."""

    def __init__(self, name: str, address: Optional[str], occupants: Sequence[Any], level: int) -> None:
        self.name = name
        #: Their own address. None: the room hides it.
        self.address = address
        #: They may have several nicknames.
        self.occupants = occupants
        self.level = level

    async def steps(self, room: str) -> AsyncIterator[_Step]:
        """The calls by which they get it."""
        affiliation = self.occupants[0].affiliation if self.occupants else await _affiliation(room, str(self.address))
        if affiliation == "owner":
            if self.level < 100:
                raise MForbidden(f"{self.name} owns the room, and a plugin changes no owners")
            return
        if self.level >= 100 or affiliation == "admin":
            if self.level >= 100 and affiliation == "admin":
                return
            if self.address is None:
                raise MNotFound(f"the room does not show the address of {self.name}")
            # Without any affiliation, they would have to leave a room of members.
            yield partial(rooms.set_affiliation, room, self.address, "admin" if self.level >= 100 else "member", None)
        if self.level >= 100:
            return
        role: Literal["visitor", "participant", "moderator"] = "moderator" if self.level >= 50 else "participant" if self.level >= 0 else "visitor"
        if not self.occupants and role != "participant":
            raise MNotFound(f"{self.name} is not in the room: nobody else has a role")
        for one in self.occupants:
            if one.role != role or affiliation == "admin":
                yield partial(rooms.set_role, room, one.nick, role, None)


def _people(room: str, levels: Mapping[str, int]) -> Iterator[_Person]:
    """The people with these names. Somebody may be named by the nickname and by the address: the lower level counts then."""
    found: dict[str, _Person] = {}
    there = list(rooms.occupants(room))
    own = {str(user.bare_jid()), *(f"{room}/{one.nick}" for one in there if one.own)}
    for name, level in levels.items():
        nick = name.removeprefix(f"{room}/") if name.startswith(f"{room}/") else None
        named = [one for one in there if one.nick == nick] if nick is not None else []
        if nick is not None and not named:
            raise MNotFound(f"{name} is not in the room")
        shown = named[0].jid if named else name
        address = None if shown is None else bare(shown).lower()
        if name in own or address in own:
            raise MForbidden("the account does not change its own level")
        if nick is None and places.is_room(bare(name)):
            raise MNotFound(f"{name} is no address of a person")
        if address is not None:
            named = [one for one in there if one.jid is not None and bare(one.jid).lower() == address]
        key = address or name
        level = min(level, found[key].level) if key in found else level
        found[key] = _Person(name, address, named, level)
    yield from found.values()


async def _affiliation(room: str, address: str) -> str:
    """The affiliation of somebody who is not in the room, as far as it has a level of its own."""
    for one in ("owner", "admin"):
        if any(bare(known.jid).lower() == address for known in await allowed(rooms.affiliations(room, one))):
            return one
    return "none"


class Seen:
    """The levels that people were seen with last: a change has a state before."""

    def __init__(self) -> None:
        self._levels: dict[str, dict[str, int]] = {}

    async def ready(self) -> None:
        """Sees the rooms that the account is in already."""
        with contextlib.suppress(errors.Denied):
            for one in rooms.get_all():
                self.enter(one)

    def enter(self, room: Any) -> None:
        """Sees the people of a room."""
        self._levels[str(room.jid)] = room_state.levels(str(room.jid))

    def leave(self, room: Any) -> None:
        """Forgets a room."""
        self._levels.pop(str(room.jid), None)

    def join(self, occupant: Any) -> None:
        """Sees somebody who enters a room. The level that they have there is no change."""
        if (seen := self._levels.get(str(occupant.room))) is not None:
            seen.update(dict.fromkeys(room_state.names_of(str(occupant.room), occupant), room_state.level_of(occupant)))

    def part(self, occupant: Any) -> None:
        """Forgets the nickname of somebody who leaves a room."""
        self._levels.get(str(occupant.room), {}).pop(f"{occupant.room}/{occupant.nick}", None)

    def change(self, client: Any, occupant: Any) -> Optional[StateEvent]:
        """What has become of somebody in a room, as an event. None: their level is what it was."""
        room = str(occupant.room)
        seen = self._levels.get(room)
        if seen is None:
            self._levels[room] = room_state.levels(room)
            return None
        if occupant.previous_nick and occupant.previous_nick != occupant.nick:
            known = seen.pop(f"{room}/{occupant.previous_nick}", None)
            seen.update({} if known is None else {f"{room}/{occupant.nick}": known})
        now = dict.fromkeys(room_state.names_of(room, occupant), room_state.level_of(occupant))
        return self._told(client, occupant, room, seen, now)

    def affiliate(self, client: Any, occupant: Any) -> Optional[StateEvent]:
        """The same for somebody who is not in the room. They have a level of their own as admins and owners."""
        room = str(occupant.room)
        if occupant.jid is None:
            return None
        now = {bare(occupant.jid): 100 if occupant.affiliation in ("owner", "admin") else 0}
        return self._told(client, occupant, room, self._levels.setdefault(room, {}), now)

    def _told(self, client: Any, occupant: Any, room: str, seen: dict[str, int], now: Mapping[str, int]) -> Optional[StateEvent]:
        # The room may have shown an address only now, which changes nobody's level.
        name, level = next(iter(now.items()))
        before = dict(seen)
        seen.update(now)
        if before.get(name, 0) == level:
            return None
        contents = PowerLevelStateEventContent(dict(seen)), PowerLevelStateEventContent(before)
        return room_state.changed(client, room, EventType.ROOM_POWER_LEVELS, *contents, room_state.actor_of(occupant))
