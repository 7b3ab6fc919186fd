"""The database, in statements that do not wait."""

import contextlib
import sqlite3
from types import SimpleNamespace
from typing import Any, Callable, Iterator, Mapping, Optional, Sequence

from parlor_port.plain import Done, Plain

from .. import exc, types
from ..expressions import TextClause
from ..statements import Insert, Statement
from .result import ResultProxy, RowProxy

class _Executes:
    """Carries out statements."""

    def execute(self, statement: Any, *several: Any, **named: Any) -> ResultProxy:
        """Carries out a statement, with values for its parameters. A list of them carries it out for each, all together or not at all."""
        sets, are_many = _sets(several, named)
        if not are_many:
            return self._one(statement, sets[0])
        with self._whole() as own:
            count = sum(max(0, own._one(statement, one).rowcount) for one in sets)
        return ResultProxy([], [], count, None, None)

    def scalar(self, statement: Any, *several: Any, **named: Any) -> Any:
        """The first value of the first row."""
        return self.execute(statement, *several, **named).scalar()

    def _one(self, statement: Any, given: Any) -> ResultProxy:
        if isinstance(statement, (str, TextClause)):
            found = self._run(statement if isinstance(statement, str) else statement.text, given)
            names = [one[0] for one in found.columns]
            return ResultProxy([RowProxy.of(tuple(row), names, ()) for row in found.rows], names, found.rowcount, found.lastrowid, None)
        if not isinstance(statement, Statement):
            raise exc.ArgumentError(f"{statement!r} is no statement that the layer knows")
        if given and not isinstance(given, Mapping):
            raise exc.ArgumentError("the values of such a statement have names")
        found = self._run(*statement.compiled(given or {}))
        results = statement.results()
        names, columns = [name for name, _, _ in results], [column for _, _, column in results]
        rows = [RowProxy.of([kind.read(value) for (_, kind, _), value in zip(results, row)], names, columns) for row in found.rows]
        key: Optional[list[Any]] = None
        if isinstance(statement, Insert):
            # SQLite makes the number of a row.
            pairs = zip(statement.key, statement.table.primary_key)
            key = [found.lastrowid if value is None and isinstance(one.type, types.Integer) else value for value, one in pairs]
        return ResultProxy(rows, names, found.rowcount, found.lastrowid, key)

    def _whole(self) -> "contextlib.AbstractContextManager[Connection]":
        """A transaction of several statements."""
        raise NotImplementedError

    def _run(self, text: str, values: Any) -> Done:
        raise NotImplementedError


def _sets(several: Sequence[Any], named: Mapping[str, Any]) -> tuple[Sequence[Any], bool]:
    """The values of a statement, each time that it is carried out, and whether that may be several times."""
    kinds = (list, tuple, Mapping)
    if not several:
        return [named], False
    first = several[0]
    if len(several) > 1:
        # `execute("… ? … ?", one, other)` has its values one after the other.
        return (several, True) if isinstance(first, kinds) else ([several], False)
    if isinstance(first, (list, tuple)) and first and isinstance(first[0], kinds):
        return first, True
    return [first if isinstance(first, kinds) else [first]], False


class Engine(_Executes):
    """The database of a plugin. Each statement is a transaction of its own."""

    name = driver = "sqlite"

    def __init__(self, plain: Plain) -> None:
        self._plain = plain
        self.dialect = SimpleNamespace(name="sqlite")

    def connect(self, **_: Any) -> "Connection":
        """Returns a connection, which may have a transaction of several statements."""
        return Connection(self._plain)

    contextual_connect = connect

    @contextlib.contextmanager
    def begin(self, **_: Any) -> "Iterator[Connection]":
        """A transaction: `with engine.begin() as conn`."""
        with self.connect() as connection, connection.begin():
            yield connection

    def transaction(self, function: Callable[..., Any], *given: Any, **named: Any) -> Any:
        """Calls a function with a connection, in one transaction."""
        with self.begin() as connection:
            return function(connection, *given, **named)

    def has_table(self, name: str, **_: Any) -> bool:
        """Whether there is such a table."""
        return name in self.table_names()

    def table_names(self, **_: Any) -> list[str]:
        """The names of the tables."""
        return [one[0] for one in self.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]

    def dispose(self) -> None:
        """There is nothing to close."""

    def _whole(self) -> "contextlib.AbstractContextManager[Connection]":
        return self.begin()

    def _run(self, text: str, values: Any) -> Done:
        return _run(self._plain, None, text, values)


class Connection(_Executes):
    """The database, with transactions of several statements."""

    def __init__(self, plain: Plain) -> None:
        self._plain = plain
        self._depth = 0
        self.closed = False

    @property
    def dialect(self) -> Any:
        """The kind of the database."""
        return SimpleNamespace(name="sqlite")

    def begin(self) -> "Transaction":
        """Begins a transaction. One within another one ends with it."""
        self._check()
        if not self._depth:
            self._do(self._plain.begin)
        self._depth += 1
        return Transaction(self)

    def in_transaction(self) -> bool:
        """Whether one is open."""
        return self._depth > 0

    def close(self) -> None:
        """Ends it, without what was not committed."""
        if not self.closed:
            self.ended(is_good=False)
        self.closed = True

    def ended(self, is_good: bool) -> None:
        """A transaction has ended: the outer one, or one within it."""
        if is_good and self._depth > 1:
            self._depth -= 1
        elif self._depth:
            self._depth = 0
            self._do(self._plain.commit if is_good else self._plain.rollback)

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def _check(self) -> None:
        if self.closed:
            raise exc.ResourceClosedError("the connection is closed")

    def _do(self, step: Callable[[Any], None]) -> None:
        try:
            step(self)
        except sqlite3.Error as error:
            raise exc.of(error, "", ()) from error

    @contextlib.contextmanager
    def _whole(self) -> "Iterator[Connection]":
        with self.begin():
            yield self

    def _run(self, text: str, values: Any) -> Done:
        self._check()
        return _run(self._plain, self if self._depth else None, text, values)


class Transaction:
    """Several statements, all of which are done or none."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.is_active = True

    def commit(self) -> None:
        """Keeps what was done."""
        if not self.is_active or not self.connection.in_transaction():
            raise exc.InvalidRequestError("This transaction is inactive")
        self.is_active = False
        self.connection.ended(is_good=True)

    def rollback(self) -> None:
        """Undoes it, with the transactions around."""
        if self.is_active:
            self.is_active = False
            self.connection.ended(is_good=False)

    close = rollback

    def __enter__(self) -> "Transaction":
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        if kind is None and self.is_active:
            self.commit()
        else:
            self.rollback()


def _run(plain: Plain, holder: Any, text: str, values: Any) -> Done:
    try:
        return plain.run(holder, text, values)
    except sqlite3.Error as error:
        raise exc.of(error, text, values) from error
