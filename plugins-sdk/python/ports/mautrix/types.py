"""The types that plugins of maubot use: what is sent and heard, and texts that name people, rooms and messages."""

import sys
from enum import Enum
from typing import Any, ClassVar, Mapping, Optional

from parlor_port.occupants import Occupant

from .client import SyncStream
from .serialized import (
    JSON, ExtensibleEnum, Mapped, Serializable, SerializableAttrs, SerializableEnum, SerializerError, deserializer, field, serializer,
)
from .states import (
    DeviceID, EncryptionAlgorithm, HistoryVisibility, Lst, RoomAvatarStateEventContent, RoomEncryptionStateEventContent,
    RoomHistoryVisibilityStateEventContent, RoomPinnedEventsStateEventContent, RoomTombstoneStateEventContent, SpaceChildStateEventContent,
    SpaceParentStateEventContent, StateEventContent, SyncToken,
)
from .uris import MatrixURI


class UserID(str):
    """The address of a person: a JID, or that of a room with a nickname."""


class OccupantID(Occupant, UserID):
    """The address of a person in a room: that of the room with a nickname."""


class RoomID(str):
    """The address of a room or a chat: a JID."""


class RoomAlias(str):
    """The same."""


class EventID(str):
    """The id of a message."""


class ContentURI(str):
    """The address of a file."""


class EventType(Serializable):
    """The kind of an event. There is one of each name."""

    class Class(Enum):
        """The subject of events of a kind."""

        UNKNOWN = "unknown"
        STATE = "state"
        MESSAGE = "message"
        ACCOUNT_DATA = "account_data"
        EPHEMERAL = "ephemeral"
        TO_DEVICE = "to_device"

    _known: ClassVar[dict[str, "EventType"]] = {}

    ROOM_MESSAGE: ClassVar["EventType"]
    REACTION: ClassVar["EventType"]
    ROOM_MEMBER: ClassVar["EventType"]
    ROOM_REDACTION: ClassVar["EventType"]
    # Those of states, which `client.get_state_event` takes.
    ROOM_NAME: ClassVar["EventType"]
    ROOM_TOPIC: ClassVar["EventType"]
    ROOM_CANONICAL_ALIAS: ClassVar["EventType"]
    ROOM_CREATE: ClassVar["EventType"]
    ROOM_POWER_LEVELS: ClassVar["EventType"]
    ROOM_JOIN_RULES: ClassVar["EventType"]
    # Those below are never heard: `parlor plugin port` tells of them.
    DIRECT: ClassVar["EventType"]
    ROOM_TOMBSTONE: ClassVar["EventType"]
    ROOM_AVATAR: ClassVar["EventType"]
    ROOM_ENCRYPTED: ClassVar["EventType"]
    ROOM_ENCRYPTION: ClassVar["EventType"]
    ROOM_HISTORY_VISIBILITY: ClassVar["EventType"]
    ROOM_PINNED_EVENTS: ClassVar["EventType"]
    SPACE_CHILD: ClassVar["EventType"]
    SPACE_PARENT: ClassVar["EventType"]
    STICKER: ClassVar["EventType"]
    #: Any of those that are heard.
    ALL: ClassVar["EventType"]

    def __init__(self, name: str, t_class: Any = Class.UNKNOWN) -> None:
        self.t = self.value = name
        self.t_class = t_class

    @classmethod
    def find(cls, name: str, t_class: Any = Class.UNKNOWN, *_: Any) -> "EventType":
        """The type of this name."""
        return cls._known.setdefault(name, cls(name, t_class))

    @property
    def is_state(self) -> bool:
        """Whether it is a state of a room."""
        return self.t_class is EventType.Class.STATE

    @property
    def is_message(self) -> bool:
        """Whether it is something that is said."""
        return self.t_class is EventType.Class.MESSAGE

    @property
    def is_ephemeral(self) -> bool:
        """Whether it is over in a moment, such as typing. No such event is heard."""
        return self.t_class is EventType.Class.EPHEMERAL

    @property
    def is_account_data(self) -> bool:
        """Whether it is data of the account."""
        return self.t_class is EventType.Class.ACCOUNT_DATA

    @property
    def is_to_device(self) -> bool:
        """Whether it is for a device alone. No such event is heard."""
        return self.t_class is EventType.Class.TO_DEVICE

    def __str__(self) -> str:
        return self.t

    def serialize(self) -> JSON:
        return self.t

    @classmethod
    def deserialize(cls, raw: JSON) -> "EventType":
        return cls.find(str(raw))

    def __deepcopy__(self, _: Any) -> "EventType":
        return self


