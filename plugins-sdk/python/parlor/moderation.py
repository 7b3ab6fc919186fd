"""The tools of a plugin that guards a room: the module remembers people and messages, and decides which rules are broken. It calls nothing of the
host's: tell it what happens, and act on its verdicts.

    from datetime import datetime, timezone

    from parlor import Message, moderation, occupant_of, on, rooms

    judge = moderation.Judge()

    @on("message", kind="groupchat")
    async def watch(message: Message) -> None:
        author = occupant_of(message)
        if author is None or moderation.is_spared(author):
            return
        said, now = moderation.Said.of(message), datetime.now(timezone.utc)
        verdict = judge.hear(moderation.Rules(), message.chat, moderation.key(author), said, now)
        if verdict.offence == "link" and message.stanza_id:
            await rooms.retract(message.chat, message.stanza_id, "no links yet")

- floods of joins: `Judge.join`;
- floods of messages, repeated texts, links of newcomers, slow mode, and messages that cannot be read: `Judge.hear`;
- the last messages of a person, to retract them: `Judge.messages`.

Each list has an upper bound, above which the oldest entry is forgotten, so that no crowd can fill the memory. The SDKs for the
other languages have the same kit.
"""

import re
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from itertools import chain, islice
from typing import TYPE_CHECKING, Callable, Iterable, Iterator, Literal, Optional, Sequence

from .letters import is_letter, is_letter_or_digit
from .messages import body_without_fallback
from .texts import whole
from .timers import Seconds, in_milliseconds

if TYPE_CHECKING:
    from ._contract.types import Message, Occupant, Undecryptable

#: The most rooms that are remembered.
_MAX_ROOMS = 32
#: The most people of a room that are remembered.
_MAX_PEOPLE = 300
#: The most messages of a room that are remembered.
MAX_MESSAGES = 200
#: The most joins of a room that are counted.
_MAX_JOINS = 200
#: The most rooms with slow mode.
_MAX_SLOW = 200
#: Longer ids of messages are not remembered: the message cannot be retracted later. In bytes of UTF-8, as all lengths of texts here.
_MAX_ID = 256
#: Several people say shorter texts without any bad intent: "good morning". In characters.
_SHORT = 14
#: The most bytes of a text that are compared.
_MAX_TEXT = 200
#: The most texts of a message that are compared.
_MAX_TEXTS = 4
#: The longest name of a person that is remembered as it is.
_MAX_KEY = 256
#: The most bytes of a nickname that are remembered and shown.
_MAX_NICK = 64

#: White space, as Unicode has it (the property `White_Space`); Python's own counts others, too.
_SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
_SPACE = re.compile(f"[{_SPACES}]+")
#: Characters that could disguise a nickname.
_HIDING = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]")

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MILLISECOND = timedelta(milliseconds=1)

#: A rule that a message breaks. `early`: it came too early in slow mode. `flood`: its author sent too many messages within the window.
#: `link`: it has a link or a file, and its author is a newcomer. `repeat`: its text was said too often. `sealed`: it cannot be read, so it
#: may have a link, and its author is a newcomer. `unreadable`: its author sent too many messages that cannot be read.
Offence = Literal["early", "flood", "link", "repeat", "sealed", "unreadable"]


@dataclass(frozen=True)
class Rules:
    """The rules of rooms. By default, they are those of the plugin `guard`. Times are in seconds, or a `timedelta`."""

    #: How many newcomers may enter within the window; 0 = any number.
    joins: int = 8
    #: The window for joins.
    join_window: Seconds = 30
    #: How many messages one person may send within the window, at most 200; 0 = any number.
    messages: int = 0
    #: The window for messages.
    message_window: Seconds = 10
    #: How often one person may say the same; 0 = as often as they like.
    repeats: int = 3
    #: How often several people may say the same; 0 = as often as they like.
    crowd_repeats: int = 6
    #: How many messages that cannot be read one person may send; 0 = any number.
    unreadable: int = 3
    #: The window for repeated texts, and for messages that cannot be read.
    repeat_window: Seconds = 120
    #: How long after the first message somebody is a newcomer.
    newcomer: Seconds = 600


