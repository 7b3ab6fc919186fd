"""Lines of plugins that the report names since Python, or errbot, or maubot does not do them there: `python3 -m unittest discover tests/ports`."""

import unittest
from typing import Any

import sample
import test_layer
from test_maubot import ABOUT, plugin


def lacking(result: dict[str, Any]) -> list[str]:
    return sample.told(result, "lacks")


class Python(unittest.TestCase):
    def test_files_that_python_does_not_import_are_told(self) -> None:
        texts = plugin("@command.new\nasync def a(self, evt: MessageEvent) -> None:\n    await b.tea()", "import b\n")
        texts["b.py"] = "import asyncio\ndef tea():\n    await asyncio.sleep(1)\n"
        found = [one for one in sample.port(texts)["findings"] if one["kind"] == "lacks"]
        self.assertEqual([(one["file"], one["line"], one["what"]) for one in found], [("b.py", 3, "a syntax error")])
        self.assertIn("outside async function", found[0]["why"])
        self.assertIn("`async def`", found[0]["instead"])

    def test_a_module_at_the_top_has_no_modules_beside_it_by_dots(self) -> None:
        texts = plugin("@command.new\nasync def a(self, evt: MessageEvent) -> None:\n    pass", "from .words import TEA\nfrom . import words\n")
        texts["words.py"] = "TEA = 'green'\n"
        self.assertEqual([one.partition(" ")[2] for one in lacking(sample.port(texts))], ["from .words", "from ."])

    def test_a_module_of_a_package_has_others_by_as_many_dots_as_packages(self) -> None:
        texts = test_layer.maubot("@command.new\nasync def a(self, evt):\n    return evt")
        texts = {"maubot.yaml": texts["maubot.yaml"].replace("- a", "- tea").replace("main_class: A", "main_class: tea/A"),
                 "tea/__init__.py": "from .a import A\n", "tea/a.py": f"from .b.c import GREEN\n{texts['a.py']}",
                 "tea/b/__init__.py": "", "tea/b/c.py": "from ..d import GREEN\nfrom ...e import BLACK\n", "tea/d.py": "GREEN = 1\n", "e.py": "BLACK = 2\n"}
        self.assertEqual(lacking(sample.port(texts)), ["tea/b/c.py:2 from ...e"])

    def test_expressions_that_python_does_not_take_are_told(self) -> None:
        texts = plugin(
            '@command.passive(regex=r"^(?i)on|x$")\nasync def a(self, evt, match):\n    return re.search("(", "a"), re.match("a(?s)b", "a"), re.sub(X, "", "a")\n'
            '@command.passive(r"(?i)on|\\(?i\\)|[(?i)]|(?i:x)", field=lambda evt: evt.content.body)\nasync def b(self, evt, match):\n    return X.search("*"), re.split("*")',
            'import re\nX = re.compile(r"a (?x)")\n')
        self.assertEqual([one.partition(":")[2] for one in lacking(sample.port(texts))], [
            "4 the expression 'a (?x)'", "8 the expression '^(?i)on|x$'", "10 the expression '('", "10 the expression 'a(?s)b'", "13 the expression '*'"])
        texts = test_layer.errbot("""
            @re_botcmd(pattern=r"tea(?i)", prefixed=False)
            def a(self, msg, match):
                return match[0]

            @re_botcmd(pattern=r"\\btea", flags=re.X)
            def b(self, msg, match):
                return match[0]
        """)
        self.assertEqual(lacking(sample.port(texts)), ["a.py:7 the expression 'tea(?i)'"])

    def test_a_plugin_does_not_read_its_own_source(self) -> None:
        texts = test_layer.errbot("""
            @botcmd
            def a(self, msg, args):
                return inspect.getsourcelines(A), inspect.getdoc(A)
        """)
        texts["a.py"] = "import inspect\n" + texts["a.py"]
        self.assertEqual([one.partition(" ")[2] for one in lacking(sample.port(texts))], ["inspect.getsourcelines"])

    def test_names_methods_and_options_that_are_gone_are_told(self) -> None:
        texts = test_layer.errbot("""
            @botcmd
            def a(self, msg, args):
                tree = ET.fromstring(args)
                pair = self.isAlive(args), html.unescape(args), ET.tostring(tree)
                return [one.text for one in tree.getchildren()], HTMLParser().unescape(args), json.loads(args, encoding="utf-8"), pair

            def isAlive(self, text):
                return text
        """)
        texts["a.py"] = (
            "import json, html, threading\nimport xml.etree.cElementTree as ET\nfrom html.parser import HTMLParser\nfrom inspect import ArgSpec\n"
            "try:\n    from collections import Mapping\nexcept ImportError:\n    from collections.abc import Mapping\n" + texts["a.py"])
        self.assertEqual([one.partition(" ")[2] for one in lacking(sample.port(texts))], [
            "threading", "xml.etree.cElementTree", "inspect.ArgSpec", ".getchildren()", ".unescape()", "json.loads(encoding=…)"])


