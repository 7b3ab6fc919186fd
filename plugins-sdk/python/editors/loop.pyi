"""`asyncio` on the host's clock, for the whole plugin."""

from asyncio import AbstractEventLoop, Task
from typing import Any, Coroutine, TypeVar

T = TypeVar("T")

loop: AbstractEventLoop

def spawn(coroutine: Coroutine[Any, Any, T]) -> Task[T]:
    """Lets a coroutine go on by itself, beyond the handler that began it. `asyncio.create_task` does the same, but what that
    raises is written to the log only once nobody can ask for it any more; of this one it is at once."""
    ...
