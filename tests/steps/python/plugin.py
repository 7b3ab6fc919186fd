"""A hundred steps, the same in every language: see tests/guests/steps."""

from parlor import Message, on, reply

from parts import take
from steps import Steps


@on("message", kind="chat")
async def answer(message: Message) -> None:
    part, friend, room, rest = message.body.split(" ", 3)
    steps = Steps(friend, room, rest)
    await take(part, steps, message)
    await reply(message, "\n".join([part, *steps.lines]))
