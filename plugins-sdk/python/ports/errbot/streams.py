"""Files, as the streams that plugins of errbot know."""

import io
import logging
from typing import Any, Optional

from parlor import errors
from parlor_port import files

_log = logging.getLogger("errbot")


class Stream:
    """A file that somebody sends, which has been read already, or one that the plugin sends."""

    def __init__(self, identifier: Any, fsource: Any, name: Optional[str] = None, size: Optional[int] = None, stream_type: Optional[str] = None) -> None:
        self.identifier = identifier
        self.fsource = self.raw = fsource
        self.name = name
        self.size = size
        self.stream_type = stream_type
        self.status = "pending"

    def read(self, size: int = -1) -> bytes:
        """The next bytes, or all of them."""
        return bytes(self.fsource.read(size))

    def accept(self) -> None:
        """It is wanted. It has been read in any case."""
        self.status = "accepted"

    def reject(self) -> None:
        """It is not wanted. Nobody is told."""
        self.status = "rejected"

    def success(self) -> None:
        """It was transferred."""
        self.status = "success"

    def error(self, reason: str = "unknown") -> None:
        """It was not."""
        self.status = "error"


async def read(file: Any, sender: Any) -> Optional[Stream]:
    """Reads a file of a message. None: it is too large, or its server does not give it, and that is logged."""
    name = files.name_in(file)
    try:
        data = await files.download(str(file.url))
    except errors.Error as error:
        # The address may have the key of the file.
        _log.warning("the file %s was not read: %s", name, error)
        return None
    return Stream(sender, io.BytesIO(data), name, len(data), file.media_type or files.kind_of(name, data))


class Sent:
    """A file that goes out with a message, when the handler is done."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        data = stream.fsource.read()
        # Afterwards the plugin may close it.
        self._data = data.encode() if isinstance(data, str) else bytes(data)

    async def upload(self) -> Any:
        """Uploads it. Gives it as a message has it."""
        try:
            file = await files.upload(self._data, self._stream.stream_type, self._stream.name, len(self._data))
        except errors.Error as error:
            self._stream.error(str(error))
            raise
        self._stream.success()
        return file
