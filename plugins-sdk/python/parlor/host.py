"""The groupings of the contract as Python sees them."""

import functools
import importlib
import inspect
from typing import Any

from componentize_py_types import Err

from . import errors


class Grouping:
    """One interface of `wit/`: its functions, with typed exceptions in the place of error values.

    A function that needs a permission which `plugin.toml` does not ask for is not part of the component; calling it raises
    `NotDeclared`.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        try:
            self._module = importlib.import_module(f"wit_world.imports.{name}")
        except ModuleNotFoundError:
            self._module = None

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._module, name, None)
        if function is None:
            raise errors.NotDeclared(
                f"{self._name}.{name} is not part of this plugin: ask for its permission in plugin.toml, and build again"
            )
        if isinstance(function, type) or not callable(function):
            return function
        wrapped = _raising(function)
        setattr(self, name, wrapped)
        return wrapped


def _raising(function: Any) -> Any:
    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        try:
            result = function(*arguments)
        except Err as error:
            raise errors.from_wit(error.value) from None
        return _later(result) if inspect.isawaitable(result) else result

    return call


async def _later(result: Any) -> Any:
    try:
        return await result
    except Err as error:
        raise errors.from_wit(error.value) from None
