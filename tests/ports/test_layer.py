"""The layers for plugins of errbot and maubot, with the sample plugins: `python3 -m unittest discover tests/ports`."""

import asyncio
import importlib.util
import shutil
import struct
import sys
import tempfile
import textwrap
import time
import unittest
import urllib.request
from datetime import date, datetime, time as clock, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import sample

SLEEP, URLOPEN = time.sleep, urllib.request.urlopen
EXECUTOR, THREAD = asyncio.BaseEventLoop.run_in_executor, asyncio.to_thread


def errbot(body: str) -> dict[str, str]:
    """A plugin of errbot whose class has this body."""
    head = "import asyncio\nfrom errbot import BotPlugin, botcmd, re_botcmd"
    return {"a.plug": "[Core]\nName = A\nModule = a\n", "a.py": f"{head}\n\n\nclass A(BotPlugin):\n{textwrap.indent(textwrap.dedent(body), '    ')}"}


def maubot(body: str) -> dict[str, str]:
    """A plugin of maubot whose class has this body."""
    about = "id: org.example.a\nversion: 1.0\nmodules:\n- a\nmain_class: A\n"
    head = "import re\nfrom maubot import MessageEvent, Plugin\nfrom maubot.handlers import command, event\nfrom mautrix.types import EventType"
    return {"maubot.yaml": about, "a.py": f"{head}\n\n\nclass A(Plugin):\n{textwrap.indent(textwrap.dedent(body), '    ')}"}


def extensions(**given: Any) -> SimpleNamespace:
    """The data of a message beside its text."""
    return SimpleNamespace(**{**dict.fromkeys(("reply", "replace", "reactions", "retract", "moderated")), "files": [], **given})


