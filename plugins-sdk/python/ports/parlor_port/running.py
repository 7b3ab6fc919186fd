"""Runs handlers that may return, yield, or wait, and reads settings."""

import asyncio
import inspect
import json
import logging
from typing import Any, AsyncIterator, Awaitable, Callable, Iterable, Mapping, Optional

from parlor import setting


async def answers(result: Any) -> AsyncIterator[Any]:
    """Yields what a handler says: what it returns, or each thing that it yields, whether it waits or not."""
    if inspect.isawaitable(result):
        result = await result
    if inspect.isasyncgen(result):
        async for one in result:
            yield one
    elif inspect.isgenerator(result):
        for one in result:
            yield one
    else:
        yield result


#: The work before anything leaves the plugin, and when a handler ends: storing the changes of plain functions.
BEFORE: list[Callable[[], Awaitable[None]]] = []


async def settled() -> None:
    """Waits until what plain functions have changed is stored. Raises if it is not: nobody is to be told of it."""
    for one in BEFORE:
        await one()


async def done(result: Any) -> Any:
    """Waits for what a handler returned, if that can be waited for, and until its changes are stored."""
    found = await result if inspect.isawaitable(result) else result
    await settled()
    return found


async def each(log: logging.Logger, steps: Iterable[Callable[[], Awaitable[Any]]]) -> None:
    """Calls all of these in order, also if some fail. Raises the last failure, which the SDK writes to the log, and logs those before."""
    failed: Optional[Exception] = None
    for step in steps:
        try:
            await step()
        except Exception as error:
            if failed is not None:
                log.error("a method failed that was called with a message", exc_info=failed)
            failed = error
    if failed is not None:
        raise failed


def task() -> Any:
    """Returns the task that runs, which stands for the handler. Outside of tasks, it is always the same object."""
    try:
        return asyncio.current_task() or task
    except RuntimeError:
        return task


def values_of(settings: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    """The values of settings, by the keys that the plugin uses."""
    found = {}
    for key, (name, read) in settings.items():
        value = setting(name)
        if read in ("json", "map", "items") and isinstance(value, str):
            value = json.loads(value)
        elif read in ("map", "items") and value is None:
            # A secret has no default.
            value = {} if read == "map" else []
        elif read == "integer" and isinstance(value, float) and value.is_integer():
            value = int(value)
        found[key] = value
    return found


def first_line(text: Any, most: int = 250) -> str:
    """The first sentence of a description, as the host takes it: one line of at most so many bytes."""
    lines = [line.strip() for line in str(text or "").strip().splitlines()]
    line = "".join(one for one in (lines[0] if lines else "") if one.isprintable())
    return line.encode()[:most].decode("utf-8", "ignore")
