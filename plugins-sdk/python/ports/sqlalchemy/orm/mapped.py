"""Classes whose objects are rows."""

from typing import Any, Mapping, Optional

from .. import exc
from ..schema import Column, Constraint, MetaData, Table
from .related import Relation
from .state import columns_of


class declared_attr:
    """Makes a column of a method, for each class of its own."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def __get__(self, owner: Any, kind: Any = None) -> Any:
        return self.function(kind)


class Mapped:
    """The base of all classes with rows."""

    metadata: MetaData
    __table__: Table
    #: The columns, by the attributes of objects.
    _parlor_columns: dict[str, Column]
    _parlor_relations: dict[str, Relation]

    def __init_subclass__(cls, **_: Any) -> None:
        super().__init_subclass__()
        if "_parlor_base" not in vars(cls) and not vars(cls).get("__abstract__"):
            _map(cls)

    def __init__(self, **given: Any) -> None:
        for name, value in given.items():
            if not hasattr(type(self), name):
                raise TypeError(f"{name!r} is an invalid keyword argument for {type(self).__name__}")
            setattr(self, name, value)


def declarative_base(
    bind: Any = None, metadata: Optional[MetaData] = None, cls: Any = None, name: str = "Base", **_: Any
) -> Any:
    """A class that those inherit from whose objects are rows."""
    # Its own class comes before, so that its methods go first.
    bases = (Mapped,) if cls is None or cls is object else (cls, Mapped)
    return type(name, bases, {"_parlor_base": True, "metadata": metadata or MetaData(bind)})


def _map(cls: type[Mapped]) -> None:
    """Makes the table of a class, of the columns that it and its bases have."""
    if any("__table__" in vars(one) and "_parlor_columns" in vars(one) for one in cls.__mro__[1:]):
        raise exc.ArgumentError(f"{cls.__name__} inherits from a class that has a table already, which the layer does not know")
    table = vars(cls).get("__table__")
    found: dict[str, Column] = {}
    relations: dict[str, Relation] = {}
    for owner in reversed(cls.__mro__):
        for name, value in list(vars(owner).items()):
            if isinstance(value, declared_attr) and not name.startswith("__"):
                value = value.function(cls)
            if isinstance(value, Column):
                found[name] = value if owner is cls else value.copy()
            elif isinstance(value, Relation):
                relations[name] = value if owner is cls else value.copy()
    if table is None:
        table = _table(cls, found)
    else:
        found = {one.name: one for one in table.c}
    cls.__table__ = table
    cls._parlor_columns = found
    for name, one in found.items():
        one.attribute = name
        setattr(cls, name, one)
    if not table.primary_key:
        raise exc.ArgumentError(f"{cls.__name__} has no primary key")
    cls._parlor_relations = relations
    for name, relation in relations.items():
        relation.owner, relation.name = cls, name
        setattr(cls, name, relation)
    _link(cls, [*relations.values()])


def _link(cls: type[Mapped], relations: list[Relation]) -> None:
    """Gives the classes that relations are about the same relations, as soon as there are these classes."""
    cls.metadata.classes[cls.__name__] = cls
    waiting, cls.metadata.unlinked = [*cls.metadata.unlinked, *relations], []
    for one in waiting:
        try:
            one.link()
        except (exc.InvalidRequestError, NameError):
            cls.metadata.unlinked.append(one)


def _table(cls: type[Mapped], columns: Mapping[str, Column]) -> Table:
    name = getattr(cls, "__tablename__", None)
    if not isinstance(name, str):
        raise exc.InvalidRequestError(f"{cls.__name__} has no __tablename__")
    for key, one in columns.items():
        one.name = one.name or key
    given = getattr(cls, "__table_args__", ())
    parts = (given,) if isinstance(given, dict) else tuple(given)
    options = parts[-1] if parts and isinstance(parts[-1], dict) else {}
    rules = [one for one in parts if isinstance(one, Constraint)]
    return Table(name, cls.metadata, *sorted(columns.values(), key=lambda one: one.order), *rules, **options)


def key_of(kind: Any, values: Mapping[str, Any]) -> "tuple[Any, ...]":
    """The key of a row with these values, in the order of the table."""
    by_column = {id(one): name for name, one in columns_of(kind).items()}
    return tuple(values.get(by_column[id(one)]) for one in kind.__table__.primary_key)


def values_of(owner: Any) -> dict[str, Any]:
    """The values that an object has."""
    return {name: owner.__dict__[name] for name in columns_of(type(owner)) if name in owner.__dict__}
