"""`run_in_executor` and `asyncio.to_thread`: a plugin has one thread, so that the function runs at once there. Imported before the plugin."""

import asyncio
import inspect
from typing import Any, Callable


async def _run(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Calls a function. It may be one that waits by now."""
    found = function(*arguments, **named)
    return await found if inspect.isawaitable(found) else found


def _run_in_executor(loop: Any, _executor: Any, function: Callable[..., Any], *arguments: Any) -> Any:
    return loop.create_task(_run(function, *arguments))


def _kinds() -> list[Any]:
    """The kinds of loops: that of Python, and that of the host where there is one."""
    try:
        from parlor.loop import loop
    except ImportError:
        return [asyncio.BaseEventLoop]
    return [asyncio.BaseEventLoop, type(loop)]


for _kind in _kinds():
    setattr(_kind, "run_in_executor", _run_in_executor)
setattr(asyncio, "to_thread", _run)
