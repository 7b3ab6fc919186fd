"""Plugins of errbot that were written for earlier versions, and helpers of it: `python3 -m unittest discover tests/ports`."""

import tomllib
import unittest
from types import SimpleNamespace

import sample
import test_layer

HEAD = "from errbot import BotPlugin, botcmd\n"


class Earlier(test_layer.Case):
    async def test_a_value_may_have_the_name_of_a_command(self) -> None:
        await self.begun(test_layer.errbot("""
            def activate(self):
                super().activate()
                self.mute = False

            @botcmd
            def mute(self, msg, args):
                self.mute = not self.mute
                return f"mute: {self.mute}"
        """))
        self.assertEqual(await self.answers("!mute") + await self.answers("!mute"), ["mute: True", "mute: False"])

    async def test_decorators_of_one_command_belong_together_in_any_order(self) -> None:
        texts = test_layer.errbot("""
            @botcmd(syntax="NAME")
            @arg_botcmd("name")
            @arg_botcmd("--times", type=int, default=1)
            def above(self, msg, name, times):
                return f"{name} {times}"

            @arg_botcmd("name", unpack_args=False)
            @botcmd(name="below_it")
            def below(self, msg, args):
                return f"{args.name}!"

            @botcmd(admin_only=True)
            @arg_botcmd("name")
            def closed(self, msg, name):
                return name

            @arg_botcmd("name")
            @botcmd(admin_only=True)
            def shut(self, msg, name):
                return name

            @botcmd
            @botcmd(admin_only=True)
            def locked(self, msg, args):
                return args
        """)
        texts["a.py"] = "from errbot import arg_botcmd\n" + texts["a.py"]
        await self.begun(texts)
        self.assertEqual(await self.answers("!above tea --times 2"), ["tea 2"])
        self.assertEqual(await self.answers("!below it tea"), ["tea!"])
        for name in ("closed", "shut", "locked"):
            self.assertEqual(bool(self.host.declared[name].get("allow")), True, name)
            self.assertEqual(await self.answers(f"!{name} tea"), ["tea"])

    async def test_a_method_of_two_kinds_is_told_and_stays_with_the_admins(self) -> None:
        texts = test_layer.errbot("""
            @re_botcmd(pattern="^tea$", prefixed=False)
            @botcmd(admin_only=True)
            def a(self, msg, args):
                return "a"

            @botcmd
            @re_botcmd(pattern="^milk$", prefixed=False, admin_only=True)
            def b(self, msg, args):
                return "b"
        """)
        found = [one for one in sample.port(texts)["findings"] if "the same method" in one["what"]]
        self.assertEqual([one["what"] for one in found], ["@botcmd and @re_botcmd of the same method"] * 2)
        await self.begun(texts)
        self.assertEqual(await self.answers("tea"), [])
        self.assertTrue(self.host.declared["b"]["allow"])

    async def test_answers_of_other_functions_that_wait_are_given_one_by_one(self) -> None:
        texts = {**test_layer.errbot("pass"), "a.py": f"""{HEAD}import requests

class Helper:
    def execute(self, url):
        yield "begin"
        yield requests.get(url).text

    def plain(self):
        yield "plain"

class A(BotPlugin):
    def helper(self):
        return Helper()

    @botcmd
    def a(self, msg, args):
        \"\"\"Asks.\"\"\"
        yield from self.helper().execute("https://api.example.org/é")  # é
        if args:
            yield  from(
                requests.get("https://api.example.org/é").text.split(args))
        yield from self.helper().plain()
        for one in self.helper().execute("https://api.example.org/é"):
            yield one.upper()
        else:
            yield "end"
        for one in self.helper().plain():
            self.log.debug(one)
        try:
            yield from [requests.get("https://api.example.org/é").text]
        finally:
            yield from ()

    @botcmd
    def b(self, msg, args):
        if args: yield from self.helper().execute("https://api.example.org")

    @botcmd
    def c(self, msg, args):
        yield from self.helper().plain()

    @botcmd
    def d(self, msg, args):
        for one in self.helper().execute("https://api.example.org"):
            return one
"""}
        result = sample.port(texts)
        self.assertEqual([one.partition(" ")[2] for one in sample.told(result, "lacks")], ["b() waits", "self.helper().execute() waits"])
        self.assertIn("    def c(self, msg, args):\n        yield from self.helper().plain()", result["files"]["a.py"])
        await self.begun({**texts, "a.py": texts["a.py"].replace("        if args: yield from", "        if args:\n            yield from")})
        self.host.answers["https://api.example.org/%C3%A9"] = self.host.answers["https://api.example.org"] = "tea or milk"
        self.assertEqual(len(sample.told(result, "changed")), 9)
        self.assertEqual(await self.answers("!a or"), ["begin", '"tea or milk"', '"tea ', ' milk"', "plain", "BEGIN", '"TEA OR MILK"', "end", '"tea or milk"'])
        self.assertEqual(await self.answers("!b x"), ["begin", '"tea or milk"'])
        self.assertEqual(await self.answers("!c"), ["plain"])
        self.assertEqual(await self.answers("!d"), ["begin"])

    async def test_webhooks_and_settings_of_classes_that_it_inherits_from_are_its_own(self) -> None:
        texts = {**test_layer.errbot("pass"), "a.py": f"""{HEAD}from errbot import webhook
from ways import Ways

class A(Ways, BotPlugin):
    @botcmd
    def show(self, msg, args):
        return f"{{self.config['PLACE']}} {{self.heard}}"

    @webhook
    def own(self, request):
        return "own"
""", "ways.py": """from errbot import webhook

class Ways:
    heard = ""

    def get_configuration_template(self):
        return {"PLACE": "here"}

    @webhook("/tea/<kind>")
    def tea(self, request, kind):
        self.heard += f"{kind} {request}"
        return "yes"

    @webhook("/own")
    def own(self, request):
        return "theirs"
"""}
        result = sample.port(texts)
        manifest = tomllib.loads(result["files"]["plugin.toml"])
        self.assertEqual((sorted(manifest["webhook"]), [*manifest["settings"]]), (["own", "tea"], ["place"]))
        await self.begun(texts, place="here")
        [tea] = [handler for name, options, handler in self.host.listeners if options.get("webhook") == "tea"]
        await tea(SimpleNamespace(headers={}, query=None, path="tea/green", text="milk"))
        self.assertEqual([text for _, _, text in self.host.webhooks], ["yes"])
        self.assertEqual(await self.answers("!show"), ["here green milk"])

    async def test_a_poller_is_stopped_by_what_it_is_given(self) -> None:
        await self.begun(test_layer.errbot("""
            def activate(self):
                super().activate()
                self.start_poller(5, self.tell, args=("tea",))
                self.start_poller(5, self.tell, args=("milk",))
                self.start_poller(5, self.tell, args=["juice"], kwargs={"mark": "?"})
                # Brackets alone make no tuple.
                self.start_poller(5, self.tell, args=(3))

            def tell(self, what, mark="."):
                self.send(self.build_identifier("alice@example.org"), f"{what}{mark}")

            @botcmd(split_args_with=None)
            def stop(self, msg, args):
                self.stop_poller(self.tell, *((args,) if args else ()))
                return str(len(self.current_pollers))
        """))

        async def ring() -> list[str]:
            for one in [one for one in self.host.timers if not one.ended]:
                await one.later()
            return [text for _, text in self.host.take()]

        self.assertEqual(await ring(), ["tea.", "milk.", "juice?", "3."])
        self.assertEqual(await self.answers("!stop milk"), ["3"])
        self.assertEqual(await ring(), ["tea.", "juice?", "3."])
        # Without a word of what they are given, all are.
        self.assertEqual(await self.answers("!stop"), ["0"])

    def test_a_method_that_takes_the_connection_is_told(self) -> None:
        for given, told in (
            ("callback_message(self, conn, mess)", ["a.py:6 callback_message(conn, mess)"]), ("callback_message(self, mess)", []),
            ("callback_message(self, mess, more=None)", []), ("callback_message(self, *given)", []), ("callback_mention(self, msg, people)", []),
        ):
            result = sample.port(test_layer.errbot(f"def {given}:\n    pass\n"))
            self.assertEqual(sample.told(result, "lacks"), told, given)

    def test_a_plugin_may_have_the_name_of_a_package_that_it_imports(self) -> None:
        source = f"{HEAD}from tea.kinds import Green\n\nclass A(BotPlugin):\n    @botcmd\n    def tea(self, msg, args):\n        return Green\n"
        result = sample.port({"tea.plug": "[Core]\nName = A\nModule = tea\n", "tea.py": source})
        self.assertEqual(sample.told(result, "package"), ["tea.py:2 tea"])
        self.assertEqual(sample.told(result, "check"), ["tea.py:1 the file is called tea_ported.py now"])
        self.assertIn("from tea.kinds import Green", result["files"]["tea_ported.py"])
        self.assertIn("import tea_ported\n", result["files"]["plugin.py"])
        # A module beside it is the plugin's own.
        several = {"tea.plug": "[Core]\nName = A\nModule = shop\n", "shop.py": source.replace("tea.kinds", "tea"), "tea.py": "Green = 1\n"}
        self.assertEqual(sample.port(several)["findings"], [])

    async def test_a_part_of_urllib_that_nobody_imports_is_there(self) -> None:
        texts = test_layer.errbot("""
            @botcmd
            def a(self, msg, args):
                return urllib.request.urlopen(urllib.request.Request("https://api.example.org/")).read().decode()
        """)
        texts["a.py"] = "import urllib\n" + texts["a.py"]
        await self.begun(texts)
        self.assertIn("import parlor_port.opened\n", sample.port(texts)["files"]["plugin.py"])
        self.host.answers["https://api.example.org/"] = "tea"
        self.assertEqual(await self.answers("!a"), ['"tea"'])

    def test_names_of_six_are_those_of_python(self) -> None:
        for head, call in (
            ("from six.moves.urllib.request import urlopen", "urlopen"), ("from six.moves.urllib import request", "request.urlopen"),
            ("from six.moves import urllib", "urllib.request.urlopen"), ("import six.moves.urllib.request as web", "web.urlopen"),
        ):
            texts = test_layer.errbot(f"@botcmd\ndef a(self, msg, args):\n    return {call}('https://api.example.org/').read()\n")
            result = sample.port({**texts, "a.py": f"{head}\n{texts['a.py']}"})
            self.assertIn(f"return (await {call}('https://api.example.org/')).read()", result["files"]["a.py"])
            self.assertIn("import parlor_port.opened\n", result["files"]["plugin.py"])
            self.assertIn('scope = ["api.example.org"]', result["files"]["plugin.toml"])
            self.assertEqual(sample.told(result, "package"), ["a.py:1 six"])

    async def test_versions_are_compared(self) -> None:
        texts = test_layer.errbot("""
            @botcmd
            def a(self, msg, args):
                return f"{version2tuple(VERSION) >= (6, 1, 0)} {version2tuple('9.9.9-beta') > version2tuple('9.9.8')}"
        """)
        texts["a.py"] = "from errbot.utils import version2tuple\nfrom errbot.version import VERSION\n" + texts["a.py"]
        self.assertEqual(sample.told(sample.port(texts), "lacks"), [])
        await self.begun(texts)
        self.assertEqual(await self.answers("!a"), ["True True"])

    async def test_an_init_that_takes_the_bot_alone_is_called(self) -> None:
        for signature, given in (("self, bot", "bot"), ("self, bot, name=None", "bot, name"), ("self, *args", "*args"), ("self", "")):
            with self.subTest(signature):
                self.setUp()
                await self.begun(test_layer.errbot(f"""
                    def __init__({signature}):
                        super().__init__({given})
                        self.actions = {{"tea": "hot"}}

                    @botcmd
                    def a(self, msg, args):
                        return self.actions["tea"]
                """))
                self.assertEqual(await self.answers("!a"), ["hot"])

    async def test_words_that_no_usage_names_come_to_the_method(self) -> None:
        host = await self.begun(test_layer.errbot("""
            @botcmd
            def a(self, msg, args):
                return f"<{args}>"
        """))
        # The host itself refuses words to a command without a usage.
        self.assertEqual(host.declared["a"]["usage"], "[TEXT]")
        self.assertEqual(await self.answers("!a b"), ["<b>"])

    async def test_a_file_whose_name_is_none_of_python_is_renamed(self) -> None:
        texts = {"a.plug": "[Core]\nName = A\nModule = chat-ops\n", "chat-ops.py": f"{HEAD}class A(BotPlugin):\n    @botcmd\n    def a(self, msg, args):\n        return 'it'\n"}
        result = sample.port(texts)
        self.assertEqual(sample.told(result, "check"), ["chat-ops.py:1 the file is called chat_ops_ported.py now"])
        await self.begun(texts)
        self.assertEqual(await self.answers("!a"), ["it"])

    def test_generators_that_end_as_before_python_3_7_are_reported(self) -> None:
        result = sample.port(test_layer.errbot("""
            @botcmd
            def a(self, msg, args):
                yield "one"
                if args:
                    raise StopIteration
                raise StopIteration()

            def __next__(self):
                raise StopIteration
        """))
        self.assertEqual([one.partition(" ")[2] for one in sample.told(result, "lacks")], ["raise StopIteration", "raise StopIteration()"])

    async def test_what_a_command_returns_that_yields_is_dropped_as_before(self) -> None:
        body = """
            @botcmd
            def a(self, msg, args):
                if args == "one": return ("eins",
                    "zwei")
                yield "tea"
                time.sleep(1)
                if args == "two":
                    return(self.late())
                yield "milk"
                return  f"{args} é"; yield "never"

            def late(self):
                time.sleep(1)
                self.send("bob@example.org", "late")
        """
        texts = test_layer.errbot(body)
        texts["a.py"] = f"import time\n{texts['a.py']}"
        result = sample.port(texts)
        self.assertEqual(sample.told(result, "lacks"), [])
        self.assertEqual(
            sample.told(result, "check"), ["a.py:10 return ('eins', 'zwei')", "a.py:15 return self.late()", "a.py:17 return f'{args} é'"])
        await self.begun(texts)
        for args, answers in (("one", []), ("two", ["tea", "late"]), ("three", ["tea", "milk"])):
            self.assertEqual(await self.answers(f"!a {args}"), answers)

    async def test_the_bot_tells_the_network(self) -> None:
        texts = test_layer.errbot("""
            @botcmd
            def a(self, msg, args):
                return "code" if self._bot.mode == "slack" else f"{self._bot.mode} {self.mode}"
        """)
        result = sample.port(texts)
        self.assertEqual((result["findings"], "prefix" in result["files"]["plugin.toml"]), ([], False))
        await self.begun(texts)
        self.assertEqual(await self.answers("!a"), ["xmpp xmpp"])


