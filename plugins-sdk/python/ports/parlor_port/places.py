"""Rooms and people that a plugin writes to, and the messages that wait until a handler is done."""

import asyncio
import binascii
import collections
from typing import Any, Awaitable, Callable, Optional

from parlor import chats, errors, outgoing, rooms, sleep

from . import running

#: Rooms that something was heard from.
_heard: set[str] = set()
#: Messages that were heard last, by their place and id: replies and reactions refer to them.
_messages: "collections.OrderedDict[tuple[str, str], Any]" = collections.OrderedDict()
#: Messages that were read from an archive last, in the same way: many of them do not displace those that came.
_read: "collections.OrderedDict[tuple[str, str], Any]" = collections.OrderedDict()
#: Own messages that were sent last, by their place and the id that sending gave, and these ids of those that came back from a room, by
#: the room's id.
_said: "collections.OrderedDict[tuple[str, str], None]" = collections.OrderedDict()
_echoes: "collections.OrderedDict[tuple[str, str], str]" = collections.OrderedDict()
#: The ids by which others refer to messages, by place, author, and the id that the author gave: corrections name that one.
_given: "collections.OrderedDict[tuple[str, str, str], str]" = collections.OrderedDict()
#: Reactions, by place and message: the own ones, and those of each other author with the ids by which the plugin knows them. Each message
#: with reactions has all of its author.
_reactions: "collections.OrderedDict[tuple[str, str], list[str]]" = collections.OrderedDict()
_of_others: "collections.OrderedDict[tuple[str, str, str], dict[str, str]]" = collections.OrderedDict()
_MOST = 500
_MOST_READ = 1000
#: How often it is looked whether an own message has come back from its room, and how many seconds lie between.
_LOOKS, _PAUSE = 50, 0.1
#: How many reactions to a message the host takes.
_MOST_REACTIONS = 64


class Own:
    """An own message to a person, as far as a reaction and a retraction need it."""

    def __init__(self, chat: str, number: str) -> None:
        self.chat = chat
        self.kind = "chat"
        self.id = self.origin_id = number
        self.stanza_id: Optional[str] = None


def _trim(kept: "collections.OrderedDict[Any, Any]", most: int = _MOST) -> None:
    while len(kept) > most:
        kept.popitem(last=False)


def hear(message: Any) -> None:
    """Keeps in mind that a message came."""
    if message.kind == "groupchat":
        _heard.add(message.chat)
    number = event_id(message)
    _messages[(message.chat, number)] = message
    _trim(_messages)
    if message.id:
        _given[(message.chat, _author(message), message.id)] = number
        _trim(_given)


def read(message: Any) -> None:
    """Keeps in mind a message of an archive."""
    _read[(message.chat, event_id(message))] = message
    _trim(_read, _MOST_READ)


def said(place: str, number: str) -> str:
    """Keeps in mind that an own message was sent. Gives its id."""
    _said[(place, number)] = None
    _trim(_said)
    return number


def is_said(place: str, number: str) -> bool:
    """Whether it is the id of an own message that was sent lately."""
    return (place, number) in _said


async def echo(message: Any) -> None:
    """Keeps in mind that an own message came back from its room: others refer to it by the id that it has then."""
    number = message.origin_id or message.id
    if message.own and number and message.stanza_id:
        _messages[(message.chat, number)] = message
        _echoes[(message.chat, message.stanza_id)] = number
        _trim(_messages)
        _trim(_echoes)


def name_of(place: str, number: str) -> str:
    """The id by which the plugin knows a message that others refer to: of an own one in a room, the one that sending gave."""
    return _echoes.get((place, number), number)


def event_id(message: Any) -> str:
    """The id by which the plugin knows a message. One without an id gets one that is made from what it says."""
    number = id_of(message)
    if number:
        return name_of(message.chat, number)
    return f"without-id-{message.at.timestamp():.0f}-{binascii.crc32(repr((message.from_, message.body)).encode()):08x}"


def corrected(message: Any, number: str) -> str:
    """The id by which the plugin knows the message that a correction of the same author names."""
    return _given.get((message.chat, _author(message), number), number)


def _author(message: Any) -> str:
    return str(message.occupant_id or message.nick or "") if message.kind == "groupchat" else ""


def takes_back(message: Any) -> bool:
    """Whether a message takes another one back. Its text is for clients that do not know that."""
    given = message.extensions
    return given is not None and (bool(given.retract) or given.moderated is not None)


def has_reactions(message: Any) -> bool:
    """Whether a message has reactions. Its text, if any, is for clients that do not know them."""
    return message.extensions is not None and message.extensions.reactions is not None


