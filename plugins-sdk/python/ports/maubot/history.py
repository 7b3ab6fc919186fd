"""The messages of an archive, by the names that plugins of maubot know."""

from typing import Any, Iterator, Mapping, NamedTuple, Optional

from mautrix.types import PaginationDirection
from parlor import archive
from parlor_port import files, places, ready

from .client import Client
from .events import MessageEvent, message_events
from .made_rooms import allowed

#: How many messages a page may have. The servers have bounds of their own.
_MOST = 250


class Page(NamedTuple):
    """A page of an archive. Plugins also take it apart."""

    start: Optional[str]
    end: Optional[str]
    events: list[MessageEvent]


async def page(client: Client, room: str, direction: Any, start: Optional[str], limit: Any, wanted: Any) -> Page:
    """The messages of a room or a chat, from the newest or from the oldest one on, and where the next page begins: `None` if there is none."""
    await ready.wait()
    is_forward = direction in (PaginationDirection.FORWARD, PaginationDirection.FORWARD.value)
    most = max(1, min(int(limit or 10), _MOST))
    before, after = (None, start or None) if is_forward else (start or "", None)
    found = await allowed(archive.query(with_=room, max=most, before=before, after=after))
    rsm = found.rsm
    events = [event for one in found.messages for event in _events(client, one) if _is_wanted(event, wanted)]
    following = None if rsm.complete or not found.messages else rsm.last if is_forward else rsm.first
    return Page(start, following, events if is_forward else events[::-1])


def _events(client: Client, archived: Any) -> Iterator[MessageEvent]:
    """A message of an archive. Reactions, and what takes a message back, are told when they come."""
    message = archived.message
    if archived.undecryptable is not None or message.kind == "error" or places.takes_back(message) or places.has_reactions(message):
        return
    if message.body is None and not files.of_message(message):
        return
    for event in message_events(client, message, places.read):
        if message.own:
            event.sender = client.mxid
        yield event


def _is_wanted(event: MessageEvent, wanted: Any) -> bool:
    """Whether an event passes a filter of Matrix, of which the senders and the types count."""
    if not isinstance(wanted, Mapping):
        return True
    has = (("senders", "not_senders", event.sender), ("types", "not_types", str(event.type)))
    return all((wanted.get(only) is None or value in wanted[only]) and value not in (wanted.get(never) or ()) for only, never, value in has)
