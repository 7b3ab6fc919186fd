"""Markdown as what people see of it. XMPP has one way to write: texts with signs for bold and italics (XEP-0393), which the layer makes of all that
a plugin says."""

import re

from parlor_port.texts import Shown, of_markdown

#: The signs that Markdown reads within a line.
_SIGNS = re.compile(r"([\\`*_~\[\]<])")


class _Converter:
    """Makes texts of Markdown."""

    def __init__(self, is_shown: bool) -> None:
        self._is_shown = is_shown

    def convert(self, source: str) -> str:
        """The text that people see, which is said as it is; or Markdown itself."""
        return Shown(of_markdown(str(source))) if self._is_shown else str(source)

    def reset(self) -> "_Converter":
        """It keeps nothing in mind."""
        return self


def text() -> _Converter:
    """Makes the text that people see."""
    return _Converter(True)


imtext = text


def md() -> _Converter:
    """Leaves Markdown as it is."""
    return _Converter(False)


def md_escape(txt: str) -> str:
    """A text as Markdown that shows it with all its signs."""
    return _SIGNS.sub(r"\\\1", str(txt))
