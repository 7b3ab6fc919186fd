"""Links to people and rooms, by the name that plugins of maubot know. They are those of XMPP (RFC 5122), which every client opens."""

from typing import Any, Optional
from urllib.parse import quote, unquote

from parlor_port import places

#: The characters of an address that a link has as they are, beside letters and digits.
_PLAIN = "@/!$()*+,;="


class MatrixURI:
    """A link to a person or a room."""

    def __init__(self, address: str, is_room: bool, event_id: Any = None) -> None:
        self._address = address
        self._is_room = is_room
        #: Links of XMPP name no messages: it is only kept.
        self.event_id = event_id

    @classmethod
    def build(cls, identifier: Any, event_id: Any = None, via: Any = None) -> "MatrixURI":
        """The link to somebody, or to a room that the account is in. It has no other servers."""
        address = str(identifier)
        return cls(address, places.is_room(address), event_id)

    @classmethod
    def parse(cls, url: str) -> "MatrixURI":
        """What a link leads to. `ValueError`: it is none of XMPP."""
        scheme, _, rest = url.partition(":")
        address, _, query = rest.partition("?")
        if scheme.lower() != "xmpp" or not address:
            raise ValueError(f"{url} is no link to a person or a room of XMPP")
        address = unquote(address)
        return cls(address, query.partition(";")[0] == "join" or places.is_room(address))

    @property
    def user_id(self) -> Optional[str]:
        """The address of the person."""
        return None if self._is_room else self._address

    @property
    def room_id(self) -> Optional[str]:
        """The address of the room."""
        return self._address if self._is_room else None

    #: A room is its own alias.
    room_alias = room_id

    @property
    def matrix_to_url(self) -> str:
        """The link."""
        return f"xmpp:{quote(self._address, safe=_PLAIN)}{'?join' if self._is_room else ''}"

    matrix_uri = matrix_to_url

    def __str__(self) -> str:
        return self.matrix_to_url
