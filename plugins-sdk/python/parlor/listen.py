"""Listening to events.

    @on("message", kind="chat")
    async def answer(message: Message) -> None:
        await reply(message, f"you said: {message.body}")

A handler is given what the event carries: a `Message`, a `Contact`, a JSON value…, or nothing. Where it takes a second
argument, it is given the whole `Event` as well. A handler that raises is written to the log with its traceback, and the
plugin goes on. One function may listen to several events, one `@on` above the other, and a method listens by
`on("message")(self.answer)`.
"""

import asyncio
import contextlib
import functools
import inspect
import json
import logging
import sys
from typing import Any, Awaitable, Callable, Iterable, Iterator, NewType, Optional, Union

from .errors import NotFound
from .host import Given, Grouping, is_there

_listen = Grouping("listen")
_log = logging.getLogger("parlor")

Handler = Callable[..., Awaitable[Any]]

#: The name of an event that a plugin fires, for type checkers: `on(OwnEvent("libraryOpen"))`.
OwnEvent = NewType("OwnEvent", str)


class Subscription:
    """One subscription of this plugin; `end` ends it. It can be called, as the function that it has made a handler of."""

    def __init__(self, name: str, once: bool, filter: Any, handler: Handler) -> None:
        functools.update_wrapper(self, handler)
        # An author's own tests may run in an older Python, which lacks it.
        getattr(inspect, "markcoroutinefunction", lambda _: None)(self)
        self.name = name
        self.handler = handler
        self._once = once
        self._filter = filter
        #: The host's number for it, once there is a host.
        self._number: Optional[int] = None
        self._takes = _takes(handler)
        self._what = f'on("{name}") at {place()}'

    def __call__(self, *arguments: Any, **named: Any) -> Awaitable[None]:
        return self.handler(*arguments, **named)

    def _begin(self) -> None:
        subscribe = _listen.once if self._once else _listen.on
        self._number = subscribe(self.name, self._filter)
        _running[self._number] = self

    def end(self) -> None:
        """Ends it. Handlers that have begun go on to their end."""
        if self in _waiting:
            _waiting.remove(self)
        if self._number is not None and _running.pop(self._number, None) is not None:
            # One that listened once may have ended by itself, with what it heard still on its way.
            with contextlib.suppress(NotFound):
                _listen.not_(self._number)

    async def _handle(self, number: int, event: Any, value: Any) -> None:
        if self._once:
            # The host has forgotten this one.
            _running.pop(number, None)
        returned = await self.handler(*(value, event)[: self._takes])
        if type(event.payload).__name__ == "Payload_Message":
            returns(self._what, returned)


# Subscriptions that are made before the plugin runs wait for it: at build time there is no host.
_waiting: list[Subscription] = []
_running: dict[int, Subscription] = {}
# The warnings already given, and how many of them are remembered.
_warned: set[str] = set()
_MOST_WARNED = 100
# The filter that leaves out nothing but own messages and history.
_ALL = (None, None, None, None, None, False, False, False, None)


def _takes(handler: Handler) -> int:
    try:
        parameters = _signature(handler).parameters.values()
    except (TypeError, ValueError):
        return 1
    if any(one.kind is one.VAR_POSITIONAL for one in parameters):
        return 2
    positional = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    return min(len(positional), 2)


def _signature(function: Any) -> inspect.Signature:
    """Returns the signature of a function. If it passes everything on to one that it wraps, the signature of that one."""
    own = inspect.signature(function, follow_wrapped=False)
    if all(one.kind is not one.VAR_POSITIONAL for one in own.parameters.values()):
        return own
    if inspect.ismethod(function):
        return inspect.signature(function)
    within = getattr(function, "__wrapped__", None)
    return own if within is None else _signature(within)


def on(
    name: str,
    *,
    sender: Optional[str] = None,
    room: Optional[str] = None,
    kind: Union[str, Iterable[str], None] = None,
    prefix: Optional[str] = None,
    webhook: Optional[str] = None,
    schedule: Optional[str] = None,
    own: bool = False,
    delayed: bool = False,
    xml: bool = False,
    once: bool = False,
) -> Callable[[Handler], Subscription]:
    """Has the host call an `async` function at each event of this name that the filters let through.

    What is left out never wakes the plugin: own messages (`own`) and history (`delayed`) unless asked for, and what does not
    come from this `sender` or this `room`, is not of this `kind` (or one of these), does not begin with this `prefix`, was not sent
    to this `webhook`, or is no due time of this `schedule`. A prefix counts also for what a reply says behind its quotation: so cut
    it off what `body_without_fallback` gives, stripped.
    """

    if not isinstance(name, str):
        raise TypeError(f'{getattr(name, "__name__", name)} is no event\'s name: write @on("message") above the function')

    def subscribe(handler: Handler) -> Subscription:
        check(handler, f"on({name!r}, …)", *("value", "event")[: _takes(handler)], role=f" listens to {name}, and")
        kinds = kind if kind is None or isinstance(kind, str) else " ".join(kind)
        wanted = (sender, room, kinds, prefix, webhook, own, delayed, xml, schedule)
        subscription = Subscription(name, once, None if wanted == _ALL else _listen.Filter(*wanted), handler)
        if is_there():
            subscription._begin()
        else:
            _waiting.append(subscription)
        return subscription

    return subscribe


