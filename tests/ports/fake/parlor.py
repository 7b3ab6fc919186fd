"""A stand-in for the SDK, with which the layers for plugins of other frameworks run in plain Python: what the host would be told is
noted, and a test says what happens."""

import asyncio
import json
from dataclasses import dataclass, field
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any, NewType

Rest = NewType("Rest", str)


class Error(Exception):
    """Any reason."""


class Denied(Error):
    """It is not granted."""


class Invalid(Error):
    """An argument is wrong."""


class OverLimit(Error):
    """A limit is used up."""


class TimedOut(Error, TimeoutError):
    """No answer came."""


class Unreachable(Error):
    """There is no server."""


errors = SimpleNamespace(Error=Error, Denied=Denied, Invalid=Invalid, OverLimit=OverLimit, TimedOut=TimedOut, Unreachable=Unreachable)


@dataclass
class People:
    kind: str

    @staticmethod
    def owners() -> "People":
        return People("owners")


@dataclass
class Message:
    body: Any = None
    chat: str = "alice@example.org"
    kind: str = "chat"
    nick: Any = None
    id: Any = "m1"
    stanza_id: Any = None
    origin_id: Any = None
    thread: Any = None
    at: Any = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
    delayed: bool = False
    carbon: Any = None
    own: bool = False
    command: Any = None
    extensions: Any = None
    occupant_id: Any = None

    @property
    def from_(self) -> str:
        return f"{self.chat}/{self.nick if self.kind == 'groupchat' else 'phone'}"


@dataclass
class Command:
    name: str
    rest: str
    message: Message
    args: list[str] = field(default_factory=list)


@dataclass
class File:
    url: str
    name: Any = None
    media_type: Any = None
    size: Any = None


class Outgoing(SimpleNamespace):
    """A message that is to be sent."""


def outgoing(body: Any = None, **named: Any) -> Outgoing:
    return Outgoing(body=body, **{key: value for key, value in named.items() if value is not None})


class Host:
    """All that the plugin has told the host."""

    def __init__(self) -> None:
        self.starts: list[Any] = []
        self.readies: list[Any] = []
        self.stops: list[Any] = []
        self.commands: dict[str, Any] = {}
        self.declared: dict[str, dict[str, Any]] = {}
        self.listeners: list[tuple[str, dict[str, Any], Any]] = []
        self.sent: list[tuple[str, Any]] = []
        self.kept: dict[str, bytes] = {}
        self.quota = 16 << 20
        self.settings: dict[str, Any] = {}
        #: The settings that the plugin asked for.
        self.asked: list[str] = []
        self.timers: list[SimpleNamespace] = []
        self.requests: list[tuple[str, str, dict[str, Any]]] = []
        self.answers: dict[str, Any] = {}
        self.webhooks: list[tuple[Any, int, Any]] = []
        #: Whether the owner has given the host an address in the web.
        self.has_address = True
        self.rooms: dict[str, Any] = {}
        self.uploads: list[tuple[str, str, Any]] = []
        self.files_denied = False
        self.files: dict[str, bytes] = {}
        #: The people in rooms, and the calls about rooms.
        self.occupants: dict[str, list[Any]] = {}
        self.calls: list[tuple[Any, ...]] = []
        self.moderation_denied = False
        #: The addresses that are banned, by the rooms.
        self.banned: dict[str, list[str]] = {}
        #: The addresses of others with an affiliation, by the room and the affiliation.
        self.affiliated: dict[tuple[str, str], list[str]] = {}
        #: The messages of archives, oldest first, by whom they are with.
        self.archives: dict[str, list[Message]] = {}
        self.archive_denied = False

    async def start(self) -> None:
        for one in self.starts + self.readies:
            await one()

    async def says(self, text: str, **named: Any) -> None:
        """Somebody says something: a command, or a message."""
        name, _, rest = text[1:].partition(" ")
        is_command = text.startswith("!") and name in self.commands
        message = Message(text, command=name if is_command else None, **named)
        if is_command:
            await self.commands[name](Command(name, rest.strip(), message))
        for event, _, handler in list(self.listeners):
            if event == "message":
                await handler(message)

    def take(self) -> list[tuple[str, Any]]:
        """Returns the messages sent since the last time, as pairs of a place and a text."""
        sent, self.sent = self.sent, []
        return [(place, one if isinstance(one, str) else one.body) for place, one in sent]


