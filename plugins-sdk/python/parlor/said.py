"""Commands that people say to the plugin.

    @command("roll", help="Rolls dice", usage="[SIDES]")
    async def roll(command: Command) -> None:
        sides = int(command.args[0]) if command.args else 6
        await reply(command.message, str(randint(1, sides)))

Somebody says `!roll 20`, or `!roll 'of twenty'`: the prefix is the owner's, quotes are the host's to resolve, and `!help`
shows what there is. `command.rest` is what was typed after the name, as it was.
"""

import itertools
from typing import Any, Awaitable, Callable

from . import guest, listen
from .host import Grouping, is_there
from .loop import spawn

_commands = Grouping("commands")

Handler = Callable[..., Awaitable[Any]]

#: By their short names, in small letters, as the host tells them. Behind the one that the host has stand those that it has not
#: answered yet.
_handlers: dict[str, list[tuple[int, Handler, str]]] = {}
_numbers = itertools.count()


def command(name: str, *, help: str = "", usage: str = "") -> Callable[[Handler], Handler]:
    """Has the host call an `async` function with each `Command` of this name. It answers by `reply`; what it
    returns nobody says."""

    if not isinstance(name, str):
        raise TypeError(f'{getattr(name, "__name__", name)} is no command\'s name: write @command("hello") above the function')

    def register(handler: Handler) -> Handler:
        role, hint = f" does what {name} says, and", "; its words are `command.args`"
        listen.check(handler, f"command({name!r}, …)", "command", role=role, hint=hint)

        # `PLUGIN.NAME` is said and told as NAME as well.
        short = name.lower().rpartition(".")[2]
        number = next(_numbers)
        what = f'command "{name}" at {listen.place()}'

        async def add() -> None:
            try:
                with listen.naming(what):
                    await _commands.add(name, help, usage)
            except Exception:
                _keep(short, lambda other: other != number)
                raise
            # It has taken the place of those before it, whatever becomes of them.
            _keep(short, lambda other: other >= number)

        if not _handlers:
            listen.on("command")(_given)
        # It may be given before the host has said that it was added.
        _handlers.setdefault(short, []).append((number, handler, what))
        if is_there():
            spawn(add())
        else:
            guest.on_start(add)
        return handler

    return register


def _keep(short: str, stays: Callable[[int], bool]) -> None:
    _handlers[short] = [one for one in _handlers[short] if stays(one[0])]


async def _given(command: Any) -> None:
    handlers = _handlers.get(command.name)
    if handlers:
        _, handler, what = handlers[-1]
        listen.returns(what, await handler(command))