def is_taken_back_by_its_author(message: Any) -> bool:
    """Whether a retraction is one of the author of the message, which was heard lately. In a room only the occupant ids tell: others can
    take a nickname, and an id that the author chose. Nothing tells it of messages of occupants to us alone."""
    number = message.extensions.retract
    about = heard(message.chat, number) if number else None
    if about is None or message.kind == "error" or about.kind == "error" or (message.kind == "groupchat") != (about.kind == "groupchat"):
        return False
    if message.kind == "groupchat":
        return bool(message.occupant_id) and message.occupant_id == about.occupant_id and about.stanza_id == number
    return "/" not in message.chat and _bare(message.from_) == _bare(about.from_)


def _bare(jid: Any) -> str:
    return str(jid).partition("/")[0]


def forget(place: str, number: str) -> str:
    """Forgets a message that was taken back. Gives the id by which the plugin knows it."""
    own = name_of(place, number)
    for one in (_messages, _read):
        one.pop((place, own), None)
    return own


async def known(place: str, number: str) -> Any:
    """A message that was heard lately, or an own one. In a room it has to come back first. None: it is not known."""
    found = heard(place, number)
    if found is not None or (place, number) not in _said:
        return found
    if not is_room(place):
        return Own(place, number)
    for _ in range(_LOOKS):
        await sleep(_PAUSE)
        found = heard(place, number)
        if found is not None:
            return found
    return None


def reacted(about: Any, key: str) -> list[str]:
    """All own reactions to a message with this one: what is sent replaces those before."""
    keys = _reactions.setdefault((about.chat, id_of(about)), [])
    if key not in keys:
        keys.append(key)
    del keys[:-_MOST_REACTIONS]
    _trim(_reactions)
    return list(keys)


def changed(message: Any, reactions: Any) -> tuple[dict[str, str], dict[str, str]]:
    """The reactions of an author that are new, and those that are withdrawn, with their ids. Those of somebody whom nobody can
    tell from others with the nickname are not said to be withdrawn."""
    author = (message.chat, _author(message), reactions.id)
    before = _of_others.pop(author, {})
    new = [one for one in dict.fromkeys(reactions.emojis) if one not in before]
    # Several come with one message, and each can be withdrawn alone.
    number = event_id(message)
    came = {one: f"{number}#{one}" if at else number for at, one in enumerate(new)}
    _of_others[author] = {**{one: known for one, known in before.items() if one in reactions.emojis}, **came}
    _trim(_of_others)
    is_known = bool(message.occupant_id) if message.kind == "groupchat" else "/" not in message.chat
    return came, {one: known for one, known in before.items() if one not in reactions.emojis} if is_known else {}


def id_of(message: Any) -> str:
    """The id by which others refer to a message."""
    return (message.stanza_id if message.kind == "groupchat" else message.origin_id or message.id) or message.id or ""


def heard(place: str, number: str) -> Optional[Any]:
    """A message that was heard lately, or read from an archive."""
    return _messages.get((place, number)) or _read.get((place, number))


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
    await running.settled()
    return said(place, str(await (rooms.send if in_room else chats.send)(place, message)))


class Outbox:
    """The messages of a function that cannot wait. They are sent in order, when the handler is done."""

    def __init__(self) -> None:
        #: The task, the place, the message and whether the place is a room. Without a place, it is a call.
        self._waiting: "collections.deque[tuple[Any, Optional[str], Any, Optional[bool]]]" = collections.deque()
        self._lock: Optional[asyncio.Lock] = None
        #: Nothing can be sent before the account is connected.
        self.is_open = False

    def put(self, place: str, text: str, reply_to: Any = None, in_room: Optional[bool] = None) -> None:
        """Has a text said there soon."""
        if text:
            self._waiting.append((running.task(), place, outgoing(text, reply_to=reply_to) if reply_to is not None else text, in_room))

    def put_later(self, place: str, message: Callable[[], Awaitable[Any]], in_room: Optional[bool] = None) -> None:
        """The same, for a message that can only be made by waiting, such as one with a file."""
        self._waiting.append((running.task(), place, message, in_room))

    def put_call(self, call: Callable[[], Awaitable[Any]]) -> None:
        """Has a call of the host done between the messages, such as one that enters a room."""
        self._waiting.append((running.task(), None, call, None))

    def drop(self) -> None:
        """Forgets the messages and calls of the handler that runs."""
        own = running.task()
        kept = [one for one in self._waiting if one[0] is not own]
        self._waiting.clear()
        self._waiting.extend(kept)

    async def flush(self) -> None:
        """Says and does all of it. One that fails raises, and the others come with the next `flush`."""
        if not self.is_open:
            return
        if self._lock is None:
            self._lock = asyncio.Lock()
        async with self._lock:
            while self._waiting:
                _, place, message, in_room = self._waiting.popleft()
                if place is None:
                    await running.settled()
                    await message()
                else:
                    await say(place, await message() if callable(message) else message, in_room)
