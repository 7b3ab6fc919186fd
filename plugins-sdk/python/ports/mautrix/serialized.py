"""Classes that are made of JSON, and made into it, by the names that plugins of maubot know. Their fields are those of `attrs`, or of
dataclasses."""

import dataclasses
import importlib
import json
import typing
from enum import Enum
from typing import Any, Callable, ClassVar, Collection, Iterator, Mapping, Optional, Union

JSON = Any

#: By types, the functions of the plugin that make JSON of their values, and values of JSON.
_to_json: dict[Any, Callable[[Any], Any]] = {}
_of_json: dict[Any, Callable[[Any], Any]] = {}


class SerializerError(Exception):
    """JSON is not as a class wants it."""


def serializer(kind: Any) -> Callable[[Any], Any]:
    """Has a function make JSON of the values of a type."""
    return lambda function: _to_json.setdefault(kind, function)


def deserializer(kind: Any) -> Callable[[Any], Any]:
    """Has a function make the values of a type of JSON."""
    return lambda function: _of_json.setdefault(kind, function)


def field(*, json: Optional[str] = None, metadata: Optional[Mapping[str, Any]] = None, **options: Any) -> Any:
    """A field of a class of `attrs`, which the plugin brings along, with the name that it has in JSON."""
    # It is there only if the plugin uses it.
    attr: Any = importlib.import_module("attr")
    return attr.ib(metadata={**(metadata or {}), **({} if json is None else {"json": json})}, **options)


class Serializable:
    """Something that can be written as JSON."""

    def serialize(self) -> JSON:
        """The JSON of it."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it is written")

    @classmethod
    def deserialize(cls, raw: JSON) -> Any:
        """An object of this JSON. `SerializerError`: it is not as the class wants it."""
        raise NotImplementedError(f"{cls.__name__} does not say how it is read")


class SerializableEnum(Serializable, Enum):
    """Names for values of JSON."""

    def serialize(self) -> JSON:
        return self.value

    @classmethod
    def deserialize(cls, raw: JSON) -> Any:
        try:
            return cls(raw)
        except ValueError as error:
            raise SerializerError(str(error)) from error

    def __str__(self) -> str:
        return str(self.value)


class ExtensibleEnum(Serializable):
    """The same, and other values than those that have names are none of them."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __init_subclass__(cls, **named: Any) -> None:
        super().__init_subclass__(**named)
        for name, value in list(vars(cls).items()):
            if not name.startswith("_") and isinstance(value, (str, int)):
                setattr(cls, name, cls(value))

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.value == getattr(other, "value", None)

    def __hash__(self) -> int:
        return hash(self.value)

    def __str__(self) -> str:
        return str(self.value)

    def serialize(self) -> JSON:
        return self.value

    @classmethod
    def deserialize(cls, raw: JSON) -> Any:
        return cls(raw)


class Mapped:
    """An object with fields that can also be read as a mapping. Other fields than those that are known are kept beside, and not sent."""

    #: The names that fields have in JSON, if they differ.
    _written: ClassVar[Mapping[str, str]] = {}
    #: The fields that are not in JSON.
    _beside: ClassVar[Collection[str]] = ("_others",)

    def __getitem__(self, name: str) -> Any:
        others = self.__dict__.setdefault("_others", {})
        return others[name] if name in others else getattr(self, name)

    def __setitem__(self, name: str, value: Any) -> None:
        self.__dict__.setdefault("_others", {})[name] = value

    def __contains__(self, name: object) -> bool:
        """Whether it has a field of this name, which may be the one in JSON."""
        is_there = name not in self._beside and self.__dict__.get(str(name)) is not None
        return is_there or name in self.serialize()

    def get(self, name: str, default: Any = None) -> Any:
        """The field, or another value."""
        try:
            return self[name]
        except (AttributeError, KeyError):
            return default

    def serialize(self) -> JSON:
        """As Matrix writes it."""
        # Empty values are not written.
        known = (
            (name, value) for name, value in self.__dict__.items()
            if name not in self._beside and value is not None and (value or not isinstance(value, Mapped)))
        return {**{self._written.get(name, name): json_of(value) for name, value in known}, **self.__dict__.get("_others", {})}

    def json(self) -> str:
        """The same, as a text."""
        return json.dumps(self.serialize())


