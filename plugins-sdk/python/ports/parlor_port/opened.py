"""`urllib.request.urlopen`, which has to be awaited here. Imported before the plugin, which takes it by name."""

import io
import urllib.error
import urllib.request
from email.message import Message
from typing import Any

from parlor import errors

from . import web


class Opened(io.BytesIO):
    """The answer to a request, as a file that is read."""

    def __init__(self, answer: Any) -> None:
        super().__init__(answer.content)
        self.status = self.code = answer.status
        self.url = answer.url
        self.reason = self.msg = ""
        self.headers = Message()
        for name, value in answer.headers.items():
            self.headers[name] = value

    def getcode(self) -> int:
        """The status code."""
        return int(self.status)

    def geturl(self) -> str:
        """The address that answered."""
        return str(self.url)

    def info(self) -> Message:
        """The headers."""
        return self.headers


async def urlopen(url: Any, data: Any = None, timeout: Any = None, **_: Any) -> Opened:
    """Opens an address. `urllib.error.HTTPError`: its status is 400 or more. `URLError`: it cannot be reached."""
    method, headers, address = "GET", {}, url
    if isinstance(url, urllib.request.Request):
        method, headers, address = url.get_method(), dict(url.header_items()), url.full_url
        data = data if data is not None else url.data
    if data is not None and method == "GET":
        method = "POST"
    try:
        answer = await web.fetch(method, address, headers=headers, data=data, timeout=timeout)
    except errors.Error as error:
        raise urllib.error.URLError(str(error)) from error
    opened = Opened(answer)
    if answer.status >= 400:
        raise urllib.error.HTTPError(answer.url, answer.status, f"status {answer.status}", opened.headers, opened)
    return opened


urllib.request.urlopen = urlopen

# Python may load parts of this when it is first used: that has to be now, where there are files.
_warm = Message()
_warm["content-type"] = "text/plain"
