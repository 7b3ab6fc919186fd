"""Saying something, in a chat or in a room."""

from typing import Iterable, List, Literal, Optional, Sequence, Union

from . import dialogs
from .timers import Seconds
from ._contract.types import Command, File, LinkPreview, Message, Occupant, Outgoing

def outgoing(
    body: Optional[str] = None,
    *,
    subject: Optional[str] = None,
    thread: Optional[str] = None,
    reply_to: Optional[Message] = None,
    quote: bool = False,
    replace: Optional[str] = None,
    retract: Optional[str] = None,
    react_to: Optional[Message] = None,
    emojis: Optional[List[str]] = None,
    receipt: Union[str, Message, None] = None,
    request_receipt: bool = False,
    request_markers: bool = False,
    marker: Optional[str] = None,
    marked: Union[str, Message, None] = None,
    chat_state: Optional[str] = None,
    files: Optional[Sequence[File]] = None,
    spoiler: Optional[str] = None,
    unstyled: bool = False,
    previews: Optional[Sequence[LinkPreview]] = None,
    encryption: Optional[Literal["as-the-chat", "required", "none"]] = None,
) -> Outgoing:
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
    ...

def body_without_fallback(message: Message, feature: str = ...) -> str:
    """The body without what is only there for clients that lack `feature`; without one, the quotation that an answer may begin
    with, for those that know no replies (XEP-0461). Empty where there is no body."""
    ...

def reference_of(message: Message) -> Optional[str]:
    """The id by which replies and reactions know a message: in a room the room's, elsewhere the author's, which stays where a relay
    gives it another one on the way (XEP-0444, section 4.2; XEP-0461, section 4.1). None: it cannot be referred to."""
    ...

def occupant_of(message: Message) -> Optional[Occupant]:
    """Returns the author of a message in a room, or of one from there to us alone, as the room knows them now: role, affiliation,
    and the real JID if the room shows it. None: the room itself sent it, or the author has left. Needs `rooms.read` for it."""
    ...

async def send(jid: str, message: Union[str, Outgoing]) -> str:
    """Sends a text, or an `outgoing(…)`, to somebody; gives its id once it is queued on the stream. Needs `messages.send`. An older
    name of `chats.send`."""
    ...

async def say(room: str, message: Union[str, Outgoing]) -> str:
    """The same to everybody in a room, an older name of `rooms.send`. Needs `rooms.send`. By the id that it gives a correction names it (`replace`); in replies and
    reactions others name it by the room's own, the `stanza_id` of its echo, which `@on("message", own=True)` hears."""
    ...

async def reply(to: Union[Message, Command], message: Union[str, Outgoing]) -> str:
    """Answers where a message or a command was said: in its room, or in its chat, and in its thread. An error is not answered:
    `Invalid`."""
    ...

async def reply_in_chat(to: Union[Message, Command], message: Union[str, Outgoing]) -> str:
    """Answers a message or a command in private, in the same chat and thread; for one from a room, to its author there. An error
    is not answered: `Invalid`. Needs `messages.send`."""
    ...

async def answer(command: Command, text: str) -> None:
    """Answers a command in the form by which it was given; where it was written, as `reply` does. A form has one answer, of at most
    4 KiB. `NotFound`: nobody waits for it any more."""
    ...

async def progress(command: Command, text: str) -> None:
    """Says in the form by which a command was given how far the work is; `answer` follows. The person sees it if they look again
    before the answer. Nothing is said where the command was written."""
    ...

async def acknowledge(message: Union[Message, Command]) -> Optional[str]:
    """Tells the author of a message or a command that it came, if it asked to be told (XEP-0184); gives the id of the receipt, if
    one was sent. It tells the author that somebody is there, so that nothing but a plugin decides to send it. Needs
    `messages.send`."""
    ...

async def ask_author(
    to: Union[Message, Command], text: str, choices: Iterable[str] = ..., *, timeout: Optional[Seconds] = None
) -> dialogs.Answer:
    """Asks the author of a message or a command where it was said, in its chat or in its room, and returns the answer. Errors as in
    `dialogs`."""
    ...
