"""The types of events about people in rooms, by the names that plugins know from the client of this name."""

from enum import Enum, IntFlag


class InternalEventType(Enum):
    """The changes of who is in a room."""

    JOIN = "join"
    LEAVE = "leave"
    KICK = "kick"
    BAN = "ban"
    INVITE = "invite"
    PROFILE_CHANGE = "profile change"
    # Those below are never heard: `parlor plugin port` tells of them.
    DISINVITE = "disinvite"
    UNBAN = "unban"


class SyncStream(IntFlag):
    """The origins of an event. Only events of the moment are heard."""

    JOINED_ROOM = 1
    INVITED_ROOM = 2
    LEFT_ROOM = 4
    TIMELINE = 8
    STATE = 16


class MembershipEventDispatcher:
    """It has no effect: such events are heard without it."""
