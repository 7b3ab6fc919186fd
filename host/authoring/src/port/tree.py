"""The sources of a plugin as trees: modules, classes, functions, and the dotted names of what is imported."""

import ast
import copy
import re
import sys
import warnings
from dataclasses import dataclass, field
from typing import Any, Iterable, Iterator, Optional, Union

import fstrings

Function = Union[ast.FunctionDef, ast.AsyncFunctionDef]
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
#: The nodes whose bodies run later, or in a scope of their own.
SCOPES = (*FUNCTIONS, ast.Lambda, ast.ClassDef)
#: How far names that stand for each other are followed.
DEEPEST = 8


@dataclass
class Finding:
    """Something to tell the author about a line."""

    #: `lacks`, `package`, `check` or `changed`.
    kind: str
    file: str
    line: int
    what: str
    why: str
    instead: str

    def as_json(self) -> dict:
        return dict(self.__dict__)


@dataclass
class Module:
    """A file with Python's source."""

    #: The path in the plugin's folder, with `/`.
    path: str
    #: The dotted name by which the plugin imports it.
    name: str
    text: str
    tree: ast.Module
    #: The text as the author wrote it, which has f-strings of a later version than the machine's.
    written: str
    #: Local names, with the dotted names of what they stand for.
    aliases: dict[str, str] = field(default_factory=dict)
    #: The constants at the top, by their names.
    constants: dict[str, ast.expr] = field(default_factory=dict)
    classes: dict[str, ast.ClassDef] = field(default_factory=dict)
    #: The modules of the plugin, by their names.
    others: "dict[str, Module]" = field(default_factory=dict)

    def dotted(self, node: Optional[ast.AST]) -> Optional[str]:
        """Returns the dotted name that an expression stands for, as far as imports tell."""
        if isinstance(node, ast.Name):
            return self.aliases.get(node.id)
        if isinstance(node, ast.Attribute):
            base = self.dotted(node.value)
            return None if base is None else _of_python(f"{base}.{node.attr}")
        return None


def _of_python(name: str) -> str:
    """Returns the name in Python 3 of a module that has another name in the package six."""
    return name.removeprefix("six.moves.") if name.startswith("six.moves.urllib.") else name


def module_name(path: str) -> str:
    name = path.removesuffix(".py").removesuffix("/__init__")
    return name.replace("/", ".")


def parse(path: str, text: str) -> Module:
    """Parses a file. `SyntaxError`, `ValueError`, `RecursionError` or `MemoryError`: it cannot be parsed."""
    read, made = _read(path, text)
    module = Module(path, module_name(path), read, made, text)
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for one in node.names:
                top = one.name.partition(".")[0]
                module.aliases[one.asname or top] = _of_python(one.name) if one.asname else top
        elif isinstance(node, ast.ImportFrom):
            base = absolute(module, node)
            for one in node.names:
                module.aliases[one.asname or one.name] = _of_python(f"{base}.{one.name}" if base else one.name)
    for node in module.tree.body:
        if isinstance(node, ast.ClassDef):
            module.classes[node.name] = node
    module.constants = assigned(module.tree.body)
    return module


def _read(path: str, text: str) -> tuple[str, ast.Module]:
    """Returns the tree of a file, and the text that it is the tree of. Plugins run in a later version of Python than the machine may have."""
    try:
        return text, _parsed(path, text)
    except SyntaxError as error:
        read = text if sys.version_info >= (3, 12) else fstrings.earlier(text)
        if read == text:
            raise
        try:
            return read, _parsed(path, read)
        except SyntaxError:
            raise error from None


def _parsed(path: str, text: str) -> ast.Module:
    made = ast.parse(text, path)
    # The parser takes more than Python does, such as `await` outside of `async def`. Nothing is run.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compile(made, path, "exec", dont_inherit=True)
    return made


def is_outside(module: Module, node: ast.ImportFrom) -> bool:
    """Returns whether a relative import leads out of the packages that the module is in."""
    return node.level > module.name.count(".") + module.path.endswith("__init__.py")


def absolute(module: Module, node: ast.ImportFrom) -> str:
    """Returns the dotted name of the module that a `from … import` names."""
    if not node.level:
        return node.module or ""
    parts = module.name.split(".")
    if not module.path.endswith("__init__.py"):
        parts = parts[:-1]
    parts = parts[: len(parts) - (node.level - 1)]
    return ".".join([*parts, *([node.module] if node.module else [])])


