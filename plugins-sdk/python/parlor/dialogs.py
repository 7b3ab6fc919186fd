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

A question ends when the wait for its answer is cancelled, such as by `asyncio.wait_for`: the person's next message is an ordinary one.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Any, Awaitable, Iterable, Optional

from . import errors
from .host import Grouping
from .texts import listed
from .timers import Seconds, in_milliseconds

# A call of the host's that waits cannot be given up here. So a question is begun, which gives a number to end it by.
_dialogs = Grouping("dialogs", {"begin": "ask", "begin_in_room": "ask_in_room"})


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
    return await _answer("dialogs.ask", to, _dialogs.begin(to, _question(text, choices, timeout)))


async def ask_in_room(room: str, nick: str, text: str, choices: Iterable[str] = (), *, timeout: Optional[Seconds] = None) -> Answer:
    """Asks an occupant of a room by the nickname, so that all in the room see it. `NotFound`: nobody there has this nickname, or the
    person has left. Needs `rooms.send`."""
    return await _answer("dialogs.ask_in_room", room, _dialogs.begin_in_room(room, nick, _question(text, choices, timeout)))


def _question(text: str, choices: Iterable[str], timeout: Optional[Seconds]) -> Any:
    return _dialogs.Question(text, listed("choices", choices), None if timeout is None else max(0, in_milliseconds(timeout)))


async def _answer(call: str, to: str, begins: Awaitable[int]) -> Answer:
    number = await _begun(begins)
    try:
        answer = await _dialogs.wait(number)
    except asyncio.CancelledError:
        _end(number)
        raise
    except errors.Error as error:
        raise errors.with_call(error, call, to)
    return Answer(answer.text, answer.choice)


async def _begun(begins: Awaitable[int]) -> int:
    """The number of a question, once it is sent. One that nobody waits for any more ends as soon as it has its number."""
    begun = asyncio.ensure_future(begins)
    try:
        await asyncio.wait([begun])
    except asyncio.CancelledError:
        begun.add_done_callback(_end_begun)
        raise
    return begun.result()


def _end_begun(begun: "asyncio.Future[int]") -> None:
    if not begun.cancelled() and begun.exception() is None:
        _end(begun.result())


def _end(number: int) -> None:
    # It may have ended just now.
    with contextlib.suppress(errors.NotFound):
        _dialogs.cancel(number)
