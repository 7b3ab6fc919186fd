"""Texts with signs. XMPP's messages have no HTML: the text is what people read."""

from typing import Any


def render(message: str, allow_html: bool = False, **_: Any) -> str:
    """The text, as it was written."""
    return message