for _name, _of in {
    "MESSAGE": "ROOM_MESSAGE=m.room.message REACTION=m.reaction ROOM_REDACTION=m.room.redaction ROOM_ENCRYPTED=m.room.encrypted STICKER=m.sticker",
    "STATE": "ROOM_MEMBER=m.room.member ROOM_NAME=m.room.name ROOM_TOPIC=m.room.topic ROOM_CANONICAL_ALIAS=m.room.canonical_alias"
    " ROOM_CREATE=m.room.create ROOM_POWER_LEVELS=m.room.power_levels ROOM_TOMBSTONE=m.room.tombstone ROOM_AVATAR=m.room.avatar"
    " ROOM_ENCRYPTION=m.room.encryption ROOM_JOIN_RULES=m.room.join_rules ROOM_HISTORY_VISIBILITY=m.room.history_visibility"
    " ROOM_PINNED_EVENTS=m.room.pinned_events SPACE_CHILD=m.space.child SPACE_PARENT=m.space.parent",
    "ACCOUNT_DATA": "DIRECT=m.direct",
    "UNKNOWN": "ALL=__ALL__",
}.items():
    for _pair in _of.split():
        setattr(EventType, _pair.partition("=")[0], EventType.find(_pair.partition("=")[2], EventType.Class[_name]))


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
    # It is never heard.
    STICKER = "m.sticker"

    @property
    def is_text(self) -> bool:
        """Whether it is a text."""
        return self in (MessageType.TEXT, MessageType.NOTICE, MessageType.EMOTE)

    @property
    def is_media(self) -> bool:
        """Whether it is a file."""
        return self in (MessageType.IMAGE, MessageType.VIDEO, MessageType.AUDIO, MessageType.FILE, MessageType.STICKER)


#: Words for a message that has no text.
media_reply_fallback_body_map = {
    MessageType.IMAGE: "an image", MessageType.STICKER: "a sticker", MessageType.VIDEO: "a video", MessageType.AUDIO: "audio",
    MessageType.FILE: "a file", MessageType.LOCATION: "a location",
}


class Format(Enum):
    """How a text is written."""

    HTML = "org.matrix.custom.html"


class PaginationDirection(Enum):
    """The direction in which an archive is read."""

    FORWARD = "f"
    BACKWARD = "b"


class RoomCreatePreset(Enum):
    """The people who may enter a room that is made."""

    PRIVATE = "private_chat"
    TRUSTED_PRIVATE = "trusted_private_chat"
    PUBLIC = "public_chat"


class RoomDirectoryVisibility(Enum):
    """Whether the service lists a room that is made."""

    PRIVATE = "private"
    PUBLIC = "public"


class RoomType(Enum):
    """The kind of a room that is none for messages. No room of XMPP is one: `parlor plugin port` tells of it."""

    SPACE = "m.space"


class JoinRule(Enum):
    """The people who may enter a room. In XMPP, these are all of them, or members."""

    PUBLIC = "public"
    INVITE = "invite"
    PRIVATE = "private"


class RelationType(str):
    """How a message relates to another one."""

    REPLACE: "RelationType"
    ANNOTATION: "RelationType"
    REFERENCE: "RelationType"
    THREAD: "RelationType"
    #: Older plugins know answers by it.
    REPLY: "RelationType"


RelationType.REPLACE = RelationType("m.replace")
RelationType.ANNOTATION = RelationType("m.annotation")
RelationType.REFERENCE = RelationType("m.reference")
RelationType.THREAD = RelationType("m.thread")
RelationType.REPLY = RelationType("m.in_reply_to")


class InReplyTo(Mapped):
    """The message that another one answers."""

    def __init__(self, event_id: Any = None) -> None:
        self.event_id = event_id


class RelatesTo(Mapped):
    """How a message relates to another one. It is false if it relates to none."""

    _written = {"in_reply_to": "m.in_reply_to"}

    def __init__(self, rel_type: Any = None, event_id: Any = None, key: Optional[str] = None, in_reply_to: Any = None, **_: Any) -> None:
        self.rel_type = rel_type
        self.event_id = event_id
        self.key = key
        self.in_reply_to = in_reply_to

    def __bool__(self) -> bool:
        return any(one is not None for one in (self.rel_type, self.event_id, self.key, self.in_reply_to))


