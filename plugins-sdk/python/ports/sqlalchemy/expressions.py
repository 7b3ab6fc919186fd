"""Expressions of SQL, as Python writes them: `table.c.points > 3`. Each knows its type, and writes itself with `?` for its values."""

import re
from typing import Any, Iterable, Iterator, Optional

from . import exc, types

_NAME = re.compile(r"[A-Za-z_]\w*\Z")


def quoted(name: str) -> str:
    """A name as SQL writes it."""
    return '"' + str(name).replace('"', '""') + '"'


class Writing:
    """The values of a statement, in the order of their `?`."""

    def __init__(self) -> None:
        self.values: list[Any] = []

    def bind(self, value: Any, kind: types.TypeEngine) -> str:
        """Adds a value."""
        self.values.append(kind.bound(value))
        return "?"


class Expression:
    """Anything with a value."""

    type: types.TypeEngine = types.TypeEngine()

    def write(self, into: Writing) -> str:
        """The text of SQL."""
        raise NotImplementedError

    def parts(self) -> "Iterable[Expression]":
        """The expressions that it is made of."""
        return ()

    def __hash__(self) -> int:
        return id(self)

    def __bool__(self) -> bool:
        raise TypeError("an expression of SQL is neither true nor false: use and_(), or_(), not_(), or a comparison with None")

    def __eq__(self, other: Any) -> Any:
        return self.is_(None) if other is None else Comparison("=", self, other)

    def __ne__(self, other: Any) -> Any:
        return self.isnot(None) if other is None else Comparison("!=", self, other)

    def __lt__(self, other: Any) -> "Expression":
        return Comparison("<", self, other)

    def __le__(self, other: Any) -> "Expression":
        return Comparison("<=", self, other)

    def __gt__(self, other: Any) -> "Expression":
        return Comparison(">", self, other)

    def __ge__(self, other: Any) -> "Expression":
        return Comparison(">=", self, other)

    def __add__(self, other: Any) -> "Expression":
        return Pair("||" if isinstance(self.type, types.String) else "+", self, _given(other, self.type), self.type)

    def __radd__(self, other: Any) -> "Expression":
        return _given(other, self.type) + self

    def __sub__(self, other: Any) -> "Expression":
        return Pair("-", self, _given(other, self.type), self.type)

    def __mul__(self, other: Any) -> "Expression":
        return Pair("*", self, _given(other, self.type), self.type)

    def __truediv__(self, other: Any) -> "Expression":
        return Pair("/", self, _given(other, self.type), self.type)

    def __mod__(self, other: Any) -> "Expression":
        return Pair("%", self, _given(other, self.type), self.type)

    def __neg__(self) -> "Expression":
        return Around("-(", self, ")", self.type)

    def __and__(self, other: Any) -> "Expression":
        return and_(self, other)

    def __or__(self, other: Any) -> "Expression":
        return or_(self, other)

    def __invert__(self) -> "Expression":
        return Around("NOT (", self, ")", types.Boolean())

    def is_(self, other: Any) -> "Expression":
        """Whether it is the same, also if that is nothing."""
        return Comparison("IS", self, other)

    def isnot(self, other: Any) -> "Expression":
        """Whether it is not the same."""
        return Comparison("IS NOT", self, other)

    is_not = isnot

    def like(self, other: Any) -> "Expression":
        """Whether it fits a pattern with `%` and `_`. SQLite takes capitals of ASCII as small letters."""
        return Comparison("LIKE", self, other)

    def ilike(self, other: Any) -> "Expression":
        """The same."""
        return Comparison("LIKE", Function("lower", self), Function("lower", _given(other, self.type)))

    def notlike(self, other: Any) -> "Expression":
        """Whether it does not fit."""
        return Comparison("NOT LIKE", self, other)

    def startswith(self, other: str) -> "Expression":
        """Whether it begins so."""
        return self.like(f"{other}%")

    def endswith(self, other: str) -> "Expression":
        """Whether it ends so."""
        return self.like(f"%{other}")

    def contains(self, other: str) -> "Expression":
        """Whether it has that within."""
        return self.like(f"%{other}%")

    def in_(self, several: Any) -> "Expression":
        """Whether it is one of these, or of what a statement gives."""
        return Among("IN", self, several)

    def notin_(self, several: Any) -> "Expression":
        """Whether it is none of these."""
        return Among("NOT IN", self, several)

    not_in = notin_

    def between(self, low: Any, high: Any) -> "Expression":
        """Whether it is one of these, or lies between them."""
        return and_(self >= low, self <= high)

    def asc(self) -> "Expression":
        """The smallest first."""
        return Around("", self, " ASC", self.type)

    def desc(self) -> "Expression":
        """The largest first."""
        return Around("", self, " DESC", self.type)

    def distinct(self) -> "Expression":
        """Each value once."""
        return Around("DISTINCT ", self, "", self.type)

    def label(self, name: str) -> "Label":
        """The same under another name."""
        return Label(name, self)


