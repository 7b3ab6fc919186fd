"""Requests of plugins on one account to one another. Asking needs `plugins.call`, answering `plugins.answer`.

The manifest of the one that answers lists the names of its requests, under `[requests]`.

    @on("request")
    async def rate(request: PluginRequest) -> None:
        if request.value == "EUR":
            await plugins.answer(request, 1.08)
        else:
            await plugins.refuse(request, "not a currency")

    # In another plugin:
    rate = await plugins.call("money", "rate", "EUR")
"""

import json
from typing import TYPE_CHECKING, Any

from .host import Grouping
from .values import as_json

if TYPE_CHECKING:
    from ._contract.types import PluginRequest

_plugins = Grouping("plugins")


async def call(plugin: str, name: str, value: Any = None) -> Any:
    """Asks another plugin, by the id that the owner gave it, and returns its answer. Value and answer are what JSON has.

    `NotFound`: there is no such plugin or request, or it may not answer this plugin. `Rejected`: it refused. `TimedOut`: it did not
    answer in time.
    """
    return json.loads(await _plugins.call(plugin, name, as_json(value)))


async def answer(request: "PluginRequest", value: Any = None) -> None:
    """Answers a request, before the handler returns. `NotFound`: nobody waits for it: it was answered, or its time is over."""
    await _plugins.answer(request.id, as_json(value))


async def refuse(request: "PluginRequest", text: str) -> None:
    """Refuses a request: the other plugin gets `Rejected` with this reason. `NotFound`: as with `answer`."""
    await _plugins.refuse(request.id, text)
