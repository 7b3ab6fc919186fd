"""Statements: `select`, `insert`, `update` and `delete`. Each call of a method gives a new one."""

import copy
from typing import Any, Iterable, Mapping, Optional, Sequence, TypeVar

from . import exc, types
from .expressions import Around, Expression, Function, Label, Writing, and_, condition, named, quoted, walk
from .schema import Column, Table


_Any = TypeVar("_Any", bound="Statement")
_Narrowed = TypeVar("_Narrowed", bound="_Where")
_Changed = TypeVar("_Changed", bound="_Changes")


class Join:
    """Two tables side by side."""

    def __init__(self, left: Any, right: Any, onclause: Any = None, isouter: bool = False) -> None:
        self.left = left
        self.right = table_of(right)
        self.is_outer = isouter
        self.on = _on(self.tables()[:-1], self.right) if onclause is None else condition(onclause)

    def tables(self) -> list[Table]:
        """All tables in it."""
        left = self.left.tables() if isinstance(self.left, Join) else [table_of(self.left)]
        return [*left, self.right]

    def join(self, right: Any, onclause: Any = None, isouter: bool = False) -> "Join":
        """One more table beside."""
        return Join(self, right, onclause, isouter)

    def outerjoin(self, right: Any, onclause: Any = None) -> "Join":
        """The same, also for rows that have no other beside."""
        return Join(self, right, onclause, True)

    def select(self, whereclause: Any = None) -> "Select":
        """The rows."""
        return Select([one for table in self.tables() for one in table.c], whereclause).select_from(self)

    def text(self, into: Writing) -> str:
        """The text of SQL."""
        left = self.left.text(into) if isinstance(self.left, Join) else quoted(table_of(self.left).name)
        return f"{left} {'LEFT OUTER ' if self.is_outer else ''}JOIN {quoted(self.right.name)} ON {self.on.write(into)}"


def _on(before: list[Table], right: Table) -> Expression:
    """The condition of tables of which one refers to the other."""
    found = [pair for left in before for pair in (right.refers(left) or left.refers(right))]
    if not found:
        raise exc.InvalidRequestError(f"nothing refers from or to {right.name}: say on what it is joined")
    return and_(*(one == other for one, other in found))


def table_of(given: Any) -> Table:
    """A table, which may be given as the class of its rows."""
    found = given if isinstance(given, Table) else getattr(given, "__table__", None)
    if not isinstance(found, Table):
        raise exc.ArgumentError(f"{given!r} is no table")
    return found


class Statement:
    """Any statement."""

    bind: Any = None

    def results(self) -> list[tuple[str, types.TypeEngine, Any]]:
        """The names and types of its rows, with the columns."""
        return []

    def compiled(self, given: Mapping[str, Any]) -> tuple[str, list[Any]]:
        """The text of SQL, and its values. `given`: values that are given with it."""
        into = Writing()
        return self.written(into, given), into.values

    def written(self, into: Writing, given: Mapping[str, Any]) -> str:
        """The text of SQL."""
        raise NotImplementedError

    def execute(self, *several: Any, **named: Any) -> Any:
        """Carries it out, with the database of its table."""
        return self.bind.engine(None).execute(self, *several, **named)

    def scalar(self, *several: Any, **named: Any) -> Any:
        """The first value of its first row."""
        return self.execute(*several, **named).scalar()

    def _with(self: _Any, **changes: Any) -> _Any:
        own = copy.copy(self)
        own.__dict__.update(changes)
        return own


class _Where(Statement):
    wheres: list[Expression]

    def where(self: _Narrowed, *clauses: Any) -> _Narrowed:
        """The rows for which this holds, too."""
        return self._with(wheres=[*self.wheres, *map(condition, clauses)])

    filter = where

    def _where(self, into: Writing) -> str:
        return f" WHERE {' AND '.join(one.write(into) for one in self.wheres)}" if self.wheres else ""


