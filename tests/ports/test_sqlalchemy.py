"""The databases of ported plugins by the names of SQLAlchemy: `python3 -m unittest discover tests/ports`."""

import asyncio
import contextlib
import tempfile
import textwrap
import unittest
from pathlib import Path
from typing import Any

import sample

ABOUT = "id: org.example.a\nversion: 1.0\nmodules:\n- a\nmain_class: A\ndatabase: true\n"
HEAD = """
import asyncio
from datetime import datetime, timezone
from maubot import Plugin
from maubot.handlers import command
from sqlalchemy import *
from sqlalchemy import orm
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.declarative import declarative_base
from sqlalchemy.orm.exc import MultipleResultsFound, NoResultFound

meta = MetaData()
person = Table("person", meta, Column("id", Integer, primary_key=True, autoincrement=True), Column("name", String(255), nullable=False, unique=True),
               Column("is_in", Boolean, nullable=False, default=True), Column("since", DateTime), Column("points", Integer, default=lambda: 3))
note = Table("note", meta, Column("person", Integer, ForeignKey("person.id", ondelete="CASCADE"), primary_key=True), Column("text", Text, primary_key=True))
Base = declarative_base()


class Named:
    title: str = Column(Text, nullable=False)

    def shout(self):
        return self.title.upper()


class Book(Named, Base):
    __tablename__ = "book"
    __table_args__ = (UniqueConstraint("title", "published"), {"sqlite_autoincrement": True})
    id = Column(Integer, primary_key=True)
    year = Column("published", Integer)
    seen = Column(DateTime)


class Copy(Base):
    __tablename__ = "copy"
    book = Column(Integer, ForeignKey(Book.id), primary_key=True)
    place = Column(String(20), primary_key=True)
"""
#: The method that a command calls, with the answer of what it returns.
BODY = """
async def start(self):
    self.db = self.database
    meta.bind = self.db
    meta.create_all()
    Base.metadata.create_all(self.db)
    self.Session = orm.sessionmaker(bind=self.db)

@command.new("do")
@command.argument("name", required=False)
async def do(self, evt, name):
    found = getattr(self, name)()
    await evt.respond(str(await found if asyncio.iscoroutine(found) else found))
"""


def plugin(body: str, head: str = HEAD) -> dict[str, str]:
    return {"maubot.yaml": ABOUT, "a.py": f"{head}\n\nclass A(Plugin):\n{textwrap.indent(BODY + textwrap.dedent(body), '    ')}"}


class Case(unittest.IsolatedAsyncioTestCase):
    async def begun(self, texts: dict[str, str], kept: Any = None) -> Any:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.host = sample.begun(texts, Path(folder.name)).host
        self.host.kept.update(kept or {})
        await self.host.start()
        return self.host

    async def does(self, name: str) -> str:
        await self.host.says(f"!do {name}")
        [(_, text)] = self.host.take()
        return text

    async def returned(self, lines: str) -> str:
        """Returns what a function of the plugin returns."""
        await self.begun(plugin("def run(self):\n" + textwrap.indent(textwrap.dedent(lines), "    ")))
        return await self.does("run")


