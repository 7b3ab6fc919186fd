"""HTML as text, by the name that plugins of maubot know."""

from typing import Any


async def parse_html(text: str, *_: Any, **__: Any) -> str:
    """The text that HTML shows."""
    from parlor_port.texts import of_html

    return of_html(text)
