"""Greets people in rooms, in the style of plugins of maubot."""

from typing import Type

from mautrix.client import InternalEventType
from mautrix.errors import MatrixRequestError
from mautrix.types import EventType, Membership, StateEvent
from mautrix.util.config import BaseProxyConfig, ConfigUpdateHelper
from maubot import MessageEvent, Plugin
from maubot.handlers import command, event


class Config(BaseProxyConfig):
    def do_update(self, helper: ConfigUpdateHelper) -> None:
        for key in ("hall", "friends", "interval"):
            helper.copy(key)


class GreeterBot(Plugin):
    async def start(self) -> None:
        self.config.load_and_update()
        self.counted = 0
        self.sched.run_periodically(self.config["interval"], self.count)

    @classmethod
    def get_config_class(cls) -> Type[BaseProxyConfig]:
        return Config

    async def count(self) -> None:
        members = await self.client.get_joined_members(self.config["hall"])
        people = len([one for one in members if one != self.client.mxid])
        if people != self.counted:
            self.counted = people
            await self.client.send_text(self.config["hall"], f"{people} people are here.")

    @event.on(EventType.ROOM_MEMBER)
    async def member(self, evt: StateEvent) -> None:
        if evt.state_key == self.client.mxid:
            if evt.content.membership == Membership.INVITE:
                if evt.sender in self.config["friends"]:
                    await self.client.join_room(evt.room_id)
                else:
                    await self.client.leave_room(evt.room_id)
            return
        if evt.content.membership == Membership.JOIN and evt.prev_content.membership != Membership.JOIN:
            await self.client.send_text(evt.room_id, f"Welcome, {evt.content.displayname}!")

    @event.on(InternalEventType.PROFILE_CHANGE)
    async def renamed(self, evt: StateEvent) -> None:
        await self.client.send_text(evt.room_id, f"{evt.prev_content.displayname} is {evt.content.displayname} now.")

    @command.new("out", help="Makes somebody leave the room")
    @command.argument("nick", required=True)
    async def out(self, evt: MessageEvent, nick: str) -> None:
        try:
            await self.client.kick_user(evt.room_id, f"{evt.room_id}/{nick}", reason="as asked")
        except MatrixRequestError:
            await evt.reply("That did not work.")

    @command.new("hush", help="Takes the message back that is answered")
    async def hush(self, evt: MessageEvent) -> None:
        await self.client.redact(evt.room_id, evt.content.get_reply_to(), reason="too loud")