@dataclass(frozen=True)
class Said:
    """The parts of a message that the rules check."""

    #: The id by which the room retracts it.
    id: Optional[str] = None
    #: The normalized texts, which `comparable` gives.
    texts: Sequence[str] = ()
    #: Whether it has a link or a file.
    has_link: bool = False
    #: Whether it gives a command, which people may do more often with the same words.
    is_command: bool = False
    #: Whether it is encrypted, or says so, and cannot be read here. Others in the room may read it.
    is_unreadable: bool = False

    @staticmethod
    def text(text: str) -> "Said":
        """Reads a text alone."""
        return Said(texts=comparable([text]), has_link=has_link(text))

    @staticmethod
    def of(message: "Message") -> "Said":
        """Reads a message. Clients show any of several texts, so all of them count."""
        body = message.body or ""
        # The quoted part of a reply counts only if there is no other text. Without a reply, or in lines that do not begin with `>`,
        # nothing is quoted: people with other clients see all of it.
        replies = message.extensions is not None and message.extensions.reply is not None
        own = body_without_fallback(message)
        own = own if replies and own.strip(_SPACES) and _unquoted(own) == _unquoted(body) else body
        others = [text for _, text in message.bodies or () if text != body]
        files = message.extensions.files if message.extensions is not None else ()
        return Said(
            id=message.stanza_id,
            texts=comparable(chain([own], others)),
            has_link=bool(files) or any(map(has_link, chain([body], others))),
            is_command=message.command is not None,
        )

    @staticmethod
    def unreadable(message: "Undecryptable") -> "Said":
        """Takes a message that cannot be decrypted, or only says that it is encrypted. Others may see a text in it."""
        return Said(id=message.stanza_id, is_unreadable=True)


@dataclass(frozen=True)
class Verdict:
    """The rule that a message breaks, and the new standing of its author."""

    #: The broken rule.
    offence: Optional[Offence]
    #: The author is no newcomer from now on.
    has_settled: bool
    #: The pause of slow mode, in seconds, if the offence is `early`.
    pause: Optional[float] = None


@dataclass
class _Person:
    """Somebody in a room. Times are in milliseconds, here and below."""

    nick: str = ""
    #: Whether it is a moderator, a member or more.
    is_spared: bool = False
    #: Whether it is no newcomer any more; None = unknown, as after a restart.
    settled: Optional[bool] = None
    #: When it said something for the first time.
    first: Optional[int] = None
    #: When it said something last that slow mode allowed.
    allowed: Optional[int] = None
    #: When it was noticed last.
    seen: int = 0


@dataclass
class _Remembered:
    """A message of somebody who is not spared."""

    id: Optional[str]
    key: str
    nick: str
    texts: Sequence[str]
    is_unreadable: bool
    at: int


@dataclass
class _Join:
    """A newcomer who entered."""

    key: str
    at: int
    is_handled: bool = False


