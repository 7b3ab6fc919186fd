"""The groupings of the contract, for what the SDK makes of them."""

from typing import Any, Mapping

def is_there() -> bool:
    """Whether there is a host: there is none while the plugin is built."""
    ...

class Given(str):
    """A text of the host's, such as the id of what was said. A handler may return it; an answer it is not."""

class Grouping:
    """One interface of `wit/`."""

    def __init__(self, name: str, written: Mapping[str, str] = ...) -> None: ...
    def __getattr__(self, name: str) -> Any: ...
