"""The steps of each part."""

import json
import logging
from typing import Any
from xml.sax.saxutils import escape

from parlor import (
    Command, Message, Room, after, archive, commands, contacts, dialogs, disco, emit, iq, on, outgoing, plugins, promise, pubsub, rooms,
    say, schedules, send, set_setting, setting, sleep, storage, user, wait_until,
)
from parlor.host import Grouping

from steps import Steps, hear

_api = Grouping("api")
_hooks = Grouping("hooks")
_listen = Grouping("listen")
_promises = Grouping("promises")
_settings = Grouping("settings")
_timers = Grouping("timers")


async def take(part: str, steps: Steps, message: Message) -> None:
    match part:
        case "settings":
            await in_settings(steps)
        case "storage":
            await in_storage(steps)
        case "timers":
            await in_timers(steps)
        case "listen":
            await listening(steps)
        case "heard":
            steps.hear()
        case "promises":
            await promising(steps)
        case "wait":
            logging.getLogger("steps").warning("waiting for %s", steps.rest)
            await steps.note("wait for another's promise", lambda: wait_until(steps.rest), _json)
        case "messages":
            await messages(steps, message)
        case "stanza":
            await stanzas(steps)
        case "rooms":
            await in_rooms(steps)
        case "account":
            await account(steps)
        case "commands":
            await in_commands(steps)
        case "schedules":
            await in_schedules(steps)
        case "others":
            await others(steps)


def _json(value: Any) -> str:
    return "none" if value is None else json.dumps(value, separators=(",", ":"))


async def in_settings(steps: Steps) -> None:
    await steps.note("a text of the manifest", lambda: setting("greeting"))
    await steps.note("a number of the manifest", lambda: setting("count"))
    await steps.note("a flag of the manifest", lambda: setting("loud"))
    await steps.note("a setting that nobody has", lambda: setting("nobody", "none"))
    await steps.done("set a text", lambda: set_setting("greeting", 'hü "\\ <&>'))
    await steps.note("read it", lambda: setting("greeting"))
    await steps.fails("set a number to a text", lambda: set_setting("count", "many"))
    await steps.fails("set what is the operator's", lambda: set_setting("password", "secret"))
    await steps.done("a new default", lambda: _settings.update([("count", "9")]))
    await steps.note("the new default", lambda: setting("count"))


async def in_storage(steps: Steps) -> None:
    await steps.note("nothing is kept", lambda: storage.get("a", "none"))
    await steps.done("keep a text", lambda: storage.set("a", 'väl"ue'))
    await steps.note("read it", lambda: storage.get("a"))
    await steps.done("keep another", lambda: storage.set("b/ü", "two"))
    await steps.note("all keys", storage.keys, ",".join)
    await steps.note("keys that begin so", lambda: storage.keys("b/"), ",".join)
    page = lambda page: f"{','.join(page.keys)} then {page.next or 'none'}"
    await steps.note("a page of one", lambda: storage.page("", None, 1), page)
    await steps.note("forget it", lambda: storage.delete("b/ü"))
    await steps.note("forget it again", lambda: storage.delete("b/ü"))
    await steps.note("put one where nothing is", lambda: storage.compare_and_set("n", None, 1))
    await steps.note("put two where one is", lambda: storage.compare_and_set("n", 1, 2))
    await steps.fails("keep too much", lambda: storage.set("much", "x" * 100_000))
    await steps.fails("keep it under no key", lambda: storage.set("", "x"))


async def in_timers(steps: Steps) -> None:
    async def fired() -> None:
        hear("a timer fired", "done")
        await send(steps.friend, "fired")

    await steps.done("sleep", lambda: sleep(0.005))
    await steps.fails("a period that is too short", lambda: _timers.every(1))
    await steps.fails("cancel what is no timer", lambda: _timers.cancel(123_456))
    await steps.done("begin a timer", lambda: after(0.01, fired))


async def listening(steps: Steps) -> None:
    async def heard(value: Any) -> None:
        hear("an event of one's own", value["n"])
        await send(steps.friend, "heard")

    async def nothing() -> None:
        pass

    await steps.done("listen once", lambda: on("stepsEvent", once=True)(heard))
    numbers = []
    await steps.done("listen to what nobody fires", lambda: numbers.append(_listen.on("nobodyFiresIt", None)))
    await steps.done("listen no more", lambda: _listen.not_(numbers[0]))
    await steps.fails("end it again", lambda: _listen.not_(numbers[0]))
    await steps.fails("listen to no address", lambda: on("message", sender="@")(nothing))
    await steps.done("fire an event", lambda: emit("stepsEvent", {"n": 42}))


