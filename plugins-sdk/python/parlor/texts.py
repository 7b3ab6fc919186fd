"""Texts that are one of a few, for type checkers and for who asks whether something is one of them (`typing.get_args`); and what is
written of any text."""

from typing import Iterable, Literal

#: The roles of occupants, for as long as a visit lasts (XEP-0045, section 5.1). Giving `none` kicks.
Role = Literal["none", "visitor", "participant", "moderator"]

#: How a person belongs to a room, whether there or not (XEP-0045, section 5.2). `outcast` is banned.
Affiliation = Literal["none", "outcast", "member", "admin", "owner"]

#: The kinds of messages.
Kind = Literal["chat", "normal", "headline", "groupchat", "error"]


def whole(text: str) -> str:
    """A text with U+FFFD for half of a character, which cannot be written."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def listed(place: str, texts: Iterable[str]) -> list[str]:
    """Several texts as a list. A text in their place would become its letters, as `("one")` without a comma does."""
    if isinstance(texts, str):
        raise TypeError(f"{place} has to be a list, and is the text {texts!r}")
    return list(texts)
