"""The examples on the pages of docs/api. Each page shows the part between its two marks."""

import logging

from parlor import (
    Command, Element, Message, Role, api, archive, chats, chatviews, command, connection, contacts, disco, emit, every, ns, on,
    on_ready, promises, reply, rooms, set_setting, setting, sleep, storage, tokens, user, vcard, wait_until,
)

log = logging.getLogger(__name__)
ROOM, JULIET = "hall@rooms.example.org", "juliet@example.org"


@on_ready
async def examples() -> None:
    # == api
    await emit("libraryOpen", {"books": 12})
    await wait_until("rosterContactsFetched")
    query = Element("query", ns.VERSION)
    answer = await api.send_iq(Element("iq", attributes={"type": "get", "to": "example.org"}, children=[query]))
    # ==
    log.info("%s", answer)

    # == archive
    async for archived in archive.query_all(with_=JULIET, start="2026-11-01"):
        log.info("%s", archived.message.body)
    # ==

    # == chats
    await chats.send(JULIET, "But soft!")
    chat = await chats.open(JULIET)
    await chats.set_attribute(chat, "height", 400)
    # ==

    # == chatviews
    view = chatviews.get(JULIET)
    is_small = view is not None and view.minimized
    # ==
    log.info("%s", is_small)

    # == connection
    if not connection.connected():
        log.info("nobody hears us yet")
    # ==

    # == contacts
    contact = await contacts.add(JULIET, "Juliet")
    await contacts.set_groups(contact.jid, ["friends"])
    # ==

    # == disco
    await disco.own_features_add("urn:example:weather:1")
    support = await disco.supports("urn:xmpp:ping", "example.org")
    # ==
    log.info("%s", support.supported)

    # == log
    log.info("ready")
    log.warning("%s is not there", JULIET)
    # ==

    # == promises
    await promises.add("libraryOpen")
    # … and once it is:
    await emit("libraryOpen", {"books": 12})
    # ==

    # == rooms
    room = await rooms.open(ROOM, nick="bot")
    await rooms.send(room.jid, "Good evening")
    visitor: Role = "visitor"
    await rooms.set_role(room.jid, "romeo", visitor, "enough for today")
    # ==

    # == settings
    greeting = setting("greeting", "Hello")
    await set_setting("greeting", "Good evening")
    # ==
    log.info("%s", greeting)

    # == storage
    await storage.set("points/juliet", 3)
    await storage.change("points/juliet", lambda points: (points or 0) + 1)
    for name, points in (await storage.entries("points/")).items():
        log.info("%s: %s", name, points)
    await storage.set("cooldown", True, expires=60)
    # ==

    # == timers
    await sleep(0.5)
    every(60, tick)
    # ==

    # == tokens
    rid, sid = tokens.get("rid"), tokens.get("sid")
    # ==
    log.info("%s %s", rid, sid)

    # == user
    await user.set_status("dnd", "reading")
    own = user.bare_jid()
    # ==
    log.info("%s", own)

    # == vcard
    card = await vcard.get(JULIET)
    await vcard.set(nickname="bot")
    # ==
    log.info("%s", card.nickname)


async def tick() -> None:
    log.info("another minute")


# == commands
@command("weather", help="Says what the weather will be", usage="CITY [DAY]")
async def weather(command: Command) -> None:
    city = command.args[0] if command.args else "Verona"
    await reply(command, f"Sunshine in {city}")
# ==


# == listen
@on("message", room=ROOM, prefix="bot:")
async def answer(message: Message) -> None:
    await reply(message, "at your service")
# ==
