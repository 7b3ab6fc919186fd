"""The databases of ported plugins: `python3 -m unittest discover tests/ports`."""

import asyncio
import contextlib
import sqlite3
import sys
import tempfile
import textwrap
import time
import tomllib
import unittest
from pathlib import Path
from typing import Any

import sample

ABOUT = "id: org.example.a\nversion: 1.0\nmodules:\n- a\nmain_class: A\ndatabase: true\ndatabase_type: asyncpg\n"
HEAD = """
import asyncio
from maubot import MessageEvent, Plugin
from maubot.handlers import command
from mautrix.util.async_db import Connection, Database, Scheme, UpgradeTable

upgrades = UpgradeTable()


@upgrades.register(description="the first one")
async def first(conn: Connection, scheme: Scheme) -> None:
    await conn.execute("CREATE TABLE note (id INTEGER PRIMARY KEY, owner TEXT NOT NULL, text TEXT UNIQUE)")
"""
SECOND = """

@upgrades.register(description="the second one")
async def second(conn: Connection) -> None:
    await conn.execute("ALTER TABLE note ADD COLUMN points INTEGER NOT NULL DEFAULT 1")
"""


def plugin(body: str, head: str = HEAD) -> dict[str, str]:
    body = "@classmethod\ndef get_db_upgrade_table(cls):\n    return upgrades\n" + textwrap.dedent(body)
    return {"maubot.yaml": ABOUT, "a.py": f"{head}\n\nclass A(Plugin):\n{textwrap.indent(body, '    ')}"}


NOTES = """
@command.new("note", require_subcommand=True)
async def note(self, evt):
    pass

@note.subcommand("add")
@command.argument("text", pass_raw=True)
async def add(self, evt, text):
    async with self.database.acquire() as conn, conn.transaction():
        number = await conn.fetchval("INSERT INTO note (owner, text) VALUES ($2, $1) RETURNING id", text, evt.sender)
    await evt.respond(f"{number}")

@note.subcommand("twice")
@command.argument("text", pass_raw=True)
async def twice(self, evt, text):
    try:
        async with self.database.acquire() as conn, conn.transaction():
            await conn.execute("INSERT INTO note (owner, text) VALUES ($1, $2)", evt.sender, text)
            await asyncio.sleep(0)
            await conn.execute("INSERT INTO note (owner, text) VALUES ($1, $2)", evt.sender, text)
    except Exception as error:
        await evt.respond(f"{type(error).__name__}")

@note.subcommand("fill")
@command.argument("size", parser=int)
async def fill(self, evt, size):
    await self.database.executemany("INSERT INTO note (owner, text) VALUES ($1, $2)", [(evt.sender, f"{one:04}" * 250) for one in range(size)])
    await evt.respond("filled")

@note.subcommand("list")
async def list(self, evt):
    rows = await self.database.fetch("SELECT id, text AS said, '$1' AS money FROM note WHERE owner = $1 ORDER BY id", evt.sender)
    await evt.respond("; ".join(f"{row['id']} {row[1]} {row.get('money')} {row.get('none', '-')}" for row in rows) or "nothing")

@note.subcommand("one")
async def one(self, evt):
    row = await self.database.fetchrow("SELECT * FROM note WHERE id = $1", 99)
    await evt.respond(f"{row} {await self.database.fetchval('SELECT count(*) FROM note')} {self.database.scheme is Scheme.SQLITE}")
"""


