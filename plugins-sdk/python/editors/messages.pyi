"""Saying something, in a chat or in a room."""

from typing import List, Optional, Union

from ._contract.types import Message, Outgoing

def outgoing(
    body: Optional[str] = None,
    *,
    subject: Optional[str] = None,
    thread: Optional[str] = None,
    reply_to: Optional[Message] = None,
    replace: Optional[str] = None,
    reaction: Optional[Message] = None,
    emojis: Optional[List[str]] = None,
    receipt: Optional[str] = None,
    request_receipt: bool = False,
    marker: Optional[str] = None,
    marked: Optional[str] = None,
    chat_state: Optional[str] = None,
) -> Outgoing:
    """A message that is to be sent. `reply_to` and `reaction` take the message that they are about."""
    ...

async def send(jid: str, message: Union[str, Outgoing]) -> str:
    """Sends a text, or an `outgoing(…)`, to somebody; gives its id once it is queued on the stream. Needs `messages.send`."""
    ...

async def say(room: str, message: Union[str, Outgoing]) -> str:
    """The same to everybody in a room. Needs `rooms.send`."""
    ...

async def reply(to: Message, message: Union[str, Outgoing]) -> str:
    """Answers where a message was said: in its room, or in its chat."""
    ...
