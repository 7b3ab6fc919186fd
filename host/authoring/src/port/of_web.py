"""Handlers of requests over the web in plugins of maubot: they share a webhook, with paths below its address."""

import ast
import re
from typing import Iterator, Optional

import checks
import lacks
import tree
from manifest import Draft
from tree import Module

METHODS = {"get", "head", "post", "put", "patch", "delete"}
METHODS_OF_HTTP = {one.upper() for one in METHODS}
#: The name of the webhook.
NAME = "web"
#: The names that parameters with a request usually have.
USUAL = {"req", "request"}
#: The ends of expressions that are the address of the webhook.
ADDRESS = re.compile(r"\bwebapp_url\Z|\bstr\([\w.]*\bwebapp_url\)\Z")
#: The attributes of an address that requests have.
OF_ADDRESS = {"query", "query_string"}
HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
#: How many headers a webhook may list.
MOST_HEADERS = 32


def webhook(checker: checks.Checker, draft: Draft, is_on: bool) -> str:
    """Adds the webhook to the draft, which all methods share, and tells what is different. Returns its name; empty if nothing takes requests.
    `is_on`: whether `maubot.yaml` turns them on."""
    methods: set[str] = set()
    names = set(USUAL)
    for module in checker.modules:
        for function, _ in sorted(tree.functions(module), key=lambda one: one[0].lineno):
            for one in function.decorator_list:
                method = _method_of(module, one)
                if method is not None and not is_on:
                    checker.tell("check", module, one, f"{function.name}() for requests", *lacks.WEB_OFF)
                elif method is not None:
                    methods.add(_route(checker, module, one, f"@web.{method}", method.upper(), one.args[0] if one.args else checks.keywords(one).get("path")))
                    names.update(other.arg for other in function.args.args[1:2])
        for node in ast.walk(module.tree) if is_on else ():
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                methods |= _added(checker, module, node, node.func)
    if not methods:
        return ""
    name = draft.webhook(NAME, sorted({*METHODS_OF_HTTP} if "*" in methods else methods))
    draft.paths.add(name)
    for module in checker.modules:
        for function, _ in tree.functions(module):
            requests(checker, draft, module, function, names)
    return name


def _method_of(module: Module, decorator: ast.expr) -> Optional[str]:
    name = module.dotted(decorator.func) if isinstance(decorator, ast.Call) else None
    base, _, last = (name or "").rpartition(".")
    return last if base == "maubot.handlers.web" and last in METHODS else None


def _added(checker: checks.Checker, module: Module, call: ast.Call, function: ast.Attribute) -> set[str]:
    """Returns the methods of HTTP that a call such as `self.webapp.add_get` adds."""
    owner = ast.unparse(function.value)
    if not owner.endswith(("webapp", "webapp.router")) or not function.attr.startswith("add_") or function.attr not in lacks.WEBAPP:
        return set()
    given = checks.keywords(call)
    several = list(call.args)
    method = function.attr.removeprefix("add_").upper()
    if method == "ROUTE":
        first = several.pop(0) if several else given.get("method")
        named = first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else "*"
        method = named.upper() if named.upper() in METHODS_OF_HTTP else "*"
    return {_route(checker, module, call, f"{owner}.{function.attr}", method, several[0] if several else given.get("path"))}


def _route(checker: checks.Checker, module: Module, call: ast.Call, shown: str, method: str, path: Optional[ast.expr]) -> str:
    """Tells of one path. Returns its method."""
    written = f"{shown}({ast.unparse(path) if path is not None else ''})"[:100]
    text = _text(module, path)
    below = f"/{text.strip('/')}" if text.strip("/") and "\0" not in text else "the path"
    checker.tell("check", module, call, f"the path of {written}", lacks.NEW_ADDRESS, f"a secret, by `verify` and `secret` in plugin.toml; "
                 f"{below} below the address that `await parlor.webhooks.address(\"{NAME}\")` gives")
    if method in ("GET", "*"):
        checker.tell("check", module, call, written, *lacks.NO_PAGE)
    return method


def addresses(checker: checks.Checker, module: Module) -> bool:
    """Tells where the address is logged. Returns whether a path stands behind it without a `/`."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and re.search(r"\blog(?:ger)?\.\w+\Z", ast.unparse(node.func)):
            inner = next((one for one in ast.walk(node) if isinstance(one, ast.Attribute) and one.attr == "webapp_url"), None)
            if inner is not None:
                checker.tell("check", module, inner, "the address in the log", *lacks.SECRET_ADDRESS)
    return any(re.match(r"\w", text) for text in _behind(module))


def _behind(module: Module) -> Iterator[str]:
    """Yields the texts that stand behind the address."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.JoinedStr):
            for one, behind in zip(node.values, node.values[1:]):
                if isinstance(one, ast.FormattedValue) and ADDRESS.search(ast.unparse(one.value)):
                    yield _first_of(behind)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) and ADDRESS.search(ast.unparse(node.left)):
            yield _first_of(node.right)


def _first_of(node: ast.expr) -> str:
    """Returns the text that an expression begins with, as far as it is known; of a path without the `/` before it, a letter."""
    if isinstance(node, ast.FormattedValue):
        node = node.value
    if isinstance(node, ast.JoinedStr) and node.values:
        return _first_of(node.values[0])
    if isinstance(node, ast.BinOp):
        return _first_of(node.left)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("lstrip", "strip"):
        return "x" if any(isinstance(one, ast.Constant) and one.value == "/" for one in node.args) else ""
    return str(node.value) if isinstance(node, ast.Constant) else ""


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
        package, _, constant = (module.dotted(one) or "").rpartition(".")
        if package == "aiohttp.hdrs":
            return constant.lower().replace("_", "-")
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
