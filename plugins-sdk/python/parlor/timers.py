"""Waiting, and doing things later. Times are in seconds, as everywhere in Python."""

import asyncio
import inspect
import logging
from typing import Any, Awaitable, Callable

from . import listen
from .host import Grouping

_timers = Grouping("timers")
_log = logging.getLogger("parlor")

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

    def __init__(self, number: int, repeats: bool, later: Later) -> None:
        self._number = number
        self._repeats = repeats
        self._later = later

    def cancel(self) -> None:
        """Ends it. Raises `NotFound` if it has fired."""
        listen._running.pop(self._number, None)
        _timers.cancel(self._number)

    async def _handle(self, number: int, _event: Any, _value: Any) -> None:
        if not self._repeats:
            listen._running.pop(number, None)
        await self._later()


def after(seconds: float, later: Later) -> Timer:
    """Calls an `async` function without arguments once, after so many seconds."""
    return _set(_timers.after, False, seconds, later)


def every(seconds: float, later: Later) -> Timer:
    """Calls it again and again; a period is at least 0.01 s."""
    return _set(_timers.every, True, seconds, later)


def _set(begin: Callable[[int], int], repeats: bool, seconds: float, later: Later) -> Timer:
    if not inspect.iscoroutinefunction(later):
        raise TypeError(f"{later!r} has to be an `async def`")
    timer = Timer(begin(round(seconds * 1000)), repeats, later)
    listen._running[timer._number] = timer
    return timer