class TextMessageEventContent(Mapped):
    """The content of a message."""

    _written = {"relates_to": "m.relates_to", "new_content": "m.new_content"}

    def __init__(
        self, msgtype: Any = MessageType.TEXT, body: str = "", format: Any = None, formatted_body: Optional[str] = None, relates_to: Any = None,
        **_: Any,
    ) -> None:
        self.msgtype = msgtype
        self.body = body
        self.format = format
        self.formatted_body = formatted_body
        # Plugins ask it for its type without asking whether it is there.
        self.relates_to: Any = RelatesTo() if relates_to is None else relates_to
        self.new_content: Any = None

    @property
    def _relates_to(self) -> Any:
        """How it relates to another message. None: it does not. Plugins ask for it by this name, too."""
        return self.relates_to or None

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
            made.url, made.info, made.file, made.filename = raw.get("url"), raw.get("info"), raw.get("file"), raw.get("filename")
        if raw.get("m.new_content"):
            made.new_content = cls.deserialize(raw["m.new_content"])
        return made

    def get_reply_to(self) -> Optional[EventID]:
        """The id of the message that it answers, if any."""
        inner = getattr(self.relates_to, "in_reply_to", None)
        return getattr(inner, "event_id", None)

    def get_thread_parent(self) -> Optional[EventID]:
        """The id of the message that its thread began with. None: threads of XMPP have names of their own."""
        return None

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


class MediaInfo(Mapped):
    """The facts about a file. XMPP's messages show the type and the size."""

    _written = {"width": "w", "height": "h"}

    def __init__(self, mimetype: Optional[str] = None, size: Optional[int] = None, **others: Any) -> None:
        self.mimetype = mimetype
        self.size = size
        self.width = self.height = self.duration = None
        self.__dict__.update(others)


BaseFileInfo = ImageInfo = FileInfo = VideoInfo = AudioInfo = ThumbnailInfo = MediaInfo


class EncryptedFile(Mapped):
    """An encrypted file. No content has one: the host decrypts, so that `url` is there."""


class MediaMessageEventContent(TextMessageEventContent):
    """The content of a message with a file."""

    def __init__(
        self, msgtype: Any = MessageType.FILE, body: str = "", *others: Any, url: Any = None, info: Any = None, file: Any = None,
        filename: Optional[str] = None, **named: Any,
    ) -> None:
        super().__init__(msgtype, body or filename or "", *others, **named)
        #: The name of the file. If the text is another one, it is said beside the file.
        self.filename = filename
        self.url = url
        self.info = info
        self.file = file


class Membership(Enum):
    """Whether somebody is in a room."""

    JOIN = "join"
    LEAVE = "leave"
    BAN = "ban"
    INVITE = "invite"
    KNOCK = "knock"


class MemberStateEventContent(Mapped):
    """The state of somebody in a room."""

    def __init__(
        self, membership: Membership = Membership.LEAVE, displayname: Optional[str] = None, reason: Optional[str] = None,
        is_direct: Optional[bool] = None, **_: Any,
    ) -> None:
        self.membership = membership
        self.displayname = displayname
        self.reason = reason
        self.avatar_url = None
        #: Whether it is about a chat. None: it is not.
        self.is_direct = is_direct


class Member(MemberStateEventContent):
    """Somebody who is in a room."""


class PowerLevelStateEventContent(Mapped):
    """The rights of people in a room, as numbers: 100 for its owners and admins, 50 for moderators, -1 for visitors, 0 for others."""

    _beside = ("_others", "_read")
    #: The levels that the room had when the plugin asked for them. None: it did not.
    _read: Optional[dict[str, int]] = None

    def __init__(
        self, users: Optional[Mapping[str, int]] = None, users_default: int = 0, events: Optional[Mapping[Any, int]] = None, events_default: int = 0,
        state_default: int = 50, invite: int = 0, kick: int = 50, ban: int = 50, redact: int = 50, **_: Any,
    ) -> None:
        self.users: dict[str, int] = dict(users or {})
        self.users_default = users_default
        self.events: dict[Any, int] = dict(events or {})
        self.events_default, self.state_default = events_default, state_default
        self.invite, self.ban, self.kick, self.redact = invite, ban, kick, redact

    def get_user_level(self, user_id: Any, create: Any = None) -> int:
        """The number of a person, who is `ROOM/NICK`."""
        return self.users.get(str(user_id), self.users_default)

    def get_event_level(self, event_type: Any) -> int:
        """The number that is needed for an event. A state, such as a setting of the plugin, takes a moderator."""
        is_state = isinstance(event_type, EventType) and event_type.is_state
        known = self.events.get(event_type)
        return known if known is not None else self.state_default if is_state else self.events_default

    def set_user_level(self, user_id: Any, level: int) -> None:
        """Changes the number of a person. The room has it once the content is sent."""
        self.users[str(user_id)] = level

    def ensure_user_level(self, user_id: Any, level: int) -> bool:
        """The same; gives whether it was another one."""
        is_other = self.get_user_level(user_id) != level
        if is_other:
            self.set_user_level(user_id, level)
        return is_other

    def set_event_level(self, event_type: Any, level: int) -> None:
        """Changes the number that is needed for an event. No room of XMPP takes it."""
        self.events[event_type] = level

    @classmethod
    def deserialize(cls, raw: Mapping[str, Any]) -> "PowerLevelStateEventContent":
        """The content that Matrix writes as this mapping."""
        return cls(**{str(name): value for name, value in raw.items() if value is not None})


