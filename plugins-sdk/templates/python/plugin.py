"""Says what you said."""

import logging

from parlor import Message, on, on_start, reply

log = logging.getLogger(__name__)


@on("message", kind="chat")
async def answer(message: Message) -> None:
    # Another client answers what it received (`carbon`), and another plugin its commands (`command`).
    if message.body and not message.carbon and not message.command:
        await reply(message, f"you said: {message.body}")


@on_start
async def start() -> None:
    log.info("ready")