def assigned(body: list[ast.stmt]) -> dict[str, ast.expr]:
    """Returns the values that statements give to simple names, the first of each."""
    found: dict[str, ast.expr] = {}
    for node in body:
        targets, value = [], None
        if isinstance(node, ast.Assign):
            targets, value = node.targets, node.value
        elif isinstance(node, ast.AnnAssign):
            targets, value = [node.target], node.value
        for target in targets:
            if isinstance(target, ast.Name) and value is not None:
                found.setdefault(target.id, value)
    return found


def given(nodes: Iterable[ast.AST]) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Yields each target of an assignment and of a `with`, with its value."""
    for node in nodes:
        if isinstance(node, ast.Assign):
            yield from ((target, node.value) for target in node.targets)
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            yield node.target, node.value
        elif isinstance(node, (ast.With, ast.AsyncWith)):
            yield from ((one.optional_vars, one.context_expr) for one in node.items if one.optional_vars is not None)


def dotted_names(module: Module) -> Iterator[tuple[str, int]]:
    """Yields the dotted names that stand for something imported, with their lines: not those of a function's own variables."""
    unread: list[tuple[ast.AST, frozenset[str]]] = [(module.tree, frozenset())]
    while unread:
        node, own = unread.pop()
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            name = module.dotted(node)
            if name is not None and _first(node) not in own:
                yield name, node.lineno
        if isinstance(node, (*FUNCTIONS, ast.Lambda)):
            # Its decorators and defaults belong to what is around it.
            outside = [*getattr(node, "decorator_list", []), node.args]
            unread += ((one, own) for one in outside)
            inner = own | _variables(node)
            unread += ((one, inner) for one in ast.iter_child_nodes(node) if one not in outside)
        else:
            unread += ((one, own) for one in ast.iter_child_nodes(node))


def _first(node: ast.AST) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _variables(function: "Function | ast.Lambda") -> set[str]:
    """Returns the names that a function gives values to: its arguments and its variables."""
    found = {one.arg for one in ast.walk(function.args) if isinstance(one, ast.arg)}
    if isinstance(function, FUNCTIONS):
        found |= {one.id for one in within(function) if isinstance(one, ast.Name) and not isinstance(one.ctx, ast.Load)}
    return found


def within(node: ast.AST) -> Iterator[ast.AST]:
    """Yields the nodes of a function's body that run when it does: none of inner functions, lambdas and classes."""
    unread = list(ast.iter_child_nodes(node))
    if isinstance(node, FUNCTIONS):
        unread = list(node.body)
    while unread:
        one = unread.pop()
        yield one
        if not isinstance(one, SCOPES):
            unread += ast.iter_child_nodes(one)


def functions(module: Module) -> Iterator[tuple[Function, list[ast.AST]]]:
    """Yields each function with the functions and classes around it, the outermost first."""
    unread: list[tuple[ast.AST, list[ast.AST]]] = [(module.tree, [])]
    while unread:
        node, around = unread.pop()
        if isinstance(node, FUNCTIONS):
            yield node, around
        inner = [*around, node] if isinstance(node, (*FUNCTIONS, ast.ClassDef)) else around
        unread += ((one, inner) for one in ast.iter_child_nodes(node))


def passed(function: Function, call: ast.Call) -> Iterator[tuple[str, ast.expr]]:
    """Yields the parameters of a function that a call gives values, with these."""
    names = [one.arg for one in function.args.args]
    if names[:1] in (["self"], ["cls"]) and (isinstance(call.func, ast.Attribute) or function.name == "__init__"):
        names = names[1:]
    yield from zip(names, call.args)
    yield from ((one.arg, one.value) for one in call.keywords if one.arg is not None)


def decorators(module: Module, function: Function) -> set[Optional[str]]:
    """Returns the names of a function's decorators; one of them is None if it is of no module."""
    return {module.dotted(one.func if isinstance(one, ast.Call) else one) for one in function.decorator_list}


def is_standard(name: str) -> bool:
    return name in sys.stdlib_module_names or name == "__future__"


def means_package(module: Module) -> bool:
    """Whether a file imports something of its own name: that is a package, since errbot gave plugins other names."""
    return "." not in module.name and not module.path.endswith("__init__.py") and any(name.partition(".")[0] == module.name for name, *_ in imports(module))


