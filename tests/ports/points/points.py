"""Commands with arguments, in the style of plugins of maubot."""

from typing import Optional

from maubot import MessageEvent, Plugin
from maubot.handlers import command


class PointsBot(Plugin):
    async def start(self) -> None:
        self.points = {}

    @command.new("points", help="Gives points to people", aliases=["pts"])
    async def points_command(self, evt: MessageEvent) -> None:
        pass

    @points_command.subcommand("give", help="Gives points")
    @command.argument("name", required=True)
    @command.argument("count", parser=int, required=False)
    async def give(self, evt: MessageEvent, name: str, count: Optional[int]) -> None:
        self.points[name] = self.points.get(name, 0) + (count or 1)
        await evt.respond(f"**{name}** has {self.points[name]}")

    @points_command.subcommand("of", help="Says who has how many")
    @command.argument("name", matches=r"\w+")
    async def of(self, evt: MessageEvent, name: str) -> None:
        await evt.reply(str(self.points.get(name, 0)))

    @command.new("shout", help="Says it louder")
    @command.argument("text", pass_raw=True, required=False)
    async def shout(self, evt: MessageEvent, text: str) -> None:
        if not text:
            await evt.reply("Shout what?")
            return
        await evt.respond(f"<b>{text.upper()}</b>", allow_html=True)
        await evt.react("📣")
