"""Types of Matrix in plugins of maubot that XMPP has otherwise, or not at all: `python3 -m unittest discover tests/ports`."""

import asyncio
import tomllib
import unittest
from types import SimpleNamespace

import sample
import test_layer
from test_maubot import HALL, ROOM, plugin

BY = {"chat": HALL, "kind": "groupchat", "nick": "alice"}
TYPES = "from mautrix.types import *\n"


class Types(test_layer.Case):
    async def test_events_that_never_come_have_types(self) -> None:
        head = (
            "from mautrix.types import BaseRoomEvent, EncryptedEvent, EncryptedMegolmEventContent\n"
            "from mautrix.types.event.message import BaseFileInfo, ImageInfo\n"
            "from mautrix.util.config.base import ConfigUpdateHelper\nfrom mautrix.util.config.proxy import BaseProxyConfig\n")
        texts = plugin(
            "@event.on(EventType.ROOM_ENCRYPTED)\nasync def b(self, evt: EncryptedEvent) -> None:\n    pass\n"
            "@command.new\nasync def a(self, evt: BaseRoomEvent) -> None:\n"
            "    await evt.respond(str([isinstance(evt, EncryptedEvent), isinstance(evt.content, EncryptedMegolmEventContent), "
            "isinstance(ImageInfo('image/png'), BaseFileInfo), issubclass(self.get_config_class(), BaseProxyConfig)]))\n"
            "@classmethod\ndef get_config_class(cls):\n    return Config", f"{head}from mautrix.types import EventType\n"
            "class Config(BaseProxyConfig):\n    def do_update(self, helper: ConfigUpdateHelper) -> None:\n        helper.copy('a')\n", config="a: 1\n")
        self.assertEqual(sample.told(sample.port(texts), "lacks"), [])
        await self.begun(texts, a=1)
        self.assertEqual(await self.answers("!a"), ["[False, False, True, True]"])

    async def test_errors_by_their_general_names_are_those_that_the_layer_raises(self) -> None:
        texts = plugin(
            "@command.new\nasync def a(self, evt: MessageEvent) -> None:\n"
            "    for kind in (MatrixError, MatrixStandardRequestError, MatrixBadRequest):\n        try:\n"
            "            await self.client.get_event(evt.room_id, 'unknown')\n        except kind as error:\n            await evt.respond(f'{kind.__name__} {error.errcode}')\n"
            "        except MNotFound:\n            await evt.respond(MBadJSON.errcode)",
            "from mautrix.errors import MatrixBadRequest, MatrixError, MatrixStandardRequestError, MBadJSON, MNotFound\n")
        self.assertEqual(sample.told(sample.port(texts), "lacks"), [])
        await self.begun(texts)
        self.assertEqual(await self.answers("!a"), ["MatrixError M_NOT_FOUND", "MatrixRequestError M_NOT_FOUND", "M_BAD_JSON"])

    async def test_kinds_of_messages_and_events_say_what_they_are(self) -> None:
        await self.begun(plugin(
            "@command.new\nasync def a(self, evt: MessageEvent) -> None:\n"
            "    kinds = [MessageType.TEXT, MessageType.EMOTE, MessageType.IMAGE, MessageType.STICKER, MessageType.LOCATION]\n"
            "    await evt.respond(str([[one.is_text for one in kinds], [one.is_media for one in kinds], evt.content['msgtype'].is_text, "
            "EventType.DIRECT.is_account_data, evt.type.is_ephemeral, evt.type.is_to_device, media_reply_fallback_body_map[MessageType.IMAGE]]))", TYPES))
        self.assertEqual(await self.answers("!a"), [str([
            [True, True, False, False, False], [False, False, True, True, False], True, True, False, False, "an image"])])

    async def test_contents_of_states_that_xmpp_does_not_have_can_be_made(self) -> None:
        head = (
            "from mautrix.types.event.encrypted import EncryptionAlgorithm\nfrom mautrix.types.event.state import RoomEncryptionStateEventContent\n"
            "from mautrix.types.util.serializable_attrs import SerializableAttrs\nfrom mautrix.types.util.obj import Lst, Obj\nfrom mautrix.types.users import Member\n"
            "from mautrix.types import RoomAvatarStateEventContent, StateEventContent, HistoryVisibility, RoomHistoryVisibilityStateEventContent\n")
        texts = plugin(
            "@command.new\nasync def a(self, evt: MessageEvent) -> None:\n"
            "    kept = RoomEncryptionStateEventContent(EncryptionAlgorithm.MEGOLM_V1)\n"
            "    history = RoomHistoryVisibilityStateEventContent(HistoryVisibility.SHARED)\n"
            "    picture = RoomAvatarStateEventContent(url='https://x.example/a')\n"
            "    await evt.respond(str([kept.serialize(), history.serialize(), picture.url, isinstance(picture, StateEventContent), list(Lst([1]))]))", head)
        self.assertEqual(sample.told(sample.port(texts), "lacks"), [])
        await self.begun(texts)
        self.assertEqual(await self.answers("!a"), [str([
            {"algorithm": "m.megolm.v1.aes-sha2"}, {"history_visibility": "shared"}, "https://x.example/a", True, [1]])])

    async def test_mappings_by_dotted_keys(self) -> None:
        texts = plugin(
            "@command.new\nasync def a(self, evt: MessageEvent) -> None:\n"
            "    inner = {'a': {'b': 1}}\n    known = RecursiveDict(inner)\n    known['a.c.d'] = 2\n    del known['a.b']\n"
            "    try:\n        known['x']\n        raised = False\n    except KeyError:\n        raised = True\n"
            "    await evt.respond(str([RecursiveDict.parse_key('a.b.c'), RecursiveDict.parse_key('a'), inner, known['a.c.d'], known.get('a.b', 5), 'a.c' in known, raised]))",
            "from mautrix.util.config import RecursiveDict\n")
        self.assertEqual(sample.told(sample.port(texts), "lacks"), [])
        await self.begun(texts)
        self.assertEqual(await self.answers("!a"), [str([("a", "b.c"), ("a", None), {"a": {"c": {"d": 2}}}, 2, 5, True, True])])

    async def test_a_link_to_a_person_or_a_room_is_one_of_xmpp(self) -> None:
        await self.begun(plugin(
            "@command.new\nasync def a(self, evt: MessageEvent) -> None:\n"
            "    links = [MatrixURI.build(one) for one in (evt.room_id, evt.sender, UserID('o 1@example.org'))]\n"
            "    again = [MatrixURI.parse(one.matrix_to_url) for one in links]\n"
            "    try:\n        other = MatrixURI.parse('https://x.example/')\n    except ValueError:\n        other = None\n"
            "    await evt.respond(str([str(links[0]), links[1].matrix_uri, links[2].matrix_to_url, again[0].room_id, again[1].user_id, again[2].user_id, "
            "MatrixURI.build(evt.room_id, evt.event_id).event_id, other]))", TYPES))
        self.host.rooms[HALL] = ROOM
        expected = [f"xmpp:{HALL}?join", f"xmpp:{HALL}/alice", "xmpp:o%201@example.org", HALL, f"{HALL}/alice", "o 1@example.org", "m1", None]
        self.assertEqual(await self.answers("!a", **BY), [str(expected)])

    async def test_an_event_is_taken_back_by_itself(self) -> None:
        texts = plugin("@command.passive('spam')\nasync def a(self, evt: MessageEvent, _) -> None:\n    await evt.redact(reason='spam')")
        result = sample.port(texts)
        self.assertEqual((sample.told(result, "lacks"), sample.told(result, "check")), ([], ["a.py:8 evt.redact"]))
        self.assertTrue(tomllib.loads(result["files"]["plugin.toml"])["permissions"]["rooms.moderate"]["optional"])
        await self.begun(texts)
        await self.host.says("spam", **BY, stanza_id="s1")
        self.assertEqual(self.host.calls, [("retract", HALL, "s1", "spam")])

    async def test_fields_have_other_names_in_json(self) -> None:
        class Attribute:
            def __init__(self, **given: object) -> None:
                self.given = given

        sample.sys.modules["attr"] = SimpleNamespace(ib=lambda **given: Attribute(**given))  # type: ignore[assignment]
        self.addCleanup(sample.sys.modules.pop, "attr")
        await self.begun(plugin(
            "@command.new\nasync def a(self, evt: MessageEvent) -> None:\n    await evt.respond(str([URL.given, NUMBER.given]))",
            "from mautrix.types import field\nURL = field(json='webUrl')\nNUMBER = field(default=3, metadata={'x': 1})\n"))
        self.assertEqual(await self.answers("!a"), ["[{'metadata': {'json': 'webUrl'}}, {'metadata': {'x': 1}, 'default': 3}]"])