def imports(module: Module) -> Iterator[tuple[str, int, bool, bool]]:
    """Yields what the module imports: the dotted name, its line, whether it may be missing, and whether it is imported later, by a
    function."""
    unread: list[tuple[ast.AST, bool, bool]] = [(module.tree, False, False)]
    while unread:
        node, may_miss, is_late = unread.pop()
        if isinstance(node, ast.Import):
            for one in node.names:
                yield one.name, node.lineno, may_miss, is_late
        elif isinstance(node, ast.ImportFrom):
            base = absolute(module, node)
            for one in node.names:
                yield f"{base}.{one.name}" if base else one.name, node.lineno, may_miss, is_late
        children = list(ast.iter_child_nodes(node))
        if isinstance(node, ast.If) and _is_of_python_2(node.test):
            # Its branch is never taken.
            children = list(node.orelse)
        if isinstance(node, ast.If) and ast.unparse(node.test).rpartition(".")[2] == "TYPE_CHECKING":
            children = list(node.orelse)
        if isinstance(node, ast.Try) and any(_catches_import(one) for one in node.handlers):
            unread += ((one, True, is_late) for one in node.body)
            children = [one for one in children if one not in node.body]
        unread += ((one, may_miss, is_late or isinstance(node, FUNCTIONS)) for one in children)


def used(module: Module, name: str) -> set[str]:
    """Returns the names of a module of Python that are used: the one that `from … import` names, or all attributes of the module."""
    top, _, last = name.partition(".")
    if last:
        return {last}
    aliases = {one for one, meant in module.aliases.items() if meant == top}
    nodes = list(ast.walk(module.tree))
    attributes = [one.attr for one in nodes if isinstance(one, ast.Attribute) and isinstance(one.value, ast.Name) and one.value.id in aliases]
    # It may also be passed on as a whole.
    whole = sum(isinstance(one, ast.Name) and one.id in aliases for one in nodes)
    return {*attributes} if attributes and whole == len(attributes) else {*attributes, top}


def chosen(module: Module) -> Iterator[tuple[ast.expr, str]]:
    """Yields the functions of calls that import a module which the plugin chooses while it runs, with the beginning of its name."""
    for call in ast.walk(module.tree):
        if not isinstance(call, ast.Call) or module.dotted(call.func) != "importlib.import_module" or not call.args:
            continue
        first = call.args[0].values[0] if isinstance(call.args[0], ast.JoinedStr) and call.args[0].values else call.args[0]
        first = first.left if isinstance(first, ast.BinOp) else first
        text = first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""
        given = next((one.value for one in call.keywords if one.arg == "package"), call.args[1] if len(call.args) > 1 else None)
        package = given.value if isinstance(given, ast.Constant) and isinstance(given.value, str) else ""
        if isinstance(given, ast.Name) and given.id in ("__package__", "__name__"):
            package = module.name if module.path.endswith("__init__.py") or given.id == "__name__" else module.name.rpartition(".")[0]
        name = text.lstrip(".")
        if package and text.startswith("."):
            parts = package.split(".")
            name = ".".join([*parts[: len(parts) - (len(text) - len(name) - 1)], name])
        if name and (name == text or package):
            yield call.func, name


def may_be_chosen(name: str, beginning: str) -> bool:
    """Whether a module may be one whose name has this beginning."""
    return name == beginning or name.startswith(beginning) and "." not in name[len(beginning) :]


def _is_of_python_2(test: ast.expr) -> bool:
    return isinstance(test, ast.Name) and test.id == "PY2"


def around(whole: ast.AST) -> dict[ast.AST, ast.AST]:
    """Returns, by each node of a tree, the node that it is a part of."""
    return {inner: outer for outer in ast.walk(whole) for inner in ast.iter_child_nodes(outer)}


def keyed(node: ast.AST) -> Optional[tuple[ast.expr, str]]:
    """Returns the owner and the key of `owner["key"]` and of `owner.get("key")`. None: it is neither, or the key is no text of the source."""
    owner: Optional[ast.expr] = None
    key: Optional[ast.expr] = None
    if isinstance(node, ast.Subscript):
        owner, key = node.value, node.slice
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get" and node.args:
        owner, key = node.func.value, node.args[0]
    return (owner, key.value) if owner is not None and isinstance(key, ast.Constant) and isinstance(key.value, str) else None


def lines_for_others(module: Module) -> set[int]:
    """Returns the lines that are for other versions of Python, or that stand beside an import that may fail."""
    found: set[int] = set()
    for node in ast.walk(module.tree):
        is_choice = isinstance(node, (ast.If, ast.IfExp)) and re.search(r"\bPY[23]\b|version_info|python_version", ast.unparse(node.test))
        if isinstance(node, ast.Try):
            are_imports = all(isinstance(one, (ast.Import, ast.ImportFrom)) for one in node.body)
            is_choice = any(_catches_missing(one) or are_imports and _catches_import(one) for one in node.handlers)
        if is_choice:
            found.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return found


