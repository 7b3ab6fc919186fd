"""Makes the calls of tests/suite/languages/calls in Python."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date, time
from typing import Optional
from urllib.parse import parse_qs

import people
from parlor import (
    Command, Element, Hook, Message, People, PubsubItem, Webhook, answer, command, dialogs, emit, errors, files, hooks, http, on, outgoing,
    progress, pubsub, rooms, send, sleep, storage, webhooks,
)

NEWS, NODE, ALICE = "news@example.org", "urn:example:news", "alice@example.org"


@on("message", kind="chat")
async def told(message: Message) -> None:
    try:
        for file in message.files:
            await send(ALICE, await read(file.url))
        name, _, rest = (message.body or "").partition(" ")
        if name == "label":
            await send(ALICE, ", ".join(f"{label.plugin}: {label.text}" for label in message.labels))
        elif text := await call(name, rest):
            await send(ALICE, text)
    except errors.Error as error:
        await send(ALICE, str(error))


async def call(name: str, rest: str) -> Optional[str]:
    """Makes a call, and returns what is to be told of it."""
    match name:
        case "fetch":
            given = await http.post("https://api.example.org/old", data={"a": 1}, follow=3, timeout=5)
            return f"{given.status} {given.url} {given.headers['etag']}: {given.text}"
        case "json":
            return str((await http.post("https://api.example.org/json", json={"tëa": "<a & b>"})).status)
        case "form":
            note = {"file": ("a\r\n\".txt", b"one\ntwo", "text/plain\r\nx: y")}
            return str((await http.post("https://api.example.org/form", data={'ti"tle': "tëa 🍕"}, files=note)).status)
        case "fields":
            title = {"title": "tëa & \"pie\"=1+2 100%/~!'()* {{x}}"}
            given = await http.post("https://api.example.org/songs?day=1", params=title, data={"key": 5, **title})
            return str(given.status)
        case "both":
            try:
                await http.post("https://api.example.org/json", json=1, data="a")
            except TypeError:
                return "it was refused"
            return "it was sent"
        case "exchange":
            return await exchange()
        case "much":
            async with http.open("POST", "https://api.example.org/much") as sending:
                await sending.write("a" * ((1 << 20) + 5))
                return str((await sending.answer()).status)
        case "keep":
            kept = await storage.get("kept")
            is_made = await storage.changes().expect("kept", kept).set("kept", rest).add("times").make()
            return f"{str(is_made).lower()}: {kept or '-'}"
        case "price":
            try:
                await emit("price", {"low": float("nan")})
            except ValueError:
                return "it was refused"
            return "it was sent"
        case "missing":
            async with http.open("POST", "https://api.example.org/tea", headers={"content-length": "5"}) as sending:
                await sending.write(b"ab")
                await sending.answer()
        case "unreachable":
            async with http.open("POST", "https://api.example.org/none", data="lost") as sending:
                await sending.answer()
        case "upload":
            file = await files.upload("note.txt", "text/plain", in_parts(rest), len(rest.encode()))
            await send(ALICE, f"{file.name} {file.media_type} {file.size}")
            await send(ALICE, outgoing(files=[file]))
        case "encrypted":
            file = await files.upload("note.txt", "text/plain", rest, encrypted=True)
            return f"{file.name} {file.media_type} {file.size}"
        case "short":
            await files.upload("note.txt", "text/plain", in_parts(rest), 9)
        case "picture":
            await files.upload("dot.png", "image/png", b"dot")
        case "open":
            return await read(rest)
        case "blame":
            try:
                await files.open(rest)
            except errors.Denied as error:
                return error.argument_of_call
        case "size":
            return await size(0.0002 if rest == "at once" else None)
        case "again":
            assert last is not None
            await webhooks.answer(last, 204)
        case "address":
            return await webhooks.address(rest)
        case "retract":
            await pubsub.retract(NEWS, NODE, rest)
            return "done"
        case "create":
            await pubsub.create(NEWS, NODE, options=pubsub.NodeOptions(access=rest, title="Tëa"))
            return "done"
        case "configure":
            await pubsub.configure(NEWS, NODE, access=rest or None)
            return "done"
        case "purge":
            await pubsub.purge(NEWS, NODE)
            return "done"
        case "delete":
            await pubsub.delete(NEWS, NODE)
            return "done"
        case "publish":
            entry = Element("entry", NODE, text="tëa & 🍕")
            options = pubsub.NodeOptions(access="open", persist=True, max_items=10) if rest else None
            return await pubsub.publish(NEWS, NODE, entry, id=rest or None, options=options)
        case "items":
            page = await pubsub.items(NEWS, NODE, 2, rest or None)
            return f"{', '.join(shown(item) for item in page.items)}; {page.last or '-'}"
        case "item":
            found = await pubsub.item(NEWS, NODE, rest)
            return shown(found) if found else "none"
        case "subscribe":
            return str(await pubsub.subscribe(NEWS, NODE)).lower()
        case "unsubscribe":
            await pubsub.unsubscribe(NEWS, NODE)
            return "done"
    return await people.call(name, rest)


# http.chat


async def exchange() -> str:
    async with http.open("POST", "https://api.example.org/tea") as sending:
        for part in ("one ", "tëa".encode(), " two"):
            await sending.write(part)
        head = await sending.answer()
        whole = bytearray()
        async for read in sending:
            whole += read
        return f"{head.status} {head.headers['etag']}: {whole.decode()}"


# files.chat


async def in_parts(text: str) -> AsyncIterator[str]:
    yield text[:1]
    yield text[1:]


async def read(url: str) -> str:
    async with await files.open(url) as file:
        whole = await file.read_all(64)
        return f"{file.size} {file.media_type or '-'}: {whole.decode()}"


# dialogs.chat


async def size(timeout: Optional[float]) -> str:
    try:
        return (await asyncio.wait_for(dialogs.ask(ALICE, "Which size?", ["small", "large"], timeout=timeout), 10)).text
    except asyncio.TimeoutError:
        return "too late"


# webhooks.chat

last: Optional[Webhook] = None


@on("webhook", webhook="ask")
async def asked(hook: Webhook) -> None:
    global last
    last = hook
    text = f"{hook.method} {hook.path or '-'} {hook.query or '-'} {hook.headers.get('x-kind', '-')}: {hook.text}"
    if hook.path == "fields":
        query, form = parse_qs(hook.query or ""), parse_qs(hook.text)
        text = f"{query['room'][0]}: {form['payload'][0]}, {form.get('none', ['-'])[0]}"
    await webhooks.answer(hook, 201, text=text, headers={"etag": "v1"})


@on("webhook", webhook="books")
async def counted(hook: Webhook) -> None:
    await webhooks.answer(hook, json=12)


# hooks.chat


@hooks.outgoing
async def sign(hook: Hook) -> hooks.Verdict:
    body = hook.message.body
    if body is None:
        return None
    return hooks.Stop("it names a secret") if "secret" in body else hooks.Alter(body=f"{body} (signed)")


@hooks.incoming
async def look(hook: Hook) -> hooks.Verdict:
    body = hook.message.body or ""
    if "casino" in body:
        return hooks.Stop()
    return hooks.Mark("advertisement") if "label" in body else None


@hooks.commands
async def permit(hook: Hook) -> hooks.Verdict:
    return hooks.Stop("not that") if hook.args == ["no such", "secret"] else None


# pubsub.chat


def shown(item: "pubsub.NodeItem") -> str:
    return f"{item.id} {item.publisher or '-'} {item.xml or '-'}"


@on("pubsub-item", sender=NEWS)
async def hear(said: PubsubItem) -> None:
    text = f"{said.kind} {said.service} {said.node} {said.id or '-'} {said.publisher or '-'} {said.xml or '-'}"
    await send(ALICE, text)


# rooms.chat


@on("message", kind="groupchat", prefix="rude")
async def moderate(message: Message) -> None:
    try:
        await rooms.retract(message.chat, message.stanza_id or "", "so it is")
    except errors.Error as error:
        await send(ALICE, str(error))


# forms.chat


@command("double", help="Doubles a number")
async def double(given: Command, number: int) -> None:
    await progress(given, "doubling")
    await sleep(20)
    await answer(given, str(number * 2))


@command("when", help="Says when")
async def when(given: Command, day: date, at: time = time(9)) -> None:
    await answer(given, f"{day} {at}")


# places.chat and groups.chat

SOME = [
    People.group("staff"), People.jid("eve@example.org"), People.role("moderator"), People.affiliation("member"), People.owners(),
]


@command("topic", help="Works in rooms", place="room")
@command("vote", help="Works in private", place="private")
@command("enter", help="Lets some in", aliases=["go"], allow=SOME, room_cooldown=60)
@command("knock", help="Lets contacts in", allow=[People.contacts()], person_cooldown=30)
async def here(given: Command) -> None:
    await answer(given, "here")
