"""Does what plugins in Python do; each part is tested by a file in `tests`."""

import asyncio
import codecs
import contextlib
import functools
import logging
import os
import random
import re
import socket
import subprocess
import threading
import time
import urllib.request
import zoneinfo
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta, timezone
from typing import Annotated, Literal, Optional

from parlor import (
    Command, Element, Jid, Message, Range, Timer, acknowledge, after, api, archive, body_without_fallback, chats, command, connection, contacts, dialogs, emit,
    errors, every, files, http, ns, occupant_of, off, on, on_mention, on_ready, on_start, outgoing, parse_xml, promises, reference_of, reply, reply_in_chat,
    rooms, send, setting, settings, sleep, spawn, storage, styling, types as records, vcard, wait_until,
)

log = logging.getLogger(__name__)

# waiting.chat

lock = asyncio.Lock()
event = asyncio.Event()
names: asyncio.Queue[str] = asyncio.Queue()


@on("message", kind="chat", prefix="wait ")
async def wait(message: Message) -> None:
    match message.body.split()[1:]:
        case ["hold"]:
            async with lock:
                await asyncio.sleep(5)
                await reply(message, "held")
        case ["lock"]:
            async with lock:
                await reply(message, "locked")
        case ["first"]:
            await event.wait()
            await reply(message, "set")
        case ["second"]:
            await storage.get("nothing")
            await event.wait()
            await reply(message, "set as well")
        case ["set"]:
            event.set()
        case ["ask"]:
            await reply(message, "What is your name?")
            await reply(message, f"Hello {await names.get()}")
        case ["answer", name]:
            names.put_nowait(name)
        case ["many"]:
            await asyncio.gather(*(asyncio.sleep(1) for _ in range(1000)))
            await reply(message, "a thousand")


# tasks.chat


async def beat() -> None:
    while True:
        await asyncio.sleep(60)
        log.warning("a minute went by")


async def fails() -> None:
    await sleep(timedelta(seconds=1))
    raise ValueError("alone")


@on("message", kind="chat", prefix="task ")
async def task(message: Message) -> None:
    match message.body.split()[1:]:
        case ["beat"]:
            asyncio.create_task(beat())
        case ["fail"]:
            asyncio.create_task(fails())
        case ["spawn"]:
            message.kept = spawn(fails())
        case ["later"]:
            asyncio.get_running_loop().call_later(3, spawn, reply(message, "it is later"))
        case ["outlive"]:
            spawn(outlive(message))
        case ["timeout"]:
            try:
                await asyncio.wait_for(asyncio.sleep(100), 2)
            except TimeoutError:
                await reply(message, "too late")
        case ["never"]:
            try:
                async with asyncio.timeout(3):
                    await asyncio.Event().wait()
            except TimeoutError:
                await reply(message, "never")
        case ["cancel"]:
            # Cancelled during a call to the host, which is answered all the same.
            asking = asyncio.create_task(storage.set("k", 1))
            waiting = asyncio.create_task(wait_until("initialized"))
            await sleep(0)
            asking.cancel(), waiting.cancel()
            await reply(message, str(await asyncio.gather(asking, waiting, return_exceptions=True)))
        case ["hold"]:
            # This exceeds the limit of handlers in flight.
            for _ in range(40):
                spawn(asyncio.Event().wait())
            await reply(message, "forty")
        case ["cancelled"]:
            raise asyncio.CancelledError("by itself")


async def outlive(message: Message) -> None:
    """Is woken by a handler that begins long after the handler that started it has ended."""
    await names.get()
    await asyncio.sleep(1)
    await reply(message, "outlived")


@on_start
async def start() -> None:
    asyncio.create_task(beats())


async def beats() -> None:
    for hour in range(1, 3):
        await asyncio.sleep(3600)
        log.warning("hour %d", hour)


readies: list[bool] = []


@on_ready
async def ready() -> None:
    readies.append(connection.connected())
    if setting("greeting") == "here":
        await send("carol@example.org", "I am here")


@on("message", kind="chat", prefix="ready?")
async def tell_readies(message: Message) -> None:
    await reply(message, str(readies))


# random.chat