class Errbot(unittest.TestCase):
    def test_attributes_of_messages_are_checked_where_messages_are_passed_on(self) -> None:
        body = """
            def callback_message(self, mess):
                self.note(mess.thread_ts, mess.frm.nick)
                self.both(mess, 1)

            @botcmd
            def a(self, msg, args):
                self.passed(msg, other=args)
                self.both(args, 2)
                return self.twice(message=msg)

            def twice(self, message):
                return self.passed(message) + message.body

            def passed(self, given, other=None):
                return given._from, other.strange

            def both(self, one, two):
                return one.anything

            def note(self, *given):
                return given

            def typed(self, about: Message):
                return about.slack_event
        """
        texts = test_layer.errbot(body)
        texts["a.py"] = "from errbot import Message\n" + texts["a.py"]
        self.assertEqual([one.partition(" ")[2] for one in lacking(sample.port(texts))], ["mess.thread_ts", "given._from", "about.slack_event"])

    def test_names_of_other_networks_are_told(self) -> None:
        texts = test_layer.errbot("""
            def get_configuration_template(self):
                return {"CHANNEL": "#general", "COLOR": "#3AA3E3", "TEXT": "# a heading", "ROOM": "tea@rooms.example.org"}

            @botcmd
            def a(self, msg, args):
                self.send(self.build_identifier("~lunch"), args)
        """)
        result = sample.port(texts)
        self.assertEqual([one.partition(" ")[2] for one in lacking(result)], ["build_identifier('~lunch')"])
        self.assertEqual([one.partition(" ")[2] for one in sample.told(result, "check")], ["the default of CHANNEL: '#general'"])

    def test_cards_have_no_class_and_other_names_are_there(self) -> None:
        texts = test_layer.errbot("@botcmd\ndef a(self, msg, args):\n    return re.sub('a', 'b', args)")
        texts["a.py"] = texts["a.py"].replace("import re\n", "")
        texts["a.py"] = (
            "from errbot import logging, re\nfrom errbot.botplugin import BotPluginBase\nfrom errbot.backends.base import Card\n"
            "try:\n    from errbot.backends.slack import SlackBackend\nexcept ImportError:\n    SlackBackend = None\n" + texts["a.py"])
        found = [one for one in sample.port(texts)["findings"] if one["kind"] == "lacks"]
        self.assertEqual([(one["line"], one["what"]) for one in found], [(3, "errbot.backends.base.Card")])
        self.assertIn("send_card", found[0]["instead"])

    def test_a_module_that_cannot_be_read_says_why(self) -> None:
        texts = {**test_layer.errbot("pass"), "b.plug": "[Core]\nName = b\nModule = b\n", "b.py": "def b():\nreturn 1\n"}
        with self.assertRaisesRegex(ValueError, "b.plug names the module b, which cannot be read: b.py:2: Python reads it as: expected an indented block"):
            sample.port(texts)

    def test_tests_that_come_with_a_plugin_are_told_once(self) -> None:
        texts = test_layer.errbot("@botcmd\ndef a(self, msg, args):\n    return 'tea'")
        texts["tests/test_a.py"] = "import os\n\npytest_plugins = ['errbot.backends.test']\n"
        texts["tests/test_b.py"] = "def test_b(testbot):\n    testbot.push_message('!a')\n"
        texts["tests/words.py"] = "WORDS = ['a']\n"
        result = sample.port(texts)
        self.assertEqual(sample.told(result, "check"), ["tests/test_a.py:3 its tests, also in 1 other file"])
        self.assertEqual([one for one in result["files"] if one.startswith("tests/")], [])


class Maubot(test_layer.Case):
    async def test_clients_are_known_by_other_names(self) -> None:
        texts = plugin(
            "@command.new\nasync def a(self, evt: MessageEvent) -> None:\n    await read(self, evt.client, evt)",
            "from maubot.matrix import MaubotMatrixClient\n"
            "async def read(plugin, by: MaubotMatrixClient, evt: MessageEvent):\n"
            "    await plugin.client.get_event_context(evt.room_id, evt.event_id)\n    return by.crypto, await by.download_media(evt.content.url)\n")
        result = sample.port(texts)
        self.assertEqual([one.partition(" ")[2] for one in lacking(result)], ["plugin.client.get_event_context", "by.crypto"])
        self.assertIn("files.read", result["files"]["plugin.toml"])

    async def test_events_of_other_kinds_are_not_sent(self) -> None:
        texts = plugin(
            "@command.new\nasync def a(self, evt: MessageEvent) -> None:\n"
            "    await self.client.send_message_event(evt.room_id, 'm.room.message', {'msgtype': 'm.text', 'body': 'tea'})\n"
            "    await self.client.send_message_event(evt.room_id, EventType.ROOM_MESSAGE, {'msgtype': 'm.text', 'body': 'cake'})\n"
            "async def b(self, evt: MessageEvent) -> None:\n"
            "    await self.client.send_message_event(evt.room_id, evt.type, {})\n    await self.client.send_message_event(evt.room_id, KIND, {})\n",
            "from mautrix.types import EventType\nKIND = EventType.find('org.example.tea')\n")
        found = [one for one in sample.port(texts)["findings"] if one["kind"] == "lacks"]
        self.assertEqual([one["what"] for one in found], ["self.client.send_message_event(KIND)"])
        await self.begun(texts)
        self.assertEqual(await self.answers("!a"), ["tea", "cake"])

    async def test_a_name_that_a_plugin_does_without_is_not_lacking(self) -> None:
        texts = plugin("@command.new\nasync def a(self, evt: MessageEvent) -> None:\n    pass",
                       "try:\n    from mautrix.util.async_db import SQLiteCursor\nexcept ImportError:\n    SQLiteCursor = None\n")
        self.assertEqual(lacking(sample.port(texts)), [])

    async def test_redirects_are_told_as_such(self) -> None:
        texts = plugin("@web.get('/a')\nasync def a(self, req):\n    raise HTTPFound('https://x.example/')",
                       "from maubot.handlers import web\nfrom aiohttp.web import HTTPFound\nfrom aiohttp.abc import Request\n", f"{ABOUT}webapp: true\n")
        found = [one for one in sample.port(texts)["findings"] if one["kind"] == "lacks"]
        self.assertEqual([one["what"] for one in found], ["aiohttp.web.HTTPFound"])
        self.assertIn("redirects", found[0]["why"])


if __name__ == "__main__":
    unittest.main()
