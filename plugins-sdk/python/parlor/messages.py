"""Saying something, in a chat or in a room."""

from typing import Any, Iterable, Optional, Sequence, Union

from . import dialogs
from .errors import Invalid
from .host import Grouping
from .stanza import ns
from .timers import Seconds

_types = Grouping("types")
_chats = Grouping("chats")
_commands = Grouping("commands")
_rooms = Grouping("rooms")

#: Asks servers to store a message although it has no text (XEP-0334).
_STORE = "store"


def outgoing(
    body: Optional[str] = None,
    *,
    subject: Optional[str] = None,
    thread: Optional[str] = None,
    reply_to: Any = None,
    quote: bool = False,
    replace: Optional[str] = None,
    retract: Optional[str] = None,
    react_to: Any = None,
    emojis: Optional[list[str]] = None,
    receipt: Any = None,
    request_receipt: bool = False,
    request_markers: bool = False,
    marker: Optional[str] = None,
    marked: Any = None,
    chat_state: Optional[str] = None,
    files: Optional[Sequence[Any]] = None,
    spoiler: Optional[str] = None,
    unstyled: bool = False,
    previews: Optional[Sequence[Any]] = None,
    encryption: Optional[str] = None,
) -> Any:
    """A message that is to be sent. `reply_to` and `react_to` take the message that they are about, `receipt` and `marked` the
    message or its id. `quote` puts what `reply_to` says before the body, for clients that show replies as any other message.
    `retract` is the id of an own message, in a room the `stanza_id` of its echo; clients that know no retractions see a text of the
    host's.
    `request_markers` asks to be told by markers that it came and was read (XEP-0333): they are messages with `extensions.marker`.
    `files` come from `files.upload`; without a body, the address of the first one is sent as such, as clients expect it (XEP-0066).
    `spoiler` hides the body until the reader wants to see it, behind this hint, which may be empty (XEP-0382). `unstyled`: the body has
    no markup, whatever signs are in it (XEP-0393). `previews` are of links in the body, 8 at most:
    `types.LinkPreview("https://example.org/", title="Example")` (XEP-0511). Each needs a body.
    `encryption`, from end to end, is that of the chat unless it is `required` (else `Unsupported`) or `"none"`.
    `Invalid`: a message that has no id cannot be reacted to or marked."""
    reference = reference_of(reply_to) if reply_to is not None else None
    quoted = _quotation(reply_to) if quote and reply_to is not None else ""
    about = react_to is not None or receipt is not None or marker is not None
    extensions = _types.Extensions(
        reply=_types.Reply(reference, reply_to.from_) if reference else None,
        fallback=[_types.Fallback(ns.REPLY, (0, len(quoted)))] if quoted else [],
        replace=replace,
        retract=retract,
        reactions=_types.Reactions(_named(reference_of(react_to), "reaction"), emojis or []) if react_to is not None else None,
        receipt_requested=request_receipt,
        # Its author knows a message by no other id than its own (XEP-0184).
        receipt=getattr(receipt, "id", receipt),
        markable=request_markers,
        marker=marker,
        marked=marked if marked is None or isinstance(marked, str) else _named(_mark_of(marked), "marker"),
        chat_state=chat_state,
        hints=[_STORE] if about and body is None else [],
        files=list(files or []),
        spoiler=spoiler,
        unstyled=unstyled,
        previews=list(previews or []),
    )
    return _types.Outgoing(quoted + (body or "") if quoted else body, subject, thread, extensions, encryption)


def body_without_fallback(message: Any, feature: str = ns.REPLY) -> str:
    """The body without what is only there for clients that lack `feature`; without one, the quotation that an answer may begin
    with, for those that know no replies (XEP-0461). Empty where there is no body."""
    return _body_without(message, feature)


def said(message: Any) -> str:
    """The body without what stands there for a reply, for reactions or for a retraction, which plugins read beside it."""
    return _body_without(message, ns.REPLY, ns.REACTIONS, ns.RETRACTION)


def _body_without(message: Any, *features: str) -> str:
    fallback = message.extensions.fallback if message.extensions is not None else []
    meant = [one.part for one in fallback if one.feature is None or one.feature in features]
    body = message.body or ""
    parts = [(0, len(body)) if part is None else part for part in meant]
    return "".join(one for at, one in enumerate(body) if not any(start <= at < end for start, end in parts))


def _quotation(message: Any) -> str:
    text = said(message).replace("\r\n", "\n").removesuffix("\n")
    return "".join(f"> {line}\n" for line in text.split("\n")) if text else ""


def reference_of(message: Any) -> Optional[str]:
    """The id by which replies and reactions know a message: in a room the room's, elsewhere the author's, which stays where a relay
    gives it another one on the way (XEP-0444, section 4.2; XEP-0461, section 4.1). None: it cannot be referred to."""
    return message.stanza_id if message.kind == "groupchat" else message.origin_id or message.id


