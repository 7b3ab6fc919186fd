"""Gives a plugin's commands to the host, and the host's events to the plugin."""

import asyncio
import inspect
import json
import logging
import re
import shlex
from functools import partial
from typing import Any, Awaitable, Callable, Iterable, Mapping, Optional
from urllib.parse import parse_qs

import parlor
from parlor import People, Rest, setting
from parlor_port import files, places, routes, texts
from parlor_port import running as port
from parlor_port.kept import NotStored

from . import heard, people, requested, streams
from .decorators import NOTED, Declared
from .flows import Flows, steps_of
from .plugin import OWN, PLUGINS, BotPlugin, CommandError, rendered
from .utils import ValidationException

_log = logging.getLogger("errbot")

#: All plugins of the folder.
_runners: "list[Runner]" = []
#: The names that the host takes for commands.
_NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")
#: How many commands a plugin may have.
_MOST = 64
#: Why a handler did not do what was asked, in words for people.
_TOLD = (CommandError, ValidationException)


def run(
    kind: type[BotPlugin],
    name: str,
    settings: Optional[Mapping[str, tuple[str, str]]] = None,
    webhooks: Optional[Mapping[str, str]] = None,
    keeps: bool = False,
    flows: Iterable[type] = (),
    config: Optional[Mapping[str, tuple[str, str]]] = None,
) -> None:
    """Runs a plugin. `settings`: by the keys that it uses, the names of the settings and how they are read. `webhooks`: by its methods,
    the names of the webhooks. `keeps`: whether it keeps something, and so asks for `storage`. `flows`: the classes
    with flows of its commands. `config`: the same as `settings`, for values of the bot's configuration."""
    OWN.update(config or {})
    Runner(kind, name, settings or {}, webhooks or {}, keeps, flows).begin()


