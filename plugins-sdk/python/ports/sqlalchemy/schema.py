"""Tables with their columns, and how they are made."""

import inspect
import itertools
from typing import Any, Callable, Iterator, Optional

from . import exc, types
from .expressions import Expression, TextClause, Writing, quoted

#: Options that change nothing here.
_WITHOUT_EFFECT = {"extend_existing", "keep_existing", "sqlite_autoincrement", "info", "comment", "mysql_charset", "mysql_engine"}
_order = itertools.count()


class Column(Expression):
    """A column. As an attribute of a class, it is the value that an object has there."""

    def __init__(
        self, *given: Any, name: Optional[str] = None, type_: Any = None, primary_key: bool = False, nullable: Optional[bool] = None,
        unique: bool = False, default: Any = None, onupdate: Any = None, server_default: Any = None, index: bool = False, autoincrement: Any = "auto",
        doc: Any = None, comment: Any = None, info: Any = None,
    ) -> None:
        rest = list(given)
        if rest and (isinstance(rest[0], str) or rest[0] is None):
            name = rest.pop(0)
        self.name: str = name or ""
        self.references = [one for one in rest if isinstance(one, ForeignKey)]
        kinds = [type_] if type_ is not None else []
        kinds += [one for one in rest if not isinstance(one, ForeignKey)]
        if len(kinds) > 1:
            raise exc.ArgumentError(f"the column {self.name} has something that the layer does not know: {kinds[1]!r}")
        self.type = types.of(kinds[0]) if kinds else types.TypeEngine()
        self.has_type = bool(kinds)
        self.primary_key = bool(primary_key)
        self.nullable = not primary_key if nullable is None else nullable
        self.unique = bool(unique)
        self.default = default
        self.onupdate = onupdate
        self.server_default = server_default
        self.table: Any = None
        #: The name that an object has its value by, and the place among others.
        self.attribute = ""
        self.order = next(_order)

    @property
    def key(self) -> str:
        """The same as the name."""
        return self.name

    def write(self, into: Writing) -> str:
        if self.table is None:
            raise exc.CompileError(f"the column {self.name} is of no table")
        return f"{quoted(self.table.name)}.{quoted(self.name)}"

    def __repr__(self) -> str:
        return f"Column({self.name!r})"

    def __get__(self, owner: Any, kind: Any = None) -> Any:
        return self if owner is None or not self.attribute else owner.__dict__.get(self.attribute)

    def copy(self) -> "Column":
        """The same column for another table."""
        own = Column(
            self.name or None, *([self.type] if self.has_type else []), *(ForeignKey(one.target, **one.actions) for one in self.references),
            primary_key=self.primary_key, nullable=self.nullable, unique=self.unique, default=self.default, onupdate=self.onupdate,
            server_default=self.server_default)
        own.order = self.order
        return own

    def value_of(self, default: Any) -> Any:
        """A value that is given, or made by a function."""
        if not callable(default):
            return default
        try:
            inspect.signature(default).bind()
        except TypeError:
            return default(None)
        except ValueError:
            # A function of Python itself.
            pass
        return default()

    def ddl(self) -> str:
        """How it stands in a table."""
        text = f"{quoted(self.name)} {self.type.sql}"
        if self.server_default is not None:
            text += f" DEFAULT {_literal(self.server_default)}"
        return text if self.nullable else f"{text} NOT NULL"


def _literal(value: Any) -> str:
    if isinstance(value, TextClause):
        return f"({value.text})"
    if not isinstance(value, str):
        raise exc.ArgumentError(f"a default of the database is a text, or text(): {value!r}")
    return "'" + value.replace("'", "''") + "'"


class ForeignKey:
    """A column of another table."""

    def __init__(self, column: Any, ondelete: Optional[str] = None, onupdate: Optional[str] = None, **_: Any) -> None:
        self.target = column
        self.actions: dict[str, Any] = {"ondelete": ondelete, "onupdate": onupdate}

    def names(self) -> tuple[str, str]:
        """The table and its column."""
        if isinstance(self.target, Column):
            return self.target.table.name, self.target.name
        table, _, column = str(self.target).rpartition(".")
        return table, column

    def ddl(self) -> str:
        """How it stands in a table."""
        return _references(self.names()[0], [self.names()[1]], self.actions)


