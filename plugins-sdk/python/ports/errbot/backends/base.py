"""People, rooms and messages, by their other place."""

from ..heard import REACTION_ADDED, REACTION_REMOVED, Reaction
from ..people import (
    Identifier, Message, Person, Room, RoomDoesNotExistError, RoomError, RoomNotJoinedError, RoomOccupant, UserDoesNotExistError,
    UserNotUniqueError,
)
from ..streams import Stream

ONLINE, OFFLINE, AWAY, DND = "online", "offline", "away", "dnd"

__all__ = [
    "AWAY", "DND", "Identifier", "Message", "OFFLINE", "ONLINE", "Person", "REACTION_ADDED", "REACTION_REMOVED", "Reaction", "Room", "RoomDoesNotExistError", "RoomError", "RoomNotJoinedError",
    "RoomOccupant", "Stream", "UserDoesNotExistError", "UserNotUniqueError",
]
