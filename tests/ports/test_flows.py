"""Flows, filters and raw requests of plugins of errbot: `python3 -m unittest discover tests/ports`."""

import asyncio
import tomllib
import unittest
from types import SimpleNamespace
from typing import Any

import sample
import test_layer

FLOWS = "from errbot import BotFlow, FLOW_END, Message, botflow, botmatch, cmdfilter, webhook, CommandError\n"
ROOM = {"chat": "hall@rooms.example.org", "kind": "groupchat"}


def errbot(body: str, flow: str = "") -> dict[str, str]:
    """A plugin with this body, and one flow."""
    texts = test_layer.errbot(body)
    lines = "".join(f"        {line}\n" for line in flow.strip().split("\n"))
    texts["a.py"] = FLOWS + texts["a.py"]
    if flow:
        texts["a.py"] += f"\n\nclass F(BotFlow):\n    @botflow\n    def f(self, flow):\n{lines}"
    return texts


def request(body: bytes = b"", method: str = "POST", query: Any = None, **headers: str) -> SimpleNamespace:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return SimpleNamespace(method=method, headers=given, query=query, path=None, body=body, text=body.decode())


class Flows(test_layer.Case):
    async def test_a_flow_goes_from_step_to_step(self) -> None:
        await self.begun("riddle")
        self.assertEqual(await self.answers("piano"), [])
        self.assertEqual(await self.answers("!riddle"), ["What has keys, and opens no door?"])
        self.assertEqual(await self.answers("door"), ["No. 2 more."])
        self.assertEqual(await self.answers("Piano"), ["Yes, a piano!"])
        self.assertEqual(await self.answers("piano"), [])
        await self.answers("!riddle")
        self.assertEqual([await self.answers("tea") for _ in range(4)], [["No. 2 more."], ["No. 1 more."], ["No. It was a piano."], []])

    async def test_a_step_is_refused_outside_of_its_flow(self) -> None:
        await self.begun("riddle")
        self.assertEqual(await self.answers("!order tea"), ["!order tea is a step of a flow, which has not come to it."])
        self.assertEqual(await self.answers("!flows start order"), ["This is the flow order. It goes on with:\n- !order tea"])
        self.assertEqual(await self.answers("!order confirm"), ["!order confirm is a step of a flow, which has not come to it."])
        self.assertEqual((await self.answers("!order tea mint"))[0], "mint tea?")
        self.assertEqual(await self.answers("!flows status"), ["This is the flow order. It goes on with:\n- !order confirm"])
        self.assertEqual(await self.answers("!order confirm"), ["One mint tea."])
        self.assertEqual(await self.answers("!flows status"), ["You are in no flow."])
        self.assertEqual(await self.answers("!flows list"), ["order: An order of tea\nriddles: A riddle with three guesses"])
        await self.answers("!flows start order")
        self.assertEqual(await self.answers("!flows stop"), ["The flow order has ended."])
        self.assertEqual(await self.answers("!flows start tea"), ["There is no flow tea."])

    async def test_what_may_follow_is_told_with_the_prefix_of_the_owner(self) -> None:
        await self.begun("riddle", prefix="?")
        self.assertEqual(await self.answers("!flows start order"), ["This is the flow order. It goes on with:\n- ?order tea"])
        self.assertIn("[settings.prefix]", sample.ported("riddle")["files"]["plugin.toml"])

    async def test_nobody_goes_on_with_the_flow_of_another_one(self) -> None:
        await self.begun("riddle")
        await self.answers("!riddle", **ROOM, nick="alice", occupant_id="1")
        self.assertEqual(await self.answers("piano", **ROOM, nick="bob", occupant_id="2"), [])
        # Bob has taken the nickname of Alice, who has another one now.
        self.assertEqual(await self.answers("piano", **ROOM, nick="alice", occupant_id="2"), [])
        self.assertEqual(await self.answers("piano"), [])
        self.assertEqual(await self.answers("piano", **ROOM, nick="al", occupant_id="1"), ["Yes, a piano!"])

    async def test_a_flow_of_a_room_is_everybodys(self) -> None:
        await self.begun(errbot("""
            @botcmd
            def begin(self, msg, args):
                msg.ctx["who"] = [msg.frm.nick]
                return "Who else?"

            @botmatch(r"^me$", flow_only=True)
            def me(self, msg, match):
                msg.ctx["who"].append(msg.frm.nick)
                return " ".join(msg.ctx["who"])
        """, "flow.connect('begin', auto_trigger=True, room_flow=True, hints=False).connect('me', hints=False)"))
        self.assertEqual(await self.answers("!begin", **ROOM, nick="alice", occupant_id="1"), ["Who else?"])
        self.assertEqual(await self.answers("me", **ROOM, nick="bob", occupant_id="2"), ["alice bob"])
        self.assertEqual(await self.answers("me", **ROOM, nick="bob", occupant_id="2"), [])

    async def test_one_message_is_one_step(self) -> None:
        await self.begun(errbot("""
            @botcmd
            def begin(self, msg, args):
                return "Name?"

            @botmatch(r".*", flow_only=True)
            def naming(self, msg, match):
                return "Hello, " + match.group()

            @botmatch(r"[AB]", flow_only=True)
            def model(self, msg, match):
                return "Model " + match.group()

            @botmatch(r"B")
            def always(self, msg, match):
                return "b"
        """, """
            begun = flow.connect('begin', auto_trigger=True)
            named = begun.connect("naming")
            named.connect('model').connect(FLOW_END)
            for node in (begun, named):
                node.hints = False
        """.replace("            ", "")))
        await self.answers("!begin")
        self.assertEqual(await self.answers("Anna B"), ["Hello, Anna B", "b"])
        self.assertEqual(await self.answers("B"), ["Model B", "b"])
        self.assertEqual(await self.answers("A"), [])

    async def test_a_flow_does_not_go_on_to_what_is_for_admins(self) -> None:
        body = """
            @botcmd{first}
            def begin(self, msg, args):
                return "begun"

            @botcmd(admin_only=True)
            def wipe(self, msg, args):
                return "wiped"
        """
        flow = "flow.connect('begin', auto_trigger=True).connect('wipe', predicate=lambda ctx: True)"
        await self.begun(errbot(body.replace("{first}", ""), flow))
        with self.assertRaises(PermissionError):
            await self.host.says("!begin")
        self.assertEqual([text for _, text in self.host.take()], ["begun"])
        self.assertEqual(await self.answers("!flows status"), ["You are in no flow."])

    async def test_an_owner_goes_on_to_what_is_for_admins(self) -> None:
        await self.begun(errbot("""
            @botcmd(admin_only=True)
            def begin(self, msg, args):
                return "begun"

            @botcmd(admin_only=True)
            def wipe(self, msg, args):
                return "wiped"
        """, "flow.connect('begin', auto_trigger=True).connect('wipe', predicate=lambda ctx: True)"))
        host_gives = self.host.commands["begin"]
        await host_gives(self.parlor.Command("begin", "", self.parlor.Message("!begin")), "")
        self.assertEqual([text for _, text in self.host.take()], ["begun", "wiped"])

    async def test_a_step_that_was_not_done_is_taken_again(self) -> None:
        await self.begun(errbot("""
            @botcmd
            def begin(self, msg, args):
                return "Number?"

            @botmatch(r".+", flow_only=True)
            def number(self, msg, match):
                if not match.group().isdigit():
                    raise CommandError("That is no number.")
                return "Thanks."
        """, "flow.connect('begin', auto_trigger=True, hints=False).connect('number')"))
        await self.answers("!begin")
        self.assertEqual(await self.answers("tea"), ["That is no number."])
        self.assertEqual(await self.answers("7"), ["Thanks."])
        self.assertEqual(await self.answers("7"), [])

    async def test_a_flow_ends_if_a_step_that_it_takes_by_itself_fails(self) -> None:
        await self.begun(errbot("""
            @botcmd
            def begin(self, msg, args):
                return "begun"

            @botcmd(flow_only=True)
            def check(self, msg, args):
                raise CommandError("That cannot be.")

            @botcmd(flow_only=True)
            def pay(self, msg, args):
                return "paid"
        """, "flow.connect('begin', auto_trigger=True).connect('check', predicate=lambda ctx: True).connect('pay', predicate=lambda ctx: True)"))
        self.assertEqual(await self.answers("!begin"), ["begun", "That cannot be."])
        self.assertEqual(await self.answers("!flows status"), ["You are in no flow."])

    async def test_the_oldest_flows_are_forgotten(self) -> None:
        await self.begun("riddle")
        for number in range(1001):
            await self.host.says("!riddle", chat=f"p{number}@example.org")
        self.host.take()
        self.assertEqual(await self.answers("tea", chat="p0@example.org"), [])
        self.assertEqual(await self.answers("tea", chat="p1@example.org"), ["No. 2 more."])

    async def test_two_messages_at_once_are_two_steps(self) -> None:
        await self.begun(errbot("""
            @botcmd
            def begin(self, msg, args):
                return "One?"

            @botmatch(r".*", flow_only=True)
            async def one(self, msg, match):
                msg.ctx["one"] = match.group()
                await asyncio.sleep(0)
                return "Two?"

            @botmatch(r".*", flow_only=True)
            def two(self, msg, match):
                return msg.ctx["one"] + match.group()
        """, """
            begun = flow.connect('begin', auto_trigger=True, hints=False)
            one = begun.connect('one', hints=False)
            one.connect('two')
        """.replace("            ", "")))
        await self.answers("!begin")
        await asyncio.gather(self.host.says("a"), self.host.says("b"))
        self.assertEqual([text for _, text in self.host.take()], ["Two?", "ab"])

    async def test_a_flow_with_commands_that_are_not_there_is_left_out(self) -> None:
        texts = errbot("@botcmd\ndef begin(self, msg, args):\n    return 'begun'\n", "flow.connect('begin', auto_trigger=True).connect('echo')")
        self.assertEqual(
            [one.partition(" ")[2] for one in sample.told(sample.port(texts), "lacks")], ["the step echo of the flow f"])
        with self.assertLogs("errbot") as logs:
            await self.begun(texts)
        self.assertIn("the flow f has commands that the plugin has not, and is left out: echo", logs.output[0])
        self.assertNotIn("flows", self.host.commands)
        self.assertEqual(await self.answers("!begin"), ["begun"])

    async def test_a_step_whose_flow_is_left_out_is_given_by_nobody(self) -> None:
        texts = errbot("""
            @botcmd(flow_only=True)
            def pay(self, msg, args):
                return "paid"

            @botmatch(r"^tea$", flow_only=True)
            def tea(self, msg, match):
                return "tea"
        """, "flow.connect('pay').connect('tea').connect('echo')")
        with self.assertLogs("errbot"):
            await self.begun(texts)
        self.assertEqual(await self.answers("!pay"), ["!pay is a step of a flow, which has not come to it."])
        self.assertEqual(await self.answers("tea"), [])

    async def test_others_do_not_wait_for_what_takes_long(self) -> None:
        await self.begun(errbot("""
            @botcmd
            async def slow(self, msg, args):
                await asyncio.sleep(60)

            @botcmd
            def quick(self, msg, args):
                return "quick"

            @botcmd
            async def begin(self, msg, args):
                await asyncio.sleep(60 if args else 0)
                return "begun"

            @botmatch(r"^(slow|tea)$")
            async def tea(self, msg, match):
                await asyncio.sleep(60 if match.group() == "slow" else 0)
                return "tea"
        """, "flow.connect('begin', auto_trigger=True, hints=False).connect(FLOW_END, predicate=lambda ctx: True)"))
        alice, bob = {**ROOM, "nick": "alice", "occupant_id": "1"}, {**ROOM, "nick": "bob", "occupant_id": "2"}
        waiting = [asyncio.create_task(self.host.says(text, **alice)) for text in ("!slow", "slow", "!begin slow")]
        await asyncio.sleep(0)
        for text, who, answer in (("!quick", alice, "quick"), ("tea", alice, "tea"), ("!begin", bob, "begun")):
            self.assertEqual(await asyncio.wait_for(self.answers(text, **who), 5), [answer], text)
        for one in waiting:
            one.cancel()

    async def test_somebody_with_a_flow_takes_part_in_that_of_the_room(self) -> None:
        texts = errbot("""
            @botcmd
            def alone(self, msg, args):
                return "alone"

            @botcmd(flow_only=True)
            def next(self, msg, args):
                return "next"

            @botcmd
            def together(self, msg, args):
                return "together"

            @botcmd(flow_only=True)
            def join(self, msg, args):
                return "joined"
        """, "flow.connect('alone', auto_trigger=True, hints=False).connect('next', hints=False)")
        texts["a.py"] += (
            "    @botflow\n    def g(self, flow):\n"
            "        flow.connect('together', auto_trigger=True, room_flow=True, hints=False).connect('join', hints=False)\n")
        await self.begun(texts)
        alice, bob = {**ROOM, "nick": "alice", "occupant_id": "1"}, {**ROOM, "nick": "bob", "occupant_id": "2"}
        self.assertEqual(await self.answers("!together", **alice), ["together"])
        self.assertEqual(await self.answers("!alone", **bob), ["alone"])
        self.assertEqual(await self.answers("!join", **bob), ["joined"])
        self.assertEqual(await self.answers("!next", **bob), ["next"])


