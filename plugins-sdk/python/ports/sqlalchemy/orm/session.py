"""Sessions: objects, and the rows that they are. Changes are written before a search, and kept by `commit`."""

from typing import Any, Callable, Iterable, Iterator, Optional, Sequence

from .. import exc
from ..engine.base import Connection
from ..statements import Delete, Insert, Select, Update
from .exc import StaleDataError, UnmappedInstanceError
from .mapped import key_of, values_of
from .query import Query
from .related import others_of, pay, relations_of
from .state import LINKS, OWED, STATE, State, columns_of, forget, state_of


class Session:
    """Objects with their rows, and one transaction."""

    def __init__(self, bind: Any = None, autoflush: bool = True, expire_on_commit: bool = True, autocommit: bool = False, **unknown: Any) -> None:
        if unknown or autocommit:
            raise exc.ArgumentError(f"the layer does not know sessions with {next(iter(unknown), 'autocommit')}")
        if bind is None:
            raise exc.InvalidRequestError("a session needs a database: pass `bind=self.database`")
        self.bind = bind
        self.autoflush = autoflush
        self._connection: Optional[Connection] = None
        self._transaction: Any = None
        #: The objects with rows, by class and key; those to add and to delete; and those that were deleted in this transaction.
        self._known: dict[tuple[type, tuple[Any, ...]], Any] = {}
        self._new: list[Any] = []
        self._doomed: list[Any] = []
        self._gone: list[Any] = []

    # Objects

    def add(self, instance: Any) -> None:
        """Has an object stored."""
        state = self._state(instance)
        if state.session is not None and state.session is not self:
            raise exc.InvalidRequestError(f"the {type(instance).__name__} is already attached to another session")
        self._doomed = [one for one in self._doomed if one is not instance]
        if state.key is None:
            if not any(one is instance for one in self._new):
                self._new.append(instance)
        else:
            self._known[type(instance), state.key] = instance
        state.session = self
        for one in others_of(instance):
            if state_of(one).session is None:
                self.add(one)

    def add_all(self, instances: Iterable[Any]) -> None:
        """Has several stored."""
        for one in instances:
            self.add(one)

    def delete(self, instance: Any) -> None:
        """Has the row of an object deleted."""
        state = self._state(instance)
        if state.key is None:
            raise exc.InvalidRequestError(f"the {type(instance).__name__} is not persisted")
        if self._is_doomed(instance):
            return
        # Searches write what has changed, so that they come first.
        others = {name: one.loaded(instance) for name, one in relations_of(instance).items() if not one.is_reference}
        self.add(instance)
        self._doomed.append(instance)
        for name, several in others.items():
            relation = relations_of(instance)[name]
            for one in several:
                if relation.deletes and not relation.far:
                    self.delete(one)
                elif relation.far or not relation.is_passive:
                    relation.detach(instance, one)

    def merge(self, instance: Any, **_: Any) -> Any:
        """Gives the values of an object to the one with the same key, which is added if it is not there. Returns that one."""
        self.autoflush_now()
        kind: Any = type(instance)
        given = values_of(instance)
        key = key_of(kind, given)
        found = None if None in key else self.query(kind).get(key)
        if found is None:
            found = kind.__new__(kind)
            self.add(found)
        for name, value in given.items():
            setattr(found, name, value)
        return found

    def refresh(self, instance: Any) -> None:
        """Reads the row of an object again."""
        key = self._state(instance).key
        if key is None or self._read(type(instance), key) is None:
            raise exc.InvalidRequestError(f"the {type(instance).__name__} has no row")

    def expire(self, instance: Any, *_: Any) -> None:
        """Forgets what was changed of an object."""
        self.refresh(instance)

    def expunge(self, instance: Any) -> None:
        """Forgets an object, but not its row."""
        state = self._state(instance)
        self._new = [one for one in self._new if one is not instance]
        self._doomed = [one for one in self._doomed if one is not instance]
        if state.key is not None:
            self._known.pop((type(instance), state.key), None)
        state.session = None

    def expunge_all(self) -> None:
        """Forgets all objects."""
        for one in [*self._new, *self._known.values()]:
            state_of(one).session = None
        self._new, self._doomed, self._gone = [], [], []
        self._known = {}

    def __contains__(self, instance: Any) -> bool:
        return state_of(instance).session is self

    def __iter__(self) -> Iterator[Any]:
        return iter([*self._new, *self._known.values()])

    # Searches and statements

    def query(self, *wanted: Any) -> Query:
        """A search for objects of a class, or for values of columns."""
        return Query(self, *wanted)

    def get(self, kind: Any, key: Any) -> Any:
        """The object with this key. None: there is none."""
        return self.query(kind).get(key)

    def execute(self, statement: Any, *several: Any, **named: Any) -> Any:
        """Carries out a statement within the transaction. One that reads begins none, which others would wait for."""
        self.autoflush_now()
        if isinstance(statement, Select):
            return self.execute_now(statement)
        return self._begun().execute(statement, *several, **named)

    def scalar(self, statement: Any, *several: Any, **named: Any) -> Any:
        """The first value of the first row."""
        return self.execute(statement, *several, **named).scalar()

    # The transaction

    def flush(self, objects: Any = None) -> None:
        """Writes what has changed. It is kept by `commit`."""
        indebted = [one for one in self._known.values() if OWED in one.__dict__ and not self._is_doomed(one)]
        linked = [one for one in [*self._new, *self._known.values()] if one.__dict__.get(LINKS)]
        if not (self._new or indebted or linked or self._doomed or self._changed()):
            return
        connection = self._begun()
        try:
            done: set[int] = set()
            for one in [*self._new]:
                self._insert_after(connection, one, done)
            for one in indebted:
                pay(one)
            for one in self._changed():
                self._update(connection, one)
            for one in linked:
                self._write_links(connection, one)
            for one in self._doomed:
                self._remove(connection, one)
        except BaseException:
            self.rollback()
            raise
        self._new, self._doomed = [], []
        for one in self._known.values():
            forget(one)

    def commit(self) -> None:
        """Keeps what has changed."""
        self.flush()
        if self._transaction is not None:
            transaction, self._transaction = self._transaction, None
            transaction.commit()
        self._gone = []
        for one in self._known.values():
            state_of(one).before = {**state_of(one).values}
            forget(one)

    def rollback(self) -> None:
        """Undoes what has changed since the last `commit`."""
        if self._transaction is not None:
            transaction, self._transaction = self._transaction, None
            transaction.rollback()
        for one in self._new:
            state_of(one).session = None
        known = [*self._known.values(), *self._gone]
        self._known, self._new, self._doomed, self._gone = {}, [], [], []
        for one in known:
            forget(one, has_all=True)
            state = state_of(one)
            if state.before is None:
                one.__dict__[STATE] = State()
            else:
                state.values, state.key = {**state.before}, key_of(type(one), state.before)
                one.__dict__.update(state.before)
                self._known[type(one), state.key] = one

    def close(self) -> None:
        """Undoes what was not kept, and forgets all objects."""
        self.rollback()
        self.expunge_all()
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    # For searches

    def autoflush_now(self) -> None:
        """Writes what has changed, unless the session does so only if it is told."""
        if self.autoflush:
            self.flush()

    def execute_now(self, statement: Any) -> Any:
        """Reads, in the transaction if there is one."""
        return (self._connection if self._connection is not None else self.bind).execute(statement)

    def text_now(self, text: str, values: Sequence[Any]) -> Any:
        """Reads a value by a text of SQL."""
        return (self._connection if self._connection is not None else self.bind).execute(text, tuple(values)).scalar()

    def loaded(self, kind: Any, row: Sequence[Any]) -> Any:
        """The object of a row. None: it has no key, as beside a row that has no other."""
        by_column = {id(one): name for name, one in columns_of(kind).items()}
        values = {by_column[id(one)]: value for one, value in zip(kind.__table__.c, row)}
        key = key_of(kind, values)
        if None in key:
            return None
        found = self._known.get((kind, key))
        if found is None:
            found = kind.__new__(kind)
            found.__dict__[STATE] = State(self, key, {}, {**values})
            self._known[kind, key] = found
        state = state_of(found)
        # Changes that were not written, without autoflush, stay.
        changed = {name for name, value in values_of(found).items() if name in state.values and value != state.values[name]}
        found.__dict__.update({name: value for name, value in values.items() if name not in changed})
        state.values = values
        return found

    def read_again(self, kind: Any) -> None:
        """Reads the objects of a class again, as rows have changed. Those without a row are forgotten."""
        for (other, key), one in list(self._known.items()):
            if other is kind and self._read(kind, key) is None:
                self._known.pop((kind, key))
                self._gone.append(one)

    # Rows

    def _read(self, kind: Any, key: Sequence[Any]) -> Any:
        found = self._known.get((kind, tuple(key)))
        if found is not None:
            forget(found, has_all=True)
            found.__dict__.update(state_of(found).values)
        columns = kind.__table__.primary_key
        row = self.execute_now(Select([kind.__table__]).where(*(one == value for one, value in zip(columns, key)))).first()
        return None if row is None else self.loaded(kind, row)

    def _state(self, instance: Any) -> State:
        if not hasattr(type(instance), "_parlor_columns"):
            raise UnmappedInstanceError(f"Class '{type(instance).__name__}' is not mapped")
        return state_of(instance)

    def _is_doomed(self, instance: Any) -> bool:
        return any(one is instance for one in self._doomed)

    def _begun(self) -> Connection:
        if self._connection is None:
            self._connection = self.bind.connect()
        if self._transaction is None:
            self._transaction = self._connection.begin()
        return self._connection

    def _changed(self) -> list[Any]:
        fresh = {id(one) for one in self._new}
        return [
            one for one in self._known.values() if id(one) not in fresh and not self._is_doomed(one) and values_of(one) != state_of(one).values]

    def _insert_after(self, connection: Connection, one: Any, done: set[int]) -> None:
        """Adds the row of an object after those that it refers to."""
        if id(one) in done:
            return
        done.add(id(one))
        for parent, _ in one.__dict__.get(OWED, {}).values():
            if any(parent is other for other in self._new):
                self._insert_after(connection, parent, done)
        pay(one)
        self._insert(connection, one)

    def _write_links(self, connection: Connection, one: Any) -> None:
        """Changes the tables between an object and others."""
        for relation, other, is_added in one.__dict__.pop(LINKS):
            row, table = relation.row(one, other), relation.between
            if None in row.values():
                continue
            own = [table.c[name] == value for name, value in row.items()]
            connection.execute(Delete(table).where(*own))
            if is_added:
                connection.execute(Insert(table).values(row))

    def _insert(self, connection: Connection, one: Any) -> None:
        kind, given = type(one), values_of(one)
        columns = columns_of(kind)
        # A key that nobody gives is made by SQLite, and a default by the column.
        left_out = {name for name, value in given.items() if value is None and (columns[name].primary_key or columns[name].default is not None)}
        statement = Insert(kind).values({columns[name].name: value for name, value in given.items() if name not in left_out})
        key = tuple(connection.execute(statement).inserted_primary_key)
        own = [column == value for column, value in zip(kind.__table__.primary_key, key)]
        row = connection.execute(Select([kind.__table__]).where(*own)).first()
        if None in key or row is None:
            raise exc.InvalidRequestError(f"a {kind.__name__} has no key")
        by_column = {id(column): name for name, column in columns.items()}
        values = {by_column[id(column)]: value for column, value in zip(kind.__table__.c, row)}
        one.__dict__.update(values)
        one.__dict__[STATE] = State(self, key_of(kind, values), values, None)
        self._known[kind, key_of(kind, values)] = one

    def _update(self, connection: Connection, one: Any) -> None:
        kind, state, given = type(one), state_of(one), values_of(one)
        columns = columns_of(kind)
        changed = {columns[name].name: value for name, value in given.items() if value != state.values.get(name)}
        self._single(connection, one, Update(kind).where(*self._own(one)).values(changed))
        self._known.pop((kind, state.key or ()), None)
        state.values, state.key = given, key_of(kind, given)
        self._known[kind, state.key] = one

    def _remove(self, connection: Connection, one: Any) -> None:
        self._single(connection, one, Delete(type(one)).where(*self._own(one)))
        state = state_of(one)
        self._known.pop((type(one), state.key or ()), None)
        self._gone.append(one)

    def _own(self, one: Any) -> list[Any]:
        return [column == value for column, value in zip(type(one).__table__.primary_key, state_of(one).key or ())]

    def _single(self, connection: Connection, one: Any, statement: Any) -> None:
        if connection.execute(statement).rowcount != 1:
            raise StaleDataError(f"the row of a {type(one).__name__} is gone")


