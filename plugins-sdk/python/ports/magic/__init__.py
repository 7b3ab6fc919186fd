"""The name of python-magic that plugins use: the media type of a file, by its first bytes. The package itself calls a library in C."""

import json
from typing import Union

#: The beginnings of files, from the more exact ones to the others: the place of the bytes, the bytes, and the media type.
_BEGINNINGS = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF8", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (8, b"WAVE", "audio/x-wav"),
    (8, b"AVI ", "video/x-msvideo"),
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
    (0, b"\x00\x00\x01\x00", "image/vnd.microsoft.icon"),
    (4, b"ftypavif", "image/avif"),
    (4, b"ftypheic", "image/heic"),
    (4, b"ftypM4A", "audio/x-m4a"),
    (4, b"ftypqt", "video/quicktime"),
    (4, b"ftyp3gp", "video/3gpp"),
    (4, b"ftyp", "video/mp4"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"\xff\xf3", "audio/mpeg"),
    (0, b"\xff\xf1", "audio/x-hx-aac-adts"),
    (0, b"fLaC", "audio/flac"),
    (0, b"OggS", "audio/ogg"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"\x1f\x8b", "application/gzip"),
    (0, b"BZh", "application/x-bzip2"),
    (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
)
#: Both kinds of this container name themselves in the first bytes.
_MATROSKA = b"\x1aE\xdf\xa3"
_HEAD = 4096


def from_buffer(buffer: Union[bytes, str], mime: bool = False) -> str:
    """The media type of a file that begins with these bytes, with `mime=True`. `NotImplementedError`: without, as the layer has no words for it."""
    if not mime:
        raise NotImplementedError("the layer tells the media type alone: magic.from_buffer(data, mime=True)")
    data = buffer.encode() if isinstance(buffer, str) else bytes(buffer)
    if not data:
        return "application/x-empty"
    for place, beginning, kind in _BEGINNINGS:
        # RIFF is the container of those that name themselves behind a length.
        if data.startswith(beginning, place) and (place != 8 or data.startswith(b"RIFF")):
            return kind
    if data.startswith(_MATROSKA):
        return "video/webm" if b"webm" in data[:_HEAD] else "video/x-matroska"
    # Texts may begin with the letters of a bitmap. Behind them stand its length, and four bytes that are 0.
    if data.startswith(b"BM") and data[6:10] == bytes(4):
        return "image/bmp"
    return _of_text(data)


def _of_text(data: bytes) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        # The end of a part of a file may be within a letter.
        if error.start < len(data) - 3:
            return "application/octet-stream"
        text = data[: error.start].decode()
    if "\x00" in text:
        return "application/octet-stream"
    head = text[:_HEAD].lstrip("\ufeff \t\r\n").lower()
    if "<svg" in head and head.startswith("<"):
        return "image/svg+xml"
    if head.startswith(("<!doctype html", "<html")):
        return "text/html"
    if head.startswith("<?xml"):
        return "text/xml"
    if head.startswith(("{", "[")):
        try:
            json.loads(text)
            return "application/json"
        except (ValueError, RecursionError):
            pass
    return "text/plain"