class Helpers(test_layer.Case):
    async def test_a_share_is_drawn_as_a_bar(self) -> None:
        await self.begun(test_layer.errbot("""
            @botcmd
            def a(self, msg, args):
                from errbot.utils import drawbar
                return "|".join(drawbar(value, 4) for value in (0, 1, 2, 4)) + drawbar(1, 0)
        """))
        bars = ["[" + "█" * full + "▒" * (15 - full) + "]" for full in (0, 4, 8, 15)]
        self.assertEqual(await self.answers("!a"), ["|".join(bars) + bars[0]])


class Markdown(test_layer.Case):
    async def test_answers_with_markdown_are_what_xmpp_shows(self) -> None:
        answer = "**Tea** and *milk*, [here](https://x.example/a_b_c)\n* `**one**`\n```py\n**two**\n```\nsnake_case <b>"
        shown = "*Tea* and _milk_, here (https://x.example/a_b_c)\n* `**one**`\n```\n**two**\n```\nsnake_case <b>"
        texts = test_layer.errbot(f"""
            @botcmd
            def a(self, msg, args):
                yield {answer!r}
                yield "# More"

            @botcmd
            def b(self, msg, args):
                raise ValidationException("**no**")

            @botcmd
            def c(self, msg, args):
                self.send(msg.frm, "**c**")
                self.send_card(to=msg.frm, title="Kinds", body="**green**", fields=[("of", "*tea*")])

            @cmdfilter
            def closed(self, msg, cmd, args, dry_run):
                return "**closed**" if cmd == "d" else (msg, cmd, args)

            @botcmd
            def d(self, msg, args):
                return "open"
        """)
        texts["a.py"] = f"from errbot import ValidationException, cmdfilter\n{texts['a.py']}"
        await self.begun(texts)
        self.assertEqual(await self.answers("!a"), [shown, "*More*"])
        self.assertEqual(await self.answers("!b"), ["*no*"])
        self.assertEqual(await self.answers("!c"), ["*c*", "*Kinds*\n*green*\nof: _tea_"])
        self.assertEqual(await self.answers("!d"), ["*closed*"])

    async def test_the_nickname_before_an_answer_is_no_markdown(self) -> None:
        await self.begun(test_layer.errbot("""
            @botcmd
            def a(self, msg, args):
                self.send(msg.frm.room, "**a**", in_reply_to=msg, groupchat_nick_reply=True)
        """))
        room = "garden@rooms.example.org"
        self.assertEqual(await self.answers("!a", kind="groupchat", chat=room, nick="*_x_*"), ["*_x_*: *a*"])


