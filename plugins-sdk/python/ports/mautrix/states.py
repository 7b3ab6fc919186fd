"""Contents of states and other types of Matrix that XMPP does not have. Plugins import them beside those that work, and `parlor plugin port` tells
of the calls that they are for."""

from enum import Enum
from typing import Any, Optional

from .serialized import ExtensibleEnum, Mapped


class StateEventContent(Mapped):
    """The content of any state."""


class EncryptionAlgorithm(ExtensibleEnum):
    """How a room of Matrix encrypts. The host encrypts in rooms of XMPP."""

    OLM_V1: "EncryptionAlgorithm" = "m.olm.v1.curve25519-aes-sha2"  # type: ignore[assignment]
    MEGOLM_V1: "EncryptionAlgorithm" = "m.megolm.v1.aes-sha2"  # type: ignore[assignment]


class RoomEncryptionStateEventContent(StateEventContent):
    """The encryption of a room."""

    def __init__(self, algorithm: Any = None, rotation_period_ms: Optional[int] = None, rotation_period_msgs: Optional[int] = None, **_: Any) -> None:
        self.algorithm = algorithm
        self.rotation_period_ms = rotation_period_ms
        self.rotation_period_msgs = rotation_period_msgs


class HistoryVisibility(Enum):
    """The people who may read the history of a room."""

    INVITED = "invited"
    JOINED = "joined"
    SHARED = "shared"
    WORLD_READABLE = "world_readable"


class RoomHistoryVisibilityStateEventContent(StateEventContent):
    """The same, as a state."""

    def __init__(self, history_visibility: Any = None, **_: Any) -> None:
        self.history_visibility = history_visibility


class RoomAvatarStateEventContent(StateEventContent):
    """The picture of a room."""

    def __init__(self, url: Any = None, info: Any = None, **_: Any) -> None:
        self.url = url
        self.info = info


class RoomPinnedEventsStateEventContent(StateEventContent):
    """The messages that a room shows first."""

    def __init__(self, pinned: Any = None, **_: Any) -> None:
        self.pinned: list[Any] = list(pinned or [])


class RoomTombstoneStateEventContent(StateEventContent):
    """The room that has taken the place of another one."""

    def __init__(self, body: Optional[str] = None, replacement_room: Any = None, **_: Any) -> None:
        self.body = body
        self.replacement_room = replacement_room


class SpaceChildStateEventContent(StateEventContent):
    """A room of a space."""

    def __init__(self, via: Any = None, order: str = "", suggested: bool = False, **_: Any) -> None:
        self.via: list[Any] = list(via or [])
        self.order = order
        self.suggested = suggested


class SpaceParentStateEventContent(StateEventContent):
    """The space of a room."""

    def __init__(self, via: Any = None, canonical: bool = False, **_: Any) -> None:
        self.via: list[Any] = list(via or [])
        self.canonical = canonical


class DeviceID(str):
    """The name of a device."""


class SyncToken(str):
    """A place in a history."""


class Lst(list[Any]):
    """A list of JSON."""
