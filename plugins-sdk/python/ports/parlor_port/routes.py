"""Parameters of paths. The address of a webhook is the host's and has no parts for them, so that they come by the query: what the source
has as `/poll/{id}` is `?id=5`."""

import re
from typing import Any, Callable, Mapping, Optional
from urllib.parse import parse_qsl

#: A parameter as aiohttp writes it: `{id}`, or `{id:\\d+}`.
_BRACES = re.compile(r"\{([A-Za-z_]\w*)(?::((?:[^{}]|\{[^{}]*\})+))?\}")
#: One as errbot writes it: `<id>`, `<int:id>`, or `<id:int>`.
_ANGLES = re.compile(r"<([^<>]+)>")
_KINDS: Mapping[str, Callable[[str], Any]] = {"int": int, "float": float}
_WORDS = {*_KINDS, "string", "path", "any", "uuid", "re", "default"}


class Route:
    """The parameters of one path: by their names, what makes a value of the text. `ValueError`: the path does not match."""

    def __init__(self, parameters: Mapping[str, Callable[[str], Any]]) -> None:
        self._parameters = parameters

    def __len__(self) -> int:
        return len(self._parameters)

    def is_meant(self, query: Optional[str]) -> bool:
        """Whether a query has all parameters, whatever their values."""
        return all(name in _first(query) for name in self._parameters)

    def values(self, query: Optional[str]) -> Optional[dict[str, Any]]:
        """The values of all parameters. None: one is missing, or is not as the path has it."""
        given = _first(query)
        try:
            return {name: read(given[name]) for name, read in self._parameters.items()}
        except (KeyError, ValueError):
            return None


def _first(query: Optional[str]) -> dict[str, str]:
    """The fields of a query, each with its first value."""
    return dict(reversed(parse_qsl(query or "")))


def of_braces(path: str) -> Route:
    """The parameters of a path in the style of aiohttp."""
    return Route({one[1]: _matching(one[2] or r"[^{}/]+") for one in _BRACES.finditer(path)})


def of_angles(path: str) -> Route:
    """The parameters of a path in the style of errbot."""
    found: dict[str, Callable[[str], Any]] = {}
    for one in _ANGLES.finditer(path):
        first, *others = one[1].split(":", 2)
        kind = first.partition("(")[0]
        if others and kind in _WORDS:
            found[others[0]] = _KINDS.get(kind, str)
        elif others[:1] == ["re"] and others[1:]:
            found[first] = _matching(others[1])
        else:
            found[first] = _KINDS.get(others[0] if others else "", str)
    return Route(found)


def _matching(pattern: str) -> Callable[[str], str]:
    """A function that takes only texts which match as a whole."""
    expression = re.compile(pattern)

    def read(text: str) -> str:
        if expression.fullmatch(text) is None:
            raise ValueError(text)
        return text

    return read