class JoinRulesStateEventContent(Mapped):
    """The people who may enter a room."""

    def __init__(self, join_rule: Any = JoinRule.PUBLIC, allow: Any = None, **_: Any) -> None:
        self.join_rule = join_rule
        self.allow = allow


class RoomNameStateEventContent(Mapped):
    """The name of a room."""

    def __init__(self, name: Optional[str] = None, **_: Any) -> None:
        self.name = name


class RoomTopicStateEventContent(Mapped):
    """The subject of a room."""

    def __init__(self, topic: Optional[str] = None, **_: Any) -> None:
        self.topic = topic


class CanonicalAliasStateEventContent(Mapped):
    """The address of a room, which is its only one."""

    def __init__(self, canonical_alias: Any = None, **_: Any) -> None:
        self.canonical_alias = canonical_alias
        self.alt_aliases: list[Any] = []


class RoomCreateStateEventContent(Mapped):
    """The beginning of a room, which XMPP does not tell."""

    def __init__(self, **_: Any) -> None:
        self.creator: Any = None
        self.type: Any = None
        # In rooms of a later version, those who made one may do everything.
        self.room_version = "11"


class Unsigned(Mapped):
    """The fields that a server adds to an event. Servers of XMPP tell nothing but the state before."""

    def __init__(self, prev_content: Any = None) -> None:
        self.prev_content = prev_content
        self.prev_sender = self.age = self.transaction_id = None

    def __bool__(self) -> bool:
        return self.prev_content is not None


class EventFields(Mapped):
    """The fields of an event. Plugins also read them as those of a mapping, such as `evt["sender"]`."""

    _written = {"timestamp": "origin_server_ts"}
    _beside = ("_others", "client", "also", "disable_reply", "of_parlor", "prev_content", "source")

    @staticmethod
    def deserialize_content(data: Mapping[str, Any]) -> TextMessageEventContent:
        """The content of a message that Matrix writes as this mapping."""
        return TextMessageEventContent.deserialize(data)


class Event(EventFields):
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


class MessageEvent(Event):
    """Somebody has said something."""


class ReactionEvent(Event):
    """Somebody reacts to a message."""


class StateEvent(Event):
    """Somebody has entered a room, left it, has another name there, or invites the account."""

    state_key: UserID
    prev_content: Any


class RedactionEventContent(Mapped):
    """The message that was taken back, and the reason."""

    def __init__(self, redacts: Any = None, reason: Optional[str] = None) -> None:
        self.redacts = redacts
        self.reason = reason


class RedactionEvent(Event):
    """A message was taken back."""

    redacts: EventID


class EncryptedEvent(Event):
    """No event is one: the host decrypts messages."""


class EncryptedMegolmEventContent(TextMessageEventContent):
    """The content of none."""


class Obj(Mapped):
    """JSON whose fields are attributes."""

    def __init__(self, **given: Any) -> None:
        self.__dict__.update(given)


GenericEvent = BaseRoomEvent = Event
StrippedStateEvent = StateEvent
MessageEventContent = BaseMessageEventContent = TextMessageEventContent
ReactionEventContent = TextMessageEventContent

# Plugins also import all of this from the parts of the library of this name.
__path__: list[str] = []
for _name in (
    "event", "event.account_data", "event.base", "event.encrypted", "event.generic", "event.message", "event.reaction", "event.redaction", "event.state",
    "event.type", "matrix", "media", "misc", "primitive", "users", "util", "util.enum", "util.obj", "util.serializable", "util.serializable_attrs",
):
    sys.modules[f"{__name__}.{_name}"] = sys.modules[__name__]
