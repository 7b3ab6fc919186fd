"""`asyncio` where there is no host: the loop is that of an author's own test."""

import asyncio
from typing import Any, Coroutine


class Loop:
    """The loop that runs, whichever it is."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio.get_running_loop(), name)


loop = Loop()


def spawn(coroutine: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
    """Lets a coroutine go on by itself."""
    return asyncio.get_running_loop().create_task(coroutine)
