"""The decorators of commands. They only note what is declared: `running` gives it to the host."""

import argparse
import inspect
import re
from dataclasses import dataclass, field
from typing import Any, Callable, Optional

#: The attribute of a function that holds what was declared.
NOTED = "_parlor_declared"


@dataclass
class Declared:
    """The settings from the decorators of one function."""

    #: `command`, `arguments`, `pattern`, `filter` or `webhook`.
    kind: str
    name: str
    admin_only: bool = False
    hidden: bool = False
    help: str = ""
    syntax: str = ""
    #: How the text is split: "" = not at all, None = at white space.
    split_args_with: Optional[str] = ""
    #: Of `arg_botcmd`: the arguments of each decorator, the lowest first.
    arguments: list[tuple[tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)
    unpack_args: bool = True
    pattern: Optional["re.Pattern[str]"] = None
    prefixed: bool = True
    matchall: bool = False
    form_param: Optional[str] = None
    #: Of `webhook`: the path in the source, for its parameters.
    rule: str = ""
    #: The template of the answer, which is then a mapping.
    template: Optional[str] = None
    #: It is called as a step of a flow alone.
    flow_only: bool = False
    #: Of `webhook`: it is given the request.
    raw: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        """The words that people write: `basket_add` is `basket add`."""
        return tuple(word for word in self.name.lower().split("_") if word) or (self.name.lower(),)

    def shown(self, prefix: str) -> str:
        """Returns what people write to give it."""
        if self.kind == "pattern":
            pattern = "" if self.pattern is None else self.pattern.pattern
            return f"a message like {prefix if self.prefixed else ''}{pattern}"
        return f"{prefix}{' '.join(self.words)} {self.syntax}".strip()

    def parser(self) -> "Parser":
        """The parser of the arguments of `arg_botcmd`."""
        parser = Parser(prog=" ".join(self.words), add_help=False)
        for names, options in self.arguments:
            parser.add_argument(*names, **options)
        return parser


class Parser(argparse.ArgumentParser):
    """Raises what it would print."""

    def error(self, message: str) -> Any:
        raise ValueError(f"{message}\n{self.format_usage().strip()}")

    def exit(self, status: int = 0, message: Optional[str] = None) -> Any:
        raise ValueError(message or self.format_usage().strip())


# Python loads parts of `argparse` when they are first used: that has to be now, where there are files.
_warm = Parser(prog="warm", add_help=False)
_warm.add_argument("--number", type=int)
_warm.format_help()
try:
    _warm.parse_args(["--number", "none"])
except ValueError:
    pass


def _noted(function: Callable[..., Any], declared: Declared) -> Callable[..., Any]:
    declared.help = declared.help or inspect.getdoc(function) or ""
    setattr(function, NOTED, declared)
    return function


def _of_admins(function: Callable[..., Any], admin_only: bool) -> bool:
    """Whether a method is for admins: this decorator says so, or another one of the same method."""
    earlier = getattr(function, NOTED, None)
    return admin_only or isinstance(earlier, Declared) and earlier.admin_only


def _command(
    function: Callable[..., Any], name: Optional[str], admin_only: bool, hidden: Optional[bool], template: Optional[str], flow_only: bool
) -> Declared:
    """What the decorators of a command say together, in any order."""
    declared = getattr(function, NOTED, None)
    if not isinstance(declared, Declared) or declared.kind not in ("command", "arguments"):
        declared = Declared("command", function.__name__, _of_admins(function, False))
    declared.name = name or declared.name
    declared.admin_only |= admin_only
    declared.hidden |= bool(hidden)
    declared.template = template or declared.template
    declared.flow_only |= flow_only
    return declared


def botcmd(
    *functions: Callable[..., Any], split_args_with: Optional[str] = "", hidden: Optional[bool] = None, name: Optional[str] = None,
    admin_only: bool = False, syntax: Optional[str] = None, template: Optional[str] = None, flow_only: bool = False, **_: Any,
) -> Any:
    """Makes a command of a method: `def basket_add(self, msg, args)` is `!basket add`."""

    def note(function: Callable[..., Any]) -> Callable[..., Any]:
        declared = _command(function, name, admin_only, hidden, template, flow_only)
        declared.split_args_with = split_args_with
        declared.syntax = syntax or declared.syntax
        return _noted(function, declared)

    return note(functions[0]) if functions else note


def arg_botcmd(
    *names: Any, hidden: Optional[bool] = None, name: Optional[str] = None, admin_only: bool = False, unpack_args: bool = True,
    template: Optional[str] = None, flow_only: bool = False, **options: Any,
) -> Any:
    """Adds an argument to a command, with the options of `argparse`."""
    options.pop("historize", None)

    def note(function: Callable[..., Any]) -> Callable[..., Any]:
        declared = _command(function, name, admin_only, hidden, template, flow_only)
        declared.kind = "arguments"
        declared.unpack_args &= unpack_args
        declared.arguments.append((names, options))
        return _noted(function, declared)

    return note


def re_botcmd(
    *functions: Callable[..., Any], pattern: Any = None, flags: int = 0, prefixed: bool = True, matchall: bool = False,
    hidden: Optional[bool] = None, name: Optional[str] = None, admin_only: bool = False, template: Optional[str] = None,
    flow_only: bool = False, **_: Any,
) -> Any:
    """Has a method called with each message in which a regular expression is found."""

    def note(function: Callable[..., Any]) -> Callable[..., Any]:
        compiled = re.compile(pattern if pattern is not None else function.__name__, flags)
        return _noted(function, Declared(
            "pattern", name or function.__name__, _of_admins(function, admin_only), bool(hidden), pattern=compiled, prefixed=prefixed, matchall=matchall,
            template=template, flow_only=flow_only))

    return note(functions[0]) if functions else note


def botmatch(*given: Any, flags: int = 0, **options: Any) -> Any:
    """Has a method called with each message in which a regular expression is found, without a prefix. It is mostly a step of a flow."""
    pattern = next((one for one in given if isinstance(one, (str, re.Pattern))), options.pop("pattern", None))
    return re_botcmd(pattern=pattern, flags=flags, prefixed=False, **options)


def cmdfilter(*functions: Callable[..., Any], **_: Any) -> Any:
    """Has a method asked before each command of the plugin: it lets it pass, changes it, or stops it."""

    def note(function: Callable[..., Any]) -> Callable[..., Any]:
        return _noted(function, Declared("filter", function.__name__))

    return note(functions[0]) if functions else note


def webhook(*given: Any, uri_rule: Optional[str] = None, form_param: Optional[str] = None, raw: bool = False, **_: Any) -> Any:
    """Has a method called with what is sent to a webhook."""

    def note(function: Callable[..., Any]) -> Callable[..., Any]:
        rule = uri_rule or next((one for one in given if isinstance(one, str)), "")
        return _noted(function, Declared("webhook", function.__name__, form_param=form_param, rule=rule, raw=raw))

    return note(given[0]) if given and callable(given[0]) else note
