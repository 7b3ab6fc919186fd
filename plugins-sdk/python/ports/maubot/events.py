"""Messages and reactions, by the names that plugins of maubot know."""

from typing import Any, Callable, Optional

import parlor
from mautrix import types
from mautrix.types import (
    EventID, EventType, InReplyTo, MessageType, OccupantID, RelatesTo, RelationType, RoomID, TextMessageEventContent, Unsigned, UserID,
)
from parlor import outgoing
from parlor_port import files, places, texts
from parlor_port.running import settled

from . import media
from .client import Client, mark_read, of_content
from .made_rooms import allowed
from .state import withdrawal_event


class Replies:
    """Answers to other messages."""

    #: Whether the plugin knows them by `RelationType.REPLY`.
    have_type = False


class Said(types.Event):
    """A message or a reaction."""

    client: Client

    def __init__(self, client: Client, message: Any, content: Any, event_type: EventType) -> None:
        self.client = client
        self.type = event_type
        self.content = content
        self.room_id = RoomID(message.chat)
        self.sender = _sender(message)
        self.event_id = EventID(places.event_id(message))
        self.timestamp = int(message.at.timestamp() * 1000)
        self.unsigned = Unsigned()
        self.also: tuple[Any, ...] = ()
        #: Whether replies are marked as such.
        self.disable_reply = False
        #: The message as parlor has it.
        self.of_parlor = message

    async def respond(
        self, content: Any, event_type: Any = None, markdown: bool = True, allow_html: bool = False, edits: Any = None, reply: Any = False, **_: Any
    ) -> EventID:
        """Answers where it was said. `reply`: whether to refer to it; `"force"` does so also if `disable_reply` is set."""
        about = self.of_parlor if reply == "force" or reply and not self.disable_reply else None
        return await self._say(self._message(content, markdown, allow_html, edits, about))

    async def reply(self, content: Any, event_type: Any = None, markdown: bool = True, allow_html: bool = False, **_: Any) -> EventID:
        """Answers, and refers to it."""
        about = None if self.disable_reply else self.of_parlor
        return await self._say(self._message(content, markdown, allow_html, None, about))

    async def _say(self, message: Any) -> EventID:
        await settled()
        return EventID(places.said(str(self.room_id), str(await allowed(parlor.reply(self.of_parlor, message)))))

    def _message(self, content: Any, markdown: bool, allow_html: bool, edits: Any, about: Any) -> Any:
        if not isinstance(content, str):
            return of_content(str(self.room_id), content, about, edits)
        body = texts.of_markdown(content, allow_html) if markdown else texts.of_html(content) if allow_html else content
        return outgoing(body, reply_to=about, replace=None if edits is None else str(getattr(edits, "event_id", edits)))

    async def react(self, key: str) -> EventID:
        """Reacts to it."""
        return await self._say(outgoing(react_to=self.of_parlor, emojis=places.reacted(self.of_parlor, key)))

    async def mark_read(self) -> None:
        """Tells its author that it was read, if they asked for that."""
        await mark_read(self.of_parlor)

    async def redact(self, reason: Optional[str] = None) -> EventID:
        """Takes it back: by itself an own message, and by the room one of somebody else, which needs `rooms.moderate`."""
        return await self.client.redact(self.room_id, self.event_id, reason)

    async def edit(self, content: Any, **options: Any) -> EventID:
        """Says something in the place of an own message."""
        return await self.respond(content, edits=self.event_id, **options)


class MessageEvent(Said, types.MessageEvent):
    """A message."""


class Reaction(Said, types.ReactionEvent):
    """A reaction."""


def _sender(message: Any) -> UserID:
    address = f"{message.chat}/{message.nick or ''}" if message.kind == "groupchat" else message.chat
    if "/" not in address:
        return UserID(address)
    sender = OccupantID(address)
    sender.of(message)
    return sender


def message_event(client: Client, message: Any, note: Callable[[Any], None] = places.hear) -> MessageEvent:
    """The text of a message that came. `note`: keeps it in mind."""
    note(message)
    content = TextMessageEventContent(MessageType.TEXT, parlor.body_without_fallback(message), relates_to=_relates(message))
    return MessageEvent(client, message, content, EventType.ROOM_MESSAGE)


def message_events(client: Client, message: Any, note: Callable[[Any], None] = places.hear) -> list[MessageEvent]:
    """A message that came: its text, and each of its files. In Matrix, each is a message of its own."""
    given = files.of_message(message)
    event = message_event(client, message, note)
    text = files.text_beside(event.content.body, given)
    others = [MessageEvent(client, message, media.content_of(one, event.content.relates_to), EventType.ROOM_MESSAGE) for one in given]
    return [event, *others] if text or not others else others


def _relates(message: Any) -> Optional[RelatesTo]:
    """How it relates to another message."""
    extensions = message.extensions
    reply = extensions.reply if extensions is not None else None
    replaced = extensions.replace if extensions is not None else None
    if replaced:
        return RelatesTo(rel_type=RelationType.REPLACE, event_id=EventID(places.corrected(message, replaced)))
    if reply is not None:
        about = EventID(places.name_of(message.chat, reply.id))
        relates = RelatesTo(in_reply_to=InReplyTo(event_id=about))
        if Replies.have_type:
            # Plugins that do not know this type would not take it for an answer.
            relates.rel_type, relates.event_id = RelationType.REPLY, about
        return relates
    return None


def reaction_events(client: Client, message: Any) -> list[Any]:
    """The reactions that the author of a message has withdrawn with it, and those that are new, one for each sign."""
    reactions = message.extensions.reactions if message.extensions is not None else None
    if reactions is None:
        return []
    new, gone = places.changed(message, reactions)
    # A plugin that takes one vote of each person hears of the one before first.
    found: list[Any] = [withdrawal_event(client, message, number) for number in gone.values()]
    about = EventID(places.name_of(message.chat, reactions.id))
    for emoji, number in new.items():
        relates = RelatesTo(rel_type=RelationType.ANNOTATION, event_id=about, key=emoji)
        event = Reaction(client, message, TextMessageEventContent(None, "", relates_to=relates), EventType.REACTION)
        event.event_id = EventID(number)
        found.append(event)
    return found
