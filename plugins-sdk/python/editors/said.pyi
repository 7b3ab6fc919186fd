"""Commands that people say to the plugin."""

from typing import Any, Callable, Coroutine, Iterable, Literal, Optional, TypeVar

from typing_extensions import Concatenate

from ._contract.types import Command
from .arguments import People
from .timers import Seconds

Handler = TypeVar("Handler", bound=Callable[Concatenate[Command, ...], Coroutine[Any, Any, object]])

def command(
    name: str,
    *,
    help: str = "",
    usage: str = "",
    aliases: Iterable[str] = ...,
    allow: Iterable[People] = ...,
    person_cooldown: Seconds = ...,
    room_cooldown: Seconds = ...,
    place: Optional[Literal["room", "private"]] = ...,
) -> Callable[[Handler], Handler]:
    """Has the host call an `async` function with each `Command` of this name. It answers by `reply`; what it
    returns nobody says.

    The host reads the arguments of a function whose further parameters have hints, and makes the usage from them. Without any, the
    command takes none; with `usage`, the function reads the words itself, in `args` and `rest`. `aliases` are other
    names, at most 8. `allow`: who may give it; nobody named = everybody. The same person may give it again only after
    `person_cooldown`, and in the same room only after `room_cooldown`: seconds, or a `timedelta`, at most a day. `place`: the only
    one in which it may be given, `room` or `private`, which is a chat, a form, or private messages through a room."""
    ...
