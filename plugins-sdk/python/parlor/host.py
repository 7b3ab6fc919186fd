"""The groupings of the contract as Python sees them."""

import functools
import importlib
import inspect
import sys
from types import MappingProxyType
from typing import Any, Callable, Mapping, get_args, get_origin

from componentize_py_async_support.streams import StreamReader
from componentize_py_types import Err

from . import errors, records, turns
from .streams import Stream

# At build time there is no host: what is called then would fail in ways that nobody understands.
_is_there = False


# The permission that each call needs, if any: parlor writes it in here when it builds a plugin.
_NEEDS: dict[str, str] = {}


def begin() -> None:
    """There is a host from now on."""
    global _is_there
    _is_there = True
    sys.meta_path.append(_Late())
    _refuse_network()


def _refuse_network() -> None:
    """Has what looks for a network say that there is none: the numbers of the system's errors tell nobody."""
    socket = sys.modules.get("socket")
    if socket is None:
        return

    def refuse(*_arguments: Any, **_named: Any) -> Any:
        raise OSError(errors.NO_NETWORK)

    class NoSocket(socket.socket):  # type: ignore[name-defined, misc]
        __init__ = refuse

    for name in ("getaddrinfo", "create_connection", "create_server", "gethostbyname", "gethostbyname_ex", "socketpair"):
        if hasattr(socket, name):
            setattr(socket, name, refuse)
    socket.socket = NoSocket


class Given(str):
    """A text of the host's, such as the id of what was said. A handler may return it; an answer it is not."""


class _Late:
    """Is asked for a module that nobody else has."""

    def find_spec(self, name: str, _path: Any = None, _target: Any = None) -> Any:
        advice = "import it at the top of plugin.py"
        encoding = name.removeprefix("encodings.")
        if encoding != name:
            # For a codec, that there is no module is no reason to say why.
            raise LookupError(f"unknown encoding, or one that comes too late: {encoding}: import {name} at the top of plugin.py")
        raise ModuleNotFoundError(f"{name} is imported while the plugin runs, where there are no files: {advice}", name=name)


def is_there() -> bool:
    """Whether there is a host."""
    return _is_there


class Grouping:
    """One interface of `wit/`: its functions, with typed exceptions in the place of error values.

    What a call needs not be told may be left out, and where it takes a record, the record's fields may be named instead:
    `await rooms.open(jid, nick="bot")`. One that gives a stream is for `async for`. A function that needs a permission which
    `plugin.toml` does not ask for is not part of the component; calling it raises `NotDeclared`.
    """

    def __init__(self, name: str, written: Mapping[str, str] = MappingProxyType({}), **wrapped: Callable[[Any], Any]) -> None:
        """`written` maps the name of a call to the name that an author writes in its place; errors have that one. `wrapped`: by the
        name of a call, what makes the author's own function of it."""
        self._name = name
        self._written = written
        self._wrapped = wrapped
        try:
            self._module = importlib.import_module(f"wit_world.imports.{name}")
        except ModuleNotFoundError:
            self._module = None
        else:
            records.improve(self._module)

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._module, name, None)
        if function is None:
            raise self._missing(name)
        if isinstance(function, type) or not callable(function):
            return function
        wrapped = _raising(self._shown(name), function)
        if name in self._wrapped:
            wrapped = functools.wraps(wrapped)(self._wrapped[name](wrapped))
        setattr(self, name, wrapped)
        return wrapped

    def _shown(self, name: str) -> str:
        return f"{self._name}.{self._written.get(name, name)}"

    def _missing(self, name: str) -> Exception:
        call = self._shown(name)
        if call in _NEEDS:
            needed = f"it needs {_NEEDS[call]}; ask for that"
        elif self._module is None:
            needed = "ask for a permission of its grouping"
        else:
            return AttributeError(f"{self._name} has no {name}; .parlor/docs/reference/api/{self._name}.md names what it has")
        return errors.NotDeclared(f"{call} is not part of this plugin: {needed} in plugin.toml, and build again")


def _raising(name: str, function: Any) -> Any:
    signature = inspect.signature(function)
    parameters = [(f"{name}: {one.name}", one.annotation) for one in signature.parameters.values()]
    streams = _is_stream(signature.return_annotation)

    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        if not _is_there:
            raise RuntimeError(f"{name} is called while the plugin is built: there is no host yet; call it in @on_start")
        arguments = records.plain(name, function, arguments, named)
        if named or len(arguments) != len(parameters):
            arguments = records.complete(name, function, arguments, named)
        given = [records.fit(place, one, wanted) for one, (place, wanted) in zip(arguments, parameters)]
        try:
            result = function(*given)
        except Err as error:
            raise errors.of_call(error.value, name, given) from None
        if not streams and not inspect.isawaitable(result):
            return result
        later = _later(name, result, lambda: function(*given), given)
        return Stream(later) if streams else later

    if inspect.iscoroutinefunction(function) and not streams:
        # Type checkers may know an older Python than the one that runs it.
        getattr(inspect, "markcoroutinefunction")(call)
    return call


def _is_stream(of: Any) -> bool:
    """Whether a call gives a stream: it comes together with how it ended."""
    parts = get_args(of) if get_origin(of) is tuple else ()
    return bool(parts) and get_origin(parts[0]) is StreamReader


async def _later(name: str, result: Any, again: Callable[[], Any], given: list[Any]) -> Any:
    try:
        value = await turns.in_turn(result, again)
    except Err as error:
        raise errors.of_call(error.value, name, given) from None
    return Given(value) if isinstance(value, str) else value
