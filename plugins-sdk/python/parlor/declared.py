"""The arguments of a command, as its handler declares them by type hints."""

import inspect
import re
import types
import typing
from datetime import date, time, timedelta
from typing import Any, Callable, Iterable, Mapping, NamedTuple, Optional

from . import listen
from .arguments import Jid, Page, People, Range, Rest
from .host import Grouping
from .timers import Seconds, in_milliseconds

_commands = Grouping("commands")

#: The bounds of the contract's numbers.
_INTEGERS = (-(1 << 63), (1 << 63) - 1)
_NUMBERS = (-1.7976931348623157e308, 1.7976931348623157e308)
#: A default that a person can write as it is.
_PLAIN = re.compile(r"[^\s'\"\\-][^\s'\"\\]*\Z")


class Wanted(NamedTuple):
    """One argument of a handler."""

    #: Its name in Python.
    name: str
    #: Its name as people write it, which has `-` for `_`.
    shown: str
    argument: Any
    #: The value for the handler if the argument was left out.
    default: Any


def wanted(name: str, handler: Callable[..., Any]) -> Optional[list[Wanted]]:
    """Returns the arguments that a handler declares beside the command. None: it takes the command alone, or has no hints."""
    try:
        parameters = list(listen._signature(handler).parameters.values())
    except (TypeError, ValueError):
        return None
    if parameters and parameters[0].name == "self":
        # The check of the handler reports this mistake.
        return None
    others = [one for one in parameters[1:] if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
    if all(one.annotation is one.empty for one in others):
        return None
    try:
        hints = typing.get_type_hints(handler, include_extras=True)
    except TypeError:
        # A `partial` has none of its own.
        hints = {}
    return [_wanted(name, one, hints.get(one.name, one.annotation)) for one in others]


def declaration(
    name: str, help: str, arguments: list[Wanted], aliases: Iterable[str], allow: Iterable[People], cooldowns: tuple[Seconds, Seconds],
    place: Optional[str],
) -> Any:
    """Returns the declaration of a command, as the contract has it."""
    people = [_people(one) for one in allow]
    person, room = (in_milliseconds(one) for one in cooldowns)
    return _commands.Declaration(name, help, list(aliases), [one.argument for one in arguments], people, person, room, place)


def given(arguments: list[Wanted], values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what a handler is called with, by the names of its parameters."""
    return {one.name: values.get(one.shown, one.default) for one in arguments}


def _people(one: People) -> Any:
    case = getattr(_commands, f"People_{one.kind}")
    return case() if one.name is None else case(one.name)


def _wanted(command: str, parameter: inspect.Parameter, hint: Any) -> Wanted:
    shown = parameter.name.rstrip("_").replace("_", "-")
    what = f"the argument {parameter.name} of the command {command}"
    hint, notes, may_be_none = _without_notes(hint)
    bounds = next((one for one in notes if isinstance(one, Range)), None)
    if bounds is not None and hint not in (int, float):
        raise TypeError(f"{what} has a Range, and its hint is {getattr(hint, '__name__', hint)}: only an int and a float have bounds")
    help = next((one for one in notes if isinstance(one, str)), "")
    page = next((one.title for one in notes if isinstance(one, Page)), None)
    kind = _kind(what, hint, bounds or Range())
    is_flag = hint is bool
    default = parameter.default
    if default is parameter.empty:
        default, is_optional = (False if is_flag else None), is_flag or may_be_none
    else:
        is_optional = True
    if is_flag and default:
        raise TypeError(f"{what} is a flag, and false where it is not given: call it by its opposite")
    is_named = is_flag or parameter.kind is parameter.KEYWORD_ONLY
    text = None if is_flag or default is None else _written(default)
    return Wanted(parameter.name, shown, _commands.Argument(shown, kind, is_optional, text, is_named, help, page), default)


def _without_notes(hint: Any) -> tuple[Any, list[Any], bool]:
    """Returns the type of a hint, its notes, and whether it may be None: `Annotated[Optional[int], …]` and
    `Optional[Annotated[int, …]]` say the same."""
    notes: list[Any] = []
    may_be_none = False
    while True:
        origin, parts = typing.get_origin(hint), typing.get_args(hint)
        others = [one for one in parts if one is not type(None)]
        if origin is typing.Annotated:
            hint = parts[0]
            notes.extend(parts[1:])
        elif origin in (typing.Union, types.UnionType) and len(others) == 1:
            hint, may_be_none = others[0], True
        else:
            return hint, notes, may_be_none


def _kind(what: str, hint: Any, bounds: Range) -> Any:
    def within(least: Any, most: Any) -> Any:
        return (least if bounds.least is None else bounds.least, most if bounds.most is None else bounds.most)

    if hint is bool:
        return _commands.Kind_Flag()
    if hint is int:
        return _commands.Kind_Integer(within(*_INTEGERS))
    if hint is float:
        least, most = within(*_NUMBERS)
        return _commands.Kind_Number((float(least), float(most)))
    if hint is str:
        return _commands.Kind_Text()
    if hint is timedelta:
        return _commands.Kind_Duration()
    if hint is date:
        return _commands.Kind_Date()
    if hint is time:
        return _commands.Kind_Time()
    if hint is Jid:
        return _commands.Kind_Jid()
    if hint is Rest:
        return _commands.Kind_Rest()
    if typing.get_origin(hint) is typing.Literal:
        words = list(typing.get_args(hint))
        if all(isinstance(word, str) for word in words):
            return _commands.Kind_Choice(words)
    raise TypeError(
        f"{what} has the hint {getattr(hint, '__name__', hint)}; it may be int, float, str, bool, "
        "timedelta, date, time, Jid, Rest or a Literal of texts"
    )


def _written(default: Any) -> Optional[str]:
    """The default as a person would write it. None: nobody could, and the handler's own serves."""
    if isinstance(default, timedelta):
        seconds = default.total_seconds()
        return f"{int(seconds)}s" if seconds.is_integer() and seconds >= 0 else None
    text = str(default)
    # A number may begin with its sign.
    return text if isinstance(default, (int, float)) or _PLAIN.match(text) else None
