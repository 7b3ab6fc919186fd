"""People who enter and leave rooms, and messages that are taken back, by the names that plugins of maubot know."""

import time
from types import SimpleNamespace
from typing import Any, Optional

from mautrix.client import InternalEventType
from mautrix.types import EventID, EventType, MemberStateEventContent, Membership, RedactionEvent, RoomID, StateEvent, UserID
from parlor_port import places

from .client import Client

#: Why somebody is gone whom others made go, with the type of the event.
_BY_OTHERS = {
    "kicked": InternalEventType.KICK, "affiliation": InternalEventType.KICK, "members-only": InternalEventType.KICK, "banned": InternalEventType.BAN,
}


def member_event(client: Client, occupant: Any, is_there: bool) -> StateEvent:
    """Somebody has entered a room, or left it. A person is the room with the nickname, and the account itself is its own address."""
    person = client.mxid if occupant.own else UserID(f"{occupant.room}/{occupant.nick}")
    kind = InternalEventType.JOIN if is_there else _BY_OTHERS.get(occupant.left or "", InternalEventType.LEAVE)
    membership = Membership.JOIN if is_there else Membership.BAN if kind is InternalEventType.BAN else Membership.LEAVE
    before = MemberStateEventContent(Membership.LEAVE if is_there else Membership.JOIN, occupant.nick)
    event = StateEvent()
    event.type = EventType.ROOM_MEMBER
    event.also = (kind,)
    event.room_id = RoomID(occupant.room)
    event.sender = person if kind in (InternalEventType.JOIN, InternalEventType.LEAVE) else _actor(occupant)
    event.state_key = person
    event.content = MemberStateEventContent(membership, occupant.nick, occupant.reason)
    event.prev_content = before
    event.unsigned = SimpleNamespace(prev_content=before, prev_sender=None)
    event.event_id = EventID("")
    event.timestamp = int(time.time() * 1000)
    event.client = client
    return event


def _actor(occupant: Any) -> UserID:
    """The person who made another one go; the room, if it does not tell."""
    nick = getattr(occupant.actor, "nick", None)
    return UserID(f"{occupant.room}/{nick}" if nick else getattr(occupant.actor, "jid", None) or occupant.room)


def redaction_event(client: Client, message: Any) -> Optional[RedactionEvent]:
    """A message is taken back by its author, or by the room. None: nobody can tell whether its author does so, or it was not heard lately."""
    moderated = message.extensions.moderated
    if moderated is not None:
        number, sender, reason = moderated.id, moderated.by or message.chat, moderated.reason
    elif places.is_taken_back_by_its_author(message):
        number, reason = message.extensions.retract, None
        sender = f"{message.chat}/{message.nick}" if message.kind == "groupchat" else message.chat
    else:
        return None
    event = RedactionEvent()
    event.type = EventType.ROOM_REDACTION
    event.also = ()
    event.room_id = RoomID(message.chat)
    event.sender = UserID(sender)
    event.redacts = EventID(places.forget(message.chat, number))
    event.content = SimpleNamespace(redacts=event.redacts, reason=reason)
    event.event_id = EventID(places.id_of(message))
    event.timestamp = int(message.at.timestamp() * 1000)
    event.client = client
    return event
