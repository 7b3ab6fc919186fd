"""The results and reports of `parlor plugin port`: `python3 -m unittest discover tests/ports`."""

import ast
import importlib
import importlib.util
import sys
import tomllib
import unittest
from typing import Any

import sample
# The folder of these is on the path from here on.
import lacks  # noqa: I001
import simple_yaml

PLUG = "[Core]\nName = A\nModule = a\n"
YAML = "id: org.example.a\nversion: 1.0\nmodules:\n- a\nmain_class: A\n"

WEB = YAML + "webapp: true\n"


def errbot(body: str, head: str = "") -> dict[str, Any]:
    """Ports a class with this body."""
    lines = "\n".join(f"    {line}" if line else "" for line in body.split("\n"))
    return sample.port({"a.plug": PLUG, "a.py": f"from errbot import BotPlugin, botcmd\n{head}\n\nclass A(BotPlugin):\n{lines}\n"})


def maubot(body: str, head: str = "", about: str = YAML) -> dict[str, Any]:
    lines = "\n".join(f"    {line}" if line else "" for line in body.split("\n"))
    head = f"from maubot import Plugin, MessageEvent\nfrom maubot.handlers import command, event\n{head}"
    return sample.port({"maubot.yaml": about, "a.py": f"{head}\n\nclass A(Plugin):\n{lines}\n"})


def whole(result: dict[str, Any]) -> bool:
    return not sample.told(result, "lacks") and not sample.told(result, "package")


class Samples(unittest.TestCase):
    def test_the_samples_are_ported_whole(self) -> None:
        for name in ("tally", "forecast", "listener", "points", "lookup", "notes", "watcher", "riddle", "greeter"):
            result = sample.ported(name)
            self.assertTrue(whole(result), f"{name}: {result['findings']}")
            self.assertEqual(result["name"], name)
            for path, text in result["files"].items():
                if path.endswith(".py"):
                    ast.parse(text)

    def test_what_the_layer_is_said_to_have_it_has(self) -> None:
        self.forget()
        sys.path[:0] = [str(sample.HERE / "fake"), str(sample.LAYERS)]
        try:
            for table in (lacks.ERRBOT, lacks.MAUBOT, lacks.WEB_OF_ERRBOT, lacks.PACKAGES_OF_LAYER):
                for module, names in table.items():
                    if module == "errbot.errBot" or module == "errbot.templating" and importlib.util.find_spec("jinja2") is None:
                        continue
                    found = importlib.import_module(module)
                    for name in names:
                        try:
                            importlib.import_module(f"{module}.{name}")
                        except ModuleNotFoundError:
                            self.assertTrue(hasattr(found, name), f"{module} has no {name}")
            client = importlib.import_module("maubot.client").Client
            self.assertEqual([name for name in lacks.CLIENT if not hasattr(client, name)], [])
            plugin = importlib.import_module("errbot.plugin").BotPlugin
            self.assertEqual([name for name in lacks.OF_SELF if hasattr(plugin, name)], [])
            types = importlib.import_module("mautrix.types")
            self.assertEqual([name for name in lacks.EVENTS | lacks.STATES | lacks.DATA | {*lacks.NEVER} if not hasattr(types.EventType, name)], [])
            self.assertEqual({kind: {one for one in dir(getattr(types, kind)) if one.isupper()} for kind in lacks.VALUES}, lacks.VALUES)
            for package, modules in lacks.MODULES_OF_LAYER.items():
                for name in modules - {"urllib3"}:
                    importlib.import_module(f"{package}.{name}")
        finally:
            del sys.path[:2]
            self.forget()

    def forget(self) -> None:
        """Forgets the modules that an earlier test has imported."""
        own = ("parlor", "errbot", "maubot", "mautrix", "parlor_port", "aiohttp", "requests", "asyncpg", "bottle", "flask", "magic", "yarl")
        for module in [one for one in sys.modules if one.partition(".")[0] in own]:
            del sys.modules[module]


