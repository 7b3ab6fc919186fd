"""Plugins of errbot: what their classes use, and what plugin.toml has to say for them."""

import ast
import configparser
import re
from typing import Optional

import checks
import lacks
import of_config
import of_flows
import of_rooms
import of_web
import surface
import tree
from manifest import Draft, settings_of
from tree import Module

DECORATORS = {f"errbot.{name}": name for name in ("botcmd", "arg_botcmd", "re_botcmd", "botmatch", "cmdfilter", "webhook")}
OPTIONS = {
    "botcmd": {"split_args_with", "hidden", "name", "admin_only", "historize", "syntax", "template", "flow_only"},
    "arg_botcmd": {"hidden", "name", "admin_only", "historize", "template", "flow_only", "unpack_args"},
    "re_botcmd": {"hidden", "name", "admin_only", "historize", "template", "pattern", "flags", "matchall", "prefixed", "flow_only", "re_cmd_name_help"},
    "botmatch": {"hidden", "name", "admin_only", "historize", "template", "pattern", "flags", "matchall", "flow_only", "re_cmd_name_help"},
    "cmdfilter": {"catch_unprocessed"},
    "webhook": {"uri_rule", "methods", "form_param", "raw"},
}
HEARS = {"callback_message", "callback_mention", "callback_stream", "callback_reaction"}
#: The methods that hear of rooms.
OF_ROOMS = {"callback_room_joined", "callback_room_left", "callback_room_topic"}
HEARS_ROOMS = ("with the room alone, it hears of the rooms of the account; with a person, of everybody. Nobody tells who invited them", "nothing")
REACTED = ("`reaction_name` is the sign itself, such as 👍. `reacted_to` has the `id` and the `text` of the message, if it came lately", "nothing")
#: A name of another network, such as `#general`, and no color.
NAME_OF_OTHERS = re.compile(r"(?!#(?:[0-9A-Fa-f]{3,4}){1,2}\Z)[#@~][\w.-]+")
#: Methods of the mapping that a plugin is.
MAPPING = {"get", "keys", "items", "values", "setdefault", "pop", "update", "mutable", "clear", "popitem"}
PLACES = {"build_identifier", "query_room", "rooms"}


class Plug:
    """The contents of a `.plug` file."""

    def __init__(self, path: str, text: str) -> None:
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        parser.read_string(text, path)
        self.path = path
        self.name = parser.get("Core", "Name", fallback="").strip()
        module = parser.get("Core", "Module", fallback="").strip().removesuffix(".py")
        self.folder = path.rpartition("/")[0]
        self.module = f"{self.folder}/{module}" if self.folder else module
        #: The names of the plugins that have to be there first.
        self.needs = [one.strip() for one in parser.get("Core", "DependsOn", fallback="").split(",") if one.strip()]
        self.description = " ".join(parser.get("Documentation", "Description", fallback="").split())


def in_order(plugs: list[Plug]) -> list[Plug]:
    """Returns the plugins of a folder, each after those that it needs, as far as they do not need each other."""
    found: list[Plug] = []
    waiting = list(plugs)
    while waiting:
        ready = [one for one in waiting if not any(other.name in one.needs for other in waiting if other is not one)]
        found += ready or waiting
        waiting = [one for one in waiting if one not in found]
    return found


#: How many parameters the layer calls methods with.
GIVEN = {"callback_message": 2, "callback_mention": 3}


