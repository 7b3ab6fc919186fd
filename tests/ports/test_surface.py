"""The report names each thing that the layer does not have: `python3 -m unittest discover tests/ports`."""

import importlib
import inspect
import sys
import unittest
from types import SimpleNamespace
from typing import Any

import sample
# The folder of these is on the path from here on.
import lacks  # noqa: I001
import surface
import test_layer
import test_port


def lacking(result: dict[str, Any]) -> list[str]:
    return [f"{one['line']} {one['what']}" for one in result["findings"] if one["kind"] == "lacks"]


def public(*owners: Any) -> set[str]:
    return {name for owner in owners for name in dir(owner) if not name.startswith("_")}


class Tables(unittest.TestCase):
    def test_the_layer_has_the_attributes_that_it_is_said_to_have_and_no_others(self) -> None:
        test_port.Samples.forget(self)
        sys.path[:0] = [str(sample.HERE / "fake"), str(sample.LAYERS)]
        try:
            self._errbot()
            self._maubot()
        finally:
            del sys.path[:2]
            test_port.Samples.forget(self)

    def _errbot(self) -> None:
        errbot = importlib.import_module("errbot")
        people = [kind("a@example.org/b") for kind in (errbot.Person, errbot.Room, errbot.RoomOccupant)]
        self.assertEqual(public(errbot.BotPlugin()) | {"_bot"}, surface.BOT_PLUGIN)
        self.assertEqual(public(errbot.Message("a", people[0])), surface.MESSAGE)
        self.assertEqual(public(*people), surface.PERSON)
        self.assertEqual(surface.BOT_PLUGIN & {*lacks.OF_SELF}, {"_bot", "bot_config"})
        decorators = importlib.import_module("errbot.decorators")
        of_errbot = importlib.import_module("of_errbot")
        for name, options in of_errbot.OPTIONS.items():
            for option in inspect.signature(getattr(decorators, name)).parameters.values():
                if option.kind is option.KEYWORD_ONLY:
                    self.assertIn(option.name, options, name)

    def _maubot(self) -> None:
        maubot, types, events = (importlib.import_module(name) for name in ("maubot", "mautrix.types", "maubot.events"))
        client = importlib.import_module("maubot.client").Client()
        self.assertEqual(public(maubot.Plugin("a", None)), surface.PLUGIN)
        message = importlib.import_module("parlor").Message("a")
        event = events.MessageEvent(client, message, None, None)
        annotated = {name for kind in (types.Event, types.StateEvent, types.RedactionEvent) for name in kind.__annotations__}
        self.assertEqual(public(event) | annotated, surface.EVENT)
        contents = (types.TextMessageEventContent(), types.MediaMessageEventContent(), types.MemberStateEventContent(), types.PowerLevelStateEventContent(),
                    types.RoomNameStateEventContent(), types.RoomTopicStateEventContent(), SimpleNamespace(redacts=1))
        self.assertEqual(public(*contents), surface.CONTENT)
        self.assertEqual(public(client) - {"invited", "set_text"}, lacks.CLIENT)
        self.assertEqual(public(importlib.import_module("mautrix.util.config").BaseProxyConfig()), surface.SETTINGS)
        self.assertEqual(public(importlib.import_module("maubot.sched").Scheduler()) - {"stop"}, lacks.SCHED)
        for name, options in surface.OPTIONS.items():
            module, _, function = name.rpartition(".")
            given = inspect.signature(getattr(importlib.import_module(module), function)).parameters.values()
            self.assertEqual({one.name for one in given if one.kind is not one.VAR_KEYWORD}, options, name)


