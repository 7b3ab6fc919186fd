"""Settings, storage, events and promises: JSON on the way, Python's own values here."""

import json
import math
from typing import Any, Awaitable, Callable, Iterable, Mapping, NamedTuple, Optional, Sequence, Tuple

from . import listen
from .host import Grouping
from .timers import Seconds, in_milliseconds

_api = Grouping("api")
_promises = Grouping("promises")
_settings = Grouping("settings")
_storage = Grouping("storage")


def setting(key: str, default: Any = None) -> Any:
    """One of the plugin's own settings, or with the grant `settings.read` one of the host's. A duration comes in seconds."""
    text = _settings.get(key)
    return default if text is None else json.loads(text)


async def set_setting(key: str, value: Any) -> None:
    """Changes a setting for this account and this process."""
    await _settings.set(key, as_json(value))


class Settings:
    """The plugin's own settings, and with the grants `settings.read` and `settings.write` the host's."""

    def get(self, key: str, default: Any = None) -> Any:
        """The value, or `default` if there is none. `setting` is the same."""
        return setting(key, default)

    def get_in(self, room: Any, key: str, default: Any = None) -> Any:
        """The value in a room, at any time: that of the owner for the room, else the one for everywhere. `get` gives it only while
        a handler handles an event of the room, which timers and schedules do not."""
        text = _settings.get_in(room, key)
        return default if text is None else json.loads(text)

    async def set(self, key: str, value: Any) -> None:
        """Changes a setting for this account and this process. `set_setting` is the same."""
        await set_setting(key, value)

    async def set_many(self, values: Mapping[str, Any]) -> None:
        """Changes all of them, or none."""
        await _settings.set_many(_pairs(values))

    async def update(self, values: Mapping[str, Any]) -> None:
        """Adds settings, and new defaults for those that are there; what the owner or `set` gave goes on to win. All of them,
        or none."""
        await _settings.update(_pairs(values))


def _pairs(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(key, as_json(value)) for key, value in values.items()]


class Promises:
    """Promises that other plugins wait for; `emit` of the same name keeps one."""

    async def add(self, name: str) -> None:
        """Makes one; an own one is fresh again. `promise` is the same."""
        await promise(name)

    async def add_all(self, names: Sequence[str]) -> None:
        """Makes all of them, or none."""
        await _promises.add_all(list(names))

    async def reject(self, name: str, reason: str) -> None:
        """Rejects a promise: plugins that wait for it get `Rejected` with the reason."""
        await _promises.reject(name, reason)


async def emit(name: str, value: Any = None) -> None:
    """Fires an event that every plugin may hear, and resolves the promise of the same name."""
    await _api.emit(name, None if value is None else as_json(value))


async def wait_until(name: str) -> Any:
    """Waits for a promise, the host's or a plugin's, and gives what it carries."""
    return listen.payload(await _api.wait_until(name))


async def promise(name: str) -> None:
    """Makes a promise that others can wait for; `emit` of the same name keeps it."""
    await _promises.add(name)


class Page(NamedTuple):
    """Some of the keys in storage."""

    #: In order.
    keys: list[str]
    #: Give it as `after` for the next page; None when this was the last.
    next: Optional[str]


class EntriesPage(NamedTuple):
    """Some of what is in storage."""

    #: Keys with their values, in the order of the keys.
    entries: list[tuple[str, bytes]]
    #: Give it as `after` for the next page; None when this was the last.
    next: Optional[str]


class Changes:
    """Several changes that `make` makes together: all of them, or none. At most 256, and 256 KiB of keys and values, each key in one
    change and one expectation. `storage.changes()` begins them."""

    def __init__(self) -> None:
        self._changes: list[Any] = []

    def set(self, key: str, value: Any, expires: Optional[Seconds] = None) -> "Changes":
        """Keeps a value, for ever, or for so many seconds or a `timedelta`."""
        return self.set_bytes(key, as_json(value).encode(), expires)

    def set_bytes(self, key: str, value: bytes, expires: Optional[Seconds] = None) -> "Changes":
        """Keeps bytes."""
        return self._with(_storage.KeyChange_Set(_storage.SetValue(key, value, _milliseconds(expires))))

    def add(self, key: str, amount: int = 1, expires: Optional[Seconds] = None) -> "Changes":
        """Adds to a number, as `storage.add` does."""
        return self._with(_storage.KeyChange_Add(_storage.AddNumber(key, amount, _milliseconds(expires))))

    def delete(self, key: str) -> "Changes":
        """Deletes a key, if it exists."""
        return self._with(_storage.KeyChange_Delete(key))

    def expect(self, key: str, value: Any) -> "Changes":
        """Demands that this value is kept, as `set` writes it, before anything is changed; None = that there is none."""
        return self.expect_bytes(key, _bytes(value))

    def expect_bytes(self, key: str, value: Optional[bytes]) -> "Changes":
        """Demands that these bytes are kept."""
        return self._with(_storage.KeyChange_Expect((key, value)))

    async def make(self) -> bool:
        """Makes them; they are on the disk when the call returns. False: something is not as they expect, and nothing has changed."""
        return bool(await _storage.change(self._changes))

    def _with(self, change: Any) -> "Changes":
        self._changes.append(change)
        return self


