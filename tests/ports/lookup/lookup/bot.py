"""Settings, requests and expressions, in the style of plugins of maubot."""

from typing import Tuple, Type

from mautrix.util.config import BaseProxyConfig, ConfigUpdateHelper
from maubot import MessageEvent, Plugin
from maubot.handlers import command

from .texts import shown


class Config(BaseProxyConfig):
    def do_update(self, helper: ConfigUpdateHelper) -> None:
        helper.copy("language")
        helper.copy("limits.meanings")
        helper.copy("api_key")


class LookupBot(Plugin):
    async def start(self) -> None:
        await super().start()
        self.config.load_and_update()

    @classmethod
    def get_config_class(cls) -> Type[BaseProxyConfig]:
        return Config

    @command.new("define", help="Looks a word up")
    @command.argument("word", pass_raw=True)
    async def define(self, evt: MessageEvent, word: str) -> None:
        url = f"https://words.example.org/{self.config['language']}/{word}"
        async with self.http.get(url, headers={"X-Key": self.config["api_key"] or ""}) as response:
            if response.status != 200:
                await evt.reply(f"No meaning of {word} is known.")
                return
            data = await response.json()
        await evt.reply(shown(word, data["meanings"], self.config["limits"]["meanings"]))

    @command.passive(r"([0-9]+) ?°F", multiple=True)
    async def celsius(self, evt: MessageEvent, matches: Tuple[Tuple[str, str]]) -> None:
        await evt.respond(", ".join(f"{(int(degrees) - 32) * 5 // 9} °C" for _, degrees in matches))