def _mark_of(message: Any) -> Optional[str]:
    # Outside of rooms a marker goes by the message's own id, whatever else the author calls it.
    return message.stanza_id if message.kind == "groupchat" else message.id


def _named(reference: Optional[str], what: str) -> str:
    if not reference:
        raise Invalid("message", f"has no id that a {what} could name")
    return reference


def _message(message: Union[str, Any]) -> Any:
    if message is None:
        raise Invalid("message", "is None; give a text or an outgoing(…)")
    return message if isinstance(message, _types.Outgoing) else outgoing(message)


def occupant_of(message: Any) -> Optional[Any]:
    """Returns the author of a message in a room, or of one from there to us alone, as the room knows them now: role, affiliation,
    and the real JID if the room shows it. None: the room itself sent it, or the author has left. In a room that gives occupant ids,
    somebody who has taken the author's nickname since is not the author. Needs `rooms.read` for it."""
    room, nick = message.chat, message.nick
    if message.kind != "groupchat":
        # A person who writes from a room to us alone has a chat of their own.
        room, _, nick = message.chat.partition("/")
    if not nick:
        return None

    def is_author(one: Any) -> bool:
        # The author may have another nickname by now, and somebody else the old one.
        if message.occupant_id is None or one.occupant_id is None:
            return bool(one.nick == nick)
        return bool(one.occupant_id == message.occupant_id)

    return min(filter(is_author, _rooms.occupants(room)), key=lambda one: one.nick != nick, default=None)


async def send(jid: str, message: Union[str, Any]) -> str:
    """Sends a text, or an `outgoing(…)`, to somebody; gives its id once it is queued on the stream. Needs `messages.send`. An older
    name of `chats.send`."""
    return await _chats.send(jid, _message(message))


async def say(room: str, message: Union[str, Any]) -> str:
    """The same to everybody in a room, an older name of `rooms.send`. Needs `rooms.send`. By the id that it gives a correction names it (`replace`); in replies and
    reactions others name it by the room's own, the `stanza_id` of its echo, which `@on("message", own=True)` hears."""
    return await _rooms.send(room, _message(message))


async def reply(to: Any, message: Union[str, Any]) -> str:
    """Answers where a message or a command was said: in its room, or in its chat, and in its thread. An error is not answered:
    `Invalid`."""
    to = _said(to)
    return await (say if to.kind == "groupchat" else send)(to.chat, _answer(to, message))


async def reply_in_chat(to: Any, message: Union[str, Any]) -> str:
    """Answers a message or a command in private, in the same chat and thread; for one from a room, to its author there. An error
    is not answered: `Invalid`. Needs `messages.send`."""
    to = _said(to)
    return await send(to.from_ if to.kind == "groupchat" else to.chat, _answer(to, message))


async def answer(command: Any, text: str) -> None:
    """Answers a command in the form by which it was given; where it was written, as `reply` does. A form has one answer, of at most
    4 KiB. `NotFound`: nobody waits for it any more."""
    if command.form is None:
        await reply(command, text)
    else:
        await _commands.answer(command.form, text, False)


async def progress(command: Any, text: str) -> None:
    """Says in the form by which a command was given how far the work is; `answer` follows. The person sees it if they look again
    before the answer. Nothing is said where the command was written."""
    if command.form is not None:
        await _commands.answer(command.form, text, True)


async def ask_author(to: Any, text: str, choices: Iterable[str] = (), *, timeout: Optional[Seconds] = None) -> dialogs.Answer:
    """Asks the author of a message or a command where it was said, in its chat or in its room, and returns the answer. Errors as in
    `dialogs`."""
    to = _said(to)
    if to.kind == "groupchat":
        return await dialogs.ask_in_room(to.chat, to.nick or "", text, choices, timeout=timeout)
    return await dialogs.ask(to.chat, text, choices, timeout=timeout)


def _said(to: Any) -> Any:
    """The message that was meant: a command has one."""
    return to.message if isinstance(to, _types.Command) else to


def _answer(to: Any, message: Union[str, Any]) -> Any:
    if to.kind == "error":
        raise Invalid("message", "an error must not be answered (RFC 6120, section 8.3.1)")
    answer = _message(message)
    if answer.thread is None and to.thread is not None:
        return _types.Outgoing(answer.body, answer.subject, to.thread, answer.extensions, answer.encryption)
    return answer


async def acknowledge(message: Any) -> Optional[str]:
    """Tells the author of a message or a command that it came, if it asked to be told (XEP-0184); gives the id of the receipt, if
    one was sent. It tells the author that somebody is there, so that nothing but a plugin decides to send it. Needs
    `messages.send`."""
    message = _said(message)
    asks = message.extensions is not None and message.extensions.receipt_requested
    # Everybody in a room would send one, and errors, history and copies are not answered.
    may = message.kind not in ("groupchat", "error") and not message.own and not message.delayed and not message.carbon
    if not (asks and may and message.id):
        return None
    return await send(message.from_, outgoing(receipt=message))
