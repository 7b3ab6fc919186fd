"""Writes `plugin.toml` for a plugin: its permissions with reasons, its settings and its webhooks."""

import json
import re
from dataclasses import dataclass, field
from typing import Any, Callable, Iterator

SECRET = re.compile(r"(^|_)(key|token|secret|password|passwd|apikey|credentials?)(_|$)")
NAME = re.compile(r"[^a-z0-9_-]+")
#: How many settings a manifest may have, and what its texts may be.
MOST_SETTINGS = 60
MOST_TEXT = 900


@dataclass
class Draft:
    """The facts known about a plugin so far."""

    name: str = ""
    version: str = "0.1.0"
    description: str = ""
    license: str = ""
    #: The framework it comes from.
    framework: str = ""
    answers: bool = False
    hears: bool = False
    keeps: bool = False
    #: The package by whose names it uses a database, which the layer stores. Empty: it has none.
    database: str = ""
    knows_rooms: bool = False
    #: It compares the authors of messages with others, whose addresses rooms may show.
    knows_people: bool = False
    #: It hears of people who enter and leave rooms.
    watches: bool = False
    #: It hears of their levels.
    hears_levels: bool = False
    #: It hears of names and subjects of rooms.
    hears_texts: bool = False
    joins_rooms: bool = False
    #: It makes people leave rooms, or invites them; or it may have rooms take back messages of others.
    moderates: bool = False
    may_moderate: bool = False
    #: It names rooms, and makes some.
    configures_rooms: bool = False
    makes_rooms: bool = False
    #: It makes rooms of addresses that it knows, and destroys some.
    owns_rooms: bool = False
    #: It has commands by regular expressions behind a prefix, which the plugin itself has to know.
    has_prefix: bool = False
    #: It makes answers with templates.
    has_templates: bool = False
    #: The servers that it asks over the web.
    servers: list[str] = field(default_factory=list)
    #: The media types that it uploads; `*` is every one.
    uploads: set[str] = field(default_factory=set)
    #: It reads the files of messages, and archives.
    reads_files: bool = False
    reads_history: bool = False
    #: By their names: type, default and description.
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    webhooks: dict[str, list[str]] = field(default_factory=dict)
    #: Those of them that also take requests to paths below their addresses.
    paths: set[str] = field(default_factory=set)
    #: The headers that it reads of requests to its webhooks.
    headers: set[str] = field(default_factory=set)

    def webhook(self, name: str, methods: list[str]) -> str:
        name = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_")[:32] or "hook"
        if not name[0].isalpha():
            name = f"w{name}"[:32]
        own, number = name, 2
        # Several methods would be called with each request to one webhook.
        while own in self.webhooks:
            own, number = f"{name[:28]}_{number}", number + 1
        self.webhooks[own] = methods
        return own

    def setting(self, key: str, kind: str, default: Any, description: str) -> str:
        name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key).lower()
        name = re.sub(r"[^a-z0-9_]+", "_", name).strip("_")[:56] or "setting"
        if not name[0].isalpha():
            name = f"s_{name}"
        own, number = name, 2
        # The layer has settings of its own, besides.
        while own in self.settings or own == ("prefix" if self.framework == "errbot" else "rooms_service"):
            own, number = f"{name}_{number}", number + 1
        if len(self.settings) >= MOST_SETTINGS:
            raise ValueError(f"it has more than {MOST_SETTINGS} settings")
        self.settings[own] = {"type": kind, "description": description[:MOST_TEXT] or f"The plugin's setting {key}"[:MOST_TEXT]}
        if kind != "secret" and default is not None:
            self.settings[own]["default"] = default
        return own


def settings_of(
    values: dict[str, Any], comments: dict[str, str], draft: Draft, is_open: Callable[[str], bool] = lambda path: False
) -> dict[str, list[str]]:
    """Adds settings to the draft. Returns, by the keys that the plugin uses, the names of the settings and how they are read. `is_open`:
    whether the owner may choose the keys of the map of this path, which is one setting then."""
    found: dict[str, list[str]] = {}
    for key, value in _flat(values, bool(comments), is_open):
        kind, read = _kind(key, value)
        default = json.dumps(value, ensure_ascii=False) if read in ("json", "map", "items") else value
        found[key] = [draft.setting(key, kind, default, comments.get(key, "")), read]
    return found


def _flat(values: dict[str, Any], is_deep: bool, is_open: Callable[[str], bool], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        inner = f"{path}.{key}" if path else str(key)
        # The layer would look for a key with a dot in a map inside.
        if is_deep and isinstance(value, dict) and value and not is_open(inner) and not any("." in str(one) for one in value):
            yield from _flat(value, is_deep, is_open, inner)
        else:
            yield inner, value


def _kind(key: str, value: Any) -> tuple[str, str]:
    """Returns the type of a setting, and how the layer reads it."""
    if isinstance(value, bool):
        return "boolean", "plain"
    if isinstance(value, int) and abs(value) < 1 << 53:
        return "number", "integer"
    if isinstance(value, float) and value == value and abs(value) < 1e300:
        return "number", "plain"
    if value is None or isinstance(value, str) and len(value.encode()) <= 16_000:
        return ("secret" if _is_secret(key.rpartition(".")[2]) else "string"), "plain"
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value) and len(value) <= 1024:
        return "list", "plain"
    json.dumps(value)
    kind = "secret" if _holds_secret(value) else "string"
    return kind, "map" if isinstance(value, dict) else "items" if isinstance(value, (list, tuple)) else "json"


