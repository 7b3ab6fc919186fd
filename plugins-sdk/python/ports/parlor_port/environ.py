"""Environment variables. A plugin has none: those that it reads are settings, which the owner gives."""

import os
from typing import Any, Iterator, Mapping, MutableMapping

from parlor import setting

#: By the names of the variables, those of the settings.
_names: dict[str, str] = {}


def use(names: Mapping[str, str]) -> None:
    """Has these variables be settings."""
    _names.update(names)


class _Environ(MutableMapping[str, str]):
    """The variables, by their names."""

    def __init__(self, own: Mapping[str, str]) -> None:
        self._own = dict(own)

    def __getitem__(self, name: str) -> str:
        if name in self._own:
            return self._own[name]
        value = setting(_names[name]) if name in _names else None
        if value is None:
            raise KeyError(name)
        return str(value)

    def __setitem__(self, name: str, value: str) -> None:
        self._own[name] = value

    def __delitem__(self, name: str) -> None:
        del self._own[name]

    def __iter__(self) -> Iterator[str]:
        # The settings are not told: everything of the environment may be shown somewhere.
        return iter(self._own)

    def __len__(self) -> int:
        return len(self._own)


_environ: Any = _Environ(os.environ)


def _getenv(key: str, default: Any = None) -> Any:
    """The value of a variable, or another one."""
    return _environ.get(key, default)


# Plugins name these by `os`, or import them from there.
os.environ = _environ
os.getenv = _getenv
