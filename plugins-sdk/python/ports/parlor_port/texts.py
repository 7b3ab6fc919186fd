"""HTML and Markdown as text with the signs of XEP-0393: XMPP's messages have neither."""

import html
import re
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


#: What Markdown says within a line. The parts are bounded: else a long line of signs that begin and never end would be read again from
#: each of them.
_INLINE = re.compile(
    r"""(?P<code>(?P<ticks>`+)(?!`)(?P<coded>.{1,1000}?)(?<!`)(?P=ticks)(?!`))
    |\\(?P<escaped>[!-/:-@\[-`{-~])
    |!?\[(?P<shown>[^\[\]]{1,1000})\]\((?P<address>[^\s()]{1,2000})(?:\s+"[^"]{0,1000}")?\)
    |<(?P<bare>[a-z][a-z0-9+.-]{1,30}:[^\s<>]{1,2000})>
    |(?P<tag></?[A-Za-z][^<>]{0,2000}>)
    |(?P<word>[a-z]{2,10}://[^\s<>()]{1,2000}|xmpp:[^\s<>()]{1,2000})
    |(?<!\*)\*\*\*(?![\s*])(?P<both>[^*]{1,1000}?)(?<!\s)\*\*\*(?!\*)
    |(?<!\*)\*\*(?![\s*])(?P<bold>.{1,1000}?)(?<!\s)\*\*(?!\*)
    |(?<![\w_])__(?![\s_])(?P<strong>.{1,1000}?)(?<!\s)__(?![\w_])
    |(?<![\w*])\*(?![\s*])(?P<italic>[^*]{1,1000}?)(?<!\s)\*(?![\w*])
    |(?<![\w_])_(?![\s_])(?P<emphasis>[^_]{1,1000}?)(?<!\s)_(?![\w_])
    |(?<!~)~~(?![\s~])(?P<gone>[^~]{1,1000}?)(?<!\s)~~(?!~)
    """, re.VERBOSE)  # fmt: skip
_HEADING = re.compile(r"#{1,6}\s+(\S.*?)(?:\s+#+)?\s*\Z")
_FENCE = re.compile(r"\s*(```+|~~~+)([^`]*)\Z")
#: An invisible character: a sign behind it begins no markup.
_JOINER = "\u2060"


def of_markdown(text: str, allow_html: bool = False) -> str:
    """The text that simple Markdown shows: `**bold**` is `*bold*`, and `*italic*` is `_italic_`. With `allow_html`, HTML in it is read
    as well."""
    if not allow_html:
        return _lines(text, False)
    # In preformatted parts, Markdown has no signs.
    before, *parts = text.split("<pre")
    shown = [_lines(before, True)]
    for part in parts:
        written, end, behind = part.partition("</pre>")
        shown += ["<pre", written, end, _lines(behind, True)]
    return of_html("".join(shown))


def _lines(text: str, has_html: bool) -> str:
    shown: list[str] = []
    fence = ""
    for line in text.split("\n"):
        found = _FENCE.match(line)
        if fence:
            ends = found is not None and found[1].startswith(fence) and not found[2].strip()
            fence = "" if ends else fence
            shown.append("```" if ends else html.escape(line, quote=False).replace(" ", _KEPT) if has_html else line)
        elif found:
            fence = found[1]
            shown.append("```")
        elif heading := _HEADING.match(line):
            shown.append(_within("*", _inline(heading[1], has_html)))
        else:
            shown.append(_inline(line, has_html))
    return "\n".join(shown)


def _inline(text: str, has_html: bool) -> str:
    def written(found: "re.Match[str]") -> str:
        part = found.lastgroup or ""
        inner = found[part]
        if part == "code":
            coded = found["coded"].strip() or found["coded"]
            return _within("`", html.escape(coded, quote=False) if has_html else coded)
        if part == "escaped":
            sign = html.escape(inner, quote=False) if has_html else inner
            return _JOINER + sign if inner in "*_~`" else sign
        if part == "address":
            label = _inline(found["shown"], has_html)
            return inner if label == inner else f"{label} ({inner})"
        if part == "both":
            return _within("*", _within("_", _inline(inner, has_html)))
        if part in ("bold", "strong"):
            return _within("*", _inline(inner, has_html))
        if part in ("italic", "emphasis"):
            return _within("_", _inline(inner, has_html))
        if part == "gone":
            return _within("~", _inline(inner, has_html))
        # An address or a tag.
        return inner

    return _INLINE.sub(written, text)


def _within(sign: str, text: str) -> str:
    """A text between two signs, unless it has one itself: XEP-0393 has no way to write that."""
    return text if sign in text else f"{sign}{text}{sign}"


# The parser may load parts of Python when it is first used: that has to be now, where there are files.
of_html("<p>a &amp; <b>b</b><br/></p><pre>c</pre>")