class Databases(Case):
    async def test_tables_take_rows_and_give_them(self) -> None:
        text = await self.returned("""
            first = self.db.execute(person.insert().values(name="ann", since=datetime(2026, 5, 1, 8, tzinfo=timezone.utc)))
            self.db.execute(insert(person).values({"name": "bob", "is_in": False, "points": 7}))
            self.db.execute(person.insert(), [{"name": "cy", "points": None}, {"name": "di"}])
            rows = self.db.execute(person.select().where(person.c.name != "cy").order_by(person.c.id)).fetchall()
            ann = rows[0]
            values = [ann["name"], ann.points, ann[person.c.since], ann[0], "name" in ann, dict(ann)["is_in"], first.inserted_primary_key]
            return values, [(row.name, row.is_in, row.points) for row in rows], self.db.execute(person.count()).scalar()
        """)
        self.assertEqual(
            text, "(['ann', 3, datetime.datetime(2026, 5, 1, 8, 0), 1, True, True, [1]], "
            "[('ann', True, 3), ('bob', False, 7), ('di', True, 3)], 4)")

    async def test_conditions_and_joins(self) -> None:
        text = await self.returned("""
            for number, name in enumerate(["ann", "bob", "cy"]):
                person.insert().values(name=name, points=number * 5).execute()
            self.db.execute(note.insert(), [dict(person=1, text="tea"), dict(person=1, text="milk"), dict(person=3, text="tea")])
            c = person.c
            def names(*where):
                return "".join(row[0][0] for row in self.db.execute(select([c.name]).where(and_(*where)).order_by(desc(c.points))))
            found = [names(c.points > 0), names(or_(c.name == "ann", c.points >= 10)), names(c.name.in_(["bob", "cy"])), names(c.name.in_([])),
                     names(~c.name.like("%b%")), names((c.points < 10) & (c.name != "bob")), names(c.since == None), names(c.since != None),
                     names(not_(c.is_in)), names(c.is_in == True), names(c.points.between(1, 6)), names(5 <= c.points), names(),
                     names(c.id.in_(select([note.c.person]).where(note.c.text == "tea")))]
            joined = note.join(person, note.c.person == c.id)
            rows = self.db.execute(select([c.name, note.c.text]).select_from(joined).where(note.c.text == "tea").order_by(c.id)).fetchall()
            besides = self.db.execute(select([c.name, note.c.text]).where(c.id == note.c.person).limit(1).order_by(note.c.text)).first()
            alone = [row.name for row in self.db.execute(select([person]).select_from(person.outerjoin(note)).where(note.c.text == None))]
            return found, rows, besides, alone
        """)
        self.assertEqual(
            text, "(['cb', 'ca', 'cb', '', 'ca', 'a', 'cba', '', '', 'cba', 'b', 'cb', 'cba', 'ca'], "
            "[('ann', 'tea'), ('cy', 'tea')], ('ann', 'milk'), ['bob'])")

    async def test_a_type_of_the_plugin_changes_values(self) -> None:
        text = await self.returned("""
            class Words(TypeDecorator):
                impl = CHAR
                def load_dialect_impl(self, dialect):
                    return dialect.type_descriptor(CHAR(9) if dialect.name == "sqlite" else Integer())
                def process_bind_param(self, value, dialect):
                    return value if value is None else " ".join(value)
                def process_result_value(self, value, dialect):
                    return value if value is None else value.split()
            class Plain(TypeDecorator):
                impl = Boolean
            page = Table("page", meta, Column("words", Words, primary_key=True), Column("is_read", Plain()))
            page.create()
            self.db.execute(page.insert().values(words=["a", "b"], is_read=True))
            found = self.db.execute(select([page]).where(page.c.words == ["a", "b"])).fetchall()
            return found, self.db.scalar("SELECT sql FROM sqlite_master WHERE name = 'page'"), self.db.scalar("SELECT words FROM page")
        """)
        self.assertEqual(text.replace('"', ""), "([(['a', 'b'], True)], 'CREATE TABLE page (words CHAR(9) NOT NULL, is_read BOOLEAN, PRIMARY KEY (words))', 'a b')")

    async def test_sums_and_cases(self) -> None:
        text = await self.returned("""
            self.db.execute(person.insert(), [dict(name="ann", points=4), dict(name="bob", points=-3), dict(name="cy", points=-1)])
            c = person.c
            good = func.sum(case([(c.points > 0, c.points)], else_=0)).label("good")
            bad = func.abs(func.sum(case([(c.points < 0, c.points)], else_=0))).label("bad")
            row = self.db.execute(select([func.count(c.id), good, bad, func.max(c.name)])).first()
            groups = self.db.execute(select([c.is_in, func.sum(c.points).label("total")]).group_by(c.is_in).having(func.count() > 1).order_by(desc("total")))
            return row, row.good, groups.fetchall(), self.db.scalar(select([c.name + "!"]).order_by(c.name.desc()).limit(1).offset(1))
        """)
        self.assertEqual(text, "((3, 4, 4, 'cy'), 4, [(True, 0)], 'bob!')")

    async def test_rows_are_changed_and_deleted(self) -> None:
        text = await self.returned("""
            self.db.execute(person.insert(), [dict(name="ann"), dict(name="bob")])
            changed = self.db.execute(person.update().where(person.c.name == "ann").values(points=person.c.points + 1, is_in=False)).rowcount
            self.db.execute(person.delete().where(person.c.name == "bob"))
            try:
                self.db.execute(person.insert().values(name="ann"))
            except IntegrityError as error:
                said = str(error)
            return changed, self.db.execute(person.select()).fetchall(), said
        """)
        self.assertEqual(text, "(1, [(1, 'ann', False, None, 4)], '(sqlite3.IntegrityError) UNIQUE constraint failed: person.name')")

    async def test_texts_of_sql_have_values(self) -> None:
        text = await self.returned("""
            self.db.execute("INSERT INTO person (name, is_in, points) VALUES (?, ?, ?)", ("ann", False, 1))
            self.db.execute("INSERT INTO person (name, is_in, points) VALUES (?, ?, ?)", "bob", True, 2)
            self.db.execute("INSERT INTO person (name, is_in, points) VALUES (?, 1, 3)", [("cy",), ("di",)])
            rows = self.db.execute(text("SELECT name, points FROM person WHERE points > :least"), least=1)
            return [(row["name"], row.points) for row in rows], self.db.table_names(), self.db.has_table("note")
        """)
        self.assertEqual(text, "([('bob', 2), ('cy', 3), ('di', 3)], ['book', 'copy', 'note', 'person'], True)")

    async def test_a_name_or_a_value_is_never_read_as_sql(self) -> None:
        text = await self.returned("""
            odd = Table('a"; DROP TABLE person; --', meta, Column('b" x', Text, primary_key=True, server_default="it's"))
            odd.create()
            self.db.execute(odd.insert())
            self.db.execute(odd.insert().values({'b" x': "'; DROP TABLE person; --"}))
            found = []
            for step in (lambda: self.db.execute(person.select().order_by("name; DROP TABLE person")), lambda: getattr(func, "x(1);y")(),
                         lambda: person.select().where("1 = 1"), lambda: Table("x", meta, Column("y", Integer, ForeignKey("p.i", ondelete="x"))).create()):
                try:
                    step()
                    found.append("done")
                except Exception as error:
                    found.append(type(error).__name__)
            return [row[0] for row in self.db.execute(odd.select())], found, self.db.has_table("person")
        """)
        self.assertEqual(text, '''(["it's", "'; DROP TABLE person; --"], ['ArgumentError', 'ArgumentError', 'ArgumentError', 'ArgumentError'], True)''')

    async def test_a_transaction_is_done_as_a_whole_or_not_at_all(self) -> None:
        text = await self.returned("""
            found = []
            try:
                with self.db.begin() as tx:
                    tx.execute(person.insert().values(name="ann"))
                    tx.execute(person.insert().values(name="ann"))
            except IntegrityError:
                found.append(self.db.scalar(person.count()))
            try:
                self.db.execute(person.insert(), [dict(name="bob"), dict(name="bob")])
            except IntegrityError:
                found.append(self.db.scalar(person.count()))
            with self.db.connect() as conn:
                outer = conn.begin()
                conn.execute(person.insert().values(name="cy"))
                inner = conn.begin()
                conn.execute(person.insert().values(name="di"))
                inner.commit()
                try:
                    self.db.execute(person.insert().values(name="eve"))
                except OperationalError as error:
                    found.append(str(error.orig))
                outer.rollback()
            found.append(self.db.scalar(person.count()))
            lost = self.db.connect()
            lost.begin()
            lost.execute(person.insert().values(name="eve"))
            del lost
            self.db.execute(person.insert().values(name="fay"))
            return found, [row.name for row in self.db.execute(person.select())]
        """)
        self.assertEqual(text, "([0, 0, 'database is locked: another part of the plugin has a transaction open', 0], ['fay'])")

    async def test_objects_are_rows(self) -> None:
        text = await self.returned("""
            s = self.Session()
            first = Book(title="Emma", year=1815)
            s.add_all([first, Book(title="Persuasion", year=1817), Book(title="Emma", year=1996)])
            s.commit()
            found = [first.id, first.shout(), s.query(Book).count(), s.query(Book).get(2).title, s.query(Book).filter_by(year=1996).one().id]
            first.year = 1816
            s.commit()
            other = self.Session()
            found += [other.query(Book).get(1).year, other.query(Book).get(1) is other.query(Book).filter(Book.title == "Emma").first()]
            other.delete(other.query(Book).get(3))
            found.append(other.query(Book).filter(Book.title.like("E%")).count())
            other.rollback()
            found.append([book.id for book in other.query(Book).order_by(Book.year.desc())])
            other.merge(Book(id=3, year=1997))
            other.merge(Book(id=9, title="Sanditon", year=1817))
            other.commit()
            found.append(self.db.execute(select([Book.id, Book.title, Book.year]).where(Book.id > 2)).fetchall())
            for search in (other.query(Book).filter_by(title="none"), other.query(Book)):
                try:
                    search.one()
                except (NoResultFound, MultipleResultsFound) as error:
                    found.append(type(error).__name__)
            found.append(other.query(Book.title, func.count(Book.id)).group_by(Book.title).order_by(Book.title).all())
            found.append((other.query(Book).filter(Book.year > 1900).update({"year": 2000}), other.query(Book).get(3).year))
            found.append((other.query(Book).filter(or_(Book.title == "Emma", Book.id == 9)).delete(), other.query(Book).one().title))
            other.commit()
            return found
        """)
        self.assertEqual(
            text, "[1, 'EMMA', 3, 'Persuasion', 3, 1816, True, 1, [3, 2, 1], [(3, 'Emma', 1997), (9, 'Sanditon', 1817)], 'NoResultFound', "
            "'MultipleResultsFound', [('Emma', 2), ('Persuasion', 1), ('Sanditon', 1)], (1, 2000), (3, 'Persuasion')]")

    async def test_objects_beside_others_and_those_of_a_session_for_all(self) -> None:
        text = await self.returned("""
            scoped = orm.scoped_session(self.Session)
            class Chair(Base):
                __tablename__ = "chair"
                id = Column(Integer, primary_key=True)
                query = scoped.query_property()
                def __eq__(self, other):
                    return self.id == other.id
                def __init__(self, id):
                    self.id = id
            Base.metadata.create_all(self.db)
            for one in (Chair(4), Chair(5)):
                scoped.add(one)
            scoped.add(Book(id=1, title="Emma"))
            scoped.add(Copy(book=1, place="attic"))
            scoped.commit()
            found = [len(Chair.query.all()), Chair.query.get(4).id, Chair.query.get(6)]
            found.append(scoped.query(Copy).join(Book).filter(Book.title == "Emma").one().place)
            found.append([(book.id, copy.place) for book, copy in scoped.query(Book, Copy).filter(Copy.book == Book.id)])
            found.append(scoped.query(Book).outerjoin(Copy, Copy.book == Book.id).filter_by(place="attic").first().title)
            scoped.delete(Chair.query.get(4))
            scoped.commit()
            scoped.remove()
            return found + [len(Chair.query.all())]
        """)
        self.assertEqual(text, "[2, 4, None, 'attic', [(1, 'attic')], 'Emma', 1]")

    async def test_a_session_that_fails_keeps_nothing_and_goes_on(self) -> None:
        text = await self.returned("""
            s = self.Session()
            kept = Book(title="Emma", year=1815)
            s.add(kept)
            s.commit()
            kept.year = 1900
            s.add(Book(title=None, year=1))
            found = []
            try:
                s.commit()
            except IntegrityError as error:
                found.append(str(error.orig))
            found += [kept.year, s.query(Book).count()]
            s.add(Book(title="Emma", year=2))
            s.commit()
            for step in (lambda: s.delete(None), lambda: Book(author="x"), lambda: self.Session().add(kept)):
                try:
                    step()
                except Exception as error:
                    found.append(type(error).__name__)
            return found + [s.query(Book).count()]
        """)
        self.assertEqual(text, "['NOT NULL constraint failed: book.title', 1815, 1, 'UnmappedInstanceError', 'TypeError', 'InvalidRequestError', 2]")

    SAYS = """
    def add(self):
        self.db.execute(person.insert().values(name=f"p{self.db.scalar(person.count())}"))
        return "added"

    def count(self):
        return self.db.scalar(person.count())

    def fill(self):
        with self.db.begin() as tx:
            for number in range(300):
                tx.execute(note.insert().values(person=number, text=f"{number:04}" * 250))
        return "filled"

    async def wait(self):
        asyncio.get_running_loop().create_task(self.goes_on())
        return "begun"

    async def goes_on(self):
        self.db.execute(person.insert().values(name="later"))
        await asyncio.sleep(0.05)

    async def half(self):
        self.db.execute(person.insert().values(name="whole"))
        with self.db.begin() as tx:
            tx.execute(person.insert().values(name="half"))
            await self.client.send_text("bob@example.org", "half")
            raise ValueError("no")
    """

    async def test_what_is_changed_is_stored_before_anything_is_said(self) -> None:
        host = await self.begun(plugin(self.SAYS))
        stored: list[int] = []
        send = host.sent

        class Sent(list):
            def append(self, one: Any) -> None:
                stored.append(int(host.kept["database/at"]))
                super().append(one)

        host.sent = Sent(send)
        self.assertEqual(stored, [])
        before = int(host.kept["database/at"])
        await host.says("!do add")
        self.assertEqual(stored, [before + 1])
        # Reading stores nothing.
        host.sent = []
        self.assertEqual(await self.does("count"), "1")
        self.assertEqual(int(host.kept["database/at"]), before + 1)
        host = await self.begun(plugin(self.SAYS), dict(host.kept))
        self.assertEqual(await self.does("count"), "1")

    async def test_what_is_not_stored_is_told_and_undone(self) -> None:
        host = await self.begun(plugin(self.SAYS))
        await self.does("add")
        for reason, spoil in (("may change 240 KiB", "fill"), ("over a limit", "quota"), ("another version", "other")):
            if spoil == "quota":
                host.quota = sum(len(key) + len(one) + 64 for key, one in host.kept.items()) - 2000
            if spoil == "other":
                host.kept["database/at"] = b"99"
            kept = dict(host.kept)
            with self.assertRaisesRegex(Exception, reason), self.assertLogs("database", "ERROR"):
                await host.says(f"!do {'fill' if spoil == 'fill' else 'add'}")
            self.assertEqual(host.take(), [])
            host.quota = 16 << 20
            self.assertEqual(host.kept, kept)
            self.assertEqual(await self.does("count"), "1")
        self.assertEqual(await self.does("add"), "added")
        self.assertEqual(await self.does("count"), "2")

    async def test_a_task_of_the_plugin_has_its_changes_stored_when_it_waits(self) -> None:
        host = await self.begun(plugin(self.SAYS))
        before = int(host.kept["database/at"])
        self.assertEqual(await self.does("wait"), "begun")
        for _ in range(20):
            await asyncio.sleep(0)
        self.assertEqual(int(host.kept["database/at"]), before + 1)

    async def test_nothing_of_an_open_transaction_is_stored_or_seen_by_others(self) -> None:
        host = await self.begun(plugin(self.SAYS))
        with self.assertRaises(ValueError):
            await host.says("!do half")
        self.assertEqual(host.take(), [("bob@example.org", "half")])
        self.assertEqual(await self.does("count"), "1")
        await self.begun(plugin(self.SAYS), dict(host.kept))
        self.assertEqual(await self.does("count"), "1")

    async def test_a_transaction_ends_when_the_database_is_read_again(self) -> None:
        host = await self.begun(plugin("""
            async def run(self):
                found = []
                self.db.execute(person.insert().values(name="whole"))
                with self.db.connect() as conn:
                    tx = conn.begin()
                    conn.execute(person.insert().values(name="half"))
                    try:
                        await self.client.send_text("bob@example.org", "half")
                    except Exception as error:
                        found.append(type(error).__name__)
                    self.db.execute(person.insert().values(name="other"))
                    for step in (lambda: conn.execute(person.insert().values(name="rest")), tx.commit):
                        try:
                            step()
                        except OperationalError as error:
                            found.append(str(error.orig)[-30:])
                return found, [row.name for row in self.db.execute(person.select())]
        """))
        host.kept["database/at"] = b"99"
        with self.assertLogs("database", "ERROR"):
            said = await self.does("run")
        self.assertEqual(said, "(['NotStored', 'transaction is lost: try again', 'transaction is lost: try again'], ['other'])")

    async def test_statements_that_would_take_the_pages_are_refused(self) -> None:
        text = await self.returned("""
            found = []
            for one in ("BEGIN", "/* */ commit", "VACUUM", "ATTACH ':memory:' AS x", "PRAGMA foreign_keys = ON", "PRAGMA max_page_count = 99999"):
                try:
                    self.db.execute(one)
                except OperationalError:
                    found.append("refused")
            return found, self.db.execute("PRAGMA table_info('note')").first()["name"], self.db.execute("PRAGMA user_version").scalar()
        """)
        self.assertEqual(text, f"({['refused'] * 6}, 'person', 0)")

    async def test_a_database_that_is_full_says_so(self) -> None:
        host = await self.begun(plugin("""
            def fill(self):
                try:
                    with self.db.begin() as tx:
                        for number in range(6):
                            tx.execute(note.insert().values(person=number, text="x" * 1_000_000))
                except OperationalError as error:
                    return str(error)
        """))
        self.assertEqual(await self.does("fill"), "(sqlite3.OperationalError) database or disk is full")
        self.assertTrue(sum(map(len, host.kept.values())) < 100_000)


