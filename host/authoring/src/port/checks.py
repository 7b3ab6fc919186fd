"""Finds uses of things that the layer lacks, line by line."""

import ast
import re
from typing import Iterable, Optional, Sequence

import lacks
import of_packages
import tree
from manifest import Draft
from tree import Finding, Module

#: The names that commands may have.
COMMAND = re.compile(r"[^\W_][\w-]{0,31}\Z")

#: A media type.
KIND = re.compile(r"[a-z]+/[a-z0-9][a-z0-9.+-]{0,99}")

#: The names of servers in `aiohttp`, also by the modules that they come from.
WEB = re.compile(r"aiohttp\.(web(_request|_response|_exceptions)?|abc)\.")

#: The author of a message, and the names of those who may do something.
AUTHOR = re.compile(r"\.(sender|state_key|frm|nick|person|aclattr|fullname|username)\b(?!\()")
ALLOWED = re.compile(r"(?i)config\b|admin|owner|allow|whitelist|moderator|permit|authori[sz]ed|trusted")
#: The address of an author, also as a text, and what says nothing about rights: the account itself, another author, or nobody.
ADDRESS = re.compile(r"(?:str\()?(?:\w+\.)*(?:sender|frm(?:\.(?:person|aclattr))?)\)?\Z")
NO_RIGHT = re.compile(r"\.mxid\b|bot_identifier\b|\b(?:sender|frm)\b|\ANone\Z")

#: The methods of paths that read and write files.
PATHS = {"read_text", "read_bytes", "write_text", "write_bytes"}

#: The frameworks, and the SDK.
OURS = {"errbot", "maubot", "mautrix", "parlor"}
INSTEAD_OF_PACKAGE = "in the plugin's folder: `pip install --target . NAME`; it has to be all Python, and read no files while it runs"


