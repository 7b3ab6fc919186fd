"""Methods that are called again and again, or later, as `self.sched` of a plugin of maubot does it."""

import asyncio
import logging
from typing import Any, Callable, Coroutine

import parlor
from parlor import sleep
from parlor_port.running import done

_log = logging.getLogger("maubot")


class Periodic:
    """A method that is called at intervals, until it is cancelled."""

    def __init__(self, function: Callable[..., Any], catches: bool, is_alone: bool, forget: "Callable[[Periodic], Any]") -> None:
        self._forget = forget
        self._function = function
        self._catches = catches
        self._is_alone = is_alone
        self._runs = False
        self.timer: Any = None

    async def ring(self) -> None:
        """Calls it. Unless it runs in the background, a call that takes longer than the interval keeps the next one from beginning."""
        if self._runs and self._is_alone:
            return
        self._runs = True
        try:
            await done(self._function())
        except Exception:
            _log.exception("the periodic method %s failed", getattr(self._function, "__name__", self._function))
            if not self._catches:
                self.cancel()
        finally:
            self._runs = False

    def cancel(self) -> None:
        """Calls it no more."""
        self.timer.cancel()
        self._forget(self)


class Scheduler:
    """The periodic methods of a plugin, and what it does later."""

    def __init__(self) -> None:
        self._all: set[Periodic] = set()
        self._later: set[asyncio.Task[None]] = set()

    def run_periodically(
        self, period: float, func: Callable[..., Any], run_task_in_background: bool = False, catch_errors: bool = True
    ) -> Periodic:
        """Calls a method each so many seconds, the first time when they have passed."""
        one = Periodic(func, catch_errors, not run_task_in_background, self._all.discard)
        one.timer = parlor.every(period, one.ring)
        self._all.add(one)
        return one

    def run_later(self, delay: float, coro: Coroutine[Any, Any, Any], catch_errors: bool = True) -> "asyncio.Task[None]":
        """Lets a coroutine go on once so many seconds have passed."""
        task = parlor.spawn(_after(delay, coro, catch_errors))
        self._later.add(task)
        # One that is cancelled has not been awaited.
        task.add_done_callback(lambda _: coro.close())
        task.add_done_callback(self._later.discard)
        return task

    def stop(self) -> None:
        """Ends all of them."""
        for one in list(self._all):
            one.cancel()
        for task in list(self._later):
            task.cancel()


async def _after(delay: float, coro: Coroutine[Any, Any, Any], catches: bool) -> None:
    await sleep(max(delay, 0))
    try:
        await coro
    except Exception:
        if not catches:
            raise
        _log.exception("what was to be done later failed")
