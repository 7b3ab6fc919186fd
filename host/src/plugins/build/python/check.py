"""Finds what is no Python in a plugin's folder, before seconds go into a component of it; it runs nothing of it."""

import ast
import re
import sys
import traceback
import warnings
from pathlib import Path

# The one in the component. An older one, as a machine may have, does not know all that it reads.
THEIRS = (3, 14)
# The oldest of which is known what it does not know: that is below.
OLDEST = (3, 11)

NEWER_LINE = re.compile(r"\bexcept\b|\btype\s+\w+\s*[=\[]|[ftFT][rR]?['\"]|[rR][ftFT]['\"]")
NEWER_FILE = re.compile(r"^\s*(?:async\s+def|def|class|type)\s+\w+\s*\[", re.MULTILINE)

REFUSED = 3


def may_be_newer(error: SyntaxError, text: str) -> bool:
    """Whether the plugin's own Python may read what this one does not."""
    if error.lineno is None:
        # It has no place to be shown.
        return True
    if sys.version_info >= THEIRS:
        return False
    # As Python counts them, for which a form feed ends none.
    lines = "\n".join(re.split(r"\r\n?|\n", text)[error.lineno - 1 : (error.end_lineno or error.lineno)])
    # An older one does not know all names of characters either.
    is_text = any(part in str(error.msg) for part in ("f-string", "triple-quoted", "unknown Unicode"))
    return sys.version_info < OLDEST or is_text or bool(NEWER_LINE.search(lines) or NEWER_FILE.search(text))


def imported(tree: ast.Module, file: Path) -> list[Path]:
    """The files of the folder that a module imports in any case."""
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
            # In a component the library comes before the plugin's folder.
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
            # Whatever it is, the plugin's own Python says it.
            pass


look()
