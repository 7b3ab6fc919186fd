"""The packages, files and modules beside a plugin: `python3 -m unittest discover tests/ports`."""

import builtins
import io
import shutil
import sys
import unittest
from pathlib import Path
from typing import Any

import sample
import test_layer
from test_port import PLUG, YAML, errbot, maubot


def with_files(**files: str) -> dict[str, Any]:
    """Ports a plugin of errbot that imports a package, with these files beside it; `_` in a name is `.`."""
    texts = {"a.plug": PLUG, "a.py": "import teapot\nfrom errbot import BotPlugin\n\nclass A(BotPlugin):\n    pass\n"}
    return sample.port({**texts, **{name.replace("_", "."): text for name, text in files.items()}})


class Packages(unittest.TestCase):
    def test_only_names_that_somebody_gave_are_installed(self) -> None:
        for module, package in (("dateutil", "python-dateutil"), ("jwt", "PyJWT"), ("slugify", "python-slugify"), ("dns.resolver", "dnspython"), ("pkg_resources", "setuptools")):
            self.assertEqual(errbot("pass", f"import {module}")["packages"], [package])
        for head in ("import teapot", "try:\n    import teapot\nexcept ImportError:\n    pass"):
            result = errbot("pass", head)
            [finding] = result["findings"]
            self.assertEqual(result["packages"], [])
            self.assertNotIn("pip install", finding["instead"])
            self.assertIn("find out which package has the module teapot", finding["instead"])
        [finding] = errbot("pass", "from Crypto.Cipher import AES")["findings"]
        self.assertEqual((finding["kind"], "pycryptodome" in finding["why"]), ("lacks", True))

    def test_packages_that_need_sockets_and_threads_lack(self) -> None:
        for module, why in (
            ("jira", "sockets"), ("github", "sockets"), ("jenkins", "sockets"), ("zulip", "another network"), ("pymysql", "a server"),
            ("apscheduler.schedulers.background", "threads"),
        ):
            result = errbot("pass", f"import {module}")
            self.assertEqual((result["packages"], sample.told(result, "lacks")), ([], [f"a.py:2 {module.partition('.')[0]}"]), module)
            self.assertIn(why, result["findings"][0]["why"])
        # A module of the plugin's own may have such a name.
        result = sample.port({"a.plug": PLUG, "jira.py": "TEA = 1\n", "a.py": "import jira\nfrom errbot import BotPlugin\n\nclass A(BotPlugin):\n    pass\n"})
        self.assertEqual(result["findings"], [])

    def test_the_plugin_itself_names_packages(self) -> None:
        for given, packages in (
            ({"requirements_txt": "# tea\nteapot[cups]>=2 # good\nerrbot\n"}, ["teapot"]),
            ({"requirements_txt": "python-teapot==1\n"}, ["python-teapot"]),
            ({"requirements_txt": "-r more.txt\ncups\n"}, []),
            ({"requirements_txt": "teapot @ https://x.example/teapot.zip\n"}, []),
            ({"requirements_txt": "--extra-index-url https://x.example\nteapot\n"}, []),
            ({"requirements_txt": "teapot --hash=sha256:1\n./teapot\n"}, []),
            ({"pyproject_toml": "[project]\ndependencies = ['TeaPot ~= 1.0', 'cups']\n"}, ["TeaPot"]),
            ({"pyproject_toml": "[tool.poetry.dependencies]\npython = '^3.9'\nteapot = '^1'\n"}, ["teapot"]),
            ({"pyproject_toml": "[tool.poetry.dependencies]\nteapot = {git = 'https://x.example'}\n"}, []),
            ({"pyproject_toml": "broken ["}, []),
        ):
            self.assertEqual(with_files(**given)["packages"], packages, given)
        self.assertIn("the plugin names cups", with_files(requirements_txt="cups\n")["findings"][0]["instead"])
        for key in ("dependencies", "soft_dependencies"):
            self.assertEqual(maubot("pass", "import teapot", f"{YAML}{key}:\n- py-teapot>=1\n")["packages"], ["py-teapot"])

    def test_zones_of_packages_are_read_if_there_are_any(self) -> None:
        plugin = errbot("TIMEZONE = 'Europe/Berlin'", "import errcron")["files"]["plugin.py"]
        self.assertLess(plugin.index("import parlor_port.zones_of_packages\n"), plugin.index("import a\n"))
        self.assertNotIn("zones", errbot("pass")["files"]["plugin.py"])

    def test_files_of_others_beside_a_plugin_are_no_part_of_it(self) -> None:
        head = "from maubot import Plugin\nimport random\n"
        for name in ("maubot", "mautrix", "random"):
            texts = {"maubot.yaml": YAML, "a.py": f"{head}\nclass A(Plugin):\n    pass\n", f"{name}.py": "import threading\nclass Plugin: pass\n", f"{name}/x.py": ""}
            result = sample.port(texts)
            self.assertEqual((result["findings"], [path for path in result["files"] if path.endswith(".py")]), ([], ["a.py", "plugin.py"]), name)

    def test_locks_of_threads_work(self) -> None:
        body = "def a(self):\n    self.lock = {0}()\n    with self.lock:\n        return 1"
        for name, head, lacks, check in (
            ("threading.RLock", "import threading", [], []),
            ("t.RLock", "import threading as t", [], []),
            ("RLock", "from threading import RLock", [], []),
            ("threading.Lock", "import threading", [], ["a.py:2 threading.Lock"]),
            ("Lock", "from threading import Lock, RLock", [], ["a.py:2 threading.Lock"]),
            ("threading.Timer", "import threading", ["a.py:2 threading"], []),
            ("Thread", "from threading import Thread, RLock", ["a.py:2 threading"], []),
            ("use(threading).RLock", "import threading\nlock = threading.RLock()", ["a.py:2 threading"], []),
            ("print", "import threading", ["a.py:2 threading"], []),
        ):
            result = errbot(body.format(name), head)
            self.assertEqual((sample.told(result, "lacks"), sample.told(result, "check")), (lacks, check), head)