class Databases(unittest.IsolatedAsyncioTestCase):
    async def begun(self, texts: dict[str, str], kept: Any = None, starts: bool = True) -> Any:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.parlor = sample.begun(texts, Path(folder.name))
        self.host = self.parlor.host
        self.host.kept.update(kept or {})
        if starts:
            await self.host.start()
        return self.host

    async def answers(self, text: str) -> list[str]:
        await self.host.says(text)
        return [text for _, text in self.host.take()]

    async def test_a_database_outlives_a_restart_and_an_upgrade(self) -> None:
        host = await self.begun(plugin(NOTES))
        self.assertEqual(await self.answers("!note list"), ["nothing"])
        self.assertEqual(await self.answers("!note add buy tea"), ["1"])
        self.assertEqual(await self.answers("!note add drink it"), ["2"])
        self.assertEqual(await self.answers("!note list"), ["1 buy tea $1 -; 2 drink it $1 -"])
        kept = dict(host.kept)
        self.assertTrue(all(key.startswith("database/") for key in kept))
        host = await self.begun(plugin(NOTES.replace("text AS said", "text || points AS said"), HEAD + SECOND), kept)
        self.assertEqual(await self.answers("!note list"), ["1 buy tea1 $1 -; 2 drink it1 $1 -"])
        self.assertEqual(await self.answers("!note one"), ["None 2 True"])
        # A plugin that knows less does not touch it.
        kept = dict(host.kept)
        with self.assertRaisesRegex(RuntimeError, "version 2, and this plugin knows 1"):
            await self.begun(plugin(NOTES), kept)
        self.assertEqual(self.host.kept, kept)

    async def test_reading_stores_nothing_and_writing_stores_only_what_changed(self) -> None:
        host = await self.begun(plugin(NOTES))
        await self.answers("!note fill 100")
        before = dict(host.kept)
        await self.answers("!note list")
        self.assertEqual(host.kept, before)
        await self.answers("!note add tea")
        changed = [key for key in host.kept if host.kept[key] != before.get(key)]
        self.assertLess(len(changed), 8)
        self.assertGreater(len(host.kept), 100)

    async def test_a_transaction_that_fails_leaves_nothing(self) -> None:
        host = await self.begun(plugin(NOTES))
        before = dict(host.kept)
        self.assertEqual(await self.answers("!note twice tea"), ["IntegrityError"])
        self.assertEqual(host.kept, before)
        self.assertEqual(await self.answers("!note list"), ["nothing"])
        # Others wait until it has ended.
        await asyncio.gather(host.says("!note twice tea"), host.says("!note add tea"))
        self.assertEqual(sorted(text for _, text in host.take()), ["1", "IntegrityError"])

    async def test_a_transaction_within_another_fails_alone_or_takes_the_other_along(self) -> None:
        host = await self.begun(plugin(NOTES + """
async def put(self, text):
    await self.database.execute("INSERT INTO note (owner, text) VALUES ('all', $1)", text)

@command.new("within")
@command.argument("caught", parser=int)
async def within(self, evt, caught):
    async with self.database.acquire() as conn, conn.transaction():
        await self.put("before")
        try:
            async with conn.transaction():
                await self.put("within")
                async with conn.transaction():
                    await self.put("deeper")
                    raise LookupError("deeper")
        except LookupError:
            if not caught:
                raise
        await self.put("after")

@command.new("full")
async def full(self, evt):
    async with self.database.acquire() as conn, conn.transaction():
        await self.put("before")
        for text in ("x" * 5_000_000, "after"):
            try:
                await self.put(text)
            except Exception as error:
                await evt.respond(f"{type(error).__name__}: {error}")

@command.new("all")
async def all(self, evt):
    await evt.respond(" ".join(row["text"] for row in await self.database.fetch("SELECT text FROM note ORDER BY id")) or "nothing")
"""))
        before = dict(host.kept)
        with self.assertRaisesRegex(LookupError, "deeper"):
            await self.answers("!within 0")
        self.assertEqual((await self.answers("!all"), host.kept), (["nothing"], before))
        # SQLite itself ends a transaction that needs too much memory. Later statements of the transaction fail, too.
        with self.assertRaisesRegex(sqlite3.OperationalError, "has ended the transaction"):
            await self.answers("!full")
        told = [text for _, text in host.take()]
        self.assertEqual([text.partition(":")[0] for text in told], ["OperationalError"] * 2, told)
        self.assertEqual((await self.answers("!all"), host.kept), (["nothing"], before))
        await self.answers("!within 1")
        self.assertEqual(await self.answers("!all"), ["before after"])
        kept = dict(host.kept)
        await self.begun(plugin(NOTES.replace("'$1' AS money FROM note WHERE owner = $1", "'' AS money FROM note WHERE owner <> $1")), kept)
        self.assertEqual(await self.answers("!note list"), ["1 before  -; 2 after  -"])

    async def test_pragmas_work_or_are_refused(self) -> None:
        asks = NOTES + """
@command.new("ask")
@command.argument("query", pass_raw=True)
async def ask(self, evt, query):
    try:
        rows = await self.database.fetch(query)
    except Exception as error:
        await evt.respond(f"{type(error).__name__}: {error}")
    else:
        await evt.respond("; ".join(" ".join(str(one) for one in row) for row in rows) or "nothing")

@command.new("both")
@command.argument("query", pass_raw=True)
async def both(self, evt, query):
    async with self.database.acquire() as conn, conn.transaction():
        await self.ask(evt, query)
"""
        host = await self.begun(plugin(asks))
        for query, answer in (
            ("PRAGMA user_version", "0"),
            ("PRAGMA user_version = 7", "nothing"),
            ("/* which? */ pragma main.user_version; -- this", "7"),
            ("PRAGMA table_info(version)", "0 version INTEGER 0 None 1"),
            ("PRAGMA foreign_key_list('note')", "nothing"),
            ("PRAGMA integrity_check", "ok"),
            # A database in memory has its own.
            ("PRAGMA journal_mode = WAL", "memory"),
            ("PRAGMA journal_mode(OFF)", "memory"),
            ("PRAGMA foreign_keys", "1"),
            ("PRAGMA foreign_keys = OFF", "nothing"),
            ("PRAGMA foreign_keys", "0"),
            ("PRAGMA foreign_keys(on)", "nothing"),
            ("PRAGMA foreign_keys", "1"),
            # A comment may stand at its end, too, and between its words.
            ("PRAGMA journal_mode(OFF) -- the rollback needs it", "memory"),
            ("PRAGMA/**/user_version = 8 -- one more", "nothing"),
            ("PRAGMA user_version /* ; */ ;", "8"),
            ("PRAGMA user_version(7) -- as before", "nothing"),
            ("PRAGMA legacy_alter_table = ON", "nothing"),
        ):
            self.assertEqual(await self.answers(f"!ask {query}"), [answer], query)
        for query in ("PRAGMA max_page_count = 100000", "PRAGMA page_size = 512", "PRAGMA writable_schema(1)", "PRAGMA auto_vacuum=1"):
            self.assertRegex((await self.answers(f"!ask {query}"))[0], "^OperationalError: PRAGMA [a-z_]+ cannot be set here", query)
        self.assertRegex((await self.answers("!ask PRAGMA 'user_version' = 9"))[0], "^OperationalError: .* cannot be read here")
        for query in ("BEGIN", "commit", "-- now\nROLLBACK", "SAVEPOINT a", "VACUUM", "ATTACH 'a' AS a"):
            self.assertRegex((await self.answers(f"!ask {query}"))[0], "^OperationalError: .* is no statement for this database", query)
        # SQLite would ignore it.
        self.assertEqual(await self.answers("!both PRAGMA foreign_keys = ON"), ["nothing"])
        self.assertRegex((await self.answers("!both PRAGMA foreign_keys = 0"))[0], "within a transaction")
        kept = dict(host.kept)
        await self.begun(plugin(asks), kept)
        self.assertEqual(await self.answers("!ask PRAGMA user_version"), ["7"])

    async def test_spaces_and_comments_before_a_statement_take_no_time(self) -> None:
        await self.begun(plugin(NOTES))
        database = sys.modules["mautrix.util.async_db"].Database()
        # Statements are indented as the plugin is.
        for before in ("\n" + " " * 26, "/* a */ " * 26, "-- a\n\n" * 26):
            began = time.monotonic()
            self.assertEqual(await database.fetchval(f"{before}SELECT 1"), 1)
            self.assertLess(time.monotonic() - began, 0.5, before)
        # No statement at all.
        for query in (" " * 10_000, "/*a*/" * 2_000 + "(", "--" * 10_000, "/* a " + "*" * 10_000):
            began = time.monotonic()
            with contextlib.suppress(sqlite3.Error):
                await database.execute(query)
            self.assertLess(time.monotonic() - began, 0.5, query[:9])

    async def test_the_number_of_an_upgrade_without_a_transaction_is_not_lost(self) -> None:
        head = HEAD + """

@upgrades.register(description="again and again", transaction=False)
async def repeated(conn: Connection) -> None:
    await conn.execute("CREATE TABLE IF NOT EXISTS other (number INTEGER)")
"""
        kept = dict((await self.begun(plugin(NOTES))).kept)
        # The plugin is ended before it stores something for the second time, and so on.
        for times in range(4):
            host = await self.begun(plugin(NOTES, head), kept, starts=False)
            pages = sys.modules["parlor_port.pages"].Pages
            real, stored = pages.store, 0

            async def store(self: Any, real: Any = real, times: int = times) -> None:
                nonlocal stored
                if stored == times:
                    raise SystemError("the plugin is ended")
                stored += 1
                await real(self)

            pages.store = store
            with contextlib.suppress(SystemError):
                await host.start()
            host = await self.begun(plugin(NOTES, head), dict(host.kept))
            self.assertEqual(await self.answers("!note list"), ["nothing"], times)

    async def test_foreign_keys_stay_off_if_the_database_is_read_again(self) -> None:
        await self.begun(plugin(NOTES))
        database = sys.modules["mautrix.util.async_db"].Database()
        for state in (0, 1):
            await database.execute(f"PRAGMA foreign_keys = {state}")
            # As after a transaction that the host did not store.
            database._pages.forget()
            self.assertEqual(await database.fetchval("PRAGMA foreign_keys"), state)

    async def test_an_upgrade_without_a_transaction_may_turn_foreign_keys_off(self) -> None:
        head = HEAD + """

@upgrades.register(description="references", transaction=False)
async def references(conn: Connection) -> None:
    await conn.execute("CREATE TABLE about (note INTEGER REFERENCES note (id) ON DELETE CASCADE)")
    await conn.execute("INSERT INTO note (owner, text) VALUES ('all', 'tea')")
    await conn.execute("INSERT INTO about VALUES (1)")
    await conn.execute("PRAGMA foreign_keys = OFF")
    async with conn.transaction():
        await conn.execute("DROP TABLE note")
        await conn.execute("CREATE TABLE note (id INTEGER PRIMARY KEY, owner TEXT, text TEXT)")
        await conn.execute("INSERT INTO note VALUES (1, 'all', 'tea')")
    await conn.execute("PRAGMA foreign_keys = ON")
"""
        await self.begun(plugin(NOTES.replace("count(*) FROM note", "count(*) FROM about"), head))
        self.assertEqual(await self.answers("!note one"), ["None 1 True"])

    async def test_what_cannot_be_stored_is_not_in_the_database_either(self) -> None:
        host = await self.begun(plugin(NOTES))
        await self.answers("!note add tea")
        before = dict(host.kept)
        with self.assertRaisesRegex(sqlite3.OperationalError, "may change 240 KiB"):
            await self.answers("!note fill 300")
        self.assertEqual(await self.answers("!note one"), ["None 1 True"])
        host.quota = sum(len(key) + len(value) + 64 for key, value in host.kept.items())
        with self.assertRaisesRegex(sqlite3.OperationalError, "not stored: over a limit"):
            await self.answers("!note fill 100")
        self.assertEqual(host.kept, before)
        host.quota = 16 << 20
        self.assertEqual(await self.answers("!note add more"), ["2"])
        # Another version has changed it meanwhile.
        host.kept["database/at"] = b"99"
        with self.assertRaisesRegex(sqlite3.OperationalError, "another version"):
            await self.answers("!note add third")
        self.assertEqual(await self.answers("!note add third"), ["3"])
        self.assertEqual(host.kept["database/at"], b"100")

    async def test_a_database_has_a_largest_size(self) -> None:
        await self.begun(plugin(NOTES + """
@command.new("large")
async def large(self, evt):
    for number in range(99):
        await self.database.execute("INSERT INTO note (owner, text) VALUES ($1, $2)", evt.sender, f"{number:02}" * 50_000)
"""))
        with self.assertRaisesRegex(sqlite3.OperationalError, "full"):
            await self.answers("!large")
        self.assertLess(sum(len(value) for value in self.host.kept.values()), (4 << 20) + 1024)
        # Values that are there can be read and deleted.
        self.assertEqual((await self.answers("!note one"))[0].split()[0], "None")

    async def test_values_that_are_no_database_are_told(self) -> None:
        host = await self.begun(plugin(NOTES))
        kept = dict(host.kept)
        for key, value in (("database/page/00001", None), ("database/page/00000", b"x"), ("database/other", b"1")):
            broken = {**kept, key: value}
            with self.assertRaisesRegex(sqlite3.OperationalError, "no database of this plugin"):
                await self.begun(plugin(NOTES), {key: value for key, value in broken.items() if value is not None})

    async def test_commands_wait_for_the_database(self) -> None:
        host = await self.begun(plugin(NOTES), starts=False)
        early = asyncio.ensure_future(host.says("!note add tea"))
        await asyncio.sleep(0)
        await host.start()
        await early
        self.assertEqual(host.take(), [("alice@example.org", "1")])


