"""The types that plugins of maubot use: what is sent and heard, and texts that name people, rooms and messages."""

from enum import Enum
from typing import Any, Mapping, Optional

from .client import SyncStream


class UserID(str):
    """The address of a person: a JID, or that of a room with a nickname."""


class RoomID(str):
    """The address of a room or a chat: a JID."""


class RoomAlias(str):
    """The same."""


class EventID(str):
    """The id of a message."""


class ContentURI(str):
    """The address of a file."""


class EventType(Enum):
    """The kind of an event."""

    ROOM_MESSAGE = "m.room.message"
    REACTION = "m.reaction"
    ROOM_MEMBER = "m.room.member"
    ROOM_REDACTION = "m.room.redaction"
    # Those below are never heard: `parlor plugin port` tells of them.
    ROOM_NAME = "m.room.name"
    ROOM_TOPIC = "m.room.topic"
    ROOM_POWER_LEVELS = "m.room.power_levels"
    ROOM_TOMBSTONE = "m.room.tombstone"
    STICKER = "m.sticker"

    @classmethod
    def find(cls, name: str, *_: Any) -> "EventType":
        """The type of this name. `ValueError`: the layer has none."""
        return cls(name)


class MessageType(Enum):
    """The kind of a message. XMPP has texts."""

    TEXT = "m.text"
    NOTICE = "m.notice"
    EMOTE = "m.emote"
    IMAGE = "m.image"
    VIDEO = "m.video"
    AUDIO = "m.audio"
    FILE = "m.file"
    LOCATION = "m.location"


class Format(Enum):
    """How a text is written."""

    HTML = "org.matrix.custom.html"


class RelationType(str):
    """How a message relates to another one."""

    REPLACE: "RelationType"
    ANNOTATION: "RelationType"
    REFERENCE: "RelationType"
    THREAD: "RelationType"


RelationType.REPLACE = RelationType("m.replace")
RelationType.ANNOTATION = RelationType("m.annotation")
RelationType.REFERENCE = RelationType("m.reference")
RelationType.THREAD = RelationType("m.thread")


class Serializable:
    """Something with fields."""


class _Fields(Serializable):
    """Other fields than those that are known are kept beside, and not sent."""

    def __getitem__(self, name: str) -> Any:
        others = self.__dict__.setdefault("_others", {})
        return others[name] if name in others else getattr(self, name)

    def __setitem__(self, name: str, value: Any) -> None:
        self.__dict__.setdefault("_others", {})[name] = value

    def get(self, name: str, default: Any = None) -> Any:
        """The field, or another value."""
        try:
            return self[name]
        except (AttributeError, KeyError):
            return default


SerializableAttrs = _Fields


class InReplyTo(_Fields):
    """The message that another one answers."""

    def __init__(self, event_id: Any = None) -> None:
        self.event_id = event_id


class RelatesTo(_Fields):
    """How a message relates to another one."""

    def __init__(self, rel_type: Any = None, event_id: Any = None, key: Optional[str] = None, in_reply_to: Any = None, **_: Any) -> None:
        self.rel_type = rel_type
        self.event_id = event_id
        self.key = key
        self.in_reply_to = in_reply_to


