"""Gives a plugin's commands to the host, and the host's events to the plugin."""

import asyncio
import inspect
import logging
from functools import partial
from typing import Any, Awaitable, Callable, Iterator, Mapping, Optional

import parlor
from mautrix.types import EventType
from mautrix.util.config import BaseProxyConfig
from parlor_port import files, places, ready
from parlor_port import running as port

# The client needs it while the plugin runs, where there are no files to import from.
from . import history as _history
from .client import Client
from .events import Replies, message_event, message_events, reaction_events
from .handlers import command as commands
from .handlers import event as events
from .levels import Seen
from .loader import PluginLoader, PluginMeta
from .plugin_base import Plugin
from .room_texts import Texts
from .state import invite_event, member_event, name_event, redaction_event
from .webapp import PluginWebApp, address

_log = logging.getLogger("maubot")


def run(
    kind: type[Plugin],
    name: str,
    settings: Optional[Mapping[str, tuple[str, str]]] = None,
    hears: bool = False,
    webhook: str = "",
    slash: bool = False,
    watches: bool = False,
    database: str = "",
    meta: Optional[Mapping[str, str]] = None,
    replies: bool = False,
    levels: bool = False,
    texts: bool = False,
) -> None:
    """Runs a plugin. `settings`: by the keys that it uses, the names of the settings and how they are read. `hears`: whether it listens to
    messages, and so asks for `messages.read`. `webhook`: the name of its webhook, if it takes requests. `slash`: whether it puts paths
    behind the address of the webhook without a `/`. `watches`: whether it listens to people who enter and leave rooms, and so asks for
    `rooms.read`. `database`: the package by whose names it uses a database, `asyncpg` or `sqlalchemy`. It asks for `storage` then. `meta`: the
    version and the license in maubot.yaml, if it reads them. `replies`: whether it knows answers by `RelationType.REPLY`, as older ones do.
    `levels`: whether it listens to the levels of people, and so asks for `rooms.read`. `texts`: the same for names and subjects of rooms."""
    Replies.have_type = replies
    Runner(kind, name, settings or {}, hears, webhook, slash, watches, database, meta or {}, levels, texts).begin()


