"""Bold, quotes and other markup in the text of a message (XEP-0393), which clients show as such.

    from parlor import reply, styling

    await reply(message, f"{styling.bold(styling.escape(name))} says\\n{styling.quote(text)}")

The markup is signs in the text, as in `*bold*`, and XEP-0393 has no way to write such a sign as itself. So text from elsewhere
goes through `escape` first, or into `monospace` or `code_block`, which take it as it is. For a text that is all from
elsewhere, `outgoing(text, unstyled=True)` turns markup off.
"""

from typing import Callable

#: The signs that begin and end markup within a line.
_SIGNS = "*_~`"
#: The line around a block of code.
_FENCE = "```"
#: An invisible character that is no white space: a sign behind it begins nothing.
_JOINER = "\u2060"


def bold(text: str) -> str:
    """Makes a text bold. Lines are bold each by itself, since markup ends with its line. A line with a `*` in it stays as it is: there
    is no way to write one in bold."""
    return _spans("*", text, str)


def italic(text: str) -> str:
    """Makes a text italic, as `bold` does, with `_`."""
    return _spans("_", text, str)


def strike(text: str) -> str:
    """Strikes a text out, as `bold` does, with `~`."""
    return _spans("~", text, str)


def monospace(text: str) -> str:
    """Shows a text as it is, in letters of one width: a name of a program, or anything from elsewhere. A line with a backtick in it
    is only escaped."""
    return _spans("`", text, escape)


def quote(text: str) -> str:
    """Quotes each line of a text. The quotation ends with its line: put a line break behind it."""
    return _each_line(text, lambda line: f"> {line}")


def code_block(text: str) -> str:
    """Shows the lines of a text as they are, in letters of one width. It begins and ends with a line of its own: put a line break
    before and behind it."""
    # A line with a fence would end the block.
    inside = _each_line(text, lambda line: _JOINER + line if line.lstrip().startswith(_FENCE) else line)
    return f"{_FENCE}\n{inside}\n{_FENCE}"


def escape(text: str) -> str:
    """Escapes a text such that nothing in it is markup: an invisible U+2060 (word joiner) goes before each sign that would begin
    some."""
    escaped: list[str] = []
    before = "\n"
    for sign in text:
        begins = sign in _SIGNS and (before.isspace() or before in _SIGNS)
        escaped.append(_JOINER + sign if begins or (sign == ">" and before == "\n") else sign)
        before = sign
    return "".join(escaped)


def _spans(sign: str, text: str, otherwise: Callable[[str], str]) -> str:
    """Puts the sign around each line, without the white space at its ends. Lines with the sign in them are for `otherwise`."""

    def span(line: str) -> str:
        inside = line.strip()
        if not inside or sign in inside:
            return otherwise(line)
        start = len(line) - len(line.lstrip())
        return f"{line[:start]}{sign}{inside}{sign}{line[start + len(inside):]}"

    return "\n".join(map(span, text.split("\n")))


def _each_line(text: str, change: Callable[[str], str]) -> str:
    """Changes each line; a line break at the end of the text begins none."""
    return "\n".join(map(change, text.removesuffix("\n").split("\n")))
