"""`asyncio` on the host's clock, for the whole plugin.

componentize-py (0.25.1, whose inner names are used here) lets each call of the host be a loop of its own: what is begun in one
is forgotten when it returns, and nothing but the host's answers wakes it. Authors know another `asyncio`: a handler waits for a
lock, an event or a queue that another handler has, a task goes on for as long as it likes, and there is a clock.
"""

import asyncio
import collections
import contextvars
import heapq
import logging
import math
import time
from typing import Any, Callable, Coroutine, Optional

import componentize_py_async_support as support
import componentize_py_runtime as runtime
from componentize_py_types import Ok
from wit_world.imports import timers

from . import errors

_log = logging.getLogger("parlor")

#: For how many seconds the host is asked to wait at once: what is due later is looked at again then.
LONGEST = 3600.0

#: A step of its clock, in seconds.
STEP = 0.001


class Call:
    """A call of the host, and all that began in it. It has returned long before the last of that is done, perhaps."""

    def __init__(self, waitable_set: Optional[int], futures: dict, handles: list, pending_count: int) -> None:
        self.waitable_set = waitable_set
        #: The answers that the host still owes, by its numbers.
        self.futures = futures
        #: The callbacks to run.
        self.handles = collections.deque(handles)
        #: How many tasks have not ended.
        self.pending_count = pending_count
        #: The host wakes it soon, for what others have put into `handles`.
        self.is_woken = False
        self.has_ended = False

    def waits(self) -> int:
        """Returns the set by which the host wakes it, and makes it if there is none."""
        if self.waitable_set is None:
            self.waitable_set = runtime.waitable_set_new()
        return self.waitable_set

    def expect(self, waitable: int, answer: "Answer") -> None:
        """Has the host wake it by this."""
        self.futures[waitable] = answer
        runtime.waitable_join(waitable, self.waits())


class Answer:
    """An answer that the host still owes. It is taken even if nobody waits for it any more."""

    def __init__(self, promise: int, outcome: "asyncio.Future[Any]") -> None:
        self._promise = promise
        self._outcome = outcome

    def set_result(self, event: int) -> None:
        value = runtime.promise_get_result(event, self._promise)
        if not self._outcome.done():
            self._outcome.set_result(value)