class Storage:
    """The plugin's storage on this machine, per account: JSON values under text keys. Needs `storage`.

    What is set is on the disk when the call returns.
    """

    async def get(self, key: str, default: Any = None) -> Any:
        """The value, or `default` if there is none."""
        return _read(await _storage.get(key), default)

    async def set(self, key: str, value: Any, expires: Optional[Seconds] = None) -> None:
        """Keeps a value, for ever, or for so many seconds (0.001 at least) or a `timedelta`."""
        await self.set_bytes(key, as_json(value).encode(), expires)

    async def change(self, key: str, change: Callable[[Any], Any], expires: Optional[Seconds] = None) -> Any:
        """Keeps what a function makes of the value, and gives it; None = no value, for either. Nothing is lost that others keep
        meanwhile: the function is called again then. It is kept for ever, unless `expires` is given each time.

            await storage.change("count", lambda count: (count or 0) + 1)
        """
        while True:
            kept = await _storage.get(key)
            value = change(_read(kept))
            if await _storage.compare_and_set(key, kept, _bytes(value), _milliseconds(expires)):
                return value

    async def compare_and_set(
        self, key: str, expected: Any, value: Any, expires: Optional[Seconds] = None
    ) -> bool:
        """Sets a value if the present one reads as `expected`; None = no value, for either. Whether it did. `change` is shorter.

            while True:
                count = await storage.get("count")
                if await storage.compare_and_set("count", count, (count or 0) + 1):
                    break

        With `get("count", 0)` that would never end: where there is no value there is no 0.
        """
        kept = await _storage.get(key)
        # The same value may have been written in another way: by an earlier version, or with its keys in another order.
        try:
            present = _read(kept)
        except ValueError:
            # Bytes that are no JSON read as nothing that is expected.
            return False
        if _sorted(present) != _sorted(json.loads(as_json(expected))):
            return False
        return bool(await _storage.compare_and_set(key, kept, _bytes(value), _milliseconds(expires)))

    async def delete(self, key: str) -> bool:
        """Whether there was one."""
        return bool(await _storage.delete(key))

    async def keys(self, prefix: str = "") -> list[str]:
        """All keys that begin so, in order."""
        keys: list[str] = []
        after = None
        while True:
            page = await self.page(prefix, after)
            keys += page.keys
            if page.next is None:
                return keys
            after = page.next

    async def entries(self, prefix: str = "") -> dict[str, Any]:
        """All values whose keys begin so, by their keys, in the order of the keys. It asks the host once for each page, and so is
        faster than a `get` for each key.

            for name, points in (await storage.entries("points/")).items(): ...
        """
        entries: dict[str, Any] = {}
        after = None
        while True:
            page = await self.entries_page(prefix, after)
            entries.update((key, json.loads(value)) for key, value in page.entries)
            if page.next is None:
                return entries
            after = page.next

    async def entries_page(self, prefix: str = "", after: Optional[str] = None, limit: int = 1000) -> EntriesPage:
        """At most `limit` keys that begin so behind `after`, with their values as bytes. A page may be shorter."""
        page = await _storage.entries(prefix, after, limit)
        return EntriesPage([(one.key, one.value) for one in page.entries], page.next)

    async def range(
        self,
        prefix: str = "",
        start: Optional[str] = None,
        stop: Optional[str] = None,
        reverse: bool = False,
        limit: Optional[int] = None,
    ) -> dict[str, Any]:
        """The values whose keys begin so, from the key `start` on and before `stop`, by their keys, in the order of the keys, or from
        the last one on; `limit` of them at most.

            newest = await storage.range("notes/", reverse=True, limit=5)
        """
        if limit is not None and limit < 0:
            raise ValueError(f"storage.range: limit has to be a whole number from 0 on, and is {limit}")
        wanted = _storage.KeyRange(prefix, start, stop, reverse)
        entries: dict[str, Any] = {}
        after = None
        while limit is None or len(entries) < limit:
            page = await _storage.range(wanted, after, 1000 if limit is None else min(1000, limit - len(entries)))
            entries.update((entry.key, json.loads(entry.value)) for entry in page.entries)
            if page.next is None:
                break
            after = page.next
        return entries

    async def add(self, key: str, amount: int = 1, expires: Optional[Seconds] = None) -> int:
        """Adds to a number, and gives the sum; what is not there counts as 0. Nothing is lost that other handlers add meanwhile. It
        lasts as long as the number before, unless `expires` is given.

            visits = await storage.add("visits")
        """
        total: int = await _storage.add(_storage.AddNumber(key, amount, _milliseconds(expires)))
        return total

    def changes(self) -> Changes:
        """Begins several changes that are made together, or not at all.

            if not await storage.changes().expect("seat/7", "free").set("seat/7", "juliet").add("sold").make():
                log.info("somebody was faster")
        """
        return Changes()

    async def migrate(self, key: str, steps: Sequence[Callable[[Changes], Awaitable[None]]]) -> None:
        """Brings what an earlier version of the plugin has kept to the present. The number of the version is kept under a key, and is
        0 where there is none. Each step leads from its number to the next; the changes that it notes, 254 at most, are made together
        with the new number: a plugin that is ended meanwhile finds the one version or the other, and begins that step again.

            async def one_score_for_each_room(changes):
                changes.set("points/all", await storage.get("score", 0)).delete("score")

            await storage.migrate("version", [one_score_for_each_room])

        `ValueError`: the data is of a newer version, or not as a step expects.
        """
        while True:
            kept = await _storage.get(key)
            version = _read(kept, 0)
            # A negative index would run a step from the end.
            if not isinstance(version, int) or not 0 <= version <= len(steps):
                raise ValueError(f"{key}: the data is of version {version!r}, and this plugin knows {len(steps)}")
            if version == len(steps):
                return
            changes = Changes()
            await steps[version](changes)
            is_made = await changes.expect_bytes(key, kept).set(key, version + 1).make()
            # Another handler may have done the same.
            if not is_made and await _storage.get(key) == kept:
                raise ValueError(f"{key}: the data of version {version} is not as its step expects")

    async def page(self, prefix: str = "", after: Optional[str] = None, limit: int = 1000) -> Page:
        """The keys that begin so behind `after`: `limit` of them at most, which is 1 to 1000."""
        page = await _storage.list(prefix, after, limit)
        return Page(page.keys, page.next)

    async def get_bytes(self, key: str) -> Optional[bytes]:
        """Returns the stored bytes as they are: `get` reads JSON alone."""
        kept: Optional[bytes] = await _storage.get(key)
        return kept

    async def set_bytes(self, key: str, value: bytes, expires: Optional[Seconds] = None) -> None:
        """Keeps bytes, for ever, or for so many seconds or a `timedelta`."""
        await _storage.set(key, value, _milliseconds(expires))


