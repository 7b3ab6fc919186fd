"""Turns for calls: the limit `open_calls` bounds how many of a plugin's calls may wait for an answer at once, and
`asyncio.gather` over a thousand keys begins a thousand."""

import asyncio
import collections
from typing import Any, Awaitable, Callable

from componentize_py_types import Err

from .loop import loop

#: How the host names the limit, after a number.
_LIMIT = " open calls"

#: How many calls the host has not answered.
_open = 0
#: Calls that the host refused for being too many, the oldest first.
_refused: "collections.deque[asyncio.Future[None]]" = collections.deque()


async def in_turn(call: Awaitable[Any], again: Callable[[], Awaitable[Any]]) -> Any:
    """Returns the result of a call. One that is refused because too many are open waits until another one has ended, and is then made
    again; if no other one is open, the refusal is raised."""
    global _open
    while True:
        _open += 1
        may_wait = False
        try:
            return await call
        except Err as error:
            may_wait = _open > 1 and _is_refusal(error.value)
            if not may_wait:
                raise
        finally:
            _open -= 1
            if not may_wait:
                _let_one_go()
        await _turn()
        call = again()


async def _turn() -> None:
    turn: "asyncio.Future[None]" = loop.create_future()
    _refused.append(turn)
    try:
        await turn
    except asyncio.CancelledError:
        # Its turn had come: it is the next one's.
        if not turn.cancelled():
            _let_one_go()
        raise


def _let_one_go() -> None:
    while _refused:
        turn = _refused.popleft()
        if not turn.done():
            turn.set_result(None)
            return


def _is_refusal(error: Any) -> bool:
    return type(error).__name__ == "Error_OverLimit" and bool(error.value.endswith(_LIMIT))
