"""Finds invalid Python in a plugin's folder, before seconds are spent on its component. It runs none of the code.

It runs outside of any sandbox, and the folder may be a stranger's. So a file that takes long or all memory, or that is a link to
another folder, is left to the plugin's own Python, which has bounds and no other folder.
"""

import ast
import re
import resource
import signal
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

# A file of 5 MB took 30 s and 3 GB.
SECONDS = 30
MEMORY = 1 << 30
LONGEST = 512 << 10


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


def text_of(file: Path) -> bytes | None:
    """Returns the text of a file; none for one that is too long, or outside of the folder."""
    if not file.resolve().is_relative_to(Path.cwd()):
        return None
    with open(file, "rb") as opened:
        text = opened.read(LONGEST + 1)
    return text if len(text) <= LONGEST else None


def look() -> None:
    signal.alarm(SECONDS)
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY if hard == resource.RLIM_INFINITY else min(MEMORY, hard), hard))
    warnings.simplefilter("ignore")
    sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    unread, seen = [Path("plugin.py")], set()
    while unread:
        file = unread.pop()
        if file in seen or not file.is_file():
            continue
        seen.add(file)
        text = text_of(file)
        if text is None:
            continue
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