class sessionmaker:
    """Makes sessions of one kind."""

    def __init__(self, bind: Any = None, class_: Callable[..., Any] = Session, **options: Any) -> None:
        self._kind = class_
        self._options = {"bind": bind, **options}

    def configure(self, **options: Any) -> None:
        """Changes what the next ones are like."""
        self._options.update(options)

    def __call__(self, **options: Any) -> Any:
        return self._kind(**{**self._options, **options})


class scoped_session:
    """One session for the whole plugin, which has one thread."""

    def __init__(self, session_factory: Callable[..., Any], scopefunc: Any = None) -> None:
        self.session_factory = session_factory
        self._session: Any = None

    def __call__(self, **options: Any) -> Any:
        if self._session is None:
            self._session = self.session_factory(**options)
        return self._session

    def remove(self) -> None:
        """Closes it. The next call makes a new one."""
        if self._session is not None:
            self._session.close()
        self._session = None

    def query_property(self, query_cls: Any = None) -> Any:
        """An attribute of a class: a search for its objects."""
        return _QueryProperty(self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self(), name)

    def __contains__(self, instance: Any) -> bool:
        return instance in self()


class _QueryProperty:
    def __init__(self, scoped: scoped_session) -> None:
        self._scoped = scoped

    def __get__(self, owner: Any, kind: Any = None) -> Query:
        found: Query = self._scoped.query(kind)
        return found
