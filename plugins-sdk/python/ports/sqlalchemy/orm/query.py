"""Searches for objects, or for some of their values."""

import copy
from typing import Any, Iterator, Mapping, Optional

from .. import exc
from ..expressions import Expression, Writing, condition, named
from ..schema import Column
from ..statements import Delete, Join, Select, Update, table_of
from .state import columns_of


class Query:
    """A search. Each method that narrows it gives a new one."""

    def __init__(self, session: Any, *wanted: Any) -> None:
        self._session = session
        self._wanted = wanted
        self._wheres: list[Expression] = []
        self._origin: Any = None
        self._near: Any = next((one for one in wanted if not isinstance(one, Expression)), None)
        self._orders: list[Expression] = []
        self._groups: list[Expression] = []
        self._havings: list[Expression] = []
        self._most: Optional[int] = None
        self._skipped: Optional[int] = None
        self._is_distinct = False

    def _with(self, **changes: Any) -> "Query":
        own = copy.copy(self)
        own.__dict__.update(changes)
        return own

    def filter(self, *clauses: Any) -> "Query":
        """Those for which this holds."""
        return self._with(_wheres=[*self._wheres, *map(condition, clauses)])

    where = filter

    def filter_by(self, **values: Any) -> "Query":
        """Those with these values."""
        near = self._near
        if near is None:
            raise exc.InvalidRequestError("filter_by() needs a class: use filter()")
        known = {**columns_of(near), **near._parlor_relations}
        if unknown := [name for name in values if name not in known]:
            raise exc.InvalidRequestError(f"{near.__name__} has no column {unknown[0]}")
        return self.filter(*(known[name] == value for name, value in values.items()))

    def select_from(self, origin: Any) -> "Query":
        """Begins with this table."""
        return self._with(_origin=origin if isinstance(origin, Join) else table_of(origin), _near=origin)

    def join(self, target: Any, onclause: Any = None, isouter: bool = False) -> "Query":
        """Beside the rows of another table, which may be meant by a relation."""
        if isinstance(target, str):
            target = getattr(self._near, target)
        relation = next((one for one in (onclause, target) if hasattr(type(one), "on")), None)
        if relation is not None:
            found = self
            for table, on in relation.on():
                found = found.join(table, on, isouter)
            return found._with(_near=relation.target)
        origin = self._origin
        if origin is None:
            first = self._wanted[0]
            origin = first.table if isinstance(first, Column) else table_of(first)
        return self._with(_origin=Join(origin, target, onclause, isouter), _near=target)

    def outerjoin(self, target: Any, onclause: Any = None) -> "Query":
        """The same, also for rows that have no other beside."""
        return self.join(target, onclause, True)

    def options(self, *_: Any) -> "Query":
        """It has no effect: objects of relations are read when somebody asks for them."""
        return self

    def order_by(self, *several: Any) -> "Query":
        """In this order."""
        return self._with(_orders=[*self._orders, *(named(one) for one in several if one is not None)])

    def group_by(self, *several: Any) -> "Query":
        """One row for each of these."""
        return self._with(_groups=[*self._groups, *map(named, several)])

    def having(self, *several: Any) -> "Query":
        """Those of them for which this holds."""
        return self._with(_havings=[*self._havings, *map(condition, several)])

    def limit(self, most: Optional[int]) -> "Query":
        """At most so many."""
        return self._with(_most=most)

    def offset(self, skipped: Optional[int]) -> "Query":
        """Without so many at first."""
        return self._with(_skipped=skipped)

    def distinct(self) -> "Query":
        """Each row once."""
        return self._with(_is_distinct=True)

    def _select(self) -> Select:
        columns: list[Any] = []
        for one in self._wanted:
            columns += [one] if isinstance(one, Expression) else table_of(one).c
        own = Select(columns)
        if self._origin is not None:
            own = own.select_from(self._origin)
        own = own.where(*self._wheres).order_by(*self._orders).group_by(*self._groups).having(*self._havings)
        own = own.limit(self._most).offset(self._skipped)
        return own.distinct() if self._is_distinct else own

    def __iter__(self) -> Iterator[Any]:
        self._session.autoflush_now()
        return iter(self._found(self._session.execute_now(self._select())))

    def _found(self, rows: Any) -> list[Any]:
        found = []
        for row in rows:
            at, values = 0, []
            for one in self._wanted:
                size = 1 if isinstance(one, Expression) else len(table_of(one).c)
                part = row[at : at + size]
                at += size
                values.append(part[0] if isinstance(one, Expression) else self._session.loaded(one, part))
            if len(self._wanted) == 1 and not isinstance(self._wanted[0], Expression):
                found.append(values[0])
            elif all(isinstance(one, Expression) for one in self._wanted):
                found.append(row)
            else:
                found.append(tuple(values))
        return found

    def all(self) -> list[Any]:
        """All of them."""
        return [*self]

    def first(self) -> Any:
        """The first. None: there is none."""
        return next(iter(self.limit(1)), None)

    def one(self) -> Any:
        """The only one."""
        found = self.limit(2).all() if self._most is None else self.all()
        if not found:
            raise exc.NoResultFound("No row was found for one()")
        if len(found) > 1:
            raise exc.MultipleResultsFound("Multiple rows were found for one()")
        return found[0]

    def one_or_none(self) -> Any:
        """The only one. None: there is none."""
        try:
            return self.one()
        except exc.NoResultFound:
            return None

    def scalar(self) -> Any:
        """The first value of the only one. None: there is none."""
        found = self.one_or_none()
        return found[0] if isinstance(found, tuple) else found

    def get(self, key: Any) -> Any:
        """The object with this key. None: there is none."""
        kind = self._near
        several = key if isinstance(key, (tuple, list)) else (key,)
        columns = table_of(kind).primary_key
        if isinstance(key, Mapping):
            several = [key[one.attribute] for one in columns]
        if len(several) != len(columns):
            raise exc.InvalidRequestError(f"the key of {kind.__name__} has {len(columns)} values, not {len(several)}")
        if any(one is None for one in several):
            return None
        return self.filter(*(one == value for one, value in zip(columns, several))).first()

    def count(self) -> int:
        """How many there are."""
        self._session.autoflush_now()
        into = Writing()
        text = self._select().text(into)
        return int(self._session.text_now(f"SELECT count(*) FROM ({text})", into.values))

    def delete(self, synchronize_session: Any = None) -> int:
        """Deletes the rows. Returns how many."""
        return self._change(Delete(self._near).where(*self._wheres))

    def update(self, values: Mapping[Any, Any], synchronize_session: Any = None) -> int:
        """Changes the rows. Returns how many."""
        known = columns_of(self._near)
        named_ones = {known[key].name if isinstance(key, str) and key in known else getattr(key, "name", key): value for key, value in values.items()}
        return self._change(Update(self._near).where(*self._wheres).values(named_ones))

    def _change(self, statement: Any) -> int:
        if self._origin is not None or self._most is not None:
            raise exc.InvalidRequestError("rows that are joined or counted cannot be changed together")
        self._session.autoflush_now()
        count: int = self._session.execute(statement).rowcount
        self._session.read_again(self._near)
        return count

    def __getitem__(self, key: Any) -> Any:
        return self.all()[key]

