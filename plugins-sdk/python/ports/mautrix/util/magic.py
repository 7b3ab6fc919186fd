"""The media types of files, by the name that plugins of maubot know."""

from typing import Any

import magic


def mimetype(data: Any) -> str:
    """The media type of a file, by its first bytes."""
    return magic.from_buffer(data, mime=True)
