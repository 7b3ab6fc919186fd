"""When the plugin starts, is ready, and stops."""

from typing import Any, Callable, Coroutine, TypeVar

Function = TypeVar("Function", bound=Callable[[], Coroutine[Any, Any, Any]])

def on_start(function: Function) -> Function:
    """Has an `async` function called once, when the plugin starts. One that raises refuses the start."""
    ...

def on_ready(function: Function) -> Function:
    """Has an `async` function called once, as soon as the account is connected and initialized: in `on_start` nothing can be
    sent yet. One that raises is written to the log."""
    ...

def on_stop(function: Function) -> Function:
    """Has an `async` function called once, when the plugin is told to stop. It has two seconds."""
    ...