@on("message", kind="chat", prefix="draw")
async def draw(message: Message) -> None:
    earlier, drawn = await storage.get("drawn"), random.random()
    await storage.set("drawn", drawn)
    await reply(message, "first" if earlier is None else "as before" if drawn == earlier else "another")


# words.chat


@on("message", kind=("chat", "normal"), prefix="both")
async def both(message: Message) -> None:
    await reply(message, f"a {message.kind} message")


@on("message", prefix="stacked")
@on("message", prefix="stack")
async def stacked(message: Message) -> None:
    await reply(message, "called")


@on("message", prefix="through")
async def through(message: Message) -> None:
    await stacked(message)


class Counter:
    def __init__(self) -> None:
        self.count = 0

    async def heard(self, message: Message) -> None:
        self.count += 1
        await reply(message, str(self.count))


on("message", prefix="count")(Counter().heard)

class Method:
    async def heard(self, message: Message) -> None: ...


async def yields(_: object):
    yield "hello"


refused = []
for wrong in [
    lambda: on("message")(Method.heard),
    lambda: command("heard")(Method.heard),
    lambda: on_ready(Method.heard),
    lambda: on(Method.heard),
    lambda: command(Method.heard),
    lambda: on("message")(yields),
    lambda: command("yields")(yields),
]:
    try:
        wrong()
    except TypeError as error:
        refused.append(str(error))


@on("message", prefix="method")
async def method(message: Message) -> None:
    await reply(message, "\n".join(refused))


@on("message", prefix="once", once=True, kind=["chat", "normal"])
async def once(message: Message) -> None:
    await reply(message, "once")


@command("python.Say", help="Says it", usage="WHAT")
async def say_it(given: Command) -> None:
    age = datetime.now(timezone.utc) - given.message.at
    await reply(given.message, f"{given.name} {given.args} [{given.rest}] {age < timedelta(hours=1)}")


@command("python.Typed", help="Reads values", aliases=["ty"])
async def typed(
    given: Command, count: Annotated[int, Range(1, 100)] = 1, how: Literal["slow", "fast"] = "slow", loud: bool = False, *,
    in_: Optional[timedelta] = None, whom: Optional[Annotated[Jid, "Whose it is"]] = None, half_way: float = 0.5,
) -> None:
    await reply(given, f"{given.name} {count} {how} {loud} {in_} {whom} {half_way} {given.values['count']}")


@on("message", prefix="return")
async def returned(message: Message) -> str:
    return "a text"


@on("message", prefix="list")
async def listed(message: Message) -> list:
    said = await asyncio.gather(reply(message, "one"), chats.send(message.chat, body="other"))
    return said if message.body == "list" else [None, "a text"]


@command("returned", help="Gives it back", usage="WHAT")
async def returned_by_command(command: Command) -> str:
    return await reply(command, "me") if command.args == ["me"] else command.rest


@command("fails", help="Does not work")
async def failing(command: Command) -> None:
    raise ValueError("told to")


def with_name(function):
    @functools.wraps(function)
    async def named(command: Command) -> None:
        await function(command, "Alice")

    return named


def through(function):
    @functools.wraps(function)
    async def passing(*given, **named):
        return await function(*given, **named)

    return passing


@command("wrapped", help="Knows a name")
@through
@with_name
async def wrapped(command: Command, name: str) -> None:
    await reply(command, name)


@on("message", kind="chat", prefix="wrapped")
@through
@with_name
async def wrapped_too(message: Message, name: str) -> None:
    await reply(message, name)


@command("bare", help="Takes nothing")
async def bare(command: Command) -> None:
    await reply(command, "nothing more")


@command("private", help="Answers in private")
async def private(command: Command) -> None:
    await acknowledge(command)
    await reply_in_chat(command, "you alone")
    try:
        await reply(command, None)
    except errors.Invalid as error:
        await reply(command, str(error))


