"""Finds the functions that have to wait, and writes `async` and `await` where they stand.

A plugin has no threads: a call that takes time is awaited. The frameworks that plugins come from let a function block, as
`requests.get` and `time.sleep` do. So each function that makes such a call, and each that calls one of these, becomes an `async def`,
and the calls get an `await`. Nothing else of the source changes.
"""

import ast
import builtins
import re
from types import SimpleNamespace
from typing import Any, Collection, Iterator, Optional

import sessions
import surface
import tree
from tree import Finding, Function, Module

#: The calls that wait.
SUSPENDS = {
    *(f"requests.{name}" for name in ("get", "post", "put", "delete", "patch", "head", "options", "request")),
    "time.sleep",
    "urllib.request.urlopen",
}
#: The calls that make an object whose methods wait, and these methods.
SESSIONS = {"requests.Session", "requests.session", "requests.sessions.Session"}
OF_SESSIONS = {"get", "post", "put", "delete", "patch", "head", "options", "request"}

#: Decorators whose functions may be `async`.
DECORATORS = {"staticmethod", "classmethod", "abc.abstractmethod"}
#: Calls that take a function and await what it returns.
TAKERS = {"start_poller", "stop_poller"}
#: Those that take one to run it in a thread, which the layer awaits.
THREADS = {"run_in_executor", "to_thread"}
#: The words before what another function yields.
DELEGATION = re.compile(rb"yield[ \t]+from\b[ \t]*")
#: How many functions may give a session on.
_MOST_STEPS = 5
#: Methods of Python's own types: a call of this name is hardly one of the plugin's.
COMMON = {name for kind in (str, bytes, list, dict, set, int) for name in dir(kind)} | {"read", "write", "close"}


