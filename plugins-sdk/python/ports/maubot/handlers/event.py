"""Events that a plugin listens to."""

from typing import Any, Callable

from mautrix.types import EventType

#: The attribute of a function that holds the events.
NOTED = "_parlor_events"


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