def bound(module: Module) -> set[str]:
    """Returns the names that the module gives values to, anywhere."""
    found = {one.arg for one in ast.walk(module.tree) if isinstance(one, ast.arg)}
    found |= {one.id for one in ast.walk(module.tree) if isinstance(one, ast.Name) and not isinstance(one.ctx, ast.Load)}
    return found | {one.name for one in ast.walk(module.tree) if isinstance(one, (*FUNCTIONS, ast.ClassDef))}


def _catches_missing(handler: ast.ExceptHandler) -> bool:
    """Whether it is for a name or a module that another version of Python has."""
    names = ("NameError", "ImportError", "ModuleNotFoundError")
    return handler.type is not None and any(isinstance(one, ast.Name) and one.id in names for one in ast.walk(handler.type))


def _catches_import(handler: ast.ExceptHandler) -> bool:
    names = [] if handler.type is None else [one.id for one in ast.walk(handler.type) if isinstance(one, ast.Name)]
    return handler.type is None or any(one in ("ImportError", "ModuleNotFoundError", "Exception") for one in names)


class _Known(ast.NodeTransformer):
    """Puts known values in the place of names, and displays in that of `dict(a=1)`."""

    def __init__(self, module: Module, known: dict[str, ast.expr], depth: int) -> None:
        self.module = module
        self.known = known
        self.depth = depth

    def _value(self, node: ast.expr) -> ast.expr:
        module, known = self.module, self.known
        value = known.get(ast.unparse(node))
        if value is None:
            # A constant of another module.
            base, _, name = (module.dotted(node) or "").rpartition(".")
            if base not in module.others or name not in module.others[base].constants:
                return node
            module = module.others[base]
            known, value = module.constants, module.constants[name]
        if self.depth >= DEEPEST:
            raise ValueError("its names stand for each other")
        return _Known(module, known, self.depth + 1).visit(copy.deepcopy(value))

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._value(node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        return self._value(node)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        if isinstance(node.func, ast.Name) and node.func.id == "dict" and not node.args and all(one.arg for one in node.keywords):
            return ast.Dict([ast.Constant(one.arg) for one in node.keywords], [self.visit(one.value) for one in node.keywords])
        if self.module.dotted(node.func) in ("os.environ.get", "os.getenv") and not node.keywords:
            # There is no environment.
            return self.visit(node.args[1]) if len(node.args) == 2 else ast.Constant(None)
        return node


def literal(node: Optional[ast.expr], module: Module, known: Optional[dict[str, ast.expr]] = None) -> object:
    """Returns the value of an expression of literals, constants and names that are known. `ValueError`: it is none."""
    if node is None:
        raise ValueError("it has no value")
    return ast.literal_eval(_Known(module, {**module.constants, **(known or {})}, 0).visit(copy.deepcopy(node)))


def constant(module: Module, node: ast.expr) -> tuple[Module, ast.expr]:
    """Returns the value of a constant, which may be one of another module, and the module that has it. Any other expression is returned as it is."""
    for _ in range(DEEPEST):
        base, _dot, name = (module.dotted(node) or "").rpartition(".")
        owner = module.others.get(base)
        if isinstance(node, ast.Name) and node.id in module.constants:
            owner, name = module, node.id
        if owner is None or name not in owner.constants:
            break
        module, node = owner, owner.constants[name]
    return module, node


def returned(function: Function, owner: ast.ClassDef, module: Module) -> object:
    """Returns the value that a method returns, if it only puts it together of literals and names. `ValueError`: it computes more."""
    known = {f"{of}.{name}": value for name, value in assigned(owner.body).items() for of in ("self", "cls", owner.name)}
    own: dict[str, Any] = {}
    for node in function.body:
        if isinstance(node, ast.Return):
            shown = {name: _expression(value) for name, value in own.items()}
            return literal(node.value, module, {**known, **shown})
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        targets = [node.target] if isinstance(node, ast.AnnAssign) else node.targets if isinstance(node, ast.Assign) else []
        value = node.value if isinstance(node, (ast.Assign, ast.AnnAssign)) else None
        if len(targets) != 1 or value is None or any(isinstance(one, ast.Name) and one.id in own for one in ast.walk(value)):
            # It computes, or two names may be one mapping, which is changed by either.
            raise ValueError("it is computed")
        target = targets[0]
        if isinstance(target, ast.Name):
            own[target.id] = literal(value, module, known)
        elif isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name) and isinstance(own.get(target.value.id), dict):
            # `template["key"] = …`
            own[target.value.id] = {**own[target.value.id], literal(target.slice, module, known): literal(value, module, known)}
        else:
            raise ValueError("it is computed")
    raise ValueError("it returns nothing")


def _expression(value: object) -> ast.expr:
    return ast.parse(repr(value), mode="eval").body
