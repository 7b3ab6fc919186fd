"""Commands and their arguments, and messages in which a regular expression is found."""

import inspect
import re
from typing import Any, Callable, Iterable, Iterator, Mapping, Optional

from mautrix.types import EventType, MessageType

#: The attribute of a function that holds what was declared of it.
ARGUMENTS = "_parlor_arguments"
PASSIVE = "_parlor_passive"

#: The prefix before the name of a command.
PREFIX = "!"

#: The names that commands may have, and how deep the settings are searched for such.
_NAME = re.compile(r"[^\W_][\w-]{0,31}")
_DEEPEST = 5


class ArgumentSyntaxError(ValueError):
    """The text that a person wrote is no such argument."""

    def __init__(self, message: str, show_usage: bool = True) -> None:
        super().__init__(message)
        self.show_usage = show_usage


class Argument:
    """One argument. A class that inherits from it says by `match` what it takes of the text."""

    def __init__(self, name: str, label: Optional[str] = None, *, required: bool = False, pass_raw: bool = False) -> None:
        self.name = name
        self.label = label or name
        self.required = required
        self.pass_raw = pass_raw

    def match(self, val: str, **named: Any) -> tuple[str, Any]:
        """Returns the rest of the text, and the value. None: there is none."""
        if self.pass_raw:
            return "", val
        word, rest = first_word(val)
        return rest, word

    def __call__(self, function: Any) -> Any:
        return argument_of(function, self)

    @property
    def shown(self) -> str:
        """As the usage shows it."""
        return f"<{self.label}>" if self.required else f"[{self.label}]"


class _Simple(Argument):
    """One that takes a word, what is left of the text, or what a regular expression or a function finds there. Nothing is an empty text."""

    def __init__(
        self, name: str, label: Optional[str], required: bool, matches: Any, parser: Optional[Callable[[str], Any]], pass_raw: bool
    ) -> None:
        super().__init__(name, label, required=required, pass_raw=pass_raw)
        self._matches = re.compile(matches) if isinstance(matches, str) else matches
        self._parser = parser

    def match(self, val: str, **named: Any) -> tuple[str, Any]:
        if self._matches is not None:
            return self._matched(val)
        if self.pass_raw:
            rest, value = self._parser(val) if self._parser is not None else ("", val)
            return rest, value
        quote = val[:1]
        if quote in ("'", '"') and quote in val[1:]:
            word, _, rest = val[1:].partition(quote)
            rest = rest.lstrip()
        else:
            rest, word = super().match(val)
        if self._parser is None:
            return rest, word
        try:
            return rest, self._parser(word)
        except ValueError:
            # Many parsers do not know the empty text of an argument that is missing.
            if word or self.required:
                raise
            return rest, None

    def _matched(self, val: str) -> tuple[str, Any]:
        """Matches the first word as a whole, or the beginning of the text."""
        word, rest = first_word(val)
        found = self._matches.match(val) if self.pass_raw else self._matches.fullmatch(word)
        if found is None:
            return val, None
        return val[found.end() :] if self.pass_raw else rest, found.groups() or found.group()


def first_word(text: str) -> tuple[str, str]:
    """Returns the first word of a text, and what is behind it."""
    word, *rest = text.split(maxsplit=1) or [""]
    return word, "".join(rest)


def argument(
    name: str, label: Optional[str] = None, *, required: bool = True, matches: Any = None,
    parser: Optional[Callable[[str], Any]] = None, pass_raw: bool = False,
) -> Argument:
    """An argument of a command: a word, what is left of the text (`pass_raw`), or what a regular expression matches. `parser` makes a value
    of the word; with `pass_raw`, it takes what is left of the text, and returns the new rest and the value."""
    return _Simple(name, label, required, matches, parser, pass_raw)


def argument_of(function: Any, one: Argument) -> Any:
    """Notes an argument. Decorators are called from the lowest to the highest, and arguments stand in the order of the text."""
    if isinstance(function, Command):
        function.arguments.insert(0, one)
    else:
        setattr(function, ARGUMENTS, [one, *getattr(function, ARGUMENTS, [])])
    return function


