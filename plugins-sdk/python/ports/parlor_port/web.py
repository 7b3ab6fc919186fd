"""Requests over the web, in the forms that plugins know. The host makes them, by `parlor.http`."""

import base64
import re
from typing import Any, Iterable, Iterator, Mapping, MutableMapping, Optional
from urllib.parse import quote, unquote, urlencode

from parlor import http

from .running import settled

#: How many redirects are followed, as the libraries do it that plugins know.
FOLLOW = 10
#: The longest time to wait, in seconds. The host's own limit is `http_time`.
LONGEST = 300.0
#: The signs that an address may have as they are, and a `%` that begins no code of a sign.
_SAFE = "!#$%&'()*+,/:;=?@[]~"
_LOOSE = re.compile(r"%(?![0-9A-Fa-f]{2})")


class Headers(MutableMapping[str, str]):
    """Headers, whose names are the same in capitals and small letters."""

    def __init__(self, given: Optional[Mapping[str, Any]] = None) -> None:
        self._all: dict[str, tuple[str, str]] = {}
        for name, value in (given or {}).items():
            if value is not None:
                self[name] = str(value)

    def __getitem__(self, name: str) -> str:
        return self._all[name.lower()][1]

    def __setitem__(self, name: str, value: str) -> None:
        self._all[name.lower()] = (name, value)

    def __delitem__(self, name: str) -> None:
        del self._all[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, _ in self._all.values()])

    def __len__(self) -> int:
        return len(self._all)

    @property
    def media_type(self) -> str:
        """The media type of the body that they belong to, in small letters and without parameters."""
        return self.get("content-type", "application/octet-stream").partition(";")[0].strip().lower()

    @property
    def charset(self) -> Optional[str]:
        """The encoding of the body that they belong to. None: they do not say it."""
        parts = (one.partition("=") for one in self.get("content-type", "").split(";")[1:])
        return next((value.strip().strip("\"'").lower() for name, _, value in parts if name.strip().lower() == "charset"), None) or None

    def getone(self, name: str, *default: Any) -> Any:
        """The value. `KeyError`: there is none, and no other one is given."""
        return self.get(name, *default) if default else self[name]

    def getall(self, name: str, *default: Any) -> Any:
        """The same as a list: there is one value of each name."""
        if name not in self and default:
            return default[0]
        return [self[name]]


async def fetch(
    method: str,
    url: Any,
    *,
    params: Any = None,
    headers: Optional[Mapping[str, Any]] = None,
    json: Any = None,
    data: Any = None,
    files: Any = None,
    auth: Any = None,
    timeout: Any = None,
    follow: int = FOLLOW,
) -> Any:
    """Makes a request. Gives the answer as `parlor.http` has it, whatever its status."""
    await settled()
    url, own = _without_user(str(url))
    url = encoded(with_params(str(url), params))
    given = Headers(headers)
    auth = auth or own
    if auth is not None and "authorization" not in given:
        name, password = auth
        given["Authorization"] = "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()
    if hasattr(data, "read"):
        data = data.read()
    if files:
        listed = pairs(files)
        fields = [*pairs(data or {}), *((name, one[1]) for name, one in listed if _is_field(one))]
        return await http.fetch(
            method.upper(), url, headers=dict(given), data=_of_names(_single(fields)),
            files=_of_names((name, file(name, one)) for name, one in listed if not _is_field(one)), follow=follow, timeout=seconds(timeout))
    if data is not None and not isinstance(data, (bytes, str)):
        data = urlencode(pairs(data), doseq=True)
        given.setdefault("Content-Type", "application/x-www-form-urlencoded")
    return await http.fetch(
        method.upper(), url, headers=dict(given), json=json, data=data, follow=follow, timeout=seconds(timeout)
    )


def _without_user(url: str) -> tuple[str, Optional[tuple[str, str]]]:
    """An address without the name and the password of whoever asks, with these. None: there are none. The host takes no address with them."""
    scheme, sign, rest = url.partition("://")
    place = re.match(r"[^/?#]*", rest)
    who, at, server = (place[0] if place and sign else "").rpartition("@")
    if not at:
        return url, None
    name, _, password = who.partition(":")
    return f"{scheme}://{server}{rest[len(who) + len(at) + len(server):]}", (unquote(name), unquote(password))


def _is_field(given: Any) -> bool:
    """Whether a value among the files is a text, which has no file name, as in `files={"kind": (None, "upload")}`."""
    return isinstance(given, (tuple, list)) and len(given) > 1 and given[0] is None


def _single(fields: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """The fields of a form beside files, each value of a list by itself."""
    for name, value in fields:
        for one in value if isinstance(value, (tuple, list)) else (value,):
            yield name, one


def file(name: str, given: Any) -> tuple[Any, ...]:
    """A file of a form, as `parlor.http` takes it: its name, its content, and its media type if that is known. It is given as the content, or
    as what has `read`, or as a tuple."""
    several = tuple(given) if isinstance(given, (tuple, list)) else (given,)
    content = several[min(len(several) - 1, 1)]
    own = several[0] if len(several) > 1 else getattr(given, "name", None)
    # An open file is named by its path.
    shown = own.rpartition("/")[2] if isinstance(own, str) and own else name
    return (shown, content.read() if hasattr(content, "read") else content, *(one for one in several[2:3] if one))


def _of_names(given: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """A mapping of pairs. `NotImplementedError`: two have one name."""
    listed = list(given)
    found = dict(listed)
    if len(found) < len(listed):
        raise NotImplementedError("two fields of one name in a form with files")
    return found


def encoded(url: str) -> str:
    """An address whose spaces, quotation marks and other unsafe signs behind the server are written as `%20` and the like. What is written
    so already stays."""
    begin, slashes, rest = url.lstrip().partition("://")
    at = min((rest.find(sign) for sign in "/?#" if sign in rest), default=len(rest))
    return f"{begin}{slashes}{rest[:at]}{quote(_LOOSE.sub('%25', rest[at:]), safe=_SAFE)}"


def with_params(url: str, params: Any) -> str:
    """An address with more in its query."""
    if not params:
        return url
    text = params if isinstance(params, str) else urlencode(pairs(params), doseq=True)
    url, mark, fragment = url.partition("#")
    return f"{url}{'&' if '?' in url else '?'}{text}{mark}{fragment}" if text else f"{url}{mark}{fragment}"


def pairs(given: Any) -> list[tuple[Any, Any]]:
    """The pairs of a mapping, or of a list of them; what is None is left out."""
    return [(key, value) for key, value in (given.items() if hasattr(given, "items") else given) if value is not None]


def seconds(timeout: Any) -> Optional[float]:
    """How long a request may take: a number of seconds, or several for its parts."""
    total = getattr(timeout, "total", timeout)
    if isinstance(total, (tuple, list)):
        parts = [one for one in total if one is not None]
        total = sum(parts) if parts else None
    return None if not isinstance(total, (int, float)) or total <= 0 else min(float(total), LONGEST)
