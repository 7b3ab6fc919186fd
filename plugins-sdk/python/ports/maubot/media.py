"""Files that a plugin uploads to the account's server, those of messages, and the contents of messages with them."""

from collections import OrderedDict
from functools import partial
from typing import Any, Mapping, Optional

from mautrix.errors import MatrixRequestError
from mautrix.types import ContentURI, MediaInfo, MediaMessageEventContent, MessageType
from parlor import errors, types
from parlor_port import files, ready

#: The files that were uploaded last, by their addresses.
_uploaded: "OrderedDict[str, Any]" = OrderedDict()
_MOST = 500
_KINDS = {"image": MessageType.IMAGE, "video": MessageType.VIDEO, "audio": MessageType.AUDIO}


async def upload(data: Any, mime_type: Optional[str], filename: Optional[str], size: Optional[int]) -> ContentURI:
    """Uploads a file, plainly. Gives its address."""
    await ready.wait()
    try:
        file = await files.upload(data, mime_type, filename, size)
    except errors.Error as error:
        raise MatrixRequestError(str(error)) from error
    _uploaded[file.url] = file
    while len(_uploaded) > _MOST:
        _uploaded.popitem(last=False)
    return ContentURI(file.url)


async def download(url: Any) -> bytes:
    """A file of a message. `MatrixRequestError`: no message had it lately, or it is too large or cannot be had."""
    try:
        return await files.download(str(url))
    except errors.Error as error:
        raise MatrixRequestError(str(error)) from error


def content_of(file: Any, relates_to: Any) -> MediaMessageEventContent:
    """The content of a message for a file that it refers to. An encrypted one also has its address in `url`: the host decrypts it."""
    name = files.name_in(file)
    kind = file.media_type or files.kind_of(name)
    return MediaMessageEventContent(
        _KINDS.get(kind.partition("/")[0], MessageType.FILE), name, relates_to=relates_to, url=ContentURI(file.url),
        info=MediaInfo(mimetype=kind, size=file.size), filename=name)


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
    return types.File(str(url), files.plain_name(getattr(content, "filename", None) or content.body) or None, field("mimetype"), field("size"))


def _attribute(info: Any, name: str) -> Any:
    return getattr(info, name, None)
