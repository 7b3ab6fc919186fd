"""Messages, by their other place."""

from parlor_port.texts import of_html, of_markdown

from .client import Client
from .events import MessageEvent

MaubotMessageEvent = MessageEvent
MaubotMatrixClient = Client


async def parse_formatted(message: str, allow_html: bool = False, render_markdown: bool = True) -> tuple[str, str]:
    """A text, and the same for those that read HTML."""
    if render_markdown:
        return of_markdown(message, allow_html), message
    return (of_html(message) if allow_html else message), message


__all__ = ["MaubotMatrixClient", "MaubotMessageEvent", "parse_formatted"]
