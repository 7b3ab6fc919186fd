"""The attributes that the layer has of plugins, messages and events. A use of any other one is reported, also if no table names it."""

import ast
from typing import Iterable, Iterator, Optional

import checks
import lacks
import tree
from tree import Module

#: Attributes of a plugin of errbot.
BOT_PLUGIN = {
    "activate", "bot_config", "bot_identifier", "build_identifier", "callback_connect", "callback_mention", "callback_message", "callback_reaction",
    "callback_room_joined", "callback_room_left", "callback_room_topic", "callback_stream",
    "check_configuration", "clear", "config", "configure", "current_pollers", "deactivate", "get", "get_configuration_template", "get_plugin", "is_activated", "items", "keys", "log",
    "mode", "mutable", "name", "pop", "query_room", "rooms", "send", "send_card", "send_stream_request", "send_templated", "setdefault",
    "start_poller", "stop_poller", "update", "values", "_bot",
}
#: Attributes of a message of errbot, and of people and rooms.
MESSAGE = {
    "body", "frm", "to", "parent", "ctx", "extras", "delayed", "type", "of_parlor", "is_group", "is_direct", "is_threaded", "nick", "clone",
}
PERSON = {
    "bare", "node", "domain", "resource", "person", "nick", "fullname", "username", "client", "aclattr", "email", "stripped", "name", "room",
    "exists", "joined", "occupants", "topic", "join", "leave", "create", "destroy", "invite",
}
#: Attributes of a plugin of maubot, and of events and their contents.
PLUGIN = {
    "id", "log", "config", "client", "http", "database", "webapp", "webapp_url", "sched", "loop", "loader", "get_config_class", "get_db_upgrade_table",
    "on_external_config_update", "pre_start", "start", "pre_stop", "stop", "register_handler_class",
}
#: Those of `self.loader`, and of `self.loader.meta`.
LOADER, META = {*lacks.READS, "meta", "id"}, {"id", "version", "license"}
#: Those of `self.config`, without those of the plugin's own class.
SETTINGS = {"get", "load", "load_and_update", "do_update", "save", "clone"}
EVENT = {
    "source", "client", "type", "content", "room_id", "sender", "event_id", "timestamp", "also", "disable_reply", "of_parlor", "respond", "reply",
    "react", "mark_read", "edit", "redact", "unsigned", "state_key", "prev_content", "redacts",
    "get", "serialize", "json", "deserialize_content",
}
CONTENT = {
    "msgtype", "body", "format", "formatted_body", "relates_to", "new_content", "get_reply_to", "get_edit", "get_thread_parent", "set_reply", "set_edit",
    "trim_reply_fallback", "url", "info", "file", "filename", "membership", "displayname", "reason", "avatar_url", "is_direct", "redacts", "get",
    "deserialize", "serialize", "json", "users", "users_default", "events", "events_default", "state_default", "invite", "ban", "kick", "redact",
    "get_user_level", "get_event_level", "set_user_level", "ensure_user_level", "set_event_level", "name", "topic",
}
#: The name that plugins use as well, though it is no public one.
RELATION = "_relates_to"
#: Attributes that every object has, or every mapping.
OF_ALL = {"__dict__", "__name__", "__module__", *(name for name in dir(dict) if name.startswith("__"))} - {"__getattribute__"}

UNKNOWN = ("the layer does not have it, and no other line of the plugin sets it", "see what parlor offers: reference/README.md")

#: The decorators of errbot's commands, and of its expressions that messages are searched for.
COMMANDS = {f"errbot.{name}" for name in ("botcmd", "arg_botcmd", "re_botcmd", "botmatch")}
#: The decorators whose methods are given a message or an event as the first parameter.
OF_MESSAGES = COMMANDS | {"errbot.cmdfilter"}
OF_EVENTS = {"maubot.handlers.command.new", "maubot.handlers.command.passive", "maubot.handlers.event.on"}
#: The options of decorators of maubot.
OPTIONS = {
    "maubot.handlers.command.new": {
        "name", "help", "aliases", "event_type", "msgtypes", "require_subcommand", "arg_fallthrough", "must_consume_args",
    },
    "maubot.handlers.command.argument": {"name", "label", "required", "matches", "parser", "pass_raw"},
    "maubot.handlers.command.passive": {
        "regex", "msgtypes", "field", "event_type", "multiple", "case_insensitive", "multiline", "dot_all",
    },
}
#: The methods of errbot that are given a message as the first parameter.
CALLBACKS = {"callback_message", "callback_mention"}
#: How often calls are followed that pass a message on.
DEEPEST = 4
#: The types of events and of messages, if a parameter is annotated.
EVENTS = {"errbot.Message", "errbot.backends.base.Message", "maubot.MessageEvent", "maubot.matrix.MaubotMessageEvent", "mautrix.types.StateEvent", "mautrix.types.ReactionEvent", "mautrix.types.RedactionEvent"}


