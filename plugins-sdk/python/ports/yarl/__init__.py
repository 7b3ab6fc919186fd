"""Addresses of the web, by the name that plugins know from the package of this name, which has parts in C."""

from typing import Any, Iterable, Iterator, Mapping, Optional
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urljoin, urlsplit

_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
#: The signs that a path and a query may have as they are. A `%` is none: in the text of a stranger, `%2F` would be a slash.
_PATH, _QUERY = "/:@!$&'()*+,;=~-._", "/:@!$'()*,;~-._?"


class Query(Mapping[str, str]):
    """The values of a query, of which several may have one name."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._pairs = list(pairs)

    def __getitem__(self, name: str) -> str:
        for key, value in self._pairs:
            if key == name:
                return value
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(dict(self._pairs))

    def __len__(self) -> int:
        return len(dict(self._pairs))

    def getall(self, name: str, default: Any = None) -> Any:
        """All values of a name."""
        found = [value for key, value in self._pairs if key == name]
        return found or default

    getone = Mapping.get


class URL:
    """An address. Each method gives a new one."""

    def __init__(self, val: Any = "", *, encoded: bool = False) -> None:
        self._split: SplitResult = val if isinstance(val, SplitResult) else urlsplit(str(val))

    @classmethod
    def build(
        cls, *, scheme: str = "", host: str = "", port: Optional[int] = None, path: str = "", query: Any = None, query_string: str = "", fragment: str = "",
        **_: Any,
    ) -> "URL":
        """An address of these parts."""
        made = cls(SplitResult(scheme, _place("", host, port), quote(path, safe=_PATH), query_string, quote(fragment, safe=_PATH)))
        return made if query is None else made.with_query(query)

    def __str__(self) -> str:
        split = self._split
        # `https://example.org` is `https://example.org/`, as a request has it.
        return (split._replace(path="/") if split.netloc and not split.path and (split.query or split.fragment) else split).geturl()

    human_repr = __str__

    def __repr__(self) -> str:
        return f"URL({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, URL) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __bool__(self) -> bool:
        return any(self._split)

    def _key(self) -> str:
        # `https://example.org` is the same as `https://example.org/`.
        return (self._split if self._split.path or not self._split.netloc else self._split._replace(path="/")).geturl()

    def _with(self, **parts: str) -> "URL":
        return URL(self._split._replace(**parts))

    @property
    def scheme(self) -> str:
        """`https`, or nothing."""
        return self._split.scheme

    @property
    def host(self) -> Optional[str]:
        """The server's name."""
        return self._split.hostname

    @property
    def port(self) -> Optional[int]:
        """The port, also one that is not written. `ValueError`: it is none."""
        return self._split.port or _PORTS.get(self.scheme)

    @property
    def user(self) -> Optional[str]:
        """The name of whoever asks."""
        return _read(self._split.username)

    @property
    def password(self) -> Optional[str]:
        """The password of whoever asks."""
        return _read(self._split.password)

    @property
    def authority(self) -> str:
        """The server with its port, and who asks."""
        return self._split.netloc

    @property
    def raw_path(self) -> str:
        """The path as it is written."""
        return self._split.path or ("/" if self._split.netloc else "")

    @property
    def path(self) -> str:
        """The path."""
        return unquote(self.raw_path)

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of the path."""
        path = self.path
        return ("/", *(path[1:].split("/") if path[1:] else ())) if path.startswith("/") else tuple(path.split("/"))

    @property
    def name(self) -> str:
        """The last part of the path."""
        last = self.parts[-1]
        return "" if last == "/" else last

    @property
    def suffix(self) -> str:
        """The ending of the name, with its dot."""
        return f".{self.name.rpartition('.')[2]}" if "." in self.name.strip(".") else ""

    @property
    def parent(self) -> "URL":
        """The address without the last part of the path, the query and the fragment."""
        return self._with(path=self.raw_path.rpartition("/")[0] or "/", query="", fragment="")

    @property
    def query_string(self) -> str:
        """The query, as it is read."""
        return unquote(self._split.query)

    @property
    def query(self) -> Query:
        """The values of the query."""
        return Query(parse_qsl(self._split.query, keep_blank_values=True))

    @property
    def fragment(self) -> str:
        """The part after `#`."""
        return unquote(self._split.fragment)

    def is_absolute(self) -> bool:
        """Whether it names a server."""
        return bool(self._split.netloc)

    def origin(self) -> "URL":
        """The server alone."""
        return self._with(netloc=_place("", self.host or "", self._split.port), path="", query="", fragment="")

    def relative(self) -> "URL":
        """The address without the server."""
        return self._with(scheme="", netloc="")

    def joinpath(self, *others: str, encoded: bool = False) -> "URL":
        """The address with more parts of the path."""
        more = [str(one).strip("/") for one in others]
        path = "/".join([self._split.path.rstrip("/"), *(more if encoded else [quote(one, safe=_PATH) for one in more])])
        return self._with(path=path if path.startswith("/") or not self._split.netloc else f"/{path}", query="", fragment="")

    def __truediv__(self, name: str) -> "URL":
        return self.joinpath(name)

    def join(self, url: "URL") -> "URL":
        """The address that another one means, which stands in this one's page."""
        return URL(urljoin(str(self), str(url)))

    def with_scheme(self, scheme: str) -> "URL":
        """The address with another scheme."""
        return self._with(scheme=scheme)

    def with_host(self, host: str) -> "URL":
        """The address with another server."""
        return self._with(netloc=_place(self._split.netloc.rpartition("@")[0], host, self._split.port))

    def with_port(self, port: Optional[int]) -> "URL":
        """The address with another port."""
        return self._with(netloc=_place(self._split.netloc.rpartition("@")[0], self.host or "", port))

    def with_user(self, user: Optional[str]) -> "URL":
        """The address with another name of whoever asks, or with nobody's."""
        who = "" if user is None else _who(user, self.password)
        return self._with(netloc=_place(who, self.host or "", self._split.port))

    def with_password(self, password: Optional[str]) -> "URL":
        """The address with another password of whoever asks, or without one."""
        return self._with(netloc=_place(_who(self.user or "", password), self.host or "", self._split.port))

    def with_path(self, path: str, *, encoded: bool = False, **_: Any) -> "URL":
        """The address with another path, without a query."""
        written = path if encoded else quote(path, safe=_PATH)
        return self._with(path=written if written.startswith("/") or not (written and self._split.netloc) else f"/{written}", query="", fragment="")

    def with_name(self, name: str) -> "URL":
        """The address with another last part of the path."""
        return self.parent.joinpath(name)

    def with_suffix(self, suffix: str) -> "URL":
        """The address with another ending of the name."""
        return self.with_name(f"{self.name.removesuffix(self.suffix)}{suffix}")

    def with_fragment(self, fragment: Optional[str]) -> "URL":
        """The address with another part after `#`."""
        return self._with(fragment=quote(fragment or "", safe=_PATH))

    def with_query(self, *given: Any, **named: Any) -> "URL":
        """The address with another query, or without one."""
        return self._with(query=urlencode(_pairs(given[0] if given else named), safe=_QUERY))

    def update_query(self, *given: Any, **named: Any) -> "URL":
        """The address with more in its query. A value takes the place of those of the same name."""
        more = _pairs(given[0] if given else named)
        kept = [(name, value) for name, value in self.query._pairs if name not in dict(more)]
        return self._with(query=urlencode(kept + more, safe=_QUERY))

    def extend_query(self, *given: Any, **named: Any) -> "URL":
        """The address with more in its query, also of the names that it has."""
        return self._with(query=urlencode([*self.query._pairs, *_pairs(given[0] if given else named)], safe=_QUERY))

    def without_query_params(self, *names: str) -> "URL":
        """The address without the values of these names in its query."""
        return self._with(query=urlencode([one for one in self.query._pairs if one[0] not in names], safe=_QUERY))

    def __mod__(self, query: Any) -> "URL":
        return self.update_query(query)


def _who(user: str, password: Optional[str]) -> str:
    return quote(user, safe="") if password is None else f"{quote(user, safe='')}:{quote(password, safe='')}"


def _read(text: Optional[str]) -> Optional[str]:
    return None if text is None else unquote(text)


def _place(user: str, host: str, port: Optional[int]) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"{user}{'@' if user else ''}{name}{'' if port is None else f':{port}'}"


def _pairs(query: Any) -> list[tuple[str, str]]:
    """The names and values of a query, of which one may have several."""
    if query is None:
        return []
    if isinstance(query, str):
        return parse_qsl(query, keep_blank_values=True)
    pairs = query._pairs if isinstance(query, Query) else query.items() if isinstance(query, Mapping) else query
    return [(str(name), str(one)) for name, value in pairs for one in (value if isinstance(value, (list, tuple)) else [value])]