class Media(test_layer.Case):
    """The layer's part of python-magic."""

    def test_a_plugin_that_asks_for_media_types_needs_no_package(self) -> None:
        for head in ("import magic", "try:\n    import magic\nexcept ImportError:\n    magic = None"):
            result = maubot("def a(self, data):\n    return magic.from_buffer(data, mime=True)", head)
            self.assertEqual((result["findings"], result["packages"]), ([], []))
            self.assertIn("magic", result["parts"])
        [finding] = maubot("def a(self, data):\n    return magic.from_file('a')", "import magic")["findings"]
        self.assertEqual((finding["kind"], finding["what"], finding["instead"]), ("lacks", "magic.from_file", "`magic.from_buffer(data, mime=True)`"))
        # A game has cards of this name.
        own = {"a.plug": PLUG, "a.py": "import magic\nfrom errbot import BotPlugin\nclass A(BotPlugin):\n    cards = magic.cards\n", "magic.py": "cards = []\n"}
        result = sample.port(own)
        self.assertEqual((sample.told(result, "lacks"), "magic" in result["parts"], "magic.py" in result["files"]), ([], False, True))

    def test_packages_with_parts_in_c_are_not_to_be_installed(self) -> None:
        for module in ("cv2", "ldap", "zmq", "OpenSSL", "serial", "docx"):
            result = errbot("pass", f"import {module}")
            self.assertEqual(([one["kind"] for one in result["findings"]], result["packages"]), (["lacks"], []))

    async def test_files_are_known_by_their_first_bytes(self) -> None:
        await self.begun({"a.plug": PLUG, "a.py": "import magic\nfrom errbot import BotPlugin\nclass A(BotPlugin):\n    pass\n"})
        kind = sys.modules["magic"].from_buffer
        for data, expected in (
            (b"\x89PNG\r\n\x1a\n\0", "image/png"), (b"\xff\xd8\xff\xe0", "image/jpeg"), (b"GIF89a", "image/gif"), (b"RIFF\1\0\0\0WEBPVP8 ", "image/webp"),
            (b"RIFF\1\0\0\0WAVE", "audio/x-wav"), (b"\0\0\0\x20ftypisom", "video/mp4"), (b"\0\0\0\x20ftypqt  ", "video/quicktime"), (b"ID3\4", "audio/mpeg"),
            (b"\x1aE\xdf\xa3\x9fB\x82\x84webm", "video/webm"), (b"\x1aE\xdf\xa3\x9fB\x82\x88matroska", "video/x-matroska"), (b"OggS\0", "audio/ogg"),
            (b"%PDF-1.7", "application/pdf"), (b"PK\3\4", "application/zip"), (b"", "application/x-empty"), (b"\0\1\2", "application/octet-stream"),
            (b"\xfe" * 9, "application/octet-stream"), (b"12345678WEBP", "text/plain"), ("tée", "text/plain"), ("té".encode()[:2], "text/plain"),
            (b"BM\x46\0\0\0\0\0\0\0\x36", "image/bmp"), (b"BMW and others", "text/plain"),
            (b'<?xml version="1.0"?>\n<svg/>', "image/svg+xml"), (b"<?xml?><a/>", "text/xml"), (b"\n<!DOCTYPE html><p>", "text/html"),
            (b'{"a": 1}', "application/json"), (b"[tea]", "text/plain"), (b"[" * 100_000, "text/plain"),
        ):
            self.assertEqual(kind(data, mime=True), expected, data[:20])
        with self.assertRaises(NotImplementedError):
            kind(b"GIF89a")


