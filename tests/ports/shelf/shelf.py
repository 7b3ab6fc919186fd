"""Keeps track of books and of those who have them, in the style of older plugins of maubot with SQLAlchemy."""

from datetime import datetime
from typing import Optional

from aiohttp.web import Request, Response
from maubot import MessageEvent, Plugin
from maubot.handlers import command, web
from sqlalchemy import Column, DateTime, Integer, MetaData, String, Table, and_, func, select
from sqlalchemy.engine.base import Engine
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.declarative import declarative_base
from sqlalchemy.orm import Session, sessionmaker

Base = declarative_base()


class Book(Base):
    __tablename__ = "book"

    id: int = Column(Integer, primary_key=True)
    title: str = Column(String(255), nullable=False, unique=True)
    reader: Optional[str] = Column(String(255))


class Loans:
    def __init__(self, db: Engine) -> None:
        self.db = db
        meta = MetaData()
        meta.bind = db
        self.loan = Table("loan", meta, Column("id", Integer, primary_key=True, autoincrement=True), Column("book", Integer, nullable=False),
                          Column("reader", String(255), nullable=False), Column("since", DateTime, nullable=False))
        meta.create_all()

    def begin(self, book: int, reader: str) -> None:
        with self.db.begin() as tx:
            tx.execute(self.loan.insert().values(book=book, reader=reader, since=datetime.now()))

    def count(self, reader: str) -> int:
        c = self.loan.c
        return self.db.execute(select([func.count(c.id)]).where(and_(c.reader == reader, c.since <= datetime.now()))).scalar()


class ShelfBot(Plugin):
    async def start(self) -> None:
        await super().start()
        self.loans = Loans(self.database)
        Base.metadata.create_all(self.database)
        self.Session = sessionmaker(bind=self.database)

    @command.new("shelf", help="Keeps track of books", require_subcommand=True)
    async def shelf(self, evt: MessageEvent) -> None:
        pass

    @shelf.subcommand("add", help="Adds one")
    @command.argument("title", pass_raw=True, required=True)
    async def add(self, evt: MessageEvent, title: str) -> None:
        s: Session = self.Session()
        s.add(Book(title=title))
        try:
            s.commit()
        except IntegrityError:
            await evt.respond("It is there.")
        else:
            await evt.respond("Added.")

    @shelf.subcommand("take", help="Takes one")
    @command.argument("title", pass_raw=True, required=True)
    async def take(self, evt: MessageEvent, title: str) -> None:
        s: Session = self.Session()
        book = s.query(Book).filter(Book.title.like(f"%{title}%"), Book.reader == None).first()  # noqa: E711
        if book is None:
            await evt.respond("There is none.")
            return
        book.reader = evt.sender
        s.commit()
        self.loans.begin(book.id, evt.sender)
        await evt.respond(f"You have {book.title}.")

    @shelf.subcommand("mine", help="Lists your books")
    async def mine(self, evt: MessageEvent) -> None:
        books = self.Session().query(Book).filter_by(reader=evt.sender).order_by(Book.title)
        titles = ", ".join(book.title for book in books)
        await evt.respond(f"{titles or 'nothing'}, after {self.loans.count(evt.sender)} loans")

    @web.post("/return/{book}")
    async def back(self, request: Request) -> Response:
        s: Session = self.Session()
        book = s.query(Book).get(int(request.match_info["book"]))
        if book is None:
            return Response(status=404, text="There is none.")
        reader, book.reader = book.reader, None
        s.commit()
        await self.client.send_text(reader, f"{book.title} is back.")
        return Response(text=book.title)
