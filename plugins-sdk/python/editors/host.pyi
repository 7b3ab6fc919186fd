"""The groupings of the contract, for what the SDK makes of them."""

from typing import Any

def is_there() -> bool:
    """Whether there is a host: there is none while the plugin is built."""
    ...

class Grouping:
    """One interface of `wit/`."""

    def __init__(self, name: str) -> None: ...
    def __getattr__(self, name: str) -> Any: ...
