"""Reactions that come and go, in plugins of maubot: `python3 -m unittest discover tests/ports`."""

import unittest
from types import SimpleNamespace
from typing import Any

import test_layer
from test_maubot import HALL, plugin

TYPES = "from mautrix.types import *\n"

VOTES = plugin(
    "@event.on(EventType.REACTION)\n"
    "async def came(self, evt: ReactionEvent) -> None:\n"
    "    await evt.respond(f'+ {evt.content.relates_to.key} {evt.event_id}')\n"
    "@event.on(EventType.ROOM_REDACTION)\n"
    "async def went(self, evt: RedactionEvent) -> None:\n"
    "    await self.client.send_text(evt.room_id, f'- {evt.redacts} by {evt.sender}')", TYPES)


class Reactions(test_layer.Case):
    async def reacts(self, number: str, *emojis: str, **named: Any) -> list[str]:
        """What the plugin says about a message that has these reactions to another one."""
        reactions = test_layer.extensions(reactions=SimpleNamespace(id="m9", emojis=list(emojis)))
        await self.host.says("", **{"id": number, "extensions": reactions, **named})
        return [text for _, text in self.host.take()]

    async def test_a_withdrawn_reaction_is_taken_back_by_the_id_that_it_had(self) -> None:
        await self.begun(VOTES)
        self.assertEqual(await self.reacts("r1", "👍"), ["+ 👍 r1"])
        # Each reaction has an id of its own, also if several came together, and what was withdrawn comes first.
        self.assertEqual(await self.reacts("r2", "👎", "🍵"), ["- r1 by alice@example.org", "+ 👎 r2", "+ 🍵 r2#🍵"])
        self.assertEqual(await self.reacts("r3", "👎"), ["- r2#🍵 by alice@example.org"])
        self.assertEqual(await self.reacts("r4"), ["- r2 by alice@example.org"])
        self.assertEqual(await self.reacts("r5"), [])

    async def test_in_a_room_only_the_same_occupant_withdraws_a_reaction(self) -> None:
        await self.begun(VOTES)
        room: dict[str, Any] = {"chat": HALL, "kind": "groupchat", "nick": "bob"}
        self.assertEqual(await self.reacts("r1", "👍", stanza_id="s1", occupant_id="o1", **room), ["+ 👍 s1"])
        # Somebody else has taken the nickname.
        self.assertEqual(await self.reacts("r2", stanza_id="s2", occupant_id="o2", **room), [])
        # The same person has another one.
        self.assertEqual(await self.reacts("r3", stanza_id="s3", occupant_id="o1", **{**room, "nick": "rob"}), [f"- s1 by {HALL}/rob"])

    async def test_without_occupant_ids_nobody_can_tell_whose_reaction_it_is(self) -> None:
        await self.begun(VOTES)
        room: dict[str, Any] = {"chat": HALL, "kind": "groupchat", "nick": "bob"}
        self.assertEqual(await self.reacts("r1", "👍", stanza_id="s1", **room), ["+ 👍 s1"])
        self.assertEqual(await self.reacts("r2", stanza_id="s2", **room), [])
        through: dict[str, Any] = {"chat": f"{HALL}/bob"}
        self.assertEqual(await self.reacts("r3", "👍", **through), ["+ 👍 r3"])
        self.assertEqual(await self.reacts("r4", **through), [])


if __name__ == "__main__":
    unittest.main()