@dataclass
class _Place:
    people: dict[str, _Person] = field(default_factory=dict)
    messages: deque[_Remembered] = field(default_factory=lambda: deque(maxlen=MAX_MESSAGES))
    joins: list[_Join] = field(default_factory=list)
    seen: int = 0

    def person(self, key: str, now: int) -> _Person:
        if key not in self.people:
            if len(self.people) >= _MAX_PEOPLE:
                del self.people[min(self.people, key=lambda one: (self.people[one].seen, one))]
            self.people[key] = _Person()
        person = self.people[key]
        person.seen = now
        return person

    def recent(self, seconds: Seconds, now: int) -> Iterator[_Remembered]:
        """The messages within a window, the last ones first."""
        window = in_milliseconds(seconds)
        for one in reversed(self.messages):
            if now - one.at >= window:
                return
            yield one

    def is_flood(self, rules: Rules, key: str, now: int) -> bool:
        """Whether somebody sent too many messages, with this one."""
        count = 1 + sum(one.key == key for one in self.recent(rules.message_window, now))
        return _is_over(count, rules.messages)

    def is_repeated(self, rules: Rules, key: str, said: Said, now: int) -> bool:
        """Whether this was said too often, with this message."""
        for text in said.texts:
            is_long = len(text) >= _SHORT
            same = [one.key for one in self.recent(rules.repeat_window, now) if text in one.texts]
            by_one = _is_over(1 + same.count(key), rules.repeats)
            by_all = is_long and _is_over(1 + len(same), rules.crowd_repeats)
            if (is_long or not said.is_command) and (by_one or by_all):
                return True
        return False

    def is_unreadable(self, rules: Rules, key: str, said: Said, now: int) -> bool:
        """Whether somebody sent too many messages that cannot be read, with this one."""
        if not said.is_unreadable:
            return False
        count = 1 + sum(one.is_unreadable and one.key == key for one in self.recent(rules.repeat_window, now))
        return _is_over(count, rules.unreadable)


class Judge:
    """Remembers rooms, the people in them and what they said last, and decides which rules are broken. A person is known by a `key`, such
    as the occupant id. `now` is a `datetime` with a time zone; without one, it is the time of the call."""

    def __init__(self) -> None:
        self._rooms: dict[str, _Place] = {}
        # The pauses of rooms in slow mode.
        self._slow: dict[str, int] = {}

    def _room(self, room: str, now: int) -> _Place:
        if room not in self._rooms:
            if len(self._rooms) >= _MAX_ROOMS:
                del self._rooms[min(self._rooms, key=lambda one: (self._rooms[one].seen, one))]
            self._rooms[room] = _Place()
        place = self._rooms[room]
        place.seen = now
        return place

    def meet(self, room: str, key: str, nick: str, is_spared: bool, now: Optional[datetime] = None) -> None:
        """Notes the nickname and the rank of somebody."""
        at = _time(now)
        person = self._room(room, at).person(key, at)
        person.nick, person.is_spared = nick, is_spared

    def absent(self, room: str, nick: str) -> Optional[tuple[str, bool]]:
        """Returns the key and the rank of somebody who has left, by the last nickname."""
        place = self._rooms.get(room)
        people = [(one.seen, key) for key, one in place.people.items() if one.nick == nick] if place else []
        if place is None or not people:
            return None
        _, key = max(people)
        return key, place.people[key].is_spared

    def is_settled(self, room: str, key: str) -> Optional[bool]:
        """Returns whether somebody is no newcomer. None: it is unknown, as after a restart; ask your storage, and call `settle`."""
        place = self._rooms.get(room)
        person = place.people.get(key) if place else None
        return person.settled if person else None

    def settle(self, room: str, key: str, is_settled: bool, now: Optional[datetime] = None) -> None:
        """Notes whether somebody is no newcomer."""
        at = _time(now)
        self._room(room, at).person(key, at).settled = is_settled

    def join(self, rules: Rules, room: str, key: str, now: Optional[datetime] = None) -> list[str]:
        """Counts a newcomer's join. Returns the keys of people to kick: in a flood, everybody in it who was not returned before."""
        at, window = _time(now), in_milliseconds(rules.join_window)
        place = self._room(room, at)
        # Somebody who comes again and again is no flood.
        joins = [one for one in place.joins if at - one.at < window and one.key != key]
        place.joins = [*joins[-(_MAX_JOINS - 1) :], _Join(key, at)]
        if not _is_over(len(place.joins), rules.joins):
            return []
        new = [one for one in place.joins if not one.is_handled]
        for one in new:
            one.is_handled = True
        return [one.key for one in new]

    def hear(self, rules: Rules, room: str, key: str, said: Said, now: Optional[datetime] = None) -> Verdict:
        """Judges a message of somebody who is not spared, and remembers it."""
        at = _time(now)
        pause = self._slow.get(room)
        place = self._room(room, at)
        is_flood = place.is_flood(rules, key, at)
        is_repeated = place.is_repeated(rules, key, said, at)
        is_unreadable = place.is_unreadable(rules, key, said, at)
        person = place.person(key, at)
        was_settled = person.settled is True
        if not was_settled and person.first is None:
            person.first = at
        is_settled = was_settled or at - (person.first or 0) >= in_milliseconds(rules.newcomer)
        person.settled = is_settled
        is_early = pause is not None and person.allowed is not None and at - person.allowed < pause
        if not is_early:
            person.allowed = at
        offence: Optional[Offence] = None
        if is_early:
            offence = "early"
        elif said.has_link and not is_settled:
            offence = "link"
        elif said.is_unreadable and not is_settled:
            offence = "sealed"
        elif is_unreadable:
            offence = "unreadable"
        elif is_repeated:
            offence = "repeat"
        elif is_flood:
            offence = "flood"
        id = said.id if said.id is not None and _length(said.id) <= _MAX_ID else None
        place.messages.append(_Remembered(id, key, person.nick, tuple(said.texts), said.is_unreadable, at))
        wait = pause / 1000 if is_early and pause is not None else None
        return Verdict(offence, is_settled and not was_settled, wait)

    def author(self, room: str, nick: str) -> Optional[str]:
        """Returns the key of the last author with this nickname."""
        return next((one.key for one in self._messages(room) if one.nick == nick), None)

    def messages(self, room: str, key: str, most: int) -> list[str]:
        """Returns the ids of somebody's messages that are not retracted yet, the last ones first."""
        return list(islice((one.id for one in self._messages(room) if one.key == key and one.id is not None), most))

    def retracted(self, room: str, id: str) -> None:
        """Notes that a message is retracted."""
        for one in self._messages(room):
            if one.id == id:
                one.id = None

    def slow_down(self, room: str, pause: Optional[Seconds]) -> bool:
        """Sets the pause of a room in slow mode, or ends slow mode. False: it is on in too many rooms."""
        if pause is None:
            self._slow.pop(room, None)
            return True
        if room not in self._slow and len(self._slow) >= _MAX_SLOW:
            return False
        self._slow[room] = in_milliseconds(pause)
        return True

    def leave(self, room: str) -> None:
        """Forgets a room that the account is not in any more. Slow mode stays for when it comes back."""
        self._rooms.pop(room, None)

    def _messages(self, room: str) -> Iterator[_Remembered]:
        place = self._rooms.get(room)
        return reversed(place.messages) if place else iter(())