class Filters(test_layer.Case):
    async def test_a_filter_stops_changes_and_lets_pass(self) -> None:
        await self.begun(errbot("""
            @cmdfilter
            def check(self, msg, cmd, args, dry_run):
                if "bad" in str(args):
                    self.send(msg.frm, "stopped")
                    return None, None, None
                if cmd == "old":
                    return msg, "new_one", args + "!"
                if cmd == "secret":
                    return msg, "wipe", args
                if args == "words":
                    return "no words"
                return msg, cmd, args

            @botcmd
            def old(self, msg, args):
                return "old " + args

            @botcmd
            def new_one(self, msg, args):
                return "new " + args

            @botcmd
            def secret(self, msg, args):
                return "secret"

            @botcmd(admin_only=True)
            def wipe(self, msg, args):
                return "wiped"

            @re_botcmd(pattern=r"say (.*)", prefixed=False)
            def say(self, msg, match):
                return match.group(1)

            @botmatch(r"bad")
            def bad(self, msg, match):
                return "bad"
        """))
        self.assertEqual(await self.answers("!new one tea"), ["new tea"])
        self.assertEqual(await self.answers("!new one bad"), ["stopped"])
        self.assertEqual(await self.answers("!old tea"), ["new tea!"])
        self.assertEqual(await self.answers("!new one words"), ["no words"])
        self.assertEqual(await self.answers("say tea"), ["tea"])
        self.assertEqual(await self.answers("bad"), ["stopped"])
        with self.assertLogs("errbot"):
            self.assertEqual(await self.answers("!secret"), [])

    async def test_a_filter_stops_and_changes_steps_that_a_flow_takes_by_itself(self) -> None:
        await self.begun(errbot("""
            @cmdfilter
            def check(self, msg, cmd, args, dry_run):
                if cmd == "pay" and msg.nick != "alice":
                    return None, None, None
                return msg.clone(), cmd, "twice" if cmd == "pay" else args

            @botcmd
            def begin(self, msg, args):
                return "begun"

            @botcmd(flow_only=True)
            def pay(self, msg, args):
                msg.ctx["paid"] = args
                return "paid " + args

            @botcmd(flow_only=True)
            def thank(self, msg, args):
                return "thanks, " + msg.ctx["paid"]
        """, "flow.connect('begin', auto_trigger=True).connect('pay', predicate=lambda ctx: True).connect('thank', predicate=lambda ctx: True)"))
        self.assertEqual(await self.answers("!begin", chat="eve@example.org"), ["begun"])
        self.assertEqual(await self.answers("!flows status", chat="eve@example.org"), ["You are in no flow."])
        self.assertEqual(await self.answers("!begin"), ["begun", "paid twice", "thanks, twice"])

    async def test_the_message_of_a_filter_is_handed_on(self) -> None:
        await self.begun(errbot("""
            @cmdfilter
            def check(self, msg, cmd, args, dry_run):
                other = Message("as " + msg.body, frm=self.build_identifier("eve@example.org"))
                return other, cmd, args

            @botcmd
            def who(self, msg, args):
                return msg.body + " " + str(msg.frm)

            @botmatch(r"^tea$")
            def tea(self, msg, match):
                return msg.body
        """))
        self.assertEqual(await self.answers("!who"), ["as !who eve@example.org"])
        self.assertEqual(await self.answers("tea"), ["as tea"])

    async def test_a_filter_makes_no_step_of_an_expression(self) -> None:
        await self.begun(errbot("""
            @cmdfilter
            def check(self, msg, cmd, args, dry_run):
                return msg, "pay" if cmd == "tea" else cmd, args

            @botmatch(r"^tea$")
            def tea(self, msg, match):
                return "tea"

            @botcmd(flow_only=True)
            def pay(self, msg, args):
                return "paid"

            @botcmd
            def begin(self, msg, args):
                return "begun"
        """, "flow.connect('begin', auto_trigger=True, hints=False).connect('pay')"))
        self.assertEqual(await self.answers("tea"), [])

    async def test_a_filter_that_fails_stops_the_command(self) -> None:
        await self.begun(errbot("""
            @cmdfilter
            def check(self, msg, cmd, args, dry_run):
                return self.nothing[cmd]

            @botcmd
            def tea(self, msg, args):
                return "tea"
        """))
        with self.assertRaises(AttributeError):
            await self.host.says("!tea")
        self.assertEqual(self.host.take(), [])


