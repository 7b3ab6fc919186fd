"""Plugins of maubot: what their classes use, and what plugin.toml has to say for them."""

import ast
import re
from typing import Any, Optional

import checks
import lacks
import of_answers
import of_databases
import of_matrix
import of_packages
import of_rooms
import of_web
import simple_yaml
import surface
import tree
from manifest import Draft, settings_of
from tree import Module

CONFIG = "base-config.yaml"
#: The types of Matrix, by the modules of the library that they come from.
IN_TYPES = re.compile(r"\Amautrix\.types\.(?:[a-z_]+\.)+(?=[A-Z])")


#: The ends of expressions that are the client of the plugin.
CLIENTS = ("self.client", "bot.client", "plugin.client", "evt.client")
#: The ends of expressions that are addresses, by their names.
OF_ADDRESSES = re.compile(r"(?:\b|_)(?:room|alias|mxid|sender|user)(?:_?id|_?str|_?name)?\Z")
#: The annotations of clients of Matrix.
OF_CLIENTS = {"maubot.client.MaubotMatrixClient", "maubot.matrix.MaubotMatrixClient", "maubot.client.Client", "mautrix.client.Client"}


class Maubot:
    """One folder with a plugin of maubot."""

    def __init__(self, checker: checks.Checker, files: dict[str, str], draft: Draft) -> None:
        self.checker = checker
        self.files = files
        self.draft = draft
        self.about: dict[str, Any] = {}
        self.found: Optional[tuple[Module, str]] = None
        self.settings: dict = {}
        #: The name of the webhook, if something takes requests, and whether paths stand behind its address without a `/`.
        self.webhook = ""
        self.has_slash = False
        #: The types of events that methods listen to, and expressions that are no client of Matrix, or no values.
        self._listened: set[ast.expr] = set()
        self._apart: set[ast.AST] = set()
        #: The names of calls that only make the chat with one person.
        self._direct: set[ast.AST] = set()
        #: Whether it knows answers by `RelationType.REPLY`.
        self.knows_replies = False
        #: The version and the license in maubot.yaml, if the plugin reads them.
        self.meta: dict[str, str] = {}
        self._set: set[str] = set()
        self._bound: set[str] = set()
        self._has_web = False
        #: The names of parameters of the module that is read which are clients of Matrix by their annotations.
        self._clients: set[str] = set()
        #: By each expression of the module that is read, the one around it.
        self._around: dict[ast.AST, ast.AST] = {}

    def run(self) -> None:
        self.about = _read("maubot.yaml", self.files["maubot.yaml"])
        self._has_web = self.about.get("webapp") is True
        self.found = self._main()
        self._of_folder()
        self.checker.names(("maubot", "mautrix"), lacks.MAUBOT, lacks.NOT_IN_MAUBOT)
        if any(name.startswith("mautrix.util.magic") for module in self.checker.modules for name, *_ in tree.imports(module)):
            self.checker.parts.add("magic")
        of_databases.run(self.checker)
        of_answers.run(self.checker)
        of_matrix.run(self.checker)
        main, kind = self.found
        if kind in main.classes:
            surface.of_plugin(self.checker, main, main.classes[kind], surface.PLUGIN, lacks.OF_PLUGIN)
        self._set = surface.set_anywhere(self.checker.modules)
        #: The names that all classes of the plugin bind. Those of the class of the settings are among them.
        self._bound = set().union(*(surface.bound(one) for module in self.checker.modules for one in ast.walk(module.tree) if isinstance(one, ast.ClassDef)))
        for module in self.checker.modules:
            surface.of_messages(self.checker, module, "maubot", ())
            self._apart |= _no_values(module)
            self._clients = _clients(module)
            self._around = tree.around(module.tree)
            for node in ast.walk(module.tree):
                self._node(module, node)
        if any(isinstance(one, ast.Attribute) and one.attr == "meta" for module in self.checker.modules for one in ast.walk(module.tree)):
            self.meta = {key: str(self.about[key]) for key in ("version", "license") if self.about.get(key) is not None}
        self.webhook = of_web.webhook(self.checker, self.draft, self._has_web)
        for module in self.checker.modules if self.webhook else ():
            self.has_slash |= of_web.addresses(self.checker, module)

    def _main(self) -> tuple[Module, str]:
        modules = self.about.get("modules")
        names = [one for one in modules if isinstance(one, str)] if isinstance(modules, list) else []
        main, _, kind = str(self.about.get("main_class", "")).rpartition("/")
        main = main or (names[-1] if names else "")
        base = main.replace(".", "/")
        module = next((one for one in self.checker.modules if one.path in (f"{base}.py", f"{base}/__init__.py")), None)
        if module is None:
            raise ValueError(f"maubot.yaml names the module {main!r}, which cannot be read")
        return module, kind

    def _of_folder(self) -> None:
        if CONFIG in self.files:
            reader = simple_yaml.Reader(self.files[CONFIG])
            try:
                values = reader.read()
                self.settings = settings_of(values if isinstance(values, dict) else {}, reader.of_keys, self.draft, self._open_maps().__contains__)
                self._tell_maps()
            except ValueError as error:
                self._tell_file(CONFIG, f"the settings: {error}", "that part of YAML is not known here",
                                "write `[settings.NAME]` in plugin.toml, and its name in plugin.py")
        for one in of_packages.missing_of(self.checker.modules, self.files, self.about.get("extra_files")):
            self._tell_file("maubot.yaml", f"extra_files: {one}", *of_packages.UNREAD)
        if self.about.get("database") and self.about.get("database_type") == "asyncpg":
            self.draft.database = "asyncpg"
            self._tell_file("maubot.yaml", "database: true", *lacks.SQLITE, "check")
        elif self.about.get("database") and of_databases.is_used(self.checker):
            self.draft.database = "sqlalchemy"
            self._tell_file("maubot.yaml", "database: true", *of_databases.PLAIN, "check")

    def _open_maps(self) -> set[str]:
        """Returns the paths of settings that the plugin uses otherwise than by keys that its text names."""
        found = set()
        for module in self.checker.modules:
            around = tree.around(module.tree)
            for node in ast.walk(module.tree):
                path = _path_of(node)
                if path is None:
                    continue
                outer = around.get(node)
                is_named = isinstance(outer, ast.Subscript) and outer.value is node and isinstance(outer.slice, ast.Constant)
                if isinstance(outer, ast.Attribute) and outer.attr == "get":
                    call = around.get(outer)
                    is_named = isinstance(call, ast.Call) and bool(call.args) and isinstance(call.args[0], ast.Constant)
                if not is_named and isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
                    found.add(path)
        return found

    def _tell_maps(self) -> None:
        for key, (name, read) in self.settings.items():
            is_secret = self.draft.settings[name]["type"] == "secret"
            if read == "items" and is_secret:
                self._tell_file(
                    CONFIG, f"{key.partition('.')[0]}: the list {key}",
                    f"a part of it may be secret, so that the setting {name} has all of it as JSON, and no default",
                    f"the value of {CONFIG} as JSON, with the owner's changes", "check")
            if read == "map" and self.draft.settings[name].get("default") != "{}":
                self._tell_file(
                    CONFIG, f"{key.partition('.')[0]}: the map {key}", f"its keys may differ, so that the setting {name} has all of it as JSON"
                    + (", and no default, since a part may be secret" if is_secret else ""),
                    f"the value of {CONFIG} as JSON, with the owner's changes", "check")

    def _tell_file(self, path: str, what: str, why: str, instead: str, kind: str = "lacks") -> None:
        key = what.partition(":")[0]
        lines = self.files[path].split("\n")
        line = next((number for number, text in enumerate(lines, 1) if text.startswith(f"{key}:")), 1)
        self.checker.findings.append(tree.Finding(kind, path, line, what, why, instead))

    def _node(self, module: Module, node: ast.AST) -> None:
        tell = self.checker.tell
        checks.who_may(self.checker, self.draft, module, node, "a list of JIDs; `parlor.command(…, allow=[People.owners()])` for owners")
        if isinstance(node, tree.FUNCTIONS):
            for one in node.decorator_list:
                self._decorator(module, one)
        elif isinstance(node, ast.Attribute):
            self._attribute(module, node)
        elif isinstance(node, ast.JoinedStr):
            begun = [one for one in node.values[:-1] if isinstance(one, ast.Constant) and str(one.value).endswith("mxc://")]
            if begun:
                self._apart.update(begun)
                tell("lacks", module, node, ast.unparse(node)[:100], *lacks.MXC)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in self._apart:
            if re.search(r"mxc://\w", node.value):
                tell("lacks", module, node, ast.unparse(node)[:100], *lacks.MXC)
            elif node.value == "mxc://":
                tell("check", module, node, ast.unparse(node), "no address begins with it", lacks.MXC[1])
            elif "matrix.to/" in node.value:
                tell("check", module, node, "a link to matrix.to", "it leads to people and rooms of Matrix", "an address of XMPP, `xmpp:…`")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in ("split", "partition") and node.args and isinstance(node.args[0], ast.Constant) and node.args[0].value == ":":
                if re.search(r"\b(sender|room_id|mxid|user_id)\b", ast.unparse(node.func.value)):
                    tell("lacks", module, node, ast.unparse(node)[:100], "an address of XMPP has no `:`", "`.partition(\"@\")`: the domain is behind it")
            if node.func.attr == "startswith" and OF_ADDRESSES.search(ast.unparse(node.func.value)):
                given = node.args[0].elts if node.args and isinstance(node.args[0], ast.Tuple) else node.args[:1]
                if any(isinstance(one, ast.Constant) and one.value in of_matrix.SIGNS for one in given):
                    tell("check", module, node, ast.unparse(node)[:100], *of_matrix.NO_SIGNS)
            if node.func.attr == "upload_media" and ast.unparse(node.func.value).endswith("client"):
                given = node.args[1] if len(node.args) > 1 else checks.keywords(node).get("mime_type")
                checks.uploads(self.checker, self.draft, module, node, "client.upload_media()", given)
            if node.func.attr == "send_state_event" and ast.unparse(node.func.value).endswith("client"):
                state = of_rooms.state_of(node)
                kind = str(state.value) if isinstance(state, ast.Constant) else "" if state is None else self._event(module, state)
                of_rooms.set_state(self.checker, self.draft, module, node, kind)
            if node.func.attr == "send_message_event" and ast.unparse(node.func.value).endswith("client"):
                self._sent(module, node)
            if node.func.attr == "create_room" and of_rooms.is_chat(node):
                # Its name comes after the call.
                self._direct.add(node.func)
            if node.func.attr == "redact" and isinstance(node.func.value, ast.Name) and node.func.value.id != "client":
                # `evt.redact(…)`
                of_rooms.of_client(self.checker, self.draft, module, node.func, ast.unparse(node.func), False)
            if ast.unparse(node.func).endswith((".respond", ".reply", ".send_text", ".send_message")):
                self.draft.answers = True

    def _sent(self, module: Module, call: ast.Call) -> None:
        """Tells of an event that is neither a message nor a reaction."""
        given = of_rooms.state_of(call)
        owner, meant = (module, None) if given is None else tree.constant(module, given)
        kind = meant.value if isinstance(meant, ast.Constant) else "" if meant is None else self._event(owner, meant)
        is_known = isinstance(meant, (ast.Constant, ast.Call)) or str(kind).isupper()
        if is_known and kind not in ("ROOM_MESSAGE", "REACTION", "m.room.message", "m.reaction"):
            self.checker.tell("lacks", module, call, f"{ast.unparse(call.func)}({ast.unparse(given)})"[:100], *of_matrix.NOT_SENT)

    def _decorator(self, module: Module, one: ast.expr) -> None:
        call = one if isinstance(one, ast.Call) else None
        name = module.dotted(call.func if call else one) or ""
        given = checks.keywords(call) if call else {}
        if call:
            surface.options(self.checker, module, call, name)
        if name == "maubot.handlers.command.new":
            self.draft.answers = True
            named = call.args[0] if call and call.args else given.get("name")
            if isinstance(named, ast.Constant) and isinstance(named.value, str):
                checks.command_name(self.checker, module, one, named.value)
            if isinstance(given.get("aliases"), ast.Lambda):
                self.checker.tell("check", module, one, "aliases=lambda …", *lacks.ALIASES)
        if name == "maubot.handlers.event.off":
            self.checker.tell("check", module, one, "@event.off", *lacks.OFF)
        given_to = call.args[0] if call and call.args and name == "maubot.handlers.event.on" else None
        owner, meant = (module, None) if given_to is None else tree.constant(module, given_to)
        kind = "" if meant is None else self._event(owner, meant)
        if given_to is not None:
            self._listened.add(given_to)
        if kind in lacks.NEVER or kind in lacks.NEVER.values():
            # Other decorators of the method tell what it hears besides.
            self.checker.tell("check", module, one, f"@event.on({ast.unparse(given_to)})", *lacks.NEVER_HAPPENS)
        elif kind and kind not in lacks.HEARD and (isinstance(meant, ast.Call) or meant is not given_to and kind not in lacks.EVENTS | lacks.OF_MEMBERS):
            self.checker.tell("lacks", module, one, f"@event.on({ast.unparse(given_to)})", *lacks.NO_EVENT)
        elif kind in of_matrix.LEVELS:
            self.draft.watches = self.draft.knows_rooms = self.draft.hears_levels = True
            self.checker.tell("check", module, one, f"@event.on({ast.unparse(given_to)})", *of_matrix.CHANGES)
        elif kind in of_matrix.NAMES | of_matrix.TOPICS:
            self.draft.knows_rooms = self.draft.hears_texts = True
            self.checker.tell("check", module, one, f"@event.on({ast.unparse(given_to)})", *(of_matrix.NEW_NAMES if kind in of_matrix.NAMES else of_matrix.NEW_TOPICS))
        elif kind in lacks.OF_MEMBERS:
            self.draft.watches = self.draft.knows_rooms = True
            self.checker.tell("check", module, one, "who enters and leaves rooms", *lacks.MEMBERS)
        elif name in ("maubot.handlers.command.passive", "maubot.handlers.event.on"):
            self.draft.hears = self.draft.answers = True
            if kind == "ALL":
                self.draft.watches = self.draft.knows_rooms = self.draft.hears_levels = self.draft.hears_texts = True
                self.checker.tell("check", module, one, "@event.on(EventType.ALL)", *lacks.NO_EVENT)
            if kind in ("ROOM_REDACTION", "m.room.redaction"):
                self.checker.tell("check", module, one, "messages that are taken back", *lacks.TAKEN_BACK)

    def _event(self, module: Module, node: ast.expr) -> str:
        """Returns the name of the type of an event: `EventType.ROOM_MEMBER`, or `EventType.find("m.room.member")`."""
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            return str(node.args[0].value)
        name = IN_TYPES.sub("mautrix.types.", module.dotted(node) or "")
        return name.removeprefix("mautrix.types.EventType.").removeprefix("mautrix.client.")

    def _attribute(self, module: Module, node: ast.Attribute) -> None:
        tell = self.checker.tell
        shown = ast.unparse(node)
        name = IN_TYPES.sub("mautrix.types.", module.dotted(node) or "")
        if name.startswith("mautrix.types."):
            self._value(module, node, name.removeprefix("mautrix.types."))
        if name.startswith("mautrix.client.InternalEventType.") and name.removeprefix("mautrix.client.") not in lacks.OF_MEMBERS:
            tell("lacks", module, node, f"InternalEventType.{node.attr}", *lacks.NO_EVENT)
        owner, _, last = shown.rpartition(".")
        self.knows_replies |= shown.endswith("RelationType.REPLY")
        is_own = last == "database" and bool(self.draft.database) or last in ("webapp", "webapp_url") and self._has_web or last in self._set
        if owner == "self" and last in lacks.OF_PLUGIN and not is_own:
            tell("lacks", module, node, shown, *lacks.OF_PLUGIN[last])
        if owner.endswith((".webapp", ".webapp.router")) and last not in lacks.WEBAPP:
            tell("lacks", module, node, shown, *lacks.NO_WEB_SERVER)
        if owner.endswith("self.sched") and last not in lacks.SCHED:
            tell("lacks", module, node, shown, *lacks.NO_SCHED)
        if owner.endswith("client.api") and last != "session" and node not in self._apart:
            of_matrix.of_requests(self.checker, module, node, shown, self._around)
        if shown.endswith("RelationType.THREAD"):
            tell("check", module, node, shown, *of_matrix.THREADS)
        if shown.endswith("RoomType.SPACE"):
            tell("check", module, node, shown, *of_matrix.SPACES)
        if owner == "client" and owner not in self._clients and last in lacks.CLIENT:
            # It may be another client, so that nothing is said of what it lacks.
            of_rooms.of_client(self.checker, self.draft, module, node, shown, node in self._direct)
        if (owner in self._clients or owner.endswith(CLIENTS)) and node not in self._apart:
            if last == "get_event_context":
                tell("lacks", module, node, shown, *lacks.NO_HISTORY)
            elif last not in lacks.CLIENT:
                of_matrix.of_client(self.checker, module, node, shown)
            elif last == "download_media":
                # The host opens only files of messages that the plugin has heard.
                self.draft.hears = self.draft.reads_files = True
                tell("check", module, node, shown, *lacks.READ_FILES)
            elif last == "state_store":
                self._store(module, node, shown)
            else:
                of_rooms.of_client(self.checker, self.draft, module, node, shown, node in self._direct)
        is_loader = owner.rpartition(".")[2] == "loader" or name.startswith("maubot.loader.") and name.count(".") == 3
        if is_loader and last not in surface.LOADER or owner.endswith("loader.meta") and last not in surface.META:
            tell("lacks", module, node, shown, "the layer does not have it", lacks.FILES)
        if last.startswith("__mb_") and last not in lacks.OF_COMMANDS:
            tell("lacks", module, node, shown, *surface.UNKNOWN)
        if owner.endswith("self.config") and last == "save":
            tell("check", module, node, f"{shown}()", *lacks.SAVED)
        elif owner == "self.config" and last not in surface.SETTINGS | surface.OF_ALL | self._bound | self._set and "config" not in self._set:
            tell("lacks", module, node, shown, *surface.UNKNOWN)
        if last in ("mark_read",):
            self.draft.answers = True

    def _store(self, module: Module, node: ast.Attribute, shown: str) -> None:
        """Tells of the known states of rooms, unless a line asks for what the layer has of them, or whether they are there."""
        outer = self._around.get(node)
        if isinstance(outer, ast.Attribute) and outer.attr in lacks.STORE:
            self.draft.knows_rooms = True
            self.checker.tell("check", module, node, f"{shown}.{outer.attr}", *lacks.LEVELS)
        elif not isinstance(outer, ast.Assert):
            of_matrix.of_client(self.checker, module, node, shown)

    def _value(self, module: Module, node: ast.Attribute, name: str) -> None:
        """Tells of values of the types of Matrix that the layer does not have, such as `MessageType.X`."""
        kind, _, last = name.partition(".")
        if "." in last or not last.isupper():
            return
        if kind == "EventType" and node in self._listened:
            if last not in lacks.EVENTS and last not in lacks.NEVER:
                self.checker.tell("lacks", module, node, name, *lacks.NO_EVENT)
        elif kind == "EventType" and last not in lacks.EVENTS | lacks.STATES | lacks.DATA | {*lacks.NEVER}:
            self.checker.tell("lacks", module, node, name, *lacks.NO_STATE)
        elif kind in lacks.VALUES and last not in lacks.VALUES[kind]:
            self.checker.tell("lacks", module, node, name, "the layer does not know it", "see what parlor offers: reference/README.md")