class Sources:
    """All modules of the plugin together."""

    def __init__(self, modules: list[Module], framework: tuple[str, ...]) -> None:
        self.modules = modules
        self.framework = framework
        self.findings: list[Finding] = []
        #: Each function with its module and what is around it.
        self.functions: dict[Function, tuple[Module, list[ast.AST]]] = {}
        self.methods: dict[str, list[tuple[ast.ClassDef, Function]]] = {}
        self.tops: dict[tuple[str, str], Function] = {}
        self.classes: dict[tuple[str, str], ast.ClassDef] = {}
        self.bases: dict[ast.ClassDef, list[ast.ClassDef]] = {}
        for module in modules:
            for name, node in module.classes.items():
                self.classes[(module.name, name)] = node
            for function, around in tree.functions(module):
                self.functions[function] = (module, around)
                if around and isinstance(around[-1], ast.ClassDef):
                    self.methods.setdefault(function.name, []).append((around[-1], function))
                elif not around:
                    self.tops[(module.name, function.name)] = function
        for module in modules:
            for node in module.classes.values():
                self.bases[node] = [one for one in (self.class_of(module, base) for base in node.bases) if one]
        self.sessions = {module.path: holders(module, SESSIONS) for module in modules}
        #: By a function, a class or a module, and an expression: the values that are assigned to it there.
        self._assigned: dict[ast.AST, dict[str, list[ast.expr]]] = {}
        self._sessions_of_functions()
        self._held = sessions.Held(modules, self.sessions, SESSIONS, self.takers)
        self.waiting = self._waiting()

    def class_of(self, module: Module, node: ast.expr) -> Optional[ast.ClassDef]:
        if isinstance(node, ast.Name) and node.id in module.classes:
            return module.classes[node.id]
        base, _, name = (module.dotted(node) or "").rpartition(".")
        return self.classes.get((base, name))

    def _sessions_of_functions(self) -> None:
        """Adds the expressions that are given what a function of the plugin returns, if that is a session."""
        for _ in range(_MOST_STEPS):
            makers = {
                function for function, (module, _) in self.functions.items()
                if any(self._is_session(module, one.value) for one in _returns(function) if one.value is not None)
            }
            added = False
            for function, (module, around) in self.functions.items() if makers else ():
                known = self.sessions[module.path]
                for target, value in tree.given(tree.within(function)):
                    if isinstance(value, ast.Call) and not makers.isdisjoint(self.called(module, [*around, function], value)):
                        added |= ast.unparse(target) not in known
                        known.add(ast.unparse(target))
            if not added:
                return

    def _is_session(self, module: Module, node: ast.expr) -> bool:
        return ast.unparse(node) in self.sessions[module.path] or isinstance(node, ast.Call) and module.dotted(node.func) in SESSIONS

    def _values(self, scope: ast.AST, shown: str) -> list[ast.expr]:
        """Returns the values that an expression is given within a function, a class or a module."""
        if scope not in self._assigned:
            # Functions within it may have other variables of the same names: these are left out.
            nodes = tree.within(scope) if isinstance(scope, tree.FUNCTIONS) else scope.body if isinstance(scope, ast.Module) else ast.walk(scope)
            found: dict[str, list[ast.expr]] = {}
            for target, value in tree.given(nodes):
                found.setdefault(ast.unparse(target), []).append(value)
            self._assigned[scope] = found
        return self._assigned[scope].get(shown, [])

    def _made(self, module: Module, around: list[ast.AST], node: ast.expr) -> Optional[set[ast.ClassDef]]:
        """Returns the classes of the plugin whose objects an expression is given. None: it may be anything else."""
        shown = ast.unparse(node)
        is_own = isinstance(node, ast.Attribute)
        for scope in [*reversed(around), module.tree]:
            if is_own != isinstance(scope, ast.ClassDef):
                continue
            if isinstance(scope, tree.FUNCTIONS) and shown in {one.arg for one in ast.walk(scope.args) if isinstance(one, ast.arg)}:
                return None
            given = self._values(scope, shown)
            values = [one for one in given if not isinstance(one, ast.Constant) or one.value is not None]
            kinds = [self.class_of(module, one.func) if isinstance(one, ast.Call) else None for one in values]
            if values:
                # A loop may give it others.
                stored = [one for one in ast.walk(scope) if isinstance(one, ast.Name) and one.id == shown and isinstance(one.ctx, ast.Store)]
                return None if None in kinds or not is_own and len(stored) > len(given) else {one for one in kinds if one is not None}
        return None

    def family(self, node: ast.ClassDef) -> set[ast.ClassDef]:
        """Returns a class with those that it inherits from, and those that inherit from it."""
        found, unread = {node}, [node]
        while unread:
            one = unread.pop()
            near = self.bases.get(one, []) + [other for other, bases in self.bases.items() if one in bases]
            unread += [other for other in near if other not in found]
            found.update(near)
        return found

    def above(self, node: ast.ClassDef) -> set[ast.ClassDef]:
        """Returns the classes that a class inherits from, without those of the layer."""
        found: set[ast.ClassDef] = set()
        unread = list(self.bases.get(node, []))
        while unread:
            one = unread.pop()
            if one is not node and one not in found:
                found.add(one)
                unread += self.bases.get(one, [])
        return found

    def alike(self, function: Function) -> list[Function]:
        """Returns the methods that a call of this one may mean as well: whoever awaits one of them awaits all."""
        _, around = self.functions[function]
        if not around or not isinstance(around[-1], ast.ClassDef):
            return []
        family = self.family(around[-1])
        return [other for of, other in self.methods.get(function.name, []) if of in family and other is not function]

    def _waiting(self) -> set[Function]:
        calls: dict[Function, list[Function]] = {}
        own: list[Function] = []
        for function, (module, around) in self.functions.items():
            for call in _calls(function):
                if self.suspends(module, [*around, function], call):
                    own.append(function)
                for called in self.called(module, [*around, function], call):
                    calls.setdefault(called, []).append(function)
        waiting: set[Function] = set()
        refused: set[Function] = set()
        unread = list(own)
        while unread:
            function = unread.pop()
            if function in waiting or function in refused:
                continue
            if isinstance(function, ast.AsyncFunctionDef):
                # Its callers await it already.
                waiting.add(function)
            elif self._may_wait(function):
                waiting.add(function)
                unread += [*calls.get(function, []), *self.alike(function)]
            else:
                refused.add(function)
        return waiting

    def suspends(self, module: Module, around: list[ast.AST], call: ast.Call) -> bool:
        name = module.dotted(call.func)
        if name in SUSPENDS:
            return True
        function = call.func
        is_session = isinstance(function, ast.Attribute) and function.attr in OF_SESSIONS
        return is_session and self._held.has(module, around, function.value)

    def takers(self, module: Module, around: list[ast.AST], call: ast.Call) -> list[Function]:
        """Returns the plugin's functions that are given the values of a call, also if it makes an object."""
        kind = self.class_of(module, call.func)
        if kind is None:
            return self.called(module, around, call)
        own = [function for of, function in self.methods.get("__init__", []) if of is kind]
        return own or [function for of, function in self.methods.get("__init__", []) if of in self.above(kind)]

    def called(self, module: Module, around: list[ast.AST], call: ast.Call) -> list[Function]:
        """Returns the plugin's functions that a call may mean."""
        return self.meant(module, around, call.func)

    def meant(self, module: Module, around: list[ast.AST], node: ast.expr) -> list[Function]:
        if isinstance(node, ast.Name):
            for scope in reversed(around):
                if isinstance(scope, tree.FUNCTIONS):
                    inner = [one for one in tree.within(scope) if isinstance(one, tree.FUNCTIONS) and one.name == node.id]
                    if inner:
                        return inner
            top = self.tops.get((module.name, node.id))
            if top is None:
                base, _, name = module.aliases.get(node.id, "").rpartition(".")
                top = self.tops.get((base, name))
            return [top] if top else []
        if not isinstance(node, ast.Attribute):
            return []
        base, name = (module.dotted(node) or "").rpartition(".")[::2]
        if (base, name) in self.tops:
            return [self.tops[(base, name)]]
        if f"{base}.".startswith(self.framework):
            # A method of the layer, such as `BotPlugin.activate(self)`.
            return []
        known = self.methods.get(node.attr, [])
        possible = self._owners(module, around, node.value)
        if possible is not None:
            return [function for of, function in known if of in possible]
        # Of an object that nothing is known of: only if it can be no other.
        return [known[0][1]] if len(known) == 1 and node.attr not in COMMON else []

    def _owners(self, module: Module, around: list[ast.AST], node: ast.expr) -> Optional[set[ast.ClassDef]]:
        """Returns the classes whose method an attribute of this may be. None: nothing is known of it."""
        inmost = next((one for one in reversed(around) if isinstance(one, ast.ClassDef)), None)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "super":
            # Never the method that calls it, nor that of the layer's class, which does not wait.
            return None if inmost is None else self.above(inmost)
        if isinstance(node, ast.Name) and node.id in ("self", "cls"):
            return None if inmost is None else self.family(inmost)
        named = self.class_of(module, node)
        is_held = isinstance(node, ast.Name) or isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self"
        kinds = {named} if named is not None else self._made(module, around, node) if is_held else None
        return None if kinds is None else kinds.union(*(self.above(one) for one in kinds))

    def may_mean(self, module: Module, around: list[ast.AST], node: ast.expr) -> list[str]:
        """Returns the classes whose methods of this name wait, if the source does not tell which of several classes a call means."""
        if not isinstance(node, ast.Attribute) or node.attr in COMMON or f"{module.dotted(node)}.".startswith(self.framework):
            return []
        known = self.methods.get(node.attr, [])
        if len(known) < 2 or isinstance(node.value, ast.Call) or self._owners(module, around, node.value) is not None:
            return []
        return [of.name for of, function in known if function in self.waiting and isinstance(function, ast.FunctionDef)]

    def _may_wait(self, function: Function) -> bool:
        """Returns whether a function may become `async`, and tells why not."""
        module, around = self.functions[function]
        why = None
        is_method = bool(around) and isinstance(around[-1], ast.ClassDef)
        if is_method and function.name.startswith("__") and function.name.endswith("__"):
            why = f"Python calls {function.name} itself, and does not await it"
        for one in function.decorator_list:
            name = ast.unparse(one.func if isinstance(one, ast.Call) else one)
            dotted = module.dotted(one.func if isinstance(one, ast.Call) else one) or name
            if not {name, dotted} & DECORATORS and not dotted.startswith(self.framework) and not _of_command(name):
                why = f"@{name} makes something else of it"
        if is_generator(function):
            body = list(tree.within(function))
            statements = {one.value for one in body if isinstance(one, ast.Expr)}
            if any(isinstance(one, ast.YieldFrom) and (one not in statements or _delegates(module, one) is None) for one in body):
                why = "an `async def` has no `yield from`, and this one has no line of its own, or gives a value"
            # Of a command of errbot that yields, only that is an answer: it drops the value.
            elif _returns(function) and not tree.decorators(module, function) & surface.COMMANDS:
                why = "an `async def` that yields cannot return a value"
        if why is None:
            return True
        self.findings.append(Finding(
            "lacks", module.path, function.lineno, f"{function.name}() waits", why,
            "write it so that it can be an `async def`: what it calls has to be awaited"))
        return False


