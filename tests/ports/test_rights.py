"""The people who may give the commands of a ported plugin of errbot, and the settings that it asks for."""

import tempfile
import textwrap
from types import SimpleNamespace
from typing import Any

import sample
from test_layer import Case
from test_maubot import plugin


def errbot(body: str) -> dict[str, str]:
    """A plugin of errbot whose class has this body."""
    head = "from errbot import BotPlugin, arg_botcmd, botcmd, cmdfilter, re_botcmd"
    return {"a.plug": "[Core]\nName = A\nModule = a\n", "a.py": f"{head}\n\n\nclass A(BotPlugin):\n{textwrap.indent(textwrap.dedent(body), '    ')}"}


class Rights(Case):
    async def test_one_command_for_admins_leaves_those_beside_it_open(self) -> None:
        host = await self.begun(errbot("""
            @botcmd
            def coffee_owe(self, msg, args):
                return f"owes {args}"

            @botcmd
            def coffee_list(self, msg, args):
                return "nobody"

            @botcmd(admin_only=True)
            def coffee_reset(self, msg, args):
                '''Forgets all debts'''
                return f"forgot {args}"

            @cmdfilter
            def only(self, msg, cmd, args, dry_run):
                return (msg, "coffee_reset", args) if args == "all" else (msg, cmd, args)
        """))
        self.assertEqual({name: bool(one.get("allow")) for name, one in host.declared.items()}, {
            "coffee": False, "coffee_list": False, "coffee_owe": False, "coffee_reset": True})
        self.assertEqual(host.declared["coffee"]["usage"], "list | owe")
        self.assertEqual(host.declared["coffee_reset"]["help"], "Forgets all debts")
        self.assertEqual(await self.answers("!coffee owe 2"), ["owes 2"])
        self.assertEqual(await self.answers("!coffee"), ["There is: !coffee list, !coffee owe"])
        refusal = "!coffee reset is for the owners of this bot, who write !coffee_reset in a private chat."
        for text in ("!coffee reset", "!coffee RESET now", "!coffee  reset"):
            self.assertEqual(await self.answers(text), [refusal], text)
        with self.assertLogs("errbot", "WARNING"):
            self.assertEqual(await self.answers("!coffee owe all"), [])
        # The host has checked that it is an owner.
        self.assertEqual(await self.answers("!coffee_reset now"), ["forgot now"])

    async def test_a_first_word_for_admins_leaves_those_behind_it_open_under_their_own_names(self) -> None:
        host = await self.begun(errbot("""
            @botcmd(admin_only=True)
            def coffee(self, msg, args):
                return "forgot"

            @arg_botcmd("who")
            def coffee_owe(self, msg, who):
                return f"{who} owes"
        """))
        self.assertEqual({name: bool(one.get("allow")) for name, one in host.declared.items()}, {"coffee": True, "coffee_owe": False})
        self.assertEqual(host.declared["coffee_owe"]["usage"], "who")
        self.assertEqual(await self.answers("!coffee_owe bob"), ["bob owes"])
        self.assertEqual(await self.answers("!coffee owe bob"), ["bob owes"])
        self.assertEqual(await self.answers("!coffee"), ["forgot"])

    async def test_the_layer_asks_for_no_setting_that_the_manifest_does_not_have(self) -> None:
        for options, has_prefix in (("", True), (", prefixed=True", True), (", prefixed=False", False), (", prefixed=WRITTEN", True)):
            texts = errbot(f"@re_botcmd(pattern='tea'{options})\ndef tea(self, msg, match):\n    return 'green'")
            texts["a.py"] = "WRITTEN = True\n" + texts["a.py"]
            self.assertEqual("[settings.prefix]" in sample.port(texts)["files"]["plugin.toml"], has_prefix, options)
            host = await self.begun(texts, **({"prefix": "!"} if has_prefix else {}))
            self.assertEqual(host.asked, ["prefix"] if has_prefix else [], options)
            self.folder.cleanup()
            self.folder = tempfile.TemporaryDirectory()
            self.addCleanup(self.folder.cleanup)


class Rooms(Case):
    HALL = "hall@rooms.example.org"
    ERRBOT = """
        @botcmd
        def a(self, msg, args):
            friend = self.build_identifier("Alice@example.org".lower())
            return f"{msg.frm in ['alice@example.org']} {msg.frm.person in ['alice@example.org']} {msg.frm == friend} {friend == msg.frm} {msg.frm} {msg.frm != friend}"
    """
    MAUBOT = (
        "@command.new('a')\nasync def a(self, evt: MessageEvent) -> None:\n"
        "    await evt.respond(f\"{evt.sender in ['alice@example.org']} {'alice@example.org' == evt.sender} {evt.sender} {evt.sender in ['hall@rooms.example.org']}\", markdown=False)")

    async def said(self, texts: Any, jid: Any = "Alice@example.org/phone", occupant_id: Any = "o1", **named: Any) -> str:
        self.folder.cleanup()
        host = await self.begun(texts)
        host.occupants[self.HALL] = [
            SimpleNamespace(nick="olga", jid="olga@example.org/x", occupant_id="o2", own=False),
            SimpleNamespace(nick="queen", jid=jid, occupant_id=occupant_id, own=False)]
        return (await self.answers("!a", **{"chat": self.HALL, "kind": "groupchat", "nick": "queen", "occupant_id": "o1", **named}))[0]

    async def test_a_list_has_people_whose_addresses_a_room_shows(self) -> None:
        self.assertEqual(await self.said(errbot(self.ERRBOT)), f"True True True True {self.HALL}/queen False")
        self.assertEqual(await self.said(plugin(self.MAUBOT)), f"True True {self.HALL}/queen False")
        private = {"chat": f"{self.HALL}/queen", "kind": "chat", "nick": None, "occupant_id": None}
        self.assertEqual(await self.said(plugin(self.MAUBOT), **private), f"True True {self.HALL}/queen False")

    async def test_a_list_has_nobody_whose_address_is_not_known_for_sure(self) -> None:
        for given in ({"jid": None}, {"occupant_id": "o3"}, {"nick": "gone"}, {"delayed": True}, {"jid": "bot@example.org/x"}, {"jid": "eve@example.org"}):
            who = f"{self.HALL}/{given.get('nick', 'queen')}"
            self.assertEqual(await self.said(errbot(self.ERRBOT), **given), f"False False False False {who} True", given)
            self.assertEqual(await self.said(plugin(self.MAUBOT), **given), f"False False {who} False", given)
