"""The settings of a plugin."""

import copy
import logging
import sys
from typing import Any, Iterator, Mapping, Optional

_log = logging.getLogger("maubot")


class _Tree:
    """Values by dotted keys: `a.b` is `b` in `a`."""

    def __init__(self, values: Any = None) -> None:
        self.values: dict[str, Any] = values if values is not None else {}

    def get(self, key: str, default: Any = None) -> Any:
        inner: Any = self.values
        for part in key.split("."):
            if not isinstance(inner, Mapping) or part not in inner:
                return default
            inner = inner[part]
        return inner

    def put(self, key: str, value: Any) -> None:
        *parts, last = key.split(".")
        inner = self.values
        for part in parts:
            kept = inner.get(part)
            if not isinstance(kept, dict):
                kept = inner[part] = {}
            inner = kept
        inner[last] = value


def _take_changes(into: dict[str, Any], values: Mapping[str, Any], before: Mapping[str, Any]) -> None:
    """Takes over the values that are not what they were before, also single ones of a mapping."""
    for key, value in values.items():
        known = before.get(key)
        if key in before and value == known:
            continue
        if isinstance(value, Mapping) and isinstance(known, Mapping) and isinstance(into.get(key), dict):
            _take_changes(into[key], value, known)
        else:
            into[key] = value


class RecursiveDict:
    """A mapping by dotted keys, of values that somebody else may hold, too."""

    def __init__(self, data: Any = None, dict_factory: Any = dict) -> None:
        self._data = _Tree(dict_factory() if data is None else data)

    @staticmethod
    def parse_key(key: str) -> tuple[str, Optional[str]]:
        """The first part of a key, and the others. None: there are no others."""
        first, _, others = key.partition(".")
        return first, others or None

    def get(self, key: str, default: Any = None, allow_recursion: bool = True) -> Any:
        """The value, or another one."""
        return self._data.get(key, default) if allow_recursion else self._data.values.get(key, default)

    def __getitem__(self, key: str) -> Any:
        missing = object()
        found = self._data.get(key, missing)
        if found is missing:
            raise KeyError(key)
        return found

    def __setitem__(self, key: str, value: Any) -> None:
        self._data.put(key, value)

    def __delitem__(self, key: str) -> None:
        around, _, last = key.rpartition(".")
        del (self[around] if around else self._data.values)[last]

    def __contains__(self, key: object) -> bool:
        missing = object()
        return isinstance(key, str) and self._data.get(key, missing) is not missing

    def __iter__(self) -> Iterator[str]:
        return iter(self._data.values)


class ConfigUpdateHelper:
    """Takes values over from the settings to those that the plugin uses."""

    def __init__(self, config: "BaseProxyConfig") -> None:
        self.source = config
        #: The values that the plugin uses then: those of now, until it changes them.
        self.base = config.clone()

    def copy(self, from_path: str, to_path: Any = None) -> None:
        """Takes one value over."""
        if from_path in self.source:
            self.base[to_path or from_path] = self.source[from_path]

    def copy_dict(self, from_path: str, to_path: Any = None, override_existing_map: bool = True) -> None:
        """Takes a mapping over."""
        self.copy(from_path, to_path)


class BaseProxyConfig:
    """The settings, by their keys: `config["a.b"]` is `config["a"]["b"]`."""

    def __init__(self, values: Any = None, *_: Any) -> None:
        self._data = _Tree()
        for key, value in (values or {}).items():
            self._data.put(key, value)

    def do_update(self, helper: ConfigUpdateHelper) -> None:
        """Chooses the values that a plugin takes over. By default it takes all."""
        helper.base._data = self._data

    def load_and_update(self) -> None:
        """Reads the settings, and lets the plugin take over what it uses."""
        before = copy.deepcopy(self._data.values)
        helper = ConfigUpdateHelper(self)
        self.do_update(helper)
        # A plugin may compute more, also in its own settings, and read what it did not take over.
        merged = copy.deepcopy(self._data.values)
        _take_changes(merged, helper.base._data.values, before)
        self._data = _Tree(merged)

    def load(self) -> None:
        """They are there already."""

    def clone(self) -> "BaseProxyConfig":
        """The same values, which others do not change."""
        found = BaseProxyConfig()
        found._data = _Tree(copy.deepcopy(self._data.values))
        return found

    def save(self) -> None:
        """They are the owner's: nothing is written."""
        _log.warning("settings are the owner's, and are not written: keep what changes in parlor.storage")

    def get(self, key: str, default: Any = None) -> Any:
        """The value, or another one."""
        return self._data.get(key, default)

    def __getitem__(self, key: str) -> Any:
        # Plugins read keys that are not in base-config.yaml, and go on: there is no `KeyError`.
        return self.get(key)

    def __setitem__(self, key: str, value: Any) -> None:
        self._data.put(key, value)

    def __contains__(self, key: object) -> bool:
        missing = object()
        return isinstance(key, str) and self._data.get(key, missing) is not missing

    def __iter__(self) -> Iterator[str]:
        return iter(self._data.values)


# Plugins also import these from the parts of the library of these names.
__path__: list[str] = []
for _name in ("base", "proxy", "recursive_dict"):
    sys.modules[f"{__name__}.{_name}"] = sys.modules[__name__]
