"""The part of YAML that configurations of plugins are written in: maps, lists, texts, numbers, and comments above keys.

What is not understood raises `ValueError` with its line. Nothing is ever made of a value but plain data.
"""

import ast
import re
from typing import Any

NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?\Z")
WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}
DEEPEST = 20


class Reader:
    """Reads a text, and keeps the comments above its keys."""

    def __init__(self, text: str) -> None:
        #: Each line that says something: its number, its indentation and its text.
        self.lines: list[tuple[int, int, str]] = []
        #: The comment above a line, by its number.
        self.comments: dict[int, str] = {}
        #: The comments of keys, by their dotted paths.
        self.of_keys: dict[str, str] = {}
        self.raw = text.split("\n")
        comment: list[str] = []
        for number, line in enumerate(self.raw, 1):
            stripped = line.strip()
            if stripped.startswith("#"):
                comment.append(stripped.lstrip("# ").rstrip())
            elif stripped in ("", "---"):
                comment = []
            else:
                self.comments[number] = " ".join(one for one in comment if one)
                comment = []
                self.lines.append((number, len(line) - len(line.lstrip(" ")), without_comment(stripped)))
        self.at = 0

    def read(self) -> Any:
        if not self.lines:
            return {}
        value = self._block(self.lines[0][1], "", 0)
        if self.at < len(self.lines):
            raise ValueError(f"line {self.lines[self.at][0]}: it stands too far to the left")
        return value

    def _block(self, indent: int, path: str, depth: int) -> Any:
        if depth > DEEPEST:
            raise ValueError(f"line {self.lines[self.at][0]}: it is nested too deeply")
        return self._list(indent, path, depth) if _is_item(self.lines[self.at][2]) else self._map(indent, path, depth)

    def _list(self, indent: int, path: str, depth: int) -> list[Any]:
        found: list[Any] = []
        while self.at < len(self.lines):
            number, here, text = self.lines[self.at]
            if here != indent or not _is_item(text):
                break
            rest = text[1:].strip()
            if rest and key_of(rest) is not None:
                # A map whose first key stands behind the dash.
                inner = here + len(text) - len(text[1:].lstrip())
                self.lines[self.at] = (number, inner, rest)
                found.append(self._map(inner, f"{path}[]", depth + 1))
            else:
                self.at += 1
                found.append(self._value(rest, indent, path, depth, number, True))
        return found

    def _map(self, indent: int, path: str, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while self.at < len(self.lines):
            number, here, text = self.lines[self.at]
            if here < indent or _is_item(text):
                break
            key = key_of(text)
            if here != indent or key is None:
                raise ValueError(f"line {number}: it is no `key: value`")
            name, rest = key
            inner = f"{path}.{name}" if path else name
            self.of_keys[inner] = self.comments.get(number, "")
            self.at += 1
            found[name] = self._value(rest, indent, inner, depth, number)
        return found

    def _value(self, rest: str, indent: int, path: str, depth: int, number: int, is_item: bool = False) -> Any:
        if rest[:1] in ("|", ">"):
            return self._text(rest, indent, number)
        if rest[:1] in ("'", '"'):
            return self._quoted(rest, number)
        if rest[:1] in ("[", "{"):
            return scalar(self._closed(rest), number)
        if rest:
            return scalar(self._plain(rest, indent), number)
        if self.at < len(self.lines):
            following, next_indent, text = self.lines[self.at]
            if next_indent > indent and not _is_item(text) and key_of(text) is None:
                # The value alone, which stands below its key.
                self.at += 1
                return self._value(text, indent, path, depth, following)
            # A list may stand as far to the left as its key.
            if next_indent > indent or next_indent == indent and _is_item(text) and not is_item:
                return self._block(next_indent, path, depth + 1)
        return None

    def _quoted(self, rest: str, number: int) -> Any:
        """A text in quotes, which goes on in the next lines: they are one line, and an empty one is a line feed."""
        quote, parts, last = rest[0], [rest[0]], number
        line = rest[1:]
        while (end := closing(line, quote)) is None:
            if last >= len(self.raw):
                raise ValueError(f"line {number}: the text has no end")
            is_joined = quote == '"' and len(line) - len(line.rstrip("\\")) & 1
            parts.append(line[:-1] if is_joined else line.rstrip())
            line = self.raw[last].strip()
            last += 1
            if not line:
                parts.append("\n")
            elif not is_joined and parts[-1] not in ("", "\n"):
                parts.append(" ")
        if line[end + 1 :].strip() and not line[end + 1 :].lstrip().startswith("#"):
            raise ValueError(f"line {last}: something stands behind the text")
        parts.append(line[: end + 1])
        self._skip(last)
        text = "".join(parts)
        return scalar(text.replace("\n", "\\n") if quote == '"' else text, number)

    def _closed(self, rest: str) -> str:
        """A list or a map in brackets, with the lines up to its end."""
        parts = [rest]
        while parts[-1][-1:] != {"[": "]", "{": "}"}[rest[0]] and self.at < len(self.lines):
            parts.append(self.lines[self.at][2])
            self.at += 1
        return " ".join(parts)

    def _plain(self, rest: str, indent: int) -> str:
        """A text without quotes, with the lines in which it goes on."""
        parts = [rest]
        while self.at < len(self.lines) and self.lines[self.at][1] > indent:
            text = self.lines[self.at][2]
            if key_of(text) is not None or _is_item(text):
                break
            parts.append(text)
            self.at += 1
        return " ".join(parts)

    def _skip(self, last: int) -> None:
        """Goes on behind a line."""
        while self.at < len(self.lines) and self.lines[self.at][0] <= last:
            self.at += 1

    def _text(self, mark: str, indent: int, number: int) -> str:
        lines = []
        last = number
        for line in self.raw[number:]:
            if line.strip() and len(line) - len(line.lstrip(" ")) <= indent:
                break
            last += 1
            lines.append(line.strip())
        self._skip(last)
        return ("\n" if mark[0] == "|" else " ").join(lines).strip()


def _is_item(text: str) -> bool:
    return text.startswith("- ") or text == "-"


def closing(text: str, quote: str) -> "int | None":
    """The place where the quote closes; `None`: not in this line."""
    pattern = r"""(?:[^"\\]|\\.)*""" if quote == '"' else r"(?:[^']|'')*"
    match = re.match(pattern, text)
    end = match.end() if match is not None else 0
    return end if text[end : end + 1] == quote else None


def key_of(text: str) -> "tuple[str, str] | None":
    match = re.match(r"""(?:"([^"]*)"|'([^']*)'|([^\s#&*!|>'"%@`{}\[\],][^:#]*?))\s*:(?:\s+(.*)|)\Z""", text)
    if match is None:
        return None
    return next(one for one in match.groups()[:3] if one is not None), match[4] or ""


def without_comment(text: str) -> str:
    quote = ""
    for at, one in enumerate(text):
        if quote:
            quote = "" if one == quote else quote
        elif one in "'\"" and (at == 0 or text[at - 1] in " [{,:-"):
            quote = one
        elif one == "#" and (at == 0 or text[at - 1] == " "):
            return text[:at].rstrip()
    return text


def scalar(text: str, number: int) -> Any:
    if text[0] in "[{":
        return flow(text, number)
    if text[0] in "&*!":
        raise ValueError(f"line {number}: anchors and tags are not known here")
    if text[0] == "'" and text[-1] == "'" and len(text) > 1:
        return text[1:-1].replace("''", "'")
    if text[0] == '"' and text[-1] == '"' and len(text) > 1:
        try:
            return str(ast.literal_eval(text))
        except (SyntaxError, ValueError):
            return text[1:-1]
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    if NUMBER.match(text):
        return float(text) if any(one in text for one in ".eE") else int(text)
    return text


def flow(text: str, number: int) -> Any:
    """Reads `[a, b]` and `{}` of one line, without others inside."""
    inner = text[1:-1].strip()
    if text[-1] != {"[": "]", "{": "}"}[text[0]] or any(one in inner for one in "[]{}"):
        raise ValueError(f"line {number}: lists in lists are not known here")
    parts = [one.strip() for one in inner.split(",") if one.strip()]
    if text[0] == "[":
        return [scalar(one, number) for one in parts]
    pairs = [key_of(one) for one in parts]
    if any(one is None for one in pairs):
        raise ValueError(f"line {number}: it is no `key: value`")
    return {one[0]: scalar(one[1], number) if one[1] else None for one in pairs if one is not None}
