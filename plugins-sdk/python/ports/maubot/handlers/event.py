"""Events that a plugin listens to."""

import functools
from typing import Any, Callable

from mautrix.types import EventType
from parlor_port.running import done

from .command import PASSIVE, Command

#: The attribute of a function that holds the events, and that of one that is never called with them.
NOTED = "_parlor_events"
OFF = "_parlor_off"


def on(event_type: Any) -> Callable[[Any], Any]:
    """Has a method called with each event of this type."""

    def note(function: Callable[..., Any]) -> Callable[..., Any]:
        setattr(function, NOTED, [*getattr(function, NOTED, []), event_type])
        return function

    # `@event.on` alone is for messages.
    if callable(event_type) and not isinstance(event_type, EventType):
        function, event_type = event_type, EventType.ROOM_MESSAGE
        return note(function)
    return note


def off(function: Any) -> Any:
    """Has a method called by the plugin alone. One that waits for a regular expression takes an event, and is called if it is found there."""
    if isinstance(function, Command):
        function.is_off = True
        return function

    @functools.wraps(function)
    async def called(instance: Any, event: Any, *given: Any, **named: Any) -> Any:
        waits = getattr(called, PASSIVE, [])
        if waits and not given and not named:
            matches = (one.found(event) for one in waits)
            given = tuple(one for one in matches if one is not None)[:1]
            if not given:
                return None
        return await done(function(instance, event, *given, **named))

    setattr(called, OFF, True)
    return called