class Command:
    """A command, as a class has it."""

    def __init__(
        self, function: Callable[..., Any], name: Any, help: str, aliases: Any, require_subcommand: bool, arg_fallthrough: bool,
        must_consume_args: bool,
    ) -> None:
        self.function = function
        self.name = name if name is not None else function.__name__.replace("_", "-")
        self.help = help
        #: A function says which words are names, too. The host has to know them: see `words_for`.
        self.tells_alias: Optional[Callable[..., Any]] = aliases if callable(aliases) else None
        self.aliases = [] if callable(aliases) else [aliases] if isinstance(aliases, str) else [str(one) for one in aliases]
        self.require_subcommand = require_subcommand
        self.arg_fallthrough = arg_fallthrough
        self.must_consume_args = must_consume_args
        self.arguments: list[Argument] = list(getattr(function, ARGUMENTS, []))
        self.subcommands: list[Command] = []
        #: The command that it is a part of.
        self.parent: Optional[Command] = None
        #: Whether nobody can give it: see `event.off`.
        self.is_off = False
        self.__doc__ = function.__doc__

    def subcommand(
        self, name: Any = None, *, help: str = "", aliases: Any = (), required_subcommand: bool = True, arg_fallthrough: bool = True,
        must_consume_args: bool = True, **_: Any,
    ) -> Callable[[Any], "Command"]:
        """Makes a further command of a method: `!points give`."""

        def note(function: Any) -> Command:
            made = Command(function, name, help, aliases, required_subcommand, arg_fallthrough, must_consume_args)
            made.parent = self
            self.subcommands.append(made)
            return made

        return note

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else Bound(self, instance)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self.function(*arguments, **named)

    def name_for(self, instance: Any) -> str:
        """The name. A function may take it out of the settings of the plugin."""
        if not callable(self.name):
            return str(self.name)
        return str(self.name(instance) if _takes(self.name, 1) else self.name())

    @property
    def is_of_settings(self) -> bool:
        """Whether only the running plugin knows its names."""
        return callable(self.name) or self.tells_alias is not None

    def is_named(self, word: str, instance: Any) -> bool:
        """Whether a word is one of its names."""
        word = word.lower()
        return word == self.name_for(instance).lower() or word in (one.lower() for one in self.aliases) or self._is_alias(word, instance)

    def _is_alias(self, word: str, instance: Any) -> bool:
        tells = self.tells_alias
        return tells is not None and bool(tells(instance, word) if _takes(tells, 2) else tells(word))

    def words_for(self, instance: Any) -> list[str]:
        """All names. Those that a function tells are looked for among the texts of the settings, and of the function itself."""
        names = [self.name_for(instance), *self.aliases]
        if self.tells_alias is not None:
            code = getattr(self.tells_alias, "__code__", None)
            words = dict.fromkeys([*_texts(getattr(code, "co_consts", ())), *_texts(_settings_of(instance))])
            names += [one for one in words if _NAME.fullmatch(one) and self._is_alias(one, instance)]
        return list(dict.fromkeys(names))

    def written(self, names: str, has_subcommands: bool = True) -> str:
        """What people write: these names, and the arguments."""
        words = [names, *(one.shown for one in self.arguments), "<subcommand> [...]" if self.subcommands and has_subcommands else ""]
        return " ".join(one for one in words if one)

    def usage(self, names: str, has_subcommands: bool = True) -> str:
        """How it is written."""
        return f"Usage: {self.written(names, has_subcommands)}"

    def names_for(self, instance: Any) -> str:
        """The prefix, and the names of the commands that it is a part of, with its own."""
        before = PREFIX if self.parent is None else f"{self.parent.names_for(instance)} "
        return before + self.name_for(instance)

    def line_for(self, instance: Any) -> str:
        """Its line in a list of commands."""
        return f"- {self.written(self.name_for(instance), False)}{' - ' if self.help else ''}{self.help}"

    def help_for(self, instance: Any, names: str) -> str:
        """How it is written, and a list of its subcommands."""
        return "\n".join([self.usage(names), *(one.line_for(instance) for one in on(self.subcommands))])


CommandHandler = Command
CommandHandlerFunc = Callable[..., Any]


def on(several: Iterable[Command]) -> list[Command]:
    """The commands that people can give: those that are not off."""
    return [one for one in several if not one.is_off]