class Bound(Expression):
    """A value."""

    def __init__(self, value: Any, kind: types.TypeEngine) -> None:
        self.value = value
        self.type = kind

    def write(self, into: Writing) -> str:
        return "NULL" if self.value is None else into.bind(self.value, self.type)


class Pair(Expression):
    """Two expressions with an operator."""

    def __init__(self, operator: str, left: Expression, right: Expression, kind: types.TypeEngine) -> None:
        self.operator = operator
        self.left = left
        self.right = right
        self.type = kind

    def write(self, into: Writing) -> str:
        return f"({self.left.write(into)} {self.operator} {self.right.write(into)})"

    def parts(self) -> Iterable[Expression]:
        return (self.left, self.right)


class Comparison(Pair):
    """A comparison, whose other side is of the same type."""

    def __init__(self, operator: str, left: Expression, right: Any) -> None:
        super().__init__(operator, left, _given(right, left.type), types.Boolean())

    def __bool__(self) -> bool:
        # Python asks so whether a list has a column.
        if self.operator in ("=", "!="):
            return (self.left is self.right) == (self.operator == "=")
        return super().__bool__()

    def __hash__(self) -> int:
        return id(self)


class Among(Expression):
    """Whether a value is one of several."""

    def __init__(self, operator: str, left: Expression, several: Any) -> None:
        self.operator = operator
        self.left = left
        self.several: list[Expression] = []
        self.inner: Any = several if hasattr(several, "compiled") else None
        if self.inner is None:
            self.several = [_given(one, left.type) for one in several]
        self.type = types.Boolean()

    def write(self, into: Writing) -> str:
        left = self.left.write(into)
        inner = self.inner.text(into) if self.inner is not None else ", ".join(one.write(into) for one in self.several)
        return f"({left} {self.operator} ({inner}))"

    def parts(self) -> Iterable[Expression]:
        return (self.left, *self.several)


class Around(Expression):
    """An expression with more text before and behind it."""

    def __init__(self, before: str, inner: Expression, behind: str, kind: types.TypeEngine) -> None:
        self.before = before
        self.inner = inner
        self.behind = behind
        self.type = kind

    def write(self, into: Writing) -> str:
        return f"{self.before}{self.inner.write(into)}{self.behind}"

    def parts(self) -> Iterable[Expression]:
        return (self.inner,)


class Together(Expression):
    """Conditions, all of which hold, or one of which holds."""

    def __init__(self, word: str, several: Iterable[Any]) -> None:
        self.word = word
        self.several = [condition(one) for one in several]
        self.type = types.Boolean()

    def write(self, into: Writing) -> str:
        return "(" + f" {self.word} ".join(one.write(into) for one in self.several) + ")" if self.several else "1 = 1"

    def parts(self) -> Iterable[Expression]:
        return self.several


class Label(Expression):
    """An expression with a name, by which others may refer to it."""

    def __init__(self, name: str, inner: Expression) -> None:
        self.name = name
        self.inner = inner
        self.type = inner.type

    def write(self, into: Writing) -> str:
        return self.inner.write(into)

    def parts(self) -> Iterable[Expression]:
        return (self.inner,)


class Name(Expression):
    """The name of a label."""

    def __init__(self, name: str) -> None:
        if not _NAME.match(name):
            raise exc.ArgumentError(f"{name!r} is no name of a column: use text()")
        self.name = name

    def write(self, into: Writing) -> str:
        return quoted(self.name)


