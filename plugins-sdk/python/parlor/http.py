"""Requests over the web, which the host makes for the plugin. Needs `http.fetch`.

    weather = await http.get("https://api.example.org/weather?key={{api_key}}", params={"city": "Verona"}, credentials=["api_key"])
    temperature = weather.raise_for_status().json()["temperature"]
    await http.post("https://hooks.example.org/notes", json={"text": "hello"})
    await http.post("https://hooks.example.org/pictures", files={"file": ("balcony.png", picture, "image/png")})

Large bodies go in parts, and are never whole in memory:

    async with http.open("PUT", "https://api.example.org/log") as exchange:
        for day in range(1, 32):
            await exchange.write(f"day {day}; ")
        (await exchange.answer()).raise_for_status()
        async for part in exchange:
            print(len(part))
"""

import contextlib
import json as _json
import random
from typing import Any, Iterable, Iterator, Mapping, NamedTuple, Optional, Sequence, Tuple, Union
from urllib.parse import quote_plus

from .errors import Error, NotFound
from .host import Grouping
from .texts import whole
from .timers import Seconds, in_milliseconds
from .values import as_json

_http = Grouping("http")
_types = Grouping("types")

#: How many bytes the host takes of a body at once.
MOST = 1 << 20

#: A file in a form: its content, or its name and its content, or these and its media type.
FormFile = Union[bytes, str, Tuple[str, Union[bytes, str]], Tuple[str, Union[bytes, str], str]]


