"""Relations between classes of rows in ported plugins: `python3 -m unittest discover tests/ports`."""

import tomllib
import unittest

import sample
import test_sqlalchemy

HEAD = test_sqlalchemy.HEAD + """
from sqlalchemy.orm import backref, joinedload, relationship

shelf_of = Table("shelf_of", Base.metadata, Column("author", ForeignKey("author.id"), primary_key=True), Column("shelf", ForeignKey("shelf.id"), primary_key=True))


class Author(Base):
    __tablename__ = "author"
    id = Column(Integer, primary_key=True)
    name = Column(Text)
    novels = relationship("Novel", back_populates="author", order_by="Novel.title", cascade="all, delete-orphan")
    shelves = relationship("Shelf", secondary=shelf_of, backref="authors")


class Novel(Base):
    __tablename__ = "novel"
    id = Column(Integer, primary_key=True)
    title = Column(Text)
    author_id = Column(Integer, ForeignKey(Author.id))
    author = relationship(Author, back_populates="novels")
    reader_id = Column(Integer, ForeignKey("reader.id"))
    owner_id = Column(Integer, ForeignKey("reader.id"))
    reader = relationship("Reader", foreign_keys=[reader_id], backref=backref("reads", lazy="dynamic"))
    owner = relationship("Reader", primaryjoin="Novel.owner_id == Reader.id", backref="owns")


class Reader(Base):
    __tablename__ = "reader"
    id = Column(Integer, primary_key=True)
    name = Column(Text)
    friend_id = Column(Integer, ForeignKey("reader.id"))
    friend = relationship("Reader", remote_side=[id], backref="fans")
    card = relationship("Card", uselist=False, backref="reader")


class Card(Base):
    __tablename__ = "card"
    number = Column(Integer, primary_key=True)
    reader_id = Column(Integer, ForeignKey("reader.id"))


class Shelf(Base):
    __tablename__ = "shelf"
    id = Column(Integer, primary_key=True)
    place = Column(Text)


class Login(Base):
    __tablename__ = "login"
    who = Column(Text, primary_key=True)
    server = Column(Text, primary_key=True)
    aliases = relationship("Alias", backref="login", cascade="all")


class Alias(Base):
    __tablename__ = "alias"
    name = Column(Text, primary_key=True)
    who = Column(Text)
    server = Column(Text)
    __table_args__ = (ForeignKeyConstraint(["who", "server"], [Login.who, Login.server]),)
"""


