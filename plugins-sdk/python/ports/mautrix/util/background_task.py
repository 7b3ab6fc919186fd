"""Work that goes on by itself."""

from typing import Any

from parlor import spawn


def create(coroutine: Any, **_: Any) -> Any:
    """Lets a coroutine go on by itself."""
    return spawn(coroutine)