class Response(NamedTuple):
    """The answer to a request."""

    #: The status code (RFC 9110, section 15).
    status: int
    #: The address that answered, after all redirects.
    url: str
    #: The headers, with their names in small letters. Of several with one name, the values are joined by a comma; those of `set-cookie` by a
    #: line feed, since a cookie may contain commas.
    headers: dict[str, str]
    #: The body.
    content: bytes

    @property
    def ok(self) -> bool:
        """Whether the status is below 400."""
        return self.status < 400

    @property
    def text(self) -> str:
        """The body as text; bytes that are no UTF-8 are replaced."""
        return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as JSON. `ValueError`: it is none."""
        return _json.loads(self.content)

    def raise_for_status(self) -> "Response":
        """The answer itself. `Error`: its status is 400 or more."""
        _check(self.status)
        return self


async def fetch(
    method: str,
    url: str,
    *,
    params: Optional[Mapping[str, object]] = None,
    headers: Optional[Mapping[str, str]] = None,
    json: Any = None,
    data: Union[bytes, str, Mapping[str, object], None] = None,
    files: Optional[Mapping[str, FormFile]] = None,
    credentials: Sequence[str] = (),
    follow: int = 0,
    timeout: Optional[Seconds] = None,
) -> Response:
    """Makes a request, and waits for the whole answer. A status from 400 on raises nothing: see `Response.raise_for_status`.

    `params` are added to the query, before a fragment. The body is `json` as JSON, or `data`, of which a mapping is sent as a form. With
    `files` it is a form of both: `{"file": ("balcony.png", picture, "image/png")}`. In `params` and `data`, a list or tuple is a field for
    each of its values, bytes are sent as they are, and `None` is no field. Braces are encoded in `params`, and in a form without `files`.
    The host writes the `credentials`, settings of that type, where `{{name}}` stands, in the parts of the request that `insert_in` in
    `plugin.toml` lists; without it, in headers and the query. `follow`: how many redirects are followed, 10 at most. `timeout`: in
    seconds, or a `timedelta`.
    """
    request = _request("http.fetch", method, url, params, headers, json, data, files, credentials, timeout, follow)
    answer = await _http.fetch(request)
    return Response(answer.status, answer.url, by_name(answer.headers), answer.body)


def _request(
    call: str,
    method: str,
    url: str,
    params: Optional[Mapping[str, object]],
    headers: Optional[Mapping[str, str]],
    json: Any,
    data: Union[bytes, str, Mapping[str, object], None],
    files: Optional[Mapping[str, FormFile]],
    credentials: Sequence[str],
    timeout: Optional[Seconds],
    follow: int = 0,
) -> Any:
    """A request as the contract has it."""
    given, kind = dict(headers or {}), None
    if json is not None and (data is not None or files is not None):
        raise TypeError(f"{call} takes json or data, not both")
    if files is not None and isinstance(data, (bytes, str)):
        raise TypeError(f"{call}: data has to be a mapping beside files, and is {type(data).__name__}")
    body: Union[bytes, str, None]
    if json is not None:
        body, kind = as_json(json), "application/json"
    elif files is not None:
        body, kind = _form(data if isinstance(data, Mapping) else {}, files)
    elif isinstance(data, Mapping):
        body, kind = _pairs(data), "application/x-www-form-urlencoded"
    else:
        body = data
    if kind is not None and not any(name.lower() == "content-type" for name in given):
        given["content-type"] = kind
    if query := _pairs(params or {}):
        # A client does not send the fragment, the part from the # on (RFC 3986, section 3.5).
        url, mark, fragment = url.partition("#")
        url = f"{url}{'&' if '?' in url else '?'}{query}{mark}{fragment}"
    return _http.Request(
        method=method,
        url=url,
        headers=[_types.Header(name, value) for name, value in given.items()],
        body=None if body is None else encoded(body),
        credentials=list(credentials),
        follow=follow,
        timeout=None if timeout is None else in_milliseconds(timeout) or 1,
    )


async def get(url: str, **options: Any) -> Response:
    """A request of the method GET, with the options of `fetch`."""
    return await fetch("GET", url, **options)


async def post(url: str, **options: Any) -> Response:
    """A request of the method POST, with the options of `fetch`."""
    return await fetch("POST", url, **options)


async def put(url: str, **options: Any) -> Response:
    """A request of the method PUT, with the options of `fetch`."""
    return await fetch("PUT", url, **options)


async def delete(url: str, **options: Any) -> Response:
    """A request of the method DELETE, with the options of `fetch`."""
    return await fetch("DELETE", url, **options)


class Head(NamedTuple):
    """The beginning of an answer, from `Exchange.answer`."""

    #: The status code (RFC 9110, section 15).
    status: int
    #: The headers, with their names in small letters. Of several with one name, the values are joined by a comma; those of `set-cookie` by a
    #: line feed, since a cookie may contain commas.
    headers: dict[str, str]

    @property
    def ok(self) -> bool:
        """Whether the status is below 400."""
        return self.status < 400

    def raise_for_status(self) -> "Head":
        """It itself. `Error`: its status is 400 or more."""
        _check(self.status)
        return self


class Parts:
    """A body that is read in parts, by `async for`, `read` or `read_all`. The server sends no more than is read."""

    def __init__(self, calls: Grouping, number: Optional[int] = None) -> None:
        self._calls = calls
        #: Its number at the host; None: it is not open.
        self._number = number
        self._is_over = False

    def __aiter__(self) -> "Parts":
        return self

    async def __anext__(self) -> bytes:
        part = await self.read()
        if not part:
            raise StopAsyncIteration
        return part

    async def read(self) -> bytes:
        """The next part, of at most 64 KiB; empty at the end."""
        while not self._is_over:
            part: Optional[bytes] = await self._calls.read(self._opened())
            if part:
                return part
            self._is_over = part is None
        return b""

    async def read_all(self, limit: int) -> bytes:
        """All the rest. `Error`: it has more than `limit` bytes; it is closed then."""
        whole = bytearray()
        async for part in self:
            if len(whole) + len(part) > limit:
                self.close()
                raise Error(f"it has more than {limit} bytes")
            whole += part
        return bytes(whole)

    def close(self) -> None:
        """Ends it, wherever it stands. One that has ended is left alone."""
        number, self._number = self._number, None
        if number is not None and not self._is_over:
            with contextlib.suppress(NotFound):
                self._calls.close(number)

    def _opened(self) -> int:
        if self._number is None:
            raise RuntimeError("it is not open: `async with` opens it, and closes it at its end")
        return self._number


class Exchange(Parts):
    """A request whose bodies go in parts, from `open`: write the body, wait for the answer, and read that."""

    def __init__(self, request: Any) -> None:
        super().__init__(_http)
        self._request = request

    async def __aenter__(self) -> "Exchange":
        self._number = await _http.open(self._request)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    async def write(self, part: Union[bytes, str]) -> None:
        """Sends a part of the body, of any size. It waits while the server takes no more. `Protocol`: the server takes no more of it; it
        may have answered, so call `answer`. `Invalid`: that is more than its `content-length`."""
        await write_all(_http, self._opened(), encoded(part))

    async def answer(self) -> Head:
        """Ends the body, and waits for the beginning of the answer. It raises what `fetch` raises; a status from 400 on raises nothing.
        `NotFound`: it was answered. `Invalid`: bytes of its `content-length` are missing, and it stays open."""
        head = await _http.answer(self._opened())
        return Head(head.status, by_name(head.headers))


async def write_all(calls: Grouping, number: int, data: bytes) -> None:
    """Sends bytes in as many parts as it takes."""
    for at in range(0, len(data), MOST):
        await calls.write(number, data[at : at + MOST])


def open(
    method: str,
    url: str,
    *,
    params: Optional[Mapping[str, object]] = None,
    headers: Optional[Mapping[str, str]] = None,
    json: Any = None,
    data: Union[bytes, str, Mapping[str, object], None] = None,
    files: Optional[Mapping[str, FormFile]] = None,
    credentials: Sequence[str] = (),
    timeout: Optional[Seconds] = None,
) -> Exchange:
    """A request whose bodies go in parts and are never whole in memory, for `async with`, which begins and ends it.

    The arguments are those of `fetch`. Without `json`, `data` and `files`, the body is what `write` sends. No redirect is followed, and
    `timeout` bounds each wait by itself. It counts among the limit `http_requests` until it has ended.
    """
    return Exchange(_request("http.open", method, url, params, headers, json, data, files, credentials, timeout))


def by_name(headers: Iterable[Any]) -> dict[str, str]:
    """Headers as a dictionary. Of several with one name, the values are joined by a comma; those of `set-cookie` by a line feed."""
    joined: dict[str, str] = {}
    for header in headers:
        # A cookie may contain commas (RFC 6265, section 3).
        between = "\n" if header.name == "set-cookie" else ", "
        joined[header.name] = joined[header.name] + between + header.value if header.name in joined else header.value
    return joined


def _query(value: object) -> str:
    """A name or a value as a query has it. Braces are encoded, too: a `{{name}}` that a person wrote must not become a credential."""
    return quote_plus(_content(value))


def _each(fields: Mapping[str, object]) -> Iterator[Tuple[str, object]]:
    """Each field with its value: a list or tuple has several, and None is left out."""
    for name, value in fields.items():
        for one in value if isinstance(value, (list, tuple)) else (value,):
            if one is not None:
                yield name, one


def _pairs(fields: Mapping[str, object]) -> str:
    """Fields as a query or a form has them."""
    return "&".join(f"{_query(name)}={_query(value)}" for name, value in _each(fields))


def _form(fields: Mapping[str, object], files: Mapping[str, FormFile]) -> Tuple[bytes, str]:
    """A form of fields and files as browsers send it (RFC 7578), and its content-type."""
    parts = [(f'form-data; name="{_escaped(name)}"', _content(value)) for name, value in _each(fields)]
    for name, file in files.items():
        given = (name, file) if isinstance(file, (bytes, str)) else file
        # A line end in the media type would begin another header.
        kind = " ".join(given[2].splitlines()) if len(given) == 3 else "application/octet-stream"
        head = f'form-data; name="{_escaped(name)}"; filename="{_escaped(given[0])}"\r\ncontent-type: {kind}'
        parts.append((head, encoded(given[1])))
    boundary = ""
    while not boundary or any(boundary in head or boundary.encode() in content for head, content in parts):
        boundary = f"parlor-{random.getrandbits(128):032x}"
    lines = [encoded(f"--{boundary}\r\ncontent-disposition: {head}\r\n\r\n") + content for head, content in parts]
    body = b"\r\n".join([*lines, f"--{boundary}--\r\n".encode()])
    return body, f"multipart/form-data; boundary={boundary}"


def _content(value: object) -> bytes:
    """The value of a field: bytes as they are, anything else as a text."""
    return bytes(value) if isinstance(value, (bytes, bytearray)) else encoded(str(value))


def encoded(content: Union[bytes, str]) -> bytes:
    """A text as UTF-8; bytes as they are."""
    return whole(content).encode() if isinstance(content, str) else content


def _escaped(name: str) -> str:
    """A name for a header, as browsers escape it (RFC 7578, section 4.2)."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _check(status: int) -> None:
    if status >= 400:
        raise Error(f"the server answered {status}")
