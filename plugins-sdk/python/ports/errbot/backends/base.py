"""People, rooms and messages, by their other place."""

from ..people import Identifier, Message, Person, Room, RoomError, RoomOccupant

ONLINE, OFFLINE, AWAY, DND = "online", "offline", "away", "dnd"

__all__ = ["AWAY", "DND", "Identifier", "Message", "OFFLINE", "ONLINE", "Person", "Room", "RoomError", "RoomOccupant"]
