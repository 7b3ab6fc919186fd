"""Questions to people, whose next message in the same chat or room is the answer. In a private chat that needs `messages.send` for the
person, in a room `rooms.send` for the room.

    @command("order", help="Orders a pizza")
    async def order(command: Command) -> None:
        try:
            size = await ask_author(command, "Which size?", ["small", "large"], timeout=60)
        except (errors.TimedOut, errors.Rejected):
            await reply(command, "No pizza, then.")
        else:
            await reply(command, f"A {size.text} pizza it is.")

A handler that waits for an answer holds no place: hundreds may wait at once, as many as the limit `dialogs` says. `TimedOut`: the person
did not answer in time. `Rejected`: the answer was `cancel`, or wrong three times; the reason is `cancelled` or `wrong`. `NotFound`: the
person has left the room. `Stopped`: another question to the person took its place, or the plugin is to stop.

Give the question itself a `timeout`. `asyncio.wait_for` and a task that is cancelled end the wait alone: the question stays open, and the
person's next message is still its answer.
"""

from dataclasses import dataclass
from typing import Any, Iterable, Optional

from .host import Grouping
from .texts import listed
from .timers import Seconds, in_milliseconds

_dialogs = Grouping("dialogs")


@dataclass(frozen=True)
class Answer:
    """The answer of a person."""

    #: The text of the message, or the choice as it was given.
    text: str
    #: The index of the choice; None if there were no choices.
    choice: Optional[int]


async def ask(to: str, text: str, choices: Iterable[str] = (), *, timeout: Optional[Seconds] = None) -> Answer:
    """Asks a person in a private chat, and returns the answer. Without choices any text is one. The timeout is 5 minutes unless it is
    given, and a day at most. Needs `messages.send`."""
    return _answer(await _dialogs.ask(to, _question(text, choices, timeout)))


async def ask_in_room(room: str, nick: str, text: str, choices: Iterable[str] = (), *, timeout: Optional[Seconds] = None) -> Answer:
    """Asks an occupant of a room by the nickname, so that all in the room see it. `NotFound`: nobody there has this nickname, or the
    person has left. Needs `rooms.send`."""
    return _answer(await _dialogs.ask_in_room(room, nick, _question(text, choices, timeout)))


def _question(text: str, choices: Iterable[str], timeout: Optional[Seconds]) -> Any:
    return _dialogs.Question(text, listed("choices", choices), None if timeout is None else max(0, in_milliseconds(timeout)))


def _answer(answer: Any) -> Answer:
    return Answer(answer.text, answer.choice)
