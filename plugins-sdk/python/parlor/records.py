"""Fits the contract's records to Python: fields may be left out, times are `datetime`, and spans of time `timedelta`."""

import dataclasses
import inspect
import json
import re
from datetime import date, datetime, time, timedelta
from typing import Any, Callable, Mapping, NoReturn, Optional, Union, get_args, get_origin

from . import errors
from .stanza import Element
from .texts import whole

#: When something happened, or is due. Other times are texts, as the contract has them.
_HAPPENED = ("at", "due")
#: Times that are asked for.
_WANTED = ("start", "end", "since")
#: Spans of time, which the contract counts in milliseconds.
_SPANS = ("late",)
#: The attributes that `Contact.get` reads.
_ATTRIBUTES = (
    "ask", "chat_status", "fullname", "groups", "id", "image", "image_type", "jid", "requesting", "resources", "status",
    "subscription", "url", "user_id", "vcard_updated",
)
#: Functions of the SDK that take a message or a command, and are methods in other languages and frameworks.
_TAKE_MESSAGES = (
    "acknowledge", "answer", "ask_author", "body_without_fallback", "occupant_of", "progress", "reference_of", "reply", "reply_in_chat",
)
#: Arguments that take an entity in the place of its address …
_ENTITIES = ("jid", "alternative")
#: … and those that take a person.
_PEOPLE = ("user", "inviter")
#: The capital letter of a name such as `chatStatus`.
_CAPITAL = re.compile("(?<=[a-z])[A-Z]")
#: How many bits numbers have that do not have 32, which their types do not say.
_BITS = {
    "milliseconds": 64, "timeout": 64, "expires": 64, "subscription": 64, "dialog": 64, "timer": 64, "exchange": 64, "transfer": 64,
    "size": 64, "answer.status": 16, "request.follow": 8, "command.person_cooldown": 64, "command.room_cooldown": 64,
}
#: Numbers of 64 bits that may be negative: what is added to one, and the bounds of an integer.
_SIGNED = ("amount", ".kind.value[0]", ".kind.value[1]")

_improved: set[str] = set()


def improve(module: Any) -> None:
    """Changes the records of one interface in their place: those that come from the host are the same."""
    if module.__name__ in _improved:
        return
    _improved.add(module.__name__)
    for record in vars(module).values():
        if isinstance(record, type) and dataclasses.is_dataclass(record) and record.__module__ == module.__name__:
            _leave_out(record)
            for field in dataclasses.fields(record):
                if field.name in _HAPPENED:
                    setattr(record, field.name, property(_read(field.name), _keep(field.name)))
                elif field.name in _SPANS:
                    setattr(record, field.name, property(_span(field.name), _keep(field.name)))
                elif field.name in _WANTED:
                    setattr(record, field.name, property(_kept(field.name), _write(field.name)))
    if module.__name__.endswith(".types"):
        module.Command.rest = property(_rest)
        module.Command.values = property(_values, _keep("values"))
        module.Command.__getattr__ = module.Message.__getattr__ = _no_method
        module.Contact.get = _attribute
        module.Message.files = property(_files)
        module.PluginRequest.value = property(_asked, _keep("value"))
        module.Webhook.headers = property(_joined, _keep("headers"))
        module.Webhook.text = property(_body_as_text)
        module.Webhook.json = _body_as_json


def _leave_out(record: type) -> None:
    fields = {field.name: _empty(field.type) for field in dataclasses.fields(record)}
    may = [empty is not None for empty in fields.values()]
    if True not in may or False in may[may.index(True):]:
        return
    for name, empty in fields.items():
        if empty is not None:
            setattr(record, name, dataclasses.field(default_factory=list) if empty is list else empty())
    del record.__init__
    dataclasses.dataclass(record)


def _empty(type_: Any) -> Optional[Callable[[], Any]]:
    """Returns a function that makes the empty value of a type; none: there has to be a value."""
    if type_ is bool or get_origin(type_) is list:
        return get_origin(type_) or bool
    return type(None) if type(None) in get_args(type_) else None


def _kept(name: str) -> Callable[[Any], Any]:
    return lambda record: record.__dict__[name]


def _keep(name: str) -> Callable[[Any, Any], None]:
    return lambda record, value: record.__dict__.__setitem__(name, value)


def _read(name: str) -> Callable[[Any], datetime]:
    def read(record: Any) -> datetime:
        value = record.__dict__[name]
        return datetime.fromisoformat(value) if isinstance(value, str) else value

    return read


def _span(name: str) -> Callable[[Any], timedelta]:
    def span(record: Any) -> timedelta:
        value = record.__dict__[name]
        # Those of an author's own test may be one.
        return timedelta(milliseconds=value) if isinstance(value, int) else value

    return span


