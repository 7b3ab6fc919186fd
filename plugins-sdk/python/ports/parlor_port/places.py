"""Rooms and people that a plugin writes to, and the messages that wait until a handler is done."""

import asyncio
import collections
from typing import Any, Optional

from parlor import chats, errors, outgoing, rooms

#: Rooms that something was heard from.
_heard: set[str] = set()
#: Messages that were heard last, by their place and id: replies and reactions refer to them.
_messages: "collections.OrderedDict[tuple[str, str], Any]" = collections.OrderedDict()
_MOST = 500


def hear(message: Any) -> None:
    """Keeps in mind that a message came."""
    if message.kind == "groupchat":
        _heard.add(message.chat)
    number = id_of(message)
    if number:
        _messages[(message.chat, number)] = message
        while len(_messages) > _MOST:
            _messages.popitem(last=False)


def id_of(message: Any) -> str:
    """The id by which others refer to a message."""
    return (message.stanza_id if message.kind == "groupchat" else message.origin_id or message.id) or message.id or ""


def heard(place: str, number: str) -> Optional[Any]:
    """A message that was heard lately."""
    return _messages.get((place, number))


def is_room(jid: str) -> bool:
    """Whether an address is a room's that the account is in."""
    if "/" in jid:
        return False
    if jid in _heard:
        return True
    try:
        return rooms.get(jid) is not None
    except errors.Error:
        return False


async def say(place: str, message: Any, in_room: Optional[bool] = None) -> str:
    """Says something in a room or to a person; gives its id."""
    if in_room is None:
        in_room = is_room(place)
    return str(await (rooms.send if in_room else chats.send)(place, message))


class Outbox:
    """The messages of a function that cannot wait. They are sent in order, when the handler is done."""

    def __init__(self) -> None:
        self._waiting: "collections.deque[tuple[str, Any, Optional[bool]]]" = collections.deque()
        self._lock: Optional[asyncio.Lock] = None
        #: Nothing can be sent before the account is connected.
        self.is_open = False

    def put(self, place: str, text: str, reply_to: Any = None, in_room: Optional[bool] = None) -> None:
        """Has a text said there soon."""
        if text:
            self._waiting.append((place, outgoing(text, reply_to=reply_to) if reply_to is not None else text, in_room))

    async def flush(self) -> None:
        """Says all of it. One that fails raises, and the others are said with the next `flush`."""
        if not self.is_open:
            return
        if self._lock is None:
            self._lock = asyncio.Lock()
        async with self._lock:
            while self._waiting:
                await say(*self._waiting.popleft())
