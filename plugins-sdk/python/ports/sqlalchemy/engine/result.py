"""The rows that a statement gives."""

from typing import Any, Iterator, Optional, Sequence

from .. import exc


class RowProxy(tuple[Any, ...]):
    """A row, by the numbers, the names and the columns of its values."""

    _names: Sequence[str]
    _columns: Sequence[Any]

    @classmethod
    def of(cls, values: Sequence[Any], names: Sequence[str], columns: Sequence[Any]) -> "RowProxy":
        """A row of these values."""
        own = cls(values)
        own._names, own._columns = names, columns
        return own

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, (int, slice)):
            return super().__getitem__(key)
        if isinstance(key, str):
            if key in self._names:
                return super().__getitem__(self._names.index(key))
        else:
            for number, one in enumerate(self._columns):
                if one is key:
                    return super().__getitem__(number)
        raise exc.NoSuchColumnError(f"the row has no column {key}")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self._names:
            raise AttributeError(name)
        return super().__getitem__(self._names.index(name))

    def __contains__(self, key: Any) -> bool:
        return self.has_key(key)

    def has_key(self, key: Any) -> bool:
        """Whether it has such a column."""
        return key in self._names if isinstance(key, str) else any(one is key for one in self._columns)

    def keys(self) -> list[str]:
        """The names of its columns."""
        return [*self._names]

    def values(self) -> list[Any]:
        """Its values."""
        return [*self]

    def items(self) -> list[tuple[str, Any]]:
        """Both."""
        return [*zip(self._names, self)]

    def _asdict(self) -> dict[str, Any]:
        return dict(self.items())


class ResultProxy:
    """All rows of a statement, which are read at once."""

    def __init__(self, rows: Sequence[RowProxy], names: Sequence[str], rowcount: int, lastrowid: Optional[int], key: Optional[list[Any]]) -> None:
        self._rows = [*rows]
        self._next = 0
        self._names = names
        self.rowcount = rowcount
        self.lastrowid = lastrowid
        self._key = key

    @property
    def returns_rows(self) -> bool:
        """Whether it is one that gives rows."""
        return bool(self._names)

    @property
    def inserted_primary_key(self) -> list[Any]:
        """The key of the row that was added."""
        if self._key is None:
            raise exc.InvalidRequestError("only an insert of one row has the key of a new row")
        return self._key

    def keys(self) -> list[str]:
        """The names of the columns."""
        return [*self._names]

    def __iter__(self) -> Iterator[RowProxy]:
        return self

    def __next__(self) -> RowProxy:
        found = self.fetchone()
        if found is None:
            raise StopIteration
        return found

    def fetchone(self) -> Optional[RowProxy]:
        """The next row."""
        if self._next >= len(self._rows):
            return None
        self._next += 1
        return self._rows[self._next - 1]

    def fetchall(self) -> list[RowProxy]:
        """The rows that are left."""
        found, self._next = self._rows[self._next :], len(self._rows)
        return found

    def fetchmany(self, size: int = 1) -> list[RowProxy]:
        """The next rows."""
        found = self._rows[self._next : self._next + size]
        self._next += len(found)
        return found

    def first(self) -> Optional[RowProxy]:
        """The first row, and no more."""
        found = self.fetchone()
        self.close()
        return found

    def one(self) -> RowProxy:
        """The only row."""
        found = self.fetchall()
        if not found:
            raise exc.NoResultFound("there is no row, and one was wanted")
        if len(found) > 1:
            raise exc.MultipleResultsFound("there are several rows, and one was wanted")
        return found[0]

    def scalar(self) -> Any:
        """The first value of the first row."""
        found = self.first()
        return None if found is None else found[0]

    def close(self) -> None:
        """Leaves the rest."""
        self._next = len(self._rows)

    all = fetchall
