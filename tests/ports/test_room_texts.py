"""Names and subjects of rooms in plugins of maubot: `python3 -m unittest discover tests/ports`."""

import tomllib
import unittest
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import sample
import test_layer
from test_maubot import HALL, occupant, plugin

TYPES = "from mautrix.errors import MForbidden\nfrom mautrix.types import EventType, StateEvent\n"
TOPICS = (
    "@event.on(EventType.ROOM_TOPIC)\nasync def a(self, evt: StateEvent):\n    before = evt.unsigned.prev_content\n"
    "    await self.client.send_text(evt.room_id, f'{evt.sender} {evt.type} {before and before.topic} > {evt.content.topic} {evt.state_key!r}')\n"
)
NAMES = (
    "@event.on(EventType.find('m.room.name'))\nasync def b(self, evt: StateEvent):\n"
    "    await self.client.send_text(evt.room_id, f'{evt.sender} {(evt.prev_content or {}).get(\"name\")} > {evt.content[\"name\"]}')\n"
)


def room(subject: Any = None, name: Any = None) -> SimpleNamespace:
    return SimpleNamespace(jid=HALL, joined=True, subject=subject, name=name)


class Heard(test_layer.Case):
    async def begin(self, body: str, room_of_start: Any = None) -> Any:
        texts = plugin(body, TYPES)
        result = sample.port(texts)
        self.assertEqual(sample.told(result, "lacks"), [])
        self.assertIn("rooms.read", tomllib.loads(result["files"]["plugin.toml"])["permissions"])
        self.parlor = sample.begun(texts, Path(self.folder.name))
        self.host = self.parlor.host
        if room_of_start is not None:
            self.host.rooms[HALL] = room_of_start
        await self.host.start()
        return result

    async def test_a_new_subject_is_heard_once_with_the_one_before(self) -> None:
        await self.begin(TOPICS, room("Tea"))
        self.assertEqual(self.host.take(), [])
        self.assertEqual(await self.heard("roomSubjectChanged", room("Tea")), [])
        self.assertEqual(await self.heard("roomSubjectChanged", room("Milk")), [f"{HALL} m.room.topic Tea > Milk ''"])
        self.assertEqual(await self.heard("roomSubjectChanged", room(None)), [f"{HALL} m.room.topic Milk >  ''"])
        # Nobody knows what it was before the account left.
        await self.heard("roomLeft", room(None))
        self.assertEqual(await self.heard("roomSubjectChanged", room("Tea")), [f"{HALL} m.room.topic None > Tea ''"])

    async def test_a_new_name_is_heard_when_something_happens_in_the_room(self) -> None:
        await self.begin(NAMES + "@command.passive('tea')\nasync def c(self, evt, match):\n    pass", room(None, "Hall"))
        self.assertEqual(await self.heard("occupantJoined", occupant("bob")), [])
        self.host.rooms[HALL] = room(None, "Ball")
        self.assertEqual(await self.heard("occupantLeft", occupant("bob")), [f"{HALL} Hall > Ball"])
        self.assertEqual(await self.heard("occupantLeft", occupant("bob")), [])
        self.host.rooms[HALL] = room(None, "Shawl")
        self.assertEqual(await self.answers("hello", chat=HALL, kind="groupchat", nick="bob"), [f"{HALL} Ball > Shawl"])
        # The host asks the room again, which answers later.
        self.host.rooms[HALL] = room(None, None)
        self.assertEqual(await self.heard("chatRoomOpened", room()), [])
        self.host.rooms = {}
        self.assertEqual(await self.heard("occupantLeft", occupant("bob")), [])

    async def test_the_name_of_a_room_that_is_entered_is_heard(self) -> None:
        await self.begin(NAMES)
        self.host.rooms[HALL] = room(None, "Hall")
        self.assertEqual(await self.heard("chatRoomOpened", room()), [f"{HALL} None > Hall"])

    async def test_a_plugin_knows_what_it_has_set_itself(self) -> None:
        await self.begin(
            "@event.on(EventType.ROOM_TOPIC)\nasync def a(self, evt):\n    if evt.sender != self.client.mxid:\n"
            "        await self.client.send_text(evt.room_id, evt.content.topic)\n"
            "        try:\n            await self.client.send_state_event(evt.room_id, EventType.ROOM_TOPIC, {'topic': 'Tea'})\n"
            "        except MForbidden:\n            pass", room("Tea"))
        self.assertEqual(await self.heard("roomSubjectChanged", room("Milk")), ["Milk"])
        self.assertEqual(self.host.calls, [("set_subject", HALL, "Tea")])
        self.assertEqual(await self.heard("roomSubjectChanged", room("Tea")), [])
        # Somebody else sets another one, and the room does not let the plugin set it again.
        self.host.moderation_denied = True
        self.assertEqual(await self.heard("roomSubjectChanged", room("Juice")), ["Juice"])
        self.assertEqual(await self.heard("roomSubjectChanged", room("Tea")), ["Tea"])

    async def test_a_plugin_that_listens_to_everything_hears_of_both(self) -> None:
        await self.begin("@event.on(EventType.ALL)\nasync def a(self, evt):\n    await self.client.send_text(evt.room_id, str(evt.type))", room())
        self.host.rooms[HALL] = room(None, "Hall")
        self.assertEqual(await self.heard("chatRoomOpened", room()), ["m.room.name"])
        self.assertEqual(await self.heard("roomSubjectChanged", room("Tea")), ["m.room.topic"])


class Told(unittest.TestCase):
    def test_each_is_told_with_what_is_different(self) -> None:
        for kind, part in (("EventType.ROOM_NAME", "next message"), ("EventType.ROOM_TOPIC", "enters a room")):
            result = sample.port(plugin(f"@event.on({kind})\nasync def a(self, evt):\n    pass", TYPES))
            [one] = [one for one in result["findings"] if "@event.on" in one["what"]]
            self.assertEqual((one["kind"], one["what"]), ("check", f"@event.on({kind})"))
            self.assertIn(part, one["why"])
            self.assertEqual({*tomllib.loads(result["files"]["plugin.toml"])["permissions"]}, {"rooms.read"})


if __name__ == "__main__":
    unittest.main()
