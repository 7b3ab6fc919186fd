"""Rooms that a plugin makes."""

import re
import secrets
from typing import Any, Awaitable, Mapping, Optional, Sequence

import parlor
from mautrix.errors import MatrixRequestError, MForbidden, MLimitExceeded, MNotFound, MRoomInUse
from parlor import errors, rooms
from parlor_port import places, ready

#: The characters that a name of a room cannot have, and its greatest length.
_NO_NAME = re.compile(r"[\x00-\x20\"&'/:<>@\x7f]+")
_LONGEST = 200


async def allowed(call: Awaitable[Any]) -> Any:
    """Waits for a call that the owner or the room may refuse."""
    await ready.wait()
    try:
        return await call
    except errors.Denied as error:
        raise MForbidden(str(error)) from error
    except errors.OverLimit as error:
        raise MLimitExceeded(str(error)) from error
    except errors.Error as error:
        raise MatrixRequestError(str(error)) from error


def bare(jid: Any) -> str:
    """An address without what stands behind `/`."""
    return str(jid).partition("/")[0]


def address_of(room: str, nick: str) -> Optional[str]:
    """The own address of an occupant. None: nobody has the nickname, or the room does not show the address."""
    return next((bare(one.jid) for one in rooms.occupants(room) if one.nick == nick and one.jid is not None), None)


def person(user: str, needs_address: bool = False) -> str:
    """The own address of a person, who may be `ROOM/NICK`, and is so still if the room does not show it. `MNotFound`: the address is needed."""
    room, _, nick = user.partition("/")
    if not nick or not places.is_room(room):
        return room
    found = address_of(room, nick)
    if found is None and needs_address:
        raise MNotFound(f"{user} is not in the room, or it does not show addresses")
    return user if found is None else found


def text_of(content: Any, name: str) -> str:
    """A text of a state."""
    return str(_field(content, name) or "")


def value_of(content: Any, name: str) -> str:
    """The same, of a type with names."""
    found = _field(content, name)
    return str(getattr(found, "value", found) or "")


def _field(content: Any, name: str) -> Any:
    return content.get(name) if isinstance(content, Mapping) else getattr(content, name, None)


def is_closed(content: Any) -> bool:
    """Whether a state lets only members enter a room. `MForbidden`: it is a rule that XMPP does not have."""
    rule = value_of(content, "join_rule")
    if rule not in ("public", "invite", "private"):
        raise MForbidden(f"a room of XMPP lets everybody enter, or members, and has no rule {rule!r}")
    return rule != "public"


def states_of(several: Any) -> dict[str, Any]:
    """The contents of states, by their types."""
    found = {}
    for one in several or ():
        kind = text_of(one, "type")
        found[kind] = _field(one, "content")
    return found


async def make(alias: Any, states: Mapping[str, Any], is_open: bool, is_listed: bool, people: Sequence[str]) -> str:
    """Makes a room with this name and subject, and invites people. `MRoomInUse`: there is one of this alias. `MForbidden`: the owner has not set
    the service, or the service does not let the account."""
    service = parlor.setting("rooms_service", None)
    if not service:
        raise MForbidden("the plugin makes no rooms: its owner has not set rooms_service")
    if hidden := [one for one in people if "/" in one]:
        raise MNotFound(f"{hidden[0]} cannot be invited: the room does not show the address")
    # Nobody can guess a name that is made, and enter before the people who are invited.
    own = _NO_NAME.sub("-", str(alias or "")).strip("-").lower()[:_LONGEST] or secrets.token_hex(12)
    room = f"{own}@{service}"
    if places.is_room(room):
        raise MRoomInUse(f"there is a room {room} already")
    is_open = is_open or value_of(states.get("m.room.join_rules"), "join_rule") == "public"
    fields: dict[str, Any] = {"persistentroom": True, "membersonly": not is_open, "publicroom": is_listed}
    if name := text_of(states.get("m.room.name"), "name"):
        fields["roomname"] = name
    await allowed(rooms.open(room, auto_configure=True, roomconfig=fields))
    if not any(one.own and one.affiliation == "owner" for one in rooms.occupants(room)):
        # It was there before, and is somebody else's.
        await allowed(rooms.close(room))
        raise MRoomInUse(f"there is a room {room} already")
    if topic := text_of(states.get("m.room.topic"), "topic"):
        await allowed(rooms.set_subject(room, topic))
    for one in people:
        if not is_open:
            await allowed(rooms.set_affiliation(room, one, "member", None))
        await allowed(rooms.invite(room, one, reason=None))
    return room
