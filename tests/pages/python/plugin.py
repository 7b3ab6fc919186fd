"""The examples on the pages of docs/reference/api, and of docs/author/moderation.md. Each page shows the part between its two marks."""

import logging
from typing import Annotated, Literal

from parlor import (
    Command, Contact, DueTime, Element, Hook, IqRequest, Message, People, PluginRequest, PubsubItem, Range, Role, Subscription, Webhook, api, archive, ask_author, chats, chatviews, command, commands, connection, contacts,
    after, answer, disco, emit, errors, every, files, hooks, http, iq, moderation, ns, occupant_of, on, on_ready, on_start, on_stop, outgoing, parse_xml, plugins, promises, pubsub, reply, rooms, schedules, set_setting, setting, settings,
    reply_in_chat, sleep, storage, tokens, types, user, vcard, wait_until, webhooks,
)

ROOM, JULIET = "hall@rooms.example.org", "juliet@example.org"

# == log
log = logging.getLogger(__name__)  # Python's own logging
log.info("ready")
log.warning("%s is not there", JULIET)
# ==


@on_ready
async def call() -> None:
    # == api
    await emit("libraryOpen", {"books": 12})
    opened = await wait_until("libraryOpen")
    await api.send(str(Element("presence", attributes={"to": JULIET})))
    query = Element("query", ns.VERSION)
    iq = Element("iq", attributes={"type": "get", "to": "example.org"}, children=[query])
    answer = await api.send_iq(iq)
    version = parse_xml(answer).find("query")
    # ==
    log.info("%s %s", opened, version)

    # == archive
    newest = await archive.query(with_=JULIET, before="", max=10)
    older = archive.previous(newest.rsm, 10)
    newer = archive.next(newest.rsm, 10)
    async for archived in archive.query_all(with_=JULIET, start="2026-11-01"):
        log.info("%s", archived.message.body)
    # ==
    log.info("%s %s", older, newer)


@on_ready
async def talk() -> None:
    # == chats
    sent = await chats.send(JULIET, "But soft!")
    chat = await chats.open(JULIET)
    await chats.open_many([JULIET, "romeo@example.org"])
    there = chats.get(JULIET)
    both = chats.get_many([JULIET, "romeo@example.org"])
    everything = chats.get_all()
    await chats.set_attribute(chat, "height", 400)
    height = chats.get_attribute(chat, "height")
    # For a front end:
    await chats.focus(chat.jid)
    await chats.show(chat.jid)
    await chats.maximize(chat.jid)
    await chats.minimize(chat.jid)
    # Off the record, with the person of an open chat:
    await chats.initiate_otr(chat.jid)
    await chats.end_otr(chat.jid)
    await chats.close(chat.jid)
    await chats.close_many([JULIET, "romeo@example.org"])
    # ==
    log.info("%s %s %s %s %s", sent, there, both, everything, height)

    # == chatviews
    view = chatviews.get(JULIET)
    views = chatviews.get_many([JULIET, "romeo@example.org"])
    is_small = view is not None and view.minimized
    # ==
    log.info("%s %s", is_small, views)

    # == connection
    if not connection.connected():
        log.info("nobody hears us yet")
    await connection.disconnect()
    # ==


@on_ready
async def befriend() -> None:
    # == contacts
    contact = await contacts.add(JULIET, "Juliet")
    await contacts.rename(contact.jid, "Juliet Capulet")
    await contacts.set_groups(contact.jid, ["friends"])
    known = contacts.get(JULIET)
    both = contacts.get_many([JULIET, "romeo@example.org"])
    everybody = contacts.get_all()

    @on("contactRequest")
    async def asked(asking: Contact) -> None:
        if asking.jid == JULIET:
            await contacts.accept(asking.jid)
        else:
            await contacts.deny(asking.jid)

    await contacts.remove("romeo@example.org")

    await contacts.block("tybalt@example.org", contacts.Report("spam", text="it sells swords"))
    blocked = await contacts.blocked()
    await contacts.unblock("tybalt@example.org")
    # ==
    log.info("%s %s %s %s", known, both, everybody, blocked)


