"""The client, and the types of events about people in rooms, by the names that plugins know."""

from enum import Enum, IntFlag
from typing import Any


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


class Client:
    """The account: `self.client` of a plugin is one."""

    @staticmethod
    def parse_user_id(mxid: Any) -> tuple[str, str]:
        """The name and the place of a person: of somebody in a room, the nickname and the room. `ValueError`: it names nobody."""
        bare, _, nick = str(mxid).partition("/")
        name, sign, domain = bare.partition("@")
        if not (name and sign and domain):
            raise ValueError(f"{mxid} is no address of a person")
        # The domain of the room is none that somebody in it belongs to.
        return (nick, bare) if nick else (name, domain)
