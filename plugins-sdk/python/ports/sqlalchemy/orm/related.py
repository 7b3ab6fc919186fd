"""Relations between classes of rows: an attribute with the object that a row refers to, or with those that refer to it.

    class Cup(Base):
        ...
        owner = relationship(Person, backref="cups")

What is set is written with the next `flush`: until then an object owes its columns the values of the other one.
"""

import re
from typing import Any, Iterable, Mapping, Optional, Sequence

from .. import exc
from ..expressions import Comparison, Expression, and_, or_, walk
from ..schema import Column, ForeignKeyConstraint, Table
from ..statements import Select
from .listed import Dynamic, Related, drop, has
from .query import Query
from .state import LINKS, LISTS, OWED, state_of

#: Options that change nothing here.
WITHOUT_EFFECT = {"active_history", "cascade_backrefs", "doc", "info", "innerjoin", "join_depth", "passive_updates", "post_update", "single_parent", "viewonly"}
_PAIR = re.compile(r"(\w+)\.(\w+)\s*==\s*(\w+)\.(\w+)")
_COLUMN = re.compile(r"(\w+)\.(\w+)")
_Pairs = list[tuple[Column, Column]]


class backref:
    """The name and the options of the same relation, seen from the other side."""

    def __init__(self, name: str, **options: Any) -> None:
        self.name = name
        self.options = options


