"""Saying something, in a chat or in a room."""

from typing import Any, Optional, Union

from .host import Grouping

_types = Grouping("types")
_chats = Grouping("chats")
_rooms = Grouping("rooms")


def outgoing(
    body: Optional[str] = None,
    *,
    subject: Optional[str] = None,
    thread: Optional[str] = None,
    reply_to: Any = None,
    replace: Optional[str] = None,
    reaction: Any = None,
    emojis: Optional[list[str]] = None,
    receipt: Optional[str] = None,
    request_receipt: bool = False,
    marker: Optional[str] = None,
    marked: Optional[str] = None,
    chat_state: Optional[str] = None,
) -> Any:
    """A message that is to be sent. `reply_to` and `reaction` take the message that they are about."""
    types = _types
    reply = None
    if reply_to is not None:
        reply = types.Reply(_id_of(reply_to), reply_to.from_)
    reactions = None
    if reaction is not None:
        reactions = types.Reactions(_id_of(reaction), emojis or [])
    extensions = types.Extensions(
        thread_parent=None,
        reply=reply,
        fallback=[],
        replace=replace,
        reactions=reactions,
        receipt_requested=request_receipt,
        receipt=receipt,
        markable=False,
        marker=marker,
        marked=marked,
        chat_state=chat_state,
        hints=[],
    )
    return types.Outgoing(body, subject, thread, extensions)


def _id_of(message: Any) -> str:
    # In a room everybody knows a message by the id that the room gave it (XEP-0461, section 3).
    if message.kind == "groupchat":
        return message.stanza_id or message.id or ""
    return message.origin_id or message.id or ""


def _message(message: Union[str, Any]) -> Any:
    return outgoing(message) if isinstance(message, str) else message


async def send(jid: str, message: Union[str, Any]) -> str:
    """Sends a text, or an `outgoing(…)`, to somebody; gives its id once it is queued on the stream. Needs `messages.send`."""
    return await _chats.send(jid, _message(message))


async def say(room: str, message: Union[str, Any]) -> str:
    """The same to everybody in a room. Needs `rooms.send`."""
    return await _rooms.send(room, _message(message))


async def reply(to: Any, message: Union[str, Any]) -> str:
    """Answers where a message was said: in its room, or in its chat."""
    return await (say if to.kind == "groupchat" else send)(to.chat, message)