class Checker:
    """Collects what one plugin lacks."""

    def __init__(self, modules: list[Module], has_web: bool = False, named: Sequence[str] = (), files: Sequence[str] = ()) -> None:
        self.modules = modules
        #: The packages that the plugin itself names, and the paths of the files that come with it.
        self.named = list(named)
        self.files = list(files)
        #: The paths of modules that Python does not read, each with the line and the reason.
        self.unread: dict[str, tuple[int, str]] = {}
        #: Its webhooks may use the names of a package for web servers.
        self.has_web = has_web
        self.siblings = {module.name.partition(".")[0] for module in modules}
        self.findings: list[Finding] = []
        #: Parts of the layer that the plugin needs, and modules that it imports while it runs.
        self.parts: set[str] = set()
        self.late: set[str] = set()
        #: Those that it chooses while it runs. It needs no others.
        self.chosen: set[str] = set()
        #: Expressions that others tell of.
        self.apart: set[ast.AST] = set()
        #: Modules of the layer that replace functions of Python.
        self.replaced: set[str] = set()
        #: Packages that have to be added, by their names for pip.
        self.packages: set[str] = set()
        #: Whether it imports any package that is not part of Python.
        self.needs_others = False
        # For errbot, asyncpg and SQLAlchemy are packages for servers of databases.
        self._packages = {*lacks.PACKAGES_OF_LAYER} - {"asyncpg"} if has_web else {*lacks.PACKAGES_OF_LAYER, "sqlalchemy"}
        # A plugin may well have a module called so, such as one for a game.
        self._packages -= {"magic"} & self.siblings
        self._told: set[tuple[str, int, str]] = set()
        #: The names of all functions of the plugin.
        self._own_methods = {function.name for module in modules for function, _ in tree.functions(module)}

    def tell(self, kind: str, module: Module, node: "ast.AST | int", what: str, why: str, instead: str) -> None:
        line = node if isinstance(node, int) else getattr(node, "lineno", 1)
        if (module.path, line, what) not in self._told:
            self._told.add((module.path, line, what))
            self.findings.append(Finding(kind, module.path, line, what, why, instead))

    def needs(self, module: Module, node: "ast.AST | int", what: str, why: str, package: Optional[str]) -> None:
        """Notes that a package has to be added. None: its name is not known."""
        if package is not None:
            self.packages.add(package)
        self.tell("package", module, node, what, why, self._instead(what, package))

    def _instead(self, module: str, package: Optional[str]) -> str:
        """How to add a package."""
        if package is not None:
            return INSTEAD_OF_PACKAGE.replace("NAME", package)
        several = f": the plugin names {', '.join(self.named[:10])}" if self.named else ""
        return f"find out which package has the module {module}, which anybody may publish one called so{several}; it has to be all Python"

    def run(self) -> None:
        for module in self.modules:
            self._imports(module)
            self._calls(module)
            self._old(module)

    def _imports(self, module: Module) -> None:
        for name, line, may_miss, is_late in tree.imports(module):
            top = name.partition(".")[0]
            gone = lacks.MODULES_GONE.get(name) or lacks.CALLS.get(name)
            if gone is not None and gone[0] == lacks.GONE and not may_miss and top not in self.siblings:
                self.tell("lacks", module, line, name, *gone)
            if WEB.match(name) and name.rpartition(".")[2] not in lacks.WEB:
                self.tell("lacks", module, line, name, *lacks.not_in_web(name))
            if top in lacks.WEB_OF_ERRBOT and top not in self.siblings and self.has_web:
                self.parts.add(top)
                last = name.partition(".")[2]
                if last and last not in lacks.WEB_OF_ERRBOT[top]:
                    self.tell("lacks", module, line, name, *lacks.NO_WEB_SERVER)
                continue
            if top in OURS or top in self._packages:
                self.parts.add("maubot" if top == "mautrix" else top)
                self._of_package(module, line, name)
                continue
            if name.startswith(("urllib.request", "six.moves.urllib")):
                self.replaced.add("opened")
            if top == "time":
                self.replaced.add("slept")
            if top in lacks.ZONES and top not in self.siblings:
                package, part = lacks.ZONES[top]
                self.replaced.add(part)
                self.needs(module, line, package, lacks.IN_PACKAGE, package)
                if is_late:
                    self.late.add(top)
                continue
            if top in lacks.MODULES_OF_PYTHON_2 and top not in self.siblings:
                if not may_miss and line not in tree.lines_for_others(module):
                    self.tell("lacks", module, line, top, lacks.OF_PYTHON_2, lacks.MODULES_OF_PYTHON_2[top])
                continue
            known = _longest(name, lacks.MODULES)
            is_own = top in self.siblings and not (self.has_web and top == module.name and tree.means_package(module))
            if is_own and not known:
                if is_late:
                    self.late.add(name if any(one.name == name for one in self.modules) else name.rpartition(".")[0] or name)
            elif known == "threading" and (locks := tree.used(module, name)) <= lacks.LOCKS:
                if "Lock" in locks:
                    self.tell("check", module, line, "threading.Lock", *lacks.LOCK)
            elif known:
                self.tell("lacks", module, line, known, *lacks.MODULES[known])
            elif tree.is_standard(top):
                if is_late:
                    self.late.add(top)
            elif may_miss:
                self.needs_others = True
                self.tell("check", module, line, top, "the package is not there, and the plugin goes on without it",
                          self._instead(top, of_packages.package(top, self.named)))
            elif top in lacks.FOREIGN:
                self.tell("lacks", module, line, top, *lacks.FOREIGN[top])
            else:
                self.needs_others = True
                self.needs(module, line, top, "the package is not part of Python", of_packages.package(top, self.named))

    def _calls(self, module: Module) -> None:
        done = self._chosen(module) | self.apart
        for node in ast.walk(module.tree):
            if node in done:
                continue
            if isinstance(node, ast.Attribute):
                name = module.dotted(node)
                if (name or "").startswith("urllib.request."):
                    # Others had imported it, where `import urllib` was enough.
                    self.replaced.add("opened")
                if name in lacks.CALLS:
                    # `environ.get` is told once, and not as `environ` besides.
                    done.add(node.value)
                if name in lacks.CALLS and self._is_whole(module, node):
                    self.tell("lacks", module, node, name, *lacks.CALLS[name])
                if node.attr == "run_in_executor" or name == "asyncio.to_thread":
                    self._at_once(module, node)
                self._of_web(module, node, name)
            elif isinstance(node, ast.Name) and module.aliases.get(node.id) == "asyncio.to_thread":
                self._at_once(module, node)
            elif isinstance(node, ast.Name) and module.aliases.get(node.id) in lacks.CALLS:
                name = module.aliases[node.id]
                self.tell("lacks", module, node, name, *lacks.CALLS[name])
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "open":
                is_read = of_packages.is_read(module, node, self.files)
                if "open" not in module.aliases and not is_read and not self._runs_at_build(module, node):
                    self.tell("lacks", module, node, "open()", "there are no files", lacks.FILES)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in PATHS:
                self._path(module, node, node.func)

    def _path(self, module: Module, call: ast.Call, function: ast.Attribute) -> None:
        """Tells of a file that is read or written by the methods of paths."""
        is_there = function.attr.startswith("read") and of_packages.is_named(module, function.value, self.files)
        if function.attr not in self._own_methods and not is_there and not self._runs_at_build(module, call):
            self.tell("lacks", module, call, f".{function.attr}()", "there are no files", lacks.FILES)

    def _at_once(self, module: Module, node: ast.expr) -> None:
        """Has functions that were to run in threads run at once."""
        self.replaced.add("at_once")
        self.tell("check", module, node, ast.unparse(node)[:100], *lacks.AT_ONCE)

    def _chosen(self, module: Module) -> set[ast.AST]:
        """Has modules imported while the plugin is built that it chooses while it runs. Returns the expressions that do so."""
        found: set[ast.AST] = set()
        for function, beginning in tree.chosen(module):
            names = [one.name for one in self.modules if tree.may_be_chosen(one.name, beginning)]
            if names:
                found.add(function)
                self.chosen.update(names)
                self.tell("check", module, function, f"modules such as {names[0]}", *lacks.CHOSEN)
        return found

    def _old(self, module: Module) -> None:
        """Tells of names and methods that newer versions of Python no longer have."""
        apart = tree.lines_for_others(module)
        bound = {*module.aliases, *tree.bound(module)}
        for node in ast.walk(module.tree):
            if getattr(node, "lineno", 0) in apart:
                continue
            if isinstance(node, ast.Attribute) and node.attr in lacks.METHODS_OF_PYTHON_2 and not _is_six(module, node.value):
                self.tell("lacks", module, node, f".{node.attr}()", lacks.OF_PYTHON_2, lacks.METHODS_OF_PYTHON_2[node.attr])
            elif isinstance(node, ast.Name) and node.id in lacks.NAMES_OF_PYTHON_2 and node.id not in bound:
                self.tell("lacks", module, node, node.id, lacks.OF_PYTHON_2, lacks.NAMES_OF_PYTHON_2[node.id])
            elif isinstance(node, tree.FUNCTIONS):
                self._ended(module, node)
            if isinstance(node, ast.ImportFrom) and tree.is_outside(module, node):
                named = f"{node.module or ''}"
                self.tell("lacks", module, node, f"from {'.' * node.level}{named}", *lacks.OUTSIDE)
            if isinstance(node, ast.Call):
                self._old_call(module, node)
            if isinstance(node, tree.FUNCTIONS) and node.name in lacks.VISITS:
                self.tell("lacks", module, node, f"{node.name}()", f"`ast.NodeVisitor` does not call it: {lacks.GONE}",
                          f"`visit_Constant`, with `node.value` in the place of `node.{lacks.VISITS[node.name]}`")

    def _old_call(self, module: Module, call: ast.Call) -> None:
        """Tells of methods and options that are gone from Python."""
        name = module.dotted(call.func) or ""
        method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        if method in lacks.METHODS_GONE and method not in self._own_methods and not name:
            needs, instead = lacks.METHODS_GONE[method]
            if any(meant.startswith(needs) for meant in module.aliases.values()):
                self.tell("lacks", module, call, f".{method}()", lacks.GONE, instead)
        for option in keywords(call):
            if (name, option) in lacks.OPTIONS_GONE:
                self.tell("lacks", module, call, f"{name}({option}=…)", lacks.GONE, lacks.OPTIONS_GONE[name, option])

    def _ended(self, module: Module, function: tree.Function) -> None:
        """Tells of generators that end as they did in earlier versions of Python."""
        nodes = list(tree.within(function))
        if not any(isinstance(one, (ast.Yield, ast.YieldFrom)) for one in nodes):
            return
        for one in nodes:
            raised = one.exc if isinstance(one, ast.Raise) else None
            if isinstance(raised, ast.Call):
                raised = raised.func
            if isinstance(raised, ast.Name) and raised.id == "StopIteration":
                self.tell("lacks", module, one, ast.unparse(one), *lacks.ENDED)

    def _is_whole(self, module: Module, node: ast.Attribute) -> bool:
        # `os.environ.get` is told once, and not as `os.environ` besides.
        return (module.dotted(node) or "") != "os.environ" or not any(
            isinstance(one, ast.Attribute) and one.value is node and f"os.environ.{one.attr}" in lacks.CALLS for one in ast.walk(module.tree))

    def _of_web(self, module: Module, node: ast.Attribute, name: Optional[str]) -> None:
        base, _, last = (name or "").rpartition(".")
        package, *inner = base.split(".")
        if package in self._packages and set(inner) <= lacks.MODULES_OF_LAYER.get(package, set()):
            self._of_package(module, node, f"{base}.{last}")
        if self.has_web and base in lacks.WEB_OF_ERRBOT and last not in lacks.WEB_OF_ERRBOT[base]:
            self.tell("lacks", module, node, f"{base}.{last}", *lacks.NO_WEB_SERVER)
        if base == "aiohttp.web" and last not in lacks.WEB:
            self.tell("lacks", module, node, f"aiohttp.web.{last}", *lacks.not_in_web(last))

    def _of_package(self, module: Module, node: "ast.AST | int", name: str) -> None:
        """Tells of a name of a package that the layer has in part."""
        package, *inner = name.split(".")
        known = lacks.PACKAGES_OF_LAYER.get(package)
        while inner and inner[0] in lacks.MODULES_OF_LAYER.get(package, ()):
            inner = inner[1:]
        if known is not None and inner and inner[0] not in known and inner != ["*"] and not name.startswith(("aiohttp.web", "aiohttp.abc.", "aiohttp.hdrs")):
            self.tell("lacks", module, node, name, "the layer does not have it", lacks.IN_PLACE_OF.get(package, "`parlor.http`"))

    def _runs_at_build(self, module: Module, node: ast.AST) -> bool:
        return not any(node in ast.walk(function) for function, _ in tree.functions(module))

    def names(self, prefix: tuple[str, ...], known: dict[str, set[str]], lacking: dict[str, tuple[str, str]]) -> None:
        """Checks what is used of the framework's own modules: what is imported, and what stands behind the name of a module."""
        for module in self.modules:
            used = [(name, line, may_miss) for name, line, may_miss, _ in tree.imports(module)]
            for name, line in tree.dotted_names(module):
                is_module = any(one == name or one.startswith(f"{name}.") for one in known)
                if not is_module and name.rpartition(".")[0] in known:
                    used.append((name, line, False))
            for name, line, may_miss in used:
                if name.partition(".")[0] not in prefix:
                    continue
                base, _, last = name.rpartition(".")
                if name in known or base in known and (last in known[base] or last == "*"):
                    continue
                told = _longest(name, lacking)
                if may_miss:
                    # The plugin goes on without it.
                    continue
                if told:
                    self.tell("lacks", module, line, name, *lacking[told])
                else:
                    self.tell("lacks", module, line, name, "the layer does not know it", _in_place_of(module, name))


