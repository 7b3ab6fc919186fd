"""Paths of requests as the source has them, such as `/poll/{id}`. They stand below the address of a webhook, which is the host's."""

import re
from typing import Any, Callable, Mapping, Optional

#: A parameter as aiohttp writes it: `{id}`, or `{id:\\d+}`.
_BRACES = re.compile(r"\{([A-Za-z_]\w*)(?::((?:[^{}]|\{[^{}]*\})+))?\}")
#: One as errbot writes it: `<id>`, `<int:id>`, or `<id:int>`.
_ANGLES = re.compile(r"<([^<>]+)>")
#: The kinds of those, with their patterns, and what makes a value of the text.
_KINDS: Mapping[str, tuple[str, Callable[[str], Any]]] = {"int": (r"-?\d+", int), "float": (r"-?\d+(?:\.\d*)?", float), "path": (".+", str)}
_WORDS = {*_KINDS, "string", "any", "uuid", "re", "default"}
_PIECE = "[^/]+"


class Route:
    """One path, with what makes a value of each of its parameters."""

    def __init__(self, pattern: str, parameters: Mapping[str, Callable[[str], Any]]) -> None:
        self._pattern = re.compile(pattern)
        self._parameters = parameters

    def __len__(self) -> int:
        return len(self._parameters)

    def values(self, path: Optional[str]) -> Optional[dict[str, Any]]:
        """The values of all parameters. None: it is another path. `path`: the part below the webhook's address, or nothing."""
        found = self._pattern.fullmatch((path or "").strip("/"))
        if found is None:
            return None
        return {name: read(found[f"parlor_{number}"]) for number, (name, read) in enumerate(self._parameters.items())}


def of_braces(path: str) -> Route:
    """A path in the style of aiohttp."""
    return _route(path, _BRACES, lambda one: (one[1], one[2] or r"[^{}/]+", str))


def of_angles(path: str) -> Route:
    """A path in the style of errbot."""
    return _route(path, _ANGLES, lambda one: _of_angle(one[1]))


def _of_angle(text: str) -> tuple[str, str, Callable[[str], Any]]:
    first, *others = text.split(":", 2)
    kind = first.partition("(")[0]
    if others and kind in _WORDS:
        return others[0], *_KINDS.get(kind, (_PIECE, str))
    if others[:1] == ["re"] and others[1:]:
        return first, others[1], str
    return first, *_KINDS.get(others[0] if others else "", (_PIECE, str))


def _route(path: str, parameter: "re.Pattern[str]", read: "Callable[[re.Match[str]], tuple[str, str, Callable[[str], Any]]]") -> Route:
    path, text, at = path.strip("/"), "", 0
    found: dict[str, Callable[[str], Any]] = {}
    for one in parameter.finditer(path):
        name, pattern, value = read(one)
        text += re.escape(path[at : one.start()]) + f"(?P<parlor_{len(found)}>{pattern})"
        found[name], at = value, one.end()
    return Route(text + re.escape(path[at:]), found)