class Loop(support._Loop):
    """The one loop of the plugin, over all calls."""

    def __init__(self) -> None:
        super().__init__()
        self.running = True
        #: The call that ends with the plugin: what outlives its own goes on there.
        self._home: Optional[Call] = None
        self._current: Optional[Call] = None
        self._others: list[Call] = []
        #: asyncio itself keeps nothing alive.
        self._tasks: set[asyncio.Task[Any]] = set()
        self._timers: list[asyncio.TimerHandle] = []
        self._wakes: list[float] = []

    def stay(self) -> None:
        """Makes the present call the one that never ends."""
        self._home = support._future_state.get()
        self._home.pending_count += 1
        self._home.waits()

    # Running callbacks

    def poll(self, call: Call) -> None:
        self._current = call
        call.is_woken = False
        while call.handles:
            handle = call.handles.popleft()
            if not handle.cancelled():
                handle._run()
            # The traceback of what failed holds this frame, and a task is only known to be forgotten once nothing holds it.
            handle = None
            if self.exception is not None:
                raise self.exception
        self._current = None

    def call_soon(self, callback: Callable[..., object], *arguments: Any, context: Any = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, arguments, self, contextvars.copy_context() if context is None else context)
        self._run_soon(handle)
        return handle

    call_soon_threadsafe = call_soon

    def _run_soon(self, handle: asyncio.Handle) -> None:
        call = self._call_of(handle._context)
        call.handles.append(handle)
        if call is not self._current:
            self._others.append(call)

    def _call_of(self, context: contextvars.Context) -> Call:
        """Returns the call that a callback runs in: the one that it began in, while that is there."""
        call = context.get(support._future_state)
        if call is None:
            raise RuntimeError("nothing runs while the plugin is built: begin it in @on_start")
        if call.has_ended:
            call = self._home
            context.run(support._set_future_state, call)
        return call

    def wake_others(self) -> None:
        """Each call runs what is its own: the host is asked to wake those that have something to run now."""
        others, self._others = self._others, []
        for call in others:
            if call.handles and not call.is_woken and not call.has_ended:
                call.is_woken = True
                turn = timers.sleep(0)
                self._context(call).run(turn.send, None)
                turn.close()

    def _context(self, call: Call) -> contextvars.Context:
        context = contextvars.Context()
        context.run(support._set_future_state, call)
        return context

    # Tasks

    def create_task(self, coroutine: Coroutine[Any, Any, Any], **options: Any) -> "asyncio.Task[Any]":
        task = asyncio.Task(coroutine, loop=self, **options)
        if not task.done():
            self._call_of(task.get_context()).pending_count += 1
            self._tasks.add(task)
            task.add_done_callback(self._forget, context=task.get_context())
        return task

    def _forget(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        self._call_of(task.get_context()).pending_count -= 1

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        _log.error("%s", context.get("message", "a task failed"), exc_info=context.get("exception"))

    def run_in_executor(self, _executor: Any, _function: Callable[..., object], *_arguments: Any) -> Any:
        raise NotImplementedError("there are no threads in a plugin: call the function as it is")

    # The clock

    async def _reach_network(self, *_arguments: Any, **_named: Any) -> Any:
        # asyncio's own is an error without a word.
        raise OSError(errors.NO_NETWORK)

    create_connection = create_server = create_datagram_endpoint = getaddrinfo = getnameinfo = sock_connect = _reach_network

    def time(self) -> float:
        return time.monotonic()

    def call_later(
        self, delay: float, callback: Callable[..., object], *arguments: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *arguments, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *arguments: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, arguments, self, context)
        self._call_of(timer._context)
        timer._scheduled = True
        heapq.heappush(self._timers, timer)
        self._watch()
        return timer

    def _timer_handle_cancelled(self, timer: asyncio.TimerHandle) -> None:
        if timer._scheduled:
            self._timers = [other for other in self._timers if other is not timer]
            heapq.heapify(self._timers)

    def _watch(self) -> None:
        """Has the host tell when the next timer is due, unless it does already: what it was asked for cannot be taken back."""
        if not self._timers:
            return
        now = self.time()
        due = min(self._timers[0].when(), now + LONGEST)
        if self._wakes:
            soonest = min(self._wakes)
            if soonest <= max(due, now + STEP):
                return
            # Each of these is an open call of the plugin's. If one is not enough, the next one takes half its time at most, and
            # the timers are looked at again then: so there are few of them, in whatever order timers are set.
            due = min(due, now + (soonest - now) / 2)
        self._wakes.append(due)
        # It begins at once, whatever runs now.
        asyncio.Task(self._wake(due), loop=self, context=self._context(self._home), eager_start=True)

    async def _wake(self, due: float) -> None:
        # The rounding error of a sum of times is not worth another step.
        await timers.sleep(max(0, math.ceil((due - self.time()) * 1000 - 0.001)))
        self._wakes.remove(due)
        now = max(due, self.time())
        while self._timers and self._timers[0].when() <= now:
            timer = heapq.heappop(self._timers)
            timer._scheduled = False
            self._run_soon(timer)
        self._watch()


def _poll(call: Call) -> int:
    """Runs what a call has to run, and says to the host when it is to be called again."""
    loop.poll(call)
    loop.wake_others()
    if call.pending_count > 0:
        runtime.context_set(call)
        return support._CallbackCode.WAIT | (call.waits() << 4)
    call.has_ended = True
    if call.waitable_set is not None:
        # Nobody waits for what is still open, but the host answers it all the same.
        for waitable, answer in call.futures.items():
            loop._home.expect(waitable, answer)
        runtime.waitable_set_drop(call.waitable_set)
    return support._CallbackCode.EXIT


async def _await_result(result: Any) -> Any:
    """Returns the host's answer, at once or later. The task that waits may be cancelled."""
    if isinstance(result, Ok):
        return result.value
    waitable, promise = result.value
    outcome = loop.create_future()
    support._future_state.get().expect(waitable, Answer(promise, outcome))
    return await outcome


loop = Loop()
support._loop = loop
support._FutureState = Call
support._poll = _poll
support.await_result = _await_result
asyncio.events._set_running_loop(loop)


def spawn(coroutine: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
    """Lets a coroutine go on by itself, beyond the handler that began it. `asyncio.create_task` does the same, but what that
    raises is written to the log only once nobody can ask for it any more; of this one it is at once."""
    task = loop.create_task(coroutine)
    task.add_done_callback(_report)
    return task


def _report(task: "asyncio.Task[Any]") -> None:
    if not task.cancelled() and task.exception() is not None:
        _log.error("%s failed", task.get_coro().__qualname__, exc_info=task.exception())