class Waiting(unittest.TestCase):
    def text(self, body: str, head: str = "import requests, time") -> tuple[str, dict[str, Any]]:
        result = errbot(body, head)
        return result["files"]["a.py"], result

    def test_functions_that_wait_and_their_callers_become_async(self) -> None:
        text, result = self.text(
            "def fetch(self, url):\n    return requests.get(url).json()['a']\n"
            "def both(self):\n    return [self.fetch(u) for u in ('https://a.example', 'https://b.example')]\n"
            "def other(self):\n    return 1\n"
            "@botcmd\ndef go(self, msg, args):\n    return str(self.both()) + str(self.other())")
        self.assertIn("async def fetch(self, url):", text)
        self.assertIn("return (await requests.get(url)).json()['a']", text)
        self.assertIn("async def both(self):", text)
        self.assertIn("[(await self.fetch(u)) for u in", text)
        self.assertIn("    def other(self):", text)
        self.assertIn("str((await self.both())) + str(self.other())", text)
        self.assertEqual(len(sample.told(result, "changed")), 3)
        self.assertTrue(whole(result), result["findings"])

    def test_nothing_else_of_the_text_changes(self) -> None:
        body = "@botcmd\ndef ünd(self, msg, args):  # ä comment\n\n    x = 'größe'; time.sleep(1)   # behind\n    return x"
        text, _ = self.text(body)
        before = errbot(body.replace("time.sleep(1)", "len('1')"), "import requests, time")["files"]["a.py"]
        self.assertEqual(text, before.replace("len('1')", "(await time.sleep(1))").replace("def ünd", "async def ünd"))

    def test_what_cannot_be_awaited_is_told(self) -> None:
        for body, says in (
            ("x = requests.get('https://a.example')", "requests.get() waits"),
            ("def a(self):\n    return lambda: requests.get('https://a.example')", "requests.get() waits"),
            ("def a(self):\n    return max(requests.get(u) for u in ['https://a.example'])", "requests.get() waits"),
            ("@property\ndef a(self):\n    return requests.get('https://a.example')", "a() waits"),
            ("def __str__(self):\n    return requests.get('https://a.example').text", "__str__() waits"),
            ("def a(self):\n    b = yield from requests.get('https://a.example')", "a() waits"),
            ("def a(self):\n    yield requests.get('https://a.example')\n    return 1", "a() waits"),
            ("def a(self):\n    time.sleep(1)\ndef b(self):\n    return map(self.a, [1])", "self.a is handed on"),
            ("def a(self):\n    yield 1\n    time.sleep(1)\ndef b(self):\n    return [x for x in self.a()]", "self.a() yields and waits"),
        ):
            text, result = self.text(body)
            compile(text, "a.py", "exec")
            self.assertTrue(any(says in one for one in sample.told(result, "lacks")), f"{body}: {result['findings']}")

    def test_what_is_above_a_class_is_not_that_class(self) -> None:
        # `activate` of the layer's class does not wait, and `await` on what it returns would fail.
        for call in ("super().activate()", "super(A, self).activate()", "BotPlugin.activate(self)"):
            text, result = self.text(f"def activate(self):\n    {call}\n    self.x = requests.get('https://a.example').text")
            self.assertIn(f"    async def activate(self):\n        {call}\n        self.x = (await requests.get(", text)
            self.assertTrue(whole(result), result["findings"])

    def test_methods_of_the_same_name_wait_together(self) -> None:
        lines = "class Base(BotPlugin):\n    def fetch(self):\n        return ''\n    @botcmd\n    def go(self, msg, args):\n        return self.fetch()\n"
        head = f"import abc, requests\nfrom errbot import BotPlugin, botcmd\n\n\n{lines}"
        own = "class A(Base):\n    def fetch(self):\n        return super().fetch() + requests.get('https://a.example').text\n"
        for decorator in ("", "    @abc.abstractmethod\n"):
            result = sample.port({"a.plug": PLUG, "a.py": f"{head}\n\n{own}".replace("    def fetch(self):\n        return ''", f"{decorator}    def fetch(self):\n        return ''")})
            text = result["files"]["a.py"]
            self.assertEqual(text.count("async def fetch"), 2, text)
            self.assertIn("return (await self.fetch())", text)
            self.assertIn("return (await super().fetch()) + (await requests.get(", text)
            self.assertTrue(whole(result), result["findings"])

    def test_objects_are_known_by_what_makes_them(self) -> None:
        # Both classes have a method of the name.
        text, result = self.text(
            "def __init__(self, bot, name):\n    super().__init__(bot, name)\n    self.shop = Shop()\n"
            "def stock(self):\n    return self.shop.stock()\n"
            "@botcmd\ndef go(self, msg, args):\n    shop = None\n    shop = Shop()\n    return str(shop.stock()) + shop.name() + other.name() + self.stock()\n"
            "@botcmd\ndef ask(self, msg, shop):\n    return shop.stock()\n"
            "def name(self):\n    return 'a'",
            "import requests\n\n\nclass Shop:\n    def stock(self):\n        return requests.get('https://a.example').text\n"
            "    def name(self):\n        return requests.get('https://a.example').text\n\n\nother = Shop()")
        for line in ("return (await self.shop.stock())", "return str((await shop.stock())) + (await shop.name()) + (await other.name()) + (await self.stock())",
                     "    return shop.stock()", "    def name(self):\n        return 'a'"):
            self.assertIn(line, text)
        # Nobody knows what that one is.
        self.assertEqual(sample.told(result, "check"), ["a.py:27 shop.stock()"])

    def test_sessions_are_known_behind_functions_that_give_them(self) -> None:
        text, result = self.text(
            "def login(self):\n    self.session = requests.Session()\n    self.session.get('https://a.example/in')\n    return self.session\n"
            "def again(self):\n    found = self.login()\n    return found\n"
            "@botcmd\ndef go(self, msg, args):\n    tea = self.again()\n    tea.headers.get('a')\n    return tea.get('https://b.example').text")
        self.assertIn("tea = (await self.again())", text)
        self.assertIn("return (await tea.get('https://b.example')).text", text)
        self.assertIn("    tea.headers.get('a')", text)
        self.assertIn('"http.fetch" = { scope = ["a.example", "b.example"]', result["files"]["plugin.toml"])
        self.assertTrue(whole(result), result["findings"])

    def test_a_poller_may_wait(self) -> None:
        text, result = self.text("def activate(self):\n    super().activate()\n    self.start_poller(60, self.poll)\ndef poll(self):\n    time.sleep(1)")
        self.assertTrue(whole(result), result["findings"])
        self.assertIn("async def poll", text)
        self.assertIn("    def activate", text)

    def test_functions_of_other_modules_and_sessions_wait(self) -> None:
        result = sample.port({
            "a.plug": PLUG,
            "a.py": "from errbot import BotPlugin, botcmd\nimport helper\nfrom helper import ask as question\n\n\nclass A(BotPlugin):\n"
                    "    @botcmd\n    def go(self, msg, args):\n        return helper.ask() + question()\n",
            "helper.py": "import requests\n\nsession = requests.Session()\n\n\ndef ask():\n    return session.get('https://a.example/x').text\n",
        })
        self.assertIn("async def ask():\n    return (await session.get('https://a.example/x')).text", result["files"]["helper.py"])
        self.assertIn("return (await helper.ask()) + (await question())", result["files"]["a.py"])
        self.assertTrue(whole(result), result["findings"])


class Servers(unittest.TestCase):
    def scope(self, body: str, head: str = "import requests") -> str:
        lines = errbot(body, head)["files"]["plugin.toml"].split("\n")
        return next((line for line in lines if line.startswith('"http.fetch"')), "")

    def test_servers_are_those_that_the_text_names(self) -> None:
        for expression, scope in (
            ("'https://a.example/x'", '["a.example"]'),
            ("'http://a.example:8080/x'", '["http://a.example:8080"]'),
            ("BASE + '/x'", '["b.example"]'),
            ("self.URL % 3", '["c.example"]'),
            ("f'{BASE}/x/{args}'", '["b.example"]'),
            ("'https://d.example/{}'.format(args)", '["d.example"]'),
            ("'https://d.example/a' if args else 'https://e.example/a'", '["d.example", "e.example"]'),
            ("args", '["*"]'),
            ("f'https://{args}.example/x'", '["*"]'),
            ("f'https://a.example{args}'", '["*"]'),
            ("'https://a.example' + args", '["*"]'),
            ("'https://a.example%s' % args", '["*"]'),
            ("'https://a.example@' + args", '["*"]'),
        ):
            body = f"URL = 'https://c.example/%s'\n@botcmd\ndef go(self, msg, args):\n    return requests.get({expression}).text"
            self.assertIn(f"scope = {scope}", self.scope(body, "import requests\nBASE = 'https://b.example'"), expression)


