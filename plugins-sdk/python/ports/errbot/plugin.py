"""The class that plugins of errbot inherit from."""

import contextlib
import logging
from typing import Any, Callable, Iterable, Iterator, Mapping, Optional

import parlor
from parlor_port import running as port
from parlor_port import texts
from parlor_port.kept import Kept, NotStored

from . import people
from .streams import Sent, Stream
from .utils import recurse_check_structure

_log = logging.getLogger("errbot")


class CommandError(Exception):
    """Why a command was not done. People are told the reason, which is a mapping if a template makes the text."""

    def __init__(self, reason: Any, template: Optional[str] = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.template = template


def rendered(template: str, values: Mapping[str, Any]) -> str:
    """The text that a template makes of these values. plugin.py has imported the templates, if there are any."""
    from .templating import render

    return render(template, values)


def _is_room(identifier: Any) -> Optional[bool]:
    """Whether it is a room. None: the text of its address does not tell."""
    return True if isinstance(identifier, people.Room) else False if isinstance(identifier, people.Person) else None


#: The plugins of the folder, by their names.
PLUGINS: "dict[str, BotPlugin]" = {}
#: By the names of values of the bot's configuration that are the plugin's own: the names of the settings, and how they are read.
OWN: dict[str, tuple[str, str]] = {}


class _Part:
    """Has some attributes of what it stands for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        # No `AttributeError`: `getattr(bot_config, "BOT_ADMINS", ())` would go on with no admins at all.
        raise NotImplementedError(f"{name} is the host's, and unknown here: `parlor plugin port` reports what to use instead")


class _BotConfig(_Part):
    """The part of the bot's configuration that plugins may read."""

    @property
    def BOT_PREFIX(self) -> str:
        """The prefix of commands: the setting `prefix`."""
        return str(parlor.setting("prefix", "!"))

    #: The host has one prefix.
    BOT_ALT_PREFIXES: tuple[str, ...] = ()

    def __getattr__(self, name: str) -> Any:
        if name not in OWN:
            return super().__getattr__(name)
        value = port.values_of({name: OWN[name]})[name]
        if value is None:
            # Plugins ask by `hasattr` whether the owner has set it.
            raise AttributeError(f"the owner has not set {OWN[name][0]}")
        return value


class _Bot(_Part):
    """The part of the bot that plugins may use."""

    #: The network.
    mode = "xmpp"

    def __init__(self, send: Callable[..., None]) -> None:
        self.bot_config = _BotConfig()
        self.send = send

    @property
    def prefix(self) -> str:
        """The prefix of commands."""
        return self.bot_config.BOT_PREFIX

    @property
    def bot_identifier(self) -> people.Person:
        """The bot itself."""
        return people.bot()

    def build_identifier(self, txtrep: str) -> people.Identifier:
        """Returns the person or room of an address."""
        return people.identifier(txtrep)

    def query_room(self, room: str) -> people.Room:
        """A room by its address."""
        return people.Room(str(room))

    def rooms(self) -> list[people.Room]:
        """The rooms that the account is in. Needs `rooms.read`."""
        return [people.Room(str(one.jid)) for one in parlor.rooms.get_all()]


class BotPlugin:
    """A plugin. It is also a mapping, which is kept: what is taken out of it is a copy, and has to be put back."""

    def __init__(self, bot: Any = None, name: Optional[str] = None) -> None:
        self.name = name or type(self).__name__
        self.log = logging.getLogger(f"errbot.plugins.{self.name}")
        self.config: Any = None
        self.is_activated = False
        self._bot = _Bot(self.send)
        self.mode = self._bot.mode
        self.bot_config = self._bot.bot_config
        self._parlor_kept = Kept(f"{self.name}/")
        self._parlor_outbox = people.outbox
        self._parlor_pollers: list[_Poll] = []

    def get_plugin(self, name: str) -> "BotPlugin":
        """Another plugin of the same folder, by its name."""
        if name not in PLUGINS:
            raise NotImplementedError(f"there is no {name} in the folder of this plugin, and others answer requests: `parlor.plugins`")
        return PLUGINS[name]

    # The life of the plugin

    def activate(self) -> None:
        """Called when the plugin starts."""
        self.is_activated = True

    def deactivate(self) -> None:
        """Called when it ends."""
        self.is_activated = False
        for one in list(self._parlor_pollers):
            one.end()

    def callback_connect(self) -> None:
        """Called once the account is connected."""

    def callback_message(self, message: Any) -> None:
        """Called with each message."""

    def callback_mention(self, message: Any, mentioned_people: Any) -> None:
        """Called with each message in a room that names the bot."""

    def callback_stream(self, stream: Stream) -> None:
        """Called with each file that somebody sends. Needs `files.read`."""

    def callback_room_joined(self, room: Any, user: Any = None, invited_by: Any = None) -> None:
        """Called with each room that the account enters; one that takes a person, with each person who enters a room. Needs `rooms.read`."""

    def callback_room_left(self, room: Any, user: Any = None, kicked_by: Any = None) -> None:
        """The same, with those who leave."""

    def callback_room_topic(self, room: Any) -> None:
        """Called with each room whose subject changes. Needs `rooms.read`."""

    def callback_reaction(self, reaction: Any) -> None:
        """Called with each reaction to a message, and with each that is withdrawn."""

    # Settings

    def get_configuration_template(self) -> Any:
        """The settings with their defaults."""
        return None

    def check_configuration(self, configuration: Any) -> None:
        """Raises if the settings are not what they should be."""
        template = self.get_configuration_template()
        if template is not None and configuration is not None:
            recurse_check_structure(template, configuration)

    def configure(self, configuration: Any) -> None:
        """Takes the settings."""
        self.config = configuration

    # Saying something

    @property
    def bot_identifier(self) -> people.Person:
        """The bot itself."""
        return self._bot.bot_identifier

    def build_identifier(self, txtrep: str) -> people.Identifier:
        """Returns the person or room of an address."""
        return self._bot.build_identifier(txtrep)

    def query_room(self, room: str) -> people.Room:
        """A room by its address."""
        return self._bot.query_room(room)

    def rooms(self) -> list[people.Room]:
        """The rooms that the account is in. Needs `rooms.read`."""
        return self._bot.rooms()

    def send(
        self, identifier: Any, text: Any, in_reply_to: Any = None, groupchat_nick_reply: bool = False, message_type: Any = None
    ) -> None:
        """Says a text with the signs of Markdown to a person or in a room, once the function that says it returns or yields."""
        if identifier is None:
            raise ValueError("it is to be sent to nobody")
        reply_to = getattr(in_reply_to, "of_parlor", None)
        text = texts.of_markdown(str(text))
        if groupchat_nick_reply and in_reply_to is not None and in_reply_to.is_group:
            text = f"{in_reply_to.nick}: {text}"
        self._parlor_outbox.put(str(identifier), text, reply_to, _is_room(identifier))

    def send_stream_request(
        self, user: Any, fsource: Any, name: Optional[str] = None, size: Optional[int] = None, stream_type: Optional[str] = None
    ) -> Stream:
        """Sends a file, once the function that sends it returns or yields. Needs `files.send`."""
        if user is None:
            raise ValueError("it is to be sent to nobody")
        stream = Stream(user, fsource, name, size, stream_type)
        sent = Sent(stream)

        async def message() -> Any:
            return parlor.outgoing(files=[await sent.upload()])

        self._parlor_outbox.put_later(str(user), message, _is_room(user))
        return stream

    def send_templated(
        self, identifier: Any, template_name: str, template_parameters: Mapping[str, Any], in_reply_to: Any = None,
        groupchat_nick_reply: bool = False,
    ) -> None:
        """Says what a template makes of these values."""
        self.send(identifier, rendered(template_name, template_parameters), in_reply_to, groupchat_nick_reply)

    def send_card(
        self, body: str = "", to: Any = None, in_reply_to: Any = None, summary: Optional[str] = None, title: str = "", link: Optional[str] = None,
        image: Optional[str] = None, thumbnail: Optional[str] = None, color: Optional[str] = None, fields: Any = (),
    ) -> None:
        """Says what a card has as a text."""
        where = to if to is not None else getattr(in_reply_to, "to" if getattr(in_reply_to, "is_group", False) else "frm", None)
        head = f"**{title}**" if title else ""
        lines = [head, link or "", summary or "", body, *(f"{name}: {value}" for name, value in fields), image or ""]
        self.send(where, "\n".join(line for line in lines if line), in_reply_to)

    # Pollers

    @property
    def current_pollers(self) -> list[tuple[Callable[..., Any], list[Any], dict[str, Any]]]:
        """The methods that are called again and again, with what they are given."""
        return [(one.method, list(one.args), one.named) for one in self._parlor_pollers]

    def start_poller(
        self, interval: float, method: Callable[..., Any], times: Optional[int] = None, args: Any = None, kwargs: Any = None
    ) -> None:
        """Calls a method each so many seconds, the first time when they have passed."""
        poll = _Poll(self, method, times, _given(args), dict(kwargs or {}))
        poll.timer = parlor.every(interval, poll.ring)
        self._parlor_pollers.append(poll)

    def stop_poller(self, method: Callable[..., Any], args: Any = None, kwargs: Any = None) -> None:
        """Calls it no more. It may be called with several arguments: without any, all of these end."""
        given = (_given(args), dict(kwargs or {}))
        for one in [one for one in self._parlor_pollers if one.method == method]:
            if given in (((), {}), (one.args, one.named)):
                one.end()

    async def _parlor_flush(self) -> None:
        """Writes what is kept, and says what is to be said. Nothing is said about changes that were not stored."""
        try:
            # It may have changed what others of the folder keep.
            for one in [self, *(other for other in PLUGINS.values() if other is not self)]:
                await one._parlor_kept.flush()
        except NotStored:
            self._parlor_outbox.drop()
            raise
        await self._parlor_outbox.flush()

    # The mapping

    def __getitem__(self, key: str) -> Any:
        return self._parlor_kept[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._parlor_kept[key] = value

    def __delitem__(self, key: str) -> None:
        del self._parlor_kept[key]

    def __contains__(self, key: object) -> bool:
        return key in self._parlor_kept

    def __iter__(self) -> Iterator[str]:
        return iter(self._parlor_kept)

    def __len__(self) -> int:
        return len(self._parlor_kept)

    def __bool__(self) -> bool:
        return True

    def get(self, key: str, default: Any = None) -> Any:
        """The value, or another one."""
        return self._parlor_kept.get(key, default)

    def keys(self) -> Any:
        """All keys."""
        return self._parlor_kept.keys()

    def values(self) -> Any:
        """All values."""
        return self._parlor_kept.values()

    def items(self) -> Any:
        """All keys with their values."""
        return self._parlor_kept.items()

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The value, which is put there if there is none."""
        return self._parlor_kept.setdefault(key, default)

    def pop(self, key: str, *default: Any) -> Any:
        """Takes a value out."""
        return self._parlor_kept.pop(key, *default)

    def update(self, values: Optional[Mapping[str, Any]] = None, **more: Any) -> None:
        """Puts several values in."""
        self._parlor_kept.update(values or {}, **more)

    def clear(self) -> None:
        """Takes everything out."""
        self._parlor_kept.clear()

    @contextlib.contextmanager
    def mutable(self, key: str, default: Any = None) -> Iterator[Any]:
        """A value that is put back when the block ends."""
        value = self._parlor_kept.get(key, default)
        yield value
        self._parlor_kept[key] = value


def _given(args: Any) -> tuple[Any, ...]:
    """The arguments of a poller. Some plugins write one without a comma: `args=(3)`."""
    return tuple(args) if isinstance(args, Iterable) else () if args is None else (args,)


class _Poll:
    """A method that is called again and again."""

    def __init__(self, plugin: BotPlugin, method: Callable[..., Any], times: Optional[int], args: tuple[Any, ...], named: dict[str, Any]) -> None:
        self._plugin = plugin
        self.method = method
        self._left = times
        self.args = args
        self.named = named
        self._runs = False
        self.timer: Any = None

    def end(self) -> None:
        """Has it be called no more."""
        self.timer.cancel()
        if self in self._plugin._parlor_pollers:
            self._plugin._parlor_pollers.remove(self)

    async def ring(self) -> None:
        """Calls it, unless the call before goes on."""
        if self._runs:
            return
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                self.end()
                return
        self._runs = True
        try:
            await port.done(self.method(*self.args, **self.named))
        except Exception:
            # One that fails is called again nevertheless.
            _log.exception("the poller %s failed", getattr(self.method, "__name__", self.method))
        finally:
            self._runs = False
            await self._plugin._parlor_flush()
