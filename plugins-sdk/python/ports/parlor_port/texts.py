"""HTML and Markdown as text with the signs of XEP-0393: XMPP's messages have neither."""

import html
import re
from html.parser import HTMLParser
from typing import Any, Optional

#: Tags at which a new line begins, with an empty line, and without one. Signs for those that XMPP has signs for (XEP-0393).
_BREAKS = {"br", "p", "div", "li", "ul", "ol", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "hr", "table"}
_LINES = {"tr", "details", "summary", "dt", "dd", "caption"}
_HEADINGS = {"h1", "h2", "h3", "h4", "h5", "h6"}
_SIGNS = {"b": "*", "strong": "*", "i": "_", "em": "_", "code": "`", "del": "~", "strike": "~", "s": "~"}
#: Tags between whose parts white space is nothing.
_FRAMES = {"table", "thead", "tbody", "tfoot", "tr", "ul", "ol"}
_NESTED = _FRAMES | {"td", "th", "li"}
#: The stand-in for a space of preformatted text, until all other runs of spaces are collapsed; the begin and the end of a quotation.
_KEPT, _QUOTES, _QUOTED = "\0", "\1", "\2"
_PRIVATE = str.maketrans("", "", _QUOTES + _QUOTED)
#: The tag around a text whose spaces and lines stay as they are.
_PLAIN = '<span style="white-space: pre-wrap">'


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._link: Optional[tuple[str, int]] = None
        #: How many preformatted parts are open, and for each open `span` whether it is one.
        self._as_written = 0
        self._spans: list[bool] = []
        #: The open lists, tables and their parts, and for each open list the number of the next item; None: it has no numbers.
        self._open: list[str] = []
        self._lists: list[Optional[int]] = []
        #: Whether a row has no cell yet, and whether nothing stands behind the sign of an item or a quotation yet.
        self._is_first = True
        self._is_fresh = False
        #: Where the text of a heading begins.
        self._heading: Optional[int] = None

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        given = dict(attrs)
        if tag in _NESTED:
            self._open.append(tag)
        if tag == "pre":
            self._as_written += 1
            self.parts.append("\n```\n")
        elif tag == "span":
            self._spans.append("pre-wrap" in (given.get("style") or ""))
            self._as_written += self._spans[-1]
        elif tag in _SIGNS and not self._as_written:
            self.parts.append(_SIGNS[tag])
        elif tag == "sup":
            # 10<sup>5</sup> is not 105.
            self.parts.append("^")
        elif tag == "a":
            self._link = (given.get("href") or "", len(self.parts))
        else:
            self._begin_block(tag, given)

    def _begin_block(self, tag: str, given: dict[str, Optional[str]]) -> None:
        if tag in ("ul", "ol"):
            start = given.get("start") or "1"
            # One within another begins no new paragraph.
            if self.parts and not self._lists:
                self.parts.append("\n")
            self._lists.append((int(start) if start.isdecimal() and len(start) < 10 else 1) if tag == "ol" else None)
        elif tag == "li":
            self._begin_item()
        elif tag in ("td", "th"):
            self.parts.append("" if self._is_first else " | ")
            self._is_first, self._is_fresh = False, True
        elif tag in _LINES:
            self._is_first = True
            self._break()
        elif tag in _BREAKS and (tag == "br" or self.parts and not self._is_fresh):
            self.parts.append("\n")
        if tag == "blockquote":
            self.parts.append(_QUOTES)
            self._is_fresh = True
        elif tag in _HEADINGS:
            self._heading = len(self.parts)

    def _begin_item(self) -> None:
        number = self._lists[-1] if self._lists else None
        if self._lists and number is not None:
            self._lists[-1] = number + 1
        self._break()
        self.parts.append(f"{_KEPT * 2 * (len(self._lists) - 1)}{'-' if number is None else f'{number}.'} ")
        self._is_fresh = True

    def _break(self) -> None:
        """Begins a line, unless one has just begun."""
        if self.parts and not self.parts[-1].endswith("\n"):
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            while self._open.pop() != tag:
                pass
        if tag == "pre":
            self._as_written = max(0, self._as_written - 1)
            self.parts.append("```\n" if self.parts and self.parts[-1].endswith("\n") else "\n```\n")
        elif tag == "span":
            self._as_written -= self._spans.pop() if self._spans else False
        elif tag in _SIGNS and not self._as_written:
            self.parts.append(_SIGNS[tag])
        elif tag == "a" and self._link is not None:
            address, begin = self._link
            self._link = None
            if address and address != "".join(self.parts[begin:]).strip():
                self.parts.append(f" ({address})")
        elif tag in _LINES:
            self._break()
        elif tag in _BREAKS - {"br", "li"}:
            self._end_block(tag)

    def _end_block(self, tag: str) -> None:
        if tag in _HEADINGS and self._heading is not None:
            text = "".join(self.parts[self._heading :]).strip()
            self.parts[self._heading :] = [_within("*", text)] if text else []
            self._heading = None
        if tag == "blockquote":
            self.parts.append(_QUOTED)
        if tag in ("ul", "ol") and self._lists:
            self._lists.pop()
            if self._lists:
                return
        self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        data = data.translate(_PRIVATE)
        if not data.strip() and self._open and self._open[-1] in _FRAMES and not self._as_written:
            return
        if data.strip():
            self._is_fresh = False
        self.parts.append(data.expandtabs(4).replace(" ", _KEPT) if self._as_written else data)