def _of_command(name: str) -> bool:
    # `@points.subcommand(…)`, where `points` is a command of the plugin itself.
    return name.rpartition(".")[2] in ("subcommand", "callback", "argument")


def holders(module: Module, makers: Collection[str]) -> set[str]:
    """Returns the expressions to which the result of one of these functions is assigned, also by `with`."""
    pairs = tree.given(ast.walk(module.tree))
    return {ast.unparse(target) for target, value in pairs if isinstance(value, ast.Call) and module.dotted(value.func) in makers}


def is_generator(function: Function) -> bool:
    return any(isinstance(one, (ast.Yield, ast.YieldFrom)) for one in tree.within(function))


def _delegates(module: Module, node: ast.YieldFrom) -> Optional[int]:
    """Returns how many bytes the words `yield from` have, if nothing else than a comment stands on the lines of this statement."""
    lines = module.text.split("\n")
    first, last = lines[node.lineno - 1].encode(), lines[(node.end_lineno or 1) - 1].encode()
    words = DELEGATION.match(first, node.col_offset)
    is_alone = not first[: node.col_offset].strip() and (last[node.end_col_offset :].strip() or b"#").startswith(b"#")
    return words.end() - words.start() if words is not None and is_alone else None


def _returns(function: Function) -> list[ast.Return]:
    """The returns of a function that give a value."""
    return [one for one in tree.within(function) if isinstance(one, ast.Return) and one.value is not None]