class Told(unittest.TestCase):
    def lacks(self, result: dict[str, Any]) -> list[str]:
        return [one.partition(" ")[2] for one in sample.told(result, "lacks")]

    def test_what_plugins_of_errbot_use_beyond_the_layer(self) -> None:
        for body, head, says in (
            ("def a(self):\n    return self._bot", "", "self._bot"),
            ("@botcmd(template='x')\ndef a(self, msg, args):\n    return {}", "", "templates/x.md"),
            ("def callback_presence(self, presence):\n    pass", "", "callback_presence()"),
            ("def a(self, m):\n    return m.getFrom()", "", ".getFrom()"),
            ("def a(self):\n    return threading.Thread()", "import threading", "threading"),
            ("def a(self):\n    return os.environ.get(str(1))", "import os", "os.environ.get"),
            ("def a(self):\n    return open('x')", "", "open()"),
            ("def a(self):\n    pass", "from errbot import repo_manager", "errbot.repo_manager"),
            ("@cmdfilter(catch_unprocessed=True)\ndef a(self, msg, cmd, args, dry_run):\n    pass", "from errbot import cmdfilter", "@cmdfilter(catch_unprocessed=…)"),
            ("def a(self):\n    pass", "import numpy as np", "numpy"),
            ("def a(self):\n    return errbot.tenv()", "import errbot", "errbot.tenv"),
            ("def a(self):\n    return self.build_identifier('#general')", "", "build_identifier('#general')"),
            ("def a(self, who):\n    return self.build_identifier(f'@{who}')", "", "build_identifier(f'@{who}')"),
            ("def a(self, d):\n    return d.has_key(1)", "", ".has_key()"),
            ("def a(self, d):\n    return d.iteritems()", "", ".iteritems()"),
            ("def a(self, d):\n    try:\n        return d.itervalues()\n    except Exception:\n        pass", "", ".itervalues()"),
            ("def a(self, d):\n    return isinstance(d, unicode)", "", "unicode"),
            ("def a(self):\n    return re.TEMPLATE", "import re", "re.TEMPLATE"),
            ("def a(self):\n    return string.letters", "import string", "string.letters"),
            ("def a(self):\n    pass", "import urllib2", "urllib2"),
            ("def visit_Num(self, node):\n    return node.n", "", "visit_Num()"),
            ("def a(self):\n    return self._bot.process_message", "", "self._bot"),
            ("def a(self, m):\n    return m.frm in self.bot_config.BOT_ADMINS", "", "self.bot_config.BOT_ADMINS"),
            ("def a(self, m):\n    return self._bot.bot_config.BOT_ADMINS", "", "self._bot.bot_config.BOT_ADMINS"),
            ("def a(self, m):\n    return self._bot.prefix + self.bot_config.BOT_OTHER", "", "self.bot_config"),
        ):
            self.assertEqual(self.lacks(errbot(body, head)), [says], body)
        self.assertEqual(self.lacks(errbot("def a(self, d):\n    return [*six.iteritems(d), *other.itervalues(d)]", "import six\nimport six as other")), [])

    def test_templates_are_taken_along_and_need_a_package(self) -> None:
        for body, head in (
            ("@botcmd(template='tea')\ndef a(self, msg, args):\n    return {}", ""),
            ("def a(self):\n    self.send_templated('a@example.org', 'tea', {})", ""),
            ("def a(self):\n    raise CommandError({'who': 'you'}, template='tea')", "from errbot import CommandError"),
            ("def a(self):\n    return tenv().get_template('tea.md').render()", "from errbot.templating import tenv"),
        ):
            lines = body.replace("\n", "\n    ")
            texts = {
                "in/a.plug": PLUG, "in/templates/tea.md": "Tea for {{ who }}", "in/templates/inner/b.md": "", "templates/c.md": "",
                "in/a.py": f"from errbot import BotPlugin, botcmd\n{head}\n\nclass A(BotPlugin):\n    {lines}\n"}
            result = sample.port(texts)
            self.assertEqual(sample.told(result, "lacks"), [])
            self.assertEqual([one.partition(" ")[2] for one in sample.told(result, "package")], ["jinja2"])
            self.assertEqual([path for path in result["files"] if path.startswith("templates/")], ["templates/tea.md", "templates/inner/b.md"])
            self.assertIn("errbot.templating.load(__file__)", result["files"]["plugin.py"])
        texts["in/a.py"] = texts["in/a.py"].replace("from errbot.templating import tenv", "").replace("tenv()", "self")
        result = sample.port(texts)
        self.assertNotIn("templat", result["files"]["plugin.py"])
        self.assertNotIn("templates/tea.md", result["files"])

    def test_a_list_of_those_who_may_is_told(self) -> None:
        checks = []
        for expression in ("msg.frm.nick in self.config['admins']", "str(msg.frm) not in ALLOWED", "self.owner == msg.frm.person"):
            checks += sample.told(errbot(f"@botcmd\ndef a(self, msg, args):\n    return {expression}"), "check")
        for expression in ("evt.sender not in self.config['admins']", "evt.sender == self.config['owner']"):
            checks += sample.told(maubot(f"@command.new('a')\nasync def a(self, evt):\n    return {expression}"), "check")
        self.assertEqual(len(checks), 5, checks)
        for expression in ("msg.frm in self.people", "sender not in self.users", "str(msg.frm) in self['voters']", "msg.frm.person == args"):
            result = errbot(f"@botcmd\ndef a(self, msg, args, sender):\n    return {expression}")
            self.assertEqual(len(sample.told(result, "check")), 1, expression)
            self.assertIn('"rooms.read" = { scope = ["*"], reason = "to know people in rooms by their addresses" }', result["files"]["plugin.toml"])
        for expression in (
            "evt.sender == self.client.mxid", "msg.frm != self.bot_identifier", "msg.frm.nick == args", "msg.body in self.config['words']", "msg.frm == None",
            "self.config['sender'] == 'x'", "evt.sender == other.sender",
        ):
            self.assertEqual(sample.told(errbot(f"@botcmd\ndef a(self, msg, args, evt, other):\n    return {expression}"), "check"), [], expression)

    def test_lines_for_other_versions_of_python_are_not_told(self) -> None:
        for head in (
            "try:\n    import urllib2\nexcept ImportError:\n    import urllib.request as urllib2",
            "try:\n    from urllib.parse import quote\nexcept ImportError:\n    from urlparse import quote",
            "import sys\nif sys.version_info[0] < 3:\n    text = unicode\nelse:\n    text = str",
            "try:\n    unicode\nexcept NameError:\n    unicode = str\nx = unicode(1)",
            "try:\n    from urllib.parse import quote\nexcept:\n    from urlparse import quote",
            "def reduce(function, xrange):\n    return xrange\nx = reduce(1, 2)",
        ):
            self.assertEqual(errbot("def a(self):\n    pass", head)["findings"], [], head)

    def test_the_prefix_is_a_setting_of_its_own(self) -> None:
        result = errbot("def get_configuration_template(self):\n    return {'prefix': 'a'}\ndef b(self):\n    return self._bot.prefix")
        self.assertTrue(whole(result), result["findings"])
        settings = tomllib.loads(result["files"]["plugin.toml"])["settings"]
        self.assertEqual({name: one["default"] for name, one in settings.items()}, {"prefix": "!", "prefix_2": "a"})

    def test_a_pattern_for_admins_is_told_unless_it_is_for_all(self) -> None:
        for value, says in (("True", ["@re_botcmd(admin_only=…)"]), ("ADMINS", ["@re_botcmd(admin_only=…)"]), ("False", [])):
            body = f"@re_botcmd(pattern='x', admin_only={value})\ndef a(self, msg, match):\n    return 'b'"
            self.assertEqual(self.lacks(errbot(body, "from errbot import re_botcmd\nADMINS = True")), says, value)

    def test_modules_that_are_chosen_later_are_imported_by_the_build(self) -> None:
        for call in ("importlib.import_module(f'.ways.{name}', package='a')", "importlib.import_module('a.ways.' + name)",
                     "importlib.import_module(f'.ways.{name}', __package__)"):
            texts = {"maubot.yaml": YAML, "a/ways/__init__.py": "", "a/ways/mint.py": "x = 1\n", "a/ways/green.py": "",
                     "a/ways/deep/inner.py": "", "a/other.py": "",
                     "a/__init__.py": f"import importlib\nfrom maubot import Plugin\n\nclass A(Plugin):\n    def way(self, name):\n        return {call}\n"}
            result = sample.port(texts)
            self.assertEqual(sample.told(result, "lacks"), [], call)
            self.assertEqual(sample.told(result, "check"), ["a/__init__.py:6 modules such as a.ways.green"])
            one = "with contextlib.suppress(ImportError):\n    import a.ways."
            self.assertIn(f"{one}green\n{one}mint\n", result["files"]["plugin.py"])
            self.assertEqual(sorted(one for one in result["files"] if one.startswith("a/")), ["a/__init__.py", "a/ways/__init__.py", "a/ways/green.py", "a/ways/mint.py"])
        for call in ("importlib.import_module(name)", "importlib.import_module(f'{name}_ways')", "importlib.import_module('.ways', name)"):
            result = maubot(f"def way(self, name):\n    return {call}", "import importlib")
            self.assertEqual(sample.told(result, "lacks"), ["a.py:7 importlib.import_module"], call)

    def test_a_folder_whose_name_is_taken_is_renamed(self) -> None:
        about = YAML.replace("- a", "- plugin.bot").replace("main_class: A", "main_class: plugin.bot/A")
        texts = {"maubot.yaml": about, "plugin/__init__.py": "from .bot import A\n", "plugin/ways.py": "", "plugin/bot.py": "from maubot import Plugin\nfrom . import ways\n\nclass A(Plugin):\n    pass\n"}
        result = sample.port(texts)
        self.assertEqual([one["what"] for one in result["findings"]], ["the folder is called plugin_ported now"])
        self.assertIn("import plugin_ported.bot\n", result["files"]["plugin.py"])
        self.assertIn("plugin_ported/ways.py", result["files"])
        texts["plugin/bot.py"] = texts["plugin/bot.py"].replace("from . import", "from plugin import")
        self.assertEqual(sample.told(sample.port(texts), "lacks"), ["plugin/__init__.py:1 the module plugin"])

    def test_no_module_of_a_plugin_hides_one_of_the_layer(self) -> None:
        for name in ("requests", "aiohttp", "asyncpg", "yarl"):
            texts = {"maubot.yaml": YAML.replace("- a", f"- {name}\n- a"), f"{name}.py": "", "a.py": f"import {name}\nfrom maubot import Plugin\n\nclass A(Plugin):\n    pass\n"}
            self.assertIn(f"{name}.py:1 the module {name}", sample.told(sample.port(texts), "lacks"))

    def test_settings_are_read_where_their_names_are_those_of_other_modules_and_of_the_environment(self) -> None:
        result = sample.port({
            "a.plug": PLUG, "names.py": "UNITS = 'units'\nDEFAULT = 'metric'\n",
            "a.py": "import names\nfrom os import environ\nfrom names import DEFAULT\nfrom errbot import BotPlugin\n"
            "TEMPLATE = {names.UNITS: DEFAULT, 'place': environ.get('PLACE', 'here')}\n\nclass A(BotPlugin):\n"
            "    def get_configuration_template(self):\n        return TEMPLATE\n"})
        self.assertEqual(sample.told(result, "lacks"), ["a.py:5 os.environ.get"])
        settings = tomllib.loads(result["files"]["plugin.toml"])["settings"]
        self.assertEqual({name: one["default"] for name, one in settings.items()}, {"units": "metric", "place": "here"})

    def test_environment_variables_of_functions_become_settings(self) -> None:
        result = errbot(
            "def a(self, name):\n    return os.environ['API_TOKEN'], getenv('PLACE'), os.getenv('PLACE', 'here'), os.environ.get(name), os.environ.get('EARLY')",
            "import os\nfrom os import getenv\nEARLY = os.environ.get('EARLY')")
        self.assertEqual(sample.told(result, "lacks"), ["a.py:4 os.environ.get", "a.py:8 os.environ.get"])
        self.assertEqual([one.partition(" ")[2] for one in sample.told(result, "check")], [
            "the environment variable API_TOKEN", "the environment variable PLACE"])
        settings = tomllib.loads(result["files"]["plugin.toml"])["settings"]
        self.assertEqual({name: (one["type"], one.get("default")) for name, one in settings.items()}, {"api_token": ("secret", None), "place": ("string", "here")})
        self.assertIn("parlor_port.environ.use({'API_TOKEN': 'api_token', 'PLACE': 'place'})\n\nimport a\n", result["files"]["plugin.py"])

    def test_what_plugins_of_maubot_use_beyond_the_layer(self) -> None:
        for body, head, says in (
            ("def a(self):\n    return self.database", "", "self.database"),
            ("async def a(self):\n    await self.client.set_room_name('')", "", "self.client.set_room_name"),
            ("async def a(self):\n    await self.client.send_state_event('a', event_type='m.room.avatar', content={})", "",
             "self.client.send_state_event('m.room.avatar')"),
            ("async def a(self):\n    await self.client.send_state_event('a', kind, {})", "", "self.client.send_state_event(kind)"),
            ("def a(self):\n    pass", "from mautrix.crypto.attachments import encrypt_attachment", "mautrix.crypto.attachments.encrypt_attachment"),
            ("@event.on(EventType.ROOM_AVATAR)\nasync def a(self, evt):\n    pass", "from mautrix.types import EventType", "EventType.ROOM_AVATAR"),
            ("@event.on(InternalEventType.UNBAN)\nasync def a(self, evt):\n    pass", "from mautrix.client import InternalEventType", "InternalEventType.UNBAN"),
            ("def a(self):\n    pass", "from mautrix.client import ClientAPI", "mautrix.client.ClientAPI"),
            ("def a(self):\n    pass", "from mautrix.types.event.message import PollStart", "mautrix.types.event.message.PollStart"),
            ("@event.on(EventType.find('m.room.avatar'))\nasync def a(self, evt):\n    pass", "from mautrix.types import EventType",
             "@event.on(EventType.find('m.room.avatar'))"),
            ("@event.on(POLL)\nasync def a(self, evt):\n    pass", "from mautrix.types import EventType\nPOLL = EventType.find('m.poll.start')", "@event.on(POLL)"),
            ("@event.on(TOPIC)\nasync def a(self, evt):\n    pass", "from mautrix.types import EventType\nKIND: EventType = EventType.ROOM_CANONICAL_ALIAS\nTOPIC = KIND",
             "@event.on(TOPIC)"),
            ("async def a(self, client):\n    await self.client.get_state_event('a', EventType.SPACE_CHILD)", "from mautrix.types import EventType",
             "EventType.SPACE_CHILD"),
            ("def a(self):\n    return MessageType.POLL, MessageType.TEXT.value", "from mautrix.types.event.message import MessageType", "MessageType.POLL"),
            ("def a(self):\n    return self.client.api.request('GET')", "", "self.client.api.request"),
            ("def a(self):\n    pass", "from aiohttp import ClientSession, TCPConnector", "aiohttp.TCPConnector"),
            ("def a(self):\n    pass", "from aiohttp.client_exceptions import ClientError, ClientSSLError", "aiohttp.client_exceptions.ClientSSLError"),
            ("def a(self):\n    pass", "from requests.auth import HTTPBasicAuth, HTTPDigestAuth", "requests.auth.HTTPDigestAuth"),
            ("def a(self):\n    pass", "from requests.adapters import HTTPAdapter", "requests.adapters.HTTPAdapter"),
            ("def a(self):\n    return requests.packages.urllib3.util, requests.exceptions.Timeout", "import requests", "requests.packages.urllib3.util"),
            ("def a(self):\n    pdb.set_trace()", "import pdb", "pdb"),
            ("def a(self):\n    return self.scheduler", "", "self.scheduler"),
            ("async def a(self, evt):\n    return evt.sender.split(':', 1)[1]", "", "evt.sender.split(':', 1)"),
            ("def a(self):\n    pass", "from mautrix.util.async_db import PostgresDatabase", "mautrix.util.async_db.PostgresDatabase"),
            ("async def a(self):\n    self.sched.add_job(1)", "", "self.sched.add_job"),
            ("async def a(self):\n    await self.client.send_image('a', 'mxc://b/c')", "", "'mxc://b/c'"),
            ("async def a(self, x):\n    return f'see mxc://{x}'", "", "f'see mxc://{x}'"),
            ("async def a(self):\n    return self.webapp_url + '/hook'", "", "self.webapp_url"),
            ("def a(self):\n    return types.PollStartEventContent()", "from mautrix import types", "mautrix.types.PollStartEventContent"),
        ):
            self.assertEqual(self.lacks(maubot(body, head)), [says], body)
        self.assertEqual(self.lacks(maubot("pass", about=YAML + "database: true\nwebapp: true\n")), [])

    def test_what_plugins_of_maubot_use_and_the_layer_has(self) -> None:
        types = "from mautrix.types import EventType"
        for body, head, says in (
            ("@event.on(EventType.ROOM_TOMBSTONE)\nasync def a(self, evt: StateEvent):\n    return evt.content.replacement_room", f"{types}, StateEvent",
             ["@event.on(EventType.ROOM_TOMBSTONE)"]),
            ("async def a(self):\n    return (await self.client.get_state_event('a', EventType.ROOM_POWER_LEVELS)).users", types, ["self.client.get_state_event"]),
            ("async def a(self):\n    await self.client.send_state_event('a', EventType.ROOM_TOPIC, {'topic': 'b'})", types, ["self.client.send_state_event"]),
            ("@command.new('a', aliases=lambda one: one in ('b', 'c'))\nasync def a(self, evt):\n    pass", "", ["aliases=lambda …"]),
            ("def a(self):\n    '''It shows mxc://a/b.'''\n    return EventType.find('x', EventType.Class.STATE)", types, []),
            ("def a(self):\n    return 'Usage: [mxc://…]'", "", []),
            ("def a(self, x):\n    return x.startswith('mxc://')", "", ["'mxc://'"]),
            ("def a(self):\n    self.scheduler = object()\n    return self.scheduler", "", []),
            ("def a(self):\n    return aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())", "import aiohttp", []),
            ("def a(self):\n    pass", "from maubot.handlers.command import CommandHandler, CommandHandlerFunc", []),
            ("def a(self):\n    return self.client.api.session", "from maubot import __version__\nfrom mautrix import __version__ as other", []),
            ("def a(self):\n    return URL('https://a.example'), HTTPBasicAuth, client",
             "from yarl import URL\nfrom requests.auth import HTTPBasicAuth\nfrom aiohttp import client", []),
        ):
            result = maubot(body, head)
            self.assertEqual((self.lacks(result), [one.partition(" ")[2] for one in sample.told(result, "check")]), ([], says), body)
        topic = maubot("async def a(self):\n    await self.client.send_state_event('a', 'm.room.topic', {})")
        self.assertIn("rooms.moderate", tomllib.loads(topic["files"]["plugin.toml"])["permissions"])
        other = "class B:\n    def __init__(self):\n        self.client = len('b')\n    def b(self):\n        return self.client.chat"
        self.assertEqual(self.lacks(maubot("pass", other)), [])

    def test_a_client_that_is_passed_on_needs_what_its_calls_need(self) -> None:
        result = maubot("pass", "async def name(client, room):\n    return await client.get_state_event(room, 'm.room.name')")
        self.assertIn("rooms.read", tomllib.loads(result["files"]["plugin.toml"])["permissions"])

    def test_handlers_of_requests_become_webhooks(self) -> None:
        head = "from aiohttp.web import Request, Response\nfrom maubot.handlers import web\nSIGNATURE = 'X-Signature'"
        result = maubot("@web.post('/a')\n@web.put('/a')\nasync def Take_it(self, req: Request) -> Response:\n    return self.check(req)\n"
                        "@web.get('/b')\nasync def show(self, request):\n    return Response(text=request.headers.get('Accept'))\n"
                        "def check(self, req):\n    return req.headers[SIGNATURE] if 'X-Event' in req.headers else req.headers['content-type']", head, WEB)
        self.assertTrue(whole(result), result["findings"])
        manifest = tomllib.loads(result["files"]["plugin.toml"])
        self.assertIn("webhooks.receive", manifest["permissions"])
        self.assertEqual({name: (one["methods"], one["paths"]) for name, one in manifest["webhook"].items()}, {"web": (["GET", "POST", "PUT"], True)})
        for one in manifest["webhook"].values():
            self.assertEqual((one["verify"], one["mode"], one["headers"]), ("none", "answer", ["accept", "x-event", "x-signature"]))
        self.assertIn("    webhook='web',\n)", result["files"]["plugin.py"])
        checks = [one.partition(" ")[2] for one in sample.told(result, "check")]
        self.assertEqual(sorted(checks), ["@web.get('/b')", "the path of @web.get('/b')", "the path of @web.post('/a')", "the path of @web.put('/a')"])

    def test_each_method_of_errbot_that_takes_requests_has_a_webhook_of_its_own(self) -> None:
        names = ("_take", "take", "take_what_the_service_for_builds_sends", "take_what_the_service_for_builds_says")
        result = errbot("\n".join(f"@webhook\ndef {name}(self, sent):\n    pass" for name in names), "from errbot import webhook")
        webhooks = {"_take": "take", "take": "take_2", names[2]: "take_what_the_service_for_builds", names[3]: "take_what_the_service_for_bu_2"}
        self.assertEqual(sorted(tomllib.loads(result["files"]["plugin.toml"])["webhook"]), sorted(webhooks.values()))
        self.assertIn(f"webhooks={webhooks}", result["files"]["plugin.py"])
        # Also if two plugins of one folder have a method of the same name.
        result = errbot("@webhook\ndef push(self, sent):\n    pass", "from errbot import webhook\nclass B(BotPlugin):\n    @webhook(methods=['PUT'])\n"
                        "    def push(self, sent):\n        pass")
        webhook = tomllib.loads(result["files"]["plugin.toml"])["webhook"]
        self.assertEqual({name: one["methods"] for name, one in webhook.items()}, {"push": ["PUT"], "push_2": ["POST"]})
        self.assertIn("webhooks={'push': 'push'}", result["files"]["plugin.py"])
        self.assertIn("webhooks={'push': 'push_2'}", result["files"]["plugin.py"])

    def test_handlers_of_requests_that_were_off_stay_off(self) -> None:
        result = maubot("@web.post('/a')\nasync def a(self, req):\n    pass", "from maubot.handlers import web")
        self.assertEqual([one.partition(" ")[2] for one in sample.told(result, "check")], ["a() for requests"])
        self.assertNotIn("webhook", result["files"]["plugin.toml"] + result["files"]["plugin.py"])

    def test_what_a_webhook_lacks_is_told(self) -> None:
        head = "from aiohttp import hdrs, web as server\nfrom maubot.handlers import web"
        for decorator, body, says in (
            ("@web.static('/a')", "pass", ["maubot.handlers.web.static"]),
            ("@web.post('/a')", "return req.remote", ["req.remote"]),
            ("@web.post('/a')", "return req.url.query['a'], req.rel_url.query_string", []),
            ("@web.post('/a')", "return req.rel_url.parts", ["req.rel_url"]),
            ("@web.post('/a')", "return req.headers.get('Authorization')", ["the header authorization"]),
            ("@web.post('/a')", "return req.headers.get(hdrs.AUTHORIZATION)", ["the header authorization"]),
            ("@web.post('/a')", "raise server.HTTPFound('/b')", ["aiohttp.web.HTTPFound"]),
            ("@web.post('/a')", "return self.webapp_url, self.webapp.router", []),
            ("@web.post('/a')", "self.webapp.add_middleware(a)", ["self.webapp.add_middleware"]),
        ):
            self.assertEqual(self.lacks(maubot(f"{decorator}\nasync def a(self, req):\n    {body}", head, WEB)), says)
        result = maubot("@web.post('/a')\nasync def a(self, req):\n    return req.headers[hdrs.X_FORWARDED_FOR]", head, WEB)
        self.assertEqual(tomllib.loads(result["files"]["plugin.toml"])["webhook"]["web"]["headers"], ["x-forwarded-for"])
        result = maubot("@web.post('/a')\nasync def a(self, req):\n    return dict(req.headers)", head, WEB)
        self.assertIn("the headers that it reads", [one.partition(" ")[2] for one in sample.told(result, "check")])
        self.assertEqual(self.lacks(maubot("pass", "from aiohttp.web import FileResponse")), ["aiohttp.web.FileResponse"])

    def test_paths_are_told(self) -> None:
        head = "from maubot.handlers import web\nPATH = '/a/{of}'"
        for path, below in (("'/a/{id}/{page:[0-9]{1,3}}'", "/a/{id}/{page:[0-9]{1,3}}"), ("PATH", "/a/{of}"), ("'a/'", "/a"), ("other()", "the path")):
            result = maubot(f"@web.get({path})\nasync def a(self, req):\n    pass", head, WEB)
            self.assertTrue(whole(result), result["findings"])
            [instead] = [one["instead"] for one in result["findings"] if one["what"].startswith("the path of")]
            self.assertIn(f"; {below} below the address", instead)
        for body, methods, slash, says in (
            ("self.webapp.add_route('POST', '/a', self.b)\n    return f'{self.webapp_url}a'", ["POST"], True, []),
            ("self.webapp.router.add_get('/a', self.b)\n    self.log.info(f'{self.webapp_url}/a')", ["GET"], False, ["the address in the log"]),
            ("path = self.config['path']\n    self.webapp.add_post(path, self.b)\n    return f'{self.webapp_url}{path.lstrip(\"/\")}'", ["POST"], True, []),
            ("self.webapp.add_post('/a', self.b)\n    return 'at ' + str(self.webapp_url) + 'a'", ["POST"], True, []),
            ("self.webapp.add_post('/a', self.b)\n    return self.webapp_url + f'a/{self.id}'", ["POST"], True, []),
            ("self.webapp.add_post('/a', self.b)\n    return self.webapp_url + '/a', f'{self.webapp_url}{self.id}'", ["POST"], False, []),
            ("for one in self.config['all']:\n        self.webapp.add_route(one, '/a', self.b)", ["DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"], False, []),
        ):
            result = maubot(f"async def start(self):\n    {body}\nasync def b(self, req):\n    pass", "", WEB)
            self.assertTrue(whole(result), result["findings"])
            self.assertEqual(tomllib.loads(result["files"]["plugin.toml"])["webhook"]["web"]["methods"], methods)
            self.assertEqual("slash=True" in result["files"]["plugin.py"], slash)
            self.assertEqual([one["what"] for one in result["findings"] if one["what"].startswith("the address")], says)
        result = errbot("@webhook('/a/<name>')\ndef a(self, sent, name):\n    pass", "from errbot import webhook")
        self.assertTrue(whole(result), result["findings"])
        self.assertIn("@webhook('/a/<name>')", [one.partition(" ")[2] for one in sample.told(result, "check")])
        self.assertIs(tomllib.loads(result["files"]["plugin.toml"])["webhook"]["a"]["paths"], True)

    def test_events_of_rooms_are_granted_and_told(self) -> None:
        head = "from mautrix.types import EventType\nfrom mautrix.client import InternalEventType\nENTERS = EventType.find('m.room.member')"
        for kind, granted, says in (
            ("ENTERS", ["rooms.read"], ["who enters and leaves rooms"]),
            ("EventType.ROOM_MEMBER", ["rooms.read"], ["who enters and leaves rooms"]),
            ("EventType.find('m.room.member')", ["rooms.read"], ["who enters and leaves rooms"]),
            ("InternalEventType.BAN", ["rooms.read"], ["who enters and leaves rooms"]),
            ("InternalEventType.INVITE", ["rooms.read"], ["who enters and leaves rooms"]),
            ("EventType.ROOM_REDACTION", ["messages.read", "messages.send", "rooms.send"], ["messages that are taken back"]),
            ("EventType.ROOM_MESSAGE", ["messages.read", "messages.send", "rooms.send"], []),
        ):
            result = maubot(f"@event.on({kind})\nasync def a(self, evt):\n    pass", head)
            self.assertTrue(whole(result), result["findings"])
            self.assertEqual(list(tomllib.loads(result["files"]["plugin.toml"])["permissions"]), granted)
            self.assertEqual([one.partition(" ")[2] for one in sample.told(result, "check")], says)
            self.assertEqual("watches=True" in result["files"]["plugin.py"], granted == ["rooms.read"])

    def test_files_are_granted_by_their_media_types(self) -> None:
        for calls, scope, told in (
            (["b'', mime_type='image/png'", "b'', 'Text/Plain; charset=utf-8'"], ["image/png", "text/plain"], []),
            (["b'', mime_type='image/png'", "b''"], ["*"], ["the files that it uploads"]),
            (["b'', mime_type=answer.headers['content-type']"], ["*"], ["the files that it uploads"]),
            (["b'', mime_type='image/\"png'"], ["*"], ["the files that it uploads"]),
        ):
            lines = "\n    ".join(f"await self.client.send_image(evt.room_id, url=await self.client.upload_media({one}))" for one in calls)
            result = maubot(f"@command.new('a')\nasync def a(self, evt):\n    {lines}", "from mautrix.types import ImageInfo")
            self.assertTrue(whole(result), result["findings"])
            granted = tomllib.loads(result["files"]["plugin.toml"])["permissions"]
            self.assertEqual(granted["files.send"]["scope"], scope)
            found = [one.partition(" ")[2] for one in sample.told(result, "check")]
            self.assertEqual([one for one in found if one != "client.upload_media()"], told)
            self.assertEqual(found.count("client.upload_media()"), len(calls))

    def test_files_of_messages_are_granted_and_told(self) -> None:
        result = maubot("@event.on(EventType.ROOM_MESSAGE)\nasync def a(self, evt):\n    await self.client.download_media(evt.content.url)",
                        "from mautrix.types import EventType")
        self.assertTrue(whole(result), result["findings"])
        self.assertEqual([one.partition(" ")[2] for one in sample.told(result, "check")], ["self.client.download_media"])
        self.assertIn("files.read", tomllib.loads(result["files"]["plugin.toml"])["permissions"])
        body = "def callback_stream(self, stream):\n    self.send_stream_request(stream.identifier, stream, 'a', stream_type='image/png')"
        result = errbot(body)
        self.assertTrue(whole(result), result["findings"])
        granted = tomllib.loads(result["files"]["plugin.toml"])["permissions"]
        self.assertEqual(sorted(granted), ["files.read", "files.send", "messages.read", "messages.send", "rooms.send"])
        self.assertEqual(granted["files.send"]["scope"], ["image/png"])
        self.assertEqual([one.partition(" ")[2] for one in sample.told(result, "check")],
                         ["callback_stream()", "files that are rejected", "self.send_stream_request()"])

    def test_a_variable_of_the_same_name_is_no_module(self) -> None:
        for body in ("async def a(self, evt, command):\n    return command.split()", "async def a(self):\n    for event in []:\n        event.off()"):
            self.assertEqual(self.lacks(maubot(body)), [], body)

    def test_settings_that_a_plugin_writes_are_told(self) -> None:
        result = maubot("async def start(self):\n    self.config['a'] = 1\n    self.config.save()")
        self.assertEqual([one.partition(" ")[2] for one in sample.told(result, "check")], ["self.config.save()"])

    def test_names_that_the_host_does_not_take_and_mixed_rights_are_told(self) -> None:
        result = errbot("@botcmd\ndef help_me(self, msg, args):\n    pass\n@botcmd\ndef a_b(self, msg, args):\n    pass\n"
                        "@botcmd(admin_only=True)\ndef a_c(self, msg, args):\n    pass")
        self.assertEqual(self.lacks(result), ["the command help"])
        self.assertEqual([one.partition(" ")[2] for one in sample.told(result, "check")], ["admin_only of !a c"])
        result = errbot("@botcmd\ndef a_b(self, msg, args):\n    pass\n@botcmd(admin_only=True)\ndef a(self, msg, args):\n    pass\n"
                        f"@botcmd\ndef a_{'b' * 31}(self, msg, args):\n    pass")
        self.assertEqual(self.lacks(result), ["!a b for everybody", f"!a {'b' * 31} for everybody", f"the command a_{'b' * 31}"])
        result = errbot("@arg_botcmd('x', admin_only=True)\n@arg_botcmd('y')\ndef a_b(self, msg, x, y):\n    pass", "from errbot import arg_botcmd")
        self.assertEqual(result["findings"], [])
        self.assertEqual(self.lacks(maubot("@command.new('two words')\nasync def a(self, evt):\n    pass")), ["the command two words"])

    def test_packages_are_told_apart_from_what_cannot_be(self) -> None:
        result = errbot("pass", "import bs4\ntry:\n    import fancy\nexcept ImportError:\n    fancy = None")
        self.assertEqual([one.partition(" ")[2] for one in sample.told(result, "package")], ["bs4"])
        self.assertIn("beautifulsoup4", result["findings"][0]["instead"])
        self.assertEqual(result["packages"], ["beautifulsoup4"])
        self.assertEqual([one.partition(" ")[2] for one in sample.told(result, "check")], ["fancy"])

    def test_time_zones_need_their_package(self) -> None:
        for head, package, part in (("from zoneinfo import ZoneInfo", "tzdata", "zones"), ("import pytz", "pytz", "zones_of_pytz")):
            result = errbot("pass", head)
            self.assertEqual((self.lacks(result), [one.partition(" ")[2] for one in sample.told(result, "package")]), ([], [package]))
            plugin = result["files"]["plugin.py"]
            self.assertLess(plugin.index(f"import parlor_port.{part}\n"), plugin.index("import a\n"))

    def test_a_method_that_is_off_is_told(self) -> None:
        result = maubot("@event.off\n@command.passive('x')\nasync def a(self, evt, match):\n    pass")
        self.assertTrue(whole(result), result["findings"])
        self.assertEqual([one.partition(" ")[2] for one in sample.told(result, "check")], ["@event.off"])

    def test_python_2_is_told(self) -> None:
        with self.assertRaisesRegex(ValueError, "a.py:1"):
            sample.port({"a.plug": PLUG, "a.py": "print 'x'\n"})

    def test_a_module_whose_name_is_taken_gets_another_one(self) -> None:
        result = sample.port({"a.plug": PLUG.replace("= a", "= random"), "random.py": "from errbot import BotPlugin\nclass A(BotPlugin):\n    pass\n"})
        self.assertIn("random_ported.py", result["files"])
        self.assertIn("import random_ported\n", result["files"]["plugin.py"])

    def test_modules_that_are_imported_later_are_imported_at_once(self) -> None:
        result = errbot("def a(self):\n    import colorsys\n    return colorsys")
        self.assertIn("import colorsys\n", result["files"]["plugin.py"])