async def promising(steps: Steps) -> None:
    await steps.fails("wait for what nobody promised", lambda: wait_until("stepsNever"))
    await steps.done("promise", lambda: promise("stepsDone"))
    await steps.done("keep it", lambda: emit("stepsDone", {"kept": [1, "two"]}))
    await steps.note("wait for what is kept", lambda: wait_until("stepsDone"), _json)
    await steps.done("promise two", lambda: _promises.add_all(["stepsOne", "stepsTwo"]))
    await steps.done("break one", lambda: _promises.reject("stepsOne", "no bread"))
    await steps.fails("wait for what is broken", lambda: wait_until("stepsOne"))
    await steps.fails("promise what is the host's", lambda: promise("roster"))
    await steps.fails("keep what is another's", lambda: emit("promised", 1))
    await steps.note("wait for the host", lambda: wait_until("pluginsInitialized"), _json)


async def messages(steps: Steps, message: Message) -> None:
    friend = steps.friend
    delayed = str(message.delayed).lower()
    await steps.note("what came", lambda: f"{message.kind} {delayed} {steps.rest}")
    await steps.some("say something", lambda: send(friend, "hello"))
    await steps.some("with subject and thread", lambda: send(friend, outgoing("on", subject="so", thread="t1")))
    await steps.some("correct it", lambda: send(friend, outgoing("hallo", replace="m1")))
    await steps.some("say what one does", lambda: send(friend, outgoing(chat_state="composing")))
    await steps.some("ask for a receipt", lambda: send(friend, outgoing("there?", request_receipt=True)))
    await steps.fails("to nobody", lambda: send("", "hello"))
    await steps.fails("to no address", lambda: send("@", "hello"))
    await steps.fails("to whom nobody granted", lambda: send("nobody@nowhere.invalid", "hello"))
    await steps.fails("nothing at all", lambda: send(friend, outgoing()))
    await steps.fails("what XML cannot hold", lambda: send(friend, "a\x01b"))


async def stanzas(steps: Steps) -> None:
    escaped = lambda text: escape(text, {"'": "&apos;", '"': "&quot;"})
    for text in ["<body>", "a & b", "'single' and \"double\"", "hü🍕"]:
        await steps.note("escape", lambda: f"<a b='{escaped(text)}'>{escaped(text)}</a>")
    friend = steps.friend
    ask = lambda child: _api.send_iq(f"<iq type='get' to='localhost'>{child}</iq>")
    built = f"<message to='{friend}'><body>{escaped('<built> & sent')}</body></message>"
    await steps.done("send what was built", lambda: _api.send(built))
    await steps.fails("under another's name", lambda: _api.send(f"<message to='{friend}' from='{friend}'/>"))
    await steps.fails("what is no XML", lambda: _api.send("<message"))
    await steps.fails("two at once", lambda: _api.send("<message/><message/>"))
    await steps.fails("presence without a grant", lambda: _api.send("<presence/>"))
    await steps.note("ask", lambda: ask("<ping xmlns='urn:xmpp:ping'/>"), lambda answer: "type='result'" in answer)
    await steps.fails("ask what nobody knows", lambda: ask("<nonsense xmlns='urn:test:nonsense'/>"))


async def in_rooms(steps: Steps) -> None:
    room = steps.room
    attributes = rooms.Attributes("steps", None, None, False, [], False, False)

    def shown(room: Room) -> str:
        if room is None:
            return "none"
        return f"{room.nick} {room.role} {room.affiliation} {str(room.joined).lower()}"

    await steps.note("not in the room", lambda: rooms.get(room), shown)
    await steps.note("enter", lambda: rooms.open(room, attributes), shown)
    await steps.note("in the room", lambda: rooms.get(room), shown)
    await steps.note("who is there", lambda: rooms.occupants(room), lambda all: ",".join(one.nick for one in all))
    await steps.some("say something", lambda: say(room, "hello"))
    await steps.done("what it is about", lambda: rooms.set_subject(room, "steps & stairs"))
    await steps.done("keep an attribute", lambda: rooms.set_attribute(room, "height", 400))
    await steps.note("read it", lambda: rooms.get_attribute(room, "height"))
    await steps.note("who owns it", lambda: rooms.affiliations(room, "owner"), len)
    await steps.fails("throw out who is not there", lambda: rooms.kick(room, "nobody", None))
    await steps.done("leave", lambda: rooms.close(room))
    await steps.fails("leave again", lambda: rooms.close(room))
    await steps.fails("enter what is no room", lambda: rooms.open("@", attributes))
    await steps.fails("speak where one is not", lambda: say(room, "hello"))


