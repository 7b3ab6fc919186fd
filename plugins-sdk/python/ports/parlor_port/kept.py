"""A mapping that is kept in `parlor.storage`: read whole at the start, and written after each handler.

Values are JSON, with marks for the types of Python that plugins keep besides: dates, times, sets, tuples and bytes.
"""

import base64
import json
from datetime import date, datetime, time, timedelta
from typing import Any, Iterator, MutableMapping

from parlor import storage

#: The key that marks a value of such a type.
MARK = "parlor:type"
#: How much is written together: the host takes 256 changes of 256 KiB.
MOST_KEYS = 200
MOST_BYTES = 200_000


class Kept(MutableMapping[str, Any]):
    """The mapping. A value read from it is a copy: put it back to keep a change."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._texts: dict[str, str] = {}
        #: The keys that have changed since the last `flush`.
        self._changed: dict[str, None] = {}

    async def load(self) -> None:
        """Reads all of it."""
        found = await storage.entries(self._prefix)
        self._texts = {key.removeprefix(self._prefix): json.dumps(value) for key, value in found.items()}
        self._changed.clear()

    async def flush(self) -> None:
        """Writes what has changed."""
        while self._changed:
            changes, size = storage.changes(), 0
            taken: list[str] = []
            for key in self._changed:
                text = self._texts.get(key)
                size += len(key.encode()) + len((text or "").encode())
                if taken and (size > MOST_BYTES or len(taken) == MOST_KEYS):
                    break
                taken.append(key)
                if text is None:
                    changes.delete(self._prefix + key)
                else:
                    changes.set_bytes(self._prefix + key, text.encode())
            for key in taken:
                del self._changed[key]
            try:
                await changes.make()
            except BaseException:
                # They are tried again with the next ones, unless they have changed since.
                self._changed.update(dict.fromkeys(taken))
                raise

    def __getitem__(self, key: str) -> Any:
        return decoded(json.loads(self._texts[key]))

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str) or not key:
            raise TypeError(f"a key is a text, and {key!r} is none")
        try:
            text = json.dumps(encoded(value), ensure_ascii=False)
            text.encode()
        except UnicodeEncodeError:
            text = json.dumps(encoded(value))
        self._texts[key] = text
        self._changed[key] = None

    def __delitem__(self, key: str) -> None:
        del self._texts[key]
        self._changed[key] = None

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._texts))

    def __len__(self) -> int:
        return len(self._texts)

    def __contains__(self, key: object) -> bool:
        return key in self._texts


def encoded(value: Any) -> Any:
    """A value as JSON has it. `TypeError`: it is of a type that is not kept."""
    if value is None or isinstance(value, (bool, int, float)) or type(value) is str:
        return value
    if isinstance(value, dict):
        if all(type(key) is str for key in value) and MARK not in value:
            return {key: encoded(one) for key, one in value.items()}
        return {MARK: "dict", "value": [[encoded(key), encoded(one)] for key, one in value.items()]}
    if type(value) is list:
        return [encoded(one) for one in value]
    if isinstance(value, (set, frozenset, tuple, list)):
        kind = "tuple" if isinstance(value, (tuple, list)) else "set"
        return {MARK: kind, "value": [encoded(one) for one in value]}
    if isinstance(value, (datetime, date, time)):
        kind = "datetime" if isinstance(value, datetime) else "date" if isinstance(value, date) else "time"
        return {MARK: kind, "value": value.isoformat()}
    if isinstance(value, timedelta):
        return {MARK: "timedelta", "value": value.total_seconds()}
    if isinstance(value, (bytes, bytearray)):
        return {MARK: "bytes", "value": base64.b64encode(value).decode()}
    if isinstance(value, str):
        return str(value)
    raise TypeError(f"a {type(value).__name__} is not kept: numbers, texts, lists, mappings, sets, bytes and times are")


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
    if kind == "dict":
        return {decoded(key): decoded(one) for key, one in inner}
    if kind in ("set", "tuple"):
        return (set if kind == "set" else tuple)(decoded(one) for one in inner)
    if kind == "timedelta":
        return timedelta(seconds=inner)
    if kind == "bytes":
        return base64.b64decode(inner)
    kinds: dict[str, Any] = {"datetime": datetime, "date": date, "time": time}
    return kinds[kind].fromisoformat(inner)
