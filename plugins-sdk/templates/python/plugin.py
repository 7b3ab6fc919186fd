"""Says what you said."""

import logging

from parlor import Message, on, on_start, reply

log = logging.getLogger(__name__)


@on("message", kind="chat")
async def answer(message: Message) -> None:
    # A copy of what another client of the account received is left to that one.
    if message.body and not message.carbon:
        await reply(message, f"you said: {message.body}")


@on_start
async def start() -> None:
    log.info("ready")
