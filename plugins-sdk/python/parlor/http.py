"""Requests over the web, which the host makes for the plugin. Needs `http.fetch`.

    weather = await http.get("https://api.example.org/weather", params={"city": "Verona", "key": "{{api_key}}"}, credentials=["api_key"])
    temperature = weather.raise_for_status().json()["temperature"]
    await http.post("https://hooks.example.org/notes", json={"text": "hello"})
"""

import json as _json
from datetime import timedelta
from typing import Any, Iterable, Mapping, NamedTuple, Optional, Sequence, Union
from urllib.parse import quote_plus

from .errors import Error
from .host import Grouping
from .timers import Seconds

_http = Grouping("http")
_types = Grouping("types")


class Response(NamedTuple):
    """The answer to a request."""

    #: The status code (RFC 9110, section 15).
    status: int
    #: The address that answered, after all redirects.
    url: str
    #: The headers, with their names in small letters. Of several with one name, the values are joined by a comma.
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
        if not self.ok:
            raise Error(f"the server answered {self.status}")
        return self


async def fetch(
    method: str,
    url: str,
    *,
    params: Optional[Mapping[str, object]] = None,
    headers: Optional[Mapping[str, str]] = None,
    json: Any = None,
    data: Union[bytes, str, None] = None,
    credentials: Sequence[str] = (),
    follow: int = 0,
    timeout: Optional[Seconds] = None,
) -> Response:
    """Makes a request, and waits for the whole answer. A status from 400 on raises nothing: see `Response.raise_for_status`.

    `params` are added to the query. The body is `json` as JSON, or `data`. The host writes the `credentials`, settings of that type,
    where `{{name}}` stands in headers, query and body. `follow`: how many redirects are followed, 10 at most. `timeout`: in seconds,
    or a `timedelta`.
    """
    given = dict(headers or {})
    if json is not None:
        if data is not None:
            raise TypeError("http.fetch takes json or data, not both")
        data = _json.dumps(json)
        if not any(name.lower() == "content-type" for name in given):
            given["content-type"] = "application/json"
    if params:
        query = "&".join(f"{_query(name)}={_query(value)}" for name, value in params.items())
        url = f"{url}{'&' if '?' in url else '?'}{query}"
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    answer = await _http.fetch(
        _http.Request(
            method=method,
            url=url,
            headers=[_types.Header(name, value) for name, value in given.items()],
            body=data.encode() if isinstance(data, str) else data,
            credentials=list(credentials),
            follow=follow,
            timeout=None if seconds is None else max(1, round(seconds * 1000)),
        )
    )
    return Response(answer.status, answer.url, by_name(answer.headers), answer.body)


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


def by_name(headers: Iterable[Any]) -> dict[str, str]:
    """Headers as a dictionary. Of several with one name, the values are joined by a comma."""
    joined: dict[str, str] = {}
    for header in headers:
        joined[header.name] = f"{joined[header.name]}, {header.value}" if header.name in joined else header.value
    return joined


def _query(value: object) -> str:
    """A text as a query has it. The places of credentials stay as they are."""
    return quote_plus(str(value), safe="{}")
