"""Messages, by their other place."""

from .events import MessageEvent
from .texts import of_html

MaubotMessageEvent = MessageEvent


async def parse_formatted(message: str, allow_html: bool = False, render_markdown: bool = True) -> tuple[str, str]:
    """A text, and the same for those that read HTML."""
    return (of_html(message) if allow_html else message), message


__all__ = ["MaubotMessageEvent", "parse_formatted"]
