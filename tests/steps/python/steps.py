"""Records the result of each step."""

import inspect
from typing import Any, Callable

from parlor import errors

_count = 0
# The results of events since the last report.
_heard: list[str] = []


class Steps:
    """The arguments of a part, and its results."""

    def __init__(self, friend: str, room: str, rest: str) -> None:
        self.friend = friend
        self.room = room
        self.rest = rest
        self.lines: list[str] = []

    async def note(self, what: str, action: Callable[[], Any], shown: Callable[[Any], Any] = lambda value: value) -> None:
        try:
            result = action()
            outcome = _text(shown(await result if inspect.isawaitable(result) else result))
        except errors.Error as error:
            outcome = _typed(error)
        self._tell(_line(what, outcome))

    async def done(self, what: str, action: Callable[[], Any]) -> None:
        """Records a step that returns nothing."""
        await self.note(what, action, lambda _: "done")

    async def fails(self, what: str, action: Callable[[], Any]) -> None:
        """Records a step that must fail."""
        await self.note(what, action, lambda _: "it worked")

    async def some(self, what: str, action: Callable[[], Any]) -> None:
        """Records a step whose result differs in each run."""
        await self.note(what, action, lambda text: "something" if text else "nothing")

    def hear(self) -> None:
        for line in _heard:
            self._tell(line)
        _heard.clear()

    def _tell(self, line: str) -> None:
        global _count
        _count += 1
        self.lines.append(f"{_count:03} {line}")


def hear(what: str, outcome: Any) -> None:
    _heard.append(_line(what, _text(outcome)))


def _line(what: str, outcome: str) -> str:
    return f"{what}: {outcome}"


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _typed(error: errors.Error) -> str:
    """Returns the case of an error, with those of its fields that are the same in each run."""
    match error:
        case errors.Denied():
            return f"denied {error.permission}"
        case errors.Invalid():
            return f"invalid {error.argument}"
        case errors.NotFound():
            return "not-found"
        case errors.NotReady():
            return f"not-ready {error.promise}"
        case errors.Unsupported():
            return "unsupported"
        case errors.StanzaError():
            return f"stanza {error.condition}"
        case errors.Rejected():
            return f"rejected {error.reason}"
        case errors.TimedOut():
            return "timed-out"
        case errors.Offline():
            return "offline"
        case errors.Stopped():
            return "stopped"
        case errors.OverLimit():
            return "over-limit"
    return "other"
