"""The calls of schedules.chat, iq.chat, requests.chat, questions.chat, people.chat and sealed.chat."""

import json
from datetime import datetime, timedelta
from typing import Optional

import entities
from parlor import (
    DueTime, Element, IqRequest, Message, Occupant, PluginRequest, Undecryptable, chats, contacts, dialogs, disco, errors, iq, on, outgoing,
    plugins, rooms, schedules, send, user,
)

ALICE, GARDEN, ZONE = "alice@example.org", "garden@rooms.example.org", "Europe/Berlin"


async def call(name: str, rest: str) -> Optional[str]:
    """Makes a call, and returns what is to be told of it."""
    match name:
        case "cron":
            return shown(await schedules.cron("work", rest, ZONE))
        case "every":
            return shown(await schedules.every("tick", float(rest)))
        case "cancel":
            return str(await schedules.cancel(rest)).lower()
        case "when":
            there = schedules.to_local(schedules.parse(rest, ZONE), ZONE)
            offset = there.utcoffset()
            assert offset is not None
            return f"{there:%Y-%m-%d %H:%M:%S} {there.isoweekday()} {offset.total_seconds():.0f} {there.tzname()}"
        case "request":
            request, _, value = rest.partition(" ")
            return json.dumps(await plugins.call("partner", request, json.loads(value or "null")))
        case "idle":
            idle = await disco.last_activity(rest)
            return f"{idle.seconds} {idle.status or '-'}"
        case "clock":
            clock = await disco.time(rest)
            return f"{schedules.format(clock.utc, 'UTC', '%F %H:%M:%S')} {clock.offset}"
        case "software":
            software = await disco.version(rest)
            return f"{software.name} {software.version or '-'} {software.os or '-'}"
        case "block":
            await contacts.block(rest)
            return "done"
        case "report":
            ids = [(user.bare_jid(), bought)] if bought else []
            await contacts.block(rest, contacts.Report("spam", text="it sells swords", stanza_ids=ids))
            return "done"
        case "unblock":
            await contacts.unblock(rest)
            return "done"
        case "blocked":
            return ", ".join(await contacts.blocked()) or "nobody"
        case "voice":
            await rooms.request_voice(GARDEN)
            return "done"
        case "register":
            await rooms.register(GARDEN, rest, {})
            return "done"
        case "unregister":
            await rooms.unregister(GARDEN)
            return "done"
        case "reserved":
            return await rooms.reserved_nick(GARDEN) or "none"
        case "require":
            await send(ALICE, outgoing(rest, encryption="required"))
        case "plain":
            await send(ALICE, outgoing(rest, encryption="none"))
        case "otr":
            await chats.open(ALICE)
            await (chats.initiate_otr(ALICE) if rest == "begin" else chats.end_otr(ALICE))
            return "done"
    return await entities.call(name, rest)


# schedules.chat

fails = False


def shown(moment: datetime) -> str:
    return schedules.format(moment, "UTC", "%F %H:%M:%S")


@on("message", kind="chat", prefix="fail")
async def fail(message: Message) -> None:
    global fails
    fails = True


@on("schedule")
async def wake(due: DueTime) -> None:
    global fails
    if fails:
        fails = False
        raise RuntimeError("it is too early")
    await send(ALICE, f"{due.name} {shown(due.due)} {due.late // timedelta(seconds=1)} {due.missed} {due.attempt}")


# iq.chat

last: Optional[IqRequest] = None


@on("iq")
async def weather(request: IqRequest) -> None:
    global last
    last = request
    if request.kind != "get":
        await iq.refuse(request.id, "not-allowed", "it can only be read")
    elif request.name == "nothing":
        await iq.answer(request.id)
    else:
        text = f"{request.from_} {request.kind} {request.namespace} {request.name} {request.xml}"
        await iq.answer(request.id, Element("said", "urn:example:weather", text=text))


@on("message", kind="chat", prefix="answer it again")
async def answer_again(message: Message) -> None:
    assert last is not None
    try:
        await iq.answer(last.id)
    except errors.NotFound as error:
        await send(ALICE, str(error))


# requests.chat


@on("request")
async def asked(request: PluginRequest) -> None:
    if request.name == "closed":
        await plugins.refuse(request, f"{request.plugin} has to wait")
    else:
        await plugins.answer(request, {"name": request.name, "value": request.value})


# questions.chat


@on("message", kind="groupchat", prefix="pizza")
async def pizza(message: Message) -> None:
    try:
        size = await dialogs.ask_in_room(message.chat, message.nick or "", "Which size?", ["small", "large"], timeout=60)
        await rooms.send(message.chat, f"{size.choice}: {size.text}")
    except errors.Error as error:
        await send(ALICE, str(error))


# people.chat

#: The id of the last message that offers something, in the archive.
bought: Optional[str] = None


@on("message", kind="chat", prefix="buy")
async def offers(message: Message) -> None:
    global bought
    bought = message.stanza_id


@on("voiceRequest")
async def asks_for_voice(visitor: Occupant) -> None:
    await rooms.answer_voice(visitor.room, visitor.nick, visitor.nick == "bob")


# sealed.chat


@on("message", kind="chat", prefix="sealed")
async def is_sealed(message: Message) -> None:
    await send(ALICE, f"{message.encryption or '-'} {message.device_trust or '-'}")


@on("undecryptable")
async def cannot(message: Undecryptable) -> None:
    await send(ALICE, f"{message.chat} {message.from_} {message.kind} {message.encryption} {message.reason} {message.id or '-'}")