class Settings(unittest.TestCase):
    def test_a_template_of_names_and_literals_becomes_settings(self) -> None:
        head = "ROOM = 'hall@rooms.example.org'\nDEFAULTS = {'room': ROOM, 'limit': 3}"
        expected = {"room": "hall@rooms.example.org", "limit": 3}
        for body in (
            "return DEFAULTS",
            "'''Says what can be set.'''\ntemplate = {'room': ROOM, 'limit': self.MOST}\nreturn template",
            "template = dict(room=ROOM)\ntemplate['limit'] = A.MOST\nreturn template",
        ):
            lines = body.replace("\n", "\n    ")
            result = errbot(f"MOST = 3\ndef get_configuration_template(self):\n    {lines}", head)
            self.assertTrue(whole(result), result["findings"])
            settings = tomllib.loads(result["files"]["plugin.toml"])["settings"]
            self.assertEqual({name: one["default"] for name, one in settings.items()}, expected, body)
        self.assertTrue(whole(errbot("def get_configuration_template(self):\n    return None")))

    def shelf(self, uses: str) -> dict[str, Any]:
        about = "shelf:\n  tea: 1\n  cups: 2\nkeys:\n  api_key: x\nnames:\n  a.b: 1\nlimits:\n  most: 3\n"
        return sample.port({
            "maubot.yaml": YAML, "base-config.yaml": about,
            "a.py": f"from maubot import Plugin\n\nclass A(Plugin):\n    def list(self):\n        {uses}\n"})

    def test_a_map_whose_keys_are_the_owners_is_one_setting(self) -> None:
        for uses in (
            "return list(self.config['shelf'].items())", "return [one for one in self.config['shelf']]", "return self.config['shelf'][self.id]",
            "self.shelf = self.config.get('shelf', {})",
        ):
            result = self.shelf(f"{uses}; self.config['keys'].items(); self.config['limits']['most']")
            self.assertTrue(whole(result), result["findings"])
            settings = tomllib.loads(result["files"]["plugin.toml"])["settings"]
            self.assertEqual(sorted(settings), ["keys", "limits_most", "names", "shelf"], uses)
            self.assertEqual(settings["shelf"]["default"], '{"tea": 1, "cups": 2}')
            self.assertEqual((settings["keys"]["type"], "default" in settings["keys"]), ("secret", False))
            self.assertEqual(len(sample.told(result, "check")), 3, result["findings"])
            self.assertIn("'shelf': ('shelf', 'map')", result["files"]["plugin.py"])

    def test_a_value_with_a_secret_part_is_a_secret_without_a_default(self) -> None:
        for about, read in (
            ("bridge:\n  accessToken: s3cr3t\n", "map"), ("bridge:\n  api-key: s3cr3t\n", "map"), ("bridge:\n- name: a\n  password: s3cr3t\n", "items"),
        ):
            result = sample.port({
                "maubot.yaml": YAML, "base-config.yaml": about,
                "a.py": "from maubot import Plugin\n\nclass A(Plugin):\n    def list(self):\n        return list(self.config['bridge'])\n"})
            self.assertTrue(whole(result), result["findings"])
            self.assertNotIn("s3cr3t", "".join(result["files"].values()))
            self.assertEqual(tomllib.loads(result["files"]["plugin.toml"])["settings"]["bridge"]["type"], "secret", about)
            self.assertIn(f"'bridge': ('bridge', '{read}')", result["files"]["plugin.py"])
            self.assertEqual(len(sample.told(result, "check")), 1, result["findings"])
        settings = tomllib.loads(errbot("def get_configuration_template(self):\n    return {'apiToken': 'x', 'feeds': [{'a': 1}]}")["files"]["plugin.toml"])
        self.assertEqual({name: one["type"] for name, one in settings["settings"].items()}, {"api_token": "secret", "feeds": "string"})

    def test_a_map_whose_keys_are_named_is_a_setting_for_each(self) -> None:
        result = self.shelf("return self.config['shelf']['tea'] + self.config['shelf'].get('cups', 0) + self.config['keys.api_key']")
        settings = tomllib.loads(result["files"]["plugin.toml"])["settings"]
        self.assertEqual(sorted(settings), ["keys_api_key", "limits_most", "names", "shelf_cups", "shelf_tea"])

    def test_a_template_that_is_computed_is_told(self) -> None:
        for body in (
            "return make()",
            "template = {}\nif self.log:\n    template['a'] = 1\nreturn template",
            "template = {}\ntemplate.update(a=1)\nreturn template",
            "template = {}\nother = template\nother['a'] = 1\nreturn template",
            "inner = {}\ntemplate = {'x': inner}\ninner['a'] = 1\nreturn template",
            "return ONE",
            "pass",
        ):
            lines = body.replace("\n", "\n    ")
            result = errbot(f"def get_configuration_template(self):\n    {lines}", "ONE = OTHER\nOTHER = ONE")
            self.assertEqual(sample.told(result, "lacks"), ["a.py:6 get_configuration_template()"], body)


