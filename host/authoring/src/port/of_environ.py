"""Environment variables that a plugin reads: they become settings in plugin.toml."""

import ast
from typing import Optional

import checks
import lacks
import tree
from manifest import Draft, settings_of
from tree import Module

#: The calls that read one.
CALLS = ("os.environ.get", "os.getenv")


def run(checker: checks.Checker, draft: Draft) -> dict[str, str]:
    """Adds settings for the variables that functions read. Returns, by their names, the names of the settings. A variable that is read while the plugin
    is built has no settings yet."""
    found: list[tuple[Module, ast.AST, str, Optional[str]]] = []
    at_build: set[str] = set()
    for module in checker.modules:
        later = {one for function, _ in tree.functions(module) for one in tree.within(function)}
        for node in ast.walk(module.tree):
            name, default = _read(module, node)
            if name is None:
                continue
            if node in later:
                found.append((module, node, name, default))
            else:
                at_build.add(name)
    names: dict[str, str] = {}
    for module, node, name, default in found:
        if name in at_build:
            continue
        if name not in names:
            several = [one for *_, other, one in found if other == name and one is not None]
            try:
                [(setting, _)] = settings_of({name: several[0] if several else None}, {}, draft).values()
            except ValueError:
                # There are too many settings: those that are left are told as lacking.
                break
            names[name] = setting
        checker.apart.update(ast.walk(node))
        checker.tell("check", module, node, f"the environment variable {name}", *lacks.ENVIRONMENT)
    return names


def _read(module: Module, node: ast.AST) -> tuple[Optional[str], Optional[str]]:
    """Returns the name of the variable that an expression reads, and its default, if that is a text."""
    given: list[ast.expr] = []
    if isinstance(node, ast.Call) and module.dotted(node.func) in CALLS:
        given = [*node.args, *(one.value for one in node.keywords if one.arg == "default")]
    elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load) and module.dotted(node.value) == "os.environ":
        given = [node.slice]
    elif isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], (ast.In, ast.NotIn)):
        given = [node.left] if module.dotted(node.comparators[0]) == "os.environ" else []
    texts = [one.value if isinstance(one, ast.Constant) and isinstance(one.value, str) else None for one in given[:2]]
    name, default = (*texts, None, None)[:2]
    return name or None, default
