"""Waiting, and doing things later. Times are in seconds, as everywhere in Python."""

import asyncio
import inspect
from typing import Any, Awaitable, Callable

from . import listen
from .host import Grouping
from .loop import loop, spawn

_timers = Grouping("timers")

Later = Callable[[], Awaitable[None]]


_sleep = asyncio.sleep


async def sleep(seconds: float, result: Any = None) -> Any:
    """Waits. Other events are handled meanwhile. `asyncio.sleep` is the same."""
    if seconds > 0:
        return await _sleep(seconds, result)
    # What never waits for the host would never let anything else run.
    await _timers.sleep(0)
    return result


setattr(asyncio, "sleep", sleep)


class Timer:
    """A timer of this plugin; `cancel` ends it."""

    def __init__(self, end: Callable[[], None]) -> None:
        self._end = end

    def cancel(self) -> None:
        """Ends it. One that has fired has ended."""
        self._end()


def after(seconds: float, later: Later) -> Timer:
    """Calls an `async` function without arguments once, after so many seconds; at once, if that has passed."""
    _check(later)
    # All of them hang on one wait of the loop's; of the host's own timers a plugin has few.
    return Timer(loop.call_later(max(0, seconds), lambda: spawn(later())).cancel)


def every(seconds: float, later: Later) -> Timer:
    """Calls it again and again; a period is at least 0.01 s."""
    _check(later)
    number = _timers.every(round(seconds * 1000))
    listen._running[number] = _Tick(later)
    return Timer(lambda: _end(number))


class _Tick:
    def __init__(self, later: Later) -> None:
        self._later = later

    async def _handle(self, _number: int, _event: Any, _value: Any) -> None:
        await self._later()


def _check(later: Later) -> None:
    if not inspect.iscoroutinefunction(later):
        raise TypeError(f"{later!r} has to be an `async def`")


def _end(number: int) -> None:
    if listen._running.pop(number, None) is not None:
        _timers.cancel(number)
