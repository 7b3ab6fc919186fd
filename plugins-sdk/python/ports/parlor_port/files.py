"""Files, which go to the account's server and come from those of others. The host transfers them, by `parlor.files`."""

import posixpath
from typing import Any, Optional
from urllib.parse import unquote, urlsplit

from parlor import files

#: The largest file that is read: a plugin has all of it in its memory, and anybody may send one.
LARGEST = 8 << 20
#: The beginnings of common files with their media types, and the endings of names.
_SIGNS = ((b"\x89PNG\r\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF8", "image/gif"), (b"%PDF-", "application/pdf"), (b"OggS", "audio/ogg"))
_ENDINGS = {
    "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp", "svg": "image/svg+xml",
    "pdf": "application/pdf", "txt": "text/plain", "csv": "text/csv", "json": "application/json", "mp3": "audio/mpeg", "ogg": "audio/ogg",
    "mp4": "video/mp4", "webm": "video/webm", "zip": "application/zip",
}


async def upload(data: Any, media_type: Optional[str], filename: Optional[str], size: Optional[int]) -> Any:
    """Uploads a file, plainly. Gives it as a message has it."""
    if hasattr(data, "read"):
        data = data.read()
    whole = bytes(data) if isinstance(data, (bytes, bytearray, memoryview)) else None
    name = plain_name(filename)
    kind = (media_type or "").partition(";")[0].strip().lower() or kind_of(name, whole)
    if not name:
        name = f"file.{next((end for end, one in _ENDINGS.items() if one == kind), 'bin')}"
    return await files.upload(name, kind, data if whole is None else whole, size if whole is None else len(whole))


async def download(url: str) -> bytes:
    """A file of a message that was heard lately. One that is encrypted comes decrypted."""
    return await (await files.open(url)).read_all(LARGEST)


def of_message(message: Any) -> list[Any]:
    """The files that a message refers to."""
    return list(message.extensions.files) if message.extensions is not None else []


def text_beside(text: str, given: list[Any]) -> str:
    """The text of a message with files: clients that show no files are sent an address in the place of a text."""
    return "" if text.strip() in {str(one.url) for one in given} else text


def name_in(file: Any) -> str:
    """The name of a file of a message, or the last part of its address."""
    return str(file.name or plain_name(unquote(urlsplit(str(file.url)).path)) or "file")


def plain_name(filename: Optional[str]) -> str:
    """The name without a path, and no longer than the host takes it."""
    name = posixpath.basename((filename or "").replace("\\", "/")).strip()
    name = "".join(one for one in name if one.isprintable())
    stem, dot, end = name.rpartition(".")
    if len(name.encode()) <= 255:
        return name
    end = f"{dot}{end}" if dot and len(end.encode()) <= 20 else ""
    return (stem or name).encode()[: 255 - len(end.encode())].decode("utf-8", "ignore") + end


def kind_of(name: str, whole: Optional[bytes] = None) -> str:
    """The media type that the content shows, or else the name."""
    for begin, kind in _SIGNS:
        if whole is not None and whole.startswith(begin):
            return kind
    if whole is not None and whole[:4] == b"RIFF" and whole[8:12] == b"WEBP":
        return "image/webp"
    return _ENDINGS.get(name.rpartition(".")[2].lower(), "application/octet-stream")
