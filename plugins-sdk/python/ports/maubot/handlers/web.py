"""Methods that are called with what others send over the web. The address is that of the plugin's webhook, with the path of the source below."""

from typing import Any, Callable

from parlor_port.routes import of_braces

#: The attribute of a function that has the methods of HTTP that it takes, with their paths.
NOTED = "_parlor_web"


def _handler(method: str) -> Callable[..., Callable[[Any], Any]]:
    def decorator(path: Any = "", **_: Any) -> Callable[[Any], Any]:
        """Has a method called with each request to this path."""
        route = of_braces(str(path))

        def note(function: Callable[..., Any]) -> Callable[..., Any]:
            setattr(function, NOTED, [*getattr(function, NOTED, []), (method, route)])
            return function

        return note

    return decorator


get, head, post, put, patch, delete = (_handler(one) for one in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"))
