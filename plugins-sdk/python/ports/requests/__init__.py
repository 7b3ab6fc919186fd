"""Requests over the web by the names that plugins know from the package of this name. Each call has to be awaited.

    answer = await requests.get("https://api.example.org/tea", params={"kind": "green"}, timeout=10)
    answer.raise_for_status()
    print(answer.json())

The host makes the requests, to the servers that plugin.toml names. There are no cookies, no proxies, no streams, and certificates are
always verified. Files are sent by `parlor.http`.
"""

import json as _json
import sys
from types import SimpleNamespace
from typing import Any, Optional

from parlor import errors
from parlor_port import web

from . import exceptions
from .exceptions import (
    ConnectionError, ConnectTimeout, HTTPError, InsecureRequestWarning, InvalidURL, JSONDecodeError, ReadTimeout, RequestException, Timeout, TooManyRedirects,
)

#: The codes that plugins name.
codes = SimpleNamespace(
    ok=200, created=201, accepted=202, no_content=204, moved=301, found=302, not_modified=304, bad_request=400, unauthorized=401,
    forbidden=403, not_found=404, conflict=409, too_many_requests=429, internal_server_error=500, bad_gateway=502, unavailable=503,
)


class Response:
    """The answer to a request."""

    def __init__(self, answer: Any) -> None:
        self.status_code: int = answer.status
        self.url: str = answer.url
        self.content: bytes = answer.content
        self.headers = web.Headers(answer.headers)
        self.encoding: Optional[str] = None
        self.reason = ""

    @property
    def ok(self) -> bool:
        """Whether the status is below 400."""
        return self.status_code < 400

    @property
    def text(self) -> str:
        """The body as text; bytes that cannot be read so are replaced."""
        try:
            return self.content.decode(self.encoding or "utf-8", "replace")
        except LookupError:
            return self.content.decode("utf-8", "replace")

    def json(self, **named: Any) -> Any:
        """The body as JSON. `JSONDecodeError`: it is none."""
        try:
            return _json.loads(self.content, **named)
        except ValueError as error:
            raise JSONDecodeError(str(error), self.text, getattr(error, "pos", 0)) from None

    def raise_for_status(self) -> None:
        """`HTTPError`: the status is 400 or more."""
        if not self.ok:
            raise HTTPError(f"status {self.status_code} of {self.url}", response=self)

    def iter_lines(self, decode_unicode: bool = False) -> Any:
        """The lines of the body."""
        return iter(self.text.splitlines() if decode_unicode else self.content.splitlines())

    def iter_content(self, chunk_size: int = 1024, **_: Any) -> Any:
        """The body in parts."""
        return (self.content[at : at + chunk_size] for at in range(0, len(self.content), max(1, chunk_size)))

    def close(self) -> None:
        """Nothing is open any more."""

    def __enter__(self) -> "Response":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __bool__(self) -> bool:
        return self.ok


async def request(
    method: str,
    url: str,
    params: Any = None,
    data: Any = None,
    headers: Any = None,
    json: Any = None,
    auth: Any = None,
    timeout: Any = None,
    allow_redirects: bool = True,
    files: Any = None,
    **others: Any,
) -> Response:
    """Makes a request. `RequestException`: it could not be made."""
    for name in ("cookies", "proxies", "cert"):
        if others.get(name):
            raise NotImplementedError(f"requests on parlor have no {name}")
    follow = web.FOLLOW if allow_redirects else 0
    try:
        return Response(await web.fetch(
            method, url, params=params, data=data, files=files, headers=headers, json=json, auth=auth, timeout=timeout, follow=follow
        ))
    except errors.TimedOut as error:
        raise ReadTimeout(str(error)) from error
    except errors.Invalid as error:
        raise InvalidURL(str(error)) from error
    except errors.Error as error:
        raise ConnectionError(str(error)) from error


async def get(url: str, params: Any = None, **options: Any) -> Response:
    """A request of the method GET."""
    return await request("GET", url, params=params, **options)


async def post(url: str, data: Any = None, json: Any = None, **options: Any) -> Response:
    """A request of the method POST."""
    return await request("POST", url, data=data, json=json, **options)


async def put(url: str, data: Any = None, **options: Any) -> Response:
    """A request of the method PUT."""
    return await request("PUT", url, data=data, **options)


async def patch(url: str, data: Any = None, **options: Any) -> Response:
    """A request of the method PATCH."""
    return await request("PATCH", url, data=data, **options)


async def delete(url: str, **options: Any) -> Response:
    """A request of the method DELETE."""
    return await request("DELETE", url, **options)


async def head(url: str, **options: Any) -> Response:
    """A request of the method HEAD."""
    return await request("HEAD", url, **{"allow_redirects": False, **options})


async def options(url: str, **options: Any) -> Response:
    """A request of the method OPTIONS."""
    return await request("OPTIONS", url, **options)


class Session:
    """Requests that share their headers, their query and who asks."""

    def __init__(self) -> None:
        self.headers = web.Headers()
        self.params: dict[str, Any] = {}
        self.auth: Any = None
        self.verify = True

    async def request(self, method: str, url: str, **options: Any) -> Response:
        """Makes a request."""
        merged = web.Headers({**self.headers, **(options.pop("headers", None) or {})})
        given = options.pop("params", None)
        params = given if isinstance(given, str) else [*web.pairs(self.params), *web.pairs(given or {})]
        options.setdefault("auth", self.auth)
        return await request(method, url, headers=merged, params=params or None, **options)

    async def get(self, url: str, **options: Any) -> Response:
        """A request of the method GET."""
        return await self.request("GET", url, **options)

    async def post(self, url: str, data: Any = None, json: Any = None, **options: Any) -> Response:
        """A request of the method POST."""
        return await self.request("POST", url, data=data, json=json, **options)

    async def put(self, url: str, data: Any = None, **options: Any) -> Response:
        """A request of the method PUT."""
        return await self.request("PUT", url, data=data, **options)

    async def patch(self, url: str, data: Any = None, **options: Any) -> Response:
        """A request of the method PATCH."""
        return await self.request("PATCH", url, data=data, **options)

    async def delete(self, url: str, **options: Any) -> Response:
        """A request of the method DELETE."""
        return await self.request("DELETE", url, **options)

    async def head(self, url: str, **options: Any) -> Response:
        """A request of the method HEAD."""
        return await self.request("HEAD", url, **options)

    async def options(self, url: str, **options: Any) -> Response:
        """A request of the method OPTIONS."""
        return await self.request("OPTIONS", url, **options)

    def close(self) -> None:
        """Nothing is open any more."""

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


session = Session


def HTTPBasicAuth(username: str, password: str) -> tuple[str, str]:
    """The name and the password of the plugin."""
    return username, password


def disable_warnings(*_: Any) -> None:
    """There are none."""


urllib3 = sys.modules[__name__]
# Plugins also import all of this from the parts of the package of this name.
for _name in ("api", "auth", "models", "packages", "packages.urllib3", "packages.urllib3.exceptions", "sessions"):
    if "." not in _name:
        globals()[_name] = sys.modules[__name__]
    sys.modules[f"{__name__}.{_name}"] = sys.modules[__name__]
