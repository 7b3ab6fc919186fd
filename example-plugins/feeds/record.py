"""The state of a feed: its rooms and chats, the entries that they were told, and the time of the next request.

The functions return changed records, as `storage.change` takes them, and do not call the host. News are stored before they are sent, so
that a restart or a room that cannot be reached loses none.
"""

import re
from datetime import datetime, timezone
from typing import NamedTuple, Optional, TypedDict, Union

from feed import Entry, Feed

#: How many entries of a feed are remembered. These are more than are read, since old entries come back when a newer one is deleted.
MOST_SEEN = 400
#: How many new entries are told at once, the newest ones. Some feeds change all their ids.
MOST_TOLD = 5
#: How many unsent lines are stored for a room or chat.
MOST_UNSENT = 10
#: The number of failures in a row after which people are told.
REPORTED_AFTER = 3
#: The longest pause between two attempts, in seconds.
LONGEST_PAUSE = 24 * 60 * 60.0

#: A date in a header (RFC 9110, section 5.6.7). The older forms are not in use any more.
_DATE = re.compile(r"[A-Z][a-z]{2}, ([0-9]{2}) ([A-Z][a-z]{2}) ([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Chat(TypedDict):
    """A room or chat that has subscribed to a feed."""

    is_room: bool
    #: The lines that it has not been sent.
    unsent: list[str]


class Record(TypedDict):
    """The state of a feed."""

    #: Its own title, or the name of its server.
    title: str
    #: The validators of the last answer, empty if it had none. The next request sends them back (RFC 9110, section 13.1).
    etag: str
    modified: str
    #: The address that the feed has moved to for good, empty if it has not, or if it fails there.
    moved: str
    #: The keys of the entries that are not new.
    seen: list[str]
    #: The number of failures in a row, and the reason of the last one.
    failures: int
    trouble: str
    #: The server has answered that the feed is gone for good. It is not fetched any more.
    is_gone: bool
    #: The time of the next request, in seconds since 1970.
    due: float
    #: The subscribers by their JIDs.
    chats: dict[str, Chat]


class Fetched(NamedTuple):
    """An answer with the feed and its validators."""

    feed: Feed
    etag: str
    modified: str
    #: The address that the feed has moved to for good, empty if it has not moved since it was asked for there.
    moved: str = ""


class Failure(NamedTuple):
    """A request that gave no feed."""

    #: The reason, as people are told.
    reason: str
    #: The server has answered that the feed is gone for good.
    is_gone: bool = False
    #: How long the server wants to be left alone, in seconds.
    wait: float = 0.0


#: The result of a request. None: the feed has not changed since the last one.
Outcome = Union[Fetched, Failure, None]


def begin(fetched: Fetched, server: str, due: float) -> Record:
    """Returns the record of a new feed. Its present entries are not news."""
    return {
        "title": fetched.feed.title or server,
        "etag": fetched.etag,
        "modified": fetched.modified,
        "moved": fetched.moved,
        "seen": [entry.key for entry in fetched.feed.entries],
        "failures": 0,
        "trouble": "",
        "is_gone": False,
        "due": due,
        "chats": {},
    }


def joined(record: Record, chat: str, is_room: bool) -> Record:
    """Adds a room or chat."""
    return {**record, "chats": {**record["chats"], chat: {"is_room": is_room, "unsent": []}}}


def left(record: Optional[Record], chat: str) -> Optional[Record]:
    """Removes a room or chat. None: it was the last one, and the feed is forgotten."""
    if record is None:
        return None
    chats = {jid: one for jid, one in record["chats"].items() if jid != chat}
    return {**record, "chats": chats} if chats else None


def after(record: Record, outcome: Outcome, now: float, interval: float) -> Record:
    """Applies the result of a request."""
    if isinstance(outcome, Failure):
        return _failed(record, outcome, now, interval)
    record = {**record, "failures": 0, "trouble": "", "due": now + interval}
    return record if outcome is None else _read(record, outcome)


def wait(retry_after: str, now: float) -> float:
    """Returns how many seconds a server wants to be left alone, by the header of this name (RFC 9110, section 10.2.3)."""
    text = retry_after.strip()
    if text.isascii() and text.isdecimal():
        return float(text)
    date = _DATE.fullmatch(text)
    if not date or date[2] not in _MONTHS:
        return 0.0
    day, year, hour, minute, second = (int(date[part]) for part in (1, 3, 4, 5, 6))
    try:
        at = datetime(year, _MONTHS.index(date[2]) + 1, day, hour, minute, second, tzinfo=timezone.utc)
    except ValueError:
        return 0.0
    return max(0.0, at.timestamp() - now)


def sent(record: Optional[Record], chat: str) -> Optional[Record]:
    """Removes the unsent lines of a room or chat."""
    if record is None or chat not in record["chats"]:
        return record
    return joined(record, chat, record["chats"][chat]["is_room"])


def _read(record: Record, fetched: Fetched) -> Record:
    present = {entry.key: entry for entry in fetched.feed.entries}
    seen = set(record["seen"])
    new = [entry for key, entry in present.items() if key not in seen]
    record = {
        **record,
        "title": fetched.feed.title or record["title"],
        "etag": fetched.etag,
        "modified": fetched.modified,
        "moved": fetched.moved or record.get("moved", ""),
        # Present entries come first: forgotten ones would be news again.
        "seen": [*present, *(key for key in record["seen"] if key not in present)][:MOST_SEEN],
    }
    return _told(record, _news(record["title"], new))


def _failed(record: Record, failure: Failure, now: float, interval: float) -> Record:
    """Doubles the pause with each failure in a row. A server may want a longer one."""
    failures, reason, is_gone = record["failures"] + 1, failure.reason, failure.is_gone
    pause = min(max(interval * 2 ** min(failures - 1, 20), failure.wait), max(interval, LONGEST_PAUSE))
    # The former address may lead to the right one by now.
    record = {**record, "failures": failures, "trouble": reason, "is_gone": is_gone, "due": now + pause, "moved": ""}
    if is_gone:
        return _told(record, [f"{record['title']} was removed by its server: {reason}."])
    if failures == REPORTED_AFTER:
        return _told(record, [f"{record['title']} cannot be fetched: {reason}. I keep trying, less often."])
    return record


def _told(record: Record, lines: list[str]) -> Record:
    if not lines:
        return record
    chats: dict[str, Chat] = {
        jid: {"is_room": chat["is_room"], "unsent": [*chat["unsent"], *lines][-MOST_UNSENT:]}
        for jid, chat in record["chats"].items()
    }
    return {**record, "chats": chats}


def _news(title: str, new: list[Entry]) -> list[str]:
    """Returns a line for each new entry, the newest one last."""
    lines = [f"{title}: {entry.title} {entry.link}".rstrip() for entry in reversed(new[:MOST_TOLD])]
    more = len(new) - len(lines)
    return [*([f"{title}: {more} more before these"] if more else []), *lines]
