"""Listening to events, as type checkers see it: each event of the host has its name and what it carries."""

from datetime import datetime
from typing import Any, Callable, Coroutine, Iterable, List, Literal, NewType, Optional, TypeVar, Union, overload

from .texts import Kind
from ._contract.types import Chat, Command, Contact, DueTime, Feature, Hook, Invite, IqRequest, Message, Occupant, PluginRequest, PubsubItem, Room, Status, Undecryptable, Webhook

Carried = TypeVar("Carried")
Work = Coroutine[Any, Any, object]

class Event:
    """What happened, beside what it carries."""

    name: str
    at: datetime
    subscriptions: List[int]
    payload: Any

Handler = Union[Callable[[], Work], Callable[[Carried], Work], Callable[[Carried, Event], Work]]
"""Takes nothing, or what the event carries, or that and the whole event."""

OwnEvent = NewType("OwnEvent", str)
"""The name of an event that a plugin fires: `on(OwnEvent("libraryOpen"))`. It may carry any JSON."""

class Subscription:
    """One subscription of this plugin; `end` ends it. It can be called, as the function that it has made a handler of."""

    name: str
    handler: Callable[..., Work]
    def __call__(self, *arguments: Any, **named: Any) -> Work: ...
    def end(self) -> None:
        """Ends it. Handlers that have begun go on to their end."""
        ...

# Events of the host: parlor writes them here, from its own table.

@overload
def on(
    name: OwnEvent,
    *,
    sender: Optional[str] = ...,
    room: Optional[str] = ...,
    kind: Union[Kind, Iterable[Kind], None] = ...,
    prefix: Optional[str] = ...,
    webhook: Optional[str] = ...,
    schedule: Optional[str] = ...,
    own: bool = ...,
    delayed: bool = ...,
    xml: bool = ...,
    once: bool = ...,
) -> Callable[[Handler[Any]], Subscription]:
    """Has the host call an `async` function at each event of this name that the filters let through.

    What is left out never wakes the plugin: own messages (`own`) and history (`delayed`) unless asked for, and what does not
    come from this `sender` or this `room`, is not of this `kind` (or one of these), does not begin with this `prefix`, was not sent
    to this `webhook`, or is no due time of this `schedule`. A prefix counts also for what a reply says behind its quotation: so cut
    it off what `body_without_fallback` gives, stripped.
    """
    ...

def off(name: str, handler: Callable[..., Work]) -> bool:
    """Ends a function's subscriptions to this name; returns whether there were any. Handlers that have begun go on to their end."""
    ...

def on_mention(handler: Handler[Message]) -> Subscription:
    """Has the host call an `async` function with each message in a room that names our nickname there. Needs `messages.read` for
    the room."""
    ...

def check(function: Any, taker: str, *given: str, named: Iterable[str] = ..., role: str = ..., hint: str = ...) -> None: ...
def place() -> str: ...
def returns(what: str, returned: Any) -> None: ...
def payload(payload: Any) -> Any: ...