class Unread(unittest.TestCase):
    """Reports of what stops a plugin before it is built."""

    def instead(self, result: dict[str, Any]) -> dict[str, str]:
        return {one["what"]: one["instead"].partition(":")[0] for one in result["findings"] if one["kind"] == "lacks"}

    def test_an_import_that_nothing_uses_is_told_as_such(self) -> None:
        head = "from mautrix.errors import IntentError\nfrom mautrix.types import PollType, GuestAccess, PresenceState as Any\nB = GuestAccess\n"
        self.assertEqual(self.instead(maubot("def a(self):\n    return IntentError", head)), {
            "mautrix.types.PollType": "the import without it", "mautrix.types.GuestAccess": "see what parlor offers",
            "mautrix.types.PresenceState": "the import without it",
        })

    def test_modules_that_cannot_be_read_are_named_with_the_remedy(self) -> None:
        cases = (
            ({"maubot.yaml": YAML}, "there is no file a.py, nor a folder of that name with an __init__.py"),
            ({"maubot.yaml": "id: org.example.a\nversion: 1.0\nmain_class: A\n"}, "maubot.yaml names none by `modules`"),
            ({"a.plug": PLUG, "b.py": ""}, "there is no file a.py, nor a folder of that name with an __init__.py"),
            ({"a.plug": PLUG, "a.py": "print 'tea'"}, "instead: Python 3: what is of Python 2 has to be written anew"),
        )
        for files, expected in cases:
            with self.assertRaises(ValueError) as error:
                sample.port(files)
            self.assertIn("none of its modules can be read: ", str(error.exception))
            self.assertTrue(str(error.exception).endswith(expected), str(error.exception))