async def account(steps: Steps) -> None:
    friend = steps.friend
    options = lambda after: archive.Options(friend, None, None, 2, None, after, None, False, None, None, None, None)
    pages = []

    async def first() -> int:
        pages.append(await archive.query(options(None)))
        return len(pages[0].messages)

    async def ends() -> str:
        words = [(one.message.body or "").split(" ")[0] async for one in archive.query_all(with_=friend)]
        return f"{words[0]} to {words[-1]}"

    count = lambda page: len(page.messages)
    await steps.note("a page of the archive", first)
    await steps.note("the next", lambda: archive.query(archive.next(pages[0].rsm, 3)), count)
    await steps.fails("after what is not there", lambda: archive.query(options("nowhere")))
    await steps.note("all of the archive", ends)

    full = lambda contact: contact.fullname if contact else "none"
    await steps.note("somebody who is no contact", lambda: contacts.get(friend), full)
    added = lambda contact: f"{contact.fullname} {contact.subscription}"
    await steps.note("add a contact", lambda: contacts.add(friend, "Fränd"), added)
    await steps.done("put it into a group", lambda: contacts.set_groups(friend, ["climbers"]))
    await steps.note("its groups", lambda: contacts.get(friend), lambda contact: ",".join(contact.groups))
    await steps.done("remove it", lambda: contacts.remove(friend))

    supports = lambda: disco.supports("urn:xmpp:ping", "localhost")
    await steps.note("what the server can do", supports, lambda answer: answer.supported)
    await steps.note("say what one can do", lambda: disco.own_features_add("urn:test:steps"))
    await steps.note("say it again", lambda: disco.own_features_add("urn:test:steps"))
    await steps.done("be away", lambda: user.set_status("away", "on the stairs"))
    await steps.note("how one is", user.get_status, lambda status: f"{status.value} {status.message}")
    await steps.fails("be what nobody is", lambda: user.set_status("asleep", None))

    await steps.done("add a command", lambda: commands.add("climb", "Climbs", "[STEPS]"))
    await steps.done("take it away", lambda: commands.remove("climb"))
    await steps.fails("take it away again", lambda: commands.remove("climb"))


async def in_commands(steps: Steps) -> None:
    # The decorator goes on while the handler does; the call itself says how it ended.
    declared = lambda name: commands.Declaration(
        name, "Climbs stairs", [],
        [
            commands.Argument("count", commands.Kind_Integer((1, 100)), True, "1", False, "", None),
            commands.Argument("how", commands.Kind_Choice(["slow", "fast"]), True, "slow", False, "", None),
            commands.Argument("loud", commands.Kind_Flag(), True, None, True, "", None),
            commands.Argument("why", commands.Kind_Rest(), True, None, False, "", None),
        ],
        [], 0, 0, None,
    )

    @on("command")
    async def stairs(command: Command) -> None:
        values = command.values
        hear("a command came", f"{values['count']} {values['how']} {str(values.get('loud', False)).lower()} {values['why']}")
        await send(steps.friend, "stairs")

    await steps.done("declare a command", lambda: commands.declare(declared("stairs")))
    await steps.fails("declare what is no name", lambda: commands.declare(declared("no name")))


async def in_schedules(steps: Steps) -> None:
    noon = "2026-07-01T12:00:00Z"
    await steps.fails("a schedule that is due too often", lambda: schedules.every("often", 0.001))
    await steps.note("set a schedule", lambda: schedules.at("late", "2100-01-01T00:00:00Z"))
    await steps.note("all schedules", schedules.list, lambda all: ",".join(one.name for one in all))
    await steps.note("a moment in a zone", lambda: schedules.format(noon, "Europe/Berlin", "%H:%M"))
    await steps.fails("a moment in no zone", lambda: schedules.format(noon, "Nowhere/At_All", "%H:%M"))
    await steps.note("end the schedule", lambda: schedules.cancel("late"))
    await steps.note("end it again", lambda: schedules.cancel("late"))


async def others(steps: Steps) -> None:
    """Calls for somebody else, who is not there."""
    await steps.fails("ask nobody", lambda: dialogs.ask("@", "Well?"))
    await steps.fails("answer a request that nobody sent", lambda: iq.answer("none", None))
    await steps.fails("give a verdict on nothing", lambda: _hooks.allow("none"))
    await steps.fails("ask a plugin that is not there", lambda: plugins.call("nobody", "rate", 1))
    await steps.fails("read a node of the host", lambda: pubsub.items("pubsub.localhost", "storage:bookmarks", 1))
