"""Commands that people say to the plugin.

    @command("roll", help="Rolls dice", usage="[SIDES]")
    async def roll(command: Command) -> None:
        await reply(command.message, str(randint(1, int(command.args[0]))))

Somebody says `!roll 20`, or `!roll 'of twenty'`: the prefix is the owner's, quotes are the host's to resolve, and `!help`
shows what there is.
"""

from typing import Any, Awaitable, Callable

from . import guest, listen
from .host import Grouping

_commands = Grouping("commands")

Handler = Callable[..., Awaitable[None]]


def command(name: str, *, help: str = "", usage: str = "") -> Callable[[Handler], Handler]:
    """Has the host call an `async` function with each `Command` of this name."""

    def register(handler: Handler) -> Handler:
        async def add() -> None:
            await _commands.add(name, help, usage)

        async def given(command: Any) -> None:
            if command.name == name.lower():
                await handler(command)

        listen.on("command")(given)
        guest.on_start(add)
        return handler

    return register