@on_ready
async def ask_the_web() -> None:
    # == http
    answer = await http.get(
        "https://api.example.org/weather",
        params={"city": "Verona"},
        headers={"authorization": "Bearer {{api_key}}"},
        credentials=["api_key"],
        follow=3,
    )
    weather = answer.raise_for_status().json()
    note = await http.fetch("POST", "https://api.example.org/notes", json={"text": "But soft!"})

    # A body of any size goes in parts:
    async with http.open("PUT", "https://api.example.org/log") as exchange:
        await exchange.write("But soft! ")
        await exchange.write("What light?")
        head = (await exchange.answer()).raise_for_status()
        async for part in exchange:
            log.info("%d bytes", len(part))
    # ==
    log.info("%s %s %s", weather, note.status, head.status)


@on_ready
async def share() -> None:
    # == files
    file = await files.upload("note.txt", "text/plain", b"But soft!")
    await chats.send(JULIET, outgoing(files=[file]))
    # For an encrypted chat:
    secret = await files.upload("note.txt", "text/plain", b"But soft!", encrypted=True)
    await chats.send(JULIET, outgoing(files=[secret], encryption="required"))

    @on("message")
    async def measure(message: Message) -> None:
        for one in message.files:
            async with await files.open(one) as download:
                async for part in download:
                    log.info("%d bytes", len(part))
    # ==


@on_ready
async def discover() -> None:
    # == disco
    await disco.own_features_add("urn:example:weather:1")
    await disco.own_identities_add("automation", "weather", "Weather for Verona")
    features = disco.own_features_get()
    identities = disco.own_identities_get()
    await disco.own_identities_clear()
    support = await disco.supports("urn:xmpp:ping", "example.org")
    server = await disco.get_identity("server", "im", "example.org")
    clock = await disco.time("example.org")
    software = await disco.version("example.org")
    idle = await disco.last_activity(JULIET)
    # ==
    log.info("%s %s %s %s %s %s %s", features, identities, support.supported, server, clock.utc, software.name, idle.seconds)

    # == promises
    await promises.add("libraryOpen")
    await promises.add_all(["booksSorted", "lampsLit"])
    # … and once they are:
    await emit("libraryOpen", {"books": 12})
    await promises.reject("lampsLit", "there is no oil")
    # ==


@on_ready
async def enter() -> None:
    # == rooms
    room = await rooms.open(ROOM, nick="bot")
    await rooms.open_many(["garden@rooms.example.org", "ball@rooms.example.org"])
    await rooms.get_or_create("ball@rooms.example.org", nick="bot")
    await rooms.configure("ball@rooms.example.org", {"membersonly": True, "roomname": "The ball"})
    await rooms.send(room.jid, "Good evening")

    there = rooms.get(ROOM)
    both = rooms.get_many([ROOM, "ball@rooms.example.org"])
    all_of_them = rooms.get_all()
    people = rooms.occupants(ROOM)

    # As a moderator, an admin or an owner:
    await rooms.set_subject(ROOM, "The feast")
    visitor: Role = "visitor"
    await rooms.set_role(ROOM, "romeo", visitor, "enough for today")
    await rooms.set_affiliation(ROOM, JULIET, "member")
    members = await rooms.affiliations(ROOM, "member")
    await rooms.invite(ROOM, JULIET, reason="You are expected.")
    await rooms.kick(ROOM, "romeo", "not on the list")
    await rooms.ban(ROOM, "tybalt@example.org", "no duels")
    await rooms.retract(ROOM, "the stanza-id of a message", "no duels")

    @on("voiceRequest")
    async def asks_for_voice(visitor: types.Occupant) -> None:
        await rooms.answer_voice(visitor.room, visitor.nick, visitor.affiliation == "member")

    # As a visitor, and as somebody who wants to be known there:
    await rooms.request_voice("garden@rooms.example.org")
    await rooms.register("garden@rooms.example.org", "bot", {})
    reserved = await rooms.reserved_nick("garden@rooms.example.org")
    await rooms.unregister("garden@rooms.example.org")

    @on("roomInviteReceived")
    async def invited(invite: types.Invite) -> None:
        await rooms.decline(invite.room, invite.from_, "another time")

    await rooms.set_bookmark(rooms.Bookmark(jid=ROOM, name="The hall", autojoin=True, nick=None, password=None))
    bookmarks = rooms.bookmarks()
    await rooms.remove_bookmark(ROOM)

    # For a front end:
    await rooms.set_attribute(ROOM, "height", 400)
    height = rooms.get_attribute(ROOM, "height")
    await rooms.focus(ROOM)
    await rooms.show(ROOM)
    await rooms.maximize(ROOM)
    await rooms.minimize(ROOM)

    await rooms.close(ROOM)
    await rooms.close_many(["garden@rooms.example.org"])
    await rooms.destroy("ball@rooms.example.org", "the ball is over")
    # ==
    log.info("%s %s %s %s %s %s %s %s", there, both, all_of_them, people, members, reserved, bookmarks, height)