class Hostile(unittest.TestCase):
    def test_names_and_texts_cannot_break_out_of_what_is_written(self) -> None:
        name = 'x"\n[permissions]\n"api.send" = {}\n\x7f\u202e'
        plug = "[Core]\nName = " + name.replace("\n", " ") + "\nModule = a\n[Documentation]\nDescription = " + name.replace("\n", "\n  ") + "\n"
        result = sample.port({"a.plug": plug, "a.py": "from errbot import BotPlugin\nclass A(BotPlugin):\n"
                              f"    def get_configuration_template(self):\n        return {{{name!r}: {name!r}, 'b': [1, {{}}], 'c': None}}\n"})
        manifest = tomllib.loads(result["files"]["plugin.toml"])
        self.assertEqual(manifest.get("permissions"), {})
        self.assertEqual(manifest["plugin"]["name"], "x-permissions-api-send")
        self.assertEqual(len(manifest["settings"]), 3)
        compile(result["files"]["plugin.py"], "plugin.py", "exec")
        calls = [node for node in ast.walk(ast.parse(result["files"]["plugin.py"])) if isinstance(node, ast.Call)]
        self.assertEqual(len(calls), 1)

    def test_a_configuration_of_any_form_is_read_or_refused(self) -> None:
        for text in ("a: &b c", "a: !x y", "a: [[1]]", "- a\nb", "a:\n   b: c\n  d: e", "a: {b: [1]}", ":\n", "a\n", "\t", "? a", "a: '"):
            try:
                simple_yaml.Reader(text).read()
            except ValueError:
                pass
        deep = "\n".join(" " * level + "a:" for level in range(100))
        with self.assertRaises(ValueError):
            simple_yaml.Reader(deep).read()

    def test_yaml_of_several_lines_is_read(self) -> None:
        cases = (
            ("a:\n-\nb: 1\n", {"a": [None], "b": 1}),
            ("a:\n-\n- x\n-\n  - y\n", {"a": [None, "x", ["y"]]}),
            ('a: "one two\n    three # `x`. For:\n    example \\"y\\"!" # why\nb: 1\n', {"a": 'one two three # `x`. For: example "y"!', "b": 1}),
            ('a: "one \\\n  two\n\n  three"\n', {"a": "one two\nthree"}),
            ("a: 'it''s\n\n  # two'\nb: 1\n", {"a": "it's\n# two", "b": 1}),
            ("a:\n- 'b\n  c'\n- d\n", {"a": ["b c", "d"]}),
            ("a: plain text\n  goes on\n  and on\nb: 1\n", {"a": "plain text goes on and on", "b": 1}),
            ("a: [b,\n  'c', # why\n  ]\nd: {\n}\n", {"a": ["b", "c"], "d": {}}),
            ("a:\n  https://a.example/?b=c#d\nb:\n    'e: f'\nc:\n  [g,\n  h]\nd:\n  i\n  j\n", {
                "a": "https://a.example/?b=c#d", "b": "e: f", "c": ["g", "h"], "d": "i j"}),
        )
        for text, value in cases:
            self.assertEqual(simple_yaml.Reader(text).read(), value, text)
        for text in ('a: "one\n', "a: 'one\n  two' three\n", "a: [b,\n", "a: b\n  c: d\n", "a: 1\n  - b\n", "a:\n  b\n  c: d\n", "a:\n  b: c\n  d\n"):
            with self.assertRaises(ValueError, msg=text):
                simple_yaml.Reader(text).read()
        # In linear time.
        simple_yaml.Reader('a: "b\n' + "  c\n" * 50_000 + '"\n').read()

    def test_yaml_is_read_as_plugins_write_it(self) -> None:
        text = (
            "# The greeting.\n# Two lines.\ngreeting: 'it''s'  # behind\nlist:\n- a\n- \"b\\n\"\nmaps:\n  - name: x\n    n: 1\n  - name: y\n"
            "inner:\n  on: true\n  off: off\n  n: -1.5\nempty:\nflow: [a, 2]\ntext: |\n  one\n  two\nurl: https://a.example/#x\nnone: {}\n"
        )
        reader = simple_yaml.Reader(text)
        self.assertEqual(reader.read(), {
            "greeting": "it's", "list": ["a", "b\n"], "maps": [{"name": "x", "n": 1}, {"name": "y"}], "inner": {"on": True, "off": "off", "n": -1.5},
            "empty": None, "flow": ["a", 2], "text": "one\ntwo", "url": "https://a.example/#x", "none": {},
        })
        self.assertEqual(reader.of_keys["greeting"], "The greeting. Two lines.")


if __name__ == "__main__":
    unittest.main()
