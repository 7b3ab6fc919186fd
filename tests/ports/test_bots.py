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


class Bot(test_layer.Case):
    async def test_the_bot_gives_what_its_plugins_give(self) -> None:
        texts = errbot(f"""
            @botcmd
            def go(self, msg, args):
                self._bot.send(self._bot.build_identifier("{HALL}"), "Good evening")
                self._bot.query_room("{HALL}").leave()
                return f"{{self._bot.bot_identifier}} {{len(self._bot.rooms())}} {{self._bot.mode}}"
        """)
        result = sample.port(texts)
        self.assertEqual(sample.told(result, "lacks"), [])
        permissions = {*tomllib.loads(result["files"]["plugin.toml"])["permissions"]}
        self.assertEqual(permissions, {"messages.send", "rooms.send", "rooms.read", "rooms.join"})
        self.assertNotIn("settings.prefix", result["files"]["plugin.toml"])
        await self.begun(texts)
        self.assertEqual(await self.answers("!go"), ["Good evening", "bot@example.org 0 xmpp"])
        self.assertEqual(self.host.calls, [("close", HALL)])

    async def test_pollers_are_listed_until_they_end(self) -> None:
        texts = errbot("""
            def activate(self):
                super().activate()
                self.start_poller(10, self.poll, times=1, args=(1,), kwargs={"b": 2})
                self.start_poller(20, self.watch)

            def poll(self, a, b):
                pass

            def watch(self):
                pass

            @botcmd
            def go(self, msg, args):
                return f"{len(self.current_pollers)} {(self.poll, [1], {'b': 2}) in self.current_pollers} {(self.watch, [], {}) in self.current_pollers}"

            @botcmd
            def stop(self, msg, args):
                self.stop_poller(self.watch)
        """)
        self.assertEqual(sample.told(sample.port(texts), "lacks"), [])
        await self.begun(texts)
        self.assertEqual(await self.answers("!go"), ["2 True True"])
        poll, watch = self.host.timers
        await poll.later()
        await poll.later()
        self.assertEqual(await self.answers("!go"), ["1 False True"])
        self.assertEqual((poll.ended, watch.ended), (True, False))
        await self.host.says("!stop")
        self.assertEqual(await self.answers("!go"), ["0 False False"])
        self.assertTrue(watch.ended)

    async def test_a_plugin_says_why_it_does_not_start(self) -> None:
        texts = errbot("""
            def activate(self):
                raise PluginActivationException("no tea")
        """)
        texts["a.py"] = "from errbot.plugin_manager import PluginActivationException\n" + texts["a.py"]
        self.assertEqual(sample.told(sample.port(texts), "lacks"), [])
        with self.assertRaisesRegex(Exception, "no tea"):
            await self.begun(texts)

    async def test_own_values_of_the_configuration_are_settings(self) -> None:
        texts = errbot("""
            @botcmd
            def go(self, msg, args):
                if not hasattr(self.bot_config, "TEA_TOKEN"):
                    return "no token"
                if msg.frm.nick in self._bot.bot_config.TEA_FRIENDS:
                    return f"{self.bot_config.TEA_TOKEN} {getattr(self.bot_config, 'TEA_CUPS', 2)}"

            @botcmd
            def other(self, msg, args):
                return self.bot_config.BOT_DATA_DIR + self.bot_config.get("TEA")
        """)
        result = sample.port(texts)
        self.assertEqual([one.partition(" ")[2] for one in sample.told(result, "lacks")], ["self.bot_config"])
        self.assertEqual(checked(result)[:2], ["self.bot_config.TEA_TOKEN", "msg.frm.nick in self._bot.bot_config.TEA_FRIENDS"])
        self.assertEqual(checked(result)[2:], ["self.bot_config.TEA_FRIENDS", "self.bot_config.TEA_CUPS", "self.bot_config.TEA_TOKEN"])
        settings = tomllib.loads(result["files"]["plugin.toml"])["settings"]
        self.assertEqual({name: one["type"] for name, one in settings.items()}, {"tea_token": "secret", "tea_friends": "list", "tea_cups": "number"})
        await self.begun(texts, tea_cups=3, tea_friends=["alice"])
        self.assertEqual(await self.answers("!go"), ["no token"])
        self.host.settings["tea_token"] = "green"
        self.assertEqual(await self.answers("!go"), ["green 3"])
        with self.assertRaises(NotImplementedError):
            await self.host.says("!other")

    def test_commands_that_are_made_later_are_told(self) -> None:
        texts = errbot("def a(self):\n    self.create_dynamic_plugin('b', (Command(lambda plugin, msg, args: 'b', name='b'),))\n")
        texts["a.py"] = texts["a.py"].replace("import BotPlugin", "import Command, BotPlugin")
        found = [one for one in sample.port(texts)["findings"] if one["kind"] == "lacks"]
        self.assertEqual({one["why"] for one in found}, {"commands are those of the source"})
        self.assertEqual([one["what"] for one in found], ["errbot.Command", "self.create_dynamic_plugin"])


class Others(test_layer.Case):
    def texts(self) -> dict[str, str]:
        texts = errbot("""
            def activate(self):
                super().activate()
                self.shop = self.get_plugin("Shop")
                self.log.info(self.shop.opened)

            @botcmd
            def go(self, msg, args):
                return f"{self.shop.sell(1)} {self['tea']}"

            def callback_connect(self):
                self["tea"] = "green"

            @botcmd
            def other(self, msg, args):
                return self.get_plugin("Cups") or self.get_plugin(args)
        """)
        texts["a.plug"] += "DependsOn = Shop\n"
        texts["b.plug"] = "[Core]\nName = Shop\nModule = b\n"
        texts["b.py"] = (
            "from errbot import BotPlugin\n\n\nclass Shop(BotPlugin):\n    def activate(self):\n        super().activate()\n        self.opened = 'at nine'\n"
            "    def sell(self, cups):\n        self['sold'] = self.get('sold', 0) + cups\n        return self['sold']\n")
        return texts

    async def test_plugins_of_a_folder_know_each_other(self) -> None:
        result = sample.port(self.texts())
        self.assertEqual([one.partition(" ")[2] for one in sample.told(result, "lacks")], ["self.get_plugin"])
        await self.begun(self.texts())
        self.assertEqual(await self.answers("!go") + await self.answers("!go"), ["1 green", "2 green"])
        # Each keeps its own.
        self.assertEqual({key: value for key, value in self.host.kept.items()}, {"A/tea": b'"green"', "Shop/sold": b"2"})
        with self.assertRaisesRegex(NotImplementedError, "no Cups in the folder"):
            await self.host.says("!other")

    def test_plugins_that_need_each_other_are_both_there(self) -> None:
        texts = self.texts()
        texts["b.plug"] += "DependsOn = A, Elsewhere\n"
        self.assertEqual(sample.port(texts)["files"]["plugin.py"].count("errbot.run("), 2)


if __name__ == "__main__":
    unittest.main()