@on_ready
async def keep() -> None:
    # == settings
    greeting = setting("greeting", "Hello")  # as settings.get("greeting", "Hello")
    # In a timer or schedule, which handle no event of the room:
    in_hall = settings.get_in("hall@rooms.example.org", "greeting", "Hello")
    await set_setting("greeting", "Good evening")  # as settings.set(…)
    await settings.set_many({"greeting": "Good evening", "limit": 12})
    # A new setting, and its default:
    await settings.update({"colour": "red"})
    # ==
    log.info("%s %s", greeting, in_hall)

    # == storage
    await storage.set("points/juliet", 3)
    await storage.set("cooldown", True, expires=60)
    points = await storage.get("points/juliet", 0)
    await storage.change("points/juliet", lambda points: (points or 0) + 1)
    is_mine = await storage.compare_and_set("points/juliet", points, points + 1)
    for name, points in (await storage.entries("points/")).items():
        log.info("%s: %s", name, points)
    best = await storage.range("points/", reverse=True, limit=5)
    visits = await storage.add("visits")
    is_sold = await storage.changes().expect("seat/7", "free").set("seat/7", "juliet").add("sold").make()
    page = await storage.page("points/", limit=100)
    await storage.delete("points/juliet")
    # ==
    log.info("%s %s %s %s %s", is_mine, best, visits, is_sold, page.keys)

    # == timers
    await sleep(0.5)
    timer = every(60, tick)
    after(600, chats.send, JULIET, "Tea!")
    timer.cancel()
    # ==

    # == tokens
    rid = tokens.get("rid")
    sid = tokens.get("sid")
    # ==
    log.info("%s %s", rid, sid)


@on_ready
async def know() -> None:
    # == user
    await user.set_status("dnd", "reading")
    await user.set_status_message("reading a sonnet")
    status = user.get_status()
    own = user.bare_jid()
    full = user.jid()
    await user.logout()
    await user.login()
    # ==
    log.info("%s %s %s", status.value, own, full)

    # == vcard
    card = await vcard.get(JULIET)
    await vcard.set(nickname="bot")
    await vcard.update(JULIET)  # so that the contact, chat or occupant shows it
    # ==
    log.info("%s", card.nickname)


async def tick() -> None:
    log.info("another minute")


# == commands
@command("weather", help="Says what the weather will be", usage="CITY [DAY]")
async def weather(command: Command) -> None:
    city = command.args[0] if command.args else "Verona"
    await reply(command, f"Sunshine in {city}")


@on("logout")
async def no_weather() -> None:
    await commands.remove("weather")


# One whose arguments the host reads: commands.declare, said by hints.
@command("roll", help="Rolls dice", allow=[People.role("participant")], person_cooldown=10)
async def roll(
    command: Command, count: Annotated[int, Range(1, 100)] = 1, sides: Literal["6", "20"] = "6", secret: bool = False
) -> None:
    dice = f"{count} dice with {sides} sides"
    # In the form, if the command was given by one.
    await (reply_in_chat(command, dice) if secret else answer(command, dice))
# ==


# == listen
@on("message", room=ROOM, prefix="bot:")
async def serve(message: Message) -> None:
    await reply(message, "at your service")


@on("disconnected", once=True)
async def rest() -> None:
    service: Subscription = serve
    service.end()
# ==


# == webhooks
@on("webhook", webhook="github")
async def pushed(hook: Webhook) -> None:
    if hook.headers.get("x-github-event") == "push":
        push = hook.json()
        await rooms.send(ROOM, f"{push['ref']} is at {push['after']}")
    await webhooks.answer(hook, 204)  # in the mode `answer`