def _in_place_of(module: Module, name: str) -> str:
    """Returns what to do about an import that the layer does not have: it also fails if nothing uses it."""
    local = next((one for one, meant in module.aliases.items() if meant == name), None)
    is_idle = local is not None and len(re.findall(rf"\b{re.escape(local)}\b", module.text)) == 1
    return "the import without it: nothing else in the file has that name" if is_idle else "see what parlor offers: reference/README.md"


def _longest(name: str, table: Iterable[str]) -> Optional[str]:
    found = [one for one in table if name == one or name.startswith(f"{one}.")]
    return max(found, key=len) if found else None


def class_named(checker: Checker, module: Module, base: ast.expr) -> Optional[tuple[Module, ast.ClassDef]]:
    """Returns a class of the plugin by an expression that stands for it."""
    if isinstance(base, ast.Name) and base.id in module.classes:
        return module, module.classes[base.id]
    name, _, last = (module.dotted(base) or "").rpartition(".")
    other = next((one for one in checker.modules if one.name == name), None)
    return (other, other.classes[last]) if other is not None and last in other.classes else None


def lineage(checker: Checker, module: Module, node: ast.ClassDef) -> list[tuple[Module, ast.ClassDef]]:
    """Returns a class with those that it inherits from, as far as the plugin has them."""
    found = [(module, node)]
    for owner, kind in found:
        for base in kind.bases:
            inner = class_named(checker, owner, base)
            if inner is not None and inner not in found and len(found) < 50:
                found.append(inner)
    return found


