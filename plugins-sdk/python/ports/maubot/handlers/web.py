"""Methods that are called with what others send over the web. Each has a webhook of its own in plugin.toml, with the host's address: the
path of the source has no effect."""

from typing import Any, Callable

#: The attribute of a function that marks it.
NOTED = "_parlor_web"


def _handler(path: Any, **_: Any) -> Callable[[Any], Any]:
    """Has a method called with each request to its webhook."""

    def note(function: Callable[..., Any]) -> Callable[..., Any]:
        setattr(function, NOTED, True)
        return function

    return note


get = head = post = put = patch = delete = _handler