@on_ready
async def tell_address() -> None:
    # Not into the log: the address is a secret.
    await chats.send(JULIET, f"Give GitHub {await webhooks.address('github')}")
# ==


# == schedules
ZONE = "Europe/Berlin"


@on("schedule", schedule="standup")
async def standup(due: DueTime) -> None:
    await rooms.send(ROOM, schedules.format(due.due, ZONE, "%A, %H:%M: the standup begins"))


@on_start
async def plan() -> None:
    await schedules.cron("standup", "0 9 * * MON-FRI", ZONE)
    await schedules.every("backup", 6 * 3600)
    noon = schedules.parse("tomorrow 12:00", ZONE)
    if schedules.to_local(noon, ZONE).isoweekday() < 6 and await schedules.at("lunch", noon):
        log.info("lunch is at %s", noon)
    for schedule in await schedules.list():
        if schedule.name.startswith("old-"):
            await schedules.cancel(schedule.name)
# ==


# == iq
@on("iq")
async def temperature(request: IqRequest) -> None:
    if request.kind != "get":
        await iq.refuse(request.id, "not-allowed", "it can only be read")
    else:
        await iq.answer(request.id, Element("temperature", "urn:example:weather", text="7"))
# ==


# == plugins
@on("request")
async def rate(request: PluginRequest) -> None:
    try:
        price = await plugins.call("bank", "price", request.value)
    except errors.Rejected:
        await plugins.refuse(request, f"{request.value} is no currency")
    else:
        await plugins.answer(request, {"rate": price * 1.02})
# ==


# == hooks
@on("hookOutgoing")
async def stamp(hook: Hook) -> None:
    body = hook.message.body
    if body is None:
        await hooks.allow(hook)
    elif "secret" in body:
        await hooks.stop(hook, "it names a secret")
    else:
        await hooks.alter(hook, body=f"{body} (a bot)")


@on("hookIncoming")
async def label(hook: Hook) -> None:
    if "casino" in (hook.message.body or ""):
        await hooks.mark(hook, "advertisement")
    else:
        await hooks.allow(hook)


# A function that returns the verdict does the same.
@hooks.commands
async def ask_for_code(hook: Hook) -> hooks.Verdict:
    return None if hook.args[-1:] == ["123456"] else hooks.Stop("Add your code.")
# ==


# == dialogs
@command("order", help="Orders a pizza")
async def pizza(order: Command) -> None:
    try:
        size = await ask_author(order, "Which size?", ["small", "large"], timeout=60)
    except (errors.TimedOut, errors.Rejected):
        await reply(order, "No pizza, then.")
    except (errors.Stopped, errors.NotFound):
        pass  # another order took its place, or they left the room
    else:
        await reply(order, f"A {size.text} pizza it is.")
# ==


# == pubsub
NEWS = "pubsub.example.org"


@on("pubsub-item", sender=NEWS)
async def hear_weather(item: PubsubItem) -> None:
    log.info("%s %s: %s", item.node, item.kind, item.xml)


@on_ready
async def publish_weather() -> None:
    try:
        await pubsub.subscribe(NEWS, "weather")
    except errors.Error:
        await pubsub.create(NEWS, "weather")
        await pubsub.configure(NEWS, "weather", access="open", max_items=10)
    degrees = Element("temperature", "urn:example:weather", text="7")
    await pubsub.publish(NEWS, "weather", degrees, id="Verona")
    page = await pubsub.items(NEWS, "weather", 10)
    if len(page.items) > 1 and await pubsub.item(NEWS, "weather", "Padua"):
        await pubsub.retract(NEWS, "weather", "Padua")
    if page.last:
        await pubsub.purge(NEWS, "weather")


@on_stop
async def leave_weather() -> None:
    await pubsub.unsubscribe(NEWS, "weather")
    await pubsub.delete(NEWS, "weather")
# ==


# == moderation
judge = moderation.Judge()


@on("message", kind="groupchat")
async def watch(message: Message) -> None:
    author = occupant_of(message)
    if author is None or moderation.is_spared(author):
        return
    verdict = judge.hear(moderation.Rules(), message.chat, moderation.key(author), moderation.Said.of(message))
    if verdict.offence == "link" and message.stanza_id:
        await rooms.retract(message.chat, message.stanza_id, "no links yet")
# ==
