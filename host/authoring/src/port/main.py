"""Reads a plugin of errbot or maubot, and prints as JSON the files of the same plugin for parlor, and what it lacks.

It is given the files as JSON, and touches nothing else. None of the plugin's code is run.
"""

import ast
import configparser
import json
import re
import resource
import signal
import sys
from typing import Any, Iterator, Optional

import awaits
import checks
import expressions
import lacks
import manifest
import of_environ
import of_errbot
import of_maubot
import of_packages
import tree
import web
from tree import Finding, Module

#: Bounds for files that are made to take long, or all memory.
SECONDS = 60
MEMORY = 1 << 30
MOST_FINDINGS = 1000

#: Names that a module of the plugin cannot have beside the layer.
TAKEN = {"plugin", "parlor", "parlor_port", "parlor_main", "errbot", "maubot", "mautrix", "requests", "aiohttp", "asyncpg", "bottle", "flask", "sqlalchemy", "wit_world", "yarl"}
#: The packages that the layer stands in for, if a plugin imports them.
OF_LAYER = {"requests", "aiohttp", "asyncpg", "bottle", "flask", "magic", "sqlalchemy", "yarl"}
#: Names of the frameworks, of which files beside a plugin are at most stand-ins: nothing ever imported them.
FRAMEWORKS = {"errbot", "maubot", "mautrix"}
#: The beginnings of tests that run a bot.
BOT_OF_TESTS = {
    "errbot": re.compile(r"errbot\.backends\.test|\btestbot\b|\bFullStackTest\b"),
    "maubot": re.compile(r"(?m)^(?:import pytest|from pytest|import unittest|from unittest)\b|^(?:async )?def test_"),
}
KEPT = re.compile(r"(licen[sc]e|copying|notice|readme)[^/]*\Z", re.IGNORECASE)