@on("message", prefix="reply ")
async def answer(message: Message) -> None:
    match message.body.split()[1:]:
        case ["plain"]:
            await reply(message, "plain")
        case ["quote"]:
            await reply(message, outgoing("quoted", reply_to=message))
        case ["react"]:
            if message.id is None:
                with contextlib.suppress(errors.Invalid):
                    outgoing(react_to=message)
                    log.warning("it reacts to nothing")
                return
            await reply(message, outgoing(react_to=message, emojis=["👍"]))
        case ["name"]:
            await reply(message, reference_of(message) or "nobody knows it")
        case ["mark"]:
            await reply(message, outgoing(marker="displayed", marked=message))
        case ["receipt"]:
            await reply(message, outgoing(receipt=message))
        case ["hints"]:
            made = [outgoing(receipt="m"), outgoing(react_to=message), outgoing("text", marker="received", marked="m")]
            await reply(message, str([one.extensions.hints for one in made] + [outgoing("text").extensions.hints]))


@on("message", prefix="replace")
async def replace(message: Message) -> None:
    for _ in message.body.split():

        @command("python.say", help="long " * 1000)
        async def another(given: Command) -> None:
            await reply(given.message, "another")


@on("messageError")
async def failed(message: Message) -> None:
    try:
        await reply(message, "oh")
    except errors.Invalid as error:
        log.warning("%s", error)


# mentions.chat


@on_mention
async def mentioned(message: Message) -> None:
    who = occupant_of(message)
    await reply(message, "nobody" if who is None else f"{who.nick}, {who.affiliation}, {who.role}")


@on("message", prefix="ack")
async def ack(message: Message) -> None:
    receipt = await acknowledge(message)
    if receipt is None or occupant_of(message) is not None:
        log.warning("no receipt")


# stanzas.chat


@on("message", kind="chat", prefix="xml ")
async def xml(message: Message) -> None:
    match message.body.split(maxsplit=2)[1:]:
        case ["send", text]:
            nudge = Element(
                "message",
                attributes={"to": message.from_, "type": "headline", "id": None},
                children=[Element("body", text=text), Element("attention", ns.ATTENTION)],
            )
            await api.send(nudge)
        case ["read", text]:
            try:
                read = parse_xml(text)
                await reply(message, f"{read.tag} {read.namespace} {read.attributes} {[one.tag for one in read]} {read.text}")
                await reply(message, str(read))
            except ValueError as error:
                await reply(message, str(error))
        case ["bytes", text]:
            declared = "<?xml version='1.0' encoding='iso-8859-1'?>"
            both = [parse_xml(text.encode()), parse_xml(f"{declared}{text}".encode("latin-1"))]
            await reply(message, " ".join(one.text for one in both))
            try:
                parse_xml(text.encode("latin-1"))
            except ValueError as error:
                await reply(message, str(error))
        case ["ask"]:
            query = Element("query", ns.VERSION)
            iq = Element("iq", attributes={"type": "get", "to": message.from_}, children=[query])
            try:
                await api.send_iq(iq)
            except errors.StanzaError as error:
                await reply(message, str(parse_xml(error.xml).find(error.condition) is not None))


# files.chat


@on("message", kind="chat", prefix="upload ")
async def upload(message: Message) -> None:
    text = message.body.removeprefix("upload ")

    async def letters() -> AsyncIterator[str]:
        for letter in text:
            yield letter

    whole = await files.upload("note.txt", "text/plain", text)
    in_parts = await files.upload("note.txt", "text/plain", letters(), len(text.encode()))
    await reply(message, f"{whole.size} {in_parts.size}")


@on("message", kind="chat", prefix="half")
async def half(message: Message) -> None:
    file = await files.upload("note.txt", "text/plain", "a\ud83c")
    await reply(message, str(file.size))


# calls.chat