class Requests(test_layer.Case):
    async def posted(self, *hooks: Any) -> list[tuple[int, Any]]:
        [take] = [handler for event, _, handler in self.host.listeners if event == "webhook"]
        for hook in hooks:
            await take(hook)
        answers, self.host.webhooks = self.host.webhooks, []
        return [(status, body) for _, status, body in answers]

    async def test_a_raw_webhook_is_given_the_request(self) -> None:
        await self.begun("riddle")
        json = b'{"by": "bob", "text": "What?"}'
        self.assertEqual(
            await self.posted(request(json, content_type="application/json", x_kind="riddle"), request(json, x_kind="tea")),
            [(200, "OK"), (200, "no riddle")])
        self.assertEqual(self.host.take(), [("alice@example.org", "A riddle of bob: What?")])
        self.assertEqual(await self.posted(request(b"{", content_type="application/json", x_kind="riddle")), [(400, "the body is no JSON")])

    async def test_what_a_request_has_is_there_by_each_name(self) -> None:
        await self.begun(errbot("""
            @webhook(raw=True)
            def take(self, request):
                return [request.method, request.query.a, request.args.get("b"), request.forms.getall("c"), request.params.get("c"),
                        request.body.read().decode(), request.get_data(as_text=True), request.headers["X-A"], request.content_type,
                        request.get_json(force=True, silent=True)]
        """))
        self.assertEqual(
            await self.posted(request(b"c=1&c=2", query="a=3&b=4", x_a="5", content_type="application/x-www-form-urlencoded")),
            [(200, ["POST", "3", "4", ["1", "2"], "1", "c=1&c=2", "c=1&c=2", "5", "application/x-www-form-urlencoded", None])])
        self.assertEqual(
            await self.posted(request(b"--x", x_a="5", content_type="multipart/form-data; boundary=x")), [(415, "the plugin takes no forms with files")])

    def test_of_two_methods_of_one_name_the_last_one_is_the_webhook(self) -> None:
        texts = errbot("@webhook('/ping')\ndef take(self, sent):\n    return 'pong'\n\n@webhook('/ci/<action>/', methods=('PUT',))\ndef take(self, sent, action):\n    return action\n")
        hook = tomllib.loads(sample.port(texts)["files"]["plugin.toml"])["webhook"]["take"]
        self.assertEqual((hook["methods"], hook.get("paths")), (["PUT"], True))

    async def test_names_of_web_servers_work_for_webhooks(self) -> None:
        for package, body in (
            ("from bottle import abort, request, response", "response.status = 202\n    response.set_header('ETag', 'a')\n    return 'b'"),
            ("from flask import Response", "return Response('b', status=202, headers={'ETag': 'a'})"),
            ("from flask import make_response", "return 'b', 202, {'ETag': 'a'}"),
        ):
            texts = errbot(f"@webhook\ndef take(self, sent):\n    if sent == 'no':\n        from_where()\n    {body}\n")
            name = "bottle" if "bottle" in package else "flask"
            texts["a.py"] = f"{package}\nimport {name}\ndef from_where():\n    {name}.abort(403, 'no')\n" + texts["a.py"]
            self.assertEqual(sample.told(sample.port(texts), "package") + sample.told(sample.port(texts), "lacks"), [])
            await self.begun(texts)
            self.assertEqual(await self.posted(request(b"tea"), request(b"no")), [(202, "b"), (403, "no")])
            self.folder.cleanup()
            self.folder = test_layer.tempfile.TemporaryDirectory()
            self.addCleanup(self.folder.cleanup)

    def test_headers_of_requests_are_listed_and_others_are_told(self) -> None:
        texts = errbot("""
            @webhook(raw=True)
            def take(self, request):
                if request.get_header("Authorization") or request.cookies:
                    return request.get_header("X-Event")
                return request.headers.get("X-Other")
        """)
        texts["a.py"] = "from flask import session\n" + texts["a.py"]
        result = sample.port(texts)
        self.assertIn('headers = ["x-event", "x-other"]', result["files"]["plugin.toml"])
        lacks = [one.partition(" ")[2] for one in sample.told(result, "lacks")]
        self.assertEqual(sorted(lacks), ["flask.session", "request.cookies", "the header authorization"])


if __name__ == "__main__":
    unittest.main()
