"""Events, reactions and tasks, in the style of plugins of maubot."""

import asyncio
from typing import Type

from mautrix.types import EventType, MessageType
from mautrix.util.config import BaseProxyConfig, ConfigUpdateHelper
from maubot import MessageEvent, Plugin
from maubot.handlers import command, event


class Config(BaseProxyConfig):
    def do_update(self, helper: ConfigUpdateHelper) -> None:
        for key in ("word", "command", "tell"):
            helper.copy(key)


class WatcherBot(Plugin):
    async def start(self) -> None:
        self.config.load_and_update()
        self.seen = 0
        self.asked = ""

    @classmethod
    def get_config_class(cls) -> Type[BaseProxyConfig]:
        return Config

    @event.on(EventType.ROOM_MESSAGE)
    async def message(self, evt: MessageEvent) -> None:
        if evt.sender == self.client.mxid or evt.content.msgtype != MessageType.TEXT:
            return
        if self.config["word"] in evt.content.body and not evt.content.body.startswith("!"):
            self.seen += 1
            await evt.react("🍵")

    @event.on(EventType.REACTION)
    async def reaction(self, evt: MessageEvent) -> None:
        if evt.content.relates_to.event_id == self.asked:
            await self.client.send_text(evt.room_id, f"A vote for {evt.content.relates_to.key}")
            return
        await self.client.send_text(evt.room_id, f"{evt.content.relates_to.key} to you, too")

    @command.new("vote", help="Asks whether there is to be tea")
    async def vote(self, evt: MessageEvent) -> None:
        self.asked = await evt.respond("Tea?")
        for sign in ("👍", "👎"):
            await self.client.react(evt.room_id, self.asked, sign)

    @command.new("unask", help="Takes the question back")
    async def unask(self, evt: MessageEvent) -> None:
        await self.client.redact(evt.room_id, self.asked)

    @command.new(name=lambda self: self.config["command"], help="Makes tea")
    @command.argument("minutes", parser=int, required=True)
    async def brew(self, evt: MessageEvent, minutes: int) -> None:
        await evt.respond(f"In {minutes} min.")
        await asyncio.sleep(minutes * 60)
        await self.client.send_text(self.config["tell"], "Tea!")