class Later(test_layer.Case):
    async def begun_later(self) -> None:
        await self.begun(test_layer.maubot("""
            @command.new("a")
            async def a(self, evt):
                self.sched.run_later(60, self.say(evt, "tea"))
                self.sched.run_later(60, self.fail())
                self.left = self.sched.run_later(60, self.say(evt, "never"))
                self.left.cancel()

            async def say(self, evt, text):
                await evt.respond(text)

            async def fail(self):
                raise ValueError("no tea")
        """))

    async def test_something_is_done_later_once(self) -> None:
        await self.begun_later()
        waited = []

        async def sleep(seconds: float, result: object = None) -> object:
            waited.append(seconds)
            return result

        sample.sys.modules["maubot.sched"].sleep = sleep  # type: ignore[attr-defined]
        await self.host.says("!a")
        with self.assertLogs("maubot") as logs:
            for _ in range(5):
                await asyncio.sleep(0)
        self.assertEqual((waited, [text for _, text in self.host.take()]), ([60, 60], ["tea"]))
        self.assertIn("no tea", logs.output[0])

    async def test_it_ends_with_the_plugin(self) -> None:
        await self.begun_later()
        gone = asyncio.Event()

        async def sleep(seconds: float, result: object = None) -> None:
            await gone.wait()

        sample.sys.modules["maubot.sched"].sleep = sleep  # type: ignore[attr-defined]
        await self.host.says("!a")
        for one in self.host.stops:
            await one()
        gone.set()
        for _ in range(5):
            await asyncio.sleep(0)
        self.assertEqual(self.host.take(), [])


if __name__ == "__main__":
    unittest.main()
