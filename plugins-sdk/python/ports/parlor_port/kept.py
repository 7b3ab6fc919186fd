"""A mapping that is kept in `parlor.storage`: read whole at the start, and written after each handler.

Values are JSON, with marks for the types of Python that plugins keep besides: dates, times, sets, tuples, bytes, counters, and objects of
the plugin's own classes.
"""

import asyncio
import base64
import json
import sys
from collections import Counter, defaultdict, deque
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, Flag
from types import SimpleNamespace
from typing import Any, Iterable, Iterator, MutableMapping, Optional
from weakref import WeakKeyDictionary

from parlor import errors, storage

from .running import task

#: The key that marks a value of such a type.
MARK = "parlor:type"
#: How much is written together: the host takes 256 changes of 256 KiB, where each key is also expected to be as it was.
MOST_KEYS = 100
MOST_BYTES = 200_000
#: Modules whose objects are not kept as such: their classes are not the plugin's.
NOT_OWN = {*sys.stdlib_module_names, "__main__", "parlor", "parlor_port", "wit_world"}
#: Methods by which a class itself says what is stored of it, or how its objects are made.
PICKLED = {"__new__", "__getstate__", "__setstate__", "__reduce__", "__reduce_ex__", "__getnewargs__", "__getnewargs_ex__"}
#: The functions that make the missing values of a `defaultdict`.
FACTORIES: dict[str, Any] = {one.__name__: one for one in (int, float, str, list, dict, set, bool)}


class NotStored(Exception):
    """Changes were not stored. The mapping is as it is stored again."""

    def __init__(self, keys: Any, reason: str) -> None:
        super().__init__(f"nothing was stored of {', '.join(sorted(keys))}: {reason}")
        #: The reason, without the keys: these may be the addresses of people.
        self.reason = reason