class Bound:
    """A command of one plugin that runs."""

    def __init__(self, command: Command, instance: Any) -> None:
        self.command = command
        self.instance = instance

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self.command.function(self.instance, *arguments, **named)

    def __getattr__(self, name: str) -> Any:
        tells = _DATA.get(name)
        return getattr(self.command, name) if tells is None else tells(self.command, self.instance)


#: The data of commands of which plugins make texts of help. The report names others.
_DATA: dict[str, Callable[[Command, Any], Any]] = {
    "__mb_name__": Command.name_for,
    "__mb_help__": lambda command, _: command.help,
    "__mb_func__": lambda command, _: command.function,
    "__mb_prefix__": Command.names_for,
    "__mb_usage_args__": lambda command, _: command.written(""),
    "__mb_usage_inline__": Command.line_for,
    "__mb_usage__": lambda command, instance: command.usage(command.names_for(instance)),
    "__mb_usage_without_subcommands__": lambda command, instance: command.usage(command.names_for(instance), False),
    "__mb_full_help__": lambda command, instance: command.help_for(instance, command.names_for(instance)),
}


class Passive:
    """A regular expression that a method waits for."""

    def __init__(
        self, regex: Any, msgtypes: Optional[Iterable[Any]], field: Callable[[Any], Any], event_type: Any, multiple: bool, flags: int
    ) -> None:
        self.regex = re.compile(regex, flags) if isinstance(regex, str) else regex
        self.msgtypes = None if msgtypes is None else tuple(msgtypes)
        self.field = field
        self.event_type = event_type
        self.multiple = multiple

    def found(self, event: Any) -> Any:
        """Returns the match in an event, as the whole and the groups; of several, a list of these. None: no match."""
        if self.msgtypes is not None and getattr(event.content, "msgtype", None) not in self.msgtypes:
            return None
        try:
            text = self.field(event)
        except AttributeError:
            return None
        if not isinstance(text, str):
            return None
        if self.multiple:
            return [(one.group(), *one.groups()) for one in self.regex.finditer(text)] or None
        one = self.regex.search(text)
        return (one.group(), *one.groups()) if one else None


def _settings_of(instance: Any) -> Any:
    """The settings of a plugin, or of the plugin that an object with commands belongs to."""
    config = getattr(instance, "config", None) or getattr(getattr(instance, "bot", None), "config", None)
    return getattr(getattr(config, "_data", None), "values", None)


def _texts(value: Any, depth: int = 0) -> Iterator[str]:
    """The texts in a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (Mapping, list, tuple, set, frozenset)) and depth < _DEEPEST:
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(one, depth + 1)


def _takes(function: Callable[..., Any], number: int) -> bool:
    """Whether a function can be called with so many arguments."""
    try:
        inspect.signature(function).bind(*[None] * number)
    except (TypeError, ValueError):
        return False
    return True


def new(
    name: Any = None, *, help: str = "", aliases: Any = (), event_type: Any = EventType.ROOM_MESSAGE, msgtypes: Any = None,
    require_subcommand: bool = True, arg_fallthrough: bool = True, must_consume_args: bool = True, **_: Any,
) -> Any:
    """Makes a command of a method."""

    def note(function: Any) -> Command:
        return Command(function, name, help, aliases, require_subcommand, arg_fallthrough, must_consume_args)

    if inspect.isfunction(name) and _takes(name, 2):
        # `@command.new` without parentheses: a function that makes a name takes the plugin, or nothing.
        function, name = name, None
        return note(function)
    return note


def passive(
    regex: Any, *, msgtypes: Optional[Iterable[Any]] = (MessageType.TEXT,), field: Callable[[Any], Any] = lambda event: event.content.body,
    event_type: Any = EventType.ROOM_MESSAGE, multiple: bool = False, case_insensitive: bool = False, multiline: bool = False,
    dot_all: bool = False, **_: Any,
) -> Callable[[Any], Any]:
    """Has a method called with each message in which a regular expression is found."""
    flags = re.IGNORECASE * case_insensitive | re.MULTILINE * multiline | re.DOTALL * dot_all
    waits = Passive(regex, msgtypes, field, event_type, multiple, flags)

    def note(function: Any) -> Any:
        setattr(function, PASSIVE, [*getattr(function, PASSIVE, []), waits])
        return function

    return note
