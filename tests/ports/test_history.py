"""Archives, levels that something needs, and ids of events in plugins of maubot: `python3 -m unittest discover tests/ports`."""

import tomllib
import unittest
from types import SimpleNamespace
from typing import Any

import sample
import test_layer
from test_maubot import plugin
from test_rooms import BY, HALL, occupant

TYPES = "from mautrix.errors import MForbidden\nfrom mautrix.types import EventType, Membership, PaginationDirection, StateEvent\n"
READS = """
async def read(self, room, direction, limit, wanted=None):
    found, end = [], None
    while True:
        page = await self.client.get_messages(room_id=room, direction=direction, from_token=end, limit=limit, filter_json=wanted)
        found.append(' '.join(f'{one.sender.partition("/")[2] or "bot"}:{one.content.body}' for one in page.events))
        end = page.end
        if not end:
            return found
"""


class History(test_layer.Case):
    async def reads(self, call: str) -> None:
        await self.begun(plugin(f"{READS}@command.new('a')\nasync def a(self, evt: MessageEvent) -> None:\n    room = evt.room_id\n    {call}", TYPES))
        self.host.rooms[HALL] = SimpleNamespace(jid=HALL)
        self.host.archives[HALL] = [self.said(number, nick, body) for number, (nick, body) in enumerate((
            ("bob", "tea"), ("eve", "spam"), ("bot", "welcome"), ("eve", "?"), ("eve", "more spam")))]

    def said(self, number: int, nick: str, body: str, **given: Any) -> Any:
        return self.parlor.Message(body, HALL, "groupchat", nick=nick, id=f"m{number}", stanza_id=f"s{number}", own=nick == "bot", delayed=True, **given)

    async def test_an_archive_is_read_from_either_end_in_pages(self) -> None:
        call = "await evt.respond(str([await self.read(room, one, 2) for one in PaginationDirection]), markdown=False)"
        await self.reads(call)
        # What cannot be decrypted has no text.
        self.assertEqual(await self.answers("!a", **BY), [str([
            ["bob:tea eve:spam", "bot:welcome", "eve:more spam"], ["eve:more spam", "bot:welcome eve:spam", "bob:tea"]])])

    async def test_a_page_is_taken_apart(self) -> None:
        await self.reads(
            "start, end, events = await self.client.get_messages(room, from_token='s4', limit=2)\n"
            "    await evt.respond(str([start, end, len(events)]), markdown=False)")
        self.assertEqual(await self.answers("!a", **BY), ["['s4', 's2', 1]"])

    async def test_senders_and_types_are_chosen(self) -> None:
        await self.reads(
            "for one in ({'senders': [f'{room}/eve'], 'not_types': ['m.room.redaction']}, {'not_senders': [f'{room}/eve']}, {'types': ['m.reaction']}):\n"
            "        await evt.respond(str(await self.read(room, PaginationDirection.BACKWARD, 10, one)), markdown=False)")
        self.assertEqual(await self.answers("!a", **BY), ["['eve:more spam eve:spam']", "['bot:welcome bob:tea']", "['']"])

    async def test_reactions_and_retractions_are_no_messages(self) -> None:
        await self.reads("await evt.respond(str(await self.read(room, 'b', 10)), markdown=False)")
        self.host.archives[HALL] = [
            self.said(1, "bob", "tea"), self.said(2, "bob", "x", extensions=test_layer.extensions(retract="s1")),
            self.said(3, "eve", "y", extensions=test_layer.extensions(reactions=SimpleNamespace(id="s1", emojis=["y"])))]
        self.assertEqual(await self.answers("!a", **BY), ["['bob:tea']"])

    async def test_a_message_of_an_archive_is_taken_back_by_the_room(self) -> None:
        await self.reads(
            "page = await self.client.get_messages(room, limit=3)\n"
            "    for one in page.events:\n        await self.client.redact(room, one.event_id, reason='spam')")
        await self.host.says("!a", **BY)
        self.assertEqual(self.host.calls, [("retract", HALL, "s4", "spam")])
        # The own one takes itself back.
        self.assertEqual([(place, one.retract) for place, one in self.host.sent], [(HALL, "s2")])

    async def test_what_came_is_still_known_after_a_long_archive(self) -> None:
        await self.reads("await self.read(room, 'b', 100)\n    await self.client.react(room, 's-before', '!')")
        self.host.archives[HALL] = [self.said(number, "eve", "spam") for number in range(1200)]
        await self.host.says("tea", chat=HALL, kind="groupchat", nick="bob", stanza_id="s-before")
        await self.host.says("!a", **BY)
        [(_, sent)] = self.host.sent
        self.assertEqual((sent.react_to.stanza_id, sent.emojis), ("s-before", ["!"]))

    async def test_what_is_not_granted_is_forbidden(self) -> None:
        await self.reads("try:\n        await self.client.get_messages(room)\n    except MForbidden:\n        await evt.respond('no')")
        self.host.archive_denied = True
        self.assertEqual(await self.answers("!a", **BY), ["no"])

    def test_the_manifest_asks_for_it(self) -> None:
        result = sample.port(plugin("async def a(self):\n    return await self.client.get_messages('a')"))
        self.assertEqual((sample.told(result, "lacks"), sample.told(result, "check")), ([], ["a.py:7 self.client.get_messages"]))
        permissions = tomllib.loads(result["files"]["plugin.toml"])["permissions"]
        self.assertEqual(permissions["archive.read"]["scope"], ["*"])
        self.assertNotIn("archive.read", tomllib.loads(sample.port(plugin("a = 1"))["files"]["plugin.toml"])["permissions"])