def _write(name: str) -> Callable[[Any, Any], None]:
    def write(record: Any, value: Any) -> None:
        record.__dict__[name] = value.isoformat() if isinstance(value, datetime) else value

    return write


def _rest(command: Any) -> str:
    """Returns the text after the command's name, without the white space around it: no quotes are resolved."""
    # Imported here because that module imports this one.
    from .messages import said

    body = said(command.message)
    end = 0
    for word in body.split():
        end = body.index(word, end) + len(word)
        # The prefix is the owner's, and may have spaces in it.
        if word.lower().endswith(command.name):
            break
    return body[end:].strip()


def _values(command: Any) -> Mapping[str, Any]:
    """The values of its arguments by their names, as the host read them: a duration is a `timedelta`, a date a `date`, and a time
    of day a `time`."""
    values = command.__dict__["values"]
    # Those of an author's own test may be a map.
    return values if isinstance(values, Mapping) else {name: _value(value) for name, value in values}


def _value(value: Any) -> Any:
    kind = type(value).__name__
    if kind == "Value_Duration":
        return timedelta(milliseconds=value.value)
    if kind == "Value_Date":
        return date.fromisoformat(value.value)
    return time.fromisoformat(value.value) if kind == "Value_Time" else value.value


def _attribute(contact: Any, name: str) -> Any:
    """One attribute by its name, such as `chat_status`, which may be spelled as any language spells it: `chat-status`,
    `chatStatus`. None: there is none, or it has no value."""
    name = _CAPITAL.sub(lambda capital: f"_{capital[0].lower()}", name).replace("-", "_")
    return getattr(contact, "jid" if name == "id" else name, None) if name in _ATTRIBUTES else None


def _no_method(record: Any, name: str) -> NoReturn:
    """Names the function, where an author looks for a method."""
    advice = f": write `from parlor import {name}`, and `{name}(…)` with it" if name in _TAKE_MESSAGES else ""
    raise AttributeError(f"{type(record).__name__!r} object has no attribute {name!r}{advice}", name=name, obj=record)


def _files(message: Any) -> list[Any]:
    """The files that it refers to."""
    return message.extensions.files if message.extensions is not None else []


def _asked(request: Any) -> Any:
    """The value of a request, out of its JSON."""
    value = request.__dict__["value"]
    # Those of an author's own test may be one.
    return json.loads(value) if isinstance(value, str) else value


def _joined(webhook: Any) -> Mapping[str, str]:
    """The headers by their names. Of several with one name, the values are joined by a comma."""
    # Imported here because that module imports this one.
    from .http import by_name

    headers = webhook.__dict__["headers"]
    # Those of an author's own test may be one.
    return headers if isinstance(headers, Mapping) else by_name(headers)


def _body_as_text(webhook: Any) -> str:
    """The body as text; bytes that are no UTF-8 are replaced."""
    return str(webhook.body, "utf-8", "replace")


def _body_as_json(webhook: Any) -> Any:
    """The body as JSON. `ValueError`: it is none."""
    return json.loads(webhook.body)


def plain(call: str, function: Any, given: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, ...]:
    """Arguments as the contract has them: the address of an entity, and a room's attributes where there is only a nickname."""
    names = list(inspect.signature(function).parameters)
    arguments = list(given)
    for at, name in enumerate(names[: len(arguments)]):
        arguments[at] = _addressed(call, name, arguments[at])
        if name == "attributes" and isinstance(arguments[at], str):
            named["nick"] = arguments[at]
            # The arguments after it have to be named, too.
            named.update(zip(names[at + 1 :], arguments[at + 1 :]))
            del arguments[at:]
            break
    for name in names[len(arguments) :]:
        if name in named:
            named[name] = _addressed(call, name, named[name])
    if isinstance(named.get("attributes"), str) and "attributes" in names[len(arguments) :]:
        named["nick"] = named.pop("attributes")
    return tuple(arguments)


def _addressed(call: str, name: str, value: Any) -> Any:
    if name in _ENTITIES:
        return _address(call, name, value)
    if name in _PEOPLE:
        return _address(call, name, value, is_person=True)
    if name == "jids" and isinstance(value, (list, tuple)):
        return [_address(call, f"{name}[{at}]", one) for at, one in enumerate(value)]
    return value


def _address(call: str, name: str, entity: Any, is_person: bool = False) -> Any:
    """The address of a contact, chat, view or room is its JID, an occupant's that of the room with the nickname. If a person is meant,
    an occupant stands for the real JID: by the other one a room would ban itself."""
    is_entity = dataclasses.is_dataclass(entity) or hasattr(entity, "jid")
    if isinstance(entity, (str, Element)) or not is_entity:
        return entity
    room, nick, jid = (getattr(entity, name, None) for name in ("room", "nick", "jid"))
    if isinstance(room, str) and isinstance(nick, str) and not is_person:
        return f"{room}/{nick}"
    if isinstance(jid, str):
        return jid
    hides = ": its room does not show it" if isinstance(room, str) else ""
    raise errors.with_call(errors.Invalid(name, f"this {type(entity).__name__} has no JID{hides}"), call, None)


