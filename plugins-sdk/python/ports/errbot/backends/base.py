"""People, rooms and messages, by their other place."""

from ..people import (
    Identifier, Message, Person, Room, RoomDoesNotExistError, RoomError, RoomNotJoinedError, RoomOccupant, UserDoesNotExistError,
    UserNotUniqueError,
)
from ..streams import Stream

ONLINE, OFFLINE, AWAY, DND = "online", "offline", "away", "dnd"

__all__ = [
    "AWAY", "DND", "Identifier", "Message", "OFFLINE", "ONLINE", "Person", "Room", "RoomDoesNotExistError", "RoomError", "RoomNotJoinedError",
    "RoomOccupant", "Stream", "UserDoesNotExistError", "UserNotUniqueError",
]
