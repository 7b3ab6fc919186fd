"""F-strings as Python reads them before 3.12, as the machine's may be: there, a text within the braces has other quotation marks than the
f-string around it, and no backslash."""

import ast
import re

#: A comment, or the beginning of a text: its prefix and its quotation marks.
BEGINS = r"""#[^\n]*|((?<!\w)[bfruBFRU]{1,2})?(\"{3}|'{3}|["'])"""
CODE = re.compile(BEGINS)
#: The same in the braces of an f-string, and signs that may end what is in them.
FIELD = re.compile(rf"{BEGINS}|[\[({{:\])}}]")
SPEC = re.compile(r"[{}]")
TRIPLE = ('"""', "'''")
#: How many braces and f-strings are read within each other.
DEEPEST = 20


def earlier(text: str) -> str:
    """Returns the source with its f-strings as Python reads them before 3.12. It stays as it is if that is impossible, or if it is no Python."""
    try:
        return _Reader(text).code()
    except (ValueError, SyntaxError):
        return text


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0
        self.depth = 0

    def code(self) -> str:
        """Returns the whole source."""
        written = []
        while found := CODE.search(self.text, self.place):
            written += [self._until(found), self._text(found)]
        return "".join([*written, self.text[self.place :]])

    def _until(self, found: re.Match[str]) -> str:
        """Returns what stands before the place that was found, and goes on behind it."""
        before = self.text[self.place : found.start()]
        self.place = found.end()
        return before

    def _next(self, pattern: re.Pattern[str]) -> tuple[str, re.Match[str]]:
        found = pattern.search(self.text, self.place)
        if found is None:
            raise ValueError("it ends too early")
        return self._until(found), found

    def _text(self, found: re.Match[str]) -> str:
        """Returns a text, or a comment, that begins at this place."""
        prefix, quote = found[1] or "", found[2]
        if quote is None:
            return found[0]
        if "f" in prefix.lower():
            return self._formatted(prefix, quote)
        ends = re.compile(rf"\\.|{quote}", re.DOTALL)
        while self._next(ends)[1][0] != quote:
            pass
        return self.text[found.start() : self.place]

    def _formatted(self, prefix: str, quote: str) -> str:
        """Returns an f-string whose quotation marks are not in its braces."""
        texts, fields = [""], []
        ends = re.compile(rf"\\N{{[^}}]*}}|\\[^{{]|{{{{|{{|{quote}", re.DOTALL)
        while True:
            before, found = self._next(ends)
            texts[-1] += before
            if found[0] == quote:
                break
            if found[0] == "{":
                fields.append(self._field())
                texts.append("")
            else:
                texts[-1] += found[0]
        inner = "".join(fields)
        for one in (quote, *TRIPLE):
            is_free = one not in inner and (len(one) == 3 or "\n" not in inner)
            if is_free and (one == quote or not texts[-1].endswith(one[0]) and not any(one in text for text in texts)):
                written = [part for pair in zip(texts, [*fields, ""]) for part in pair]
                return f"{prefix}{one}{''.join(written)}{one}"
        raise ValueError("no quotation marks are left")

    def _field(self) -> str:
        """Returns what stands in braces, behind the first one."""
        written, depth = ["{"], 0
        self.depth += 1
        if self.depth > DEEPEST:
            raise ValueError("it is nested too deeply")
        while True:
            before, found = self._next(FIELD)
            written.append(before)
            sign = found[0]
            if found[2] is not None:
                sign = self._inner(found)
            elif sign.startswith("#"):
                raise ValueError("a comment cannot stand there")
            elif sign in "([{":
                depth += 1
            elif depth and sign != ":":
                depth -= 1
            elif not depth:
                written += [sign, *(self._spec() if sign == ":" else ())]
                self.depth -= 1
                return "".join(written)
            written.append(sign)

    def _spec(self) -> list[str]:
        """Returns how a value is written: what follows the colon, with the last brace."""
        written = []
        while True:
            before, found = self._next(SPEC)
            written.append(before)
            if found[0] == "}":
                return [*written, "}"]
            written.append(self._field())

    def _inner(self, found: re.Match[str]) -> str:
        """Returns a text that stands in braces, without a backslash."""
        text = self._text(found)
        if "\\" not in text:
            return text
        value = ast.literal_eval(text)
        return f"bytes.fromhex('{value.hex()}')" if isinstance(value, bytes) else f"bytes.fromhex('{value.encode().hex()}').decode()"