host = Host()


def on_start(function: Any) -> Any:
    host.starts.append(function)
    return function


def on_ready(function: Any) -> Any:
    host.readies.append(function)
    return function


def on_stop(function: Any) -> Any:
    host.stops.append(function)
    return function


def on(name: str, **options: Any) -> Any:
    def note(function: Any) -> Any:
        host.listeners.append((name, options, function))
        return function

    return note


def on_mention(function: Any) -> Any:
    return on("messageNotification")(function)


def command(name: str, **options: Any) -> Any:
    def note(function: Any) -> Any:
        host.commands[name] = function
        for alias in options.get("aliases", ()):
            host.commands[alias] = function
        host.declared[name] = options
        return function

    return note


async def reply(to: Any, message: Any) -> str:
    to = to.message if isinstance(to, Command) else to
    host.sent.append((to.chat, message))
    return f"id{len(host.sent)}"


async def _send(jid: str, message: Any) -> str:
    host.sent.append((jid, message))
    return f"id{len(host.sent)}"


def body_without_fallback(message: Any) -> str:
    return message.body or ""


def occupant_of(message: Any) -> Any:
    room, nick = (message.chat, message.nick) if message.kind == "groupchat" else message.chat.partition("/")[::2]
    return next((one for one in rooms.occupants(room) if one.nick == nick), None) if nick else None


def setting(key: str, default: Any = None) -> Any:
    host.asked.append(key)
    return host.settings.get(key, default)


async def sleep(seconds: float, result: Any = None) -> Any:
    return await asyncio.sleep(0, result)


def spawn(coroutine: Any) -> Any:
    return asyncio.get_running_loop().create_task(coroutine)


def every(seconds: float, later: Any) -> Any:
    timer = SimpleNamespace(seconds=seconds, later=later, ended=False)
    timer.cancel = lambda: setattr(timer, "ended", True)
    host.timers.append(timer)
    return timer


#: The most bytes of a value, and of the keys and values of several changes together.
LARGEST = 256 << 10


def keep(key: str, value: Any) -> None:
    """Keeps bytes, or deletes a key, within the quota."""
    kept = {**host.kept, key: value or b""}
    if sum(len(name) + len(one) + 64 for name, one in kept.items()) > host.quota:
        raise OverLimit(f"over a limit: {host.quota} bytes of storage")
    if value is None:
        host.kept.pop(key, None)
    else:
        host.kept[key] = value


class Changes:
    def __init__(self) -> None:
        self.made: list[tuple[str, Any]] = []
        self.expected: list[tuple[str, Any]] = []

    def set_bytes(self, key: str, value: bytes) -> "Changes":
        self.made.append((key, value))
        return self

    def delete(self, key: str) -> "Changes":
        self.made.append((key, None))
        return self

    def expect_bytes(self, key: str, value: Any) -> "Changes":
        self.expected.append((key, value))
        return self

    async def make(self) -> bool:
        several = self.made + self.expected
        if not 1 <= len(several) <= 256:
            raise Invalid("invalid changes: 1 to 256 of them")
        if sum(len(key.encode()) + len(value or b"") for key, value in several) > LARGEST:
            raise Invalid(f"invalid changes: longer than {LARGEST} bytes of keys and values together")
        # Others go on before the host answers.
        await asyncio.sleep(0)
        if any(host.kept.get(key) != value for key, value in self.expected):
            return False
        before = dict(host.kept)
        try:
            for key, value in self.made:
                keep(key, value)
        except Error:
            host.kept = before
            raise
        return True


class Storage:
    def changes(self) -> Changes:
        return Changes()

    async def get(self, key: str, default: Any = None) -> Any:
        kept = host.kept.get(key)
        return default if kept is None else json.loads(kept)

    async def set(self, key: str, value: Any) -> None:
        await self.compare_and_set(key, await self.get(key), value)

    async def compare_and_set(self, key: str, expected: Any, value: Any) -> bool:
        kept = host.kept.get(key)
        if (None if kept is None else json.loads(kept)) != expected:
            return False
        written = None if value is None else json.dumps(value, ensure_ascii=False).encode()
        if len(written or b"") > LARGEST:
            raise Invalid(f"invalid value: longer than {LARGEST} bytes")
        keep(key, written)
        return True

    async def entries_page(self, prefix: str = "", after: Any = None, limit: int = 1000) -> SimpleNamespace:
        """Two at a time."""
        found = sorted(one for one in host.kept.items() if one[0].startswith(prefix) and one[0] > (after or ""))
        await asyncio.sleep(0)
        return SimpleNamespace(entries=found[:2], next=found[1][0] if len(found) > 2 else None)