def _unquoted(text: str) -> str:
    """Returns the lines of a text that do not begin with `>`, without the breaks between them."""
    return "".join(line for line in text.split("\n") if not line.startswith(">"))


def comparable(texts: Iterable[str]) -> list[str]:
    """Returns the normalized texts of a message, without empty ones."""
    return [text for text in map(_normalized, islice(texts, _MAX_TEXTS)) if text]


def has_link(text: str) -> bool:
    """Returns whether clients are likely to show a link in this text."""
    return any(_is_link(word) for word in _SPACE.split(text))


def key(occupant: "Occupant") -> str:
    """Returns the key by which a person in a room is known: the occupant id, else the address, else the nickname."""
    address = None if occupant.jid is None else occupant.jid.partition("/")[0]
    names = (name for name in (occupant.occupant_id, address) if name is not None)
    return _key_of(next(names, occupant.nick))


def is_spared(occupant: "Occupant") -> bool:
    """Returns whether the rules are not for somebody: for the account itself, moderators, members, admins and owners."""
    return occupant.own or occupant.role == "moderator" or occupant.affiliation in ("member", "admin", "owner")


def nick(nick: str) -> str:
    """Returns a nickname on one line, without characters that could disguise it."""
    return _cut(_HIDING.sub("", nick), _MAX_NICK)


