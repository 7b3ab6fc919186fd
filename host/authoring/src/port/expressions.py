"""Regular expressions in the text of a plugin that Python does not take: at the first use, or when the plugin is imported, it would fail."""

import ast
import re
import warnings
from typing import Optional

import checks
import tree
from tree import Module

#: The functions and decorators that take an expression, with the names of that parameter. It is the first one, or only given by its name.
TAKES = {
    **{f"re.{name}": "pattern" for name in ("compile", "search", "match", "fullmatch", "findall", "finditer", "sub", "subn", "split")},
    "maubot.handlers.command.passive": "regex", "errbot.botmatch": "pattern",
}
BY_NAME = {"errbot.re_botcmd": "pattern"}
#: The most characters of an expression that is read.
LONGEST = 5_000


def run(checker: checks.Checker) -> None:
    """Tells of the expressions that are written as texts, and that Python refuses."""
    for module in checker.modules:
        apart = tree.lines_for_others(module)
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.Call) or node.lineno in apart:
                continue
            given = _given(module, node)
            text = tree.constant(module, given)[1] if given is not None else None
            if not isinstance(text, ast.Constant) or not isinstance(text.value, (str, bytes)) or len(text.value) > LONGEST:
                continue
            has_flags = len(node.args) > 1 or "flags" in checks.keywords(node)
            reason = _refused(text.value, has_flags)
            if reason:
                is_flag = "flags" in reason.lower()
                checker.tell("lacks", module, node, f"the expression {text.value!r}"[:100], f"Python refuses it: {reason}",
                             "the flags at its beginning, such as `(?i)`" if is_flag else "a `\\` before each sign that stands for itself")


def _given(module: Module, call: ast.Call) -> Optional[ast.expr]:
    """Returns the expression that a call is given."""
    name = module.dotted(call.func) or ""
    by_name = TAKES.get(name) or BY_NAME.get(name)
    if by_name is None:
        return None
    return checks.keywords(call).get(by_name) or (call.args[0] if call.args and name in TAKES else None)


def _refused(text: "str | bytes", has_flags: bool) -> str:
    """Returns why Python refuses an expression; nothing, if it takes it. One with flags may be written with comments."""
    reasons = []
    for flags in (0, re.VERBOSE) if has_flags else (0,):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                # Versions before 3.11 only warn of flags that do not stand at the beginning.
                warnings.filterwarnings("error", category=DeprecationWarning)
                re.compile(text, flags)
        except (re.error, DeprecationWarning) as error:
            reasons.append(str(error))
        except Exception:
            # It is too large, or too deep: nothing is said of it.
            return ""
        else:
            return ""
    return reasons[0][:100]
