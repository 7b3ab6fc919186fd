"""Requests that others send to the plugin over the web. Needs `webhooks.receive`.

    @on("webhook", webhook="github")
    async def tell(hook: Webhook) -> None:
        if hook.headers.get("x-github-event") == "push":
            await rooms.send("hall@rooms.example.org", f"{hook.json()['ref']} is at {hook.json()['after']}")

    # One with `mode = "answer"` in the manifest:
    @on("webhook", webhook="books")
    async def count(hook: Webhook) -> None:
        await webhooks.answer(hook, json={"books": 12})
"""

from typing import TYPE_CHECKING, Any, Mapping, Optional

from .host import Grouping
from .http import encoded
from .values import as_json

if TYPE_CHECKING:
    from ._contract.types import Webhook

_types = Grouping("types")
_webhooks = Grouping("webhooks")


async def answer(
    hook: "Webhook",
    status: int = 200,
    *,
    json: Any = None,
    text: Optional[str] = None,
    data: Optional[bytes] = None,
    headers: Optional[Mapping[str, str]] = None,
) -> None:
    """Answers a request to a webhook whose mode is `answer`. Without it the answer is 204 when the handler returns, and 500 when it
    raises.

    The body is `json` as JSON, or `text`, each with its `content-type`, or `data`. `NotFound`: nobody waits for it: it was answered, its
    time is over, the other side has gone, or the mode is `queue`.
    """
    if sum(one is not None for one in (json, text, data)) > 1:
        raise TypeError("webhooks.answer takes one of json, text and data")
    given, kind = dict(headers or {}), None
    if json is not None:
        data, kind = as_json(json).encode(), "application/json"
    elif text is not None:
        data, kind = encoded(text), "text/plain; charset=utf-8"
    if kind is not None and not any(name.lower() == "content-type" for name in given):
        given["content-type"] = kind
    fields = [_types.Header(name, value) for name, value in given.items()]
    await _webhooks.answer(hook.id, _webhooks.Response(status, fields, data or b""))


async def address(name: str) -> str:
    """Returns the address of a webhook, which whoever sends the requests has to know. It stays the same until the owner changes it.

    `NotFound`: the manifest has none of this name. `Unsupported`: the owner has not said where the host listens.
    """
    # No handler may return it as an answer.
    return str(await _webhooks.address(name))