class Levels(test_layer.Case):
    async def test_a_level_is_compared_with_the_one_that_an_event_needs(self) -> None:
        texts = plugin(
            "@command.new('a')\n@command.argument('who')\nasync def a(self, evt: MessageEvent, who: str) -> None:\n    assert self.client.state_store\n"
            "    kinds = EventType.ROOM_MESSAGE, EventType.ROOM_TOPIC\n    who = who or self.client.mxid\n"
            "    await evt.respond(str([await self.client.state_store.has_power_level(evt.room_id, who, one) for one in kinds]))", TYPES)
        result = sample.port(texts)
        self.assertEqual(sample.told(result, "lacks"), [])
        self.assertIn("rooms.read", tomllib.loads(result["files"]["plugin.toml"])["permissions"])
        await self.begun(texts)
        self.host.rooms[HALL] = SimpleNamespace(jid=HALL)
        self.host.occupants[HALL] = [occupant("bot", own=True, role="moderator"), occupant("mute", role="visitor"), occupant("bob")]
        for who, has in (("", [True, True]), (f"{HALL}/mute", [False, False]), (f"{HALL}/bob", [True, False])):
            self.assertEqual(await self.answers(f"!a {who}", **BY), [str(has)], who)
        # In a chat, everybody may speak.
        self.assertEqual(await self.answers("!a"), ["[True, False]"])


class Ids(test_layer.Case):
    async def test_no_two_events_have_one_id(self) -> None:
        await self.begun(plugin(
            "seen = []\n@event.on(EventType.ROOM_MEMBER)\n@event.on(EventType.ROOM_POWER_LEVELS)\nasync def a(self, evt: StateEvent):\n"
            "    if evt.event_id in self.seen:\n        return\n    self.seen.append(evt.event_id)\n"
            "    await self.client.send_text(evt.room_id, str(evt.type))", TYPES))
        self.host.occupants[HALL] = []
        bob = occupant("bob")
        self.assertEqual(await self.heard("occupantJoined", bob) + await self.heard("occupantLeft", bob), ["m.room.member"] * 2)
        changes = []
        for role in ("participant", "moderator", "participant"):
            self.host.occupants[HALL] = [occupant("bob", role=role)]
            changes += await self.heard("occupantChanged", self.host.occupants[HALL][0])
        self.assertEqual(changes, ["m.room.power_levels"] * 2)


class Addresses(unittest.TestCase):
    def told(self, line: str) -> list[str]:
        result = sample.port(plugin(f"async def a(self, evt, room, room_alias, body):\n    return {line}"))
        return [one.partition(" ")[2] for one in sample.told(result, "check")]

    def test_first_characters_of_addresses_of_matrix_are_told(self) -> None:
        for line in ("room.startswith('!')", "room_alias.startswith('#')", "evt.sender.startswith('@')", "evt.room_id.startswith(('!', '#'))"):
            self.assertEqual(self.told(line), [line], line)

    def test_those_of_other_texts_are_not(self) -> None:
        for line in ("body.startswith('!')", "evt.content.body.startswith('#')", "room.startswith('hall')", "body.broom.startswith('#')", "room.startswith()"):
            self.assertEqual(self.told(line), [], line)


if __name__ == "__main__":
    unittest.main()
