"""The objects of a relation, in a list that writes what is added and removed."""

from typing import Any, Iterable, Iterator

from .. import exc


def has(several: Iterable[Any], one: Any) -> bool:
    """Whether this very object is among others, which may have an `==` of their own."""
    return any(other is one for other in several)


def drop(several: list[Any], one: Any) -> None:
    """Removes this very object."""
    for at, other in enumerate(several):
        if other is one:
            list.pop(several, at)
            return


class Related(list[Any]):
    """Objects of a relation."""

    def __init__(self, relation: Any, owner: Any, found: Iterable[Any]) -> None:
        super().__init__(found)
        self._relation = relation
        self._owner = owner

    def append(self, one: Any) -> None:
        super().append(one)
        self._relation.attach(self._owner, one)

    def insert(self, at: Any, one: Any) -> None:
        super().insert(at, one)
        self._relation.attach(self._owner, one)

    def extend(self, several: Iterable[Any]) -> None:
        for one in several:
            self.append(one)

    def __iadd__(self, several: Any) -> Any:  # type: ignore[misc]
        self.extend(several)
        return self

    def remove(self, one: Any) -> None:
        if not has(self, one):
            raise ValueError("it is not in the list")
        drop(self, one)
        self._relation.detach(self._owner, one)

    def pop(self, at: Any = -1) -> Any:
        found = super().pop(at)
        self._relation.detach(self._owner, found)
        return found

    def clear(self) -> None:
        for one in [*self]:
            self.remove(one)


class Dynamic:
    """Objects of a relation, which are searched for each time."""

    def __init__(self, relation: Any, owner: Any) -> None:
        self._relation = relation
        self._owner = owner

    def append(self, one: Any) -> None:
        """Adds one."""
        self._relation.attach(self._owner, one)

    def remove(self, one: Any) -> None:
        """Removes one."""
        self._relation.detach(self._owner, one)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._relation.loaded(self._owner))

    def __getitem__(self, key: Any) -> Any:
        return self._relation.loaded(self._owner)[key]

    def __getattr__(self, name: str) -> Any:
        query = self._relation.query(self._owner)
        if query is None:
            raise exc.InvalidRequestError(f"the {type(self._owner).__name__} is in no session")
        return getattr(query, name)


class Loading:
    """When objects are read. They always are when somebody asks for them."""

    def __init__(self, *_: Any) -> None:
        pass

    def joinedload(self, *_: Any) -> "Loading":
        """It has no effect."""
        return self

    subqueryload = selectinload = lazyload = contains_eager = load_only = joinedload