@on("message", kind="chat", prefix="call ")
async def call(message: Message) -> None:
    match message.body.split()[1:]:
        case ["records"]:
            entering, looking = rooms.Attributes(nick="bot"), archive.Options(start=datetime(2026, 1, 1, tzinfo=timezone.utc))
            entering.roomconfig.append(("public", rooms.ConfigValue_Flag(True)))
            told = [entering.nick, entering.password, entering.auto_configure, rooms.Attributes().roomconfig, looking.start]
            told += [looking.max, rooms.Invitation().direct, rooms.Bookmark("a@b").autojoin]
            await reply(message, str(told))
        case ["open"]:
            room = await rooms.open("garden@rooms.example.org", nick="py")
            await rooms.invite(room.jid, message.chat, reason="tea")
            await rooms.close(room.jid)
        case ["wrong"]:
            for call in (lambda: rooms.open(), lambda: rooms.open("a@b", colour="red"), lambda: rooms.get("a@b", 1, 2)):
                try:
                    await call()
                except TypeError as error:
                    await reply(message, str(error))
        case ["settings"]:
            await settings.update({"tea": ["green"], "greeting": "no more"})
            await settings.set_many({"greeting": "hi", "milk": None})
            told = [setting("tea"), settings.get("greeting"), settings.get("milk"), setting("greting", 1), setting("greting")]
            await reply(message, str(told))
        case ["web", url]:
            answer = await http.get(url, params={"city": "Verona & more", "key": "{{api_key}}", "leaf": ["green", "white"], "milk": None, "cup": b"\xff "})
            await reply(message, answer.text)
        case ["promises"]:
            await promises.add_all(["kept", "broken"])
            await promises.reject("broken", "no time")
            await emit("kept", 1)
            try:
                await wait_until("broken")
            except errors.Rejected as error:
                await reply(message, f"{await wait_until('kept')} {error.reason}")


# storage.chat


@on("message", kind="chat", prefix="keep ")
async def keep(message: Message) -> None:
    match message.body.split()[1:]:
        case ["count"]:
            counts = await asyncio.gather(*(storage.change("count", lambda count: (count or 0) + 1) for _ in range(2)))
            await reply(message, f"{sorted(counts)} {await storage.get('count')}")
            await reply(message, f"{await storage.change('count', lambda _: None)} {await storage.keys()}")
        case ["letters"]:
            letters = "я" * 50_000
            await storage.set("letters", letters, expires=timedelta(hours=1))
            await reply(message, str(await storage.get("letters") == letters))
        case ["half"]:
            # Longer than the host can count, like for ever.
            await storage.set("half", "\ud83c", expires=float("inf"))
            await reply(message, str(await storage.get("half") == "\ud83c"))
        case ["nan"]:
            try:
                await storage.set("nan", [float("nan")])
            except ValueError as error:
                await reply(message, f"{type(error).__name__}: {error}; {await storage.get('nan')}")
        case ["alike"]:
            # The letters were escaped before.
            await storage.set_bytes("alike", b'{"b": "\\u044f", "a": [1]}')
            expected = [{"a": [1], "b": "ю"}, {"a": (1,), "b": "я"}, {"a": (1,), "b": "я"}]
            await reply(message, str([await storage.compare_and_set("alike", one, 2) for one in expected]))
        case ["bytes"]:
            for name in ("b/1", "b/2"):
                await storage.set_bytes(name, b"\x00\xff")
            kept, page = await storage.get_bytes("b/1"), await storage.page("b/", limit=1)
            rest = await storage.page("b/", page.next)
            await reply(message, f"{kept.hex()} {await storage.get_bytes('b/3')} {page.keys} {rest.keys} {rest.next}")
        case ["many"]:
            names = [f"m/{at:04}" for at in range(1000)]
            await asyncio.gather(*(storage.set(name, at) for at, name in enumerate(names)))
            read = await asyncio.gather(*(storage.get(name) for name in names))
            entries = await storage.entries("m/")
            await reply(message, f"{len(read)} {read == list(range(1000)) == list(entries.values())} {list(entries) == names}")
        case ["ranges"]:
            sums = [await storage.add("n", -3), await storage.add("n", 5)]
            made = []
            for _ in (1, 2):
                made.append(await storage.changes().expect("r/1", None).set("r/1", 1).set("r/2", [2]).add("n").make())
            last, some = await storage.range("r/", reverse=True), await storage.range("", "n", "r/2", limit=1)
            try:
                await storage.range(limit=-1)
            except ValueError as error:
                await reply(message, f"{sums} {made} {last} {some} {error}")
        case ["versions"]:
            ran = []

            async def first(changes):
                ran.append(1)
                changes.set("now", await storage.get("then", 0) + 1)

            async def second(changes):
                ran.append(2)
                changes.delete("then")

            for steps in ([first], [first, second], [first, second]):
                await storage.migrate("version", steps)
            await storage.set("below", -1)
            await storage.set("words", "two")
            refused = []
            for key in ("version", "below", "words"):
                try:
                    await storage.migrate(key, [first])
                except ValueError as error:
                    refused.append(str(error))
            await reply(message, f"{ran} {await storage.get('now')} {'; '.join(refused)}")
        case ["pages"]:
            first = await storage.entries_page("m/", limit=1)
            rest = await storage.entries_page("m/", first.next, 2)
            await reply(message, f"{first.entries} {rest.entries} {rest.next}")


