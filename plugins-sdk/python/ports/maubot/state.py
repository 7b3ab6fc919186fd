"""People who enter and leave rooms, their names there, invitations, and messages that are taken back, by the names that plugins of maubot
know."""

import time
from typing import Any, Optional

from mautrix.client import InternalEventType, SyncStream
from mautrix.types import (
    EventID, EventType, MemberStateEventContent, Membership, RedactionEvent, RedactionEventContent, RoomID, StateEvent, Unsigned, UserID,
)
from parlor_port import places

from .client import Client
from .room_state import actor_of, new_id

#: Why somebody is gone whom others made go, with the type of the event.
_BY_OTHERS = {
    "kicked": InternalEventType.KICK, "affiliation": InternalEventType.KICK, "members-only": InternalEventType.KICK, "banned": InternalEventType.BAN,
}


def member_event(client: Client, occupant: Any, is_there: bool) -> StateEvent:
    """Somebody has entered a room, or left it. A person is the room with the nickname, and the account itself is its own address."""
    person = _person(client, occupant)
    kind = InternalEventType.JOIN if is_there else _BY_OTHERS.get(occupant.left or "", InternalEventType.LEAVE)
    membership = Membership.JOIN if is_there else Membership.BAN if kind is InternalEventType.BAN else Membership.LEAVE
    before = MemberStateEventContent(Membership.LEAVE if is_there else Membership.JOIN, occupant.nick)
    sender = person if kind in (InternalEventType.JOIN, InternalEventType.LEAVE) else actor_of(occupant)
    return _event(client, kind, occupant.room, sender, person, MemberStateEventContent(membership, occupant.nick, occupant.reason), before)


def name_event(client: Client, occupant: Any) -> Optional[StateEvent]:
    """Somebody in a room has another nickname, and with it another address there. None: something else of them has changed."""
    if occupant.previous_nick is None or occupant.previous_nick == occupant.nick:
        return None
    person = _person(client, occupant)
    now, before = (MemberStateEventContent(Membership.JOIN, nick) for nick in (occupant.nick, occupant.previous_nick))
    return _event(client, InternalEventType.PROFILE_CHANGE, occupant.room, person, person, now, before)


def invite_event(client: Client, invite: Any) -> StateEvent:
    """Somebody invites the account into a room: `client.join_room` enters it, and `client.leave_room` declines."""
    client.invited(invite)
    now = MemberStateEventContent(Membership.INVITE, None, invite.reason)
    before = MemberStateEventContent(Membership.LEAVE)
    # Somebody in the room is `ROOM/NICK`, and everybody else an address without a device.
    sender = str(invite.from_)
    sender = sender if sender.startswith(f"{invite.room}/") else sender.partition("/")[0]
    event = _event(client, InternalEventType.INVITE, invite.room, UserID(sender), client.mxid, now, before)
    event.source = SyncStream.INVITED_ROOM | SyncStream.STATE
    return event


def _event(
    client: Client, kind: InternalEventType, room: Any, sender: UserID, person: UserID, now: MemberStateEventContent, before: MemberStateEventContent
) -> StateEvent:
    event = StateEvent()
    event.type = EventType.ROOM_MEMBER
    event.also = (kind,)
    event.room_id = RoomID(room)
    event.sender = sender
    event.state_key = person
    event.content = now
    event.prev_content = before
    event.unsigned = Unsigned(before)
    event.event_id = new_id()
    event.timestamp = int(time.time() * 1000)
    event.client = client
    return event


def _person(client: Client, occupant: Any) -> UserID:
    return client.mxid if occupant.own else UserID(f"{occupant.room}/{occupant.nick}")


def redaction_event(client: Client, message: Any) -> Optional[RedactionEvent]:
    """A message is taken back by its author, or by the room. None: nobody can tell whether its author does so, or it was not heard lately."""
    moderated = message.extensions.moderated
    if moderated is not None:
        return _redaction(client, message, places.forget(message.chat, moderated.id), moderated.by or message.chat, moderated.reason)
    if places.is_taken_back_by_its_author(message):
        return withdrawal_event(client, message, places.forget(message.chat, message.extensions.retract))
    return None


def withdrawal_event(client: Client, message: Any, number: str) -> RedactionEvent:
    """The author of a message takes back what the plugin knows by this id: another message, or a reaction."""
    return _redaction(client, message, number, f"{message.chat}/{message.nick}" if message.kind == "groupchat" else message.chat, None)


def _redaction(client: Client, message: Any, number: str, sender: str, reason: Optional[str]) -> RedactionEvent:
    event = RedactionEvent()
    event.type = EventType.ROOM_REDACTION
    event.also = ()
    event.room_id = RoomID(message.chat)
    event.sender = UserID(sender)
    event.redacts = EventID(number)
    event.content = RedactionEventContent(event.redacts, reason)
    event.event_id = EventID(places.id_of(message))
    event.timestamp = int(message.at.timestamp() * 1000)
    event.client = client
    return event