class Relation:
    """An attribute of a class, with the objects of another one."""

    def __init__(
        self, argument: Any, secondary: Any = None, primaryjoin: Any = None, *, foreign_keys: Any = None, remote_side: Any = None,
        uselist: Optional[bool] = None, backref: Any = None, back_populates: Optional[str] = None, cascade: Any = "save-update, merge",
        lazy: Any = "select", order_by: Any = None, passive_deletes: Any = False, **options: Any
    ) -> None:
        if unknown := sorted({*options} - WITHOUT_EFFECT):
            raise exc.ArgumentError(f"the layer does not know the option {unknown[0]} of relationship()")
        self.argument = argument
        self.secondary = secondary
        self.primaryjoin = primaryjoin
        self.foreign_keys = foreign_keys
        self.remote_side = remote_side
        self.backref = backref
        self.back = back_populates
        words = {one.strip() for one in str(cascade or "").split(",")}
        self.deletes = bool(words & {"all", "delete"})
        self.has_orphans = "delete-orphan" in words
        self.is_dynamic = lazy == "dynamic"
        self.order_by = order_by
        self.is_passive = bool(passive_deletes)
        self._uselist = uselist
        #: The class that has the attribute, and its name there.
        self.owner: Any = None
        self.name = ""
        #: The same relation from the other side, if that made this one.
        self.mirrored: Optional[Relation] = None
        self._target: Any = None
        #: The own columns with those of the other class, or with those of the table between.
        self.pairs: _Pairs = []
        #: The columns of the other class with those of the table between.
        self.far: _Pairs = []
        #: Whether the own row refers to the other one.
        self.refers = False
        self._is_ready = False

    def copy(self) -> "Relation":
        """The same for another class that inherits it."""
        own = Relation.__new__(Relation)
        own.__dict__.update(self.__dict__)
        return own

    # The other class, and the columns

    @property
    def target(self) -> Any:
        """The other class. `InvalidRequestError`: there is none of this name yet."""
        if self._target is None:
            found = self.argument
            if isinstance(found, str):
                found = self._named(found)
            elif not isinstance(found, type):
                found = found()
            self._target = found
        return self._target

    @property
    def is_list(self) -> bool:
        """Whether there may be several."""
        self.configure()
        return not self.refers if self._uselist is None else self._uselist

    @property
    def is_reference(self) -> bool:
        """Whether the own row refers to the other one."""
        self.configure()
        return self.refers

    @property
    def between(self) -> Optional[Table]:
        """The table between, if there is one."""
        found: Any = self.secondary
        if isinstance(found, str):
            found = self.owner.metadata.tables.get(found)
        elif callable(found):
            found = found()
        return found if isinstance(found, Table) else None

    def _named(self, name: str) -> Any:
        found = self.owner.metadata.classes.get(name.rpartition(".")[2])
        if found is None:
            raise exc.InvalidRequestError(f"{self.owner.__name__}.{self.name}: there is no class {name}")
        return found

    def link(self) -> None:
        """Gives the other class the same relation from its side."""
        target, given = self.target, self.backref
        if given is None:
            return
        name, options = (given, {}) if isinstance(given, str) else (given.name, given.options)
        own = Relation(self.owner, self.secondary, back_populates=self.name, **options)
        own.owner, own.name, own.mirrored, self.back, self.backref = target, name, self, name, None
        setattr(target, name, own)
        target._parlor_relations[name] = own

    def configure(self) -> None:
        """Finds the columns that it is about."""
        if self._is_ready:
            return
        self._is_ready = True
        if self.mirrored is not None:
            other = self.mirrored
            other.configure()
            if other.far:
                self.pairs, self.far = other.far, other.pairs
            else:
                self.pairs, self.refers = [(two, one) for one, two in other.pairs], not other.refers
            return
        own, target, between = self.owner.__table__, self.target.__table__, self.between
        if between is not None:
            self.pairs = [(two, one) for one, two in self._single(_groups(between, own))]
            self.far = [(two, one) for one, two in self._single(_groups(between, target))]
            return
        pairs = self._joined(own, target)
        if pairs is None:
            found = [(one, True) for one in _groups(own, target)] + ([] if own is target else [(one, False) for one in _groups(target, own)])
            if keys := self._columns(self.foreign_keys):
                found = [(pairs, refers) for pairs, refers in found if all(has(keys, one) for one, _ in pairs)]
            group = self._single([pairs for pairs, _ in found])
            self.refers = next(refers for pairs, refers in found if pairs is group)
            if own is target:
                self.refers = any(has(self._columns(self.remote_side), two) for _, two in group)
            self.pairs = group if self.refers else [(two, one) for one, two in group]
            return
        self.pairs = pairs
        keys = self._columns(self.foreign_keys) or [one for table in (own, target) for one in _keys(table)]
        first, second = pairs[0]
        self.refers = has(keys, first) and not (has(keys, second) and has(self._columns(self.remote_side), first))

    def _single(self, groups: Sequence[_Pairs]) -> _Pairs:
        if len(groups) != 1:
            reason = "several keys refer from or to it: say which by foreign_keys" if groups else "nothing refers from or to it"
            raise exc.ArgumentError(f"{self.owner.__name__}.{self.name}: {reason}")
        return groups[0]

    def _joined(self, own: Table, target: Table) -> Optional[_Pairs]:
        """The columns of `primaryjoin`, own ones first. None: it is not given."""
        given = self.primaryjoin
        if given is None:
            return None
        if isinstance(given, str):
            found = [(self._column(a, b), self._column(c, d)) for a, b, c, d in _PAIR.findall(given)]
        else:
            given = given if isinstance(given, Expression) else given()
            found = [(one.left, one.right) for one in walk(given) if isinstance(one, Comparison) and isinstance(one.left, Column) and isinstance(one.right, Column)]
        remote = self._columns(self.remote_side)
        pairs = []
        for one, two in found:
            if {id(one.table), id(two.table)} == {id(own), id(target)}:
                is_turned = has(remote, one) if own is target else one.table is target
                pairs.append((two, one) if is_turned else (one, two))
        if not pairs:
            raise exc.ArgumentError(f"{self.owner.__name__}.{self.name}: primaryjoin compares no columns of both")
        return pairs

    def _column(self, kind: str, name: str) -> Column:
        found = getattr(self._named(kind), name, None)
        if not isinstance(found, Column):
            raise exc.InvalidRequestError(f"{kind}.{name} is no column")
        return found

    def _columns(self, given: Any) -> list[Column]:
        if given is None or isinstance(given, Column):
            return [] if given is None else [given]
        if isinstance(given, str):
            return [self._column(*one) for one in _COLUMN.findall(given)]
        return [inner for one in (given if isinstance(given, Iterable) else given()) for inner in self._columns(one)]

    # The attribute

    def __get__(self, owner: Any, kind: Any = None) -> Any:
        if owner is None:
            return self
        self.configure()
        if self.refers:
            owed = owner.__dict__.get(OWED, {})
            key = tuple(one.attribute for one, _ in self.pairs)
            return owed[key][0] if key in owed else next(iter(self.loaded(owner)), None)
        if self.is_dynamic:
            return Dynamic(self, owner)
        found = self.listed(owner)
        return found if self.is_list else next(iter(found), None)

    def __set__(self, owner: Any, value: Any) -> None:
        self.configure()
        if self.refers:
            self.owe(owner, value)
            return
        wanted = [] if value is None else [*value] if self.is_list else [value]
        found = self.listed(owner)
        for one in [one for one in found if not has(wanted, one)]:
            found.remove(one)
        for one in wanted:
            if not has(found, one):
                found.append(one)

    def listed(self, owner: Any) -> "Related":
        """The objects, in a list that writes what is added and removed."""
        lists = owner.__dict__.setdefault(LISTS, {})
        if self.name not in lists:
            lists[self.name] = Related(self, owner, self.loaded(owner))
        found: Related = lists[self.name]
        return found

    def loaded(self, owner: Any) -> list[Any]:
        """The objects that the database knows."""
        query = self.query(owner)
        return [] if query is None else query.all()

    def query(self, owner: Any) -> Optional[Query]:
        """A search for them. None: there can be none yet."""
        self.configure()
        session = state_of(owner).session
        if session is not None:
            # The values of the columns may be made by that.
            session.autoflush_now()
        values = [getattr(owner, one.attribute) for one, _ in self.pairs]
        if session is None or None in values:
            return None
        query = Query(session, self.target)
        if self.far:
            query = query.join(self.between, and_(*(one == two for one, two in self.far)))._with(_near=self.target)
        query = query.filter(*(two == value for (_, two), value in zip(self.pairs, values)))
        if self.order_by is not None:
            given = self.order_by() if callable(self.order_by) and not isinstance(self.order_by, Expression) else self.order_by
            several = self._columns(given) if isinstance(given, str) else given if isinstance(given, (list, tuple)) else [given]
            query = query.order_by(*several)
        return query

    # Changes

    def owe(self, child: Any, parent: Any) -> None:
        """Has a row refer to another one. None: to none."""
        old = child.__dict__.get(OWED, {}).get(tuple(one.attribute for one, _ in self.pairs), (None,))[0]
        _owe(child, parent, self.pairs)
        _together(child, parent, self.back is not None)
        if self.back is None:
            return
        if old is not None:
            drop(old.__dict__.get(LISTS, {}).get(self.back, []), child)
        if parent is not None and (self.back in parent.__dict__.get(LISTS, {}) or state_of(parent).key is None):
            other = type(parent)._parlor_relations.get(self.back)
            found = None if other is None or other.is_dynamic else other.listed(parent)
            if found is not None and not has(found, child):
                list.append(found, child)

    def attach(self, owner: Any, other: Any) -> None:
        """Has an object that was added to a list refer to its owner."""
        if self.far:
            owner.__dict__.setdefault(LINKS, []).append((self, other, True))
            self._mirror(owner, other, True)
        else:
            _owe(other, owner, [(two, one) for one, two in self.pairs])
        _together(other, owner, True)

    def detach(self, owner: Any, other: Any) -> None:
        """Has an object that was removed from a list refer to nothing, or deletes it."""
        session = state_of(other).session
        if self.far:
            owner.__dict__.setdefault(LINKS, []).append((self, other, False))
            self._mirror(owner, other, False)
        elif self.has_orphans and session is not None:
            (session.expunge if state_of(other).key is None else session.delete)(other)
        else:
            _owe(other, None, [(two, one) for one, two in self.pairs])

    def _mirror(self, owner: Any, other: Any, is_added: bool) -> None:
        found = other.__dict__.get(LISTS, {}).get(self.back)
        if found is None and is_added and self.back is not None and state_of(other).key is None:
            found = type(other)._parlor_relations[self.back].listed(other)
        if found is not None and is_added and not has(found, owner):
            list.append(found, owner)
        elif found is not None and not is_added:
            drop(found, owner)

    def row(self, owner: Any, other: Any) -> dict[str, Any]:
        """The row of the table between for two objects."""
        return {
            **{two.name: getattr(owner, one.attribute) for one, two in self.pairs}, **{two.name: getattr(other, one.attribute) for one, two in self.far}}

    # Conditions

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: Any) -> Any:
        self.configure()
        if self.refers:
            return and_(*(one == (None if other is None else getattr(other, two.attribute)) for one, two in self.pairs))
        return ~self.any() if other is None else self.contains(other)

    def __ne__(self, other: Any) -> Any:
        self.configure()
        if not self.refers:
            return self.any() if other is None else ~self.contains(other)
        return or_(*(one != (None if other is None else getattr(other, two.attribute)) for one, two in self.pairs))

    def any(self, criterion: Any = None, **values: Any) -> Expression:
        """There is one for which this holds."""
        self.configure()
        (own, other), *more = self.pairs
        if more or self.target is self.owner:
            raise exc.ArgumentError(f"{self.owner.__name__}.{self.name}: the layer searches by relations of one column to another class: use join()")
        wheres = [] if criterion is None else [criterion]
        wheres += [getattr(self.target, name) == value for name, value in values.items()]
        inner = Select([other]).where(*wheres)
        if self.far and self.between is not None:
            inner = inner.select_from(self.between.join(self.target, and_(*(one == two for one, two in self.far))))
        return own.in_(inner)

    has = any

    def contains(self, other: Any) -> Expression:
        """This is one of them."""
        return self.any(and_(*(one == getattr(other, one.attribute) for one in self.target.__table__.primary_key)))

    def on(self) -> list[tuple[Any, Expression]]:
        """The tables to join, with their conditions."""
        self.configure()
        near = and_(*(one == two for one, two in self.pairs))
        if not self.far:
            return [(self.target, near)]
        return [(self.between, near), (self.target, and_(*(one == two for one, two in self.far)))]


