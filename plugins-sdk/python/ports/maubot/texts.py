"""HTML as text: XMPP's messages have none."""

from html.parser import HTMLParser
from typing import Any, Optional

#: Tags after which a new line begins, and signs for those that XMPP has signs for (XEP-0393).
_BREAKS = {"br", "p", "div", "li", "tr", "ul", "ol", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "hr"}
_SIGNS = {"b": "*", "strong": "*", "i": "_", "em": "_", "code": "`", "del": "~", "strike": "~", "s": "~"}
#: The stand-in for a space of preformatted text, until all other runs of spaces are collapsed.
_KEPT = "\0"


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._link: Optional[tuple[str, int]] = None
        #: How many preformatted parts are open.
        self._as_written = 0

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag == "pre":
            self._as_written += 1
            self.parts.append("\n```\n")
        elif tag in _SIGNS and not self._as_written:
            self.parts.append(_SIGNS[tag])
        elif tag == "sup":
            # 10<sup>5</sup> is not 105.
            self.parts.append("^")
        elif tag == "li":
            self.parts.append("\n- ")
        elif tag in _BREAKS and (tag == "br" or self.parts):
            self.parts.append("\n")
        elif tag == "a":
            self._link = (dict(attrs).get("href") or "", len(self.parts))

    def handle_endtag(self, tag: str) -> None:
        if tag == "pre":
            self._as_written = max(0, self._as_written - 1)
            self.parts.append("```\n" if self.parts and self.parts[-1].endswith("\n") else "\n```\n")
        elif tag in _SIGNS and not self._as_written:
            self.parts.append(_SIGNS[tag])
        elif tag == "a" and self._link is not None:
            address, begin = self._link
            self._link = None
            if address and address != "".join(self.parts[begin:]).strip():
                self.parts.append(f" ({address})")
        elif tag in _BREAKS - {"br", "li"}:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        self.parts.append(data.expandtabs(4).replace(" ", _KEPT) if self._as_written else data)


def of_html(text: str) -> str:
    """The text that HTML shows."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    lines = [" ".join(line.split()).replace(_KEPT, " ").rstrip() for line in "".join(reader.parts).split("\n")]
    shown: list[str] = []
    for line in lines:
        if line or (shown and shown[-1]):
            shown.append(line)
    return "\n".join(shown).strip()


# The parser may load parts of Python when it is first used: that has to be now, where there are files.
of_html("<p>a &amp; <b>b</b><br/></p><pre>c</pre>")