def check(function: Any, taker: str, *given: str, named: Iterable[str] = (), role: str = "", hint: str = "") -> None:
    """`TypeError`: nobody could call it. It is no `async def`; or it yields its answers, as plugins of other bots do; or it is a
    method of no object yet, so that whoever calls it would have none to give; or it takes other things than it is `given`, by place
    and as `named`."""
    # One `@on` above the other.
    function = _function(function)
    # A `partial` has none.
    name = getattr(function, "__name__", function)
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        raise TypeError(f"{name} yields what nobody would say: answer by `await reply(…)` in an `async def`")
    if not inspect.iscoroutinefunction(function):
        raise TypeError(f"{function!r}{role} has to be an `async def`")
    signature = _signature(function)
    if next(iter(signature.parameters), None) == "self":
        # A function of no class may have come from one, of another bot's.
        otherwise = "" if "." in getattr(function, "__qualname__", "").rpartition("<locals>.")[2] else ", or take self away"
        raise TypeError(f"{name} is a method: write {taker}(self.{name}) where its object is made{otherwise}")
    try:
        signature.bind(*given, **dict.fromkeys(named))
    except TypeError:
        takes, are = ", ".join(signature.parameters) or "nothing", " and ".join(f"the {one}" for one in given) or "nothing"
        shown = f"async def {getattr(function, '__name__', '…')}({', '.join(given)})"
        raise TypeError(f"{name} takes {takes}, and is given {are}: write `{shown}`{hint}") from None


def place() -> str:
    """The author's line that calls us now."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__package__") == __package__:
        frame = frame.f_back
    # That is what the plugin's folder is called where it is built.
    return f"{frame.f_code.co_filename.removeprefix('/0/')}:{frame.f_lineno}"


@contextlib.contextmanager
def naming(what: str) -> Iterator[None]:
    """Puts `what` before the text of any exception: the author's line that asked for it has returned long before."""
    try:
        yield
    except Exception as error:
        error.args = (f"{what}: {error}",)
        raise


def returns(what: str, returned: Any) -> None:
    """Warns, once, of a handler that returns its answer, as those of other bots do."""
    if _is_text(returned) and what not in _warned and len(_warned) < _MOST_WARNED:
        _warned.add(what)
        _log.warning("%s returned a text, which nobody says: use reply", what)


def _is_text(returned: Any) -> bool:
    if isinstance(returned, (list, tuple)):
        return any(_is_text(one) for one in returned)
    return isinstance(returned, str) and returned != "" and not isinstance(returned, Given)


def off(name: str, handler: Union[Handler, Subscription]) -> bool:
    """Ends a function's subscriptions to this name; returns whether there were any. Handlers that have begun go on to their end."""
    function = _function(handler)
    meant = [one for one in [*_waiting, *_running.values()] if one.name == name and _function(one) == function]
    for subscription in meant:
        subscription.end()
    return bool(meant)


def _function(handler: Any) -> Handler:
    # One `@on` above the other makes a handler of a handler.
    return _function(handler.handler) if isinstance(handler, Subscription) else handler


def on_mention(handler: Handler) -> Subscription:
    """Has the host call an `async` function with each message in a room that names our nickname there. Needs `messages.read` for
    the room.

        @on_mention
        async def serve(message: Message) -> None:
            await reply(message, "at your service")
    """
    return on("messageNotification", kind="groupchat")(handler)


def _start() -> None:
    while _waiting:
        subscription = _waiting.pop(0)
        with naming(subscription._what):
            subscription._begin()


async def _dispatch(event: Any) -> bool:
    """Gives whether all went well."""
    value = payload(event.payload)
    # Some may have ended meanwhile.
    called = [(number, _running[number]) for number in event.subscriptions if number in _running]
    if len(called) == 1:
        return await _call(*called[0], event, value)
    # One that waits holds up none of the others.
    return all(await asyncio.gather(*(_call(*one, event, value) for one in called)))


async def _call(number: int, subscription: Subscription, event: Any, value: Any) -> bool:
    try:
        await subscription._handle(number, event, value)
    except (Exception, asyncio.CancelledError):
        is_named = type(event.payload).__name__ in ("Payload_Command", "Payload_IqRequest", "Payload_PluginRequest", "Payload_Webhook", "Payload_Schedule")
        name = f"{event.name} {event.payload.value.name}" if is_named else event.name
        _log.exception("a handler of %s failed", name)
        return False
    return True


def payload(payload: Any) -> Any:
    """Converts the payload of an event or a promise to a Python value: JSON is read."""
    value: Any = getattr(payload, "value", None)
    return json.loads(value) if type(payload).__name__ == "Payload_Json" else value
