"""Commands that people say to the plugin.

    @command("roll", help="Rolls dice", usage="[SIDES]")
    async def roll(command: Command) -> None:
        sides = int(command.args[0]) if command.args else 6
        await reply(command.message, str(randint(1, sides)))

Somebody says `!roll 20`, or `!roll 'of twenty'`: the prefix is the owner's, quotes are the host's to resolve, and `!help`
shows what there is. `command.rest` is what was typed after the name, as it was.

A handler with further parameters is given what people wrote as values of their types. The host answers a wrong one with the usage,
which it makes from the hints:

    @command("roll", help="Rolls dice", person_cooldown=10)
    async def roll(
        command: Command, count: Annotated[int, Range(1, 100)] = 1, sides: Literal["6", "20"] = "6", secret: bool = False
    ) -> None:
        await reply(command, str(sum(randint(1, int(sides)) for _ in range(count))))

`int`, `float`, `str`, `bool` (a flag, `--secret`), `timedelta`, `Literal`, `Jid` and `Rest` are known. A parameter behind `*` is
written as `--name VALUE`; `_` in a name is `-` for people. One with a default may be left out, and so may an `Optional` one.

A handler that takes the command alone takes no words, and the host answers any with the usage. With `usage=`, as in the first example,
the words are the handler's to read: the host gives them as they are, and offers no form.
"""

import itertools
from typing import Any, Awaitable, Callable, Iterable, Literal, Optional

from . import declared, guest, listen
from .arguments import People
from .host import Grouping, is_there
from .loop import spawn
from .texts import listed
from .timers import Seconds

_commands = Grouping("commands")

Handler = Callable[..., Awaitable[Any]]

#: By their short names, in small letters, as the host tells them. Behind the one that the host has stand those that it has not
#: answered yet.
_handlers: dict[str, list[tuple[int, Handler, Optional[list[declared.Wanted]], str]]] = {}
_numbers = itertools.count()

#: The other names of the commands that are there when the plugin is built, by their short names.
_named: dict[str, list[str]] = {}


def command(
    name: str,
    *,
    help: str = "",
    usage: str = "",
    aliases: Iterable[str] = (),
    allow: Iterable[People] = (),
    person_cooldown: Seconds = 0,
    room_cooldown: Seconds = 0,
    place: Optional[Literal["room", "private"]] = None,
) -> Callable[[Handler], Handler]:
    """Has the host call an `async` function with each `Command` of this name. It answers by `reply`; what it
    returns nobody says.

    The host reads the arguments of a function whose further parameters have hints, and makes the usage from them. Without any, the
    command takes none; with `usage`, the function reads the words itself, in `args` and `rest`. `aliases` are other
    names, at most 8. `allow`: who may give it; nobody named = everybody. The same person may give it again only after
    `person_cooldown`, and in the same room only after `room_cooldown`: seconds, or a `timedelta`, at most a day. `place`: the only
    one in which it may be given, `room` or `private`, which is a chat, a form, or private messages through a room."""

    if not isinstance(name, str):
        raise TypeError(f'{getattr(name, "__name__", name)} is no command\'s name: write @command("hello") above the function')

    # They may be iterators, and a decorator may serve several functions.
    aliases, allow = listed(f"command {name!r}: aliases", aliases), list(allow)

    def register(handler: Handler) -> Handler:
        role, hint = f" does what {name} says, and", "; its words are `command.args`"
        arguments = declared.wanted(name, handler)
        named = [one.name for one in arguments or ()]
        listen.check(handler, f"command({name!r}, …)", "command", named=named, role=role, hint=hint)
        has_more = aliases or allow or person_cooldown or room_cooldown or place
        wanted = None
        # Only a declared command has a form. One with a usage of its own reads its words itself, and the host cannot make one.
        if not usage or arguments is not None or has_more:
            if usage:
                raise TypeError(f"the usage of {name} is made from its arguments: leave usage out")
            wanted = declared.declaration(name, help, arguments or [], aliases, allow, (person_cooldown, room_cooldown), place)

        # `PLUGIN.NAME` is said and told as NAME as well.
        short = name.lower().rpartition(".")[2]
        _share_no_name(name, short, [str(one).lower() for one in aliases])
        number = next(_numbers)
        what = f'command "{name}" at {listen.place()}'

        async def add() -> None:
            try:
                with listen.naming(what):
                    await (_commands.add(name, help, usage) if wanted is None else _commands.declare(wanted))
            except Exception:
                _keep(short, lambda other: other != number)
                raise
            # It has taken the place of those before it, whatever becomes of them.
            _keep(short, lambda other: other >= number)

        if not _handlers:
            listen.on("command")(_given)
        # It may be given before the host has said that it was added.
        _handlers.setdefault(short, []).append((number, handler, arguments, what))
        if is_there():
            spawn(add())
        else:
            guest.on_start(add)
        return handler

    return register


def _share_no_name(name: str, short: str, others: list[str]) -> None:
    """Refuses a name that another command has. The host refuses it, too, but knows it only when the plugin starts."""
    if is_there():
        return
    for other, its in _named.items():
        shared = [one for one in (short, *others) if other != short and one in (other, *its)]
        if shared:
            raise TypeError(f'command "{name}" and command "{other}" are both called "{shared[0]}": leave it out of one of them')
    _named[short] = others


def _keep(short: str, stays: Callable[[int], bool]) -> None:
    _handlers[short] = [one for one in _handlers[short] if stays(one[0])]


async def _given(command: Any) -> None:
    handlers = _handlers.get(command.name)
    if handlers:
        _, handler, arguments, what = handlers[-1]
        values = declared.given(arguments or [], command.values)
        listen.returns(what, await handler(command, **values))