class Runner:
    """One plugin."""

    def __init__(
        self, kind: type[Plugin], name: str, settings: Mapping[str, tuple[str, str]], hears: bool, webhook: str, slash: bool, watches: bool,
        database: str, meta: Mapping[str, str], levels: bool, texts: bool,
    ) -> None:
        self._kind = kind
        self._name = name
        self._settings = settings
        self._hears = hears
        self._webhook = webhook
        self._slash = slash
        self._watches = watches
        self._levels = levels
        self._texts = texts
        self._meta = PluginMeta(name, **meta)
        #: Opens the database of a plugin. None: it has none.
        self._open = _opener(database)
        #: Requests wait for it: before, the plugin and its other objects are not there.
        self._started = asyncio.Event()
        #: Commands wait for it: before, the plugin and its database are not there.
        self._made = asyncio.Event()
        self._plugin: Any = None
        self._passives: list[tuple[Callable[..., Any], commands.Passive]] = []
        self._listeners: list[tuple[Callable[..., Any], EventType]] = []

    def begin(self) -> None:
        """Has the host call the plugin."""
        parlor.on_start(self._start)
        ready.begin()
        # The others have names that the plugin makes when it starts.
        for command in _commands(self._kind):
            if not command.is_of_settings:
                self._command(command, lambda: self._plugin)
        if self._hears:
            parlor.on("message")(self._hear)
            parlor.on("message", kind="groupchat", own=True)(places.echo)
        if self._watches:
            parlor.on("occupantJoined")(partial(self._member, True))
            parlor.on("occupantLeft")(partial(self._member, False))
            parlor.on("occupantChanged")(partial(self._state, name_event))
            parlor.on("roomInviteReceived")(partial(self._state, invite_event))
        if self._levels:
            self._watch_levels(Seen())
        if self._texts:
            self._watch_texts(Texts())
        if self._webhook:
            parlor.on("webhook", webhook=self._webhook)(self._take)
        parlor.on_stop(self._stop)

    def _watch_levels(self, seen: Seen) -> None:
        """Listens to what becomes of people in rooms."""
        parlor.on_ready(seen.ready)
        parlor.on("chatRoomOpened")(partial(_note, seen.enter))
        parlor.on("roomLeft")(partial(_note, seen.leave))
        parlor.on("occupantJoined")(partial(_note, seen.join))
        parlor.on("occupantLeft")(partial(_note, seen.part))
        parlor.on("occupantChanged")(partial(self._state, seen.change))
        parlor.on("affiliationChanged")(partial(self._state, seen.affiliate))

    def _watch_texts(self, seen: Texts) -> None:
        """Listens to names and subjects of rooms."""
        parlor.on_ready(seen.ready)
        parlor.on("chatRoomOpened")(partial(self._state, seen.entered))
        parlor.on("roomLeft")(partial(_note, seen.leave))
        parlor.on("roomSubjectChanged")(partial(self._state, seen.subject))
        for event in ("occupantJoined", "occupantLeft", "occupantChanged"):
            parlor.on(event)(partial(self._state, seen.of_occupant))
        if self._hears:
            parlor.on("message", kind="groupchat")(partial(self._state, seen.of_message))

    async def _start(self) -> None:
        values = port.values_of(self._settings)
        of_config = self._kind.get_config_class()
        config = of_config(values) if of_config is not None else BaseProxyConfig(values) if values else None
        plugin = self._object(config)
        plugin.loader = PluginLoader(self._meta)
        if self._webhook:
            plugin.webapp = PluginWebApp()
            plugin.webapp_url = await address(self._webhook, self._slash)
        if self._open is not None:
            plugin.database = await self._open(self._kind)
        self._plugin = plugin
        self._made.set()
        await ready.unless_waiting(self._begin(plugin))

    async def _begin(self, plugin: Any) -> None:
        """Lets the plugin start, and gives the host its handlers."""
        await port.done(plugin.pre_start())
        await port.done(plugin.start())
        # The plugin may have changed what the names of its commands are made from, and have made more objects with handlers.
        for owner in [plugin, *plugin._parlor_handlers]:
            for command in _commands(type(owner)):
                if owner is not plugin or command.is_of_settings:
                    self._command(command, _always(owner))
            for found in _methods(owner):
                self._passives += ((found, waits) for waits in getattr(found, commands.PASSIVE, []))
                self._listeners += ((found, kind) for kind in getattr(found, events.NOTED, []))
                if self._webhook:
                    plugin.webapp.note(found)
        # So that the host has been asked to add them before it is told that the plugin has started.
        await parlor.sleep(0)
        self._started.set()

    def _object(self, config: Any) -> Any:
        given: dict[str, Any] = {"client": Client(), "instance_id": self._name, "config": config}
        parameters = inspect.signature(self._kind).parameters.values()
        # A plugin with an own `__init__` mostly passes on what it is given.
        if all(one.kind is not one.VAR_KEYWORD for one in parameters):
            given = {one.name: given[one.name] for one in parameters if one.name in given}
        return self._kind(**given)

    async def _stop(self) -> None:
        if self._plugin is not None:
            self._plugin.sched.stop()
            await port.done(self._plugin.pre_stop())
            await port.done(self._plugin.stop())

    # Commands

    def _command(self, command: commands.Command, owner: Callable[[], Any]) -> None:
        name = command.name_for(owner())
        help = port.first_line(command.help or command.__doc__)
        usage = port.first_line(command.usage("").removeprefix("Usage: ").strip())
        # Without a usage, the host would refuse words, which this one may get.
        usage = usage or ("" if command.must_consume_args else "[TEXT]")

        async def give(given: parlor.Command) -> None:
            await self._made.wait()
            event = message_event(self._plugin.client, given.message)
            await self._give(owner(), command, f"{commands.PREFIX}{name}", event, given.rest)

        # The host would read the arguments of one with aliases, as it does of one without a usage.
        for one in command.words_for(owner()):
            parlor.command(one, help=help, usage=usage)(give)

    async def _give(self, instance: Any, command: commands.Command, names: str, event: Any, rest: str) -> None:
        word, after = commands.first_word(rest)
        for one in commands.on(command.subcommands):
            if word and one.is_named(word, instance):
                await self._give(instance, one, f"{names} {one.name_for(instance)}", event, after)
                return
        if command.subcommands and command.require_subcommand:
            await event.reply(command.help_for(instance, names))
            return
        try:
            values = _values(instance, command, event, rest)
        except commands.ArgumentSyntaxError as error:
            text = str(error)
            await event.reply("\n".join(one for one in (text, command.usage(names) if error.show_usage else "") if one))
            return
        await port.done(command.function(instance, event, **values))

    # Requests over the web

    async def _take(self, hook: Any) -> None:
        await self._started.wait()
        await self._plugin.webapp.take(hook)

    # Messages

    async def _hear(self, message: Any) -> None:
        if self._plugin is None or message.carbon or message.own:
            return
        steps: list[Callable[[], Awaitable[None]]] = []
        for event in self._events(message):
            steps += (partial(_listen, event, *one) for one in self._listeners)
            steps += (partial(_search, event, *one) for one in self._passives)
        await port.each(_log, steps)

    async def _member(self, is_there: bool, occupant: Any) -> None:
        """Somebody has entered a room, or left it."""
        await self._state(partial(member_event, is_there=is_there), occupant)

    async def _state(self, event_of: Callable[[Any, Any], Any], about: Any) -> None:
        """Something has happened to a room, or to somebody there, or somebody invites the account."""
        if self._plugin is None:
            return
        event = event_of(self._plugin.client, about)
        if event is not None:
            await port.each(_log, [partial(_listen, event, *one) for one in self._listeners])

    def _events(self, message: Any) -> list[Any]:
        if places.takes_back(message):
            redaction = redaction_event(self._plugin.client, message)
            return [] if redaction is None else [redaction]
        if places.has_reactions(message) or message.body is None and not files.of_message(message):
            return reaction_events(self._plugin.client, message)
        return list(message_events(self._plugin.client, message))


