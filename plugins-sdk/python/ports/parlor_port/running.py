"""Runs handlers that may return, yield, or wait, and reads settings."""

import asyncio
import inspect
import json
from typing import Any, AsyncIterator, Mapping

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


async def done(result: Any) -> Any:
    """Waits for what a function returned, if that can be waited for."""
    return await result if inspect.isawaitable(result) else result


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
        if read == "json" and isinstance(value, str):
            value = json.loads(value)
        elif read == "integer" and isinstance(value, float) and value.is_integer():
            value = int(value)
        found[key] = value
    return found


def first_line(text: Any, most: int = 250) -> str:
    """The first sentence of a description, as the host takes it: one line of at most so many bytes."""
    lines = [line.strip() for line in str(text or "").strip().splitlines()]
    line = "".join(one for one in (lines[0] if lines else "") if one.isprintable())
    return line.encode()[:most].decode("utf-8", "ignore")
