"""The groupings of the contract where there is no host: in an author's own tests. Records are what they are in a plugin, and a call
is checked as there, and then raises `Outside`."""

import functools
import importlib
import inspect
from types import MappingProxyType
from typing import Any, Callable, Mapping

from . import errors, records


class Given(str):
    """A text of the host's, such as the id of what was said. A handler may return it; an answer it is not."""


def is_there() -> bool:
    """Whether there is a host."""
    return False


class Grouping:
    """One interface of `wit/`."""

    def __init__(self, name: str, written: Mapping[str, str] = MappingProxyType({}), **wrapped: Callable[[Any], Any]) -> None:
        self._name = name
        self._written = written
        self._wrapped = wrapped
        self._module = importlib.import_module(f"{__package__}._contract.{name}")
        records.improve(self._module)

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._module, name, None)
        if function is None:
            raise AttributeError(f"{self._name} has no {name}; .parlor/docs/reference/api/{self._name}.md names what it has")
        if isinstance(function, type) or not callable(function):
            return function
        wrapped = _outside(f"{self._name}.{self._written.get(name, name)}", function)
        if name in self._wrapped:
            wrapped = functools.wraps(wrapped)(self._wrapped[name](wrapped))
        setattr(self, name, wrapped)
        return wrapped


def _outside(name: str, function: Any) -> Any:
    parameters = [(f"{name}: {one.name}", one.annotation) for one in inspect.signature(function).parameters.values()]

    def check(*arguments: Any, **named: Any) -> None:
        arguments = records.plain(name, function, arguments, named)
        if named or len(arguments) != len(parameters):
            arguments = tuple(records.complete(name, function, arguments, named))
        for one, (place, wanted) in zip(arguments, parameters):
            records.fit(place, one, wanted)

    def call(*arguments: Any, **named: Any) -> Any:
        check(*arguments, **named)
        # No setting has a value here, so that the default counts.
        if name == "settings.get":
            return None
        raise errors.Outside(name)

    async def awaited(*arguments: Any, **named: Any) -> Any:
        return call(*arguments, **named)

    return awaited if inspect.iscoroutinefunction(function) else call
