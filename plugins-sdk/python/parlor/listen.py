"""Listening to events.

    @on("message", kind="chat")
    async def answer(message: Message) -> None:
        await chats.reply(message, f"you said: {message.body}")

A handler is given what the event carries: a `Message`, a `Contact`, a JSON value…, or nothing. Where it takes a second
argument, it is given the whole `Event` as well. A handler that raises is written to the log with its traceback, and the
plugin goes on.
"""

import inspect
import json
import logging
from datetime import datetime
from typing import Any, Awaitable, Callable, Optional, Union

from .host import Grouping

_listen = Grouping("listen")
_log = logging.getLogger("parlor")

Handler = Callable[..., Awaitable[None]]


class Subscription:
    """One subscription of this plugin; `end` ends it."""

    def __init__(self, name: str, once: bool, filter: Any, handler: Handler) -> None:
        self.name = name
        self.handler = handler
        self._once = once
        self._filter = filter
        self._number: Optional[int] = None
        self._takes = _takes(handler)

    def _begin(self) -> None:
        subscribe = _listen.once if self._once else _listen.on
        self._number = subscribe(self.name, self._filter)
        _running[self._number] = self

    def end(self) -> None:
        """Ends it. What has begun goes on to its end."""
        if self._number is None:
            _waiting.remove(self)
        elif _running.pop(self._number, None) is not None:
            _listen.not_(self._number)

    async def _handle(self, number: int, event: Any, value: Any) -> None:
        if self._once:
            _running.pop(number, None)
        await self.handler(*(value, event)[: self._takes])


# Subscriptions that are made before the plugin runs wait for it: at build time there is no host.
_waiting: list[Subscription] = []
_running: dict[int, Any] = {}
_started = False


def _takes(handler: Handler) -> int:
    try:
        parameters = inspect.signature(handler).parameters.values()
    except ValueError:
        return 1
    if any(one.kind is one.VAR_POSITIONAL for one in parameters):
        return 2
    positional = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    return min(len(positional), 2)


def on(
    name: str,
    *,
    sender: Optional[str] = None,
    room: Optional[str] = None,
    kind: Optional[str] = None,
    prefix: Optional[str] = None,
    own: bool = False,
    delayed: bool = False,
    xml: bool = False,
    once: bool = False,
) -> Callable[[Handler], Subscription]:
    """Has the host call an `async` function at each event of this name that the filters let through.

    What is left out never wakes the plugin: own messages (`own`) and history (`delayed`) unless asked for, and what does not
    come from this `sender` or this `room`, is not of this `kind`, or does not begin with this `prefix`.
    """

    def subscribe(handler: Handler) -> Subscription:
        if not inspect.iscoroutinefunction(handler):
            raise TypeError(f"{handler!r} listens to {name}, and has to be an `async def`")
        wanted = (sender, room, kind, prefix, own, delayed, xml)
        filter = _listen.Filter(*wanted) if any(wanted) else None
        subscription = Subscription(name, once, filter, handler)
        if _started:
            subscription._begin()
        else:
            _waiting.append(subscription)
        return subscription

    return subscribe


def _start() -> None:
    global _started
    _started = True
    while _waiting:
        _waiting.pop(0)._begin()


async def _dispatch(event: Any) -> None:
    event.at = moment(event.at)
    value = payload(event.payload)
    for number in event.subscriptions:
        # It may have ended meanwhile.
        subscription: Union[Subscription, Any, None] = _running.get(number)
        if subscription is None:
            continue
        try:
            await subscription._handle(number, event, value)
        except Exception:
            _log.exception("a handler of %s failed", event.name)


def payload(payload: Any) -> Any:
    """What an event or a promise carries, as Python has it: JSON is read, times are `datetime`."""
    value = getattr(payload, "value", None)
    if type(payload).__name__ == "Payload_Json":
        return json.loads(value)
    if isinstance(getattr(value, "at", None), str):
        value.at = moment(value.at)
    return value


def moment(text: str) -> datetime:
    """A point in time of the contract (XEP-0082)."""
    return datetime.fromisoformat(text)