class Select(_Where):
    """Reads rows."""

    def __init__(self, columns: Iterable[Any], whereclause: Any = None) -> None:
        self.columns = [inner for one in columns for inner in _columns(one)]
        self.wheres = [] if whereclause is None else [condition(whereclause)]
        self.origins: list[Any] = []
        self.orders: list[Expression] = []
        self.groups: list[Expression] = []
        self.havings: list[Expression] = []
        self.most: Optional[int] = None
        self.skipped: Optional[int] = None
        self.is_distinct = False
        self.bind = next((one.metadata for one in self._tables()), None)

    def select_from(self, *several: Any) -> "Select":
        """Reads them from these."""
        return self._with(origins=[*self.origins, *several])

    def order_by(self, *several: Any) -> "Select":
        """In this order."""
        return self._with(orders=_added(self.orders, several))

    def group_by(self, *several: Any) -> "Select":
        """One row for each of these."""
        return self._with(groups=_added(self.groups, several))

    def having(self, *several: Any) -> "Select":
        """Those of them for which this holds."""
        return self._with(havings=[*self.havings, *map(condition, several)])

    def limit(self, most: Optional[int]) -> "Select":
        """At most so many."""
        return self._with(most=most)

    def offset(self, skipped: Optional[int]) -> "Select":
        """Without so many at first."""
        return self._with(skipped=skipped)

    def distinct(self) -> "Select":
        """Each row once."""
        return self._with(is_distinct=True)

    def as_scalar(self) -> Expression:
        """Its first value, as a part of another statement."""
        return Inner(self)

    scalar_subquery = as_scalar

    def results(self) -> list[tuple[str, types.TypeEngine, Any]]:
        found = []
        for number, one in enumerate(self.columns, 1):
            name = getattr(one, "name", "") or f"anon_{number}"
            found.append((f"{name}_{number}" if isinstance(one, Function) else name, one.type, one))
        return found

    def _tables(self) -> list[Table]:
        """The tables of its columns and conditions, in their order."""
        found: list[Table] = []
        for one in [*self.columns, *self.wheres]:
            for inner in walk(one):
                table = inner.table if isinstance(inner, Column) else None
                if table is not None and table not in found:
                    found.append(table)
        return found

    def text(self, into: Writing) -> str:
        """The text of SQL."""
        shown = [f"{one.write(into)} AS {quoted(one.name)}" if isinstance(one, Label) else one.write(into) for one in self.columns]
        joined = {id(table) for one in self.origins for table in (one.tables() if isinstance(one, Join) else [table_of(one)])}
        origins = [one.text(into) if isinstance(one, Join) else quoted(table_of(one).name) for one in self.origins]
        origins += [quoted(one.name) for one in self._tables() if id(one) not in joined]
        text = f"SELECT {'DISTINCT ' if self.is_distinct else ''}{', '.join(shown)}"
        text += f" FROM {', '.join(origins)}" if origins else ""
        text += self._where(into)
        text += f" GROUP BY {', '.join(one.write(into) for one in self.groups)}" if self.groups else ""
        text += f" HAVING {' AND '.join(one.write(into) for one in self.havings)}" if self.havings else ""
        text += f" ORDER BY {', '.join(_ordered(one, into) for one in self.orders)}" if self.orders else ""
        if self.most is not None or self.skipped is not None:
            text += f" LIMIT {into.bind(-1 if self.most is None else self.most, types.Integer())}"
            text += "" if self.skipped is None else f" OFFSET {into.bind(self.skipped, types.Integer())}"
        return text

    def written(self, into: Writing, given: Mapping[str, Any]) -> str:
        if given:
            raise exc.ArgumentError("the layer does not fill in values of a select: write them where they stand")
        return self.text(into)


class Inner(Expression):
    """The first value of a statement within another one."""

    def __init__(self, select: Select) -> None:
        self.select = select
        self.type = select.columns[0].type

    def write(self, into: Writing) -> str:
        return f"({self.select.text(into)})"


def _columns(one: Any) -> list[Expression]:
    if isinstance(one, Expression):
        return [one]
    return [*table_of(one).c]


def _added(before: list[Expression], several: Iterable[Any]) -> list[Expression]:
    """None begins anew."""
    found = before
    for one in several:
        found = [] if one is None or one is False else [*found, named(one)]
    return found


def _ordered(one: Expression, into: Writing) -> str:
    """A label may be meant by its name."""
    if isinstance(one, Label):
        return quoted(one.name)
    if isinstance(one, Around) and isinstance(one.inner, Label):
        return f"{one.before}{quoted(one.inner.name)}{one.behind}"
    return one.write(into)


class _Changes(_Where):
    """Gives columns values."""

    def __init__(self, table: Any, values: Any = None) -> None:
        self.table = table_of(table)
        self.bind = self.table.metadata
        self.wheres = []
        self.given: list[dict[str, Any]] = [{}]
        if values is not None:
            self.given = _rows(values)

    def values(self: _Changed, *several: Any, **more: Any) -> _Changed:
        """These values."""
        first = several[0] if several else {}
        if isinstance(first, (list, tuple)) and (not first or isinstance(first[0], (Mapping, list, tuple))):
            if more or self.given != [{}]:
                raise exc.ArgumentError("values of several rows cannot be mixed with others")
            return self._with(given=[self._row(one) for one in first])
        if len(self.given) != 1:
            raise exc.ArgumentError("values of several rows cannot be mixed with others")
        return self._with(given=[{**self.given[0], **self._row(first), **more}])

    def _row(self, one: Any) -> dict[str, Any]:
        return dict(zip(self.table.c.keys(), one)) if isinstance(one, (list, tuple)) else _rows(one)[0]

    def _pairs(self, given: Mapping[str, Any], defaults: str) -> list[tuple[Column, Any]]:
        """The columns with their values, also those that nobody gives."""
        if unknown := [name for name in given if name not in self.table.c]:
            raise exc.CompileError(f"Unconsumed column names: {', '.join(unknown)}")
        pairs = []
        for one in self.table.c:
            default = getattr(one, defaults)
            if one.name in given:
                pairs.append((one, given[one.name]))
            elif default is not None:
                pairs.append((one, one.value_of(default)))
        return pairs


