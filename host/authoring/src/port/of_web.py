"""Handlers of requests over the web in plugins of maubot: each becomes a webhook."""

import ast
import re
from typing import Iterator, Optional

import checks
import lacks
import tree
from manifest import Draft
from tree import Module

METHODS = {"get", "head", "post", "put", "patch", "delete"}
#: The names that parameters with a request usually have.
USUAL = {"req", "request"}
#: A parameter of a path: `{id}`, or `{id:\\d+}`.
PARAMETER = re.compile(r"\{([A-Za-z_]\w*)")
#: The attributes of an address that requests have.
OF_ADDRESS = {"query", "query_string"}
HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
#: How many headers a webhook may list.
MOST_HEADERS = 32


def webhooks(checker: checks.Checker, draft: Draft, is_on: bool) -> dict[str, str]:
    """Adds the webhooks to the draft, and tells what is different. Returns, by the methods of the plugin, the names of the webhooks.
    `is_on`: whether `maubot.yaml` turns them on."""
    found: dict[str, str] = {}
    names = set(USUAL)
    for module in checker.modules:
        for function, around in sorted(tree.functions(module), key=lambda one: one[0].lineno):
            if not around or not isinstance(around[-1], ast.ClassDef):
                continue
            given = [one for one in function.decorator_list if _method_of(module, one) is not None]
            if given and not is_on:
                checker.tell("check", module, given[0], f"{function.name}() for requests", *lacks.WEB_OFF)
            elif given:
                _handler(checker, draft, module, function, given, found)
                names.update(one.arg for one in function.args.args[1:2])
    if found:
        for module in checker.modules:
            for function, _ in tree.functions(module):
                requests(checker, draft, module, function, names)
    return found


def _method_of(module: Module, decorator: ast.expr) -> Optional[str]:
    name = module.dotted(decorator.func) if isinstance(decorator, ast.Call) else None
    base, _, last = (name or "").rpartition(".")
    return last if base == "maubot.handlers.web" and last in METHODS else None


def _handler(
    checker: checks.Checker, draft: Draft, module: Module, function: tree.Function, given: list[ast.expr], found: dict[str, str]
) -> None:
    methods: list[str] = []
    for one in given:
        path = one.args[0] if one.args else checks.keywords(one).get("path")
        shown = f"@web.{_method_of(module, one)}({ast.unparse(path) if path is not None else ''})"[:100]
        names = PARAMETER.findall(_text(module, path))
        if names:
            query = "&".join(f"{name}=…" for name in names)
            checker.tell("check", module, one, f"the path of {shown}", lacks.BY_QUERY, f"the address of the webhook with `?{query}`, for those who send requests")
        methods.append((_method_of(module, one) or "").upper())
        if methods[-1] == "GET":
            checker.tell("check", module, one, shown, *lacks.NO_PAGE)
    if function.name.lower() in (one.lower() for one in found):
        checker.tell("lacks", module, function, f"{function.name}() for requests", "another method of this name takes requests, too", "another name")
        return
    name = draft.webhook(function.name, sorted(set(methods)))
    found[function.name] = name
    checker.tell("check", module, given[0], f"the webhook {name}", lacks.NEW_ADDRESS, f"a secret, by `verify` and `secret` in plugin.toml; "
                 f"`await parlor.webhooks.address(\"{name}\")` gives the address")


def _text(module: Module, path: Optional[ast.expr]) -> str:
    """Returns what is known of the text of a path."""
    if isinstance(path, ast.Name):
        path = module.constants.get(path.id, path)
    parts = path.values if isinstance(path, ast.JoinedStr) else [path]
    return "".join(one.value if isinstance(one, ast.Constant) and isinstance(one.value, str) else "\0" for one in parts)


def requests(checker: checks.Checker, draft: Draft, module: Module, function: tree.Function, names: set[str]) -> None:
    """Checks what a function uses of requests: the host gives no more headers than plugin.toml lists."""
    own = {one.arg for one in [*function.args.args, *function.args.kwonlyargs]} & names
    own |= {local for local, name in module.aliases.items() if name in ("bottle.request", "flask.request")}
    around = tree.around(function)
    for node in tree.within(function):
        if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name) or node.value.id not in own:
            continue
        outer = around.get(node)
        if node.attr in ("url", "rel_url") and isinstance(outer, ast.Attribute) and outer.attr in OF_ADDRESS:
            continue
        if node.attr in lacks.OF_REQUEST:
            checker.tell("lacks", module, node, f"{node.value.id}.{node.attr}", *lacks.OF_REQUEST[node.attr])
        if node.attr in ("headers", "get_header"):
            _read_header(checker, draft, module, node, _header(module, node, around))


def _read_header(checker: checks.Checker, draft: Draft, module: Module, node: ast.Attribute, header: Optional[str]) -> None:
    if header is None:
        checker.tell("check", module, node, "the headers that it reads", *lacks.SOME_HEADERS)
    elif header in ("authorization", "cookie", "proxy-authorization"):
        checker.tell("lacks", module, node, f"the header {header}", *lacks.NO_HEADER)
    elif header != "content-type" and len(draft.headers) < MOST_HEADERS:
        draft.headers.add(header)


def _header(module: Module, node: ast.Attribute, around: dict[ast.AST, ast.AST]) -> Optional[str]:
    """Returns the name of the header that is read there, in small letters. None: the text does not say it."""
    for one in _keys(node, around):
        if isinstance(one, ast.Name):
            one = module.constants.get(one.id, one)
        if isinstance(one, ast.Constant) and isinstance(one.value, str) and HEADER.fullmatch(one.value):
            return one.value.lower()
    return None


def _keys(node: ast.Attribute, around: dict[ast.AST, ast.AST]) -> Iterator[ast.expr]:
    outer = around.get(node)
    if node.attr == "get_header":
        if isinstance(outer, ast.Call) and outer.func is node:
            yield from outer.args[:1]
    elif isinstance(outer, ast.Subscript) and outer.value is node:
        yield outer.slice
    elif isinstance(outer, ast.Compare) and node in outer.comparators:
        yield outer.left
    elif isinstance(outer, ast.Attribute) and outer.attr == "get":
        call = around.get(outer)
        if isinstance(call, ast.Call) and call.func is outer:
            yield from call.args[:1]
