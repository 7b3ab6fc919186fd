"""A database of SQLite in memory, whose pages are values of the plugin's storage. A transaction is stored as a whole, or not at all.

The database has a copy in memory, of what is stored, and is copied once more for each transaction that changes something: it is for small
ones. An SQL statement never waits, and so nothing else runs meanwhile.
"""

import asyncio
import sqlite3
from datetime import date, datetime
from typing import Any, Optional

from parlor import errors, storage

from . import running

#: The size of a page, in bytes, and how many a database may have: it takes four times as much memory.
PAGE, MOST_PAGES = 1024, 4096
#: How many pages a transaction may change: the host makes at most 256 changes together, of at most 256 KiB.
MOST_CHANGED = 240
#: How often the pages are read again if another version of the plugin stores some meanwhile.
_TRIES = 5

# Python has these for now, and warns of them.
sqlite3.register_adapter(datetime, lambda value: value.isoformat(" "))
sqlite3.register_adapter(date, date.isoformat)


class NotStored(sqlite3.OperationalError):
    """Nothing of a transaction was stored. It is not in the database either."""


class Row(sqlite3.Row):
    """A row, by the names and numbers of its columns."""

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a column, or another one."""
        return self[name] if name in self.keys() else default


class Turn:
    """Lets one task in after the other. A task that is in may enter again."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._owner: Any = None
        self._depth = 0

    async def __aenter__(self) -> None:
        if self._depth == 0 or self._owner is not running.task():
            await self._lock.acquire()
            self._owner = running.task()
        self._depth += 1

    async def __aexit__(self, *_: Any) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._owner = None
            self._lock.release()


class Pages:
    """The database with its pages. Callers wait for `turn`, and then for `ready`."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.turn = Turn()
        self.connection: Any = None
        #: How many transactions are open, one within the other.
        self.depth = 0
        #: Whether the transaction may have changed something.
        self.is_changed = False
        #: Whether references between tables are checked.
        self.has_foreign_keys = True
        #: The database as it is stored, and the number of its last transaction.
        self._image = b""
        self._number: Optional[bytes] = None

    async def ready(self) -> None:
        """Reads the database, unless it is as it was stored. `NotStored`: it cannot be read."""
        if self.connection is not None:
            return
        found = await self._read()
        self._number = found.pop("at", None)
        pages = [value for _, value in sorted(found.items())]
        if sorted(found) != [_key(number) for number in range(len(pages))] or any(len(one) != PAGE for one in pages):
            raise NotStored(f"the values under {self._prefix} are no database of this plugin")
        self._image = b"".join(pages)
        connection: Any = sqlite3.connect(":memory:", isolation_level=None)
        connection.row_factory = Row
        connection.execute(f"PRAGMA page_size = {PAGE}")
        if self._image:
            connection.deserialize(self._image)
        connection.execute(f"PRAGMA max_page_count = {MOST_PAGES}")
        connection.execute(f"PRAGMA foreign_keys = {int(self.has_foreign_keys)}")
        self.connection = connection

    async def _read(self) -> dict[str, bytes]:
        """Reads all values, as they were after one transaction."""
        for _ in range(_TRIES):
            found: dict[str, bytes] = {}
            after: Optional[str] = None
            while True:
                page = await storage.entries_page(self._prefix, after)
                found.update((key.removeprefix(self._prefix), value) for key, value in page.entries)
                after = page.next
                if after is None:
                    break
            again = await storage.entries_page(f"{self._prefix}at", None, 1)
            if found.get("at") == next((value for _, value in again.entries), None):
                return found
        raise NotStored("another version of the plugin stores something all the time")

    async def store(self, image: Optional[bytes] = None) -> None:
        """Stores the pages that have changed, of the database as it is or of an earlier one. `NotStored`: none of them was."""
        if image is None:
            image = self.connection.serialize()
        old, size = self._image, max(len(image), len(self._image))
        changed = [at for at in range(0, size, PAGE) if image[at : at + PAGE] != old[at : at + PAGE]]
        self.is_changed = False
        if not changed:
            return
        number = str(int(self._number or b"0") + 1).encode()
        changes = storage.changes().expect_bytes(f"{self._prefix}at", self._number).set_bytes(f"{self._prefix}at", number)
        for at in changed:
            key = f"{self._prefix}{_key(at // PAGE)}"
            changes = changes.set_bytes(key, image[at : at + PAGE]) if at < len(image) else changes.delete(key)
        try:
            if len(changed) > MOST_CHANGED:
                raise NotStored(f"a transaction changed {len(changed) * PAGE >> 10} KiB of the database, and may change {MOST_CHANGED * PAGE >> 10} KiB")
            if not await changes.make():
                raise NotStored("another version of the plugin has changed the database: try again")
        except errors.Error as error:
            self.forget()
            raise NotStored(f"the database was not stored: {error}") from error
        except BaseException:
            self.forget()
            raise
        self._image, self._number = image, number

    def forget(self) -> None:
        """Has the database read again: it is not as it was stored, or nobody knows."""
        if self.connection is not None:
            self.connection.close()
        self.connection = None


def _key(number: int) -> str:
    """The key of a page."""
    return f"page/{number:05}"