class Words(test_layer.Case):
    COUNT = """
        @botcmd
        def count_up(self, msg, args):
            '''Counts up'''
            return f"up {args}"

        @botcmd
        def count_up_twice(self, msg, args):
            return f"twice {args}"

        @botcmd
        def count_down(self, msg, args):
            '''Counts down'''
            return f"down {args}"
    """

    async def test_words_may_be_joined_and_the_help_shows_what_each_does(self) -> None:
        host = await self.begun(test_layer.errbot(self.COUNT))
        for text, answer in (
            ("!count up 3", "up 3"), ("!count_up 3", "up 3"), ("!count_up twice 3", "twice 3"), ("!count_up_twice 3", "twice 3"), ("!count_down", "down "),
        ):
            self.assertEqual(await self.answers(text), [answer])
        self.assertEqual({name: one["help"] for name, one in host.declared.items()}, {
            "count": "down: Counts down; up: Counts up; up twice", "count_down": "Counts down", "count_up": "Counts up; twice", "count_up_twice": ""})
        self.assertEqual(host.declared["count_down"]["usage"], "[TEXT]")

    async def test_a_plugin_has_no_more_commands_than_the_host_takes(self) -> None:
        body = "".join(f"@botcmd\ndef a_{one}(self, msg, args):\n    return '{one}'\n" for one in range(80))
        body += "@botcmd(admin_only=True)\ndef a_z(self, msg, args):\n    return 'z'\n"
        host = await self.begun(test_layer.errbot(body))
        self.assertLessEqual(len(host.declared), 64)
        self.assertIn("a_z", host.declared)
        self.assertLessEqual(max(len(one["help"].encode()) for one in host.declared.values()), 256)
        self.assertEqual(await self.answers("!a 79"), ["79"])

    async def test_what_is_no_address_is_refused_at_once(self) -> None:
        await self.begun(test_layer.errbot("""
            @botcmd
            def a(self, msg, args):
                try:
                    return str(self.build_identifier(args))
                except ValueError as error:
                    return f"none: {error}"
        """))
        for text in ("romeo@example.org", "hall@rooms.example.org/The Nurse", "example.org", "a.b@[::1]", "bücher@bücher.example"):
            self.assertEqual(await self.answers(f"!a {text}"), [text])
        for text in ("not a jid", "#general", "a@b@c.example", "@example.org", "romeo@", "romeo@example.org/", ""):
            self.assertTrue((await self.answers(f"!a {text}"))[0].startswith("none: "), text)


if __name__ == "__main__":
    unittest.main()
