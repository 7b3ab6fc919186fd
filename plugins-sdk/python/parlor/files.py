"""Files: those that messages refer to, and those that the plugin uploads to the account's server (XEP-0363). Sending needs `files.send`,
reading `files.read`. They go in parts, and are never whole in memory.

    @on("message", kind="chat")
    async def measure(message: Message) -> None:
        for file in message.files:
            size = 0
            async for part in await files.open(file):
                size += len(part)
            await reply(message, f"{file.name} has {size} bytes")

    file = await files.upload("note.txt", "text/plain", b"But soft!")
    await chats.send("juliet@example.org", outgoing(files=[file]))
"""

import contextlib
from typing import TYPE_CHECKING, AsyncIterable, Optional, Union

from .errors import Error
from .host import Grouping
from .http import Parts, encoded, write_all

if TYPE_CHECKING:
    from ._contract.types import File

_files = Grouping("files")


async def upload(
    name: str,
    media_type: str,
    data: Union[bytes, str, AsyncIterable[Union[bytes, str]]],
    size: Optional[int] = None,
    *,
    encrypted: bool = False,
) -> "File":
    """Uploads a file to the account's server, and returns it for a message: `outgoing(files=[file])`. Data that comes in parts, such as
    from an asynchronous generator, needs its `size` in bytes. A text is sent as UTF-8.

    The name has 1 to 255 bytes and no path; it can be seen in the file's address. `Denied`: the grant covers no file of this media type
    and size. `Unsupported`: the server takes no files, or none so large. `StanzaError`: it refuses, such as with `resource-constraint`
    when it was too much in some time. `Invalid`: the data has another size. `Protocol`: the server did not store it.

    `encrypted` is for encrypted chats: the host encrypts the file, and the server gets no more of its name than the ending. Its address has
    the key. A message with it is sent encrypted, or is `Unsupported`.
    """
    if isinstance(data, str):
        data = encoded(data)
    whole = data if isinstance(data, (bytes, bytearray, memoryview)) else None
    if size is None:
        if whole is None:
            raise TypeError("files.upload needs the size of data that comes in parts")
        size = len(whole)
    begin = _files.upload_encrypted if encrypted else _files.upload
    number = await begin(name, media_type, size)
    try:
        if isinstance(data, (bytes, bytearray, memoryview)):
            await write_all(_files, number, data)
        else:
            async for part in data:
                await write_all(_files, number, encoded(part))
        file: "File" = await _files.finish(number)
    except BaseException:
        # The first error is the one to raise.
        with contextlib.suppress(Error):
            _files.close(number)
        raise
    return file


class Download(Parts):
    """A file that is being read, from `open`. It is closed at its end, by `close`, by `async with`, and once nobody holds it."""

    #: Its size in bytes, if the server says it. It may say anything.
    size: Optional[int]
    #: Its media type, if the server says it.
    media_type: Optional[str]

    def __init__(self, number: int, size: Optional[int], media_type: Optional[str]) -> None:
        super().__init__(_files, number)
        self.size = size
        self.media_type = media_type

    async def __aenter__(self) -> "Download":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        # Nobody is there to be told.
        with contextlib.suppress(Exception):
            self.close()


async def open(file: Union[str, "File"]) -> Download:
    """Opens a file of a message, or the file of this address: that of one which this plugin was shown since its start, among the last
    1,000 of them. Redirects are followed, five at most.

    `Denied`: no message had this address, or it is not of the public network. `Protocol`: the server's status is not 200.
    """
    opened = await _files.open(file if isinstance(file, str) else file.url)
    return Download(opened.transfer, opened.size, opened.media_type)