def has_open_base(checker: Checker, module: Module, node: ast.ClassDef) -> bool:
    """Whether a class inherits from one that is neither the plugin's own nor one of the layer."""
    for owner, kind in lineage(checker, module, node):
        for base in kind.bases:
            name = owner.dotted(base) or ""
            if class_named(checker, owner, base) is None and name.partition(".")[0] not in ("errbot", "maubot", "abc") and ast.unparse(base) != "object":
                return True
    return False


def who_may(checker: Checker, draft: Draft, module: Module, node: ast.AST, instead: str) -> None:
    """Tells of a comparison of an author with others, who may be a list of those who may do something: people in rooms choose their nicknames."""
    if not isinstance(node, ast.Compare) or len(node.ops) != 1 or not isinstance(node.ops[0], (ast.In, ast.NotIn, ast.Eq, ast.NotEq)):
        return
    sides = [ast.unparse(one) for one in (node.left, node.comparators[0])]
    for author, allowed in (sides, sides[::-1]):
        is_address = ADDRESS.match(author) is not None and NO_RIGHT.search(allowed) is None
        # The layer asks the room for the address of the author.
        draft.knows_people |= is_address
        if is_address or AUTHOR.search(author) and ALLOWED.search(allowed):
            checker.tell("check", module, node, ast.unparse(node)[:100], lacks.BY_NAME, instead)
            return


