"""Methods that are called with what others send over the web. Each has a webhook of its own in plugin.toml, with the host's address: the
path of the source has no effect but for its parameters, which come by the query."""

from typing import Any, Callable, Optional

from parlor_port.routes import Route, of_braces

#: The attribute of a function that has the methods of HTTP that it takes, with the parameters of their paths.
NOTED = "_parlor_web"


def _handler(method: str) -> Callable[..., Callable[[Any], Any]]:
    def decorator(path: Any = "", **_: Any) -> Callable[[Any], Any]:
        """Has a method called with each request to its webhook."""
        route = of_braces(str(path))

        def note(function: Callable[..., Any]) -> Callable[..., Any]:
            routes = [*getattr(function, NOTED, []), (method, route)]
            # One with fewer parameters would take the requests of the others.
            setattr(function, NOTED, sorted(routes, key=lambda one: -len(one[1])))
            return function

        return note

    return decorator


get, head, post, put, patch, delete = (_handler(one) for one in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"))


def values(routes: list[tuple[str, Route]], hook: Any) -> Optional[dict[str, str]]:
    """The parameters of the path of a request. None: the source has no such path."""
    meant = next((route for method, route in routes if method == hook.method and route.is_meant(hook.query)), None)
    return None if meant is None else meant.values(hook.query)