class TextMessageEventContent(_Fields):
    """The content of a message."""

    def __init__(
        self, msgtype: Any = MessageType.TEXT, body: str = "", format: Any = None, formatted_body: Optional[str] = None, relates_to: Any = None,
        **_: Any,
    ) -> None:
        self.msgtype = msgtype
        self.body = body
        self.format = format
        self.formatted_body = formatted_body
        self.relates_to = relates_to
        self.new_content: Any = None

    @classmethod
    def deserialize(cls, raw: Mapping[str, Any]) -> "TextMessageEventContent":
        """The content that Matrix writes as this mapping. `NotImplementedError`: it is no message."""
        kind = raw.get("msgtype", "m.text")
        if kind in ("m.image", "m.file", "m.audio", "m.video") and not issubclass(cls, MediaMessageEventContent):
            return MediaMessageEventContent.deserialize(raw)
        if kind not in ("m.text", "m.notice", "m.emote", "m.image", "m.file", "m.audio", "m.video"):
            raise NotImplementedError(f"the layer sends texts and files, and no {kind}")
        relates = raw.get("m.relates_to") or {}
        reply = (relates.get("m.in_reply_to") or {}).get("event_id")
        made = cls(
            MessageType(raw.get("msgtype", "m.text")), raw.get("body", ""), None, raw.get("formatted_body"),
            RelatesTo(relates.get("rel_type"), relates.get("event_id"), relates.get("key"), InReplyTo(reply) if reply else None) if relates else None)
        if isinstance(made, MediaMessageEventContent):
            made.url, made.info, made.file = raw.get("url"), raw.get("info"), raw.get("file")
        if raw.get("m.new_content"):
            made.new_content = cls.deserialize(raw["m.new_content"])
        return made

    def get_reply_to(self) -> Optional[EventID]:
        """The id of the message that it answers, if any."""
        inner = getattr(self.relates_to, "in_reply_to", None)
        return getattr(inner, "event_id", None)

    def get_edit(self) -> Optional[EventID]:
        """The id of the message that it corrects, if any."""
        return self.relates_to.event_id if getattr(self.relates_to, "rel_type", None) == RelationType.REPLACE else None

    def set_reply(self, reply_to: Any, **_: Any) -> None:
        """Makes it an answer to a message."""
        self.relates_to = RelatesTo(in_reply_to=InReplyTo(getattr(reply_to, "event_id", reply_to)))

    def set_edit(self, edits: Any) -> None:
        """Makes it a correction of a message."""
        self.relates_to = RelatesTo(RelationType.REPLACE, getattr(edits, "event_id", edits))

    def trim_reply_fallback(self) -> None:
        """The layer has done so already."""


class MediaInfo(_Fields):
    """The facts about a file. XMPP's messages show the type and the size."""

    def __init__(self, mimetype: Optional[str] = None, size: Optional[int] = None, **others: Any) -> None:
        self.mimetype = mimetype
        self.size = size
        self.width = self.height = self.duration = None
        self.__dict__.update(others)


ImageInfo = FileInfo = VideoInfo = AudioInfo = ThumbnailInfo = MediaInfo


class MediaMessageEventContent(TextMessageEventContent):
    """The content of a message with a file."""

    def __init__(
        self, msgtype: Any = MessageType.FILE, body: str = "", *others: Any, url: Any = None, info: Any = None, file: Any = None,
        filename: Optional[str] = None, **named: Any,
    ) -> None:
        super().__init__(msgtype, body or filename or "", *others, **named)
        self.url = url
        self.info = info
        self.file = file


MessageEventContent = TextMessageEventContent


class Membership(Enum):
    """Whether somebody is in a room."""

    JOIN = "join"
    LEAVE = "leave"
    BAN = "ban"
    INVITE = "invite"
    KNOCK = "knock"


class MemberStateEventContent(_Fields):
    """The state of somebody in a room."""

    def __init__(self, membership: Membership = Membership.LEAVE, displayname: Optional[str] = None, reason: Optional[str] = None, **_: Any) -> None:
        self.membership = membership
        self.displayname = displayname
        self.reason = reason
        self.avatar_url = None


class Member(MemberStateEventContent):
    """Somebody who is in a room."""


class Event:
    """Something that has happened."""

    type: Any
    #: Further types by which plugins listen to it.
    also: tuple[Any, ...]
    room_id: RoomID
    sender: UserID
    event_id: EventID
    timestamp: int
    content: Any
    unsigned: Any
    client: Any
    source = SyncStream.TIMELINE | SyncStream.JOINED_ROOM


class StateEvent(Event):
    """Somebody has entered a room, left it, has another name there, or invites the account."""

    state_key: UserID
    prev_content: Any


class RedactionEvent(Event):
    """A message was taken back."""

    redacts: EventID


GenericEvent = MessageEvent = ReactionEvent = Event
StrippedStateEvent = StateEvent
