"""The types of columns: how a value is stored, and how it is read."""

import enum
import json
from datetime import date, datetime, time
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, Optional

from . import exc


class TypeEngine:
    """A type of which nothing is known: values stay as they are."""

    sql = "NUMERIC"

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def bound(self, value: Any) -> Any:
        """The value as SQLite takes it."""
        return value

    def read(self, value: Any) -> Any:
        """The value as the plugin gets it."""
        return value


class String(TypeEngine):
    """A text."""

    sql = "VARCHAR"

    def __init__(self, length: Optional[int] = None, **_: Any) -> None:
        super().__init__()
        if length is not None:
            self.sql = f"VARCHAR({int(length)})"


class Text(String):
    """A text of any length."""

    sql = "TEXT"

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()


class Integer(TypeEngine):
    """A whole number."""

    sql = "INTEGER"


class BigInteger(Integer):
    """The same, but SQLite gives no numbers to such a key by itself."""

    sql = "BIGINT"


class SmallInteger(Integer):
    """The same."""

    sql = "SMALLINT"


class Float(TypeEngine):
    """A number with a fraction."""

    sql = "FLOAT"

    def read(self, value: Any) -> Any:
        return float(value) if isinstance(value, int) else value


class Numeric(TypeEngine):
    """A decimal number. SQLite keeps it as one with a fraction."""

    def bound(self, value: Any) -> Any:
        return float(value) if isinstance(value, Decimal) else value

    def read(self, value: Any) -> Any:
        return value if value is None else Decimal(str(value))


class Boolean(TypeEngine):
    """True or false."""

    sql = "BOOLEAN"

    def bound(self, value: Any) -> Any:
        if value not in (None, True, False):
            raise exc.StatementError(f"{value!r} is neither None nor True nor False")
        return value if value is None else int(value)

    def read(self, value: Any) -> Any:
        return value if value is None else bool(value)


class Moment(TypeEngine):
    """A value of the calendar or the clock. SQLite keeps its text (ISO 8601)."""

    #: The class of Python's values.
    of: Any

    def text(self, value: Any) -> str:
        raise NotImplementedError

    def bound(self, value: Any) -> Any:
        if value is None:
            return None
        if not isinstance(value, self.of):
            raise exc.StatementError(f"{value!r} is no {self.of.__name__}")
        return self.text(value)

    def read(self, value: Any) -> Any:
        return value if value is None else self.of.fromisoformat(value)


class DateTime(Moment):
    """A day with a time. A zone is dropped."""

    sql = "DATETIME"
    of = datetime

    def text(self, value: Any) -> str:
        return str(value.replace(tzinfo=None).isoformat(" ", "microseconds"))


class Date(Moment):
    """A day."""

    sql = "DATE"
    of = date

    def text(self, value: Any) -> str:
        return str((value.date() if isinstance(value, datetime) else value).isoformat())


class Time(Moment):
    """A time of day."""

    sql = "TIME"
    of = time

    def text(self, value: Any) -> str:
        return str(value.replace(tzinfo=None).isoformat("microseconds"))


class LargeBinary(TypeEngine):
    """Bytes."""

    sql = "BLOB"


class JSON(TypeEngine):
    """A column of values in JSON."""

    sql = "JSON"

    def bound(self, value: Any) -> Any:
        return value if value is None else json.dumps(value, ensure_ascii=False)

    def read(self, value: Any) -> Any:
        return value if value is None else json.loads(value)


class Enum(TypeEngine):
    """One of several names, or the member of a class by its name."""

    sql = "VARCHAR"

    def __init__(self, *several: Any, **_: Any) -> None:
        super().__init__()
        first = several[0] if several else None
        self._kind: Any = first if isinstance(first, type) and issubclass(first, enum.Enum) else None
        self._names = [one.name for one in self._kind] if self._kind is not None else list(several)

    def bound(self, value: Any) -> Any:
        name = value.name if isinstance(value, enum.Enum) else value
        if name is not None and name not in self._names:
            raise exc.StatementError(f"{value!r} is none of {', '.join(map(str, self._names))}")
        return name

    def read(self, value: Any) -> Any:
        return value if value is None or self._kind is None else self._kind[value]


class CHAR(String):
    """A text of this length."""

    sql = "CHAR"

    def __init__(self, length: Optional[int] = None, **_: Any) -> None:
        super().__init__()
        if length is not None:
            self.sql = f"CHAR({int(length)})"


class TypeDecorator(TypeEngine):
    """A type of the plugin's own: values are changed before they are stored as another type, and after they are read."""

    impl: Any = TypeEngine

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__()
        own = self.impl(*given, **named) if isinstance(self.impl, type) else self.impl
        self._inner = of(self.load_dialect_impl(_DIALECT) if type(self).load_dialect_impl is not TypeDecorator.load_dialect_impl else own)
        self.sql = self._inner.sql

    def load_dialect_impl(self, dialect: Any) -> Any:
        """The type for a kind of database, which is SQLite here."""
        return self.impl

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        """The value to store."""
        return value

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        """The value that was stored."""
        return value

    def bound(self, value: Any) -> Any:
        return self._inner.bound(self.process_bind_param(value, _DIALECT))

    def read(self, value: Any) -> Any:
        return self.process_result_value(self._inner.read(value), _DIALECT)


_DIALECT = SimpleNamespace(name="sqlite", type_descriptor=lambda given: given)
VARCHAR = Unicode = String
TEXT = UnicodeText = Text
INTEGER = Integer
BIGINT = BigInteger
BOOLEAN = Boolean
DATETIME = TIMESTAMP = DateTime


def of(given: Any) -> TypeEngine:
    """A type, which may be given as its class."""
    if isinstance(given, type) and issubclass(given, TypeEngine):
        return given()
    if not isinstance(given, TypeEngine):
        raise exc.ArgumentError(f"{given!r} is no type of a column that the layer knows")
    return given
