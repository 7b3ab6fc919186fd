"""A database for plain functions, which cannot wait. SQLite itself does not either: a statement is done at once, in memory. The pages are
stored as soon as the plugin waits for anything, and in any case before it says something and when a handler ends: see `running.settled`.
"""

import contextlib
import logging
import sqlite3
from dataclasses import dataclass
from typing import Any, Optional, Sequence
from weakref import WeakKeyDictionary, ref

import parlor
from parlor import errors

from . import running, statements
from .pages import NotStored, Pages

_log = logging.getLogger("database")


@dataclass
class Done:
    """The result of a statement."""

    rows: list[Any]
    columns: Sequence[Any]
    rowcount: int
    lastrowid: Optional[int]


class Plain:
    """The database. A holder is the object that a transaction belongs to: it is undone if its holder is gone."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        pages.has_foreign_keys = False
        #: The tasks that have changed something since the pages were stored.
        self._changed: set[Any] = set()
        #: Why changes were not stored, by the tasks that made them, until they are told.
        self._failed: "WeakKeyDictionary[Any, NotStored]" = WeakKeyDictionary()
        #: The transaction that is open: its holder, its task, the connection, and whether it has changed something.
        self._holder: Any = None
        self._task: Any = None
        self._connection: Any = None
        self._is_changed = False
        #: The database before it, if that is not stored.
        self._before: Optional[bytes] = None
        self._storing: Any = None

    async def open(self) -> None:
        """Reads the database."""
        async with self._pages.turn:
            await self._pages.ready()
        running.BEFORE.append(self.settle)

    def run(self, holder: Any, text: str, values: Any) -> Done:
        """Carries out a statement, in the transaction of a holder. None: by itself."""
        word = statements.word_of(text, "`with engine.begin() as conn`")
        if word == "PRAGMA":
            name, value = statements.pragma_of(text)
            if value is not None and name not in statements.ASKS:
                raise statements.not_set(name)
        is_change = word not in statements.READS
        own = self._usable(holder, is_change)
        before = own.total_changes
        cursor = own.execute(text, values)
        rows = cursor.fetchall()
        if is_change or own.total_changes != before:
            if own.in_transaction:
                self._is_changed = True
            else:
                self._note()
        return Done(rows, cursor.description or (), cursor.rowcount, cursor.lastrowid)

    def begin(self, holder: Any) -> None:
        """Begins a transaction."""
        own = self._usable(None, is_change=True)
        # Earlier changes that are not stored yet are stored without it.
        self._before = own.serialize() if self._changed else None
        own.execute("BEGIN")
        self._holder, self._task, self._connection, self._is_changed = ref(holder), ref(running.task()), own, False

    def commit(self, holder: Any) -> None:
        """Ends a transaction."""
        own = self._usable(holder, is_change=True)
        if not own.in_transaction:
            self._end()
            raise sqlite3.OperationalError("SQLite has ended the transaction after an error: nothing of it is done")
        own.execute("COMMIT")
        is_changed = self._is_changed
        self._end()
        if is_changed:
            self._note()

    def rollback(self, holder: Any) -> None:
        """Undoes a transaction."""
        if self._holder is not None and self._holder() is holder:
            self._undo()

    def _undo(self) -> None:
        if self._is_open() and self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        self._end()

    def _end(self) -> None:
        self._holder = self._task = self._connection = self._before = None

    def _is_open(self) -> bool:
        """Whether a transaction is open: it ends when the database is read again."""
        return self._holder is not None and self._connection is self._pages.connection

    def _drop_lost(self) -> None:
        """Undoes a transaction whose holder is gone."""
        if self._holder is not None and (self._holder() is None or not self._is_open()):
            self._undo()

    def _usable(self, holder: Any, is_change: bool) -> Any:
        """The database for a statement, within the transaction of a holder or, without one, by itself."""
        self._drop_lost()
        if holder is not None and (self._holder is None or self._holder() is not holder):
            raise NotStored("the database was read again, and the transaction is lost: try again")
        if self._pages.connection is None:
            raise NotStored("the database is being read again, since it was not stored: try again")
        # A part of the same handler may read: it waits for nothing.
        if holder is None and self._holder is not None and (is_change or self._task() is not running.task()):
            raise sqlite3.OperationalError("database is locked: another part of the plugin has a transaction open")
        return self._pages.connection

    def _note(self) -> None:
        """Something is changed, and has to be stored."""
        self._changed.add(running.task())
        if self._storing is None or self._storing.done():
            self._storing = parlor.spawn(self.settle())

    async def settle(self) -> None:
        """Stores what has changed. `NotStored`: something of what this task has changed was not stored, and is undone."""
        async with self._pages.turn:
            while self._changed:
                changed, self._changed = self._changed, set()
                self._drop_lost()
                try:
                    # A transaction that is open is none of it.
                    await self._pages.store(self._before if self._is_open() else None)
                except BaseException as error:
                    self._fail(changed, error)
                    if not isinstance(error, NotStored):
                        raise
            if self._pages.connection is None:
                # The next one tries it again.
                with contextlib.suppress(NotStored, errors.Error):
                    await self._pages.ready()
        failed = self._failed.pop(running.task(), None)
        if failed is not None:
            raise failed

    def _fail(self, changed: set[Any], error: BaseException) -> None:
        """Loses the changes of these tasks, and those of others since."""
        self._pages.forget()
        told = error if isinstance(error, NotStored) else NotStored(f"the database was not stored: {type(error).__name__}")
        _log.error("%s", told)
        for task in changed | self._changed:
            self._failed[task] = told
        self._changed = set()