def _owe(child: Any, parent: Any, pairs: Iterable[tuple[Column, Column]]) -> None:
    several = [*pairs]
    owed: dict[tuple[str, ...], Any] = child.__dict__.setdefault(OWED, {})
    owed[tuple(one.attribute for one, _ in several)] = parent, tuple(two.attribute for _, two in several)


def pay(child: Any) -> None:
    """Writes what an object owes into its columns."""
    for names, (parent, others) in child.__dict__.pop(OWED, {}).items():
        child.__dict__.update({name: None if parent is None else getattr(parent, other) for name, other in zip(names, others)})


def _together(one: Any, other: Any, is_mutual: bool) -> None:
    """Has an object stored with the one that it refers to, and the other way round if both know each other."""
    if other is None:
        return
    session, others = state_of(one).session, state_of(other).session
    if session is not None and others is None:
        session.add(other)
    elif others is not None and session is None and is_mutual:
        others.add(one)


def _groups(table: Table, other: Table) -> list[_Pairs]:
    """The keys of a table that refer to another one: the own columns of each with the others."""
    found: list[_Pairs] = []
    for own in table.c:
        found += [[(own, other.c[name])] for target, name in (key.names() for key in own.references) if target == other.name and name in other.c]
    for one in table.constraints:
        if isinstance(one, ForeignKeyConstraint) and all(target == other.name for _, (target, _) in one.pairs()):
            found.append([(table.c[own], other.c[name]) for own, (_, name) in one.pairs()])
    return found


def _keys(table: Table) -> list[Column]:
    """The columns of a table that refer to others."""
    several = [table.c[own] for one in table.constraints if isinstance(one, ForeignKeyConstraint) for own, _ in one.pairs()]
    return [one for one in table.c if one.references] + several


def others_of(owner: Any) -> list[Any]:
    """The objects that are stored with this one."""
    found = [parent for parent, _ in owner.__dict__.get(OWED, {}).values() if parent is not None]
    found += [one for several in owner.__dict__.get(LISTS, {}).values() for one in several]
    return found + [other for _, other, is_added in owner.__dict__.get(LINKS, []) if is_added]


def relations_of(owner: Any) -> Mapping[str, Relation]:
    """The relations of an object, by the names of its attributes."""
    found: Mapping[str, Relation] = type(owner)._parlor_relations
    return found
