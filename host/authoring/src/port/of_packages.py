"""The packages that a plugin needs, by their names for pip, and the files that come with the plugin.

A module may be called otherwise than the package that has it, and anybody can publish a package with the name of a module. So a package is
named only if the plugin itself names it, or if it is well known.
"""

import ast
import fnmatch
import re
from typing import Any, Iterator, Optional

import lacks
import simple_yaml
from tree import Module

NAME = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?)\s*(?=[\[<>=!~;,(#]|\Z)")
#: Options of a file with requirements by which names mean packages of another registry.
ELSEWHERE = re.compile(r"\s*(?:-i\b|-f\b|--index-url|--extra-index-url|--find-links|--no-index)")
#: The files with requirements, and files that belong to the plugin itself in another way.
REQUIREMENTS, PROJECT, MAUBOT = "requirements.txt", "pyproject.toml", "maubot.yaml"
OTHERS = re.compile(r"(?:.*/)?(?:requirements\.txt|pyproject\.toml|maubot\.yaml|base-config\.yaml)\Z|.*\.(?:py|plug|flow)\Z|(?:.*/)?templates/.*\.md\Z")
UNREAD = ("it is not there, or no text of at most 512 KiB with an ending such as `.html` or `.json`", "such a text, with another ending")
#: The parts of a project's file with requirements.
TABLES = (("project", "dependencies"), ("tool", "poetry", "dependencies"))
#: What a package may be called beside its module.
AFFIX = re.compile(r"\A(?:python|py)[-_.]?|[-_.]?(?:python|py)\Z")


def named(files: dict[str, str], root: str) -> list[str]:
    """Returns the names of the packages that a plugin itself says that it needs."""
    found: list[str] = []
    for folder in dict.fromkeys((f"{root}/" if root else "", "")):
        text = files.get(f"{folder}{REQUIREMENTS}", "")
        lines = text.split("\n")
        found += [] if any(ELSEWHERE.match(line) for line in lines) else _names(lines)
        found += _names(_of_project(files.get(f"{folder}{PROJECT}", "")))
    if MAUBOT in files:
        found += _names(_of_maubot(files[MAUBOT]))
    return list(dict.fromkeys(found))


def _names(lines: list[Any]) -> list[str]:
    # A package from an address is none of the registry.
    matches = (NAME.match(line) for line in lines if isinstance(line, str) and "://" not in line and line.strip()[:1] not in ("-", "."))
    return [one[1] for one in matches if one]


def _of_maubot(text: str) -> list[Any]:
    try:
        about = simple_yaml.Reader(text).read()
    except ValueError:
        return []
    several = [about.get(key) for key in ("dependencies", "soft_dependencies")] if isinstance(about, dict) else []
    return [one for names in several if isinstance(names, list) for one in names]


def _of_project(text: str) -> list[Any]:
    try:
        import tomllib

        tables = tomllib.loads(text)
    except (ImportError, ValueError):
        # Python before 3.11 reads no TOML.
        return []
    found: list[Any] = []
    for path in TABLES:
        inner: Any = tables
        for key in path:
            inner = inner.get(key) if isinstance(inner, dict) else None
        if isinstance(inner, dict):
            # A package of a table may come from another place.
            found += [name for name, version in inner.items() if name != "python" and isinstance(version, str)]
        found += inner if isinstance(inner, list) else []
    return found


def package(top: str, names: list[str]) -> Optional[str]:
    """Returns the name for pip of the package with a module. None: nobody has said it."""
    known = lacks.PACKAGES.get(top)
    for name in names:
        if _plain(name) in (_plain(top), _plain(known or top)):
            return name
    if known is not None:
        return known
    return next((name for name in names if AFFIX.sub("", _plain(name)) == _plain(top)), None)


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def files_of(modules: list[Module], files: dict[str, str], root: str) -> dict[str, str]:
    """Returns the files of the plugin's folder that its source names, by their paths there."""
    before = f"{root}/" if root else ""
    inner = {path.removeprefix(before): text for path, text in files.items() if path.startswith(before) and not OTHERS.match(path)}
    written = {one for module in modules for one in _texts(module.tree)}
    return {path: text for path, text in inner.items() if any(is_meant(path, one) for one in written)}


def extra_of(modules: list[Module], files: dict[str, str], patterns: Any) -> dict[str, str]:
    """Returns the files that maubot.yaml lists for a plugin that asks `self.loader` for some."""
    wanted = _listed(modules, patterns)
    return {path: text for path, text in files.items() if not OTHERS.match(path) and any(_is_of(path, one) for one in wanted)}


def missing_of(modules: list[Module], files: dict[str, str], patterns: Any) -> list[str]:
    """Returns the listed files that are not there, or were not read."""
    return [one for one in _listed(modules, patterns) if not any(_is_of(path, one) for path in files)]


def _listed(modules: list[Module], patterns: Any) -> list[str]:
    asks = any(isinstance(one, ast.Attribute) and one.attr in lacks.READS for module in modules for one in ast.walk(module.tree))
    return [str(one).removeprefix("./") for one in patterns] if asks and isinstance(patterns, list) else []


def _is_of(path: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(path, pattern) or path.startswith(pattern.rstrip("/") + "/")


def is_meant(path: str, text: str) -> bool:
    """Whether a text in the source is this path, or its end."""
    text = text.removeprefix("./").lstrip("/")
    return bool(text) and (path == text or path.endswith(f"/{text}")) and "." in text


def is_read(module: Module, call: ast.Call, paths: list[str]) -> bool:
    """Whether a call of `open` reads one of these files."""
    given = {one.arg: one.value for one in call.keywords}
    mode = call.args[1] if len(call.args) > 1 else given.get("mode")
    reads = mode is None or isinstance(mode, ast.Constant) and isinstance(mode.value, str) and not set(mode.value) & set("wax+")
    file = call.args[0] if call.args else given.get("file")
    return file is not None and reads and is_named(module, file, paths)


def is_named(module: Module, node: ast.expr, paths: list[str]) -> bool:
    """Whether an expression names one of these files."""
    return any(is_meant(path, text) for text in _meant(module, node) for path in paths)


def _meant(module: Module, node: ast.expr) -> Iterator[str]:
    """Yields the texts of an expression, also those of the names in it, wherever they have their values."""
    yield from _texts(node)
    names = {ast.unparse(one) for one in ast.walk(node) if isinstance(one, (ast.Name, ast.Attribute))}
    for one in ast.walk(module.tree):
        if isinstance(one, ast.Assign) and any(ast.unparse(target) in names for target in one.targets):
            yield from _texts(one.value)


def _texts(node: ast.AST) -> Iterator[str]:
    return (one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str) and len(one.value) < 300)
