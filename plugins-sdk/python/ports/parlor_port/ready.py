"""Waits for the account: before it is connected, nothing can be sent, and it is in no room. Plugins of maubot start later than that."""

import asyncio
import logging
from typing import Any, Coroutine

import parlor

_log = logging.getLogger("maubot")
#: Set once the account is connected, and once somebody waits for that.
_ready = asyncio.Event()
_waits = asyncio.Event()


async def _is_there() -> None:
    _ready.set()


def begin() -> None:
    """Has `wait` end as soon as the account is connected."""
    parlor.on_ready(_is_there)


async def wait() -> None:
    """Waits until the account is connected. From then on it does not wait, also while there is no connection for a moment."""
    if not _ready.is_set():
        _waits.set()
        await _ready.wait()


async def unless_waiting(start: Coroutine[Any, Any, None]) -> None:
    """Waits until a plugin has started. If something of it waits for the account meanwhile, this returns at once, and the start goes on by itself:
    the account is connected only after this has returned."""
    begun, waits = asyncio.ensure_future(start), asyncio.ensure_future(_waits.wait())
    await asyncio.wait({begun, waits}, return_when=asyncio.FIRST_COMPLETED)
    waits.cancel()
    if begun.done():
        await begun
    else:
        begun.add_done_callback(_tell)


def _tell(begun: "asyncio.Task[None]") -> None:
    if not begun.cancelled() and (error := begun.exception()) is not None:
        _log.error("the plugin did not start", exc_info=error)
