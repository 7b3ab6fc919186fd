"""Waiting, and doing things later. Times are in seconds, as everywhere in Python, or a `timedelta`."""

import asyncio
import inspect
import math
from datetime import timedelta
from typing import Any, Callable, Coroutine, Union

from .host import Grouping, is_there
from .loop import loop, spawn

_timers = Grouping("timers")

Later = Callable[..., Coroutine[Any, Any, Any]]
Seconds = Union[float, timedelta]

#: The shortest period, in seconds.
SHORTEST = 0.01

# The longest time, in seconds: the host counts milliseconds in 64 bits.
_MOST = 2**53


_sleep = asyncio.sleep


def in_seconds(duration: Seconds) -> float:
    """How many seconds that is."""
    return duration.total_seconds() if isinstance(duration, timedelta) else duration


def in_milliseconds(duration: Seconds) -> int:
    """Returns a time in milliseconds, rounded up so that a short one is not none, and at most as many as the host can count."""
    try:
        # The rounding error of a sum of times is not worth another one.
        return math.ceil(min(in_seconds(duration), _MOST) * 1000 - 1e-6)
    except (TypeError, ValueError):
        raise TypeError(f"a time is a number of seconds or a timedelta, and not {duration!r}") from None


async def sleep(seconds: Seconds, result: Any = None) -> Any:
    """Waits. Other events are handled meanwhile. `asyncio.sleep` is the same."""
    seconds = in_seconds(seconds)
    if seconds > 0 or not is_there():
        return await _sleep(seconds, result)
    # A task that never waits for the host would never let anything else run.
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


def after(seconds: Seconds, later: Later, *arguments: Any) -> Timer:
    """Calls an `async` function once, after so many seconds; at once, if that has passed. The function's arguments follow it, as in
    `loop.call_later`; `functools.partial` passes keyword arguments:

        after(240, reply, message, "Tea!")
    """
    _check(later)
    # All of them hang on one wait of the loop's; of the host's own timers a plugin has few.
    return Timer(loop.call_later(max(0, in_seconds(seconds)), lambda: spawn(later(*arguments))).cancel)


def every(seconds: Seconds, later: Later, *arguments: Any) -> Timer:
    """Calls it again and again, with the arguments that follow it; a period is 0.01 s at least. One call does not wait for the one
    before."""
    _check(later)
    period = in_seconds(seconds)
    if not period >= 0:
        raise ValueError(f"a period of {period} seconds")
    return Timer(_Beat(max(SHORTEST, period), lambda: later(*arguments)).end)


class _Beat:
    def __init__(self, period: float, later: Later) -> None:
        self._period = period
        self._later = later
        self._at = loop.time()
        self._set()

    def _set(self) -> None:
        # Missed beats are skipped.
        self._at = max(self._at + self._period, loop.time())
        self._handle = loop.call_at(self._at, self._ring)

    def _ring(self) -> None:
        self._set()
        spawn(self._later())

    def end(self) -> None:
        self._handle.cancel()


def _check(later: Later) -> None:
    if not inspect.iscoroutinefunction(later):
        raise TypeError(f"{later!r} has to be an `async def`; its arguments follow it, as in `after(240, reply, message, …)`")