class Told(unittest.TestCase):
    def test_a_database_is_granted_and_told(self) -> None:
        result = sample.port(plugin(NOTES))
        self.assertEqual(sample.told(result, "lacks"), [])
        self.assertEqual(sample.told(result, "check"), ["maubot.yaml:6 database: true"])
        self.assertEqual(tomllib.loads(result["files"]["plugin.toml"])["permissions"]["storage"]["scope"], ["6 MiB"])
        self.assertIn("    database='asyncpg',", result["files"]["plugin.py"])

    def test_rows_and_errors_of_other_databases_are_those_of_sqlite(self) -> None:
        head = "import sqlite3\nfrom asyncpg import Record, UniqueViolationError\nimport asyncpg.exceptions\nfrom maubot import Plugin\n"
        texts = plugin("def a(self, row: Record):\n    return asyncpg.exceptions.UniqueViolationError, sqlite3.IntegrityError\n", head)
        self.assertEqual(sample.told(sample.port(texts), "lacks"), [])
        texts = plugin("def a(self):\n    sqlite3.connect('a.db')\n", head)
        self.assertEqual(sample.told(sample.port(texts), "lacks"), ["a.py:12 sqlite3.connect"])

    def test_each_use_of_another_database_is_told_with_its_line(self) -> None:
        texts = plugin("def a(self):\n    self.database.execute('')\n    return self.database\n", "from maubot import Plugin\nimport sqlalchemy as sql\nfrom asyncpg import Pool, Record\n")
        texts["maubot.yaml"] = ABOUT.replace("database_type: asyncpg\n", "")
        result = sample.port(texts)
        self.assertEqual(sample.told(result, "lacks"), ["a.py:3 asyncpg.Pool"])
        [remedy] = [one["instead"] for one in result["findings"] if one["what"] == "database: true"]
        self.assertIn("docs/author/data.md", remedy)
