"""The attributes of sessions of `aiohttp` and of the answers to their requests. A use of any other one is reported."""

import ast
from typing import Iterator

import checks
import surface
import tree
import web
from tree import Module

#: The attributes of a session.
SESSION = web.METHODS | {"headers", "closed", "close"}
#: The sessions that a plugin has from the beginning.
OWN = {"self.http", "self.bot.http", "evt.client.api.session", "self.client.api.session"}
#: The attributes of an answer.
ANSWER = {
    "status", "method", "url", "real_url", "headers", "reason", "content", "ok", "content_type", "content_length", "charset", "get_encoding", "read",
    "text", "json", "raise_for_status", "release",
}
#: Why the layer does not have some others, and what to use.
INSTEAD = {
    **dict.fromkeys(("cookies", "cookie_jar"), ("the host keeps no cookies", "a header of the request, if the server takes one")),
    "history": ("the host follows redirects, and does not tell of them", "`url`, the address that answered"),
    "ws_connect": ("a request has one answer, and there are no other connections", "requests at intervals, or a webhook that the service calls"),
    **dict.fromkeys(("connector", "connection", "loop", "version"), ("the host makes the requests", "nothing")),
    "request_info": ("the host makes the requests", "`url` and `method`"),
}
#: The attributes of the content of an answer.
CONTENT = {"read", "readany", "readline", "iter_chunked", "iter_any", "iter_chunks", "at_eof"}
#: The ways to read it as it comes, for services that never end it.
AS_IT_COMES = {"readline", "readany", "iter_any"}
WHOLE = (
    "the body is there as a whole: nothing of it is read before it has ended, so that an answer that goes on for ever fails",
    "nothing, if the server ends it; else requests at intervals, or a webhook that the service calls",
)


def run(checker: checks.Checker) -> None:
    """Tells of attributes of sessions and answers that the layer does not have."""
    others = surface.set_anywhere(checker.modules) | surface.OF_ALL
    if "__getattr__" in others:
        return
    for module in checker.modules:
        bound = list(_bound(module.tree))
        # A name that is given another value as well may be anything.
        others_of = {name for name, value in bound if not _is_new(module, value)}
        sessions = ({name for name, value in bound if _is_new(module, value)} | OWN) - others_of
        for one in _attributes(module.tree):
            if _is_session(one.value, sessions) and one.attr not in SESSION | others:
                _tell(checker, module, one)
        for function, _ in tree.functions(module):
            _of_function(checker, module, function, sessions, others)


def _of_function(checker: checks.Checker, module: Module, function: tree.Function, sessions: set[str], others: set[str]) -> None:
    bound = list(_bound(function))
    # A name that is given another value as well may be anything.
    answers = {name for name, value in bound if _is_request(value, sessions)}
    answers -= {name for name, value in bound if not _is_request(value, sessions)}
    for one in _attributes(function):
        if isinstance(one.value, ast.Name) and one.value.id in answers and one.attr not in ANSWER | others:
            _tell(checker, module, one)
        is_of_content = _is_content(one.value, answers)
        if is_of_content and one.attr in AS_IT_COMES:
            checker.tell("check", module, one, ast.unparse(one)[:100], *WHOLE)
        elif is_of_content and one.attr not in CONTENT | others:
            _tell(checker, module, one)
    for loop in (one for one in ast.walk(function) if isinstance(one, ast.AsyncFor)):
        if _is_content(loop.iter, answers):
            checker.tell("check", module, loop, f"async for … in {ast.unparse(loop.iter)}"[:100], *WHOLE)


def _is_content(node: ast.AST, answers: set[str]) -> bool:
    """Whether it is the content of an answer, which is read in parts."""
    return isinstance(node, ast.Attribute) and node.attr == "content" and ast.unparse(node.value) in answers


def _tell(checker: checks.Checker, module: Module, node: ast.Attribute) -> None:
    checker.tell("lacks", module, node, ast.unparse(node)[:100], *INSTEAD.get(node.attr, ("the layer does not have it", "`parlor.http`: reference/api/http.md")))


def _attributes(whole: ast.AST) -> Iterator[ast.Attribute]:
    return (one for one in ast.walk(whole) if isinstance(one, ast.Attribute) and isinstance(one.ctx, ast.Load))


def _bound(whole: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Yields the names and attributes that something is given to, with what it is."""
    yield from ((ast.unparse(to), value) for to, value in tree.given(ast.walk(whole)))
    for one in ast.walk(whole):
        if isinstance(one, (ast.For, ast.AsyncFor)):
            yield ast.unparse(one.target), one.iter
        elif isinstance(one, ast.NamedExpr):
            yield ast.unparse(one.target), one.value


def _is_new(module: Module, node: ast.expr) -> bool:
    """Whether it makes a session."""
    return isinstance(node, ast.Call) and (module.dotted(node.func) or "").endswith("aiohttp.ClientSession")


def _is_session(node: ast.AST, sessions: set[str]) -> bool:
    return isinstance(node, (ast.Name, ast.Attribute)) and ast.unparse(node) in sessions


def _is_request(node: ast.expr, sessions: set[str]) -> bool:
    """Whether it waits for an answer, or is one that `async with` waits for."""
    node = node.value if isinstance(node, ast.Await) else node
    is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in web.METHODS
    return is_call and _is_session(node.func.value, sessions)