def _is_secret(key: str) -> bool:
    """Whether a key is one such as `api_key`, `apiKey` or `API-Key`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key).lower()
    return SECRET.search(re.sub(r"[^a-z0-9]+", "_", words)) is not None


def _holds_secret(value: Any) -> bool:
    """Whether one of the maps in a value has a key such as `api_key`."""
    if isinstance(value, (list, tuple)):
        return any(_holds_secret(one) for one in value)
    return isinstance(value, dict) and any(_is_secret(str(key)) or _holds_secret(one) for key, one in value.items())


def identifier(text: str, otherwise: str) -> str:
    """Returns a plugin's name: of `a`-`z`, `0`-`9`, `_` and `-`, a letter or digit first."""
    name = NAME.sub("-", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", text).lower()).strip("-_")[:64].rstrip("-_")
    return name or otherwise


def version(text: Any) -> str:
    """Returns a version by the rules of semver, out of one of Python's."""
    match = re.match(r"v?(\d{1,9})(?:\.(\d{1,9}))?(?:\.(\d{1,9}))?", str(text))
    return ".".join(str(int(one or 0)) for one in match.groups()) if match else "0.1.0"


def text_of(draft: Draft) -> str:
    """Returns the text of `plugin.toml`."""
    lines = [
        "# Every key that may stand here: .parlor/docs/reference/manifest.md. `parlor plugin port` wrote this file.",
        "[plugin]", f"name = {quoted(draft.name)}", f"version = {quoted(draft.version)}", 'api = "0.1.0"',
        f"description = {quoted(draft.description[:MOST_TEXT] or f'{draft.name}, which was written for {draft.framework}')}",
    ]
    if draft.license:
        lines.append(f"license = {quoted(draft.license[:150])}")
    lines += ["", "[permissions]", *_permissions(draft)]
    if draft.has_prefix:
        lines += ["", "[settings.prefix]", 'type = "string"', 'default = "!"',
                  'description = "What stands before a command: the same as the setting command_prefix of the host"']
    if draft.makes_rooms:
        lines += ["", "[settings.rooms_service]", 'type = "jid"',
                  'description = "The service for rooms that the plugin makes, such as rooms.example.org"']
    for name, setting in draft.settings.items():
        lines += ["", f"[settings.{name}]", f"type = {quoted(setting['type'])}"]
        if "default" in setting:
            lines.append(f"default = {_value(setting['default'])}")
        lines.append(f"description = {quoted(setting['description'])}")
    for name, methods in draft.webhooks.items():
        lines += ["", f"[webhook.{name}]", f'description = "Requests to {name}"', 'verify = "none"', 'mode = "answer"',
                  f"methods = {_value(methods)}"]
        if name in draft.paths:
            lines.append("paths = true")
        if draft.headers:
            lines.append(f"headers = {_value(sorted(draft.headers))}")
    return "\n".join(lines) + "\n"


def _permissions(draft: Draft) -> Iterator[str]:
    if draft.hears:
        yield '"messages.read" = { scope = ["*"], reason = "to hear what people say" }'
    if draft.reads_history:
        yield '"archive.read" = { scope = ["*"], reason = "to read what people said before" }'
    if draft.answers:
        yield '"messages.send" = { scope = ["*"], reason = "to answer people" }'
        yield '"rooms.send" = { scope = ["*"], reason = "to answer in rooms" }'
    if draft.knows_rooms or draft.knows_people:
        yield '"rooms.read" = { scope = ["*"], reason = "%s" }' % (
            "to see who enters and leaves rooms" if draft.watches
            else "to see the names and subjects of rooms" if draft.hears_texts
            else "to know people in rooms by their addresses" if draft.knows_people else "to tell rooms from people")
    if draft.joins_rooms:
        yield '"rooms.join" = { scope = ["*"], reason = "to enter and leave rooms" }'
    if draft.configures_rooms or draft.owns_rooms:
        yield '"rooms.configure" = { scope = ["*"], reason = "%s" }' % (
            "to make rooms, and to destroy them" if draft.owns_rooms else "to make rooms" if draft.makes_rooms else "to name rooms")
    if draft.moderates:
        yield '"rooms.moderate" = { scope = ["*"], reason = "to moderate rooms, and to invite people" }'
    elif draft.may_moderate:
        yield '"rooms.moderate" = { scope = ["*"], optional = true, reason = "to take back messages of others" }'
    if draft.uploads:
        kinds = ["*"] if "*" in draft.uploads else sorted(draft.uploads)
        yield f'"files.send" = {{ scope = {_value(kinds)}, reason = "to send files and pictures" }}'
    if draft.reads_files:
        yield '"files.read" = { reason = "to read the files that people send" }'
    if draft.database:
        yield 'storage = { scope = ["6 MiB"], reason = "to keep its database" }'
    elif draft.keeps:
        yield 'storage = { scope = ["4 MiB"], reason = "to keep what it is told" }'
    if draft.servers:
        yield f'"http.fetch" = {{ scope = {_value(draft.servers)}, reason = "to ask these servers" }}'
    if draft.webhooks:
        yield '"webhooks.receive" = { reason = "to hear what others send" }'


def quoted(text: str) -> str:
    """Returns a text as TOML writes it, on one line."""
    return json.dumps(str(text).encode("utf-8", "replace").decode(), ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(_value(one) for one in value) + "]"
    return repr(value) if isinstance(value, (int, float)) else quoted(value)
