"""Requests over the web by the names that plugins know from the package of this name.

    async with session.get("https://api.example.org/tea", params={"kind": "green"}) as answer:
        answer.raise_for_status()
        print(await answer.json())

The host makes the requests, to the servers that plugin.toml names. There are no cookies and no proxies, and a body is there as a whole, also
where it is read in parts. `web` has the requests and answers of webhooks.
"""

import codecs
import json as _json
import sys
from http import HTTPStatus
from typing import Any, Coroutine, Generator, NamedTuple, Optional

import yarl
from parlor import errors
from parlor_port import web as _requests

from . import hdrs, web
from .streams import StreamReader as StreamReader

#: The usual reasons, by the statuses.
_PHRASES = {int(one): one.phrase for one in HTTPStatus}


class ClientError(Exception):
    """Any reason why a request was not made."""


class ClientConnectionError(ClientError):
    """There is no connection to the server, or the owner did not grant it."""


class ClientConnectorError(ClientConnectionError):
    """There is no connection to the server."""


class ServerTimeoutError(ClientConnectionError, TimeoutError):
    """The answer has not come in time."""


ClientOSError = ServerDisconnectedError = ServerConnectionError = ClientPayloadError = ClientConnectionError


class InvalidURL(ClientError, ValueError):
    """The address is none."""


class ContentTypeError(ClientError, ValueError):
    """The body is not what was expected."""


class ClientResponseError(ClientError):
    """The status is 400 or more."""

    def __init__(self, status: int, url: Any) -> None:
        super().__init__(f"status {status} of {url}")
        self.status = status
        self.message = f"status {status}"


class ClientTimeout:
    """How long a request may take."""

    def __init__(self, total: Optional[float] = None, **_: Any) -> None:
        self.total = total


class BasicAuth(NamedTuple):
    """The client that sends requests."""

    login: str
    password: str = ""


class DummyCookieJar:
    """It keeps no cookies, as no session here does."""


class FormData:
    """A form."""

    def __init__(self, fields: Any = (), **_: Any) -> None:
        self.fields: list[tuple[str, Any]] = []
        self.files: list[tuple[str, Any]] = []
        for name, value in _requests.pairs(fields):
            self.add_field(name, value)

    def add_field(self, name: str, value: Any, *, content_type: Optional[str] = None, filename: Optional[str] = None, **_: Any) -> None:
        """Adds a field. Bytes, and objects with `read`, are files."""
        if filename is None and not hasattr(value, "read") and not isinstance(value, bytes):
            self.fields.append((name, value))
        else:
            self.files.append((name, (filename or getattr(value, "name", name), value, content_type)))


class ClientResponse:
    """The answer to a request."""

    def __init__(self, answer: Any, method: str = "GET") -> None:
        self.status: int = answer.status
        self.method = method.upper()
        #: The address that has answered, behind redirects.
        self.url = self.real_url = yarl.URL(answer.url)
        self.headers = _requests.Headers(answer.headers)
        self.reason = _PHRASES.get(self.status, "")
        #: The answers before: the host follows redirects by itself.
        self.history: tuple[Any, ...] = ()
        self._content: bytes = answer.content
        self.content = StreamReader(self._content)

    @property
    def ok(self) -> bool:
        """Whether the status is below 400."""
        return self.status < 400

    @property
    def content_type(self) -> str:
        """The media type of the body."""
        return self.headers.media_type

    @property
    def content_length(self) -> int:
        """The size of the body."""
        return len(self._content)

    @property
    def charset(self) -> Optional[str]:
        """The encoding that the server names."""
        return self.headers.charset

    def get_encoding(self) -> str:
        """The encoding of the body: the one that the server names, if it is known."""
        try:
            return codecs.lookup(self.charset or "utf-8").name
        except LookupError:
            return "utf-8"

    async def read(self) -> bytes:
        """The body."""
        return self._content

    async def text(self, encoding: Optional[str] = None, errors: str = "replace") -> str:
        """The body as text."""
        return self._content.decode(encoding or self.get_encoding(), errors)

    async def json(self, *, loads: Any = _json.loads, content_type: Optional[str] = None, **_: Any) -> Any:
        """The body as JSON. `ValueError`: it is none."""
        return loads(self._content)

    def raise_for_status(self) -> None:
        """`ClientResponseError`: the status is 400 or more."""
        if not self.ok:
            raise ClientResponseError(self.status, self.url)

    def release(self) -> None:
        """Nothing is open any more."""

    close = release

    async def __aenter__(self) -> "ClientResponse":
        return self

    async def __aexit__(self, *_: Any) -> None:
        self.release()