def _references(table: str, columns: list[str], actions: dict[str, Any]) -> str:
    text = f"REFERENCES {quoted(table)} ({', '.join(map(quoted, columns))})"
    for word, action in (("DELETE", actions["ondelete"]), ("UPDATE", actions["onupdate"])):
        if action is not None:
            if action.upper() not in ("CASCADE", "SET NULL", "SET DEFAULT", "RESTRICT", "NO ACTION"):
                raise exc.ArgumentError(f"{action!r} is no action of a foreign key")
            text += f" ON {word} {action.upper()}"
    return text


class Constraint:
    """A rule of a table."""

    def ddl(self) -> str:
        """How it stands in a table. Empty: not at all."""
        return ""

    def primary(self) -> list[str]:
        """The columns of the key that it makes."""
        return []


def _name(one: Any) -> str:
    return one.name if isinstance(one, Column) else str(one)


class UniqueConstraint(Constraint):
    """No two rows have the same values there."""

    def __init__(self, *columns: Any, name: Optional[str] = None, **_: Any) -> None:
        self.columns = columns
        self.name = name

    def ddl(self) -> str:
        named = f"CONSTRAINT {quoted(self.name)} " if self.name else ""
        return f"{named}UNIQUE ({', '.join(quoted(_name(one)) for one in self.columns)})"


class PrimaryKeyConstraint(UniqueConstraint):
    """The columns that a row is known by."""

    def ddl(self) -> str:
        return ""

    def primary(self) -> list[str]:
        return [_name(one) for one in self.columns]


class ForeignKeyConstraint(Constraint):
    """Several columns of another table."""

    def __init__(self, columns: Any, refcolumns: Any, name: Any = None, ondelete: Optional[str] = None, onupdate: Optional[str] = None, **_: Any) -> None:
        self.columns = list(columns)
        self.keys = [ForeignKey(one) for one in refcolumns]
        self.actions: dict[str, Any] = {"ondelete": ondelete, "onupdate": onupdate}

    def pairs(self) -> list[tuple[str, tuple[str, str]]]:
        """The own columns with those of the other table."""
        return [(_name(one), key.names()) for one, key in zip(self.columns, self.keys)]

    def ddl(self) -> str:
        pairs = self.pairs()
        own = ", ".join(quoted(one) for one, _ in pairs)
        return f"FOREIGN KEY ({own}) {_references(pairs[0][1][0], [name for _, (_, name) in pairs], self.actions)}"


class CheckConstraint(Constraint):
    """A condition that every row fulfils."""

    def __init__(self, sqltext: Any, name: Optional[str] = None, **_: Any) -> None:
        self.text = sqltext.text if isinstance(sqltext, TextClause) else str(sqltext)

    def ddl(self) -> str:
        return f"CHECK ({self.text})"


class Index(Constraint):
    """Has searches find rows faster: a small database needs none, so that only a unique one is made."""

    def __init__(self, name: Optional[str], *columns: Any, unique: bool = False, **_: Any) -> None:
        self.columns = columns
        self.is_unique = unique
        table = next((one.table for one in columns if isinstance(one, Column) and one.table is not None), None)
        if table is not None:
            table.constraints.append(self)

    def ddl(self) -> str:
        return UniqueConstraint(*self.columns).ddl() if self.is_unique else ""


class Columns:
    """The columns of a table, by their names."""

    def __init__(self) -> None:
        self._all: dict[str, Column] = {}

    def __getattr__(self, name: str) -> Column:
        try:
            found: Column = self.__dict__["_all"][name]
        except KeyError:
            raise AttributeError(name) from None
        return found

    def __getitem__(self, name: str) -> Column:
        return self._all[name]

    def __iter__(self) -> Iterator[Column]:
        return iter(self._all.values())

    def __len__(self) -> int:
        return len(self._all)

    def __contains__(self, one: Any) -> bool:
        return one in self._all if isinstance(one, str) else any(one is own for own in self)

    def get(self, name: str, default: Any = None) -> Any:
        """A column, or something else."""
        return self._all.get(name, default)

    def keys(self) -> list[str]:
        """The names."""
        return [*self._all]

    def values(self) -> list[Column]:
        """The columns."""
        return [*self]

    def items(self) -> list[tuple[str, Column]]:
        """Both."""
        return [*self._all.items()]


