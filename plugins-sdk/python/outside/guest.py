"""When the plugin starts, is ready, and stops: where there is no host, it does none of it."""

from typing import Any, Awaitable, Callable

from . import listen

Function = Callable[[], Awaitable[Any]]


def on_start(function: Function) -> Function:
    """Nobody calls it here."""
    return _checked(function, "on_start")


def on_ready(function: Function) -> Function:
    """Nobody calls it here."""
    return _checked(function, "on_ready")


def on_stop(function: Function) -> Function:
    """Nobody calls it here."""
    return _checked(function, "on_stop")


def _checked(function: Function, taker: str) -> Function:
    listen.check(function, taker)
    return function
