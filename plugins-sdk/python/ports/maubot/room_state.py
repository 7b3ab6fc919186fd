"""The known state of a room and the people in it, as the states that plugins of maubot know."""

import secrets
import time
from typing import Any, Callable

from mautrix.errors import MNotFound
from mautrix.types import (
    CanonicalAliasStateEventContent, EventID, EventType, JoinRule, JoinRulesStateEventContent, Member, Membership, MemberStateEventContent,
    PowerLevelStateEventContent, RoomAlias, RoomCreateStateEventContent, RoomID, RoomNameStateEventContent, RoomTopicStateEventContent, StateEvent, Unsigned, UserID,
)
from parlor import rooms, user
from parlor_port import places, ready

from .made_rooms import bare


def content(room: str, kind: EventType, key: str = "") -> Any:
    """A state of a room. `MNotFound`: XMPP has none of this kind, or the room does not tell it."""
    make = _KINDS.get(kind)
    found = None if make is None else make(room, key)
    if found is None:
        raise MNotFound(f"{room} has no state {kind}")
    return found


def events(room: str) -> list[StateEvent]:
    """All states of a room, those of people too."""
    found = []
    for kind, make in _KINDS.items():
        if kind is not EventType.ROOM_MEMBER and (state := make(room, "")) is not None:
            found.append(event(room, kind, "", state))
    return found + members(room)


def people(room: str) -> dict[UserID, Member]:
    """The people in a room. A chat has two people: by that, plugins tell it from a room."""
    if places.is_room(room):
        return {UserID(_name(room, one)): _member_of(one) for one in rooms.occupants(room)}
    return {UserID(one): _in_chat(one) for one in (user.bare_jid(), room)}


def members(room: str) -> list[StateEvent]:
    """The same, as events."""
    return [event(room, EventType.ROOM_MEMBER, name, one) for name, one in people(room).items()]


def event(room: str, kind: EventType, key: str, state: Any) -> StateEvent:
    """A state as an event. Its sender is the room."""
    made = StateEvent()
    made.type = kind
    made.also = ()
    made.room_id = RoomID(room)
    made.sender = UserID(key or room)
    made.state_key = UserID(key)
    made.content = state
    # In Matrix, somebody is invited before.
    made.prev_content = MemberStateEventContent(Membership.INVITE, is_direct=state.is_direct) if kind is EventType.ROOM_MEMBER else None
    made.unsigned = Unsigned(made.prev_content)
    made.event_id = EventID("")
    made.timestamp = int(time.time() * 1000)
    return made


def changed(client: Any, room: str, kind: EventType, now: Any, before: Any, sender: UserID) -> StateEvent:
    """A state that has changed, as an event. `before`: what it was. None: nobody knows."""
    made = event(room, kind, "", now)
    made.prev_content = before
    made.unsigned = Unsigned(before)
    made.event_id = new_id()
    made.sender = sender
    made.client = client
    return made


def new_id() -> EventID:
    """An id that no other event has: plugins note the ids of events that they have seen."""
    return EventID(f"state-{secrets.token_hex(12)}")


def actor_of(occupant: Any) -> UserID:
    """The person who did something to another one; the room, if it does not tell."""
    nick = getattr(occupant.actor, "nick", None)
    return UserID(f"{occupant.room}/{nick}" if nick else getattr(occupant.actor, "jid", None) or occupant.room)


def level_of(one: Any) -> int:
    """The level of an occupant. A visitor of a moderated room cannot speak, like somebody in Matrix whose level is below that of messages."""
    return 100 if one.affiliation in ("owner", "admin") else 50 if one.role == "moderator" else -1 if one.role == "visitor" else 0


def names_of(room: str, one: Any) -> list[str]:
    """The names by which plugins know an occupant: the nickname in the room, and the address if it is shown."""
    return [_name(room, one), *([] if one.jid is None else [bare(one.jid)])]


def levels(room: str) -> dict[str, int]:
    """The levels of the people in a room. A nickname is known with the role that it has now, and an address with the highest of its nicknames."""
    found: dict[str, int] = {}
    for one in rooms.occupants(room):
        for name in names_of(room, one):
            found[name] = max(level_of(one), found.get(name, -1))
    return found


class Store:
    """The known states of rooms, by the names that plugins know."""

    async def has_power_level(self, room_id: Any, user_id: Any, event_type: Any) -> bool:
        """Whether the level of a person is at least the one that an event needs."""
        await ready.wait()
        kind = event_type if isinstance(event_type, EventType) else EventType.find(str(event_type))
        known: PowerLevelStateEventContent = _levels(str(room_id), "")
        return known.get_user_level(user_id) >= known.get_event_level(kind)


def _levels(room: str, _: str) -> Any:
    found = PowerLevelStateEventContent(levels(room))
    found._read = dict(found.users)
    return found


def _join_rules(room: str, _: str) -> Any:
    about = rooms.get(room)
    features = () if about is None else getattr(about, "features", ())
    rule = JoinRule.INVITE if "muc_membersonly" in features else JoinRule.PUBLIC if "muc_open" in features else None
    # Its configuration is known only after a moment.
    return None if rule is None else JoinRulesStateEventContent(rule)


def _room_name(room: str, _: str) -> Any:
    about = rooms.get(room)
    return None if about is None or not about.name else RoomNameStateEventContent(about.name)


def _topic(room: str, _: str) -> Any:
    about = rooms.get(room)
    return None if about is None or not about.subject else RoomTopicStateEventContent(about.subject)


def _alias(room: str, _: str) -> Any:
    return None if rooms.get(room) is None else CanonicalAliasStateEventContent(RoomAlias(room))


def _create(room: str, _: str) -> Any:
    return None if rooms.get(room) is None else RoomCreateStateEventContent()


def _member(room: str, person: str) -> Any:
    for one in rooms.occupants(room):
        if person in names_of(room, one):
            return _member_of(one)
    is_in_chat = rooms.get(room) is None and person in (room, user.bare_jid())
    return _in_chat(person) if is_in_chat else None


def _in_chat(person: str) -> Member:
    return Member(Membership.JOIN, person.partition("/")[2] or person.partition("@")[0], is_direct=True)


def _member_of(occupant: Any) -> Member:
    return Member(Membership.JOIN, occupant.nick)


def _name(room: str, occupant: Any) -> str:
    return str(user.bare_jid()) if occupant.own else f"{room}/{occupant.nick}"


_KINDS: dict[EventType, Callable[[str, str], Any]] = {
    EventType.ROOM_CREATE: _create, EventType.ROOM_NAME: _room_name, EventType.ROOM_TOPIC: _topic, EventType.ROOM_CANONICAL_ALIAS: _alias,
    EventType.ROOM_POWER_LEVELS: _levels, EventType.ROOM_JOIN_RULES: _join_rules, EventType.ROOM_MEMBER: _member,
}
