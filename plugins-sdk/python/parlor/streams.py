"""Values that the host gives piece by piece, for `async for`."""

import asyncio
import collections
from typing import Any, Awaitable, Optional

from componentize_py_types import Err

from . import errors
from .loop import loop

#: How many pieces are taken over from the host at once.
_BATCH = 50


class Stream:
    """All that a call gives, as it is read. An error that ended it early is raised once, after the last piece. A task that waits may
    be cancelled, and go on later. It is closed once nobody holds it."""

    def __init__(self, call: Awaitable[Any]) -> None:
        #: Gives the two ends that are the plugin's: of the pieces, and of how they ended.
        self._call = call
        self._pieces: Any = None
        self._outcome: Any = None
        self._ready: collections.deque[Any] = collections.deque()
        self._reading: Optional[asyncio.Task[None]] = None
        #: A read has come to its end. `asyncio.wait` would do, but ties what is read to the task that waited and was cancelled, and
        #: so to itself: it would be closed only when Python looks for such knots.
        self._news = asyncio.Event()
        #: The exception to raise when nothing is ready any more.
        self._ended: Optional[Exception] = None

    def __aiter__(self) -> "Stream":
        return self

    async def __anext__(self) -> Any:
        while not self._ready:
            if self._ended is not None:
                ended, self._ended = self._ended, StopAsyncIteration()
                try:
                    raise ended
                finally:
                    # It knows this frame, and whoever reads: with its name here they would keep each other.
                    del ended
            if self._reading is None or self._reading.done():
                self._news.clear()
                self._reading = loop.create_task(self._read())
            # A read that was begun cannot be taken back, and an end that is being read cannot be closed: it goes on if the task that
            # waits is cancelled, and holds all of this meanwhile.
            await self._news.wait()
        return self._ready.popleft()

    async def _read(self) -> None:
        try:
            if self._pieces is None:
                self._pieces, self._outcome = await self._call
            self._ready.extend(await self._pieces.read(_BATCH))
            if self._pieces.writer_dropped:
                with self._pieces:
                    outcome = await self._outcome.read()
                self._ended = errors.from_wit(outcome.value) if isinstance(outcome, Err) else StopAsyncIteration()
        except Exception as error:
            # Nobody may want to know.
            self._ended = error
        finally:
            self._news.set()