class Errbot:
    """One folder with plugins of errbot."""

    def __init__(self, checker: checks.Checker, plugs: list[Plug], draft: Draft, files: dict[str, str]) -> None:
        self.checker = checker
        folder = f"{plugs[0].folder}/templates/" if plugs[0].folder else "templates/"
        #: The templates, by their paths in their folder.
        self.templates = {path.removeprefix(folder): text for path, text in files.items() if path.startswith(folder) and path.endswith(".md")}
        self.draft = draft
        self.plugs = in_order(plugs)
        #: For each plugin: its module's path, its class, its name, its settings and its webhooks.
        self.found: list[tuple[Module, str, str, dict, dict]] = []
        #: The names of parameters that are requests.
        self.raw: set[str] = set()
        #: The classes with flows.
        self.flows: list[tuple[Module, str]] = []
        #: The values of the bot's configuration that are settings now.
        self.config: dict[str, list[str]] = {}
        #: Attributes that were checked together with one of their own attributes.
        self._checked: set[ast.AST] = set()

    def run(self) -> None:
        self.checker.names(("errbot",), lacks.ERRBOT, lacks.NOT_IN_ERRBOT)
        for plug in self.plugs:
            paths = {f"{plug.module}.py", f"{plug.module}/__init__.py"}
            module = next((one for one in self.checker.modules if one.path in paths), None)
            if module is None:
                reason = next((f": {path}:{line}: {why}" for path, (line, why) in self.checker.unread.items() if path in paths), "")
                raise ValueError(f"{plug.path} names the module {plug.module}, which cannot be read{reason}")
            kinds = [name for name, node in module.classes.items() if self._is_plugin(module, node)]
            if not kinds:
                raise ValueError(f"{module.path} has no class that inherits from BotPlugin")
            for kind in kinds:
                settings, webhooks = self._settings(module, module.classes[kind]), self._webhooks(module, module.classes[kind])
                self.found.append((module, kind, plug.name or kind, settings, webhooks))
        of_flows.run(self)
        self.config = of_config.run(self.checker, self.draft)
        surface.extras(self.checker)
        for module in self.checker.modules:
            for node in module.classes.values():
                self._class(module, node)
            surface.of_messages(self.checker, module, "errbot", lacks.OLD_MESSAGES)
            for call in (one for one in ast.walk(module.tree) if isinstance(one, ast.Call)):
                reason = checks.keywords(call).get("template", call.args[1] if len(call.args) > 1 else None)
                if (module.dotted(call.func) or "").rpartition(".")[2] == "CommandError" and checks.may_be_true(reason):
                    self._template(module, call, reason)
            for name, line, _, _ in tree.imports(module):
                if name.startswith("errbot.templating"):
                    self._template(module, line)
            for function, _ in tree.functions(module) if self.draft.webhooks else ():
                of_web.requests(self.checker, self.draft, module, function, self.raw)

    def _is_plugin(self, module: Module, node: ast.ClassDef) -> bool:
        return self.inherits(module, node, "BotPlugin")

    def inherits(self, module: Module, node: ast.ClassDef, kind: str, depth: int = 0) -> bool:
        """Whether a class inherits from this one of errbot."""
        for base in node.bases:
            name = module.dotted(base) or ""
            if name.startswith("errbot.") and name.endswith(f".{kind}"):
                return True
            inner = checks.class_named(self.checker, module, base)
            if inner is not None and depth < 5 and self.inherits(*inner, kind, depth + 1):
                return True
        return False

    def lineage(self, module: Module, node: ast.ClassDef) -> list[tuple[Module, ast.ClassDef]]:
        """Returns a class with those that it inherits from, as far as the plugin has them."""
        return checks.lineage(self.checker, module, node)

    def step_of(self, module: Module, decorator: ast.expr) -> Optional[str]:
        """Returns the decorator of a command, or of an expression that messages are searched for."""
        name = module.dotted(decorator.func if isinstance(decorator, ast.Call) else decorator) or ""
        return DECORATORS[name] if name in surface.COMMANDS else None

    def _class(self, module: Module, node: ast.ClassDef) -> None:
        is_plugin = self._is_plugin(module, node)
        self._names(module, node)
        if is_plugin:
            surface.of_plugin(self.checker, module, node, surface.BOT_PLUGIN, {*lacks.OF_SELF, *lacks.UNCALLED})
            of_rooms.of_errbot(self.checker, self.draft, module, node)
        for one in node.body:
            if isinstance(one, tree.FUNCTIONS):
                self._function(module, one, is_plugin)
        for one in ast.walk(node):
            if isinstance(one, ast.Attribute):
                self._attribute(module, one, is_plugin)
            checks.who_may(self.checker, self.draft, module, one, "`admin_only=True` for a whole command, or a list of JIDs")
            if is_plugin:
                self._mapping(one)
                self._stream(module, one)
                self._address(module, one)
                self._of_other(module, one)

    def _names(self, module: Module, node: ast.ClassDef) -> None:
        """Checks the first words of commands: the host knows commands by them."""
        #: By the first words: the decorators, all words, and whether the command is for admins.
        found: dict[str, list[tuple[ast.expr, list[str], bool]]] = {}
        for function in (one for one in node.body if isinstance(one, tree.FUNCTIONS)):
            commands: dict[str, tuple[ast.expr, list[str], bool]] = {}
            for one in function.decorator_list:
                call = one if isinstance(one, ast.Call) else None
                if DECORATORS.get(module.dotted(call.func if call else one) or "") in ("botcmd", "arg_botcmd"):
                    given = checks.keywords(call) if call else {}
                    name = given.get("name")
                    text = name.value if isinstance(name, ast.Constant) and isinstance(name.value, str) else function.name
                    words = [word for word in text.lower().split("_") if word] or [text]
                    checks.command_name(self.checker, module, one, words[0])
                    before = commands.get(words[0], (one, words, False))
                    commands[words[0]] = (*before[:2], before[2] or checks.is_true(given.get("admin_only")))
            for root, command in commands.items():
                found.setdefault(root, []).append(command)
        for root, several in found.items():
            self._mixed_rights(module, root, several)

    def _mixed_rights(self, module: Module, root: str, several: list[tuple[ast.expr, list[str], bool]]) -> None:
        """Tells of commands with one first word of which only some are for admins: the host knows by a command's name who may give it."""
        closed = [words for _, words, is_closed in several if is_closed]
        if len(closed) in (0, len(several)):
            return
        is_root_closed = any(len(words) == 1 for words in closed)
        for where, words, is_closed in several:
            if is_closed == is_root_closed:
                continue
            written, own = " ".join(words), "_".join(words)
            checks.command_name(self.checker, module, where, own)
            if is_root_closed:
                self.checker.tell("lacks", module, where, f"!{written} for everybody",
                                  f"!{root} is the owners', and the host knows by the first word who may give a command", f"`!{own}`, which is open, or another first word")
            else:
                self.checker.tell("check", module, where, f"admin_only of !{written}",
                                  f"the host knows by the first word who may give a command, and !{root} is open: `!{written}` only names `!{own}`",
                                  f"`!{own}` for the owners, or another first word")

    def _function(self, module: Module, function: tree.Function, is_plugin: bool) -> None:
        draft = self.draft
        if is_plugin and function.name in lacks.UNCALLED:
            self.checker.tell("lacks", module, function, f"{function.name}()", *lacks.UNCALLED[function.name])
        if is_plugin and function.name in HEARS:
            draft.hears = True
        if is_plugin and function.name in OF_ROOMS:
            draft.watches = draft.knows_rooms = True
            self.checker.tell("check", module, function, f"{function.name}()", *HEARS_ROOMS)
        if is_plugin and function.name == "callback_reaction":
            self.checker.tell("check", module, function, f"{function.name}()", *REACTED)
        required = len(function.args.args) - len(function.args.defaults)
        if is_plugin and function.name in GIVEN and required > GIVEN[function.name]:
            shown = f"{function.name}({', '.join(one.arg for one in function.args.args[1:])})"[:100]
            self.checker.tell("lacks", module, function, shown, "errbot before 4 also passed the connection", "the parameters without it")
        if is_plugin and function.name == "callback_stream":
            draft.reads_files = True
            self.checker.tell("check", module, function, "callback_stream()", *lacks.READ_FILES)
            self.checker.tell("check", module, function, "files that are rejected", *lacks.FIRST_READ)
        self._kinds(module, function)
        for one in function.decorator_list:
            call = one if isinstance(one, ast.Call) else None
            kind = DECORATORS.get(module.dotted(call.func if call else one) or "")
            if kind is None:
                continue
            draft.answers = True
            given = checks.keywords(call) if call else {}
            self._options(module, one, kind, given)
            if kind == "cmdfilter":
                self.checker.tell("check", module, one, "@cmdfilter", *lacks.FILTER)
            # The layer never calls a pattern for admins.
            if kind == "botmatch" and not checks.is_true(given.get("admin_only")):
                draft.hears = True
            if kind == "re_botcmd" and not checks.is_true(given.get("admin_only")):
                draft.hears = True
                # The layer asks for it unless the source says that there is none.
                draft.has_prefix |= "prefixed" not in given or checks.may_be_true(given["prefixed"])

    def _kinds(self, module: Module, function: tree.Function) -> None:
        """Tells of a method that several decorators make different things of."""
        named = [DECORATORS[name] for name in (module.dotted(one.func if isinstance(one, ast.Call) else one) or "" for one in function.decorator_list) if name in DECORATORS]
        # The decorators of arguments belong to the one of the command.
        kinds = sorted({one.removeprefix("arg_") for one in named})
        if len(kinds) > 1:
            self.checker.tell("lacks", module, function, f"{' and '.join(f'@{one}' for one in kinds)} of the same method",
                              "the layer does what the highest of them says, and nothing else", "a method for each, which may call the same function")

    def _options(self, module: Module, node: ast.expr, kind: str, given: dict) -> None:
        def tell(option: str, why: str, instead: str) -> None:
            self.checker.tell("lacks", module, node, f"@{kind}({option}=…)", why, instead)

        for option in given:
            is_argument = kind == "arg_botcmd" and option in ("dest", "type", "default", "help", "nargs", "action", "choices", "metavar", "required", "const")
            if option not in OPTIONS[kind] and not is_argument:
                tell(option, "the layer does not know it", "see the report of other lines")
        if checks.may_be_true(given.get("template")):
            self._template(module, node, given["template"])
        if kind == "cmdfilter" and checks.may_be_true(given.get("catch_unprocessed")):
            tell("catch_unprocessed", *lacks.UNPROCESSED)
        if kind in ("re_botcmd", "botmatch") and checks.may_be_true(given.get("admin_only")):
            tell("admin_only", "any message may match a pattern, and the host knows the owners only for commands: the method is not called",
                 "`@botcmd(admin_only=True)`")

    def _template(self, module: Module, where: "ast.AST | int", name: Optional[ast.expr] = None) -> None:
        """Notes that it uses templates, which need a package."""
        if not self.draft.has_templates:
            self.checker.needs(module, where, "jinja2", lacks.JINJA, "jinja2")
        self.draft.has_templates = True
        if isinstance(name, ast.Constant) and f"{name.value}.md" not in self.templates:
            self.checker.tell("lacks", module, where, f"templates/{name.value}.md", *lacks.NO_TEMPLATE)

    def _attribute(self, module: Module, node: ast.Attribute, is_plugin: bool) -> None:
        tell = self.checker.tell
        if is_plugin:
            self._of_bot(module, node)
        if is_plugin and isinstance(node.value, ast.Name) and node.value.id == "self":
            if node.attr in lacks.OF_SELF and node not in self._checked and node not in self.checker.apart:
                tell("lacks", module, node, f"self.{node.attr}", *lacks.OF_SELF[node.attr])
            if node.attr in PLACES:
                self.draft.knows_rooms = True
            if node.attr == "send_templated":
                self._template(module, node)
            if node.attr in ("send", "send_card", "send_templated", "send_stream_request"):
                self.draft.answers = True
            if node.attr == "send_card":
                tell("check", module, node, "self.send_card", "XMPP has no cards: it is sent as a text", "nothing, if a text will do")
        if node.attr in lacks.OLD_MESSAGES:
            tell("lacks", module, node, f".{node.attr}()", "messages of errbot before 4 had it", f"`.{lacks.OLD_MESSAGES[node.attr]}`")

    def _of_bot(self, module: Module, node: ast.Attribute) -> None:
        """Checks what is used of the bot and its configuration. An attribute is walked before those that it is an attribute of."""
        shown = ast.unparse(node)
        is_known = shown in lacks.OF_BOT
        self.draft.has_prefix |= is_known and "prefix" in node.attr.lower()
        self.draft.answers |= shown == "self._bot.send"
        self.draft.knows_rooms |= is_known and node.attr in PLACES
        if shown.removesuffix(f".{node.attr}") in of_config.CONFIG and node.attr in lacks.OF_CONFIG:
            self.checker.tell("lacks", module, node, shown, *lacks.OF_CONFIG[node.attr])
            is_known = True
        if is_known:
            self._checked.update(one for one in ast.walk(node.value) if isinstance(one, ast.Attribute))

    def _stream(self, module: Module, node: ast.AST) -> None:
        """Notes a file that the plugin sends."""
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "self.send_stream_request":
            given = node.args[4] if len(node.args) > 4 else checks.keywords(node).get("stream_type")
            checks.uploads(self.checker, self.draft, module, node, "self.send_stream_request()", given)

    def _address(self, module: Module, node: ast.AST) -> None:
        """Tells of texts that can be no JID, where one is meant."""
        is_address = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("build_identifier", "query_room")
        if not is_address or not node.args:
            return
        given = node.args[0]
        first = given.values[0] if isinstance(given, ast.JoinedStr) and given.values else given
        if isinstance(first, ast.Constant) and isinstance(first.value, str) and first.value.startswith(lacks.OF_OTHERS):
            self.checker.tell("lacks", module, node, f"{node.func.attr}({ast.unparse(given)[:60]})", *lacks.NO_ADDRESS)

    def _of_other(self, module: Module, node: ast.AST) -> None:
        """Tells of another plugin that is used, unless it stands in the same folder."""
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "self.get_plugin":
            given = node.args[0] if node.args else checks.keywords(node).get("name")
            if not isinstance(given, ast.Constant) or given.value not in {plug.name for plug in self.plugs}:
                self.checker.tell("lacks", module, node, "self.get_plugin", *lacks.OF_SELF["plugins"])

    def _mapping(self, node: ast.AST) -> None:
        """Notes whether the plugin keeps something: it is itself a mapping."""
        def is_self(one: Optional[ast.AST]) -> bool:
            return isinstance(one, ast.Name) and one.id == "self"

        is_kept = isinstance(node, ast.Subscript) and is_self(node.value)
        is_kept |= isinstance(node, ast.Compare) and any(is_self(one) for one in node.comparators)
        is_kept |= isinstance(node, (ast.For, ast.comprehension)) and is_self(node.iter)
        is_kept |= isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and is_self(node.func.value) and node.func.attr in MAPPING
        is_kept |= isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("len", "list", "sorted", "dict") \
            and any(is_self(one) for one in node.args)
        self.draft.keeps |= is_kept

    def _settings(self, module: Module, node: ast.ClassDef) -> dict:
        # It may be the method of a class that this one inherits from.
        found = ((*kind, one) for kind in self.lineage(module, node) for one in kind[1].body if isinstance(one, tree.FUNCTIONS))
        module, node, function = next((one for one in found if one[2].name == "get_configuration_template"), (module, node, None))
        if function is None:
            return {}
        try:
            template = tree.returned(function, node, module)
            if template is None:
                return {}
            if not isinstance(template, dict):
                raise ValueError("it is no dict")
            for key, value in template.items():
                if isinstance(value, str) and NAME_OF_OTHERS.fullmatch(value):
                    self.checker.tell("check", module, function, f"the default of {key}: {value!r}"[:100], *lacks.NO_ADDRESS)
            return settings_of({str(key): value for key, value in template.items()}, {}, self.draft)
        except (ValueError, TypeError, SyntaxError, RecursionError):
            self.checker.tell("lacks", module, function, "get_configuration_template()", "its value is computed, and cannot be read here",
                              "write `[settings.NAME]` in plugin.toml, and its name in plugin.py")
            return {}

    def _webhooks(self, module: Module, node: ast.ClassDef) -> dict:
        found: dict[str, str] = {}
        # Of several methods of one name, a class has the last one.
        several = [(owner, {one.name: one for one in kind.body if isinstance(one, tree.FUNCTIONS)}) for owner, kind in self.lineage(module, node)]
        methods = [(owner, one) for owner, own in several for one in own.values()]
        names: set[str] = set()
        for module, function in methods:
            # A method of the class itself takes the place of those that it inherits.
            is_hidden = function.name in names
            names.add(function.name)
            for one in () if is_hidden else function.decorator_list:
                call = one if isinstance(one, ast.Call) else None
                if DECORATORS.get(module.dotted(call.func if call else one) or "") != "webhook":
                    continue
                given = checks.keywords(call) if call else {}
                rule = call.args[0] if call and call.args else given.get("uri_rule")
                text = rule.value if isinstance(rule, ast.Constant) and isinstance(rule.value, str) else function.name
                if checks.may_be_true(given.get("raw")):
                    self.raw.update(one.arg for one in function.args.args[1:2])
                name = self.draft.webhook(function.name, _methods(given.get("methods")))
                found[function.name] = name
                if "<" in text:
                    self.draft.paths.add(name)
                    self.checker.tell("check", module, one, f"@webhook({text!r})", lacks.BELOW, f"/{text.strip('/')} below the address of the webhook {name}")
                self.checker.tell("check", module, one, f"the webhook {name}", "nobody verifies who sends, as before: `verify = \"none\"`",
                                  "a secret, by `verify` and `secret` in plugin.toml")
        return found


def _methods(node: Optional[ast.expr]) -> list[str]:
    names = [one.value for one in ast.walk(node) if isinstance(one, ast.Constant)] if node is not None else []
    return [one for one in names if one in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")] or ["POST"]