class SerializableAttrs(Mapped, Serializable):
    """A class whose fields are those of the JSON. `metadata={"json": "name"}` says that one is called otherwise there."""

    @classmethod
    def deserialize(cls, raw: JSON) -> Any:
        if not isinstance(raw, Mapping):
            raise SerializerError(f"{cls.__name__} is made of a mapping")
        hints = _hints(cls)
        given = {}
        for one in _fields(cls):
            name = one.metadata.get("json", one.name)
            if name in raw and (raw[name] is not None or _is_needed(one)):
                # attrs takes `name` for the field `_name`.
                given[getattr(one, "alias", None) or one.name] = value_of(hints.get(one.name, one.type), raw[name])
            elif name not in raw and _is_needed(one):
                raise SerializerError(f"{cls.__name__}: {name} is missing")
        return cls(**given)

    def serialize(self) -> JSON:
        values = ((one.metadata.get("json", one.name), getattr(self, one.name)) for one in _fields(type(self)))
        return {name: json_of(value) for name, value in values if value is not None}


def json_of(value: Any) -> JSON:
    """The JSON of a value."""
    for kind in type(value).__mro__:
        if kind in _to_json:
            return _to_json[kind](value)
    if isinstance(value, (Serializable, Mapped)):
        return value.serialize()
    if isinstance(value, Mapping):
        return {str(key): json_of(one) for key, one in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [json_of(one) for one in value]
    return value.value if isinstance(value, Enum) else value


def value_of(kind: Any, raw: JSON) -> Any:
    """The value of a type that JSON stands for. `SerializerError`: it stands for none."""
    if kind in _of_json:
        return _of_json[kind](raw)
    if hasattr(kind, "__supertype__"):
        return value_of(kind.__supertype__, raw)
    parts, inner = typing.get_origin(kind), typing.get_args(kind)
    if parts is Union or type(kind).__name__ == "UnionType":
        return _one_of(inner, raw)
    if parts in (list, set, frozenset) and isinstance(raw, list):
        return parts(value_of(inner[0], one) for one in raw)
    if parts is tuple and isinstance(raw, list) and inner[1:] != (Ellipsis,):
        return tuple(value_of(of, one) for of, one in zip(inner, raw))
    if parts is dict and isinstance(raw, Mapping):
        return {value_of(inner[0], key): value_of(inner[1], one) for key, one in raw.items()}
    if isinstance(kind, type) and issubclass(kind, Serializable):
        return kind.deserialize(raw)
    if isinstance(kind, type) and issubclass(kind, (str, Enum)) and not isinstance(raw, kind) and raw is not None:
        try:
            return kind(raw)
        except ValueError as error:
            raise SerializerError(str(error)) from error
    return raw


def _one_of(kinds: tuple[Any, ...], raw: JSON) -> Any:
    if raw is None and type(None) in kinds:
        return None
    if any(isinstance(kind, type) and type(raw) is kind for kind in kinds):
        return raw
    reasons = []
    for kind in kinds:
        if kind is not type(None):
            try:
                return value_of(kind, raw)
            except (SerializerError, ValueError, TypeError, KeyError) as error:
                reasons.append(str(error))
    raise SerializerError("; ".join(reasons))


def _fields(kind: Any) -> Iterator[Any]:
    """The fields of a class. `TypeError`: it has none, since neither `attrs` nor `dataclasses` made it."""
    found = getattr(kind, "__attrs_attrs__", None)
    return (one for one in (dataclasses.fields(kind) if found is None else found) if one.init)


def _is_needed(one: Any) -> bool:
    """Whether a field has no default."""
    defaults = [one.default, getattr(one, "default_factory", dataclasses.MISSING)]
    return all(value is dataclasses.MISSING or repr(value) == "NOTHING" for value in defaults)


#: The types of the fields of each class, in which the texts that stand for types are read.
_read: dict[type, dict[str, Any]] = {}


def _hints(kind: type) -> dict[str, Any]:
    if kind not in _read:
        _read[kind] = typing.get_type_hints(kind)
    return _read[kind]
