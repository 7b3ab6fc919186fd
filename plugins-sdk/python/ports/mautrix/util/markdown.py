"""Texts with the signs of Markdown as HTML, by the name that plugins of maubot know."""

from typing import Any

from parlor_port.texts import Rendered


def render(message: str, allow_html: bool = False, **_: Any) -> str:
    """HTML of it, which is sent as the text that it shows."""
    return Rendered(message, allow_html)