class Case(unittest.IsolatedAsyncioTestCase):
    def setUp(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.addCleanup(setattr, time, "sleep", SLEEP)
        self.addCleanup(setattr, urllib.request, "urlopen", URLOPEN)
        self.addCleanup(setattr, asyncio.BaseEventLoop, "run_in_executor", EXECUTOR)
        self.addCleanup(setattr, asyncio, "to_thread", THREAD)

    async def begun(self, name: "str | dict[str, str]", **settings: Any) -> Any:
        self.parlor = sample.begun(name, Path(self.folder.name), **settings)
        self.host = self.parlor.host
        await self.host.start()
        return self.host

    async def answers(self, text: str, **named: Any) -> list[str]:
        await self.host.says(text, **named)
        return [text for _, text in self.host.take()]

    async def heard(self, event: str, about: Any) -> list[str]:
        """What the plugin says when something happens."""
        for name, _, handler in list(self.host.listeners):
            if name == event:
                await handler(about)
        return [text for _, text in self.host.take()]


class Errbot(Case):
    async def test_commands_answer_by_what_they_return_and_yield(self) -> None:
        host = await self.begun("tally")
        self.assertEqual(sorted(host.commands), ["forget", "raise", "raise_it", "since", "slow", "swap", "tally", "tally_add", "tally_list"])
        self.assertEqual(await self.answers("!tally add"), ["Add what?"])
        self.assertEqual(await self.answers("!tally add old socks"), ["old socks: 1"])
        self.assertEqual(await self.answers("!tally add tea"), ["tea: 1"])
        self.assertEqual(await self.answers("!tally list"), ["old socks: 1", "tea: 1", "That is all."])
        self.assertEqual(await self.answers("!tally"), ["There is: !tally add, !tally list"])
        self.assertEqual(await self.answers("!swap a b  c"), ["c b a"])
        self.assertEqual(await self.answers("!slow"), ["wait", "now"])

    async def test_arguments_are_read_as_declared(self) -> None:
        await self.begun("tally")
        self.assertEqual(await self.answers("!raise it 'old socks' --by 3"), ["old socks: 3"])
        self.assertEqual(await self.answers("!raise it --by 2 tea"), ["tea: 2"])
        self.assertEqual(self.host.declared["raise"]["usage"], "it")
        answer = await self.answers("!raise it tea --by many")
        self.assertIn("usage: raise it", answer[0])
        self.assertIn("invalid int value", answer[0])
        answer = await self.answers("!raise it 'tea")
        self.assertEqual(answer, ["No closing quotation"])

    async def test_what_is_kept_outlives_a_restart(self) -> None:
        host = await self.begun("tally")
        await self.answers("!tally add tea")
        kept = dict(host.kept)
        self.assertEqual(sorted(kept), ["Tally/last", "Tally/things"])
        self.folder.cleanup()
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        parlor = sample.begun("tally", Path(self.folder.name))
        self.host = parlor.host
        parlor.host.kept.update(kept)
        await parlor.host.start()
        self.assertEqual(await self.answers("!tally add tea"), ["tea: 2"])
        self.assertEqual(await self.answers("!since"), ["0 seconds ago"])

    async def test_what_another_version_has_stored_is_not_overwritten(self) -> None:
        host = await self.begun("tally")
        await self.answers("!tally add tea")
        # As the version before does, which ends only once this one has started.
        host.kept["Tally/things"] = b'{"tea": 9}'
        host.kept["Tally/new"] = b"1"
        with self.assertRaisesRegex(Exception, "nothing was stored of last, things: .*in the meantime"):
            await self.answers("!tally add tea")
        self.assertEqual(host.kept["Tally/things"], b'{"tea": 9}')
        [(_, told)] = host.take()
        self.assertIn("Nothing was stored: another version", told)
        self.assertEqual(await self.answers("!tally list"), ["tea: 9", "That is all."])
        self.assertEqual(await self.answers("!tally add tea"), ["tea: 10"])
        self.assertEqual(host.kept["Tally/new"], b"1")

    async def test_commands_wait_until_what_is_kept_has_been_read(self) -> None:
        self.parlor = sample.begun("tally", Path(self.folder.name))
        self.host = host = self.parlor.host
        host.kept.update({"Tally/things": b'{"tea": 9}', "Tally/a": b"1", "Tally/b": b"1"})
        before = asyncio.ensure_future(host.says("!tally add tea"))
        await asyncio.sleep(0)
        starts = asyncio.ensure_future(host.start())
        await asyncio.sleep(0)
        self.assertEqual((host.take(), starts.done()), ([], False))
        await asyncio.gather(starts, host.says("!tally add tea"), before)
        self.assertEqual(sorted(text for _, text in host.take()), ["tea: 10", "tea: 11"])
        self.assertEqual(host.kept["Tally/things"], b'{"tea": 11}')

    async def test_owners_alone_may_give_what_is_for_admins(self) -> None:
        host = await self.begun("tally")
        self.assertEqual([one.kind for one in host.declared["forget"]["allow"]], ["owners"])
        self.assertNotIn("allow", host.declared["swap"])
        self.assertEqual(host.declared["swap"]["help"], "Says words the other way round")

    async def test_requests_are_awaited_and_their_errors_have_the_names_that_are_known(self) -> None:
        host = await self.begun("forecast", town="Padua", days=3.0, notify="")
        host.answers["https://api.example.org/weather?town=Padua&days=3"] = {"sky": "grey"}
        host.answers["https://api.example.org/weather?town=Rome&days=3"] = {"sky": "blue"}
        host.answers["https://api.example.org/weather?town=Nowhere&days=3"] = (404, {})
        self.assertEqual(await self.answers("!weather"), ["Padua: grey"])
        self.assertEqual(await self.answers("!compare Rome Padua"), ["Rome: blue", "Padua: grey"])
        self.assertEqual(await self.answers("!compare Rome Nowhere Padua"), ["Rome: blue", "Nobody knows Nowhere"])
        self.assertEqual(await self.answers("!report hello"), ["That did not work."])
        host.answers["https://api.example.org/reports"] = {}
        self.assertEqual(await self.answers("!report hello"), ["Sent."])
        method, _, options = host.requests[-1]
        self.assertEqual((method, options["json"]), ("POST", {"text": "hello"}))

    async def test_a_poller_runs_and_says_what_is_to_be_said(self) -> None:
        host = await self.begun("forecast", town="Padua", days=2, notify="hall@rooms.example.org")
        host.rooms["hall@rooms.example.org"] = SimpleNamespace(jid="hall@rooms.example.org")
        host.answers["https://api.example.org/weather?town=Padua&days=2"] = {"sky": "grey"}
        [timer] = host.timers
        self.assertEqual(timer.seconds, 600)
        await timer.later()
        self.assertEqual(host.take(), [("hall@rooms.example.org", "grey")])
        host.answers.clear()
        with self.assertLogs("errbot", "ERROR"):
            await timer.later()
        for stop in host.stops:
            await stop()
        self.assertTrue(timer.ended)

    async def test_expressions_and_messages_are_heard(self) -> None:
        host = await self.begun("listener")
        self.assertEqual(await self.answers("see Issue #12, please"), ["https://issues.example.org/12"])
        self.assertEqual(await self.answers("!what is tea?"), ["tea? I do not know."])
        self.assertEqual(await self.answers("what is tea?"), [])
        self.assertEqual(await self.answers("issue #1", own=True), [])
        self.assertEqual(await self.answers("This was taken back: issue #1", extensions=extensions(retract="m0")), [])
        self.assertEqual(await self.answers("!heard so far"), ["3"])
        room = {"chat": "hall@rooms.example.org", "kind": "groupchat", "nick": "bob"}
        await host.says("issue #7", **room)
        self.assertEqual(host.take(), [("hall@rooms.example.org", "https://issues.example.org/7")])

    async def test_a_pattern_for_admins_is_never_called(self) -> None:
        texts = errbot("""
            @re_botcmd(pattern=r"wipe (.+)", prefixed=False, admin_only=True)
            def wipe(self, msg, match):
                return "wiped"

            @re_botcmd(pattern=r"greet (.+)", prefixed=False)
            def greet(self, msg, match):
                return "hello"
        """)
        with self.assertLogs("errbot", "WARNING") as logs:
            await self.begun(texts)
            self.assertEqual(await self.answers("wipe all"), [])
            self.assertEqual(await self.answers("wipe all", kind="groupchat", chat="hall@rooms.example.org", nick="bob"), [])
            self.assertEqual(await self.answers("greet us"), ["hello"])
        self.assertEqual(len(logs.output), 1)
        self.assertIn("wipe", logs.output[0])

    async def test_the_prefix_is_the_one_of_the_settings(self) -> None:
        texts = errbot("""
            @botcmd
            def say(self, msg, args):
                return f"{self._bot.prefix}say, {self.bot_config.BOT_PREFIX}"

            @botcmd
            def closed(self, msg, args):
                admins = getattr(self.bot_config, "BOT_ADMINS", None)
                return "closed" if admins and msg.frm not in admins else "open"
        """)
        host = await self.begun(texts)
        self.assertEqual(await self.answers("!say"), ["!say, !"])
        host.settings["prefix"] = "."
        self.assertEqual(await self.answers("!say"), [".say, ."])
        with self.assertRaises(NotImplementedError):
            await host.says("!closed")
        self.assertEqual(host.take(), [])

    @unittest.skipUnless(importlib.util.find_spec("jinja2"), "jinja2 is not there")
    async def test_templates_make_the_answers(self) -> None:
        texts = errbot("""
            @botcmd(template="list")
            def tea(self, msg, args):
                yield {"kinds": ["green", "<black>"]}
                yield "That is all."

            @botcmd
            def pour(self, msg, args):
                raise CommandError({"name": args} if args else "nothing is there", template="hello")

            @arg_botcmd("who", type=str, template="hello")
            def greet(self, msg, who):
                return {"name": who}

            @re_botcmd(pattern="hello", prefixed=False, template="hello")
            def hello(self, msg, match):
                self.send_templated(msg.frm, "hello", {"name": "you"})
                return {"name": tenv().get_template("A/inner/name.md").render()}

            @botcmd(template="gone")
            def gone(self, msg, args):
                return {}
        """)
        texts["a.py"] = "from errbot import CommandError, arg_botcmd\nfrom errbot.templating import tenv\n" + texts["a.py"]
        texts["templates/hello.md"] = "Hello, {{ name }}!\n"
        texts["templates/inner/name.md"] = "*all*"
        texts["templates/list.md"] = "# Tea\n\n{% for kind in kinds %}\n  {% if loop.first %}\n  {% endif %}\n- {{ kind }}\n{% endfor %}\n\n\n\n{% include 'inner/name.md' %}\n"
        await self.begun(texts)
        for path in Path(self.folder.name, "templates").rglob("*.md"):
            # They were read while the plugin was built.
            path.unlink()
        self.assertEqual(await self.answers("!tea"), ["*Tea*\n\n- green\n- <black>\n\n_all_", "That is all."])
        self.assertEqual(await self.answers("!greet {{name}}"), ["Hello, {{name}}!"])
        self.assertEqual(await self.answers("!pour tea"), ["Hello, tea!"])
        self.assertEqual(await self.answers("!pour"), ["nothing is there"])
        self.assertEqual(await self.answers("hello"), ["Hello, you!", "Hello, _all_!"])
        with self.assertRaisesRegex(Exception, "gone.md"):
            await self.host.says("!gone")

    async def test_a_method_that_fails_does_not_keep_others_from_a_message(self) -> None:
        host = await self.begun(errbot("""
            def callback_message(self, msg):
                raise KeyError("callback")

            @re_botcmd(pattern="tea", prefixed=False)
            def a(self, msg, match):
                raise KeyError("a")

            @re_botcmd(pattern="tea", prefixed=False)
            def b(self, msg, match):
                return "tea?"
        """))
        with self.assertLogs("errbot", "ERROR") as logs, self.assertRaises(KeyError) as last:
            await host.says("tea")
        self.assertEqual(host.take(), [("alice@example.org", "tea?")])
        # The SDK writes the last one to the log.
        self.assertEqual((len(logs.output), last.exception.args), (1, ("a",)))
        self.assertIn("KeyError: 'callback'", logs.output[0])

    async def test_a_webhook_is_answered(self) -> None:
        host = await self.begun("listener")
        [(_, options, take)] = [one for one in host.listeners if one[0] == "webhook"]
        self.assertEqual(options, {"webhook": "deploy"})
        hook = SimpleNamespace(headers={"content-type": "application/json"}, query=None, path=None, json=lambda: {"version": "1.2"}, text="")
        await take(hook)
        self.assertEqual(host.webhooks, [(hook, 200, "OK")])
        self.assertEqual(host.take(), [("alice@example.org", "1.2 is out")])

    async def test_parameters_of_a_webhook_come_by_the_path(self) -> None:
        texts = errbot("""
            @webhook("/build/<name>/<int:number>/<tag:re:v[0-9]+>", methods=["GET"])
            def build(self, request, name, number, tag):
                return f"{name} {number + 1} {tag}"
        """)
        texts["a.py"] = texts["a.py"].replace("re_botcmd", "re_botcmd, webhook", 1)
        host = await self.begun(texts)
        [(_, _, take)] = [one for one in host.listeners if one[0] == "webhook"]
        for path in ("build/tea time/2/v1", "build/a/many/v1", "build/2/v1", "build/a/2/x", "build/a/2/v1/b", "BUILD/a/2/v1", None):
            await take(SimpleNamespace(headers={}, query=None, path=path, text=""))
        self.assertEqual([(status, text) for _, status, text in host.webhooks][0], (200, "tea time 3 v1"))
        self.assertEqual([status for _, status, _ in host.webhooks][1:], [404] * 6)

    async def test_files_are_streams(self) -> None:
        host = await self.begun(errbot("""
            def callback_stream(self, stream):
                stream.accept()
                text = stream.fsource.read()
                self.send(stream.identifier, f"{stream.name} {stream.size} {stream.stream_type} {text}")

            def callback_message(self, message):
                self.heard = message.body

            @botcmd
            def draw(self, msg, args):
                import io
                with io.BytesIO(b"GIF89a") as file:
                    self.stream = self.send_stream_request(msg.frm, file, name=f"{args}/a.gif", stream_type="image/gif")
                self.send(msg.frm, self.stream.status)

            @botcmd
            def state(self, msg, args):
                return self.stream.status
        """))
        note = self.parlor.File("https://files.example/note.txt", None, None, 99)
        host.files = {note.url: b"tea"}
        [(_, _, message)] = [one for one in host.listeners if one[0] == "message"]
        with self.assertLogs("errbot", "WARNING") as logs:
            await message(self.parlor.Message(None, extensions=extensions(files=[note, self.parlor.File("aesgcm://files.example/gone.txt#secret")])))
        self.assertIn("gone.txt was not read", logs.output[0])
        self.assertNotIn("#secret", logs.output[0])
        self.assertEqual(host.take(), [("alice@example.org", "note.txt 3 text/plain b'tea'")])
        await host.says("!draw b")
        self.assertEqual(host.uploads, [("a.gif", "image/gif", b"GIF89a")])
        [(place, sent), (_, text)] = host.sent
        self.assertEqual((place, [one.name for one in sent.files], text), ("alice@example.org", ["a.gif"], "pending"))
        host.take()
        self.assertEqual(await self.answers("!state"), ["success"])
        host.files_denied = True
        with self.assertRaisesRegex(self.parlor.Denied, "not granted"):
            await host.says("!draw b")
        host.take()
        self.assertEqual((await self.answers("!state"))[-1], "error")

    async def test_what_a_webhook_is_sent_is_read_as_json_if_it_can_be(self) -> None:
        from errbot.running import _sent

        def sent(text: str, form: Any = None, **headers: str) -> Any:
            return _sent(SimpleNamespace(headers=headers, text=text), form)

        self.assertEqual(sent('{"who": "bob"}'), {"who": "bob"})
        self.assertEqual(sent("hello, bob"), "hello, bob")
        self.assertEqual(sent("payload=%7B%22a%22%3A1%7D", "payload"), {"a": 1})
        self.assertEqual(sent("payload=plain", "payload"), "plain")
        with self.assertRaises(ValueError):
            sent("other=1", "payload")


class Maubot(Case):
    async def test_commands_have_subcommands_and_arguments(self) -> None:
        host = await self.begun("points")
        self.assertEqual(sorted(host.commands), ["points", "pts", "shout"])
        self.assertEqual(await self.answers("!points give alice 3"), ["*alice* has 3"])
        self.assertEqual(await self.answers("!pts give alice"), ["*alice* has 4"])
        self.assertEqual(await self.answers("!points give 'bob the builder' 2"), ["*bob the builder* has 2"])
        self.assertEqual(await self.answers("!points of alice"), ["4"])
        [usage] = await self.answers("!points")
        self.assertEqual(usage, "Usage: !points <subcommand> [...]\n- give <name> [count] - Gives points\n- of <name> - Says who has how many")
        self.assertEqual(await self.answers("!points of"), ["Usage: !points of <name>"])
        [wrong] = await self.answers("!points give alice many")
        self.assertTrue(wrong.endswith("Usage: !points give <name> [count]"), wrong)

    async def test_a_missing_argument_is_an_empty_text(self) -> None:
        await self.begun(maubot("""
            @command.new("weather", help="Says the weather")
            @command.argument("location", pass_raw=True)
            async def weather(self, evt, location):
                await evt.respond(location or "at home")

            @command.new("pair")
            @command.argument("first")
            @command.argument("second", required=False)
            async def pair(self, evt, first, second):
                await evt.respond(repr((first, second)))

            @command.new("number")
            @command.argument("value", parser=lambda val: int(val) if val else None)
            async def number(self, evt, value):
                await evt.respond(repr(value))

            @command.new("page")
            @command.argument("value", parser=lambda val: int(val) if val else 1)
            async def page(self, evt, value):
                await evt.respond(repr(value))
        """))
        self.assertEqual(await self.answers("!weather"), ["at home"])
        self.assertEqual(await self.answers("!weather the old town"), ["the old town"])
        self.assertEqual(await self.answers("!pair"), ["('', '')"])
        self.assertEqual(await self.answers("!pair a\nb"), ["('a', 'b')"])
        self.assertEqual(await self.answers("!number"), ["Usage: !number <value>"])
        self.assertEqual(await self.answers("!number 7"), ["7"])
        self.assertEqual(await self.answers("!page"), ["1"])

    async def test_an_expression_matches_a_whole_word_and_gives_its_groups(self) -> None:
        await self.begun(maubot("""
            @command.new("issue")
            @command.argument("repo", matches=r"([a-z]+)/([a-z]+)")
            @command.argument("kind", required=False, matches="bug|wish")
            @command.argument("text", pass_raw=True)
            async def issue(self, evt, repo, kind, text):
                await evt.respond(repr((repo, kind, text)))

            @command.new("feature")
            @command.argument("action", pass_raw=True, matches=re.compile("enable|disable"))
            @command.argument("seconds", pass_raw=True, matches=r"\\d*")
            async def feature(self, evt, action, seconds):
                await evt.respond(repr((action, seconds)))
        """))
        self.assertEqual(await self.answers("!issue old/socks bug it is wet"), ["(('old', 'socks'), 'bug', 'it is wet')"])
        self.assertEqual(await self.answers("!issue old/socks bugs are wet"), ["(('old', 'socks'), None, 'bugs are wet')"])
        self.assertEqual(await self.answers("!issue old/socks/new x"), ["Usage: !issue <repo> [kind] <text>"])
        self.assertEqual(await self.answers("!feature enable 5"), ["('enable', '5')"])
        self.assertEqual(await self.answers("!feature disable"), ["('disable', '')"])

    async def test_a_text_that_no_argument_takes_is_answered_with_the_usage(self) -> None:
        await self.begun(maubot("""
            @command.new("ping")
            async def ping(self, evt):
                await evt.respond("pong")

            @command.new("call", must_consume_args=False)
            @command.argument("who")
            async def call(self, evt, who):
                await evt.respond(who)

            @command.new("list", require_subcommand=False)
            async def list(self, evt):
                await evt.respond("all")

            @list.subcommand("one")
            @command.argument("name")
            async def one(self, evt, name):
                await evt.respond(name)

            @list.subcommand("any", must_consume_args=False)
            async def any(self, evt):
                await evt.respond("any")
        """))
        self.assertEqual(await self.answers("!ping"), ["pong"])
        self.assertEqual(await self.answers("!ping me"), ["Usage: !ping"])
        self.assertEqual(await self.answers("!call alice now"), ["alice"])
        self.assertEqual(await self.answers("!list"), ["all"])
        self.assertEqual(await self.answers("!list none"), ["Usage: !list <subcommand> [...]"])
        self.assertEqual(await self.answers("!list one a"), ["a"])
        self.assertEqual(await self.answers("!list one\na"), ["a"])
        self.assertEqual(await self.answers("!list one a b"), ["Usage: !list one <name>"])
        self.assertEqual(await self.answers("!list any a b"), ["any"])

    async def test_names_come_from_functions_with_or_without_the_plugin(self) -> None:
        host = await self.begun(maubot("""
            def named(self):
                return self.id.rpartition(".")[2] + "-two"

            def fixed():
                return "three"

            @command.new()
            async def fetch_image(self, evt):
                await evt.respond("one")

            @command.new(name=named)
            async def second(self, evt):
                await evt.respond("two")

            @command.new(name=fixed)
            async def third(self, evt):
                await evt.respond("three")

            @third.subcommand()
            async def go_on(self, evt):
                await evt.respond("on")

            @command.new(name=lambda: "four")
            async def fourth(self, evt):
                await evt.respond("four")

            @command.new
            async def fifth(self, evt):
                await evt.respond("five")
        """))
        self.assertEqual(sorted(host.commands), ["a-two", "fetch-image", "fifth", "four", "three"])
        self.assertEqual(await self.answers("!fetch-image"), ["one"])
        self.assertEqual(await self.answers("!a-two"), ["two"])
        self.assertEqual(await self.answers("!three go-on"), ["on"])
        self.assertEqual(await self.answers("!fifth"), ["five"])

    async def test_a_parser_of_the_whole_text_gives_the_rest_and_the_value(self) -> None:
        await self.begun(maubot("""
            def head(val):
                if not val:
                    return val, None
                first, _, rest = val.partition(";")
                return rest, first

            @command.new("note")
            @command.argument("title", pass_raw=True, parser=head)
            @command.argument("text", pass_raw=True, required=False, parser=lambda val: ("", val.upper()))
            async def note(self, evt, title, text):
                await evt.respond(repr((title, text)))
        """))
        self.assertEqual(await self.answers("!note old socks; they are wet"), ["('old socks', 'THEY ARE WET')"])
        self.assertEqual(await self.answers("!note old socks"), ["('old socks', '')"])
        self.assertEqual(await self.answers("!note"), ["Usage: !note <title> [text]"])

    async def test_a_method_that_fails_does_not_keep_others_from_a_message(self) -> None:
        host = await self.begun(maubot("""
            @event.on(EventType.ROOM_MESSAGE)
            async def heard(self, evt):
                raise KeyError("heard")

            @command.passive("tea")
            async def a(self, evt, match):
                raise KeyError("a")

            @command.passive("tea")
            async def b(self, evt, match):
                await evt.respond("tea?")
        """))
        with self.assertLogs("maubot", "ERROR") as logs, self.assertRaises(KeyError) as last:
            await host.says("tea")
        self.assertEqual(host.take(), [("alice@example.org", "tea?")])
        self.assertEqual((len(logs.output), last.exception.args), (1, ("a",)))
        self.assertIn("KeyError: 'heard'", logs.output[0])

    async def test_contents_may_be_mappings_and_types_have_names(self) -> None:
        host = await self.begun(maubot("""
            @event.on(EventType.find("m.room.message"))
            async def heard(self, evt):
                kind, content = EventType.ROOM_MESSAGE, {"msgtype": "m.text", "body": "tea"}
                if evt.content.body == "react":
                    kind, content = EventType.find("m.reaction"), {"m.relates_to": {"rel_type": "m.annotation", "event_id": evt.event_id, "key": "x"}}
                elif evt.content.body == "reply":
                    content["m.relates_to"] = {"m.in_reply_to": {"event_id": evt.event_id}}
                elif evt.content.body == "edit":
                    content |= {"m.relates_to": {"rel_type": "m.replace", "event_id": "id1"}, "m.new_content": {"body": "more tea"}}
                elif evt.content.body == "picture":
                    content["msgtype"] = "m.image"
                elif evt.content.body == "sticker":
                    kind = EventType.find("m.sticker")
                elif evt.content.body == "strange":
                    kind = EventType.find("org.example.tea")
                await self.client.send_message_event(evt.room_id, kind, content)

            @command.new("say")
            async def say(self, evt):
                await evt.respond({"msgtype": "m.text", "body": "said"})
        """))
        texts = ("react", "reply", "edit", "tea")
        for number, text in enumerate(texts):
            await host.says(text, id=f"m{number}")
        [(_, reaction), (_, reply), (_, edit), (_, plain)] = host.sent
        self.assertEqual((reaction.react_to.id, reaction.emojis), ("m0", ["x"]))
        self.assertEqual((reply.reply_to.id, reply.body, edit.replace, edit.body, plain), ("m1", "tea", "id1", "more tea", "tea"))
        host.take()
        from mautrix.errors import MatrixRequestError

        for text, error in (("picture", MatrixRequestError), ("sticker", NotImplementedError), ("strange", NotImplementedError)):
            with self.assertRaises(error):
                await host.says(text)
        self.assertEqual(host.take(), [])
        self.assertEqual(await self.answers("!say"), ["said", "tea"])

    async def test_methods_that_are_off_are_called_by_the_plugin_alone(self) -> None:
        host = await self.begun(maubot("""
            @event.off
            @command.passive("tea (.)")
            async def a(self, evt, match):
                await evt.respond(f"a {match[1]}")
                return True

            @command.passive("tea")
            @event.off
            async def b(self, evt, match):
                await evt.respond("b")

            @event.off
            @event.on(EventType.ROOM_MESSAGE)
            async def c(self, evt):
                await evt.respond("c")

            @event.off
            @command.new("closed")
            async def closed(self, evt):
                await evt.respond("closed")

            @command.new("open", require_subcommand=False, must_consume_args=False)
            async def open(self, evt):
                await evt.respond("open")

            @event.off
            @open.subcommand("all")
            async def all(self, evt):
                await evt.respond("all")

            @event.on(EventType.ROOM_MESSAGE)
            async def heard(self, evt):
                if evt.content.body.startswith("please") and not await self.a(evt):
                    await evt.respond("no")
        """))
        self.assertEqual(sorted(host.commands), ["open"])
        self.assertEqual(await self.answers("tea x"), [])
        self.assertEqual(await self.answers("!closed"), [])
        self.assertEqual(await self.answers("!open all"), ["open"])
        self.assertEqual(await self.answers("please tea x"), ["a x"])
        self.assertEqual(await self.answers("please"), ["no"])

    async def test_people_who_enter_and_leave_rooms_are_heard(self) -> None:
        texts = maubot("""
            async def start(self):
                self.client.add_dispatcher(MembershipEventDispatcher)

            @event.on(EventType.ROOM_MEMBER)
            async def member(self, evt: StateEvent) -> None:
                if evt.state_key == self.client.mxid or evt.source & SyncStream.STATE:
                    return
                words = (evt.content.membership.value, evt.prev_content.membership.value, evt.state_key, evt.sender, str(evt.content.reason))
                await self.client.send_text(evt.room_id, " ".join(words))

            @event.on(InternalEventType.JOIN)
            async def joined(self, evt):
                await self.client.send_text(evt.room_id, f"Welcome, {evt.content.displayname}")

            @event.on(InternalEventType.KICK)
            async def kicked(self, evt):
                await self.client.send_text(evt.room_id, f"No more of {evt.content.displayname}")
        """)
        texts["a.py"] = "from mautrix.client import InternalEventType, MembershipEventDispatcher, SyncStream\nfrom mautrix.types import StateEvent\n" + texts["a.py"]
        host = await self.begun(texts)
        handlers = {event: handler for event, _, handler in host.listeners}
        self.assertEqual(sorted(handlers), ["occupantChanged", "occupantJoined", "occupantLeft", "roomInviteReceived"])
        host.rooms["hall@rooms.example.org"] = SimpleNamespace(jid="hall@rooms.example.org")

        async def heard(event: str, **given: Any) -> list[str]:
            about = {"room": "hall@rooms.example.org", "nick": "bob", "own": False, "left": None, "reason": None, "actor": None, **given}
            await handlers[event](SimpleNamespace(**about))
            return [text for _, text in host.take()]

        bob = "hall@rooms.example.org/bob"
        self.assertEqual(await heard("occupantJoined"), ["Welcome, bob", f"join leave {bob} {bob} None"])
        self.assertEqual(await heard("occupantLeft", left="left", reason="tea"), [f"leave join {bob} {bob} tea"])
        actor = SimpleNamespace(nick="alice", jid=None)
        self.assertEqual(await heard("occupantLeft", left="banned", actor=actor), [f"ban join {bob} hall@rooms.example.org/alice None"])
        # Nobody is told who did it: it was not the person.
        self.assertEqual(
            sorted(await heard("occupantLeft", left="kicked")), ["No more of bob", f"leave join {bob} hall@rooms.example.org None"])
        self.assertEqual(await heard("occupantJoined", nick="robot", own=True), ["Welcome, robot"])

    async def test_a_message_is_taken_back_by_its_author_alone(self) -> None:
        host = await self.begun(maubot("""
            @event.on(EventType.ROOM_REDACTION)
            async def gone(self, evt):
                await self.client.send_text("alice@example.org", f"{evt.redacts} by {evt.sender} {evt.content.reason}")

            @event.on(EventType.ROOM_MESSAGE)
            async def heard(self, evt):
                pass
        """))

        async def takes_back(number: str, **named: Any) -> list[str]:
            return await self.answers("(gone)", extensions=extensions(retract=number), id="r1", **named)

        room: dict[str, Any] = {"chat": "hall@rooms.example.org", "kind": "groupchat"}
        for number in ("s1", "s2", "s3"):
            await host.says("tea", nick="bob", stanza_id=number, occupant_id="o1", **room)
        await host.says("tea", nick="eve", id="x1", occupant_id="o2", **room)
        await host.says("tea", nick="carol", stanza_id="s4", **room)
        # Others have the nickname now, or have none that the room tells them by.
        self.assertEqual(await takes_back("s1", nick="bob", occupant_id="o2", **room), [])
        self.assertEqual(await takes_back("s1", nick="bob", **room), [])
        self.assertEqual(await takes_back("s4", nick="carol", **room), [])
        # The author chose this id.
        self.assertEqual(await takes_back("x1", nick="eve", occupant_id="o2", **room), [])
        self.assertEqual(await takes_back("s9", nick="bob", occupant_id="o1", **room), [])
        self.assertEqual(await takes_back("s1", chat="hall@rooms.example.org", occupant_id="o1"), [])
        bob = "hall@rooms.example.org/robert"
        self.assertEqual(await takes_back("s1", nick="robert", occupant_id="o1", **room), [f"s1 by {bob} None"])
        # It is gone.
        self.assertEqual(await takes_back("s1", nick="robert", occupant_id="o1", **room), [])
        moderated = SimpleNamespace(id="s2", by=None, reason="junk")
        self.assertEqual(
            await self.answers("(gone)", extensions=extensions(moderated=moderated), **room), ["s2 by hall@rooms.example.org junk"])
        await host.says("tea", id="m7")
        self.assertEqual(await takes_back("m7", chat="eve@example.org"), [])
        self.assertEqual(await takes_back("m7", kind="error"), [])
        self.assertEqual(await takes_back("m7"), ["m7 by alice@example.org None"])
        # Behind this address is another person each day.
        await host.says("tea", id="m8", chat="hall@rooms.example.org/bob")
        self.assertEqual(await takes_back("m8", chat="hall@rooms.example.org/bob"), [])

    async def test_files_are_uploaded_and_sent_by_their_address(self) -> None:
        host = await self.begun(maubot("""
            @command.new("draw", must_consume_args=False)
            @command.argument("how")
            async def draw(self, evt, how):
                from mautrix.types import ImageInfo, MediaMessageEventContent, MessageType
                if how == "web":
                    return await self.client.send_image(evt.room_id, url="https://example.org/a.png", file_name="a/b.png", info=ImageInfo(mimetype="image/png", size=3))
                if how == "matrix":
                    return await self.client.send_file(evt.room_id, "mxc://example.org/abc")
                if how == "encrypted":
                    return await evt.respond({"msgtype": "m.image", "body": "x", "file": {"url": "mxc://example.org/abc"}})
                if how == "unnamed":
                    return await self.client.send_file(evt.room_id, await self.client.upload_media(b"\\x89PNG\\r\\n"))
                uri = await self.client.upload_media(b"abc", mime_type="Text/Plain; charset=utf-8", filename="../notes/" + "ü" * 200 + ".txt")
                if how == "content":
                    content = MediaMessageEventContent(url=uri, body="notes", msgtype=MessageType.FILE, external_url="x")
                    await self.client.send_message(evt.room_id, content)
                    await evt.reply(content)
                    return await evt.edit(content)
                await self.client.send_message_event(evt.room_id, EventType.ROOM_MESSAGE, {"msgtype": "m.file", "body": "notes", "url": uri})
        """))
        await host.says("!draw content")
        [(name, kind, data)] = host.uploads
        self.assertEqual((name, kind, data), ("ü" * 125 + ".txt", "text/plain", b"abc"))
        [(place, sent), (_, reply), (_, edit)] = host.sent
        self.assertEqual((place, sent.body), ("alice@example.org", None))
        self.assertEqual([one.files[0].media_type for one in (sent, reply, edit)], ["text/plain"] * 3)
        self.assertEqual((reply.reply_to.body, edit.replace), ("!draw content", "m1"))
        host.take()
        await host.says("!draw unnamed")
        self.assertEqual(host.uploads[-1][:2], ("file.png", "image/png"))
        await host.says("!draw mapping")
        await host.says("!draw web")
        [(_, unnamed), (_, mapping), (_, web)] = host.sent
        self.assertEqual((unnamed.files[0].name, mapping.files[0].size), ("file.png", 3))
        self.assertEqual(web.files, [self.parlor.File("https://example.org/a.png", "b.png", "image/png", 3)])
        host.take()
        from mautrix.errors import MatrixRequestError

        for how in ("matrix", "encrypted"):
            with self.assertRaises(MatrixRequestError):
                await host.says(f"!draw {how}")
        host.files_denied = True
        with self.assertRaisesRegex(MatrixRequestError, "not granted"):
            await host.says("!draw content")
        self.assertEqual(host.take(), [])

    async def test_files_of_messages_are_messages_of_their_own_and_are_read(self) -> None:
        host = await self.begun(maubot("""
            @event.on(EventType.ROOM_MESSAGE)
            async def heard(self, evt):
                content = evt.content
                if content.msgtype.value == "m.text":
                    return await evt.respond(f"text {content.body}")
                try:
                    data = await self.client.download_media(content.url)
                except Exception as error:
                    data = f"{type(error).__name__} {error}"
                await evt.respond(f"{content.msgtype.value} {content.body} {content.info.mimetype} {content.info.size} {data}")

            @command.new("again", must_consume_args=False)
            async def again(self, evt):
                first = await self.client.get_event(evt.room_id, "m1")
                await self.client.send_message(evt.room_id, first.content)
        """))
        picture, unnamed = self.parlor.File("https://files.example/a.png", "a.png", "image/png", 3), self.parlor.File("aesgcm://files.example/x/b%20c.ogg#00")
        host.files = {picture.url: b"abc", unnamed.url: b"x" * (8 << 20 | 1)}
        [message] = [handler for event, options, handler in host.listeners if event == "message" and not options.get("own")]
        for body, files in ((None, [picture]), (f"{picture.url}\n", [picture]), ("Look", [unnamed])):
            await message(self.parlor.Message(body, extensions=extensions(files=files)))
        seen = "m.image a.png image/png 3 b'abc'"
        self.assertEqual([text for _, text in host.take()], [
            seen, seen, "text Look", f"m.audio b c.ogg audio/ogg None MatrixRequestError it has more than {8 << 20} bytes",
        ])
        await message(self.parlor.Message(None, extensions=extensions(files=[picture])))
        host.take()
        await host.commands["again"](self.parlor.Command("again", "", self.parlor.Message("!again", id="m2")))
        [(_, sent)] = host.sent
        self.assertEqual(sent.files, [picture])

    async def test_html_becomes_text_and_a_reaction_goes_to_the_message(self) -> None:
        host = await self.begun("points")
        self.assertEqual(await self.answers("!shout"), ["Shout what?"])
        await host.says("!shout it works")
        [(place, said), (_, reaction)] = host.sent
        self.assertEqual((place, said.body), ("alice@example.org", "*IT WORKS*"))
        self.assertEqual((reaction.emojis, reaction.react_to.body), (["📣"], "!shout it works"))

    async def test_settings_requests_and_expressions(self) -> None:
        host = await self.begun("lookup", language="en", limits_meanings=2)
        host.answers["https://words.example.org/en/tea"] = {"meanings": ["a plant", "a drink", "a meal"]}
        self.assertEqual(await self.answers("!define tea"), ["tea: a plant; a drink"])
        host.answers["https://words.example.org/en/tee"] = (404, {})
        self.assertEqual(await self.answers("!define tee"), ["No meaning of tee is known."])
        self.assertEqual(await self.answers("from 50 °F to 212°F"), ["10 °C, 100 °C"])
        self.assertEqual(await self.answers("nothing"), [])

    async def test_messages_reactions_and_commands_with_names_of_settings(self) -> None:
        host = await self.begun("watcher", word="tea", command="brew", tell="alice@example.org")
        await host.says("tea, please", stanza_id="s1", kind="groupchat", chat="hall@rooms.example.org", nick="bob")
        [(place, reaction)] = host.sent
        self.assertEqual((place, reaction.emojis), ("hall@rooms.example.org", ["🍵"]))
        host.take()
        reactions = extensions(reactions=SimpleNamespace(id="m1", emojis=["👍"]))
        message = self.parlor.Message(None, extensions=reactions)
        for event, _, handler in host.listeners:
            if event == "message":
                await handler(message)
        self.assertEqual(host.take(), [("alice@example.org", "👍 to you, too")])
        real, self.waited = asyncio.sleep, []

        async def sleep(seconds: float, result: Any = None) -> Any:
            self.waited.append(seconds)
            return await real(0, result)

        self.addCleanup(setattr, asyncio, "sleep", real)
        asyncio.sleep = sleep
        self.assertEqual(await self.answers("!brew 4"), ["In 4 min.", "Tea!"])
        self.assertIn(240, self.waited)


    async def test_an_own_message_is_reacted_to_and_taken_back(self) -> None:
        host = await self.begun("watcher", word="tea", command="brew", tell="alice@example.org")
        await host.says("!vote")
        [(_, asked), (_, first), (_, second)] = host.sent
        self.assertEqual(asked.body, "Tea?")
        self.assertEqual((first.react_to.id, first.emojis), ("id1", ["👍"]))
        # A message with reactions replaces those before.
        self.assertEqual((second.react_to.id, second.emojis), ("id1", ["👍", "👎"]))
        host.take()
        await host.says("!unask")
        [(_, taken)] = host.sent
        self.assertEqual(taken.retract, "id1")

    async def test_a_room_knows_an_own_message_by_its_echo(self) -> None:
        host = await self.begun("watcher", word="tea", command="brew", tell="alice@example.org")
        room: dict[str, Any] = {"chat": "hall@rooms.example.org", "kind": "groupchat"}
        await host.says("hello", nick="bob", **room)
        real = self.parlor.sleep
        looks = 0

        async def comes_back(seconds: float, result: Any = None) -> Any:
            nonlocal looks
            looks += 1
            if looks == 3:
                echo = self.parlor.Message("Tea?", id="id1", stanza_id="s9", own=True, nick="bot", **room)
                for event, _, handler in host.listeners:
                    if event == "message":
                        await handler(echo)
            return await real(0, result)

        sys.modules["parlor_port.places"].sleep = comes_back  # type: ignore[attr-defined]
        await host.says("!vote", nick="bob", **room)
        [(_, _), (_, first), (_, second)] = host.sent
        self.assertEqual((looks, first.react_to.stanza_id, second.emojis), (3, "s9", ["👍", "👎"]))
        host.take()
        told = []
        # All reactions of the author are in each message, and those that were there before are no new votes.
        for emojis in (["👍"], ["👍", "👎"], []):
            reactions = extensions(reactions=SimpleNamespace(id="s9", emojis=emojis))
            message = self.parlor.Message("fallback", extensions=reactions, nick="bob", **room)
            for event, _, handler in host.listeners:
                if event == "message":
                    await handler(message)
            told.append([text for _, text in host.take()])
        self.assertEqual(told, [["A vote for 👍"], ["A vote for 👎"], []])
        await host.says("!unask", nick="bob", **room)
        [(_, taken)] = host.sent
        self.assertEqual(taken.retract, "s9")


class Parts(Case):
    async def test_time_zones_outlive_their_files(self) -> None:
        import zoneinfo

        # A zone that is always three hours ahead, in the form of RFC 8536.
        block = b"TZif2" + bytes(15) + struct.pack(">6l", 0, 0, 0, 0, 1, 4) + struct.pack(">lbb", 10_800, 0, 0) + b"TEA\0"
        known = (zoneinfo._common.load_tzdata, zoneinfo.available_timezones, zoneinfo.TZPATH)  # type: ignore[attr-defined]
        self.addCleanup(lambda: setattr(zoneinfo._common, "load_tzdata", known[0]))  # type: ignore[attr-defined]
        self.addCleanup(lambda: setattr(zoneinfo, "available_timezones", known[1]))
        self.addCleanup(lambda: zoneinfo.reset_tzpath(known[2]))
        place = Path(self.folder.name)
        for package in ("tzdata", "pytz"):
            (place / package / "zoneinfo/Test").mkdir(parents=True)
            (place / package / "zoneinfo/Test/Tea").write_bytes(block * 2 + b"\nTEA-3\n")
            (place / package / "zoneinfo/other.tab").write_text("x")
        (place / "tzdata/__init__.py").write_text("")
        (place / "pytz/__init__.py").write_text(
            "all_timezones = common_timezones = ['Test/Tea']\n\n\ndef timezone(name):\n    return open_resource(name).read()\n")
        texts = errbot("""
            @botcmd
            def hour(self, msg, args):
                try:
                    return str(datetime(2026, 1, 1, 9, tzinfo=timezone.utc).astimezone(ZoneInfo(args)).hour)
                except ZoneInfoNotFoundError as error:
                    return str(error)

            @botcmd
            def size(self, msg, args):
                return str(len(pytz.timezone(args)))
        """)
        texts["a.py"] = "from datetime import datetime, timezone\nfrom zoneinfo import ZoneInfo, ZoneInfoNotFoundError\nimport pytz\n" + texts["a.py"]
        await self.begun(texts)
        shutil.rmtree(place / "tzdata")
        shutil.rmtree(place / "pytz")
        self.assertEqual(await self.answers("!hour Test/Tea"), ["12"])
        [told] = await self.answers("!hour Europe/Rome")
        self.assertIn("No time zone found with key", told)
        self.assertEqual(zoneinfo.available_timezones(), {"Test/Tea"})
        self.assertEqual(await self.answers("!size Test/Tea"), [str(len(block) * 2 + 7)])

    async def test_html_means_the_same_as_a_text(self) -> None:
        await self.begun("watcher", word="tea", command="brew", tell="alice@example.org")
        from parlor_port.texts import of_html

        for html, text in (
            ("3! &asymp; 1.2 × 10<sup>5</sup>", "3! ≈ 1.2 × 10^5"),
            ("<p>so:</p><pre><code class='x'>if a:\n    b = <i>1</i>\n</code></pre><p>done</p>", "so:\n\n```\nif a:\n    b = 1\n```\n\ndone"),
            ("a   b<pre>  c  d</pre>", "a b\n```\n  c  d\n```"),
            ("</pre><code>a</code></b>", "```\n`a`*"),
            ("<ul><li>a</li><li>b</li></ul>", "- a\n- b"),
        ):
            self.assertEqual(of_html(html), text, html)

    async def test_values_are_kept_with_their_types(self) -> None:
        await self.begun("tally")
        from parlor_port.kept import Kept

        kept = Kept("x/")
        values: dict[str, Any] = {
            "a": {1: "one", "two": [1.5, None, True]}, "b": (1, {2}), "c": datetime(2026, 1, 1, 12), "d": date(2026, 1, 1), "e": clock(9, 30),
            "f": timedelta(hours=2), "g": b"\x00\xff", "h": {"parlor:type": "set"}, "i": "\ud800", "j": {},
        }
        kept.update(values)
        await kept.flush()
        again = Kept("x/")
        await again.load()
        self.assertEqual(dict(again), values)
        again["a"]["two"] = "lost"
        self.assertEqual(again["a"], values["a"])
        del again["a"]
        await again.flush()
        self.assertNotIn("x/a", self.host.kept)
        # Such a value is not a missing one, which the plugin would store anew.
        self.host.kept["x/k"] = b'{"parlor:type": "of a later version", "value": 1}'
        await again.load()
        with self.assertRaisesRegex(TypeError, "a later version of the layer"):
            again.setdefault("k", 0)
        for wrong in (object(), lambda: None):
            with self.assertRaises(TypeError):
                kept["k"] = wrong
        with self.assertRaises(TypeError):
            kept[1] = 1  # type: ignore[index]

    async def test_objects_of_the_plugin_and_their_people_are_kept(self) -> None:
        texts = errbot("""
            @botcmd
            def raffle_open(self, msg, args):
                self["raffle"] = Raffle(args)
                return "open"

            @botcmd
            def raffle_join(self, msg, args):
                with self.mutable("raffle") as raffle:
                    if msg.frm in raffle.people:
                        return "already in"
                    raffle.people.append(msg.frm)
                    raffle.counts[args] += 1
                return f"{raffle}, {raffle.state is State.OPEN}, {raffle.last.place}"

            @botcmd
            def rights(self, msg, args):
                self["rights"] = [Right.READ | Right.WRITE, Right(0), Right.READ]
                return str(self["rights"] == [Right.READ | Right.WRITE, Right(0), Right.READ] and type(self["rights"][1]) is Right)

            @botcmd
            def raffle_bad(self, msg, args):
                self["raffle"] = [Raffle("x"), self.log]
        """)
        texts["a.py"] = texts["a.py"].replace("import asyncio", "import asyncio\nfrom stock import Raffle, Right, State")
        texts["stock.py"] = textwrap.dedent("""
            from collections import Counter, namedtuple
            from enum import Enum, Flag

            State = Enum("State", "OPEN SHUT", module=__name__)
            Right = Flag("Right", "READ WRITE", module=__name__)
            Seat = namedtuple("Seat", "place row")

            class Raffle(object):
                def __init__(self, prize):
                    self.prize = prize
                    self.people = []
                    self.counts = Counter()
                    self.state = State.OPEN
                    self.last = Seat("left", 1)

                def __str__(self):
                    return f"{self.prize}: {len(self.people)} {self.counts['a']}"
        """)
        host = await self.begun(texts)
        self.assertEqual(await self.answers("!raffle open a cake"), ["open"])
        self.assertEqual(await self.answers("!raffle join a"), ["a cake: 1 1, True, left"])
        self.assertEqual(await self.answers("!raffle join a"), ["already in"])
        room = {"chat": "hall@rooms.example.org", "kind": "groupchat", "nick": "bob"}
        self.assertEqual(await self.answers("!raffle join a", **room), ["a cake: 2 2, True, left"])
        self.assertEqual(await self.answers("!rights"), ["True"])
        with self.assertRaisesRegex(TypeError, "a Logger is not kept"):
            await host.says("!raffle bad")
        # It is one of the plugin still, and not of another module that the value names.
        for name in ("stock:Gone", "os:PathLike", "parlor:Message", "stock:Raffle.__init__", "subprocess:Popen", "stock:Counter", "gone:A"):
            host.kept["A/raffle"] = f'{{"parlor:type": "object", "of": "{name}", "value": {{}}}}'.encode()
            kept = sys.modules["parlor_port.kept"].Kept("A/")
            await kept.load()
            with self.assertRaisesRegex(TypeError, "no longer has"):
                kept.get("raffle")
        # A class that is no longer one of flags is not called.
        host.kept["A/raffle"] = b'{"parlor:type": "flag", "of": "stock:Raffle", "value": 1}'
        kept = sys.modules["parlor_port.kept"].Kept("A/")
        await kept.load()
        with self.assertRaisesRegex(TypeError, "no longer has"):
            kept.get("raffle")

    async def test_containers_keep_their_kind(self) -> None:
        await self.begun("tally")
        from collections import Counter, defaultdict, deque
        from decimal import Decimal
        from http import HTTPStatus

        from parlor_port.kept import Kept

        kept = Kept("x/")
        values = {
            "a": Counter("abba"), "b": defaultdict(list, {"x": [1]}), "c": deque([1, 2], 2), "d": Decimal("1.10"), "e": HTTPStatus.OK,
            "i": SimpleNamespace(a={1}, b=SimpleNamespace()),
        }
        kept.update(values)
        await kept.flush()
        again = Kept("x/")
        await again.load()
        self.assertEqual({key: type(one) for key, one in again.items()}, {**{key: type(one) for key, one in values.items()}, "e": int})
        self.assertEqual(dict(again), values)
        self.assertEqual((again["b"]["new"], again["c"].maxlen), ([], 2))
        kept["f"] = defaultdict(lambda: 3, a=1)
        self.assertEqual(kept["f"], {"a": 1})
        kept["h"] = defaultdict(None, a=1)
        self.assertEqual((kept.get("h"), kept["h"].default_factory), ({"a": 1}, None))
        loop: list[Any] = []
        loop.append(loop)
        with self.assertRaisesRegex(TypeError, "holds itself"):
            kept["g"] = loop

    async def test_values_that_are_stored_elsewhere_are_read_again(self) -> None:
        await self.begun("tally")
        from parlor_port.kept import Kept, NotStored

        first, second = Kept("x/"), Kept("x/")
        first.update(a=1, b=1, c=1)
        await first.flush()
        await second.load()
        first["a"] = 2
        del first["b"]
        await first.flush()
        second.update(a=3, d=3)
        with self.assertRaises(NotStored):
            await second.flush()
        self.assertEqual(dict(second), {"a": 2, "c": 1})
        await second.flush()
        self.assertEqual(self.host.kept, {"x/a": b"2", "x/c": b"1", **{key: one for key, one in self.host.kept.items() if key[:2] != "x/"}})
        # Both can store a key whose value they know.
        second["a"] = 4
        await second.flush()
        await first.load()
        first["a"] = 5
        await first.flush()
        self.assertEqual(self.host.kept["x/a"], b"5")

    async def test_each_handler_whose_change_was_not_stored_fails(self) -> None:
        await self.begun("tally")
        from parlor_port.kept import Kept, NotStored

        kept = Kept("x/")
        kept["a"] = 1
        await kept.flush()
        self.host.kept["x/a"] = b"7"
        goes_on = asyncio.Event()

        async def changes(key: str, waits: bool) -> None:
            kept[key] = 2
            if waits:
                await goes_on.wait()
            await kept.flush()

        late = asyncio.ensure_future(changes("b", True))
        await asyncio.sleep(0)
        # It writes the changes of both.
        with self.assertRaises(NotStored):
            await asyncio.ensure_future(changes("a", False))
        goes_on.set()
        with self.assertRaises(NotStored):
            await late
        await asyncio.gather(changes("a", False), changes("a", False), changes("b", False))
        self.assertEqual((self.host.kept["x/a"], self.host.kept["x/b"]), (b"2", b"2"))

    async def test_large_values_are_replaced_and_deleted(self) -> None:
        await self.begun("tally")
        from parlor_port.kept import Kept, NotStored

        kept = Kept("x/")
        for value in ("a" * 200_000, "b" * 250_000, None, "ü" * 120_000, 1, "c" * 250_000):
            kept["k"] = value
            await kept.flush()
            again = Kept("x/")
            await again.load()
            self.assertEqual(dict(again), {"k": value})
        self.host.kept["x/k"] = b"1"
        kept["k"] = "d" * 250_000
        with self.assertRaises(NotStored):
            await kept.flush()
        kept["k"] = "d" * 250_000
        await kept.flush()
        del kept["k"]
        await kept.flush()
        self.assertNotIn("x/k", self.host.kept)

    async def test_a_value_over_a_limit_is_refused_once(self) -> None:
        texts = errbot("""
            @botcmd
            def put(self, msg, args):
                self["k"] = "x" * int(args)
                self.send(msg.frm, "put")
                return "done"

            @botcmd
            def size(self, msg, args):
                return str(len(self.get("k", "")))
        """)
        host = await self.begun(texts)
        self.assertEqual(await self.answers("!put 3"), ["put", "done"])
        for size, quota in ((300_000, host.quota), (1000, 500)):
            host.quota = quota
            with self.assertRaisesRegex(Exception, "nothing was stored of k: .*(invalid value|over a limit)"):
                await host.says(f"!put {size}")
            self.assertTrue(all(text.startswith("Nothing was stored: ") for _, text in host.take()))
            self.assertEqual(await self.answers("!size"), ["3"])
        self.assertEqual(await self.answers("!put 4"), ["put", "done"])
        self.assertEqual(await self.answers("!size"), ["4"])

    async def test_a_refused_value_leaves_the_others(self) -> None:
        await self.begun("tally")
        from parlor_port.kept import Kept, NotStored

        kept = Kept("x/")
        kept.update(a=1, b="x" * 300_000, c=1, d=1)
        with self.assertRaisesRegex(NotStored, "nothing was stored of b: "):
            await kept.flush()
        self.assertEqual(dict(kept), {"a": 1, "c": 1, "d": 1})
        self.assertEqual(sorted(key for key in self.host.kept if key.startswith("x/")), ["x/a", "x/c", "x/d"])
        # Other errors leave the changes, which are tried again.
        kept["a"] = 2
        with mock.patch.object(self.parlor.Changes, "make", side_effect=self.parlor.Denied("not granted")):
            with self.assertRaises(self.parlor.Denied):
                await kept.flush()
        await kept.flush()
        self.assertEqual(self.host.kept["x/a"], b"2")

    async def test_many_changes_go_in_several_parts(self) -> None:
        await self.begun("tally")
        from parlor_port.kept import Kept

        kept = Kept("x/")
        kept.update({f"k{number}": "y" * 1000 for number in range(450)})
        await kept.flush()
        self.assertEqual(len([key for key in self.host.kept if key.startswith("x/")]), 450)

    async def test_urlopen_gives_a_file_or_raises(self) -> None:
        await self.begun("tally")
        import urllib.error

        from parlor_port import opened

        self.host.answers["https://example.org/a"] = b"hello"
        self.host.answers["https://example.org/b"] = (503, b"no")
        with await opened.urlopen("https://example.org/a") as file:
            self.assertEqual((file.read(), file.status), (b"hello", 200))
        request = urllib.request.Request("https://example.org/a", b"x", {"Referer": "me"})
        await opened.urlopen(request)
        method, _, options = self.host.requests[-1]
        self.assertEqual((method, options["data"], options["headers"]["Referer"]), ("POST", b"x", "me"))
        with self.assertRaises(urllib.error.HTTPError):
            await opened.urlopen("https://example.org/b")
        with self.assertRaises(urllib.error.URLError):
            await opened.urlopen("https://example.org/c")

    async def test_sessions_merge_what_they_share(self) -> None:
        await self.begun("forecast", town="Padua", days=2, notify="")
        import requests

        self.host.answers["https://example.org/?a=1&b=2"] = {}
        with requests.Session() as session:
            session.headers["X-Own"] = "1"
            session.params = {"a": 1}
            session.auth = ("me", "secret")
            answer = await session.get("https://example.org/", params={"b": 2, "c": None}, headers={"X-Other": "2"}, timeout=(3, 4))
        _, _, options = self.host.requests[-1]
        self.assertTrue(answer.ok)
        self.assertEqual(options["headers"], {"X-Own": "1", "X-Other": "2", "Authorization": "Basic bWU6c2VjcmV0"})
        self.assertEqual(options["timeout"], 7.0)
        with self.assertRaises(requests.exceptions.ConnectionError):
            await requests.get("https://example.org/none")
        with self.assertRaises(NotImplementedError):
            await requests.get("https://example.org/none", cookies={"a": "b"})
        with self.assertRaises(requests.JSONDecodeError):
            requests.Response(SimpleNamespace(status=200, url="", content=b"x", headers={})).json()


if __name__ == "__main__":
    unittest.main()
