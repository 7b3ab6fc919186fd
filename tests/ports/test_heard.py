"""Rooms, reactions and texts in plugins of errbot: `python3 -m unittest discover tests/ports`."""

import tomllib
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import sample
import test_layer
from test_rooms import HALL, occupant


def room(**given: Any) -> SimpleNamespace:
    return SimpleNamespace(**{"jid": HALL, "joined": True, "subject": "Tea", "actor": None, **given})


def plugin(body: str, head: str = "") -> dict[str, str]:
    texts = test_layer.errbot(body)
    return {**texts, "a.py": head + texts["a.py"]}


class Rooms(test_layer.Case):
    async def begin(self, texts: dict[str, str]) -> None:
        result = sample.port(texts)
        self.assertEqual(sample.told(result, "lacks"), [])
        self.assertIn("rooms.read", tomllib.loads(result["files"]["plugin.toml"])["permissions"])
        self.parlor = sample.begun(texts, Path(self.folder.name))
        self.host = self.parlor.host
        self.host.rooms[HALL] = room()
        await self.host.start()

    async def test_the_rooms_of_the_account_are_told_once(self) -> None:
        await self.begin(plugin("""
            def callback_room_joined(self, room):
                self.send(room, f"in {room}")

            def callback_room_left(self, room):
                self.send(self.build_identifier("alice@example.org"), f"out of {room}")

            def callback_room_topic(self, room):
                self.send(room, room.topic)
        """))
        self.assertEqual(self.host.take(), [(HALL, f"in {HALL}")])
        self.assertEqual(await self.heard("chatRoomOpened", room()), [])
        # It asks for no people.
        self.assertEqual(await self.heard("occupantJoined", occupant("bob")), [])
        self.assertEqual(await self.heard("roomSubjectChanged", room()), ["Tea"])
        self.assertEqual(await self.heard("roomLeft", room()), [f"out of {HALL}"])
        self.assertEqual(await self.heard("chatRoomOpened", room()), [f"in {HALL}"])

    async def test_everybody_is_told_to_a_method_that_takes_a_person(self) -> None:
        await self.begin(plugin("""
            async def callback_room_joined(self, room, user, invited_by):
                await asyncio.sleep(0)
                self.send(room, f"{user} {invited_by}")

            def callback_room_left(self, room, user, kicked_by=None):
                self.send(room, f"{user.nick} {kicked_by}")
        """))
        self.assertEqual(self.host.take(), [(HALL, "bot@example.org None")])
        self.assertEqual(await self.heard("occupantJoined", occupant("bob")), [f"{HALL}/bob None"])
        self.assertEqual(await self.heard("occupantJoined", occupant("bot", own=True)), [])
        by = SimpleNamespace(nick="olga", jid=None)
        self.assertEqual(await self.heard("occupantLeft", occupant("bob", actor=by)), [f"bob {HALL}/olga"])


class Reactions(test_layer.Case):
    async def test_reactions_come_and_go(self) -> None:
        texts = plugin("""
            @botcmd
            def tea(self, msg, args):
                return "Tea?"

            def callback_message(self, msg):
                self.log.debug("heard")

            def callback_reaction(self, reaction):
                shown = reaction.action == REACTION_ADDED, reaction.reaction_name, str(reaction.reactor), str(reaction.reacted_to_owner)
                self.send(reaction.reactor, f"`{shown} {reaction.reacted_to}`")
        """, "from errbot.backends.base import REACTION_ADDED, Reaction\n")
        result = sample.port(texts)
        self.assertEqual((sample.told(result, "lacks"), sample.told(result, "check")), ([], ["a.py:15 callback_reaction()"]))
        self.assertIn("messages.read", tomllib.loads(result["files"]["plugin.toml"])["permissions"])
        await self.begun(texts)
        self.assertEqual(await self.answers("!tea"), ["Tea?"])

        numbers = count()

        async def reacts(number: str, *emojis: str) -> list[str]:
            given = test_layer.extensions(reactions=SimpleNamespace(id=number, emojis=list(emojis)))
            return await self.answers("> Tea?", id=f"r{next(numbers)}", extensions=given)

        alice = "alice@example.org"
        self.assertEqual(await reacts("id1", "👍"), [f"`(True, '👍', '{alice}', 'bot@example.org') {{'id': 'id1', 'text': None}}`"])
        self.assertEqual(await reacts("id1", "👎"), [
            f"`(False, '👍', '{alice}', 'bot@example.org') {{'id': 'id1', 'text': None}}`", f"`(True, '👎', '{alice}', 'bot@example.org') {{'id': 'id1', 'text': None}}`"])
        self.assertEqual(await self.answers("green", id="m7"), [])
        self.assertEqual(await reacts("m7", "🍵"), [f"`(True, '🍵', '{alice}', '{alice}') {{'id': 'm7', 'text': 'green'}}`"])
        self.assertEqual(await reacts("m8", "🍵"), [f"`(True, '🍵', '{alice}', 'None') {{'id': 'm8', 'text': None}}`"])

    async def test_a_reaction_is_no_message(self) -> None:
        await self.begun(plugin("def callback_message(self, msg):\n    self.send(msg.frm, msg.body)\n"))
        given = test_layer.extensions(reactions=SimpleNamespace(id="m1", emojis=["👍"]))
        self.assertEqual(await self.answers("> tea", extensions=given), [])


class Rendering(test_layer.Case):
    async def test_markdown_becomes_the_text_that_people_see_once(self) -> None:
        texts = plugin("""
            @botcmd
            def a(self, msg, args):
                yield text().convert("**tea** and *milk*")
                yield md().convert("**tea**")
                yield md_escape("*tea* [1] <b>")
                self.send(msg.frm, self.shown.convert("**green**"))

            shown = rendering.imtext()
        """, "from errbot import rendering\nfrom errbot.rendering import md, md_escape, text\n")
        self.assertEqual(sample.port(texts)["findings"], [])
        await self.begun(texts)
        said = await self.answers("!a")
        self.assertEqual([one.replace("\u2060", "") for one in said], ["*tea* and _milk_", "*tea*", "*tea* [1] <b>", "*green*"])

    def test_other_ways_to_write_are_told(self) -> None:
        result = sample.port(plugin("def a(self):\n    return xhtml(), TEA, self.get_plugin('Other')", "from errbot.rendering import xhtml\nfrom config import TEA\n"))
        self.assertEqual([one.partition(" ")[2] for one in sample.told(result, "lacks")], ["errbot.rendering.xhtml", "config", "self.get_plugin"])
        remedies = " ".join(one["instead"] for one in result["findings"])
        for part in ("text()", "self.bot_config.NAME", "a folder with both"):
            self.assertIn(part, remedies)

    async def test_a_page_beside_the_source_is_read(self) -> None:
        texts = plugin("@botcmd\ndef a(self, msg, args):\n    return (HERE / 'help.md').read_text()\n", "from pathlib import Path\nHERE = Path(__file__).parent\n")
        texts |= {"help.md": "Tea", "other.md": "Milk", "templates/c.md": "c"}
        result = sample.port(texts)
        self.assertEqual(sample.told(result, "lacks"), [])
        self.assertEqual([path for path in result["files"] if path.endswith(".md")], ["help.md"])