class Told(unittest.TestCase):
    def test_what_nobody_knows_of_a_plugin_of_errbot_is_told_with_its_line(self) -> None:
        body = """
            limit = 3

            def activate(self):
                self.seen = []
                self.unheard_of()

            @botcmd
            def a(self, message, args):
                self.seen.append(message.thread_ts)
                self.helper(message.frm.userid, self.limit, message.frm.nick)
                return self.send_reaction(message, args)

            def helper(self, who, limit, nick):
                return self.config, self["x"], self._bot.prefix
        """
        self.assertEqual(
            lacking(sample.port(test_layer.errbot(body))),
            ["11 self.unheard_of", "15 message.thread_ts", "16 message.frm.userid", "17 self.send_reaction"])

    def test_what_nobody_knows_of_a_plugin_of_maubot_is_told_with_its_line(self) -> None:
        body = """
            async def start(self) -> None:
                self.cache = {}
                self.unheard_of()

            @command.new("a", arg_fallback=True)
            @command.argument("b", optional=True)
            async def a(self, evt, b):
                await evt.forward(evt.content.geo_uri, self.cache)

            async def b(self, given: MessageEvent) -> None:
                await self.sched.run_once(self.client.create_space, given.keys)
        """
        self.assertEqual(
            lacking(sample.port(test_layer.maubot(body))),
            ["11 self.unheard_of", "13 @command.new(arg_fallback=…)", "14 @command.argument(optional=…)", "16 evt.content.geo_uri", "16 evt.forward",
             "19 given.keys", "19 self.client.create_space", "19 self.sched.run_once"])

    def test_what_nobody_knows_of_the_settings_of_a_plugin_of_maubot_is_told(self) -> None:
        body = """
            async def start(self) -> None:
                self.config.load_and_update()
                self.rules = self.config.rules, self.config.clone(), self.config.get("tea")
                self.config.update({"tea": "green"})
        """
        texts = test_layer.maubot(body)
        own = "from mautrix.util.config import BaseProxyConfig\nclass Config(BaseProxyConfig):\n    rules: list\n"
        self.assertEqual(lacking(sample.port({**texts, "a.py": own + texts["a.py"]})), ["15 self.config.update"])
        # It may be anything.
        other = texts["a.py"].replace("self.config.load_and_update()", "self.config = {}")
        self.assertEqual(lacking(sample.port({**texts, "a.py": other})), [])

    def test_data_of_another_network_is_told_unless_the_plugin_stores_it(self) -> None:
        body = """
            @botcmd
            def a(self, msg, args):
                msg.extras["own"] = args
                return msg.extras["own"], msg.extras["chat_event"]["user"], msg.extras.get("attachments")
        """
        self.assertEqual(lacking(sample.port(test_layer.errbot(body))), ["10 msg.extras['attachments']", "10 msg.extras['chat_event']"])

    def test_what_the_plugin_sets_or_inherits_is_known(self) -> None:
        for body in (
            "def a(self):\n    return self.b\ndef c(self, other):\n    other.b = 1",
            "def a(self):\n    setattr(self, 'b', 1)\n    return self.b",
            "def a(self, name):\n    setattr(self, name, 1)\n    return self.b",
            "def __getattr__(self, name):\n    return 1\ndef a(self):\n    return self.b",
            "b: int\ndef a(self):\n    return self.b",
            "for b in (1, 2):\n    pass\ndef a(self):\n    return self.b",
            "@botcmd\ndef a(self, msg, args):\n    msg.frm.b = 1\n    return msg.frm.b",
            "@botcmd\ndef a(self, msg, args):\n    msg = msg.body\n    return msg.split()",
            "@botcmd\ndef a(self, msg, args):\n    for msg in args.split():\n        yield msg.upper()",
            "@botcmd\ndef a(self, msg, args):\n    return msg.b if hasattr(msg, 'b') else msg.__class__",
            "class B:\n    def c(self):\n        return self.b",
            "def a(self):\n    class B:\n        def c(self):\n            return self.b\n    return B",
            "def a(self):\n    self.__dict__.update(b=1)\n    return self.b",
            "def a(self):\n    vars(self).update(b=1)\n    return self.b",
            "def a(self):\n    return self.__len__()",
        ):
            self.assertEqual(lacking(sample.port(test_layer.errbot(body))), [], body)
        texts = test_layer.errbot("def a(self):\n    return self.b, self.c\n")
        texts["mixed.py"] = "class Mixed:\n    b = 1\n    def c(self):\n        return self.d\n    d = 2\n"
        texts["a.py"] = "from mixed import Mixed\nimport json\n" + texts["a.py"].replace("class A(BotPlugin)", "class A(Mixed, BotPlugin)")
        self.assertEqual(lacking(sample.port(texts)), [])
        # A class of a package may have anything.
        texts["a.py"] = texts["a.py"].replace("class A(Mixed,", "class A(json.JSONEncoder,")
        self.assertEqual(lacking(sample.port(texts)), [])

    def test_what_is_used_of_a_part_that_has_a_name_is_reported(self) -> None:
        result = sample.port(test_layer.errbot("""
            @botcmd
            def a(self, msg, args):
                frm, to = msg.frm, msg.to
                who = msg.frm
                other = msg.frm
                other = other.lower()
                return [who.nick, who.host, other.host, frm.host, to.host]
        """))
        self.assertEqual([one.partition(" ")[2] for one in sample.told(result, "lacks")], ["who.host"])


if __name__ == "__main__":
    unittest.main()
