"""Databases, by the names that plugins of maubot know. Each plugin has a small one of SQLite: see `parlor_port.pages`."""

import contextlib
import inspect
import re
import sqlite3
from enum import Enum
from typing import Any, AsyncIterator, Callable, Iterable, Optional, Sequence

from parlor_port import running as port
from parlor_port import statements
from parlor_port.pages import Pages

#: A text in a statement, which is left as it is, or a parameter as PostgreSQL has it.
_PARAMETER = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|\$(\d+)")
#: Those that are stored in the database.
_STORED = ("user_version", "application_id")
#: Those that last as long as the database is in memory.
_LASTING = ("defer_foreign_keys", "recursive_triggers", "case_sensitive_like", "ignore_check_constraints", "legacy_alter_table",
            "automatic_index", "analysis_limit")  # fmt: skip
#: Those about files and caches. A database in memory has none: they answer with what is.
_WITHOUT_EFFECT = ("journal_mode", "synchronous", "busy_timeout", "cache_size", "temp_store", "mmap_size", "wal_autocheckpoint",
                   "journal_size_limit", "secure_delete", "locking_mode", "optimize", "wal_checkpoint")  # fmt: skip


class Scheme(Enum):
    """The kinds of databases. It is always SQLite."""

    SQLITE = "sqlite"
    POSTGRES = "postgres"
    COCKROACH = "cockroach"


class Connection:
    """The database, in statements."""

    scheme = Scheme.SQLITE

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    async def execute(self, query: str, *args: Any, timeout: Optional[float] = None) -> Any:
        """Carries out a statement."""
        return (await self._run(query, args))[0]

    async def executemany(self, query: str, args: Iterable[Sequence[Any]], timeout: Optional[float] = None) -> None:
        """Carries out a statement with each of these arguments, all together or not at all."""
        async with self.transaction():
            for one in args:
                await self._run(query, one)

    async def fetch(self, query: str, *args: Any, timeout: Optional[float] = None) -> list[Any]:
        """The rows that a statement gives."""
        return (await self._run(query, args))[1]

    async def fetchrow(self, query: str, *args: Any, timeout: Optional[float] = None) -> Any:
        """The first of them. None: there is none."""
        return next(iter(await self.fetch(query, *args)), None)

    async def fetchval(self, query: str, *args: Any, column: Any = 0, timeout: Optional[float] = None) -> Any:
        """A value of the first of them. None: there is none."""
        row = await self.fetchrow(query, *args)
        return None if row is None else row[column]

    async def table_exists(self, name: str) -> bool:
        """Whether there is such a table."""
        return await self.fetchval("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = $1", name) is not None

    @contextlib.asynccontextmanager
    async def transaction(self, **_: Any) -> AsyncIterator[None]:
        """Its changes are stored together or, if it fails, not at all. Other tasks wait meanwhile."""
        pages = self._pages
        async with pages.turn:
            await pages.ready()
            own = pages.connection
            if pages.depth:
                _goes_on(own)
            mark = f"parlor_{pages.depth}"
            own.execute(f"SAVEPOINT {mark}" if pages.depth else "BEGIN")
            pages.depth += 1
            try:
                yield
                _goes_on(own)
                own.execute(f"RELEASE {mark}" if pages.depth > 1 else "COMMIT")
            except BaseException:
                # SQLite itself may have ended it.
                if own.in_transaction:
                    own.execute(f"ROLLBACK TO {mark}" if pages.depth > 1 else "ROLLBACK")
                raise
            finally:
                pages.depth -= 1
            if not pages.depth and pages.is_changed:
                await pages.store()

    async def _run(self, query: str, args: Sequence[Any]) -> tuple[Any, list[Any]]:
        word = statements.word_of(query, "`async with conn.transaction()`")
        if word == "PRAGMA":
            return await self._pragma(query, *statements.pragma_of(query))
        return await self._do(query, args, is_change=word not in statements.READS)

    async def _pragma(self, query: str, name: str, value: Optional[str]) -> tuple[Any, list[Any]]:
        if name in _WITHOUT_EFFECT:
            query = f"PRAGMA {name}"
        elif name == "foreign_keys" and value is not None:
            return await self._switch_foreign_keys(query, value)
        elif value is not None and name not in (*statements.ASKS, *_STORED, *_LASTING):
            raise statements.not_set(name)
        return await self._do(query, (), is_change=name in _STORED and value is not None)

    async def _switch_foreign_keys(self, query: str, value: str) -> tuple[Any, list[Any]]:
        pages = self._pages
        async with pages.turn:
            await pages.ready()
            is_on = bool(pages.connection.execute("PRAGMA foreign_keys").fetchone()[0])
            if pages.depth and is_on != (value.strip("'\" ").lower() in ("1", "on", "true", "yes")):
                # SQLite ignores it there.
                raise sqlite3.OperationalError(
                    "PRAGMA foreign_keys cannot be changed within a transaction: do it before, in an upgrade with `transaction=False`")
            cursor = pages.connection.execute(query)
            # A database that is read again stays as it was: deleting a table would delete what refers to it.
            pages.has_foreign_keys = bool(pages.connection.execute("PRAGMA foreign_keys").fetchone()[0])
            return cursor, []

    async def _do(self, query: str, args: Sequence[Any], is_change: bool = False) -> tuple[Any, list[Any]]:
        async with self.transaction():
            own = self._pages.connection
            before = own.total_changes
            cursor = own.execute(_PARAMETER.sub(lambda one: f"?{one[1]}" if one[1] else one[0], query), tuple(args))
            rows = cursor.fetchall()
            self._pages.is_changed |= is_change or own.total_changes != before
        return cursor, rows


