"""Files that a plugin uploads to the account's server, and the contents of messages with them."""

import posixpath
from collections import OrderedDict
from functools import partial
from typing import Any, Mapping, Optional

from mautrix.errors import MatrixRequestError
from mautrix.types import ContentURI, MediaMessageEventContent
from parlor import errors, files, types

#: The files that were uploaded last, by their addresses.
_uploaded: "OrderedDict[str, Any]" = OrderedDict()
_MOST = 500
#: The beginnings of common files with their media types, and the endings of names.
_SIGNS = ((b"\x89PNG\r\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF8", "image/gif"), (b"%PDF-", "application/pdf"), (b"OggS", "audio/ogg"))
_ENDINGS = {
    "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp", "svg": "image/svg+xml",
    "pdf": "application/pdf", "txt": "text/plain", "csv": "text/csv", "json": "application/json", "mp3": "audio/mpeg", "ogg": "audio/ogg",
    "mp4": "video/mp4", "webm": "video/webm", "zip": "application/zip",
}


async def upload(data: Any, mime_type: Optional[str], filename: Optional[str], size: Optional[int]) -> ContentURI:
    """Uploads a file, plainly. Gives its address."""
    if hasattr(data, "read"):
        data = data.read()
    whole = bytes(data) if isinstance(data, (bytes, bytearray, memoryview)) else None
    name = _name(filename)
    kind = (mime_type or "").partition(";")[0].strip().lower() or _kind(name, whole)
    if not name:
        name = f"file.{next((end for end, one in _ENDINGS.items() if one == kind), 'bin')}"
    try:
        file = await files.upload(name, kind, data if whole is None else whole, size if whole is None else len(whole))
    except errors.Error as error:
        raise MatrixRequestError(str(error)) from error
    _uploaded[file.url] = file
    while len(_uploaded) > _MOST:
        _uploaded.popitem(last=False)
    return ContentURI(file.url)


def _name(filename: Optional[str]) -> str:
    """The name without a path, and no longer than the host takes it."""
    name = posixpath.basename((filename or "").replace("\\", "/")).strip()
    name = "".join(one for one in name if one.isprintable())
    stem, dot, end = name.rpartition(".")
    if len(name.encode()) <= 255:
        return name
    end = f"{dot}{end}" if dot and len(end.encode()) <= 20 else ""
    return (stem or name).encode()[: 255 - len(end.encode())].decode("utf-8", "ignore") + end


def _kind(name: str, whole: Optional[bytes]) -> str:
    """The media type that the content shows, or else the name."""
    for begin, kind in _SIGNS:
        if whole is not None and whole.startswith(begin):
            return kind
    if whole is not None and whole[:4] == b"RIFF" and whole[8:12] == b"WEBP":
        return "image/webp"
    return _ENDINGS.get(name.rpartition(".")[2].lower(), "application/octet-stream")


def file_of(content: Any) -> Any:
    """The file of a content, as a message has it: one that was uploaded, or one of the web. None: it is no content with a file.
    `MatrixRequestError`: it has no address, or one that nobody outside of Matrix knows."""
    url = getattr(content, "url", None)
    if not url:
        if isinstance(content, MediaMessageEventContent):
            raise MatrixRequestError("the content has no address of a file; files encrypted as in Matrix are not sent")
        return None
    known = _uploaded.get(str(url))
    if known is not None:
        return known
    if not str(url).startswith("https://"):
        raise MatrixRequestError(f"{url} is no address of a file that was uploaded, and none of the web")
    info = content.info
    field = info.get if isinstance(info, Mapping) else partial(_attribute, info)
    return types.File(str(url), _name(content.body) or None, field("mimetype"), field("size"))


def _attribute(info: Any, name: str) -> Any:
    return getattr(info, name, None)
