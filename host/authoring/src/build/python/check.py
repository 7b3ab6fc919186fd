"""Finds invalid Python in a plugin's folder, before seconds are spent on its component. It runs none of the code."""

import ast
import re
import sys
import traceback
import warnings
from pathlib import Path

# The version in the component. An older one on the machine does not know all of its syntax.
THEIRS = (3, 14)
# The oldest version whose missing syntax is known, see below.
OLDEST = (3, 11)

NEWER_LINE = re.compile(r"\bexcept\b|\btype\s+\w+\s*[=\[]|[ftFT][rR]?['\"]|[rR][ftFT]['\"]")
NEWER_FILE = re.compile(r"^\s*(?:async\s+def|def|class|type)\s+\w+\s*\[", re.MULTILINE)

REFUSED = 3


def may_be_newer(error: SyntaxError, text: str) -> bool:
    """Returns whether the plugin's own Python may accept what this one does not."""
    if error.lineno is None:
        # Without a line there is nothing to show.
        return True
    if sys.version_info >= THEIRS:
        return False
    # Lines as Python counts them: a form feed does not end one.
    lines = "\n".join(re.split(r"\r\n?|\n", text)[error.lineno - 1 : (error.end_lineno or error.lineno)])
    # Older versions also lack some names of characters.
    is_text = any(part in str(error.msg) for part in ("f-string", "triple-quoted", "unknown Unicode"))
    return sys.version_info < OLDEST or is_text or bool(NEWER_LINE.search(lines) or NEWER_FILE.search(text))


def imported(tree: ast.Module, file: Path) -> list[Path]:
    """Returns the files of the folder that a module imports unconditionally."""
    found = []
    for node in tree.body:
        names, place = [], Path()
        if isinstance(node, ast.Import):
            names = [one.name for one in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            names = [base] + [f"{base}.{one.name}" for one in node.names]
            if node.level:
                place = file.parents[min(node.level, len(file.parents)) - 1]
        for name in names:
            # In a component the standard library comes before the plugin's folder.
            if name.partition(".")[0] in sys.stdlib_module_names and not place.parts:
                continue
            path = place
            for part in filter(None, name.split(".")):
                path = path / part
                package = path / "__init__.py"
                found.append(package if package.is_file() else path.with_name(f"{part}.py"))
    return found


def look() -> None:
    warnings.simplefilter("ignore")
    sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    unread, seen = [Path("plugin.py")], set()
    while unread:
        file = unread.pop()
        if file in seen or not file.is_file():
            continue
        seen.add(file)
        text = file.read_bytes()
        try:
            tree = ast.parse(text, file)
            compile(tree, file, "exec", dont_inherit=True)
            unread += imported(tree, file)
        except SyntaxError as error:
            if not may_be_newer(error, text.decode("utf-8-sig", errors="replace")):
                print("Traceback (most recent call last):")
                print(*traceback.format_exception_only(error), sep="", end="")
                sys.exit(REFUSED)
        except (ValueError, RecursionError, MemoryError):
            # The plugin's own Python reports these errors.
            pass


look()