class Relations(test_sqlalchemy.Case):
    async def returned(self, lines: str) -> str:
        body = "def run(self):\n    s = self.Session()\n" + "\n".join(f"    {line}" for line in lines.strip("\n").split("\n"))
        await self.begun(test_sqlalchemy.plugin(body, HEAD))
        return await self.does("run")

    async def test_objects_that_refer_to_each_other_are_stored_together(self) -> None:
        text = await self.returned("""
jane = Author(name="Jane")
jane.novels.append(Novel(title="Persuasion"))
emma = Novel(title="Emma", author=jane)
found = [len(jane.novels), emma in jane.novels]
s.add(jane)
s.commit()
found += [emma.author_id == jane.id, [one.title for one in jane.novels], emma.author is jane]
other = self.Session()
again = other.query(Novel).filter_by(title="Emma").one()
found += [again.author.name, [one.title for one in again.author.novels]]
again.author = None
other.commit()
found += [again.author_id, [one.title for one in other.query(Author).one().novels]]
alone = Novel(title="Alone", author=Author(name="Ann"))
other.add(alone)
other.flush()
return found + [alone.author_id]""")
        self.assertEqual(
            text, "[2, True, True, ['Emma', 'Persuasion'], True, 'Jane', ['Emma', 'Persuasion'], None, ['Persuasion'], 2]")

    async def test_rows_go_with_the_one_that_they_belong_to(self) -> None:
        text = await self.returned("""
jane, ann = Author(name="Jane", novels=[Novel(title="Emma"), Novel(title="Sanditon")]), Author(name="Ann", novels=[Novel(title="Agnes")])
s.add_all([jane, ann])
s.commit()
jane.novels.remove(jane.novels[1])
s.commit()
found = [sorted(row.title for row in s.query(Novel))]
s.delete(ann)
s.commit()
found.append([row.title for row in s.query(Novel)])
reader = Reader(name="Rob")
s.add(reader)
jane.novels[0].owner = reader
s.commit()
s.delete(reader)
s.commit()
found.append(s.query(Novel).one().owner_id)
s.add(Login(who="ann", server="a", aliases=[Alias(name="x")]))
s.add(Login(who="ann", server="b", aliases=[Alias(name="y")]))
s.commit()
login = s.query(Login).get(("ann", "b"))
found += [[one.name for one in login.aliases], s.query(Login).join(Alias).filter(Alias.name == "x").one().server]
s.delete(login)
s.commit()
return found + [[one.name for one in s.query(Alias)], s.query(Alias).one().login.server]""")
        self.assertEqual(text, "[['Agnes', 'Emma'], ['Emma'], None, ['y'], 'a', ['x'], 'a']")

    async def test_relations_of_many_to_many_have_a_table_between(self) -> None:
        text = await self.returned("""
jane, ann, attic = Author(name="Jane"), Author(name="Ann"), Shelf(place="attic")
jane.shelves.append(attic)
found = [[one.name for one in attic.authors]]
s.add_all([jane, ann])
s.commit()
attic.authors.append(ann)
s.commit()
found += [s.execute(shelf_of.count()).scalar(), [one.place for one in ann.shelves], sorted(one.name for one in attic.authors)]
jane.shelves = []
s.commit()
found += [[one.name for one in attic.authors], s.query(Author).filter(Author.shelves.any(place="attic")).one().name, s.query(Author).filter(~Author.shelves.any()).one().name]
found.append(s.query(Author).join(Author.shelves).filter(Shelf.place == "attic").count())
s.delete(attic)
s.commit()
return found + [s.execute(shelf_of.count()).scalar(), ann.shelves]""")
        self.assertEqual(text, "[['Jane'], 2, ['attic'], ['Ann', 'Jane'], ['Ann'], 'Ann', 'Jane', 1, 0, []]")

    async def test_several_relations_to_one_class_are_kept_apart(self) -> None:
        text = await self.returned("""
rob, eve = Reader(name="Rob"), Reader(name="Eve")
eve.friend = rob
eve.card = Card(number=7)
s.add_all([rob, eve, Novel(title="Emma", reader=rob, owner=eve), Novel(title="Agnes", reader=rob)])
s.commit()
found = [[one.name for one in rob.fans], eve.friend.name, rob.friend, eve.card.number, rob.card, s.query(Card).one().reader.name]
found += [rob.reads.count(), rob.reads.filter_by(title="Emma").one().owner.name, [one.title for one in eve.owns], [*eve.reads]]
q = s.query(Novel).options(joinedload(Novel.reader))
found += [q.filter(Novel.reader == rob).count(), q.filter_by(owner=eve).one().title, q.filter(Novel.owner == None).one().title, q.filter(Novel.owner != None).count()]
found += [q.filter(Novel.owner.has(name="Eve")).one().title, s.query(Reader).filter(Reader.owns.contains(q.first())).one().name]
found += [q.join(Novel.owner).filter(Reader.name == "Eve").count(), s.query(Reader).join("owns").filter_by(title="Emma").one().name]
rob.reads.remove(rob.reads[0])
eve.card = None
s.commit()
return found + [rob.reads.count(), s.query(Card).one().reader]""")
        self.assertEqual(
            text, "[['Eve'], 'Rob', None, 7, None, 'Eve', 2, 'Eve', ['Emma'], [], 2, 'Emma', 'Agnes', 1, 'Emma', 'Eve', 1, 'Eve', 1, None]")

    async def test_what_is_undone_or_wrong(self) -> None:
        text = await self.returned("""
jane = Author(name="Jane", novels=[Novel(title="Emma")])
s.add(jane)
s.commit()
jane.novels.append(Novel(title="Sanditon"))
jane.novels[0].author = None
s.rollback()
found = [[one.title for one in jane.novels], s.query(Novel).count()]
class Odd(Base):
    __tablename__ = "odd"
    id = Column(Integer, ForeignKey("reader.id"), primary_key=True)
    other = Column(Integer, ForeignKey("reader.id"))
    reader = relationship(Reader)
    shelf = relationship(Shelf)
    none = relationship("Nobody")
for name in ("reader", "shelf", "none"):
    try:
        getattr(Odd(), name)
    except Exception as error:
        found.append(str(error))
return found""")
        self.assertEqual(
            text, "[['Emma'], 1, 'Odd.reader: several keys refer from or to it: say which by foreign_keys', "
            "'Odd.shelf: nothing refers from or to it', 'Odd.none: there is no class Nobody']")

    def test_options_that_the_layer_does_not_know_are_told(self) -> None:
        head = HEAD.replace('backref="owns")', 'backref="owns", secondaryjoin=None, lazy="joined")')
        result = sample.port(test_sqlalchemy.plugin("def a(self):\n    pass", head))
        self.assertEqual([one.partition(" ")[2] for one in sample.told(result, "lacks")], ["relationship(secondaryjoin=…)"])
        self.assertIn("storage", tomllib.loads(result["files"]["plugin.toml"])["permissions"])


if __name__ == "__main__":
    unittest.main()
