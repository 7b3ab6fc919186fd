"""Bodies that are read in parts, by the name that plugins know."""

import io
from typing import AsyncIterator


class StreamReader:
    """The body of an answer or a request, read in parts."""

    def __init__(self, content: bytes) -> None:
        self._rest = io.BytesIO(content)

    async def read(self, n: int = -1) -> bytes:
        """The next bytes, at most so many; without a number, the rest."""
        return self._rest.read(n)

    async def readany(self) -> bytes:
        """The rest."""
        return self._rest.read()

    async def readline(self) -> bytes:
        """The next line."""
        return self._rest.readline()

    async def iter_chunked(self, n: int) -> AsyncIterator[bytes]:
        """The rest, in parts of so many bytes."""
        while part := self._rest.read(n):
            yield part

    async def iter_any(self) -> AsyncIterator[bytes]:
        """The rest, if there is any."""
        if part := self._rest.read():
            yield part

    async def iter_chunks(self) -> AsyncIterator[tuple[bytes, bool]]:
        """The same, with whether a part has ended."""
        if part := self._rest.read():
            yield part, True

    def at_eof(self) -> bool:
        """Whether there is no rest."""
        return self._rest.tell() == self._rest.getbuffer().nbytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while line := self._rest.readline():
            yield line