def _opener(database: str) -> Optional[Callable[[type[Plugin]], Awaitable[Any]]]:
    """Returns the function that opens a database of this kind. Only plugins with one need SQLite, which has to be imported while the plugin is built."""
    if database == "sqlalchemy":
        from parlor_port.pages import Pages
        from parlor_port.plain import Plain
        from sqlalchemy.engine import Engine

        async def plain(_: type[Plugin]) -> Any:
            found = Plain(Pages("database/"))
            await found.open()
            return Engine(found)

        return plain
    if database:
        from mautrix.util.async_db import Database

        async def waiting(kind: type[Plugin]) -> Any:
            found = Database(upgrade_table=kind.get_db_upgrade_table())
            await found.start()
            return found

        return waiting
    return None


async def _note(note: Callable[[Any], None], about: Any) -> None:
    """Notes something that no method of the plugin is told of."""
    note(about)


async def _listen(event: Any, function: Callable[..., Any], kind: EventType) -> None:
    """Calls a method if the event is of its type."""
    if kind in (event.type, EventType.ALL) or kind in event.also:
        await port.done(function(event))


async def _search(event: Any, function: Callable[..., Any], waits: commands.Passive) -> None:
    """Calls a method if its regular expression is found."""
    found = waits.found(event) if waits.event_type is event.type else None
    if found is not None:
        await port.done(function(event, found))


def _always(value: Any) -> Callable[[], Any]:
    """A function that returns this."""
    return lambda: value


def _commands(kind: type) -> list[commands.Command]:
    """The commands of a class, without those that belong to another one, in the order of their names."""
    found = [one for one in (getattr(kind, name, None) for name in dir(kind)) if isinstance(one, commands.Command)]
    inner = {id(one) for command in found for one in command.subcommands}
    return [one for one in commands.on(dict.fromkeys(found)) if id(one) not in inner]


def _methods(owner: Any) -> Iterator[Any]:
    """The methods of an object that are no commands, in the order of their names."""
    for name in dir(type(owner)):
        kept = getattr(type(owner), name, None)
        if name.startswith("__") or isinstance(kept, (commands.Command, type)) or getattr(kept, events.OFF, False):
            continue
        if callable(kept):
            yield getattr(owner, name)


def _values(instance: Any, command: commands.Command, event: Any, rest: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for one in command.arguments:
        try:
            rest, value = one.match(rest, evt=event, instance=instance)
        except commands.ArgumentSyntaxError:
            raise
        except ValueError as error:
            raise commands.ArgumentSyntaxError(str(error)) from error
        if one.required and value is None:
            raise commands.ArgumentSyntaxError("")
        values[one.name] = value
        rest = rest.strip()
    if rest.strip() and command.must_consume_args:
        raise commands.ArgumentSyntaxError("")
    return values