class Kept(MutableMapping[str, Any]):
    """The mapping. A value read from it is a copy: put it back to keep a change.

    While a plugin is updated, two versions run side by side, each with a mapping of its own. So a value is only written if the stored one
    is still the one that was read or written last.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._texts: dict[str, str] = {}
        #: The bytes that were read or written last.
        self._stored: dict[str, bytes] = {}
        #: The keys that have changed since the last `flush`, with the tasks that changed them.
        self._changed: dict[str, set[Any]] = {}
        #: Why changes of other tasks were not stored, until they ask by `flush`.
        self._failed: WeakKeyDictionary[Any, NotStored] = WeakKeyDictionary()
        self._lock: Optional[asyncio.Lock] = None

    async def load(self) -> None:
        """Reads all of it, and forgets what has changed."""
        self._changed.clear()
        await self._read()

    async def _read(self) -> None:
        """Reads all of it, except the keys that have changed: they cannot be stored before they are read, too."""
        found: dict[str, bytes] = {}
        after: Optional[str] = None
        while True:
            page = await storage.entries_page(self._prefix, after)
            found.update((key.removeprefix(self._prefix), value) for key, value in page.entries)
            after = page.next
            if after is None:
                break
        for key in {*self._texts, *self._stored, *found} - self._changed.keys():
            if key in found:
                self._texts[key], self._stored[key] = found[key].decode(), found[key]
            else:
                self._texts.pop(key, None)
                self._stored.pop(key, None)

    async def flush(self) -> None:
        """Writes what has changed. `NotStored`: something of what this task has changed was not stored."""
        if self._lock is None:
            self._lock = asyncio.Lock()
        # One at a time: what is expected to be stored is known when the one before is done.
        async with self._lock:
            while self._changed:
                taken = self._batch()
                owners = {key: self._changed.pop(key) for key in taken}
                try:
                    is_made = await self._write(taken)
                except (errors.Invalid, errors.OverLimit) as error:
                    # It would be refused each time, and with it whatever is written next.
                    self._restore(taken)
                    self._fail(owners, str(error))
                    continue
                except BaseException:
                    # They are tried again with the next ones, unless they have changed since.
                    for key in taken:
                        self._changed.setdefault(key, set()).update(owners[key])
                    raise
                if not is_made:
                    self._fail(owners, "another version of the plugin has stored something there in the meantime. Its values are used now: try again")
                    await self._read()
        failed = self._failed.pop(task(), None)
        if failed is not None:
            raise failed

    def _restore(self, keys: Iterable[str]) -> None:
        """Takes the stored values again, except for keys that have changed since."""
        for key in set(keys) - self._changed.keys():
            if key in self._stored:
                self._texts[key] = self._stored[key].decode()
            else:
                self._texts.pop(key, None)

    def _batch(self) -> dict[str, Optional[str]]:
        """Returns changed keys that can be written together, with their texts. None: it is deleted."""
        taken: dict[str, Optional[str]] = {}
        size = 0
        for key in self._changed:
            text = self._texts.get(key)
            size += self._size(key, text)
            if taken and (size > MOST_BYTES or len(taken) == MOST_KEYS):
                break
            taken[key] = text
        return taken

    def _size(self, key: str, text: Optional[str]) -> int:
        return 2 * len((self._prefix + key).encode()) + len((text or "").encode()) + len(self._stored.get(key, b""))

    async def _write(self, taken: dict[str, Optional[str]]) -> bool:
        """Writes these. False: the stored values are not as they were."""
        if sum(self._size(*one) for one in taken.items()) > MOST_BYTES:
            [(key, text)] = taken.items()
            return await self._write_large(key, text)
        changes = storage.changes()
        for key, text in taken.items():
            changes.expect_bytes(self._prefix + key, self._stored.get(key))
            if text is None:
                changes.delete(self._prefix + key)
            else:
                changes.set_bytes(self._prefix + key, text.encode())
        if not await changes.make():
            return False
        for key, text in taken.items():
            self._wrote(key, text)
        return True

    async def _write_large(self, key: str, text: Optional[str]) -> bool:
        """Writes one that is too long for the host to take both the new and the old value as a change."""
        before = self._stored.get(key)
        value = None if text is None else json.loads(text)
        if not await storage.compare_and_set(self._prefix + key, None if before is None else json.loads(before), value):
            return False
        self._wrote(key, None if value is None else text)
        if text is not None and value is None:
            # There, `None` deletes.
            return await self._write({key: text})
        return True

    def _wrote(self, key: str, text: Optional[str]) -> None:
        if text is None:
            self._stored.pop(key, None)
        else:
            self._stored[key] = text.encode()

    def _fail(self, owners: dict[str, set[Any]], reason: str) -> None:
        """Has each task that has changed one of these keys fail."""
        for one in {one for several in owners.values() for one in several}:
            self._failed[one] = NotStored([key for key, several in owners.items() if one in several], reason)

    def __getitem__(self, key: str) -> Any:
        text = self._texts[key]
        try:
            return decoded(json.loads(text))
        except KeyError as error:
            # `get` would take it for a missing key, and the plugin would store another value in its place.
            raise TypeError(f"the value of {key!r} is of a kind that a later version of the layer stored: {error}") from error

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str) or not key:
            raise TypeError(f"a key is a text, and {key!r} is none")
        try:
            plain = encoded(value)
        except RecursionError:
            raise TypeError(f"the value of {key!r} holds itself, or is nested too deeply: it is not kept") from None
        text = json.dumps(plain, ensure_ascii=False)
        try:
            text.encode()
        except UnicodeEncodeError:
            text = json.dumps(plain)
        self._texts[key] = text
        self._changed.setdefault(key, set()).add(task())

    def __delitem__(self, key: str) -> None:
        del self._texts[key]
        self._changed.setdefault(key, set()).add(task())

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._texts))

    def __len__(self) -> int:
        return len(self._texts)

    def __contains__(self, key: object) -> bool:
        return key in self._texts


def encoded(value: Any) -> Any:
    """A value as JSON has it. `TypeError`: it is of a type that is not kept."""
    if isinstance(value, Flag) and _is_own(type(value)):
        # Flags that are combined have no name of a member.
        return {MARK: "flag", "of": _named(type(value)), "value": value.value}
    if isinstance(value, Enum) and _is_own(type(value)):
        return {MARK: "enum", "of": _named(type(value)), "value": value.name}
    if value is None or isinstance(value, (bool, int, float)) or type(value) is str:
        return value
    if isinstance(value, dict):
        return _encoded_dict(value)
    if type(value) is list:
        return [encoded(one) for one in value]
    if isinstance(value, (set, frozenset, tuple, list, deque)):
        return _encoded_several(value)
    if isinstance(value, (datetime, date, time)):
        kind = "datetime" if isinstance(value, datetime) else "date" if isinstance(value, date) else "time"
        return {MARK: kind, "value": value.isoformat()}
    if isinstance(value, timedelta):
        return {MARK: "timedelta", "value": value.total_seconds()}
    if isinstance(value, (bytes, bytearray)):
        return {MARK: "bytes", "value": base64.b64encode(value).decode()}
    if isinstance(value, Decimal):
        return {MARK: "decimal", "value": str(value)}
    if isinstance(value, str):
        return str(value)
    if type(value) is SimpleNamespace:
        return {MARK: "namespace", "value": _encoded_dict(vars(value))}
    if _is_plain_object(value):
        return {MARK: "object", "of": _named(type(value)), "value": {name: encoded(one) for name, one in vars(value).items()}}
    raise TypeError(
        f"a {type(value).__name__} is not kept: numbers, texts, lists, mappings, sets, bytes, times, and objects of the plugin's own classes are")


def _encoded_dict(value: dict[Any, Any]) -> Any:
    pairs = [[encoded(key), encoded(one)] for key, one in value.items()]
    if type(value) is Counter:
        return {MARK: "counter", "value": pairs}
    # Without a factory, it is that of no name.
    factory = getattr(value.default_factory, "__name__", "") if type(value) is defaultdict else ""
    if type(value) is defaultdict and FACTORIES.get(factory) is value.default_factory:
        return {MARK: "defaultdict", "of": factory, "value": pairs}
    if all(type(key) is str for key in value) and MARK not in value:
        return dict(pairs)
    return {MARK: "dict", "value": pairs}


def _encoded_several(value: Any) -> Any:
    several = [encoded(one) for one in value]
    if isinstance(value, tuple) and hasattr(value, "_fields") and _is_own(type(value)):
        return {MARK: "named", "of": _named(type(value)), "value": several}
    if isinstance(value, deque):
        return {MARK: "deque", "of": value.maxlen, "value": several}
    return {MARK: "tuple" if isinstance(value, (tuple, list)) else "set", "value": several}


def _is_plain_object(value: Any) -> bool:
    """Whether an object is all in its attributes, and of a class of the plugin that is found again by its name."""
    kind = type(value)
    bodies = [one.__dict__ for one in kind.__mro__[:-1]]
    has_own_way = any(body.get("__slots__") or not body.keys().isdisjoint(PICKLED) for body in bodies)
    return hasattr(value, "__dict__") and not has_own_way and _is_own(kind)


def _is_own(kind: type) -> bool:
    return _found(_named(kind)) is kind


def _named(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def _found(name: str) -> Any:
    """Returns the class of this name, if it is one of the plugin or of the layer for its framework. Nothing is imported for it."""
    module, _, path = name.partition(":")
    found: Any = None if module.partition(".")[0] in NOT_OWN else sys.modules.get(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    return found if isinstance(found, type) and _named(found) == name else None


def decoded(value: Any) -> Any:
    """Returns the value that `encoded` made JSON of."""
    if isinstance(value, list):
        return [decoded(one) for one in value]
    if not isinstance(value, dict):
        return value
    kind = value.get(MARK)
    inner: Any = value.get("value")
    if kind is None:
        return {key: decoded(one) for key, one in value.items()}
    if kind in ("object", "named", "enum", "flag"):
        return _decoded_object(kind, value["of"], inner)
    if kind in ("dict", "counter", "defaultdict"):
        pairs = {decoded(key): decoded(one) for key, one in inner}
        return pairs if kind == "dict" else Counter(pairs) if kind == "counter" else defaultdict(FACTORIES.get(value["of"]), pairs)
    if kind == "namespace":
        return SimpleNamespace(**decoded(inner))
    if kind in ("set", "tuple"):
        return (set if kind == "set" else tuple)(decoded(one) for one in inner)
    if kind == "deque":
        return deque((decoded(one) for one in inner), value["of"])
    if kind == "timedelta":
        return timedelta(seconds=inner)
    if kind == "bytes":
        return base64.b64decode(inner)
    if kind == "decimal":
        return Decimal(inner)
    kinds: dict[str, Any] = {"datetime": datetime, "date": date, "time": time}
    return kinds[kind].fromisoformat(inner)


def _decoded_object(kind: str, name: str, inner: Any) -> Any:
    of = _found(name)
    if of is None or kind == "flag" and not issubclass(of, Flag):
        raise TypeError(f"a value is of the class {name}, which the plugin no longer has")
    if kind == "enum":
        if inner not in of.__members__:
            raise TypeError(f"a value is {inner} of the class {name}, which no longer has it")
        return of.__members__[inner]
    if kind == "flag":
        try:
            return of(inner)
        except ValueError as error:
            raise TypeError(f"a value is {inner} of the class {name}, which no longer has it") from error
    if kind == "named":
        return of._make(decoded(one) for one in inner)
    made = object.__new__(of)
    vars(made).update((key, decoded(one)) for key, one in inner.items())
    return made