def complete(name: str, function: Any, given: tuple[Any, ...], named: dict[str, Any]) -> list[Any]:
    """All arguments of a call. Those at the end that say nothing may be left out, and where one is a record, its fields may be
    named instead."""
    parameters = list(inspect.signature(function).parameters.values())
    if len(given) > len(parameters):
        raise TypeError(f"{name} takes {len(parameters)} arguments at most")
    arguments = list(given)
    for parameter in parameters[len(given) :]:
        of, empty = parameter.annotation, _empty(parameter.annotation)
        if parameter.name in named:
            arguments.append(named.pop(parameter.name))
        elif dataclasses.is_dataclass(of) and _has_defaults(of):
            fields = [field.name for field in dataclasses.fields(of) if field.name in named]
            arguments.append(of(**{field: named.pop(field) for field in fields}))
        elif empty is not None and empty is not list:
            arguments.append(empty())
        else:
            raise TypeError(f"{name} needs {parameter.name}")
    if named:
        raise TypeError(f"{name} takes no {', '.join(named)}")
    return arguments


def fit(place: str, value: Any, wanted: Any) -> Any:
    """A value as the host takes it: an element's text, a tuple's list, and U+FFFD for half of a character. `TypeError` with its
    place: it is of another type. The runtime would end the plugin for that, without a word to its author."""
    of, origin = get_args(wanted), get_origin(wanted)
    if type(None) in of:
        return None if value is None else fit(place, value, Union[tuple(one for one in of if one is not type(None))])
    if origin is Union:
        value = _config_value(value, of)
        case = next((one for one in of if isinstance(value, one)), None)
        return _record(place, value, case) if case else _misfit(place, " or ".join(one.__name__ for one in of), value)
    if wanted is str:
        return _text(place, value)
    if wanted is int:
        return _number(place, value)
    if wanted is bytes and isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    if origin is list and isinstance(value, Mapping) and get_origin(of[0]) is tuple:
        # A map in the place of pairs.
        value = list(value.items())
    if origin is list and isinstance(value, (list, tuple)):
        return [fit(f"{place}[{at}]", one, of[0]) for at, one in enumerate(value)]
    if origin is tuple and isinstance(value, (list, tuple)) and len(value) == len(of):
        return tuple(fit(f"{place}[{at}]", *one) for at, one in enumerate(zip(value, of)))
    if isinstance(value, str) and getattr(wanted, "__name__", None) == "Outgoing":
        value = wanted(body=value)
    if dataclasses.is_dataclass(wanted) and isinstance(value, wanted):
        return _record(place, value, wanted)
    known = origin or wanted
    if isinstance(known, type) and not isinstance(value, known):
        _misfit(place, f"of the type {known.__name__}", value)
    return value


def _config_value(value: Any, cases: Any) -> Any:
    """A field of a room's configuration, as the contract has it; the fields of a form are texts."""
    of = {case.__name__.rpartition("_")[2]: case for case in cases}
    if not {"Flag", "Text", "Texts"} <= of.keys():
        return value
    if isinstance(value, bool):
        return of["Flag"](value)
    if isinstance(value, (str, int)):
        return of["Text"](str(value))
    return of["Texts"](list(value)) if isinstance(value, (list, tuple)) else value


def _number(place: str, value: Any) -> int:
    if place.endswith(_SIGNED):
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        return value if is_whole and -(1 << 63) <= value < 1 << 63 else _misfit(place, "a whole number of 64 bits", value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        _misfit(place, "a whole number from 0 on", value)
    most = (1 << next((bits for name, bits in _BITS.items() if place.endswith(name)), 32)) - 1
    return value if value <= most else _misfit(place, f"{most} at most", value)


def _text(place: str, value: Any) -> str:
    if isinstance(value, Element):
        value = str(value)
    if not isinstance(value, str):
        _misfit(place, "a text", value)
    return whole(value)


def _record(place: str, value: Any, record: Any) -> Any:
    for field in dataclasses.fields(record):
        if field.name not in _HAPPENED:
            given = getattr(value, field.name)
            taken = fit(f"{place}.{field.name}", given, field.type)
            if taken is not given:
                setattr(value, field.name, taken)
    return value


def _misfit(place: str, what: str, value: Any) -> NoReturn:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    raise TypeError(f"{place} has to be {what}, and is {value if number else type(value).__name__}")


def _has_defaults(record: Any) -> bool:
    missing = dataclasses.MISSING
    return all(
        field.default is not missing or field.default_factory is not missing for field in dataclasses.fields(record)
    )