def _rows(values: Any) -> list[dict[str, Any]]:
    several = values if isinstance(values, (list, tuple)) else [values]
    return [{key.name if isinstance(key, Column) else str(key): value for key, value in one.items()} for one in several]


def _value(column: Column, value: Any, into: Writing) -> str:
    if hasattr(value, "as_scalar"):
        value = value.as_scalar()
    return value.write(into) if isinstance(value, Expression) else into.bind(value, column.type)


class Insert(_Changes):
    """Adds rows."""

    prefix = ""
    #: The key of the last row, as far as it was given.
    key: Sequence[Any] = ()

    def prefix_with(self, text: str) -> "Insert":
        """With more words, such as `OR REPLACE`."""
        return self._with(prefix=f" {text}")

    def written(self, into: Writing, given: Mapping[str, Any]) -> str:
        rows = [self._pairs({**one, **_rows(given)[0]}, "default") for one in self.given]
        columns = [one for one, _ in rows[0]]
        if any([one for one, _ in row] != columns for row in rows):
            raise exc.CompileError("the rows have values for different columns")
        own = dict((one.name, value) for one, value in rows[-1])
        self.key = [own.get(one.name) for one in self.table.primary_key]
        text = f"INSERT{self.prefix} INTO {quoted(self.table.name)}"
        if not columns:
            return f"{text} DEFAULT VALUES"
        inner = ", ".join("(" + ", ".join(_value(one, value, into) for one, value in row) + ")" for row in rows)
        return f"{text} ({', '.join(quoted(one.name) for one in columns)}) VALUES {inner}"


class Update(_Changes):
    """Changes rows."""

    def __init__(self, table: Any, whereclause: Any = None, values: Any = None) -> None:
        super().__init__(table, values)
        self.wheres = [] if whereclause is None else [condition(whereclause)]

    def written(self, into: Writing, given: Mapping[str, Any]) -> str:
        pairs = self._pairs({**self.given[0], **(_rows(given)[0])}, "onupdate")
        if not pairs:
            raise exc.CompileError("an update changes something")
        inner = ", ".join(f"{quoted(one.name)} = {_value(one, value, into)}" for one, value in pairs)
        return f"UPDATE {quoted(self.table.name)} SET {inner}{self._where(into)}"


class Delete(_Where):
    """Deletes rows."""

    def __init__(self, table: Any, whereclause: Any = None) -> None:
        self.table = table_of(table)
        self.bind = self.table.metadata
        self.wheres = [] if whereclause is None else [condition(whereclause)]

    def written(self, into: Writing, given: Mapping[str, Any]) -> str:
        return f"DELETE FROM {quoted(self.table.name)}{self._where(into)}"


def select(*columns: Any, whereclause: Any = None) -> Select:
    """Reads rows: `select([a, b])`, also with a condition behind, or `select(a, b)`."""
    if columns and isinstance(columns[0], (list, tuple)):
        return Select(columns[0], columns[1] if len(columns) > 1 else whereclause)
    return Select(columns, whereclause)


def _count(table: Table, whereclause: Any = None) -> Select:
    return Select([Function("count").label("tbl_row_count")], whereclause).select_from(table)._with(bind=table.metadata)


insert, update, delete = Insert, Update, Delete
join = Join


def outerjoin(left: Any, right: Any, onclause: Any = None) -> Join:
    """Two tables side by side, also for rows that have no other beside."""
    return Join(left, right, onclause, True)


Table.select = lambda self, whereclause=None: Select(self.c, whereclause)
Table.insert = lambda self, values=None: Insert(self, values)
Table.update = lambda self, whereclause=None, values=None: Update(self, whereclause, values)
Table.delete = lambda self, whereclause=None: Delete(self, whereclause)
Table.count = _count
Table.join = lambda self, right, onclause=None, isouter=False: Join(self, right, onclause, isouter)
Table.outerjoin = lambda self, right, onclause=None: Join(self, right, onclause, True)