def command_name(checker: Checker, module: Module, node: ast.AST, name: str) -> None:
    """Tells of a name that no command can have."""
    if not COMMAND.match(name):
        checker.tell("lacks", module, node, f"the command {name}", "a name has 1 to 32 letters, digits, `-` and `_`", "another name")
    elif name == "help":
        checker.tell("lacks", module, node, "the command help", "it is the host's own, and lists all commands", "another name")


def uploads(checker: Checker, draft: Draft, module: Module, call: ast.Call, what: str, given: Optional[ast.expr]) -> None:
    """Notes the media type that a file is uploaded with."""
    kind = given.value if isinstance(given, ast.Constant) and isinstance(given.value, str) else ""
    kind = kind.partition(";")[0].strip().lower()
    checker.tell("check", module, call, what, *lacks.PLAIN_FILES)
    if not KIND.fullmatch(kind):
        kind = "*"
        checker.tell("check", module, call, "the files that it uploads", *lacks.ANY_FILES)
    draft.uploads.add(kind)


def keywords(call: ast.Call) -> dict[str, ast.expr]:
    return {one.arg: one.value for one in call.keywords if one.arg}


def is_true(node: Optional[ast.expr]) -> bool:
    return isinstance(node, ast.Constant) and bool(node.value)


def may_be_true(node: Optional[ast.expr]) -> bool:
    """Whether a value is given that is true, or that only the running plugin knows."""
    return node is not None and (not isinstance(node, ast.Constant) or bool(node.value))


def _is_six(module: Module, node: ast.AST) -> bool:
    """Whether it is the package six, whose functions have the names of methods of Python 2."""
    return isinstance(node, ast.Name) and module.aliases.get(node.id, "") == "six"
