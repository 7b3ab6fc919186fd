"""Requests to the plugin and their answers, by the names that plugins know. The host serves them at the address of a webhook.

A request has `content-type` and the headers that plugin.toml lists by `headers`. An answer may have the headers that the host lets through;
others fail, and the other side gets the status 500.
"""

import json as _json
from types import SimpleNamespace
from typing import Any, Callable, Mapping, Optional
from urllib.parse import parse_qsl

import parlor
from parlor_port.running import settled
from parlor_port.web import Headers

from .streams import StreamReader


class Fields(dict[str, Any]):
    """Fields, of which each may be there several times: a key gives the first value."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        super().__init__()
        self._pairs = pairs
        for key, value in pairs:
            self.setdefault(key, value)

    def getone(self, key: str, *default: Any) -> Any:
        """The first value."""
        return self.get(key, *default) if default else self[key]

    def getall(self, key: str, *default: Any) -> Any:
        """All values. `KeyError`: there is none."""
        found = [value for name, value in self._pairs if name == key]
        if not found and not default:
            raise KeyError(key)
        return found or default[0]


class Request:
    """A request, as the host has given it."""

    def __init__(self, hook: Any, match_info: Optional[Mapping[str, str]] = None) -> None:
        self.method: str = hook.method
        self.headers = Headers(dict(hook.headers))
        self.query_string: str = hook.query or ""
        self.query = Fields(parse_qsl(self.query_string, keep_blank_values=True))
        #: The query alone: the rest of the address is the host's.
        self.url = self.rel_url = SimpleNamespace(query=self.query, query_string=self.query_string)
        #: The parameters of the path.
        self.match_info: dict[str, str] = dict(match_info or {})
        self._body = bytes(hook.body)
        #: The body, read in parts. The host has all of it.
        self.content = StreamReader(self._body)

    @property
    def content_type(self) -> str:
        """The media type of the body."""
        return self.headers.media_type

    @property
    def content_length(self) -> int:
        """The size of the body."""
        return len(self._body)

    @property
    def body_exists(self) -> bool:
        """Whether there is a body."""
        return bool(self._body)

    can_read_body = has_body = body_exists

    async def read(self) -> bytes:
        """The body."""
        return self._body

    async def text(self) -> str:
        """The body as text. `HTTPBadRequest`: it is none."""
        try:
            return self._body.decode()
        except UnicodeDecodeError:
            raise HTTPBadRequest(text="the body is no text of UTF-8") from None

    async def json(self, *, loads: Callable[[str], Any] = _json.loads) -> Any:
        """The body as JSON. `ValueError`: it is none."""
        return loads(await self.text())

    async def post(self) -> Fields:
        """The fields of a form. `HTTPUnsupportedMediaType`: it is one with files, whose fields would be missing."""
        if self.content_type == "multipart/form-data":
            raise HTTPUnsupportedMediaType(text="the plugin takes no forms with files")
        is_form = self.content_type == "application/x-www-form-urlencoded"
        return Fields(parse_qsl(await self.text(), keep_blank_values=True) if is_form else [])


class Response:
    """An answer."""

    def __init__(
        self, *, body: Any = None, status: int = 200, reason: Optional[str] = None, text: Optional[str] = None,
        headers: Optional[Mapping[str, Any]] = None, content_type: Optional[str] = None, charset: Optional[str] = None, **_: Any,
    ) -> None:
        self.status = status
        self.headers = Headers(headers)
        self.body: bytes = text.encode() if text is not None else body.encode() if isinstance(body, str) else bytes(body or b"")
        if text is not None and "content-type" not in self.headers:
            self.headers["Content-Type"] = f"{content_type or 'text/plain'}; charset=utf-8"
        elif content_type is not None:
            self.headers["Content-Type"] = content_type

    def set_cookie(self, *_: Any, **__: Any) -> None:
        """`NotImplementedError`: there are no cookies."""
        raise NotImplementedError("answers of webhooks have no cookies")

    del_cookie = set_cookie


def json_response(
    data: Any = None, *, text: Optional[str] = None, status: int = 200, headers: Optional[Mapping[str, Any]] = None,
    content_type: str = "application/json", dumps: Callable[[Any], str] = _json.dumps, **_: Any,
) -> Response:
    """An answer with JSON."""
    return Response(text=dumps(data) if text is None else text, status=status, headers=headers, content_type=content_type)


class HTTPException(Response, Exception):
    """An answer that is raised."""

    status_code = 500

    def __init__(self, *, text: Optional[str] = None, reason: Optional[str] = None, **options: Any) -> None:
        Exception.__init__(self, reason or f"status {self.status_code}")
        if text is None and options.get("body") is None and self.status_code != 204:
            text = f"{self.status_code}: {reason or type(self).__name__}"
        Response.__init__(self, status=self.status_code, text=text, **options)


class HTTPOk(HTTPException):
    """It was done."""

    status_code = 200


class HTTPNoContent(HTTPException):
    """There is nothing to say."""

    status_code = 204


class HTTPBadRequest(HTTPException):
    """The request is wrong."""

    status_code = 400


class HTTPUnauthorized(HTTPException):
    """Nobody knows who sends."""

    status_code = 401


class HTTPForbidden(HTTPException):
    """The sender may not do that."""

    status_code = 403


class HTTPNotFound(HTTPException):
    """There is no such thing."""

    status_code = 404


class HTTPMethodNotAllowed(HTTPException):
    """It takes no such method."""

    status_code = 405


class HTTPConflict(HTTPException):
    """It does not fit what is there."""

    status_code = 409


class HTTPUnsupportedMediaType(HTTPException):
    """The body is of another type."""

    status_code = 415


class HTTPUnprocessableEntity(HTTPException):
    """The body is wrong."""

    status_code = 422


class HTTPTooManyRequests(HTTPException):
    """It is too much."""

    status_code = 429


class HTTPInternalServerError(HTTPException):
    """It failed."""


class HTTPServiceUnavailable(HTTPException):
    """It cannot be done now."""

    status_code = 503


async def answer(hook: Any, handler: Callable[[Request], Any], match_info: Optional[Mapping[str, str]] = None) -> None:
    """Calls a handler with a request, and gives its answer to the host. If it fails, the host answers 500; without an answer, 204."""
    try:
        given = handler(Request(hook, match_info))
        response = await given if hasattr(given, "__await__") else given
    except HTTPException as error:
        response = error
    await settled()
    if response is not None:
        # No answer may have this one, and without it the sender still learns the status.
        headers = {name: value for name, value in response.headers.items() if name.lower() != "www-authenticate"}
        await parlor.webhooks.answer(hook, response.status, data=response.body, headers=headers)
