"""F-strings of Python 3.12, which the machine's Python may not read."""

import ast
import sys
import time
import unittest

import sample
# The folder of these is on the path from here on.
import fstrings  # noqa: I001

PLUG = "[Core]\nName = A\nModule = a\n"
HEAD = "import requests\nfrom errbot import BotPlugin, botcmd\nclass A(BotPlugin):\n    @botcmd\n    def a(self, msg, args):\n"

#: F-strings of Python 3.12, and the same in the way of earlier versions.
SAME = {
    'f"{x["y"]}"': 'f"""{x["y"]}"""',
    'f"{x["y"]} b" f"{1}"': 'f"""{x["y"]} b""" f"{1}"',
    'return"x", f"{x["y"]}"': 'return"x", f"""{x["y"]}"""',
    'f"{f"{x["y"]}"}"': "f'''{f\"\"\"{x[\"y\"]}\"\"\"}'''",
    'f"{x["y"]} \\""': "f'''{x[\"y\"]} \\\"'''",
    'rf"\\d{x["y"]}"': 'rf"""\\d{x["y"]}"""',
    'f"{{{x["}:"]!r:>{w["y"]}}}}"': 'f"""{{{x["}:"]!r:>{w["y"]}}}}"""',
    'f"\\N{EN DASH}{x["y"]:%H:%M}"': 'f"""\\N{EN DASH}{x["y"]:%H:%M}"""',
    'f"{[one["a"] for one in (lambda z: z["b"])(x)]}"': 'f"""{[one["a"] for one in (lambda z: z["b"])(x)]}"""',
    'f"{\n    x\n}"': 'f"""{\n    x\n}"""',
    "f'{\"\\n\".join(x)}'": 'f"""{bytes.fromhex(\'0a\').decode().join(x)}"""',
    "f'{b\"\\xff\".hex()}'": 'f"""{bytes.fromhex(\'ff\').hex()}"""',
}
#: Texts that stay as they are: every version reads them, or the layer cannot write them.
KEPT = (
    "x = 'f\"{a}\"'  # f\"{x[\"y\"]}\"", 'f"{x[\'y\']}{{}}"', "'''f\"{'''", '"""a"b\\""""', 'f"{x[\"y\"]', "f'{x  # y\n}'", "f'{f\"\\t{x}\"}'", 'f"{x["y"]', "'",
)


class FStrings(unittest.TestCase):
    def test_they_are_written_as_earlier_versions_read_them(self) -> None:
        for text, expected in SAME.items():
            self.assertEqual(fstrings.earlier(text), expected)
            if not text.startswith("return"):
                ast.parse(expected)
                if sys.version_info >= (3, 12) and "fromhex" not in expected:
                    self.assertEqual(ast.dump(ast.parse(text)), ast.dump(ast.parse(expected)))
        for text in KEPT:
            self.assertEqual(fstrings.earlier(text), text)

    def test_they_are_read_in_one_pass(self) -> None:
        begun = time.monotonic()
        for text in ('f"' * 200_000, "f'{" * 400, 'f"{' + "(" * 200_000, '"\\' * 200_000, 'f"{x:' + "{x:" * 400, "bf" * 200_000, "f" * 400_000):
            self.assertEqual(fstrings.earlier(text), text)
        self.assertLess(time.monotonic() - begun, 10)

    def test_a_plugin_of_a_later_python_is_ported(self) -> None:
        body = "        x = {'y': 1}\n        return f\"{x[\"y\"]}{\"\\n\".join(args)}\"\n"
        result = sample.port({"a.plug": PLUG, "a.py": HEAD.replace("import requests\n", "") + body})
        self.assertEqual(sample.told(result, "lacks"), [])
        # The rest stays as the author wrote it.
        self.assertIn(body, result["files"]["a.py"])

    def test_what_waits_in_such_a_plugin_is_awaited(self) -> None:
        body = "        x = requests.get('https://example.org').json()\n        return f\"{x[\"y\"]}\"\n"
        result = sample.port({"a.plug": PLUG, "a.py": HEAD + body})
        self.assertIn("(await requests.get('https://example.org')).json()", result["files"]["a.py"])
        self.assertEqual(sample.told(result, "lacks"), [])

    @unittest.skipIf(sys.version_info >= (3, 12), "Python reads it")
    def test_what_is_not_read_is_told_as_such(self) -> None:
        files = {"a.plug": PLUG, "a.py": "import b\nfrom errbot import BotPlugin\nclass A(BotPlugin):\n    pass\n", "b.py": "x = f'''{y # z\n}'''\n"}
        found = [one for one in sample.port(files)["findings"] if one["file"] == "b.py"]
        self.assertIn("Python 3.12", found[0]["instead"])


if __name__ == "__main__":
    unittest.main()