# errors.chat


@on("message", prefix="hoard")
async def hoard(message: Message) -> None:
    await reply(message, "x" * (1 << 29))


@on("message", prefix="later?")
async def later(message: Message) -> None:
    told = [errors.StanzaError("x", kind, None, "") for kind in ("wait", "cancel")]
    told += [errors.NotReady("x"), errors.Offline("x"), errors.TimedOut("x"), errors.OverLimit("x")]
    try:
        await send("@", "hello")
    except errors.Error as error:
        told.append(error)
    await reply(message, str([one.is_temporary for one in told]))


@on("message", prefix="lose")
async def lose(message: Message) -> None:
    await chats.send("@", "hello")


@on("message", prefix="block")
async def block(message: Message) -> None:
    time.sleep(5)


@on("message", prefix="which")
async def which(message: Message) -> None:
    await promises.add_all(["broken"])
    await promises.reject("broken", "no time")
    ready, cannot, over = errors.NotReady("x"), errors.Unsupported("x"), errors.OverLimit("x")
    told = [f"{ready.promise}: {ready}", f"{cannot.reason}: {cannot}", f"{over.limit}: {over}"]
    for name in ("broken", "nobody's"):
        try:
            await wait_until(name)
        except errors.Rejected as error:
            told.append(f"{error.reason}: {error}")
        except errors.NotFound as error:
            told.append(f"{error.what}: {error}")
    try:
        raise errors.TimedOut("in time")
    except TimeoutError as error:
        await reply(message, "\n".join(told) if isinstance(error, errors.Error) else "another")


# types.chat


@on("message", prefix="types")
async def types(message: Message) -> None:
    if message.body != "types":
        await reply(message, "\ud83c")
        return
    wrong = [
        lambda: send(None, "hello"),
        lambda: send(message.chat, 5),
        lambda: send(message.chat, outgoing(react_to=message, emojis="👍")),
        lambda: storage.get(7),
        lambda: archive.query(max="20"),
        lambda: rooms.open("garden@rooms.example.org", auto_configure=1),
        lambda: rooms.open("garden@rooms.example.org", history="all"),
        lambda: archive.query(max=-1),
        lambda: archive.query(max=1 << 32),
        lambda: rooms.open("garden@rooms.example.org", history=rooms.History(max_stanzas=1 << 40)),
        lambda: dialogs.ask("alice@example.org", "Which?", "one"),
        lambda: storage.set("k", 1, expires="60"),
        lambda: storage.set("k", 1, expires=float("nan")),
        lambda: http.get("https://api.example.org/", timeout=float("nan")),
        lambda: http.get("https://api.example.org/", timeout=-2),
    ]
    errors = []
    for call in wrong:
        try:
            await call()
        except TypeError as error:
            errors.append(str(error))
    await reply(message, "\n".join(errors))


# imports.chat


@on("message", prefix="late")
async def late(message: Message) -> None:
    try:
        if message.body == "late colorsys":
            import colorsys

            await reply(message, colorsys.__name__)
        if message.body == "late codecs":
            said = codecs.encode("hello", "rot13"), "bücher.example".encode("idna"), b"\x80".decode("windows-1252")
            await reply(message, " ".join(map(str, said)))
        if message.body == "late koi8":
            await reply(message, b"\xd4".decode("koi8-r"))
        if message.body == "late thread":
            await asyncio.to_thread(print, "never")
        if message.body == "late strptime":
            await reply(message, f"{datetime.strptime('2026-03-01', '%Y-%m-%d'):%Y-%m-%d}")
    except (ImportError, LookupError, NotImplementedError) as error:
        await reply(message, str(error))