class _Asked:
    """A request, for `await` and for `async with`."""

    def __init__(self, coroutine: Coroutine[Any, Any, ClientResponse]) -> None:
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, None, ClientResponse]:
        return self._coroutine.__await__()

    async def __aenter__(self) -> ClientResponse:
        return await self._coroutine

    async def __aexit__(self, *_: Any) -> None:
        pass


class ClientSession:
    """Requests that share their headers."""

    def __init__(self, base_url: Any = None, *, headers: Any = None, timeout: Any = None, auth: Any = None,
                 raise_for_status: bool = False, cookies: Any = None, **_: Any) -> None:
        if cookies:
            raise NotImplementedError("requests on parlor have no cookies")
        self.headers = _requests.Headers(headers)
        self.closed = False
        self._base = str(base_url or "")
        self._timeout = timeout
        self._auth = auth
        self._raises = raise_for_status

    def request(self, method: str, url: Any, **options: Any) -> _Asked:
        """Makes a request."""
        return _Asked(self._request(method, url, **options))

    async def _request(self, method: str, url: Any, *, params: Any = None, headers: Any = None, json: Any = None, data: Any = None,
                       auth: Any = None, timeout: Any = None, allow_redirects: bool = True, raise_for_status: Optional[bool] = None,
                       **others: Any) -> ClientResponse:
        for name in ("cookies", "proxy"):
            if others.get(name):
                raise NotImplementedError(f"requests on parlor have no {name}")
        # A form may be a mapping, too.
        form = data if isinstance(data, FormData) else FormData(data) if isinstance(data, dict) else None
        try:
            answer = ClientResponse(await _requests.fetch(
                method, self._base + str(url), params=params, headers={**self.headers, **(headers or {})}, json=json,
                data=data if form is None else form.fields, files=None if form is None else form.files, auth=auth or self._auth,
                timeout=timeout or self._timeout, follow=_requests.FOLLOW if allow_redirects else 0,
            ), method)
        except errors.TimedOut as error:
            raise ServerTimeoutError(str(error)) from error
        except errors.Invalid as error:
            raise InvalidURL(str(error)) from error
        except errors.Error as error:
            raise ClientConnectorError(str(error)) from error
        if self._raises if raise_for_status is None else raise_for_status:
            answer.raise_for_status()
        return answer

    def get(self, url: Any, **options: Any) -> _Asked:
        """A request of the method GET."""
        return self.request("GET", url, **options)

    def post(self, url: Any, **options: Any) -> _Asked:
        """A request of the method POST."""
        return self.request("POST", url, **options)

    def put(self, url: Any, **options: Any) -> _Asked:
        """A request of the method PUT."""
        return self.request("PUT", url, **options)

    def patch(self, url: Any, **options: Any) -> _Asked:
        """A request of the method PATCH."""
        return self.request("PATCH", url, **options)

    def delete(self, url: Any, **options: Any) -> _Asked:
        """A request of the method DELETE."""
        return self.request("DELETE", url, **options)

    def head(self, url: Any, **options: Any) -> _Asked:
        """A request of the method HEAD."""
        return self.request("HEAD", url, **{"allow_redirects": False, **options})

    def options(self, url: Any, **options: Any) -> _Asked:
        """A request of the method OPTIONS."""
        return self.request("OPTIONS", url, **options)

    async def close(self) -> None:
        """Nothing is open any more."""
        self.closed = True

    async def __aenter__(self) -> "ClientSession":
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self.close()


# Python loads an encoding when it is first used: that has to be now, where there are files.
for _name in ("cp1252", "iso8859-1", "iso8859-15"):
    codecs.lookup(_name)
# Plugins also import all of this from the parts of the package of this name.
for _name in ("client", "client_exceptions", "client_reqrep", "formdata", "helpers", "http_exceptions", "typedefs"):
    globals()[_name] = sys.modules[f"{__name__}.{_name}"] = sys.modules[__name__]
for _name in ("abc", "web_request", "web_response", "web_exceptions"):
    globals()[_name] = sys.modules[f"{__name__}.{_name}"] = web