class MetaData:
    """The tables of a plugin."""

    def __init__(self, bind: Any = None, **_: Any) -> None:
        self.bind = bind
        self.tables: dict[str, Table] = {}
        #: The classes of rows by their names, and the relations that are about classes which are not there yet.
        self.classes: dict[str, Any] = {}
        self.unlinked: list[Any] = []

    @property
    def sorted_tables(self) -> "list[Table]":
        """The tables, in the order of the source."""
        return [*self.tables.values()]

    def engine(self, bind: Any) -> Any:
        """The database that is given, or was before."""
        found = self.bind if bind is None else bind
        if found is None:
            raise exc.InvalidRequestError("the tables know no database: pass `self.database`, or set `metadata.bind`")
        return found

    def create_all(self, bind: Any = None, tables: Any = None, checkfirst: bool = True) -> None:
        """Makes the tables that are missing."""
        engine = self.engine(bind)
        for one in self.sorted_tables if tables is None else tables:
            one.create(engine, checkfirst)

    def drop_all(self, bind: Any = None, tables: Any = None, checkfirst: bool = True) -> None:
        """Deletes the tables with all rows."""
        engine = self.engine(bind)
        for one in self.sorted_tables if tables is None else tables:
            one.drop(engine, checkfirst)


class Table:
    """A table."""

    def __init__(self, name: str, metadata: MetaData, *given: Any, **options: Any) -> None:
        if unknown := sorted({*options} - _WITHOUT_EFFECT):
            raise exc.ArgumentError(f"the layer does not know the option {unknown[0]} of tables")
        if name in metadata.tables and not options.get("extend_existing"):
            raise exc.InvalidRequestError(f"there is a table {name} already")
        self.name = name
        self.metadata = metadata
        self.c = self.columns = Columns()
        self.constraints = [one for one in given if isinstance(one, Constraint)]
        for one in given:
            if isinstance(one, Column):
                one.table = self
                self.c._all[one.name] = one
            elif not isinstance(one, Constraint):
                raise exc.ArgumentError(f"the table {name} has something that the layer does not know: {one!r}")
        for key in [key for constraint in self.constraints for key in constraint.primary()]:
            self.c[key].primary_key, self.c[key].nullable = True, False
        metadata.tables[name] = self

    @property
    def primary_key(self) -> list[Column]:
        """The columns that a row is known by."""
        return [one for one in self.c if one.primary_key]

    def kind_of(self, column: Column) -> types.TypeEngine:
        """The type of a column: one without has that of the column that it refers to."""
        if not column.has_type and column.references:
            table, name = column.references[0].names()
            other = self.metadata.tables.get(table)
            if other is not None and name in other.c:
                return other.kind_of(other.c[name])
        return column.type

    def create(self, bind: Any = None, checkfirst: bool = True) -> None:
        """Makes it."""
        lines = []
        for one in self.c:
            one.type = self.kind_of(one)
            lines.append(one.ddl())
        if self.primary_key:
            lines.append(f"PRIMARY KEY ({', '.join(quoted(one.name) for one in self.primary_key)})")
        lines += [f"UNIQUE ({quoted(one.name)})" for one in self.c if one.unique]
        lines += [f"FOREIGN KEY ({quoted(one.name)}) {key.ddl()}" for one in self.c for key in one.references]
        lines += [text for text in (one.ddl() for one in self.constraints) if text]
        may_be = "IF NOT EXISTS " if checkfirst else ""
        self.metadata.engine(bind).execute(f"CREATE TABLE {may_be}{quoted(self.name)} ({', '.join(lines)})")

    def drop(self, bind: Any = None, checkfirst: bool = True) -> None:
        """Deletes it with all rows."""
        self.metadata.engine(bind).execute(f"DROP TABLE {'IF EXISTS ' if checkfirst else ''}{quoted(self.name)}")

    def exists(self, bind: Any = None) -> bool:
        """Whether it is there."""
        return bool(self.metadata.engine(bind).has_table(self.name))

    def refers(self, other: "Table") -> list[tuple[Column, Column]]:
        """The columns by which its rows refer to those of another table."""
        found = [
            (own, other.c[key.names()[1]]) for own in self.c for key in own.references if key.names()[0] == other.name and key.names()[1] in other.c]
        if not found:
            several = [one for one in self.constraints if isinstance(one, ForeignKeyConstraint)]
            found = [(self.c[own], other.c[name]) for one in several for own, (table, name) in one.pairs() if table == other.name]
        return found

    # The statements are made by functions that know tables.
    select: Callable[..., Any]
    insert: Callable[..., Any]
    update: Callable[..., Any]
    delete: Callable[..., Any]
    count: Callable[..., Any]
    join: Callable[..., Any]
    outerjoin: Callable[..., Any]