# timers.chat


@on("message", prefix="many timers")
async def many_timers(message: Message) -> None:
    fired = []

    async def fire() -> None:
        fired.append(1)
        if len(fired) == 300:
            await reply(message, "300")

    # Set in descending order, so that no timer is covered by the wake-up scheduled for the one before.
    for second in range(300, 0, -1):
        after(second, fire)
    await storage.set("timers", 300)
    await reply(message, "set")


@on("message", prefix="many beats")
async def many_beats(message: Message) -> None:
    beats = []

    async def beat() -> None:
        beats.append(1)
        if len(beats) == 300:
            for timer in timers:
                timer.cancel()
            await reply(message, "300")

    timers = [every(timedelta(seconds=1), beat) for _ in range(100)]


@on("message", prefix="overdue")
async def overdue(message: Message) -> None:
    async def now() -> None:
        timer.cancel()
        await reply(message, "now")

    timer = after(-3, now)


@on("message", prefix="tea")
async def tea(message: Message) -> None:
    after(240, reply, message, "Tea!")
    more: Timer = every(330, reply, message, "More?")

    async def enough() -> None:
        more.cancel()

    after(420, enough)
    after(timedelta(minutes=5), functools.partial(chats.send, message.chat, body="Cold!"))
    try:
        after(240, lambda: reply(message, "Tea!"))
    except TypeError as error:
        await reply(message, str(error).rpartition("> ")[2])


# cannot.chat

built = time.time()


@on("message", prefix="cannot")
async def cannot(message: Message) -> None:
    tries = [
        lambda: open("plugin.toml"),
        lambda: open("notes.txt", "w"),
        lambda: socket.create_connection(("127.0.0.1", 80)),
        lambda: threading.Thread(target=print).start(),
        lambda: zoneinfo.ZoneInfo("Europe/Berlin"),
        lambda: subprocess.run(["true"]),
    ]
    failed = []
    for one in tries:
        try:
            one()
        except Exception as error:
            failed.append(type(error).__name__)
    await reply(message, f"{failed} {dict(os.environ)} {datetime.now().hour} {built > time.time()}")


@on("message", prefix="connect")
async def connect(message: Message) -> None:
    async def opened() -> None:
        await asyncio.open_connection("example.org", 80)

    async def made(make: Callable[[], object]) -> None:
        make()

    tries = [
        made(lambda: socket.create_connection(("127.0.0.1", 80))),
        made(socket.socket),
        made(lambda: socket.getaddrinfo("example.org", 80)),
        made(lambda: urllib.request.urlopen("http://example.org")),
        opened(),
    ]
    for one in tries:
        try:
            await one
        except Exception as error:
            await reply(message, f"{type(error).__name__}: {error}")
    import ftplib  # It is not imported at the top.


@on("message", prefix="recurse")
async def recurse(message: Message) -> None:
    def deeper(level: int) -> int:
        return deeper(level + 1) + 1

    await reply(message, str(deeper(0)))


# off.chat


@on("message", prefix="here")
@on("message", prefix="there")
async def heard(message: Message) -> None:
    await reply(message, "heard")


@on("message", prefix="no more")
async def no_more(message: Message) -> None:
    await reply(message, f"{off('messageError', heard)} {off('message', heard)} {off('message', heard)}")


# messages.chat


@on("message", prefix="who")
async def who(message: Message) -> None:
    one = occupant_of(message)
    await reply(message, f"{one.nick}, {one.role}" if one else "nobody")


@on("message", prefix="mark me")
async def ask_for_markers(message: Message) -> None:
    await reply(message, outgoing("read this", request_markers=True))


@on("messageSend", prefix="read this")
async def sent(message: Message) -> None:
    log.warning("markers: %s", message.extensions is not None and message.extensions.markable)


@on("message", prefix="alone")
async def alone(message: Message) -> None:
    await reply_in_chat(message, outgoing("you alone", reply_to=message))


# replies.chat