def read_value(get: Callable[..., Any]) -> Callable[..., Any]:
    """Makes of a call that gives JSON one that gives Python's values; None: there is none."""

    def read(*arguments: Any, **named: Any) -> Any:
        text = get(*arguments, **named)
        return None if text is None else json.loads(text)

    return read


def write_value(at: int, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Makes of a call that takes JSON, as its argument of this place and name, one that takes Python's values."""

    def wrapped(set_: Callable[..., Any]) -> Callable[..., Any]:
        def write(*arguments: Any, **named: Any) -> Any:
            if name in named:
                named[name] = as_json(named[name])
            return set_(*(as_json(one) if index == at else one for index, one in enumerate(arguments)), **named)

        return write

    return wrapped


def as_json(value: Any) -> str:
    """The value as it goes to the host."""
    # Escaped, most letters would take up to three times the room.
    text = finite(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        # Half of a character has no other form.
        return json.dumps(value)
    return text


def finite(value: Any, ensure_ascii: bool = True) -> str:
    """The value as JSON. `ValueError`: it is or has a number that JSON does not have, such as `nan`, with its place."""
    try:
        return json.dumps(value, ensure_ascii=ensure_ascii, allow_nan=False)
    except ValueError as error:
        # The other reason is a circle, in which nothing can be found.
        odd = None if "ircular" in str(error) else _odd("value", value)
        if odd is None:
            raise
        raise ValueError(f"{odd}, which JSON does not have") from None


def _odd(place: str, value: Any) -> Optional[str]:
    """The first number that is not finite, with its place."""
    if isinstance(value, float):
        return None if math.isfinite(value) else f"{place} is {value!r}"
    inner: Iterable[Tuple[Any, Any]] = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, (list, tuple)):
        inner = enumerate(value)
    return next((odd for at, one in inner if (odd := _odd(f"{place}[{at!r}]", one))), None)


def _read(kept: Optional[bytes], default: Any = None) -> Any:
    return default if kept is None else json.loads(kept)


def _sorted(value: Any) -> str:
    """The same text for what JSON makes the same of."""
    return json.dumps(json.loads(json.dumps(value)), sort_keys=True)


def _bytes(value: Any) -> Optional[bytes]:
    return None if value is None else as_json(value).encode()


def _milliseconds(expires: Optional[Seconds]) -> Optional[int]:
    return None if expires is None else max(1, in_milliseconds(expires))


promises = Promises()
settings = Settings()
storage = Storage()
