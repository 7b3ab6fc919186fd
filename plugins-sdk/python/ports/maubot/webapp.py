"""The receivers of a plugin's requests: methods with decorators, and functions that it adds itself. They share one webhook."""

from typing import Any, Callable, Optional

import aiohttp.web
import parlor
import yarl
from parlor_port.routes import Route, of_braces

from .handlers import web


class PluginWebApp:
    """The paths below the address of the webhook."""

    def __init__(self) -> None:
        self._noted: list[tuple[str, Route, Callable[[Any], Any]]] = []
        self._added: list[tuple[str, Route, Callable[[Any], Any]]] = []

    @property
    def router(self) -> "PluginWebApp":
        """The same."""
        return self

    def note(self, function: Any) -> None:
        """Adds a method if it has decorators."""
        self._noted += ((method, route, function) for method, route in getattr(function, web.NOTED, []))

    def add_route(self, method: str, path: str, handler: Callable[[Any], Any], **_: Any) -> None:
        """Has a function called with each request to this path. The method `*` is each one."""
        self._added.append((method.upper(), of_braces(str(path)), handler))

    def add_get(self, path: str, handler: Callable[[Any], Any], **options: Any) -> None:
        """The same for GET."""
        self.add_route("GET", path, handler, **options)

    def add_head(self, path: str, handler: Callable[[Any], Any], **options: Any) -> None:
        """The same for HEAD."""
        self.add_route("HEAD", path, handler, **options)

    def add_post(self, path: str, handler: Callable[[Any], Any], **options: Any) -> None:
        """The same for POST."""
        self.add_route("POST", path, handler, **options)

    def add_put(self, path: str, handler: Callable[[Any], Any], **options: Any) -> None:
        """The same for PUT."""
        self.add_route("PUT", path, handler, **options)

    def add_patch(self, path: str, handler: Callable[[Any], Any], **options: Any) -> None:
        """The same for PATCH."""
        self.add_route("PATCH", path, handler, **options)

    def add_delete(self, path: str, handler: Callable[[Any], Any], **options: Any) -> None:
        """The same for DELETE."""
        self.add_route("DELETE", path, handler, **options)

    def clear(self) -> None:
        """Forgets the functions that were added."""
        self._added.clear()

    async def take(self, hook: Any) -> None:
        """Answers a request. A path without parameters goes before others."""
        meant: list[tuple[str, Callable[[Any], Any], dict[str, str]]] = []
        for method, route, handler in sorted([*self._noted, *self._added], key=lambda one: len(one[1]) > 0):
            values = route.values(hook.path)
            if values is not None:
                meant.append((method, handler, values))
        for method, handler, values in meant:
            if method in (hook.method, "*"):
                await aiohttp.web.answer(hook, handler, values)
                return
        await parlor.webhooks.answer(hook, 405 if meant else 404, text="the plugin takes no such request")


async def address(webhook: str, slash: bool) -> Optional[yarl.URL]:
    """The address of the webhook, as plugins put paths behind it. None: the owner has not configured an address for the host."""
    try:
        found = str(await parlor.webhooks.address(webhook)).rstrip("/")
    except parlor.errors.Error:
        return None
    return yarl.URL(f"{found}/" if slash else found)
