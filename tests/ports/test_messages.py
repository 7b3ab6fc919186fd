"""Ids of messages, and files that come with them: `python3 -m unittest discover tests/ports`."""

import asyncio
import os
from typing import Any

from test_layer import Case, errbot, extensions, maubot

HALL = {"chat": "hall@rooms.example.org", "kind": "groupchat"}
NOTED = """
noted = []

@event.on(EventType.ROOM_MESSAGE)
async def note(self, evt):
    self.noted.append(evt)

@command.new("answer")
@command.argument("how")
async def answer(self, evt, how):
    about = self.noted[-1] if how == "last" else evt
    await about.reply("yes")
    await about.react("x")

@command.new("say")
async def say(self, evt):
    self.said = await evt.respond("te")

@command.new("correct")
async def correct(self, evt):
    own = await self.client.get_event(evt.room_id, self.said)
    await own.edit("tea")
    await evt.respond(f"{self.said == own.event_id}")
"""


class Settings(Case):
    async def test_a_plugin_without_settings_has_none_checked(self) -> None:
        host = await self.begun(errbot("""
            def check_configuration(self, configuration):
                assert configuration.get("units") != "stones", configuration

            def configure(self, configuration):
                super().configure(configuration or {"units": "metric"})

            @botcmd
            def a(self, msg, args):
                return f"{self.config['units']} {self.bot_config.BOT_ALT_PREFIXES}"
        """))
        self.assertEqual(await self.answers("!a"), ["metric ()"])

    async def test_environment_variables_are_settings(self) -> None:
        texts = errbot("""
            @botcmd
            def a(self, msg, args):
                return f"{os.environ['PLACE']} {os.getenv('UNITS', 'metric')} {'API_TOKEN' in os.environ} {environ.get('NONE', 3)}"
        """)
        texts["a.py"] = f"import os\nfrom os import environ\n{texts['a.py']}"
        self.addCleanup(setattr, os, "getenv", os.getenv)
        self.addCleanup(setattr, os, "environ", os.environ)
        await self.begun(texts, place="here", api_token="secret")
        self.assertEqual(await self.answers("!a"), ["here metric True 3"])
        self.assertNotIn("API_TOKEN", dict(os.environ))


class Ids(Case):
    async def noted(self, *messages: Any) -> list[Any]:
        """The events of messages of others, or of own ones that come back from a room."""
        for message in messages:
            for _, about, handler in [one for one in self.host.listeners if one[0] == "message"]:
                if about.get("own") is None or message.own:
                    await handler(message)
        return list(self.plugin().noted)

    def plugin(self) -> Any:
        import a

        return a.A

    async def test_each_message_has_an_id_of_its_own_that_stays(self) -> None:
        await self.begun(maubot(NOTED))
        message = self.parlor.Message
        told = await self.noted(
            message("in a chat", id="m1"), message("with the id of its author", id="m2", origin_id="o2"), message("in a room", id="m1", stanza_id="s1", **HALL),
            message("old", id=None), message("older", id=None), message("old", id=None))
        ids = [one.event_id for one in told]
        self.assertEqual(ids[:3], ["m1", "o2", "s1"])
        self.assertTrue(all(ids))
        self.assertEqual((len(set(ids[3:5])), ids[5]), (2, ids[3]), "the same message came twice")
        for one in told:
            self.assertEqual((await one.client.get_event(one.room_id, one.event_id)).event_id, one.event_id)

    async def test_answers_and_reactions_are_about_the_message(self) -> None:
        host = await self.begun(maubot(NOTED))
        for about in ({"id": "m2", "origin_id": "o2"}, {"id": "m1", "stanza_id": "s1", "nick": "bob", **HALL}):
            message = self.parlor.Message("hello", **about)
            await self.noted(message)
            await host.says("!answer last", id="m9", stanza_id="s9", chat=message.chat, kind=message.kind, nick=message.nick)
            [(place, reply), (_, reaction)] = host.sent
            self.assertIs(reply.reply_to, message)
            self.assertIs(reaction.react_to, message)
            self.assertEqual(place, message.chat)
            host.take()
            await host.says("!answer this", id="m10", stanza_id="s10", chat=message.chat, kind=message.kind, nick=message.nick)
            self.assertEqual([about.id for about in (host.sent[0][1].reply_to, host.sent[1][1].react_to)], ["m10"] * 2)
            host.take()

    async def test_an_own_message_of_a_room_is_corrected_by_the_id_that_it_was_sent_with(self) -> None:
        host = await self.begun(maubot(NOTED))
        await host.says("!say", id="m1", stanza_id="s1", nick="bob", **HALL)
        host.take()
        await self.noted(self.parlor.Message("te", id="id1", origin_id="id1", stanza_id="s2", own=True, nick="bot", **HALL))
        await host.says("!correct", id="m2", stanza_id="s3", nick="bob", **HALL)
        [(_, corrected), (_, is_same)] = host.sent
        self.assertEqual((corrected.body, corrected.replace, is_same.body), ("tea", "id1", "True"))

    async def test_a_correction_names_the_event_that_it_corrects(self) -> None:
        await self.begun(maubot(NOTED))
        message = self.parlor.Message

        def correction(**named: Any) -> Any:
            return message("tea", extensions=extensions(replace="m1"), **named)

        told = await self.noted(
            message("te", id="m1", stanza_id="s1", nick="bob", **HALL), message("another", id="m1", stanza_id="s2", nick="eve", **HALL),
            correction(id="m2", stanza_id="s3", nick="bob", **HALL), correction(id="m3", stanza_id="s4", nick="dan", **HALL),
            message("te", id="m1", origin_id="o1"), correction(id="m4", origin_id="o4"))
        self.assertEqual([one.content.get_edit() for one in told], [None, None, "s1", "m1", None, "o1"])


class Files(Case):
    async def test_files_are_read_one_after_the_other(self) -> None:
        host = await self.begun(errbot("""
            async def callback_stream(self, stream):
                await asyncio.sleep(0)
                self.send(stream.identifier, f"{stream.name} {len(stream.read())}")
        """))
        steps: list[str] = []
        places = __import__("parlor_port.files", fromlist=["files"])
        real = places.download

        async def download(url: str) -> bytes:
            steps.append("read")
            await asyncio.sleep(0)
            return await real(url)

        places.download = download
        self.addCleanup(setattr, places, "download", real)
        host.sent = type("Sent", (list,), {"append": lambda self, one: (steps.append("given"), list.append(self, one))})()
        names = [f"{place}.txt" for place in range(6)]
        files = [self.parlor.File(f"https://files.example/{name}") for name in names]
        host.files = {one.url: b"x" * place for place, one in enumerate(files)}
        [(_, _, hear)] = [one for one in host.listeners if one[0] == "message"]
        # Two messages at once, too.
        await asyncio.gather(*(hear(self.parlor.Message(None, extensions=extensions(files=some))) for some in (files[:3], files[3:])))
        self.assertEqual(steps, ["read", "given"] * 6)
        self.assertEqual(sorted(text for _, text in host.take()), [f"{name} {place}" for place, name in enumerate(names)])
