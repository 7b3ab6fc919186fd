"""The expressions that hold sessions, which make requests: also in functions and objects of the plugin's own that are given one."""

import ast
from typing import Callable, Collection, Optional

import tree
from tree import Function, Module

#: How often a session that is passed on is followed.
DEEPEST = 8


class Held:
    """The expressions that hold sessions of some kinds, by modules and functions."""

    def __init__(
        self, modules: list[Module], begun: dict[str, set[str]], kinds: Collection[str], takers: Callable[[Module, list[ast.AST], ast.Call], list[Function]],
        ends: tuple[str, ...] = (),
    ) -> None:
        """`begun`: by the paths of modules, the expressions that are known to hold one. `kinds`: the classes of sessions. `takers`: the functions of
        the plugin that a call gives its values. `ends`: the ends of expressions that hold one wherever they stand."""
        self._of_modules = begun
        self._kinds = kinds
        self._takers = takers
        self._ends = ends
        #: The parameters and names of functions.
        self._of_functions: dict[ast.AST, set[str]] = {}
        for module in modules:
            # Fields of a class, such as those of `dataclass`.
            fields = (one.target for one in ast.walk(module.tree) if isinstance(one, ast.AnnAssign) and self._is_kind(module, one.annotation))
            begun[module.path] |= {f"self.{one.id}" for one in fields if isinstance(one, ast.Name)}
        functions = [(module, function, around) for module in modules for function, around in tree.functions(module)]
        for module, function, _ in functions:
            given = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
            self._of_functions[function] = {one.arg for one in given if self._is_kind(module, one.annotation)}
        for _ in range(DEEPEST):
            if not any([self._pass_on(*one) for one in functions]):
                break

    def has(self, module: Module, around: list[ast.AST], node: ast.AST) -> bool:
        """Whether an expression holds a session, in a function that is given with what is around it."""
        if isinstance(node, ast.Call):
            return module.dotted(node.func) in self._kinds
        if not isinstance(node, (ast.Name, ast.Attribute)):
            return False
        shown = ast.unparse(node)
        return shown in self._of_modules[module.path] or shown.endswith(self._ends) or any(shown in self._of_functions.get(one, ()) for one in around)

    def _is_kind(self, module: Module, annotation: Optional[ast.expr]) -> bool:
        """Whether an annotation says that something is a session. It may also be a text or an optional one."""
        if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
            name = annotation.value
            return name in self._kinds or module.aliases.get(name) in self._kinds
        parts = [] if annotation is None else [one for one in ast.walk(annotation) if isinstance(one, (ast.Name, ast.Attribute))]
        # A list of sessions is none.
        is_one = not isinstance(annotation, ast.Subscript) or ast.unparse(annotation.value).rpartition(".")[2] in ("Optional", "Union")
        return is_one and any(module.dotted(one) in self._kinds for one in parts)

    def _pass_on(self, module: Module, function: Function, around: list[ast.AST]) -> bool:
        """Notes what a function gives a session to. Returns whether that is new."""
        inside = [*around, function]
        is_new = False
        for target, value in tree.given(tree.within(function)):
            if self.has(module, inside, value) and not self.has(module, inside, target):
                own = self._of_modules[module.path] if isinstance(target, ast.Attribute) else self._of_functions[function]
                own.add(ast.unparse(target))
                is_new = True
        for call in (one for one in tree.within(function) if isinstance(one, ast.Call)):
            values = [*call.args, *(one.value for one in call.keywords)]
            for other in self._takers(module, inside, call) if any(self.has(module, inside, one) for one in values) else ():
                given = {name for name, value in tree.passed(other, call) if self.has(module, inside, value)}
                is_new |= not given <= self._of_functions[other]
                self._of_functions[other] |= given
        return is_new