def _time(now: Optional[datetime]) -> int:
    """The time in milliseconds."""
    return ((datetime.now(timezone.utc) if now is None else now) - _EPOCH) // _MILLISECOND


def _is_over(count: int, most: int) -> bool:
    return 0 < most < count


def _bytes(sign: str) -> int:
    """How many bytes of UTF-8 a character has."""
    return 1 if sign < "\x80" else 2 if sign < "\u0800" else 3 if sign < "\U00010000" else 4


def _length(text: str) -> int:
    return len(text) if text.isascii() else sum(map(_bytes, text))


def _cut(text: str, most: int) -> str:
    """The part of a text that has at most so many bytes."""
    length = 0
    # A character has one byte at least.
    for at, sign in enumerate(text[: most + 1]):
        length += _bytes(sign)
        if length > most:
            return text[:at]
    return text


def _normalized(text: str) -> str:
    """The letters and digits of a text, each in its small letter. If it has none, as with emojis, all but its spaces. Nothing else is
    changed: a letter with an accent is not the same as that letter and an accent behind it, which is a sign."""
    letters = _kept(text, is_letter_or_digit)
    # One by one: of a whole word, Python writes a sigma at the end in another way.
    small = "".join(map(str.lower, letters)) if letters else _kept(text, lambda sign: sign not in _SPACES)
    return _cut(small, _MAX_TEXT)


def _kept(text: str, is_kept: Callable[[str], bool]) -> str:
    """The characters of this kind. The rest can be long, and would be cut off."""
    return "".join(islice(filter(is_kept, text), _MAX_TEXT))


def _is_link(word: str) -> bool:
    if "." not in word and ":" not in word:
        return False
    scheme, _, rest = word.partition("://")
    if rest and scheme[-1:].isascii() and scheme[-1:].isalnum():
        return True
    begin = next((at for at, sign in enumerate(word) if is_letter_or_digit(sign)), len(word))
    begins = word[begin:]
    return begins[:7].lower().startswith(("www.", "xmpp:", "magnet:")) or _is_bare_address(begins)


def _is_bare_address(word: str) -> bool:
    """Whether a word is an address without a scheme, such as `example.org/x`, which many clients show as a link. Without the slash it may
    be the name of a file."""
    host, slash, _ = word.partition("/")
    name, dot, top = host.rpartition(".")
    is_named = bool(slash and dot) and len(top) >= 2 and all(map(is_letter, top))
    return is_named and all(label and all(sign == "-" or is_letter_or_digit(sign) for sign in label) for label in name.split("."))


def _key_of(name: str) -> str:
    """The name by which a person is remembered. One that is too long is replaced by its hash."""
    if _length(name) <= _MAX_KEY:
        return name
    # A byte that is in no text ends it, as in Rust.
    return f"{_cut(name, _MAX_NICK)}#{_siphash(whole(name).encode() + bytes([0xFF])):016x}"


def _siphash(data: bytes) -> int:
    """SipHash-1-3 with a key of zeros, which is what Rust has for this. Nobody can easily make two names with one hash."""
    mask = (1 << 64) - 1

    def turned(value: int, by: int) -> int:
        return (value << by | value >> (64 - by)) & mask

    a, b, c, d = 0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573

    def mix() -> None:
        nonlocal a, b, c, d
        a, c = (a + b) & mask, (c + d) & mask
        b, d = turned(b, 13) ^ a, turned(d, 16) ^ c
        a, c = (turned(a, 32) + d) & mask, (c + b) & mask
        b, d = turned(b, 17) ^ c, turned(d, 21) ^ a
        c = turned(c, 32)

    end = len(data) - len(data) % 8
    words = [int.from_bytes(data[at : at + 8], "little") for at in range(0, end, 8)]
    words.append(int.from_bytes(data[end:], "little") | (len(data) & 0xFF) << 56)
    for word in words:
        d ^= word
        mix()
        a ^= word
    c ^= 0xFF
    for _ in range(3):
        mix()
    return a ^ b ^ c ^ d
