"""Lines of plugins that the report names since Python, or errbot, or maubot does not do them there: `python3 -m unittest discover tests/ports`."""

import unittest
from typing import Any

import sample
import test_layer
from test_maubot import plugin


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


if __name__ == "__main__":
    unittest.main()