def _clients(module: Module) -> set[str]:
    """Returns the names of parameters that are clients of Matrix by their annotations."""
    given = [one for function, _ in tree.functions(module) for one in function.args.args]
    return {one.arg for one in given if surface.annotated(module, one.annotation) in OF_CLIENTS}


def _no_values(module: Module) -> set[ast.AST]:
    """Returns the nodes of texts that only describe, and of classes that have another client than that of Matrix."""
    found: set[ast.AST] = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            found.add(node.value)
        if isinstance(node, ast.ClassDef):
            set_by = [one.value for one in ast.walk(node) if isinstance(one, ast.Assign) and any(ast.unparse(to) == "self.client" for to in one.targets)]
            if any(isinstance(one, (ast.Call, ast.Await)) for one in set_by):
                found.update(ast.walk(node))
    return found


def _path_of(node: ast.AST) -> Optional[str]:
    """Returns the path of the setting that an expression reads: `self.config["a.b"]`, or `self["a"]` in the class of the settings."""
    owner, key = tree.keyed(node) or (None, "")
    if owner is None:
        return None
    inner = _path_of(owner)
    if inner is not None:
        return f"{inner}.{key}"
    return key if ast.unparse(owner).rpartition(".")[2] in ("config", "self", "source", "base") else None


def _read(path: str, text: str) -> dict[str, Any]:
    try:
        value = simple_yaml.Reader(text).read()
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path}: it is no map")
    return value