@dataclass
class Response:
    status: int
    url: str
    content: bytes
    headers: dict[str, str] = field(default_factory=dict)


async def _fetch(method: str, url: str, **options: Any) -> Response:
    host.requests.append((method, url, options))
    answer = host.answers.get(url)
    if answer is None:
        raise Unreachable("nobody is there")
    status, body, *more = answer if isinstance(answer, tuple) else (200, answer)
    return Response(status, url, body if isinstance(body, bytes) else json.dumps(body).encode(), {"content-type": more[0] if more else "application/json"})


async def _answer(hook: Any, status: int = 200, *, json: Any = None, text: Any = None, data: Any = None, headers: Any = None) -> None:
    if any(name.lower() not in ("content-type", "etag", "retry-after", "cache-control") for name in headers or {}):
        raise Invalid("a header that no answer may have")
    host.webhooks.append((hook, status, next((one for one in (json, text, data) if one is not None), None)))


async def _upload(name: str, media_type: str, data: Any, size: Any = None) -> File:
    if host.files_denied:
        raise Denied("files.send is not granted")
    host.uploads.append((name, media_type, data))
    return File(f"https://files.example/{len(host.uploads)}/{name}", name, media_type, len(data) if size is None else size)


storage = Storage()
types = SimpleNamespace(File=File)
@dataclass
class Download:
    content: bytes

    async def read_all(self, limit: int) -> bytes:
        if len(self.content) > limit:
            raise Error(f"it has more than {limit} bytes")
        return self.content


async def _open(url: str) -> Download:
    if url not in host.files:
        raise Denied("no message had this address")
    return Download(host.files[url])


files = SimpleNamespace(upload=_upload, open=_open)
http = SimpleNamespace(fetch=_fetch)
chats = SimpleNamespace(send=_send)


def _of_room(name: str) -> Any:
    async def call(*given: Any, **named: Any) -> None:
        if host.moderation_denied:
            raise Denied("rooms.moderate is not granted")
        host.calls.append((name, *given, *named.items()))

    return call


async def _affiliations(jid: str, affiliation: str) -> list[Any]:
    if host.moderation_denied:
        raise Denied("rooms.moderate is not granted")
    several = host.banned.get(jid, []) if affiliation == "outcast" else host.affiliated.get((jid, affiliation), [])
    return [SimpleNamespace(jid=one, affiliation=affiliation) for one in several]


rooms = SimpleNamespace(
    affiliations=_affiliations, send=_send, get=lambda jid: host.rooms.get(jid), get_all=lambda: list(host.rooms.values()), occupants=lambda jid: host.occupants.get(jid, []),
    **{name: _of_room(name) for name in ("open", "close", "decline", "kick", "ban", "retract", "invite", "set_affiliation", "set_role", "set_subject", "configure", "destroy")})
async def _query(with_: str, max: int, before: Any = None, after: Any = None) -> Any:
    """A page of an archive, whose ids are those of its messages."""
    if host.archive_denied:
        raise Denied("archive.read is not granted")
    ids = [one.stanza_id for one in host.archives.get(with_, [])]
    end = ids.index(before) if before else len(ids)
    start = ids.index(after) + 1 if after else 0 if before is None else end - max if end > max else 0
    found = host.archives.get(with_, [])[start:end][:max]
    is_last = start + len(found) == len(ids) if before is None else start == 0
    several = [SimpleNamespace(id=one.stanza_id, message=one, undecryptable=None if one.body != "?" else "no key") for one in found]
    first, last = (found[0].stanza_id, found[-1].stanza_id) if found else (None, None)
    return SimpleNamespace(messages=several, rsm=SimpleNamespace(first=first, last=last, complete=is_last))


archive = SimpleNamespace(query=_query)
user = SimpleNamespace(bare_jid=lambda: "bot@example.org")
async def _address(name: str) -> str:
    if not host.has_address:
        raise Error("the owner has not configured an address for the host")
    return f"https://bots.example/{name}"


webhooks = SimpleNamespace(answer=_answer, address=_address)
