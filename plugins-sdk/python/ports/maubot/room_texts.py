"""The names and subjects of rooms: a plugin hears when they change."""

import contextlib
from typing import Any, Optional

from mautrix.types import EventType, RoomNameStateEventContent, RoomTopicStateEventContent, StateEvent, UserID
from parlor import errors, rooms

from . import room_state


class Texts:
    """The names and subjects that rooms were seen with last: a change has a state before."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, EventType], str] = {}

    async def ready(self) -> None:
        """Sees the rooms that the account is in already."""
        with contextlib.suppress(errors.Denied):
            for one in rooms.get_all():
                self._seen[str(one.jid), EventType.ROOM_NAME] = one.name or ""
                self._seen[str(one.jid), EventType.ROOM_TOPIC] = one.subject or ""

    def leave(self, room: Any) -> None:
        """Forgets a room."""
        for kind in (EventType.ROOM_NAME, EventType.ROOM_TOPIC):
            self._seen.pop((str(room.jid), kind), None)

    def subject(self, client: Any, room: Any) -> Optional[StateEvent]:
        """A new subject, as an event."""
        return self._told(client, str(room.jid), EventType.ROOM_TOPIC, room.subject or "")

    def entered(self, client: Any, room: Any) -> Optional[StateEvent]:
        """The name of a room that the account has entered, as an event. None: it is not known yet, or is what it was."""
        return self._name(client, str(room.jid))

    def of_occupant(self, client: Any, occupant: Any) -> Optional[StateEvent]:
        """The same, as something has happened to somebody in the room: the host tells of no new name by itself."""
        return self._name(client, str(occupant.room))

    def of_message(self, client: Any, message: Any) -> Optional[StateEvent]:
        """The same, as somebody has said something in the room."""
        return self._name(client, str(message.chat))

    def _name(self, client: Any, room: str) -> Optional[StateEvent]:
        about = None
        with contextlib.suppress(errors.Denied):
            about = rooms.get(room)
        # A room that has not told its name yet has not lost it.
        return None if about is None or about.name is None else self._told(client, room, EventType.ROOM_NAME, about.name)

    def _told(self, client: Any, room: str, kind: EventType, text: str) -> Optional[StateEvent]:
        before = self._seen.get((room, kind))
        if text == (before or ""):
            return None
        self._seen[room, kind] = text
        of: Any = RoomTopicStateEventContent if kind is EventType.ROOM_TOPIC else RoomNameStateEventContent
        # Nobody tells who it was, but the plugin knows what it has set itself.
        sender = client.mxid if client.set_text(room, kind) == text else UserID(room)
        return room_state.changed(client, room, kind, of(text), None if before is None else of(before), sender)