def _calls(node: ast.AST) -> Iterator[ast.Call]:
    return (one for one in tree.within(node) if isinstance(one, ast.Call))


class Rewriter:
    """Writes `async` and `await` into one module."""

    def __init__(self, sources: Sources, module: Module) -> None:
        self.sources = sources
        self.module = module
        self.lines = [line.encode() for line in module.text.split("\n")]
        #: The insertions: line, column in bytes, order at one place, the text, and how many bytes it replaces.
        self.edits: list[tuple[int, int, int, str, int]] = []
        self.changed: set[int] = set()

    def tell(self, node: Any, what: str, why: str, instead: str) -> None:
        self.sources.findings.append(Finding("lacks", self.module.path, node.lineno, what, why, instead))

    def run(self) -> str:
        """Returns the text with all changes."""
        self._walk(self.module.tree, [], False, set())
        if not self.edits:
            return self.module.written
        by_line: dict[int, list[tuple[int, int, str, int]]] = {}
        for line, *edit in self.edits:
            by_line.setdefault(line, []).append(tuple(edit))
        lines = list(self.lines)
        for line, edits in by_line.items():
            text = lines[line - 1]
            for column, _, put, replaced in sorted(edits, reverse=True):
                text = text[:column] + put.encode() + text[column + replaced :]
            lines[line - 1] = text
        text = b"\n".join(lines).decode()
        try:
            compile(text, self.module.path, "exec", dont_inherit=True)
        except SyntaxError as error:
            self.tell(SimpleNamespace(lineno=error.lineno or 1), "it waits", f"what waits there cannot be awaited: {error.msg}", "write it anew with `await`")
            return self.module.written
        for line in sorted(self.changed):
            self.sources.findings.append(Finding(
                "changed", self.module.path, line, lines[line - 1].decode().strip()[:200], "it waits, and is awaited now", ""))
        return text

    def _walk(self, node: ast.AST, around: list[ast.AST], is_apart: bool, done: set[ast.AST]) -> None:
        """`is_apart`: the node stands where nothing can be awaited, such as in a lambda."""
        if isinstance(node, ast.Call):
            if node not in done:
                self._call(node, around, is_apart)
            done.add(node.func)
            done.update(_taken(node))
        elif isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Load) and node not in done:
            self._value(node, around)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.YieldFrom):
            self._delegation(node.value, around)
        elif isinstance(node, ast.FunctionDef) and node in self.sources.waiting:
            self._edit(node.lineno, node.col_offset, 0, "async ")
            self._drop(_returns(node) if is_generator(node) else [])
        if isinstance(node, (ast.For, ast.comprehension)) and isinstance(node.iter, ast.Call):
            self._loop(node, node.iter, around)
        apart = is_apart or isinstance(node, (ast.Lambda, ast.GeneratorExp))
        if isinstance(node, tree.FUNCTIONS):
            # Its decorators and defaults belong to what is around it.
            for one in [*node.decorator_list, node.args, *([node.returns] if node.returns else [])]:
                self._walk(one, around, is_apart, done)
            for one in node.body:
                self._walk(one, [*around, node], False, done)
            return
        inner = [*around, node] if isinstance(node, ast.ClassDef) else around
        for one in ast.iter_child_nodes(node):
            self._walk(one, inner, apart, done)

    def _waits(self, call: ast.Call, around: list[ast.AST]) -> bool:
        if self.sources.suspends(self.module, around, call):
            return True
        called = self.sources.called(self.module, around, call)
        # A function that was `async` before is awaited by its author.
        return any(one in self.sources.waiting and isinstance(one, ast.FunctionDef) for one in called)

    def _call(self, call: ast.Call, around: list[ast.AST], is_apart: bool) -> None:
        if not self._waits(call, around):
            if owners := self.sources.may_mean(self.module, around, call.func):
                self.sources.findings.append(Finding(
                    "check", self.module.path, call.lineno, f"{ast.unparse(call.func)[:100]}()",
                    f"several classes have this method, and it waits in {' and '.join(sorted(owners)[:5])}: the source does not tell which one is meant",
                    "`await`, if it is such a one"))
            return
        shown = ast.unparse(call.func)[:100]
        function = next((one for one in reversed(around) if isinstance(one, tree.FUNCTIONS)), None)
        inmost = around[-1] if around else None
        if is_apart:
            self.tell(call, f"{shown}() waits", "a lambda and a generator expression cannot await", "write a loop in its place")
        elif function is None or inmost is not function:
            self.tell(call, f"{shown}() waits", "it stands outside of functions, which runs while the plugin is built: there is no host yet",
                      "call it in `activate` or `start`")
        elif function not in self.sources.waiting:
            self.tell(call, f"{shown}() waits", f"{function.name} cannot be an `async def`", "see what is told of that function")
        elif any(is_generator(one) for one in self.sources.called(self.module, around, call)):
            return
        elif self._is_there(call):
            self._edit(call.lineno, call.col_offset, 0, "(await ")
            self._edit(call.end_lineno, call.end_col_offset, 1, ")")
            self.changed.add(call.lineno)
        else:
            self.tell(call, f"{shown}() waits", "its place in a text cannot be told", "give its result a name in a line before, with `await`")

    def _is_there(self, call: ast.Call) -> bool:
        """Returns whether the text there is the call: older versions of Python are wrong about places in f-strings."""
        text = ast.get_source_segment(self.module.text, call)
        try:
            return text is not None and ast.dump(ast.parse(f"({text})", mode="eval").body) == ast.dump(call)
        except (SyntaxError, ValueError):
            return False

    def _yields(self, call: ast.Call, around: list[ast.AST]) -> bool:
        """Whether a call is one of a function that yields, and waits now."""
        called = self.sources.called(self.module, around, call)
        return any(one in self.sources.waiting and isinstance(one, ast.FunctionDef) and is_generator(one) for one in called)

    def _loop(self, node: "ast.For | ast.comprehension", call: ast.Call, around: list[ast.AST]) -> None:
        if not self._yields(call, around):
            return
        function = next((one for one in reversed(around) if isinstance(one, tree.FUNCTIONS)), None)
        if isinstance(node, ast.For) and function in self.sources.waiting:
            self._edit(node.lineno, node.col_offset, 0, "async ")
            self.changed.add(node.lineno)
        else:
            self.tell(call, f"{ast.unparse(call.func)[:100]}() yields and waits", "a plain loop cannot await it", "write `async for`")

    def _delegation(self, node: ast.YieldFrom, around: list[ast.AST]) -> None:
        """Makes a loop of `yield from`, which an `async def` does not have."""
        function = next((one for one in reversed(around) if isinstance(one, tree.FUNCTIONS)), None)
        size = _delegates(self.module, node)
        if not isinstance(function, ast.FunctionDef) or function not in self.sources.waiting or size is None:
            return
        waits = isinstance(node.value, ast.Call) and self._yields(node.value, around)
        self._edit(node.lineno, node.col_offset, 0, f"{'async ' if waits else ''}for parlor_one in ", size)
        self._edit(node.end_lineno, node.end_col_offset, 2, ": yield parlor_one")
        self.changed.add(node.lineno)

    def _value(self, node: ast.expr, around: list[ast.AST]) -> None:
        if isinstance(node, ast.Attribute) and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")):
            return
        if isinstance(node, ast.Name) and hasattr(builtins, node.id):
            return
        meant = self.sources.meant(self.module, around, node)
        if any(one in self.sources.waiting and isinstance(one, ast.FunctionDef) for one in meant):
            self.tell(node, f"{ast.unparse(node)[:100]} is handed on", "it waits, and whoever calls it does not await it",
                      "call it yourself, with `await`")

    def _drop(self, returns: list[ast.Return]) -> None:
        """Makes the returns of a generator give nothing, as an `async def` cannot give a value there. Nobody gets it before, either."""
        for one in returns:
            behind = self.lines[one.lineno - 1][one.col_offset + len("return") :]
            self._edit(one.lineno, one.col_offset, 0, "", len("return") + len(behind) - len(behind.lstrip()))
            self._edit(one.end_lineno, one.end_col_offset, 2, "; return")
            self.sources.findings.append(Finding(
                "check", self.module.path, one.lineno, ast.unparse(one)[:100], "of a function that yields, only that is an answer, as in errbot: nobody is told this",
                "`yield` in its place, if people are to read it"))

    def _edit(self, line: Optional[int], column: Optional[int], order: int, text: str, replaced: int = 0) -> None:
        self.edits.append((line or 1, column or 0, order, text, replaced))


def _taken(call: ast.Call) -> list[ast.AST]:
    """Returns what is passed to a function that awaits it if need be: functions, and the calls of functions without a name."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else call.func.id if isinstance(call.func, ast.Name) else ""
    if name not in TAKERS | THREADS:
        return []
    given: list[ast.AST] = [*call.args, *(one.value for one in call.keywords)]
    for one in given if name in THREADS else ():
        if isinstance(one, ast.Lambda):
            given.append(one.body)
        elif isinstance(one, ast.Call) and ast.unparse(one.func).rpartition(".")[2] == "partial":
            given += one.args
    return given
