"""Finds the servers that a plugin asks, as far as its text tells."""

import ast
import re
from dataclasses import dataclass, field
from typing import Iterator, Optional

import awaits
import sessions
import tree
from tree import Finding, Module

METHODS = {"get", "post", "put", "delete", "patch", "head", "options", "request"}
#: A server, behind the name and the password of whoever asks, if they are in the address.
SERVER = re.compile(r"(https?)://(?:[^/?#@\s\0]*@)?([A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?(?::[0-9]{1,5})?)(?:[/?#]|\Z)")
#: How far constants are followed.
DEEPEST = 8
#: The class of sessions of aiohttp, and the ends of expressions that hold one wherever they stand.
CLIENT = "aiohttp.ClientSession"
ENDS = (".http", ".client.api.session", "http_session")


@dataclass
class Requests:
    """The requests of a plugin."""

    #: Servers, as entries of the scope of `http.fetch`.
    servers: set[str] = field(default_factory=set)
    #: Whether there are any, and whether the server of one is unknown.
    are_made: bool = False
    are_unknown: bool = False
    findings: list[Finding] = field(default_factory=list)


def of(modules: list[Module], sources: awaits.Sources) -> Requests:
    found = Requests()
    begun = {module.path: {"self.http", *sources.sessions[module.path], *awaits.holders(module, [CLIENT])} for module in modules}
    held = sessions.Held(modules, begun, {CLIENT, *awaits.SESSIONS}, sources.takers, ENDS)
    for module in modules:
        for function, around in [*tree.functions(module), (module.tree, [])]:
            local = tree.assigned(function.body) if isinstance(function, tree.FUNCTIONS) else {}
            for node in tree.within(function):
                if isinstance(node, (ast.With, ast.AsyncWith, ast.Try, ast.If, ast.For)):
                    for name, value in tree.assigned(getattr(node, "body", [])).items():
                        local.setdefault(name, value)
            for call in (one for one in tree.within(function) if isinstance(one, ast.Call)):
                if _is_request(module, call, held, [*around, function]):
                    _add(found, module, call, local, around)
    if not found.are_made:
        _mentioned(found, modules)
    return found


def _mentioned(found: Requests, modules: list[Module]) -> None:
    """Takes the session of a plugin of maubot that is mentioned for one that makes requests where nobody sees it."""
    for module in modules:
        if any(one.startswith("maubot") for one in module.aliases.values()):
            at = next((one for one in ast.walk(module.tree) if isinstance(one, ast.Attribute) and ast.unparse(one) == "self.http"), None)
            if at is not None:
                found.are_made = found.are_unknown = True
                found.findings.append(_unknown(module, at.lineno, "self.http"))
                return


def _is_request(module: Module, call: ast.Call, held: sessions.Held, around: list[ast.AST]) -> bool:
    name = module.dotted(call.func) or ""
    if name in awaits.SUSPENDS and name != "time.sleep" or name == "urllib.request.Request":
        return True
    return isinstance(call.func, ast.Attribute) and call.func.attr in METHODS and held.has(module, around, call.func.value)


def _add(found: Requests, module: Module, call: ast.Call, local: dict, around: list) -> None:
    found.are_made = True
    is_request = isinstance(call.func, ast.Attribute) and call.func.attr == "request"
    at = 1 if is_request else 0
    url: Optional[ast.expr] = call.args[at] if len(call.args) > at else None
    url = url or next((one.value for one in call.keywords if one.arg == "url"), None)
    # `urlopen(request)`, where the request has the address.
    if isinstance(url, ast.Name) and isinstance(local.get(url.id), ast.Call):
        if module.dotted(local[url.id].func) == "urllib.request.Request":
            return
    if isinstance(url, ast.Call) and module.dotted(url.func) == "urllib.request.Request":
        return
    owner = next((one for one in reversed(around) if isinstance(one, ast.ClassDef)), None)
    texts = list(beginnings(url, Scope(module, local, owner), 0)) if url is not None else []
    servers = [SERVER.match(text) for text in texts]
    if servers and all(servers):
        for one in servers:
            host = one[2].lower()
            found.servers.add(host if one[1] == "https" else f"http://{host}")
        return
    found.are_unknown = True
    shown = ast.unparse(url)[:100] if url is not None else "a request"
    found.findings.append(_unknown(module, call.lineno, shown))


def _unknown(module: Module, line: int, shown: str) -> Finding:
    return Finding(
        "check", module.path, line, f"which server {shown} names", "the text does not say it, so that plugin.toml asks for every server",
        "name the servers in the scope of \"http.fetch\"")


@dataclass
class Scope:
    """The scope in which names have their values."""

    module: Module
    local: dict[str, ast.expr]
    owner: Optional[ast.ClassDef]

    def value(self, node: ast.expr) -> Optional[ast.expr]:
        if isinstance(node, ast.Name):
            return self.local.get(node.id) or self.module.constants.get(node.id)
        if isinstance(node, ast.Attribute) and self.owner is not None and isinstance(node.value, ast.Name):
            if node.value.id in ("self", "cls", self.owner.name):
                return tree.assigned(self.owner.body).get(node.attr)
        return None


def beginnings(node: Optional[ast.expr], scope: Scope, depth: int) -> Iterator[str]:
    """Yields the beginnings that a text may have, as far as they are known."""
    if depth > DEEPEST or node is None:
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        for text in beginnings(node.left, scope, depth + 1):
            # The inserted text is unknown.
            yield text.partition("%")[0] + ("\0" if "%" in text else "")
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        for text in beginnings(node.left, scope, depth + 1):
            more = list(beginnings(node.right, scope, depth + 1)) if SERVER.match(text) is None or text.count("/") < 3 else []
            yield from (text + one for one in more) if more else [text + "\0"]
    elif isinstance(node, ast.JoinedStr):
        yield from _joined(node, scope, depth)
    elif isinstance(node, ast.IfExp):
        yield from beginnings(node.body, scope, depth + 1)
        yield from beginnings(node.orelse, scope, depth + 1)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("format", "strip", "rstrip"):
        for text in beginnings(node.func.value, scope, depth + 1):
            yield text.partition("{")[0] + ("\0" if "{" in text else "")
    else:
        yield from beginnings(scope.value(node), scope, depth + 1)


def _joined(node: ast.JoinedStr, scope: Scope, depth: int) -> Iterator[str]:
    text = ""
    for part in node.values:
        if isinstance(part, ast.Constant):
            text += str(part.value)
            continue
        known = list(beginnings(part.value, scope, depth + 1)) if isinstance(part, ast.FormattedValue) else []
        if len(known) != 1 or "\0" in known[0]:
            # The rest is unknown: a server's name that ends here is none.
            text += "\0"
            break
        text += known[0]
    yield text