class Told(unittest.TestCase):
    def lacks(self, source: str) -> list[str]:
        return sample.told(sample.port({"maubot.yaml": ABOUT, "a.py": f"{source}\n"}), "lacks")

    def test_what_the_layer_has_is_not_told(self) -> None:
        result = sample.port(plugin(Databases.SAYS))
        self.assertEqual(sample.told(result, "lacks") + sample.told(result, "package"), [])
        self.assertIn("sqlalchemy", result["parts"])
        self.assertIn("    database='sqlalchemy',", result["files"]["plugin.py"])
        self.assertIn('storage = { scope = ["6 MiB"]', result["files"]["plugin.toml"])
        self.assertEqual([one for one in sample.told(result, "check") if "database" in one], ["maubot.yaml:6 database: true"])

    def test_what_it_lacks_is_told_with_its_line(self) -> None:
        lines = [
            "from maubot import Plugin", "import sqlalchemy as sa", "from sqlalchemy import create_engine, Column, Interval, select, orm",
            "from sqlalchemy.orm import with_polymorphic, aliased", "from sqlalchemy.dialects.postgresql import JSONB", "from alembic import op",
            "class A(Plugin):", "    def a(self, t):", "        self.database.execute(t.insert().values(a=1).returning(t.c.a))",
            "        select([t]).alias('x'), {1}.union({2}), sa.orm.column_property", "        return Column('a', sa.Integer, quote=True), orm.Query, sa.func.x()",
        ]
        self.assertEqual(self.lacks("\n".join(lines)), [
            "a.py:3 sqlalchemy.Interval", "a.py:3 sqlalchemy.create_engine", "a.py:4 sqlalchemy.orm.aliased", "a.py:4 sqlalchemy.orm.with_polymorphic",
            "a.py:5 sqlalchemy.dialects.postgresql.JSONB", "a.py:6 alembic", "a.py:9 .returning()", "a.py:10 .alias()", "a.py:10 sqlalchemy.orm.column_property",
            "a.py:11 Column(quote=…)",
        ])

    def test_a_database_that_nobody_imports_or_uses(self) -> None:
        for source, has in (("return self.database.execute('SELECT 1')", True), ("return 1", False)):
            result = sample.port({"maubot.yaml": ABOUT, "a.py": f"from maubot import Plugin\nclass A(Plugin):\n    def a(self):\n        {source}\n"})
            self.assertEqual([name in text for name, text in (("database='sqlalchemy'", result["files"]["plugin.py"]), ("storage", result["files"]["plugin.toml"]))], [has] * 2)
            self.assertEqual("sqlalchemy" in result["parts"], has)

    def test_the_layer_has_it_for_plugins_of_maubot_alone(self) -> None:
        plug = "[Core]\nName = A\nModule = a\n"
        result = sample.port({"a.plug": plug, "a.py": "import sqlalchemy\nfrom errbot import BotPlugin\nclass A(BotPlugin):\n    pass\n"})
        self.assertEqual(sample.told(result, "lacks"), ["a.py:1 sqlalchemy"])
        self.assertNotIn("sqlalchemy", result["parts"])

    def test_every_name_that_the_report_knows_is_in_the_layer(self) -> None:
        import importlib

        import of_databases

        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            sample.begun(plugin(""), Path(folder))
            stack.callback(sample.sys.path.remove, folder)
            sample.sys.path.insert(0, folder)
            for module, names in of_databases.NAMES.items():
                found = importlib.import_module(module)
                for name in names:
                    has = hasattr(found, name)
                    if not has:
                        importlib.import_module(f"{module}.{name}")


if __name__ == "__main__":
    unittest.main()