class Zones(test_layer.Case):
    async def test_zones_of_a_package_that_another_one_brings_are_read(self) -> None:
        place = Path(self.folder.name)
        (place / "pytz/zoneinfo/Europe").mkdir(parents=True)
        (place / "pytz/zoneinfo/Europe/Berlin").write_bytes(b"TZif")
        (place / "pytz/__init__.py").write_text("all_timezones = common_timezones = []\n\n\ndef timezone(name):\n    return open_resource(name).read()\n")
        (place / "errcron.py").write_text("import pytz\n")
        # There is none: that is no error.
        (place / "tzdata.py").write_text("raise ImportError\n")
        texts = test_layer.errbot("""
            @botcmd
            def a(self, msg, args):
                return str(errcron.pytz.timezone("Europe/Berlin"))
        """)
        texts["a.py"] = "import errcron\n" + texts["a.py"]
        await self.begun(texts)
        shutil.rmtree(place / "pytz")
        self.assertEqual(await self.answers("!a"), ["b'TZif'"])


class Files(test_layer.Case):
    BODY = """
        @botcmd
        def a(self, msg, args):
            with open(os.path.join(HERE, "assets/x.json")) as file:
                first = file.read()
            with open(WORDS, "rb") as file:
                return first + str(file.read()) + (Path(__file__).parent / "assets" / "y.txt").read_text(encoding="utf-8")

        @botcmd
        def write(self, msg, args):
            try:
                open(WORDS, "w")
            except PermissionError as error:
                return str(error)
    """

    def texts(self, root: str = "") -> dict[str, str]:
        texts = test_layer.errbot(self.BODY)
        head = 'import os\nfrom pathlib import Path\nHERE = os.path.realpath(os.path.dirname(__file__))\nWORDS = os.path.join(HERE, "words.csv")\n'
        texts["a.py"] = head + texts["a.py"]
        texts |= {"assets/x.json": '{"a": 1}', "words.csv": "é\n", "assets/y.txt": "tea\n", "assets/z.txt": "", "requirements.txt": "cups\n"}
        return {f"{root}{path}": text for path, text in texts.items()}

    async def test_files_that_come_with_a_plugin_can_be_read(self) -> None:
        for root in ("", "in/"):
            result = sample.port(self.texts(root))
            self.assertEqual(sample.told(result, "lacks"), [f"{root}a.py:21 open()"])
            copied = sorted(path for path in result["files"] if not path.endswith((".py", ".toml")))
            self.assertEqual(copied, ["assets/x.json", "assets/y.txt", "words.csv"])
        for module in (builtins, io):
            self.addCleanup(setattr, module, "open", module.open)
        await self.begun(self.texts())
        place = Path(self.folder.name)
        for name in ("assets/x.json", "assets/y.txt", "words.csv"):
            (place / name).unlink()
        self.assertEqual(await self.answers("!a"), ['{"a": 1}' + str("é\n".encode()) + "tea\n"])
        self.assertIn("parlor.storage", (await self.answers("!write"))[0])
        # Others are opened as before.
        with self.assertRaises(FileNotFoundError):
            open(place / "assets/x.json.bak")
        self.assertIn("parlor_port.packaged", sys.modules)

    def test_files_that_the_methods_of_paths_read_and_write_are_told(self) -> None:
        texts = test_layer.errbot("""
            @botcmd
            def a(self, msg, args):
                Path(args).write_text("tea")
                HERE.joinpath("b.json").write_bytes(b"tea")
                return HERE.joinpath("CHANGELOG.md").read_text() + HERE.joinpath("b.json").read_text()
        """)
        texts["a.py"] = "from pathlib import Path\nHERE = Path(__file__).parent\nTEA = HERE.joinpath('c.bin').read_bytes()\n" + texts["a.py"]
        texts |= {"b.json": "[]"}
        result = sample.port(texts)
        self.assertEqual(sample.told(result, "lacks"), ["a.py:12 .write_text()", "a.py:13 .write_bytes()", "a.py:14 .read_text()"])
        # Another object of the plugin may have such a method.
        texts["a.py"] += "\n    def read_text(self):\n        return ''\n"
        self.assertEqual(sample.told(sample.port(texts), "lacks")[2:], [])

    async def test_a_plugin_of_maubot_reads_what_maubot_yaml_lists(self) -> None:
        about = YAML.replace("1.0", "1.2.3") + "license: MIT\nextra_files:\n- words.json\n- pages/*.html\n- gone.bin\n"
        texts = {
            "maubot.yaml": about, "words.json": '{"a": "tea"}', "pages/a.html": "<p>Tea</p>", "pages/b.html": "", "pages/more/c.html": "", "d.html": "",
            "a.py": "import json\nfrom maubot import Plugin, MessageEvent\nfrom maubot.handlers import command\nfrom maubot.loader import BasePluginLoader\n\n"
            "class A(Plugin):\n    @command.new('a')\n    async def a(self, evt: MessageEvent) -> None:\n"
            "        loader: BasePluginLoader = self.loader\n        pages = 'pages'\n        said = [json.loads(await loader.read_file('words.json'))['a']]\n"
            "        said += [await loader.list_files(pages), loader.sync_read_file(f'{pages}/a.html'), loader.meta.version, loader.meta.license, loader.id]\n"
            "        try:\n            loader.sync_read_file('e.html')\n        except FileNotFoundError:\n            said.append('none')\n"
            "        await evt.respond(str(said), markdown=False)\n"}
        result = sample.port(texts)
        self.assertEqual(sample.told(result, "lacks"), ["maubot.yaml:7 extra_files: gone.bin"])
        self.assertEqual(sorted(path for path in result["files"] if "." in path and not path.endswith((".py", ".toml"))), [
            "pages/a.html", "pages/b.html", "pages/more/c.html", "words.json"])
        for module in (builtins, io):
            self.addCleanup(setattr, module, "open", module.open)
        await self.begun(texts)
        for path in ("words.json", "pages/a.html"):
            (Path(self.folder.name) / path).unlink()
        self.assertEqual(await self.answers("!a"), [
            "['tea', ['pages/a.html', 'pages/b.html'], b'<p>Tea</p>', '1.2.3', 'MIT', 'org.example.a', 'none']"])

    def test_other_uses_of_the_loader_are_told(self) -> None:
        body = "    async def a(self):\n        return self.loader.reload(), self.loader.meta.config, self.loader.meta.version, PluginLoader.id_cache\n"
        result = sample.port({"maubot.yaml": YAML, "a.py": f"from maubot import Plugin\nfrom maubot.loader import PluginLoader\n\nclass A(Plugin):\n{body}"})
        self.assertEqual(sample.told(result, "lacks"), [f"a.py:6 {one}" for one in ("PluginLoader.id_cache", "self.loader.meta.config", "self.loader.reload")])

    def test_a_file_moves_with_its_folder(self) -> None:
        about = YAML.replace("- a", "- plugin").replace("main_class: A", "main_class: plugin/A")
        result = sample.port({
            "maubot.yaml": about, "plugin/words.txt": "tea",
            "plugin/__init__.py": "from maubot import Plugin\n\nclass A(Plugin):\n    def a(self):\n        return open(HERE + '/words.txt')\n"})
        self.assertEqual(sample.told(result, "lacks"), [])
        self.assertEqual(result["files"]["plugin_ported/words.txt"], "tea")
        self.assertIn("parlor_port.packaged.load(__file__, ['plugin_ported/words.txt'])", result["files"]["plugin.py"])


if __name__ == "__main__":
    unittest.main()