def of_plugin(checker: checks.Checker, module: Module, node: ast.ClassDef, known: set[str], told: Iterable[str]) -> None:
    """Tells of attributes of a plugin that nobody sets. `told`: those that other checks tell of."""
    if checks.has_open_base(checker, module, node):
        return
    whole = checks.lineage(checker, module, node)
    own = known | OF_ALL | set(told) | set().union(*(bound(kind) for _, kind in whole)) | set_anywhere(checker.modules)
    if "__getattr__" in own or "__getattribute__" in own:
        return
    for owner, kind in whole:
        for one in _own_nodes(kind):
            if isinstance(one, ast.Attribute) and isinstance(one.ctx, ast.Load) and _is_named(one.value, "self") and one.attr not in own:
                checker.tell("lacks", owner, one, f"self.{one.attr}", *UNKNOWN)


def of_messages(checker: checks.Checker, module: Module, framework: str, told: Iterable[str]) -> None:
    """Tells of attributes of messages or events that the layer does not have."""
    is_errbot = framework == "errbot"
    inner = {"frm": PERSON, "to": PERSON} if is_errbot else {"content": CONTENT | {RELATION}}
    set_by_plugin = set_anywhere(checker.modules) | set(told) | OF_ALL
    if "__getattr__" in set_by_plugin:
        return
    known = (MESSAGE if is_errbot else EVENT) | set_by_plugin
    passed = _passed(checker.modules, is_errbot)
    for function, _ in tree.functions(module):
        if _is_never_called(module, function):
            continue
        for name in sorted(passed.get(function, ())):
            nodes = list(tree.within(function))
            # A name that is given another value, such as `msg = msg.body`, may be anything.
            if any(isinstance(one, ast.Name) and one.id == name and not isinstance(one.ctx, ast.Load) for one in nodes):
                continue
            parts = _parts(nodes, name, inner)
            for one in nodes:
                if not isinstance(one, ast.Attribute) or not isinstance(one.ctx, ast.Load):
                    continue
                value = one.value
                if isinstance(value, ast.Name) and value.id in parts and one.attr not in inner[parts[value.id]] | set_by_plugin:
                    checker.tell("lacks", module, one, f"{value.id}.{one.attr}", *UNKNOWN)
                if _is_named(value, name) and one.attr not in known:
                    checker.tell("lacks", module, one, f"{name}.{one.attr}", *UNKNOWN)
                if isinstance(value, ast.Attribute) and _is_named(value.value, name) and value.attr in inner:
                    if one.attr not in inner[value.attr] | set_by_plugin:
                        checker.tell("lacks", module, one, f"{name}.{value.attr}.{one.attr}", *UNKNOWN)


def extras(checker: checks.Checker) -> None:
    """Tells of values that plugins of errbot read from `msg.extras`, and that other networks put there."""
    read: list[tuple[Module, ast.AST, str]] = []
    stored: set[str] = set()
    for module in checker.modules:
        for node in ast.walk(module.tree):
            owner, key = tree.keyed(node) or (None, "")
            if not isinstance(owner, ast.Attribute) or owner.attr != "extras":
                continue
            if isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
                read.append((module, owner, key))
            else:
                stored.add(key)
    for module, owner, name in read:
        if name not in stored:
            checker.tell("lacks", module, owner, f"{ast.unparse(owner)}[{name!r}]"[:100], *lacks.EXTRAS)


def _parts(nodes: list[ast.AST], name: str, inner: Iterable[str]) -> dict[str, str]:
    """Returns the names that a function gives to parts of a message alone, such as `frm = msg.frm`, with these parts."""
    bound = [one.id for one in nodes if isinstance(one, ast.Name) and not isinstance(one.ctx, ast.Load)]
    found = {}
    for one in nodes:
        value = one.value if isinstance(one, ast.Assign) and len(one.targets) == 1 else None
        target = one.targets[0] if isinstance(one, ast.Assign) else None
        if isinstance(value, ast.Attribute) and _is_named(value.value, name) and value.attr in inner:
            if isinstance(target, ast.Name) and bound.count(target.id) == 1:
                found[target.id] = value.attr
    return found


def options(checker: checks.Checker, module: Module, decorator: ast.Call, name: str) -> None:
    """Tells of options of a decorator of maubot that the layer does not have."""
    known = OPTIONS.get(name)
    for option in checks.keywords(decorator) if known is not None else ():
        if option not in known:
            shown = f"@{name.removeprefix('maubot.handlers.')}({option}=…)"
            checker.tell("lacks", module, decorator, shown, "the layer does not know it", "see what parlor offers: reference/README.md")


