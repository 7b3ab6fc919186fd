"""Flows of errbot: their classes, and the commands that they consist of."""

import ast
from typing import TYPE_CHECKING, Iterator

import checks
import lacks
import tree
from tree import Module

if TYPE_CHECKING:
    from of_errbot import Errbot

#: The modules that have the decorator.
BOTFLOW = {"errbot.botflow", "errbot.flow.botflow"}


def run(errbot: "Errbot") -> None:
    """Finds the classes with flows, and tells what of them does not work."""
    commands = [_commands(errbot, module, module.classes[kind]) for module, kind, *_ in errbot.found]
    known = set().union(*commands) if commands else set()
    is_whole = not any(checks.has_open_base(errbot.checker, module, module.classes[kind]) for module, kind, *_ in errbot.found)
    for module in errbot.checker.modules:
        for name, node in module.classes.items():
            if not errbot.inherits(module, node, "BotFlow"):
                continue
            errbot.flows.append((module, name))
            # People are told what they may write next.
            errbot.draft.has_prefix = True
            errbot.checker.tell("check", module, node, f"the flows of {name}", *lacks.FLOWS)
            for function in (one for one in node.body if isinstance(one, tree.FUNCTIONS) and _is_flow(module, one)):
                steps = {step.lower(): where for step, where in _steps(function)}
                for step, where in steps.items() if is_whole else ():
                    if step not in known or not any(one.issuperset(known & set(steps)) for one in commands):
                        errbot.checker.tell("lacks", module, where, f"the step {step} of the flow {function.name}", *lacks.NO_STEP)


def _is_flow(module: Module, function: tree.Function) -> bool:
    return not tree.decorators(module, function).isdisjoint(BOTFLOW)


def _steps(function: tree.Function) -> Iterator[tuple[str, ast.AST]]:
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "connect" and node.args:
            if isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str):
                yield node.args[0].value, node


def _commands(errbot: "Errbot", module: Module, node: ast.ClassDef) -> set[str]:
    """Returns the names of the commands of a class, and of the methods that they are."""
    found = set()
    for owner, kind in errbot.lineage(module, node):
        for function in (one for one in kind.body if isinstance(one, tree.FUNCTIONS)):
            for one in function.decorator_list:
                if errbot.step_of(owner, one) is not None:
                    found.add(function.name.lower())
                    named = checks.keywords(one).get("name") if isinstance(one, ast.Call) else None
                    if isinstance(named, ast.Constant):
                        found.add(str(named.value).lower())
    return found
