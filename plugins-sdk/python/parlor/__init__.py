"""Plugins for parlor, a bot house for XMPP, in Python.

    from parlor import Message, on, reply

    @on("message", kind="chat")
    async def answer(message: Message) -> None:
        if message.body:
            await reply(message, f"you said: {message.body}")

Beside it stands `plugin.toml`, which says what the plugin asks for, and why. `parlor plugin build` makes one file of both.

What is not wrapped here is there under the contract's own names, as `wit/` and the pages made from it describe them:
`contacts.get(jid)`, `await rooms.open(jid, attributes)`, `await vcard.get(jid, False)`… They raise the exceptions of
`parlor.errors`. Whoever writes stanzas by hand, for `await api.send(xml)` or `await api.send_iq(xml)`, puts what others said
into `escape(text)` and `quoteattr(text)`. `asyncio.gather` works; `asyncio.sleep` is the host's clock.
"""

from xml.sax.saxutils import escape, quoteattr

from . import errors, timers
from .errors import Error
from .guest import on_start, on_stop
from .host import Grouping
from .listen import Subscription, on
from .messages import outgoing, reply, say, send
from .said import command
from .timers import after, every, sleep
from .values import emit, promise, set_setting, setting, storage, wait_until

types = Grouping("types")
api = Grouping("api")
archive = Grouping("archive")
chats = Grouping("chats")
chatviews = Grouping("chatviews")
commands = Grouping("commands")
connection = Grouping("connection")
contacts = Grouping("contacts")
disco = Grouping("disco")
rooms = Grouping("rooms")
tokens = Grouping("tokens")
user = Grouping("user")
vcard = Grouping("vcard")

Command = types.Command
Message = types.Message
Contact = types.Contact
Room = types.Room
Occupant = types.Occupant

__all__ = [
    "Command", "Contact", "Error", "Message", "Occupant", "Room", "Subscription", "after", "api", "archive", "chats",
    "chatviews", "command", "commands", "connection", "contacts", "disco", "emit", "errors", "escape", "every", "on",
    "on_start", "on_stop", "outgoing", "promise", "quoteattr", "reply", "rooms", "say", "send", "set_setting", "setting",
    "sleep", "storage", "timers", "tokens", "types", "user", "vcard", "wait_until",
]
