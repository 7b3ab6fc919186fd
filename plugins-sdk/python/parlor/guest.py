"""What the host calls."""

import inspect
import random
from typing import Any, Awaitable, Callable

from componentize_py_types import Err
from wit_world import exports

from . import listen, logs

_starts: list[Callable[[], Awaitable[None]]] = []
_stops: list[Callable[[], Awaitable[None]]] = []

Function = Callable[[], Awaitable[None]]


def on_start(function: Function) -> Function:
    """Has an `async` function called once, when the plugin starts. One that raises refuses the start."""
    return _later(_starts, function)


def on_stop(function: Function) -> Function:
    """Has an `async` function called once, when the plugin is told to stop. It has two seconds."""
    return _later(_stops, function)


def _later(functions: list[Function], function: Function) -> Function:
    if not inspect.iscoroutinefunction(function):
        raise TypeError(f"{function!r} has to be an `async def`")
    functions.append(function)
    return function


class Guest(exports.Guest):
    """The exported interface `guest`."""

    async def initialize(self) -> None:
        logs.start()
        # What was drawn when it was built, everybody would draw.
        random.seed()
        try:
            listen._start()
            for function in _starts:
                await function()
        except Exception as error:
            raise Err(f"{type(error).__name__}: {error}") from error

    async def handle_event(self, event: Any) -> None:
        await listen._dispatch(event)

    async def stop(self) -> None:
        for function in _stops:
            await function()