@on("message")
async def agree(message: Message) -> None:
    said = body_without_fallback(message)
    if said == "+1":
        await reply(message, said)
        await reply(message, outgoing("so it is", reply_to=message, quote=True))


@on("message", prefix="by method")
async def by_method(message: Message) -> None:
    for name in ("reply", "body_without_fallback", "reply_too"):
        try:
            getattr(message, name)
        except AttributeError as error:
            await reply(message, str(error))


# styling.chat


@on("message", prefix="style ")
async def style(message: Message) -> None:
    text = message.body.removeprefix("style ")
    styled = [styling.bold(styling.escape(text)), styling.monospace(text), styling.quote(text), styling.code_block(text)]
    body = "\n".join([*styled, "https://example.org/"]).replace("\u2060", "+")
    preview = records.LinkPreview("https://example.org/", title="Page")
    await reply(message, outgoing(body, spoiler="end", unstyled=True, previews=[preview]))


@on("message", prefix="shown")
async def shown(message: Message) -> None:
    carried = message.extensions
    if carried is None:
        await reply(message, "there")
    elif carried.spoiler is not None:
        await reply(message, f"hidden <{carried.spoiler}>")
    else:
        await reply(message, f"{'unstyled' if carried.unstyled else 'styled'} {carried.previews[0].title}")


# entities.chat


@on("message", prefix="entities")
async def entities(message: Message) -> None:
    await rooms.open("hall@rooms.example.org", "Romeo")
    config = {"changesubject": False, "membersonly": True, "roomdesc": "Comfy room for hanging out", "maxusers": 20}
    ball = await rooms.open("ball@rooms.example.org", nick="coolguy69", auto_configure=True, roomconfig=config)
    await rooms.configure(ball, {"roomname": "The ball"})
    form = await api.send_iq(f"<iq type='get' to='{ball.jid}'><query xmlns='http://jabber.org/protocol/muc#owner'/></iq>")
    fields = ("changesubject", "membersonly", "roomdesc", "maxusers", "roomname")
    found = [re.search(f"roomconfig_{name}[\"'][^>]*><value>([^<]*)<", form) for name in fields]
    await reply(message, ", ".join(one[1] if one else "" for one in found))
    contact = contacts.get(message.chat)
    assert contact is not None
    occupant = next(one for one in rooms.occupants("garden@rooms.example.org") if one.nick == "alice")
    await vcard.update(contact)
    card = await vcard.get(occupant, True)
    shown = contacts.get(message.chat)
    await reply(message, f"{shown.url if shown else None} {card.fn}")
    await settings.update({"limit": 12, "words": ["a"]})
    await settings.set_many({"open": True})
    told = [contact.get(name) or "" for name in ("id", "jid", "subscription", "nothing")]
    await reply(message, f"{' '.join(told).strip()} {setting('limit')} {str(setting('open')).lower()}")
    chat = await chats.open(contact)
    await chats.set_attribute(chat, "mood", {"romantic": [1, None]})
    spelled = [contact.get(name) for name in ("chat-status", "chat_status", "chatStatus")]
    await chats.send(chat, f"{chats.get_attribute(chat, 'mood')} {chats.get_attribute(name='none', jid=chat)} {spelled}")
    await chats.set_attribute(jid=chat, name="mood", value=None)
    await rooms.set_attribute(ball, "height", 400)
    flags = [rooms.get_attribute(ball, name) for name in ("shows-jids", "shows_jids", "showsJids")]
    await chats.send(contact, f"{chats.get_attribute(chat, 'mood')} {rooms.get_attribute(ball, 'height') + 1} {flags}")
    again = await rooms.get_or_create(ball, attributes="Romeo", create=False)
    many = rooms.get_many(jids=[ball, "nowhere@rooms.example.org"])
    await reply(message, f"{again and again.nick} {[one and one.nick for one in many]}")
    occupant.jid = None
    for wrong in (functools.partial(chats.send, message, "hello"), functools.partial(rooms.ban, ball, occupant), functools.partial(rooms.get_many, jids=[ball, message])):
        try:
            await wrong()
        except errors.Error as error:
            await reply(message, f"{type(error).__name__}: {error} ({error.call})")
