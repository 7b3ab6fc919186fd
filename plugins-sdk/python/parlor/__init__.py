"""Plugins for parlor, a host for XMPP bots, in Python.

    from parlor import Message, on, reply

    @on("message", kind="chat")
    async def answer(message: Message) -> None:
        if message.body and not message.carbon and not message.command:
            await reply(message, f"you said: {message.body}")

Beside it stands `plugin.toml`, which says what the plugin asks for, and why. `parlor plugin build` makes one file of both.

Calls that are not wrapped here have the contract's own names, as `wit/` and the pages made from it describe them:
`contacts.get(jid)`, `await rooms.open(jid, nick="bot")`, `await archive.query(with_=jid, max=20)`… What may be none, false or
empty need not be said, and the fields of a record may be named instead of it. They raise the exceptions of `parlor.errors`.
A whole archive is read by `async for archived in archive.query_all(with_=jid)`, page by page.
Nothing of the host can be called while the plugin is built, where `plugin.py` is run once; `on_start` is the first moment, and
`on_ready` the first when something can be sent.

Stanzas for `await api.send(…)` and `await api.send_iq(…)` are made of `Element`, with the namespaces of `ns`, and `parse_xml`
reads what comes; `escape(text)` and `quoteattr(text)` serve whoever writes XML by hand.

`asyncio` is the host's loop: `sleep`, `gather`, `wait_for`, `timeout`, locks, events and queues work, also between handlers. A
task of `asyncio.create_task` or `spawn` lives on until the plugin ends and holds no handler's place, so that a loop without end
may begin in `on_start`; what it raises is written to the log. There are no threads.
"""

from xml.sax.saxutils import escape, quoteattr

from . import dialogs, errors, files, hooks, http, moderation, plugins, schedules, styling, timers, webhooks
from .arguments import Jid, Page, People, Range, Rest
from .errors import Error
from .guest import on_ready, on_start, on_stop
from .host import Grouping
from .listen import OwnEvent, Subscription, off, on, on_mention
from .loop import spawn
from .messages import acknowledge, answer, ask_author, body_without_fallback, occupant_of, outgoing, progress, reference_of, reply, reply_in_chat, say, send
from .said import command
from .stanza import Element, ns, parse_xml
from .texts import Affiliation, Kind, Role
from .timers import Timer, after, every, sleep
from .values import emit, promise, promises, read_value, set_setting, setting, settings, storage, wait_until, write_value

_of_values = {"get_attribute": read_value, "set_attribute": write_value(2, "value")}

types = Grouping("types")
api = Grouping("api")
archive = Grouping("archive")
chats = Grouping("chats", **_of_values)
chatviews = Grouping("chatviews")
commands = Grouping("commands")
connection = Grouping("connection")
contacts = Grouping("contacts")
disco = Grouping("disco")
iq = Grouping("iq")
pubsub = Grouping("pubsub")
rooms = Grouping("rooms", **_of_values)
tokens = Grouping("tokens")
user = Grouping("user")
vcard = Grouping("vcard")

Command = types.Command
Message = types.Message
Contact = types.Contact
Room = types.Room
Occupant = types.Occupant
Webhook = types.Webhook
DueTime = types.DueTime
IqRequest = types.IqRequest
PluginRequest = types.PluginRequest
PubsubItem = types.PubsubItem
Undecryptable = types.Undecryptable
Hook = types.Hook

__all__ = [
    "Affiliation", "Command", "Contact", "DueTime", "Element", "Error", "Hook", "IqRequest", "Jid", "Kind", "Message", "Occupant", "OwnEvent", "Page",
    "People", "PluginRequest", "PubsubItem", "Range", "Rest", "Role", "Room", "Subscription", "Timer", "Undecryptable", "Webhook", "acknowledge", "after", "answer",
    "api", "archive", "ask_author", "body_without_fallback", "chats", "chatviews", "command", "commands", "connection", "contacts", "dialogs", "disco", "emit",
    "errors", "escape", "every", "files", "hooks", "http", "iq", "moderation", "ns", "occupant_of", "off", "on", "on_mention", "on_ready", "on_start", "on_stop",
    "outgoing", "parse_xml", "plugins", "progress", "promise", "promises", "pubsub", "quoteattr", "reference_of", "reply", "reply_in_chat", "rooms",
    "say", "schedules", "send", "set_setting", "setting", "settings",
    "sleep", "spawn", "storage", "styling", "timers", "tokens", "types", "user", "vcard", "wait_until", "webhooks",
]
