"""The bot itself in plugins of errbot, and the rooms that it enters: `python3 -m unittest discover tests/ports`."""

import tomllib
import unittest
from types import SimpleNamespace
from typing import Any

import sample
import test_layer
from test_flows import errbot

HALL = "hall@rooms.example.org"


def checked(result: dict[str, Any]) -> list[str]:
    """What is to be checked, without the places."""
    return [one.partition(" ")[2] for one in sample.told(result, "check")]


class Rooms(test_layer.Case):
    async def test_rooms_are_entered_and_left_in_the_order_of_the_messages(self) -> None:
        texts = errbot("""
            @botcmd
            def go(self, msg, args):
                room = self.query_room(args)
                room.join(username="Bob", password=None)
                self.send(room, "Good evening")
                room.topic = "tea"
                room.invite("carol@example.org", self.build_identifier("dan@example.org"))
                room.leave(reason="late")
                return "gone"
        """)
        result = sample.port(texts)
        self.assertEqual(sample.told(result, "lacks"), [])
        self.assertEqual(checked(result), ["room.join()", "room.topic", "room.invite()", "room.leave()"])
        self.assertLess({"rooms.join", "rooms.moderate", "rooms.read"}, {*tomllib.loads(result["files"]["plugin.toml"])["permissions"]})
        await self.begun(texts)
        calls = self.host.calls
        self.parlor.rooms.send = lambda jid, message: self.parlor._of_room("send")(jid, message)
        self.assertEqual(await self.answers(f"!go {HALL}"), ["gone"])
        self.assertEqual(calls, [
            ("open", HALL, ("nick", "Bob")), ("send", HALL, "Good evening"), ("set_subject", HALL, "tea"), ("invite", HALL, "carol@example.org"),
            ("invite", HALL, "dan@example.org"), ("close", HALL)])

    async def test_rooms_are_made_and_destroyed(self) -> None:
        texts = errbot(f"""
            def callback_connect(self):
                self.hall = self.query_room("{HALL}")
                if not self.hall.exists:
                    self.hall.create()

            def deactivate(self):
                self.hall.destroy()
                for room in self.rooms():
                    room.leave()
                super().deactivate()
        """)
        permissions = tomllib.loads(sample.port(texts)["files"]["plugin.toml"])["permissions"]
        self.assertEqual(permissions["rooms.configure"]["reason"], "to make rooms, and to destroy them")
        await self.begun(texts)
        self.assertEqual(self.host.calls, [("open", HALL, ("auto_configure", True))])
        self.host.rooms[HALL] = SimpleNamespace(jid=HALL)
        [stop] = self.host.stops
        await stop()
        self.assertEqual(self.host.calls[1:], [("destroy", HALL), ("close", HALL)])

    async def test_what_is_refused_fails_the_handler(self) -> None:
        await self.begun(errbot(f"""
            @botcmd
            def go(self, msg, args):
                self.query_room("{HALL}").join()
                return "there"
        """))
        self.host.moderation_denied = True
        with self.assertRaises(self.parlor.Denied):
            await self.host.says("!go")
        self.assertEqual(self.host.take(), [])

    def test_texts_are_no_rooms(self) -> None:
        result = sample.port(errbot("""
            @botcmd
            def go(self, msg, args):
                topic = args.topic
                self.path.join(", ".join(args), topic)
                return self.query_room(args).topic
        """))
        self.assertEqual(checked(result), [])
        self.assertNotIn("rooms.join", result["files"]["plugin.toml"])


if __name__ == "__main__":
    unittest.main()