class Runner:
    """One plugin."""

    def __init__(
        self, kind: type[BotPlugin], name: str, settings: Mapping[str, tuple[str, str]], webhooks: Mapping[str, str], keeps: bool,
        flows: Iterable[type],
    ) -> None:
        self._kind = kind
        self._name = name
        self._keeps = keeps
        self._settings = settings
        self._webhooks = webhooks
        self._plugin: Any = None
        #: Handlers wait for it: before, the mapping is empty.
        self._loaded = asyncio.Event()
        self._loading = asyncio.Lock()
        _runners.append(self)
        #: The methods with their declarations.
        self._declared: list[tuple[str, Declared]] = []
        for attribute in dir(kind):
            declared = getattr(getattr(kind, attribute, None), NOTED, None)
            if isinstance(declared, Declared):
                self._declared.append((attribute, declared))
        patterns = [one for one in self._declared if one[1].kind == "pattern"]
        # The host checks who gives a command, but nobody checks who writes a message: a pattern for admins is for nobody.
        self._patterns = [one for one in patterns if not one[1].admin_only]
        self._closed = [method for method, declared in patterns if declared.admin_only]
        self._filters = [method for method, declared in self._declared if declared.kind == "filter"]
        self._prefix = "!"
        #: Only one file is in memory at a time, also if several messages have some.
        self._reading = asyncio.Lock()
        self._flows = Flows(flows, steps_of(kind).items(), lambda: self._prefix)
        self._takes_files = kind.callback_stream is not BotPlugin.callback_stream
        self._takes_reactions = kind.callback_reaction is not BotPlugin.callback_reaction
        self._rooms = heard.Rooms(kind, BotPlugin, self._tell)

    def begin(self) -> None:
        """Has the host call the plugin."""
        parlor.on_start(self._start)
        roots: dict[str, list[tuple[str, Declared]]] = {}
        for one in self._declared:
            if one[1].kind in ("command", "arguments"):
                roots.setdefault(one[1].words[0], []).append(one)
        apart: list[tuple[str, list[tuple[str, Declared]], bool, int]] = []
        for root, several in sorted(roots.items()):
            apart += self._commands(root, several)
        # The report names those that the host would not take. Those that cannot be given otherwise come first.
        named = sorted(one for one in apart if _NAME.fullmatch(one[0]) and one[0] not in roots)
        for name, same, is_closed, size in sorted(named, key=lambda one: one[2] == _is_closed(roots[one[0].partition("_")[0]]))[: _MOST - len(roots) - 1]:
            self._command(name, same, is_closed, size)
        if self._flows and "flows" not in roots:
            parlor.command("flows", help="Conversations: lists them, begins one, ends one", usage="list | start NAME | status | stop")(self._of_flows)
        for method, hook in self._webhooks.items():
            parlor.on("webhook", webhook=hook)(self._webhook(method))
        self._rooms.begin()
        if self._takes_reactions:
            parlor.on("message", kind="groupchat", own=True)(places.echo)
        if self._patterns or self._takes_files or self._takes_reactions or self._kind.callback_message is not BotPlugin.callback_message:
            parlor.on("message")(self._hear)
        if self._kind.callback_mention is not BotPlugin.callback_mention:
            parlor.on_mention(self._mention)
        parlor.on_ready(self._ready)
        parlor.on_stop(self._stop)

    # The life of the plugin

    async def _start(self) -> None:
        for one in _runners:
            await one._load()
        # A plugin's own methods may be coroutines.
        plugin: Any = self._plugin
        if self._closed:
            _log.warning("never called: %s. `@re_botcmd(admin_only=True)` does not work here; use `@botcmd(admin_only=True)`", ", ".join(self._closed))
        # The manifest has this setting only if something of the plugin needs it.
        if self._flows or any(declared.prefixed for _, declared in self._patterns):
            self._prefix = str(setting("prefix", "!"))
        config = port.values_of(self._settings) if self._settings else None
        # Without settings there is nothing to check.
        if config is not None:
            await port.done(plugin.check_configuration(config))
        await port.done(plugin.configure(config))
        await port.done(plugin.activate())
        await plugin._parlor_flush()

    async def _load(self) -> None:
        """Makes the plugin, and reads what it keeps: others of the folder may ask for it before it starts."""
        async with self._loading:
            if self._plugin is None:
                self._plugin = PLUGINS[self._name] = self._made()
            if self._keeps and not self._loaded.is_set():
                await self._plugin._parlor_kept.load()
            self._loaded.set()

    def _made(self) -> BotPlugin:
        # Those of earlier versions were made without a name, and some take nothing of the bot's.
        several: tuple[tuple[Any, ...], ...] = ((None, self._name), (None,))
        for given in several:
            try:
                inspect.signature(self._kind).bind(*given)
            except TypeError:
                continue
            return self._kind(*given)
        return self._kind()

    async def _ready(self) -> None:
        await self._loaded.wait()
        self._plugin._parlor_outbox.is_open = True
        await port.done(self._plugin.callback_connect())
        await self._plugin._parlor_flush()
        await self._rooms.ready()

    async def _stop(self) -> None:
        if self._plugin is not None:
            await port.done(self._plugin.deactivate())
            await self._plugin._parlor_flush()

    # Commands

    def _commands(self, root: str, several: list[tuple[str, Declared]]) -> list[tuple[str, list[tuple[str, Declared]], bool, int]]:
        """Declares the command whose name is the first word of several. Returns those with a name of all their words, such as `basket_empty`,
        which people may write as well. The host knows by the name of a command who may give it: if some are for admins, and others are not,
        those that the first word does not fit are only given so."""
        self._command(root, several, _is_closed(several))
        apart = {declared.words: declared.admin_only for _, declared in several if len(declared.words) > 1}
        return [
            ("_".join(words), [one for one in several if one[1].words[: len(words)] == words], is_closed, len(words))
            for words, is_closed in apart.items()
        ]

    def _command(self, name: str, several: list[tuple[str, Declared]], is_closed: bool, named: int = 1) -> None:
        """Declares one command of the host. `is_closed`: for the owners alone. `named`: how many words of its commands the name has."""
        listed = [one for one in several if is_closed or not one[1].admin_only]
        alone = listed[0][1] if len(listed) == 1 and len(listed[0][1].words) == named else None
        help = port.first_line(alone.help if alone else _helps(listed, named))

        async def give(command: parlor.Command) -> None:
            await self._give(several, command, is_closed, named)

        async def give_rest(command: parlor.Command, args: Rest = Rest("")) -> None:
            await self._give(several, command, is_closed, named)

        if is_closed:
            # The host knows who may give a command only where it reads the arguments: they are one text then.
            parlor.command(name, help=help, allow=[People.owners()])(give_rest)
        else:
            # A method of errbot gets any words, also where no usage names them. Without a usage, the host would refuse them.
            parlor.command(name, help=help, usage=port.first_line(_usage(listed, named)) or "[TEXT]")(give)

    async def _of_flows(self, command: parlor.Command) -> None:
        await self._loaded.wait()
        message = people.message(command.message)
        async with self._flows.lock(message):
            answer = await self._flows.command(message, command.rest)
        await parlor.reply(command, answer)

    async def _give(self, several: list[tuple[str, Declared]], command: Any, is_closed: bool, named: int) -> None:
        found = _longest(several, command.rest, named)
        if found is None:
            shown = [one for _, one in several if not one.hidden and (is_closed or not one.admin_only)]
            await parlor.reply(command, f"There is: {', '.join(self._prefix + ' '.join(one.words) for one in shown)}")
            return
        method, declared, rest = found
        # The host has let everybody give this command.
        if declared.admin_only and not is_closed:
            written, own = (f"{self._prefix}{by.join(declared.words)}" for by in (" ", "_"))
            await parlor.reply(command, f"{written} is for the owners of this bot, who write {own} in a private chat.")
            return
        await self._loaded.wait()
        message = people.message(command.message)
        passed = await self._filtered(command.message, message, method, declared, rest)
        if passed is None:
            return
        message, method, declared, rest = passed

        call = partial(self._carry_out, command, message, method, declared, rest)
        # Others do not wait for a command that takes long, unless it is a step.
        if not self._flows.has(declared) and not declared.flow_only:
            await call()
            return
        async with self._flows.lock(message):
            if not self._flows.may(message, declared):
                await parlor.reply(command, f"{declared.shown(self._prefix)} is a step of a flow, which has not come to it.")
                return
            await self._flows.step(message, declared, call, self._executed, partial(parlor.reply, command.message))

    async def _executed(self, method: str, declared: Declared, message: people.Message) -> bool:
        """Carries out a command that nobody wrote: a step that a flow takes by itself."""
        passed = await self._filtered(message.of_parlor, message, method, declared, None if declared.kind == "pattern" else "")
        if passed is None:
            return False
        given, method, declared, rest = passed
        is_done = await self._carry_out(message.of_parlor, given, method, declared, rest)
        message.ctx = given.ctx
        return is_done

    async def _carry_out(self, to: Any, message: people.Message, method: str, declared: Declared, rest: Any) -> bool:
        """Calls a command. `to`: who is told of arguments that do not fit. Gives whether it did what was asked."""
        try:
            arguments, named = ((rest,), {}) if declared.kind == "pattern" else _arguments(declared, rest)
        except ValueError as error:
            await parlor.reply(to, str(error))
            return False
        return await self._answer(message.of_parlor, self._bound(method), (message, *arguments), named, declared.template)

    def _bound(self, method: str) -> Any:
        """A method of the plugin's class. The plugin itself may have another value of that name by now, such as `self.mute` of `!mute`."""
        return inspect.getattr_static(self._kind, method).__get__(self._plugin, self._kind)

    async def _filtered(
        self, to: Any, message: people.Message, method: str, declared: Declared, args: Any
    ) -> Optional[tuple[people.Message, str, Declared, Any]]:
        """Asks the filters of the plugin about a command. None: one of them stops it. One that fails stops it, too."""
        came = message.of_parlor
        for one in self._filters:
            try:
                verdict = await port.done(self._bound(one)(message, declared.name, args, False))
            finally:
                await self._plugin._parlor_flush()
            if isinstance(verdict, str):
                await parlor.reply(to, texts.of_markdown(verdict))
            if not isinstance(verdict, (tuple, list)) or len(verdict) != 3 or verdict[1] is None:
                return None
            _, name, args = verdict
            if isinstance(verdict[0], people.Message):
                message = verdict[0]
                # It decides whose flow goes on.
                message.of_parlor = came
            if name != declared.name:
                other = next((found for found in steps_of(self._kind).items() if found[1].name == name), None)
                # The host has checked who gives the command that was written, and no other one.
                if other is None or other[1].admin_only and not declared.admin_only or other[1].kind == "pattern":
                    _log.warning("the filter %s names the command %s, which cannot be given in the place of %s", one, name, declared.name)
                    return None
                method, declared = other
        return message, method, declared, args

    async def _answer(
        self, to: Any, function: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any], template: Optional[str]
    ) -> bool:
        """Calls a handler, and says what it answers. Gives whether it did what was asked."""
        done = True
        try:
            try:
                async for one in port.answers(function(*arguments, **named)):
                    await self._plugin._parlor_flush()
                    text = _text(one, template)
                    if text:
                        places.said(to.chat, str(await parlor.reply(to, texts.of_markdown(text))))
            except _TOLD as error:
                done = False
                await parlor.reply(to, texts.of_markdown(_reason(error)) or type(error).__name__)
            finally:
                await self._plugin._parlor_flush()
        except NotStored as error:
            await parlor.reply(to, f"Nothing was stored: {error.reason}")
            raise
        return done

    # Messages

    async def _hear(self, message: Any) -> None:
        has_files = self._takes_files and files.of_message(message)
        has_reactions = places.has_reactions(message)
        has_nothing = message.body is None and not has_files and not has_reactions
        if message.carbon or message.own or places.takes_back(message) or has_nothing:
            return
        await self._loaded.wait()
        if has_reactions:
            several = heard.reactions(message) if self._takes_reactions else []
            await port.each(_log, [partial(self._called, self._plugin.callback_reaction, one) for one in several])
            return
        made = people.message(message)
        steps: list[Callable[[], Awaitable[None]]] = []
        if has_files:
            steps += (partial(self._take_file, one, made.frm) for one in files.of_message(message))
        if message.body is None:
            await port.each(_log, steps)
            return
        if self._kind.callback_message is not BotPlugin.callback_message:
            steps.append(partial(self._called, self._plugin.callback_message, made))
        # Another one answers a command.
        if not message.command:
            steps.append(partial(self._search, message, made))
        await port.each(_log, steps)

    async def _tell(self, method: str, *arguments: Any) -> None:
        """Calls a method of this name."""
        await self._loaded.wait()
        await self._called(getattr(self._plugin, method), *arguments)

    async def _take_file(self, file: Any, sender: Any) -> None:
        """Reads a file, and gives it to the plugin."""
        async with self._reading:
            stream = await streams.read(file, sender)
            if stream is not None:
                await self._called(self._plugin.callback_stream, stream)

    async def _called(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Calls a method, and writes what it kept, also if it fails."""
        try:
            return await port.done(function(*arguments, **named))
        finally:
            await self._plugin._parlor_flush()

    async def _search(self, message: Any, made: people.Message) -> None:
        """Calls the methods whose regular expressions are found."""
        found = [(method, declared, match) for method, declared in self._patterns if (match := self._match(made.body, declared))]
        steps = [one for one in found if self._flows.has(one[1])]
        calls = [partial(self._matched, message, made, *one) for one in found if not self._flows.has(one[1]) and not one[1].flow_only]
        await port.each(_log, [partial(self._take_step, message, made, steps), *calls] if steps else calls)

    async def _take_step(self, message: Any, made: people.Message, found: list[tuple[str, Declared, Any]]) -> None:
        """Calls the methods that are steps of flows, and have found something in a message."""
        async with self._flows.lock(made):
            # One message is one step: those that belong to the step after it are not called.
            is_next = [one for one in found if self._flows.is_next(made, one[1])][:1]
            others = [one for one in found if not one[1].flow_only and not self._flows.is_next(made, one[1])]
            await port.each(_log, [partial(self._matched, message, made, *one) for one in is_next + others])

    def _match(self, text: str, declared: Declared) -> Any:
        """Returns where the regular expression of a method is found in a text."""
        if declared.prefixed:
            if not text.startswith(self._prefix):
                return None
            text = text[len(self._prefix) :]
        pattern: Any = declared.pattern
        return list(pattern.finditer(text)) if declared.matchall else pattern.search(text)

    async def _matched(self, message: Any, made: people.Message, method: str, declared: Declared, match: Any) -> None:
        passed = await self._filtered(message, made, method, declared, match)
        # The filter may have named another command.
        if passed is None or not self._flows.may(made, passed[2]):
            return
        given, method, declared, rest = passed

        async def call() -> bool:
            return await self._answer(message, self._bound(method), (given, rest), {}, declared.template)

        await self._flows.step(given, declared, call, self._executed, partial(parlor.reply, message))

    async def _mention(self, message: Any) -> None:
        await self._loaded.wait()
        await self._called(self._plugin.callback_mention, people.message(message), [people.bot()])

    # Webhooks

    def _webhook(self, method: str) -> Callable[..., Any]:
        declared: Declared = getattr(getattr(self._kind, method), NOTED)
        route = routes.of_angles(declared.rule)

        async def take(hook: Any) -> None:
            # The address is the host's: only parameters are read from what stands below it.
            values = route.values(hook.path) if route else {}
            if values is None:
                await parlor.webhooks.answer(hook, 404, text="the plugin knows no such path")
                return
            request, response = requested.begin(hook)
            try:
                given = request if declared.raw else _sent(hook, declared.form_param)
            except ValueError as error:
                await parlor.webhooks.answer(hook, 400, text=str(error))
                return
            await self._loaded.wait()
            try:
                answer = await self._called(self._bound(method), given, **values)
            except requested.Answered as error:
                answer = error
            if isinstance(answer, requested.Answered):
                response.status, given = answer.status, answer.body
                response.headers.update(answer.headers)
                answer = given
            await _respond(hook, answer, response)

        return take


async def _respond(hook: Any, answer: Any, response: requested.Response) -> None:
    """Gives the host the answer to a request: what a method returns, or a text with a status and headers."""
    status, headers = response.status_code, response.headers
    if isinstance(answer, tuple) and answer:
        status = next((one for one in answer[1:] if isinstance(one, int)), status)
        for one in answer[1:]:
            headers.update(one if isinstance(one, dict) else {})
        answer = answer[0]
    given: dict[str, Any] = {"json": answer} if isinstance(answer, (dict, list)) else {"data": answer} if isinstance(answer, bytes) else {"text": _text(answer)}
    await parlor.webhooks.answer(hook, status, headers=dict(headers) or None, **given)


def _is_closed(several: list[tuple[str, Declared]]) -> bool:
    """Whether the first word of several commands is for the owners alone: if all are for admins, or the one without a further word is."""
    return all(one.admin_only for _, one in several) or any(one.admin_only and len(one.words) == 1 for _, one in several)


def _helps(several: list[tuple[str, Declared]], named: int) -> str:
    """The words behind the first `named` ones of several commands, each with what it does, as far as one line has room."""
    shown = [(" ".join(one.words[named:]), port.first_line(one.help, 80)) for _, one in several]
    long = "; ".join(f"{words}: {does}" if words and does else words or does for words, does in shown if words or does)
    return long if len(long.encode()) <= 250 else ", ".join(words for words, _ in shown if words)


def _longest(several: list[tuple[str, Declared]], rest: str, named: int) -> Optional[tuple[str, Declared, str]]:
    """The command whose words behind the first `named` ones the text begins with, the longest one, and what is left of the text."""
    best = None
    for method, declared in several:
        left: Optional[str] = rest
        for word in declared.words[named:]:
            first, _, after = (left or "").lstrip().partition(" ")
            left = after if left is not None and first.lower() == word else None
            if left is None:
                break
        if left is not None and (best is None or len(declared.words) > len(best[1].words)):
            best = (method, declared, left.strip())
    return best


def _arguments(declared: Declared, rest: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Returns the arguments of a command. `ValueError`: what people wrote is not what it takes."""
    if declared.kind == "command":
        # A filter may have split it already.
        if declared.split_args_with == "" or not isinstance(rest, str):
            return (rest,), {}
        return (rest.split(declared.split_args_with),), {}
    parsed = declared.parser().parse_args(shlex.split(rest))
    return ((), vars(parsed)) if declared.unpack_args else ((parsed,), {})


def _usage(several: list[tuple[str, Declared]], named: int) -> str:
    """Returns the text behind the name, which has the first `named` words."""
    if len(several) > 1 or len(several[0][1].words) > named:
        return " | ".join(" ".join(one.words[named:]) for _, one in several if len(one.words) > named)
    declared = several[0][1]
    if declared.kind == "arguments":
        return " ".join(declared.parser().format_usage().split()[1 + named :])
    return declared.syntax


def _text(answer: Any, template: Optional[str] = None) -> str:
    if answer is None:
        return ""
    if isinstance(answer, Mapping):
        if template:
            return rendered(template, answer)
        return "\n".join(str(one) for one in answer.values())
    return str(answer)


def _reason(error: Exception) -> str:
    """Why a command was not done: with a template, what it makes of the reason."""
    if isinstance(error, CommandError) and error.template and isinstance(error.reason, Mapping):
        return rendered(error.template, error.reason)
    return str(error)


def _sent(hook: Any, form: Optional[str]) -> Any:
    """Returns the body of the request: JSON as its value, a form as a mapping, else a text. Many senders of JSON name another type."""
    kind = hook.headers.get("content-type", "").partition(";")[0].strip().lower()
    if form is not None:
        values = parse_qs(hook.text).get(form)
        if values is None:
            raise ValueError(f"the form has no {form}")
        return _json_or_text(values[0])
    if kind.endswith("json"):
        return hook.json()
    if kind == "application/x-www-form-urlencoded":
        return {key: values[0] for key, values in parse_qs(hook.text).items()}
    return _json_or_text(hook.text)


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