def main(place: str) -> None:
    signal.alarm(SECONDS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    sys.setrecursionlimit(2000)
    with open(place, encoding="utf-8") as file:
        job = json.load(file)
    try:
        result = port(job["files"], job["framework"], job["folder"])
    except ValueError as error:
        result = {"error": str(error)}
    except (RecursionError, MemoryError):
        result = {"error": "its source is nested too deeply"}
    sys.stdout.reconfigure(encoding="utf-8")
    json.dump(result, sys.stdout)


def port(files: dict[str, str], framework: Optional[str], folder: str) -> dict[str, Any]:
    plugs = sorted(path for path in files if path.endswith(".plug"))
    found = framework or ("maubot" if "maubot.yaml" in files else "errbot" if plugs else None)
    if found is None:
        raise ValueError("it has neither a .plug file (errbot) nor maubot.yaml (maubot)")
    if found == "maubot" and "maubot.yaml" not in files:
        raise ValueError("it has no maubot.yaml")
    if found == "errbot" and not plugs:
        raise ValueError("it has no .plug file")
    draft = manifest.Draft(framework=found)
    findings: list[Finding] = []
    about: dict[str, Any] = {}
    if found == "errbot":
        read = _plugs(plugs, files)
        if len({plug.folder for plug in read}) > 1:
            raise ValueError("it has plugins in several folders: port one folder after the other")
        root = read[0].folder
        flows = _plugs([path for path in sorted(files) if path.endswith(".flow") and path.rpartition("/")[0] == root], files)
        starts = [plug.module for plug in [*read, *flows]]
    else:
        about = of_maubot._read("maubot.yaml", files["maubot.yaml"])
        root = ""
        names = about.get("modules")
        starts = [str(one).replace(".", "/") for one in names] if isinstance(names, list) else []
    modules = reached(_without_strays(files, root, starts, found), root, starts, findings)
    packaged = of_packages.files_of(modules, files, root) | of_packages.extra_of(modules, files, about.get("extra_files"))
    checker = checks.Checker(modules, found == "errbot", of_packages.named(files, root), [*packaged])
    checker.unread = {one.file: (one.line, one.why) for one in findings}
    environment = of_environ.run(checker, draft)
    checker.run()
    expressions.run(checker)
    if found == "errbot":
        kind: Any = of_errbot.Errbot(checker, read, draft, files)
        kind.run()
        draft.name = manifest.identifier(read[0].name if len(read) == 1 else folder, "ported")
        draft.description = read[0].description if len(read) == 1 else ""
    else:
        kind = of_maubot.Maubot(checker, files, draft)
        kind.run()
        about = kind.about
        draft.name = manifest.identifier(str(about.get("id", "")).rpartition(".")[2], "ported")
        draft.version = manifest.version(about.get("version", ""))
        draft.license = str(about.get("license") or "")
    sources = awaits.Sources(modules, ("errbot.",) if found == "errbot" else ("maubot.",))
    requests = web.of(modules, sources)
    if requests.are_made:
        draft.servers = ["*"] if requests.are_unknown else sorted(requests.servers)
        checker.findings += requests.findings
    renamed = _renamed(modules, starts, root, checker)
    written = {}
    for module in modules:
        written[renamed.get(module.path, _below(module.path, root))] = awaits.Rewriter(sources, module).run()
    if draft.has_templates:
        written.update({f"templates/{path}": text for path, text in kind.templates.items()})
    written |= (moved := {_moved(path, renamed, root): text for path, text in packaged.items()})
    written["plugin.py"] = _plugin(found, kind, renamed, environment, sorted(moved))
    written["plugin.toml"] = manifest.text_of(draft)
    written.update({path: text for path, text in files.items() if "/" not in path and KEPT.match(path) and path not in written})
    findings += checker.findings + sources.findings + list(_tests(found, files, root, modules))
    told = {(one.kind, one.file, one.line, one.what): one for one in findings}
    ordered = sorted(told.values(), key=lambda one: (one.file, one.line, one.kind, one.what))
    parts = {"parlor_port", found} | (checker.parts & OF_LAYER) | ({"mautrix", "aiohttp"} if found == "maubot" else set())
    if "aiohttp" in parts:
        # The address of an answer is one of yarl.
        parts.add("yarl")
    return {
        "framework": found,
        "name": draft.name,
        "files": written,
        "parts": sorted(parts),
        "findings": [one.as_json() for one in ordered[:MOST_FINDINGS]],
        "left_out": max(0, len(ordered) - MOST_FINDINGS),
        "packages": sorted(checker.packages)[:MOST_FINDINGS],
    }


def _plugs(paths: list[str], files: dict[str, str]) -> list[of_errbot.Plug]:
    found = []
    for path in paths:
        try:
            plug = of_errbot.Plug(path, files[path])
        except configparser.Error as error:
            raise ValueError(f"{path}: {' '.join(str(error).split())}") from error
        found.append(plug)
    return found


def reached(files: dict[str, str], root: str, starts: list[str], findings: list[Finding]) -> list[Module]:
    """Returns the modules that the plugin consists of: those that are named, and those that they import."""
    modules: dict[str, Module] = {}
    unread = [path for start in starts for path in (f"{start}.py", f"{start}/__init__.py") if path in files]
    while unread:
        path = unread.pop()
        if path in modules or path not in files:
            continue
        try:
            module = tree.parse(path, files[path])
        except SyntaxError as error:
            findings.append(Finding("lacks", path, error.lineno or 1, "a syntax error", f"Python reads it as: {error.msg}", _newer(error)))
            continue
        except ValueError as error:
            findings.append(Finding("lacks", path, 1, "the file", str(error), "a text of Python"))
            continue
        if root:
            module.name = module.name.removeprefix(root.replace("/", ".") + ".")
        modules[path] = module
        beginnings = [name for _, name in tree.chosen(module)]
        for name in [*(name for name, *_ in tree.imports(module)), *beginnings]:
            parts = name.split(".")
            for size in range(1, len(parts) + 1):
                base = "/".join([*([root] if root else []), *parts[:size]])
                unread += [f"{base}.py", f"{base}/__init__.py"]
        names = {other: tree.module_name(_below(other, root)) for other in files if other.endswith(".py")} if beginnings else {}
        unread += [other for other, name in names.items() if any(tree.may_be_chosen(name, one) for one in beginnings)]
    if not modules:
        reasons = [f"{one.file}:{one.line}: {one.why}; instead: {one.instead}" for one in findings[:1]]
        raise ValueError(f"none of its modules can be read: {reasons[0] if reasons else _missing(starts)}")
    found = [modules[path] for path in sorted(modules)]
    for module in found:
        module.others = {one.name: one for one in found}
    return found


def _tests(framework: str, files: dict[str, str], root: str, modules: list[Module]) -> Iterator[Finding]:
    """Yields the first place of tests that run a bot of the framework. They are not copied."""
    read = {one.path for one in modules}
    several = [path for path in sorted(files) if path.endswith(".py") and path not in read and (not root or path.startswith(f"{root}/"))]
    places = [(path, used.start()) for path in several if (used := BOT_OF_TESTS[framework].search(files[path])) is not None]
    if places:
        path, start = places[0]
        others = f", also in {len(places) - 1} other file{'s' * (len(places) > 2)}" if len(places) > 1 else ""
        yield Finding("check", path, files[path].count("\n", 0, start) + 1, f"its tests{others}", *lacks.TESTS[framework])


def _without_strays(files: dict[str, str], root: str, starts: list[str], framework: str) -> dict[str, str]:
    """Returns the files without modules that the framework did not load, as they are not in the list of maubot.yaml, and whose names are
    those of other modules, which were loaded in their place."""
    def is_stray(path: str) -> bool:
        top = _below(path, root).partition("/")[0].removesuffix(".py")
        is_other = top in FRAMEWORKS or framework == "maubot" and (top in TAKEN or tree.is_standard(top))
        return path.endswith(".py") and is_other and all(_below(one, root).partition("/")[0] != top for one in starts)

    return {path: text for path, text in files.items() if not is_stray(path)}


def _missing(starts: list[str]) -> str:
    """Returns the modules of which no file is there."""
    named = ", ".join(f"{start}.py" for start in starts[:5])
    return f"there is no file {named}, nor a folder of that name with an __init__.py" if named else "maubot.yaml names none by `modules`"


def _newer(error: SyntaxError) -> str:
    """Returns what to do about a syntax error. Python reads its own version, and plugins run in a later one than some machines have."""
    if sys.version_info < (3, 12) and (error.msg or "").startswith("f-string"):
        return "Python 3.12 or later as `python3`, which reads more of such texts; what is of Python 2 has to be written anew"
    if "outside" in (error.msg or ""):
        return "a function around it, or `async def` in place of `def`: Python imports no such file, and neither did the framework"
    return "Python 3: what is of Python 2 has to be written anew"


def _below(path: str, root: str) -> str:
    return path.removeprefix(f"{root}/") if root else path


def _moved(path: str, renamed: dict[str, str], root: str) -> str:
    """Returns the new path of a file that comes with the plugin: its folder may have another name now."""
    top, slash, rest = path.partition("/")
    fresh = next((new.partition("/")[0] for old, new in renamed.items() if "/" in new and _below(old, root).partition("/")[0] == top), top)
    return f"{fresh}{slash}{rest}" if slash else path


def _renamed(modules: list[Module], starts: list[str], root: str, checker: checks.Checker) -> dict[str, str]:
    """Returns new paths for modules whose names are taken, by Python or by the layer."""
    found = {}
    for module in modules:
        path = _below(module.path, root)
        top, slash, rest = path.partition("/")
        top = top.removesuffix(".py")
        is_name = top.isidentifier()
        is_package = checker.has_web and not slash and tree.means_package(module)
        if is_name and not (top in TAKEN or tree.is_standard(top) or is_package):
            continue
        # A package may import its own modules by their whole names, too.
        is_imported = any(name.partition(".")[0] == top for other in modules if slash or other is not module for name in _absolute(other))
        if (slash or module.path.removesuffix(".py") in starts) and not is_imported:
            fresh = f"{top if is_name else _identifier(top)}_ported"
            found[module.path] = f"{fresh}{slash}{rest}" if slash else f"{fresh}.py"
            if not slash or rest == "__init__.py":
                checker.tell("check", module, 1, f"the {'folder' if slash else 'file'} is called {found[module.path].removesuffix('/__init__.py')} now",
                             f"it imports a package of the name {top}" if is_package else f"the name {top} is taken" if is_name else f"Python imports nothing that is called {top}", "nothing")
        elif not slash or rest == "__init__.py":
            checker.tell("lacks", module, 1, f"the module {top}", "a module of that name is found before the plugin's own", "another name")
    return found


def _identifier(name: str) -> str:
    return re.sub(r"\W", "_", name) if name[:1].isalpha() else re.sub(r"\W", "_", f"p_{name}")


def _absolute(module: Module) -> Iterator[str]:
    """Yields the whole names of modules that a module imports by them."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or ""


class Written(list):
    """Names of classes, as a list in the source."""

    def __repr__(self) -> str:
        if not all(part.isidentifier() for name in self for part in name.split(".")):
            raise ValueError(f"{', '.join(self)}: no names of classes")
        return f"[{', '.join(self)}]"


def _plugin(framework: str, kind: Any, renamed: dict[str, str], environment: dict[str, str], packaged: list[str]) -> str:
    """Returns the text of `plugin.py`."""
    def name_of(module: Module) -> str:
        return tree.module_name(renamed[module.path]) if module.path in renamed else module.name

    lines = [f'"""Runs a plugin of {framework} on parlor. `parlor plugin port` wrote this file."""', "", f"import {framework}"]
    # These replace functions of Python, before the plugin imports them by name.
    lines += [f"import parlor_port.{one}" for one in sorted(kind.checker.replaced)]
    if environment:
        lines += ["import parlor_port.environ"]
    if kind.checker.needs_others:
        # A package may need the zones, too.
        lines += ["import parlor_port.zones_of_packages"]
    if packaged:
        lines += ["import parlor_port.packaged"]
    if kind.draft.has_templates:
        lines += ["import errbot.templating"]
    if environment:
        # Before the plugin is imported.
        lines += ["", "# The environment variables that the plugin reads, with the settings in plugin.toml.", f"parlor_port.environ.use({environment!r})"]
    if packaged:
        lines += ["", "# Files that come with the plugin. None are there when it runs.", f"parlor_port.packaged.load(__file__, {packaged!r})"]
    moved = {module.name: name_of(module) for module in kind.checker.modules}
    if kind.checker.chosen:
        lines += ["", "# The plugin chooses among these while it runs, where there are no files. Some may lack a package.", "import contextlib"]
        for one in sorted(moved.get(one, one) for one in kind.checker.chosen):
            lines += ["with contextlib.suppress(ImportError):", f"    import {one}"]
    if late := kind.checker.late:
        names = sorted(moved.get(one, one) for one in late)
        lines += ["", "# The plugin imports these while it runs, where there are no files.", *(f"import {one}" for one in names)]
    if framework == "errbot":
        names = sorted({name_of(module) for module, *_ in [*kind.found, *kind.flows]})
        lines += ["", *(f"import {one}" for one in names), ""]
        if kind.draft.has_templates:
            lines += ["# No files are there when the plugin runs.", "errbot.templating.load(__file__)", ""]
        for module, owner, shown, settings, webhooks in kind.found:
            more: dict[str, Any] = {"webhooks": webhooks} if webhooks else {}
            more |= {"keeps": True} if kind.draft.keeps else {}
            more |= {"config": kind.config} if kind.config else {}
            more |= {"flows": Written(f"{name_of(module)}.{name}" for module, name in kind.flows)} if kind.flows else {}
            lines += _run(framework, f"{name_of(module)}.{owner}", shown, settings, more)
    else:
        module, owner = kind.found
        lines += ["", f"import {name_of(module)}", ""]
        identity = str(kind.about.get("id", ""))
        more = {"hears": True} if kind.draft.hears else {}
        more |= {"webhook": kind.webhook} if kind.webhook else {}
        more |= {"slash": True} if kind.webhook and kind.has_slash else {}
        more |= {"watches": True} if kind.draft.watches else {}
        more |= {"levels": True} if kind.draft.hears_levels else {}
        more |= {"texts": True} if kind.draft.hears_texts else {}
        more |= {"database": kind.draft.database} if kind.draft.database else {}
        more |= {"meta": kind.meta} if kind.meta else {}
        more |= {"replies": True} if kind.knows_replies else {}
        lines += _run(framework, f"{name_of(module)}.{owner}", identity, kind.settings, more)
    return "\n".join(lines) + "\n"


def _run(framework: str, owner: str, name: str, settings: dict, more: dict) -> list[str]:
    if not all(part.isidentifier() for part in owner.split(".")):
        raise ValueError(f"{owner} is no name of a class")
    lines = [f"{framework}.run(", f"    {owner},", f"    name={name!r},"]
    if settings:
        lines += ["    # The keys that the plugin uses, with the settings in plugin.toml and how they are read.", "    settings={"]
        lines += [f"        {key!r}: {tuple(value)!r}," for key, value in settings.items()]
        lines.append("    },")
    lines += [f"    {key}={value!r}," for key, value in more.items()]
    return [*lines, ")"]


if __name__ == "__main__":
    main(sys.argv[1])
