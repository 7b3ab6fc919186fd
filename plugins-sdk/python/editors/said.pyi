"""Commands that people say to the plugin."""

from typing import Any, Callable, Coroutine, TypeVar

from ._contract.types import Command

Handler = TypeVar("Handler", bound=Callable[[Command], Coroutine[Any, Any, object]])

def command(name: str, *, help: str = "", usage: str = "") -> Callable[[Handler], Handler]:
    """Has the host call an `async` function with each `Command` of this name. It answers by `reply`; what it
    returns nobody says."""
    ...