def _passed(modules: list[Module], is_errbot: bool) -> dict[tree.Function, set[str]]:
    """Returns the functions with their parameters that are messages or events: those that the framework gives one, and those that only get one by
    calls of these."""
    functions = [(module, function) for module in modules for function, _ in tree.functions(module)]
    found = {function: set(_parameters(module, function, is_errbot)) for module, function in functions}
    named: dict[str, list[tree.Function]] = {}
    for _, function in functions:
        named.setdefault(function.name, []).append(function)
    calls = [(function, one) for _, function in functions for one in tree.within(function) if isinstance(one, ast.Call)]
    outside = {_called(one) for module in modules for one in tree.within(module.tree) if isinstance(one, ast.Call)}
    for _ in range(DEEPEST):
        given: dict[tuple[tree.Function, str], list[bool]] = {}
        for function, call in calls:
            several = named.get(_called(call), [])
            if len(several) == 1 and several[0].name not in outside:
                for name, value in tree.passed(several[0], call):
                    given.setdefault((several[0], name), []).append(isinstance(value, ast.Name) and value.id in found[function])
        more = [key for key, are in given.items() if all(are) and key[1] not in found[key[0]]]
        for function, name in more:
            found[function].add(name)
        if not more:
            break
    return found


def _called(call: ast.Call) -> str:
    """Returns the name of the function or of the plugin's own method that is called, or nothing."""
    function = call.func
    if isinstance(function, ast.Attribute) and _is_named(function.value, "self"):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _parameters(module: Module, function: tree.Function, is_errbot: bool) -> Iterator[str]:
    """The names of a function's parameters that are messages or events."""
    given = function.args.args
    is_callback = is_errbot and function.name in CALLBACKS and given[:1] and given[0].arg == "self"
    if (tree.decorators(module, function) & (OF_MESSAGES | OF_EVENTS) or is_callback) and len(given) > 1:
        yield given[1].arg
    for one in given:
        if annotated(module, one.annotation) in EVENTS:
            yield one.arg


def _is_never_called(module: Module, function: tree.Function) -> bool:
    """Whether a method only listens to what never happens."""
    calls = [one for one in function.decorator_list if isinstance(one, ast.Call) and module.dotted(one.func) == "maubot.handlers.event.on"]
    never = [one for one in calls if one.args and ast.unparse(one.args[0]).rpartition(".")[2] in lacks.NEVER]
    return bool(never) and len(never) == len(function.decorator_list)


def annotated(module: Module, annotation: Optional[ast.expr]) -> Optional[str]:
    """Returns the dotted name of an annotation, which may be a text."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        return module.aliases.get(annotation.value)
    return module.dotted(annotation)


def _is_named(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _own_nodes(kind: ast.ClassDef) -> Iterator[ast.AST]:
    """Yields the nodes of a class without those of classes within it, whose `self` is another one."""
    waiting: list[ast.AST] = list(kind.body)
    while waiting:
        one = waiting.pop()
        if not isinstance(one, ast.ClassDef):
            yield one
            waiting += ast.iter_child_nodes(one)


def bound(node: ast.ClassDef) -> set[str]:
    """Returns the names that the body of a class binds."""
    found: set[str] = set()
    waiting: list[ast.AST] = list(node.body)
    while waiting:
        one = waiting.pop()
        if isinstance(one, (*tree.FUNCTIONS, ast.ClassDef)):
            found.add(one.name)
            continue
        if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store):
            found.add(one.id)
        if isinstance(one, ast.alias):
            found.add((one.asname or one.name).partition(".")[0])
        waiting += ast.iter_child_nodes(one)
    return found


def set_anywhere(modules: list[Module]) -> set[str]:
    """Returns the names of all attributes that the plugin sets of any object, or asks for by `hasattr` first."""
    found: set[str] = set()
    for module in modules:
        for one in ast.walk(module.tree):
            if isinstance(one, ast.Attribute) and not isinstance(one.ctx, ast.Load):
                found.add(one.attr)
            if isinstance(one, ast.Call) and _is_named(one.func, "hasattr") and len(one.args) == 2 and isinstance(one.args[1], ast.Constant):
                found.add(str(one.args[1].value))
            if isinstance(one, ast.Attribute) and one.attr == "__dict__" or isinstance(one, ast.Call) and _is_named(one.func, "vars"):
                found.add("__getattr__")
            if isinstance(one, ast.Call) and _is_named(one.func, "setattr") and len(one.args) == 3:
                # Any name may be meant.
                found.add(str(one.args[1].value) if isinstance(one.args[1], ast.Constant) else "__getattr__")
    return found