class Rendered(str):
    """HTML that was made of Markdown, with the Markdown and the text that it shows."""

    markdown: str
    shown: str

    def __new__(cls, markdown: str, allow_html: bool = False) -> "Rendered":
        shown = of_markdown(markdown, allow_html)
        made = super().__new__(cls, f"{_PLAIN}{html.escape(shown)}</span>")
        made.markdown, made.shown = markdown, shown
        return made


class Shown(str):
    """A text as people see it, which is not rendered again. Put together with other texts, it becomes a plain one."""

    def __str__(self) -> str:
        return self


def of_html(text: str) -> str:
    """The text that HTML shows."""
    if isinstance(text, Rendered):
        return text.shown
    reader = _Reader()
    reader.feed(text)
    reader.close()
    depth, shown = 0, [(0, "")]
    for line in "".join(reader.parts).split("\n"):
        depth += line.count(_QUOTES)
        plain = " ".join(line.replace(_QUOTES, "").replace(_QUOTED, "").split()).replace(_KEPT, " ").rstrip()
        if plain:
            shown.append((depth, plain))
        elif shown[-1][1]:
            shown.append((depth, ""))
        depth = max(0, depth - line.count(_QUOTED))
    # An empty line belongs to a quotation if those around it do.
    depths = [one for one, line in shown]
    lines = [(min(depths[max(0, at - 1) : at + 2]) if not line else one, line) for at, (one, line) in enumerate(shown)]
    return "\n".join(f"{'> ' * one}{line}".rstrip() for one, line in lines).strip("\n")


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
_HEADING = re.compile(r"((?:> ?){0,9})#{1,6}\s+(\S.*?)(?:\s+#+)?\s*\Z")
_FENCE = re.compile(r"\s*(```+|~~~+)([^`]*)\Z")
#: An invisible character: a sign behind it begins no markup.
_JOINER = "\u2060"


def of_markdown(text: str, allow_html: bool = False) -> str:
    """The text that simple Markdown shows: `**bold**` is `*bold*`, and `*italic*` is `_italic_`. With `allow_html`, HTML in it is read
    as well."""
    if isinstance(text, Rendered):
        return text.shown
    if isinstance(text, Shown):
        return "".join(text)
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
    lines = text.split("\n")
    for line, after in zip(lines, [*lines[1:], ""]):
        found = _FENCE.match(line)
        if fence:
            ends = found is not None and found[1].startswith(fence) and not found[2].strip()
            fence = "" if ends else fence
            shown.append("```" if ends else html.escape(line, quote=False).replace(" ", _KEPT) if has_html else line)
        elif found:
            fence = found[1]
            shown.append("```")
        elif heading := _HEADING.match(line):
            shown.append(heading[1] + _within("*", _inline(heading[2], has_html)))
        else:
            # A `\` before the end of a line breaks it there, as all ends of lines do in XMPP. Two are the sign itself.
            breaks = bool(after.strip()) and (len(line) - len(line.rstrip("\\"))) % 2 == 1
            shown.append(_inline(line[:-1] if breaks else line, has_html))
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
of_html("<p>a &amp; <b>b</b><br/></p><pre>c</pre><ol><li>d</li></ol>")
