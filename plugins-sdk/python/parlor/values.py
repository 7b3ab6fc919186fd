"""Settings, storage, events and promises: JSON on the way, Python's own values here."""

import json
from typing import Any, Mapping, Optional, Sequence

from . import listen
from .host import Grouping

_api = Grouping("api")
_promises = Grouping("promises")
_settings = Grouping("settings")
_storage = Grouping("storage")


def setting(key: str, default: Any = None) -> Any:
    """One of the plugin's own settings, or with the grant `settings.read` one of the host's."""
    text = _settings.get(key)
    return default if text is None else json.loads(text)


async def set_setting(key: str, value: Any) -> None:
    """Changes a setting for this account and this process."""
    await _settings.set(key, _json(value))


class Settings:
    """The plugin's own settings, and with the grants `settings.read` and `settings.write` the host's."""

    def get(self, key: str, default: Any = None) -> Any:
        """The value, or `default` if there is none. `setting` is the same."""
        return setting(key, default)

    async def set(self, key: str, value: Any) -> None:
        """Changes a setting for this account and this process. `set_setting` is the same."""
        await set_setting(key, value)

    async def set_many(self, values: Mapping[str, Any]) -> None:
        """Changes several, or none."""
        await _settings.set_many(_pairs(values))

    async def update(self, values: Mapping[str, Any]) -> None:
        """Adds settings, and new defaults for those that are there; what the owner or `set` gave goes on to win. All of them,
        or none."""
        await _settings.update(_pairs(values))


def _pairs(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(key, _json(value)) for key, value in values.items()]


class Promises:
    """Promises that other plugins wait for; `emit` of the same name keeps one."""

    async def add(self, name: str) -> None:
        """Makes one; an own one is fresh again. `promise` is the same."""
        await promise(name)

    async def add_all(self, names: Sequence[str]) -> None:
        """Makes all of them, or none."""
        await _promises.add_all(list(names))

    async def reject(self, name: str, reason: str) -> None:
        """Whoever waits for it gets `Rejected` with the reason."""
        await _promises.reject(name, reason)


async def emit(name: str, value: Any = None) -> None:
    """Fires an event that every plugin may hear, and resolves the promise of the same name."""
    await _api.emit(name, None if value is None else _json(value))


async def wait_until(name: str) -> Any:
    """Waits for a promise, the host's or a plugin's, and gives what it carries."""
    return listen.payload(await _api.wait_until(name))


async def promise(name: str) -> None:
    """Makes a promise that others can wait for; `emit` of the same name keeps it."""
    await _promises.add(name)


class Storage:
    """What the plugin keeps on this machine, per account: JSON values under text keys. Needs `storage`.

    What is set is on the disk when the call returns.
    """

    async def get(self, key: str, default: Any = None) -> Any:
        """The value, or `default` if there is none."""
        value = await _storage.get(key)
        return default if value is None else json.loads(value)

    async def set(self, key: str, value: Any, expires: Optional[float] = None) -> None:
        """Keeps a value, for ever or for so many seconds (0.001 at least)."""
        await _storage.set(key, _json(value).encode(), _milliseconds(expires))

    async def compare_and_set(
        self, key: str, expected: Any, value: Any, expires: Optional[float] = None
    ) -> bool:
        """Sets a value if the present one is `expected`, as JSON writes both; None = no value. Whether it was."""
        return bool(await _storage.compare_and_set(key, _bytes(expected), _bytes(value), _milliseconds(expires)))

    async def delete(self, key: str) -> bool:
        """Whether there was one."""
        return bool(await _storage.delete(key))

    async def keys(self, prefix: str = "") -> list[str]:
        """All keys that begin so, in order."""
        keys: list[str] = []
        after = None
        while True:
            page = await _storage.list(prefix, after, 1000)
            keys += page.keys
            if page.next is None:
                return keys
            after = page.next


def _json(value: Any) -> str:
    # Escaped, most letters would take up to three times the room.
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        # Half of a character has no other form.
        return json.dumps(value)
    return text


def _bytes(value: Any) -> Optional[bytes]:
    return None if value is None else _json(value).encode()


def _milliseconds(expires: Optional[float]) -> Optional[int]:
    return None if expires is None else max(1, round(expires * 1000))


promises = Promises()
settings = Settings()
storage = Storage()