class Database(Connection):
    """The database of a plugin."""

    def __init__(self, pages: Optional[Pages] = None, upgrade_table: "Optional[UpgradeTable]" = None) -> None:
        super().__init__(pages or Pages("database/"))
        self.upgrade_table = upgrade_table

    @contextlib.asynccontextmanager
    async def acquire(self, **_: Any) -> AsyncIterator[Connection]:
        """The database, which no other task uses meanwhile."""
        async with self._pages.turn:
            yield self

    async def start(self) -> None:
        """Reads it, and makes the upgrades."""
        if self.upgrade_table is not None:
            await self.upgrade_table.upgrade(self)

    async def stop(self) -> None:
        """Everything has been stored."""


class UpgradeTable:
    """The upgrades of a database, which are made once, in their order."""

    def __init__(self, version_table_name: str = "version", **_: Any) -> None:
        self.version_table_name = version_table_name
        #: Their functions, the versions that they lead to, and whether each is one transaction.
        self.upgrades: list[tuple[Callable[..., Any], Optional[int], bool]] = []

    def register(
        self, *given: Any, index: int = -1, description: str = "", upgrades_to: Optional[int] = None, transaction: bool = True, **_: Any
    ) -> Any:
        """Adds an upgrade, to the next version or to another one. Without `transaction`, it begins its own ones."""

        def note(function: Callable[..., Any]) -> Callable[..., Any]:
            self.upgrades.insert(index if index >= 0 else len(self.upgrades), (function, upgrades_to, transaction))
            return function

        return note(given[0]) if given and callable(given[0]) else note

    async def upgrade(self, database: Database) -> None:
        """Makes the upgrades that are missing. `RuntimeError`: the database is of a later version of the plugin."""
        table = '"' + self.version_table_name.replace('"', '""') + '"'
        await database.execute(f"CREATE TABLE IF NOT EXISTS {table} (version INTEGER PRIMARY KEY)")
        version = await database.fetchval(f"SELECT version FROM {table}") or 0
        if version > len(self.upgrades):
            raise RuntimeError(f"the database has the version {version}, and this plugin knows {len(self.upgrades)}")
        while version < len(self.upgrades):
            function, to, is_one = self.upgrades[version]
            async with database.transaction() if is_one else database.acquire():
                await port.done(function(database, database.scheme) if _takes_two(function) else function(database))
                version = to or version + 1
                # Without a number, all upgrades would be made again.
                async with database.transaction():
                    await database.execute(f"DELETE FROM {table}")
                    await database.execute(f"INSERT INTO {table} (version) VALUES ($1)", version)


def _goes_on(connection: sqlite3.Connection) -> None:
    """Checks that SQLite has not ended the transaction by itself: what follows would be done without one."""
    if not connection.in_transaction:
        raise sqlite3.OperationalError("SQLite has ended the transaction after an error: nothing of it is done")


def _takes_two(function: Callable[..., Any]) -> bool:
    """Whether an upgrade also takes the kind of the database."""
    try:
        inspect.signature(function).bind(None, None)
    except (TypeError, ValueError):
        return False
    return True