class TextClause(Expression):
    """A text of SQL, as it is."""

    def __init__(self, text: str) -> None:
        self.text = text

    def write(self, into: Writing) -> str:
        return self.text


class Function(Expression):
    """A call of a function of SQLite."""

    def __init__(self, name: str, *given: Any) -> None:
        if not _NAME.match(name):
            raise exc.ArgumentError(f"{name!r} is no name of a function")
        self.name = name
        self.given = [_given(one, types.TypeEngine()) for one in given]
        if name in ("count", "length"):
            self.type = types.Integer()
        elif name in ("sum", "min", "max", "abs", "coalesce", "ifnull", "lower", "upper", "total") and self.given:
            self.type = self.given[0].type

    def write(self, into: Writing) -> str:
        if self.name == "now" and not self.given:
            return "CURRENT_TIMESTAMP"
        inner = ", ".join(one.write(into) for one in self.given)
        return f"{self.name}({'*' if self.name == 'count' and not self.given else inner})"

    def parts(self) -> Iterable[Expression]:
        return self.given


class Functions:
    """The functions of SQLite, as attributes."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *given: Function(name, *given)


class Case(Expression):
    """The value of the first condition that holds."""

    def __init__(self, *whens: Any, else_: Any = None) -> None:
        several = whens[0] if len(whens) == 1 and isinstance(whens[0], list) else whens
        self.whens = [(condition(one), _given(value, types.TypeEngine())) for one, value in several]
        self.otherwise = None if else_ is None else _given(else_, types.TypeEngine())
        self.type = self.whens[0][1].type

    def write(self, into: Writing) -> str:
        inner = " ".join(f"WHEN {one.write(into)} THEN {value.write(into)}" for one, value in self.whens)
        last = "" if self.otherwise is None else f" ELSE {self.otherwise.write(into)}"
        return f"CASE {inner}{last} END"

    def parts(self) -> Iterable[Expression]:
        several = [inner for pair in self.whens for inner in pair]
        return several if self.otherwise is None else [*several, self.otherwise]


func: Any = Functions()
case = Case
text = TextClause


def and_(*several: Any) -> Expression:
    """All of these hold."""
    return Together("AND", several)


def or_(*several: Any) -> Expression:
    """One of these holds."""
    return Together("OR", several)


def not_(one: Any) -> Expression:
    """It does not hold."""
    return ~condition(one)


def asc(one: Any) -> Expression:
    """The smallest first."""
    return named(one).asc()


def desc(one: Any) -> Expression:
    """The largest first."""
    return named(one).desc()


def distinct(one: Expression) -> Expression:
    """Each value once."""
    return one.distinct()


def null() -> Expression:
    """Nothing."""
    return Bound(None, types.TypeEngine())


def true() -> Expression:
    """Returns the condition that always holds."""
    return TextClause("1 = 1")


def false() -> Expression:
    """Returns the condition that never holds."""
    return TextClause("1 = 0")


def named(one: Any) -> Expression:
    """An expression, or the name of a label."""
    if isinstance(one, str):
        return Name(one)
    if not isinstance(one, Expression):
        raise exc.ArgumentError(f"{one!r} is no expression of SQL")
    return one


def condition(one: Any) -> Expression:
    """A condition."""
    if isinstance(one, bool):
        return true() if one else false()
    if not isinstance(one, Expression):
        raise exc.ArgumentError(f"{one!r} is no condition: texts of SQL have to stand in text()")
    return one


def walk(one: Expression) -> Iterator[Expression]:
    """An expression with all that it is made of."""
    yield one
    for inner in one.parts():
        yield from walk(inner)


def _given(value: Any, kind: Optional[types.TypeEngine]) -> Expression:
    """An expression of a value."""
    if isinstance(value, Expression):
        return value
    if hasattr(value, "as_scalar"):
        inner: Expression = value.as_scalar()
        return inner
    known = kind or types.TypeEngine()
    if type(known) is types.TypeEngine and isinstance(value, bool):
        known = types.Boolean()
    return Bound(value, known)
