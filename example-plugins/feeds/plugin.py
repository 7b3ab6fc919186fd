"""Tells rooms and people what is new in feeds: `!feed add https://example.org/feed.xml`.

`feed.py` parses feeds, and `record.py` is the state of one.
"""

import asyncio
import logging
import time
from collections import defaultdict
from functools import partial
from typing import Optional
from urllib.parse import urljoin, urlsplit

from parlor import Command, Message, chats, command, connection, errors, http, occupant_of, on_ready, reply, rooms, setting, sleep, storage

import feed
import record
from record import Failure, Fetched, Outcome, Record

log = logging.getLogger(__name__)

USAGE = "Say: feed add https://example.org/feed.xml, feed remove URL, feed list, or feed check"
#: Each key in storage is this and the feed's address.
PREFIX = "feed/"
#: The shortest and the default pause between two requests for a feed, in seconds.
SHORTEST_PAUSE, DEFAULT_PAUSE = 60.0, 15 * 60.0
#: The default limit of feeds for a room or chat.
DEFAULT_MOST = 20
#: The timeout of a request in seconds, and how many redirects it follows.
TIMEOUT, REDIRECTS = 20, 5
#: The statuses of redirects, and of those that are for good (RFC 9110, section 15.4).
ELSEWHERE, FOR_GOOD = (301, 302, 303, 307, 308), (301, 308)
#: The length of a header, such as `etag`, up to which it is kept.
MOST_HEADER = 500
ACCEPT = (
    "application/atom+xml, application/rss+xml, application/rdf+xml, application/xml;q=0.9, text/xml;q=0.9, application/feed+json;q=0.8, */*;q=0.1"
)

# Two checks of a feed at the same time would send its news twice.
turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)


@command("feed", help="Tells what is new in RSS and Atom feeds", usage="add URL | remove URL | list | check")
async def obey(command: Command) -> None:
    answer = refusal(command.message) or await answer_to(command)
    if answer:
        await reply(command, answer)


async def answer_to(command: Command) -> str:
    """Carries out a command and returns the answer. It is empty if the news are the answer."""
    message = command.message
    action, *words = command.args or [""]
    match action.lower(), words:
        case "add", [url]:
            return await add(message, url)
        case "remove", [url]:
            return await remove(message.chat, url)
        case "list", []:
            return await list_feeds(message.chat)
        case "check", []:
            return await check_now(message.chat)
    return USAGE


def refusal(message: Message) -> Optional[str]:
    """Returns why this person may not change the feeds, or None. Otherwise strangers could make the bot spam a room."""
    if "/" in message.chat:
        # The news would go to the next person with this nickname.
        return "Say that in the room, or write to me from your own address."
    owners = [one.strip().lower() for one in setting("owners", [])]
    if message.kind != "groupchat":
        return None if message.chat in owners or setting("everybody", False) else "Only my owners can do that."
    try:
        speaker = occupant_of(message)
    except errors.Denied as error:
        return f"I cannot see who moderates this room. My owner can allow it: {error.hint}"
    if speaker is None:
        return "I cannot see who you are."
    is_owner = speaker.jid is not None and bare(speaker.jid) in owners
    return None if is_owner or speaker.role == "moderator" else "Only moderators can do that here."


def bare(jid: str) -> str:
    return jid.partition("/")[0]


def server(url: str) -> str:
    """Returns the part of an address that may be logged. Paths of private feeds contain secrets."""
    return urlsplit(url).hostname or url


async def feeds_of(chat: str) -> dict[str, Record]:
    """Returns the feeds of a room or chat, by their addresses."""
    entries: dict[str, Record] = await storage.entries(PREFIX)
    return {key.removeprefix(PREFIX): one for key, one in entries.items() if chat in one["chats"]}


async def add(message: Message, text: str) -> str:
    url, here = feed.address(text), await feeds_of(message.chat)
    if url is None:
        return f"That is not the address of a feed, or it is longer than {feed.MOST_ADDRESS} bytes."
    if url in here:
        return "That feed is already on the list."
    if len(here) >= setting("most", DEFAULT_MOST):
        return f"There are {len(here)} feeds on the list. That is the limit."
    known: Optional[Record] = await storage.get(PREFIX + url)
    if known is not None and known["is_gone"]:
        return f"{known['title']} cannot be fetched: {known['trouble']}."
    if known is None:
        outcome = await fetch(url)
        if not isinstance(outcome, Fetched):
            reason = outcome.reason if outcome else "the server answers 304"
            log.warning("feed of %s was not added: %s", server(url), reason)
            return f"I cannot add that: {reason}."
        known = record.begin(outcome, server(url), time.time() + pause())
    return await join(url, known, message)


async def join(url: str, known: Record, message: Message) -> str:
    is_room = message.kind == "groupchat"
    try:
        # Another room may have added it during the request.
        await storage.change(PREFIX + url, lambda kept: record.joined(kept or known, message.chat, is_room))
    except errors.OverLimit as error:
        log.warning("feed of %s was not added: %s", server(url), error)
        return "I have no room for more feeds."
    return f"Added {known['title']}."


async def remove(chat: str, text: str) -> str:
    url, here = feed.address(text), await feeds_of(chat)
    if url is None or url not in here:
        return "That feed is not on the list."
    if await storage.change(PREFIX + url, lambda kept: record.left(kept, chat)) is None:
        turns.pop(url, None)
    return f"Removed {here[url]['title']}."


async def list_feeds(chat: str) -> str:
    lines = []
    for url, one in (await feeds_of(chat)).items():
        lines.append(f"{one['title']} {url}" + (f" ({one['trouble']})" if one["trouble"] else ""))
    return "\n".join(lines) or "The list is empty."


async def check_now(chat: str) -> str:
    before = await feeds_of(chat)
    for url in before:
        await check(url)
    after = await feeds_of(chat)
    troubles = [f"{one['title']} cannot be fetched: {one['trouble']}." for one in after.values() if one["trouble"]]
    has_news = any(url in before and one["seen"] != before[url]["seen"] for url, one in after.items())
    return "\n".join(troubles) or ("" if has_news else "Nothing new.")


@on_ready
async def watch() -> None:
    """Checks the feeds that are due, again and again. With `every`, a slow round would overlap with the next one."""
    while True:
        # Without a network all feeds would fail and be reported.
        if connection.connected():
            try:
                await check_due()
            except errors.Error as error:
                log.warning("feeds were not checked: %s", error)
        await sleep(pause())


def pause() -> float:
    return max(SHORTEST_PAUSE, float(setting("interval", DEFAULT_PAUSE)))


async def check_due() -> None:
    entries: dict[str, Record] = await storage.entries(PREFIX)
    # Timers and dates use different clocks, so that a timer may ring a little early.
    due = [key.removeprefix(PREFIX) for key, one in entries.items() if one["due"] <= time.time() + 1]
    for url in due:
        try:
            await check(url)
        except Exception:
            # An error in one feed must not stop the others.
            log.exception("feed of %s was not checked", server(url))


async def check(url: str) -> None:
    """Fetches a feed and sends its news to its rooms and chats."""
    key = PREFIX + url
    async with turns[url]:
        known: Optional[Record] = await storage.get(key)
        if known is not None and not known["is_gone"]:
            outcome = await fetch(url, known)
            if isinstance(outcome, Failure):
                log.info("feed of %s cannot be fetched: %s", server(url), outcome.reason)
            # Its rooms and chats may have changed during the request.
            known = await storage.change(key, lambda kept: kept and record.after(kept, outcome, time.time(), pause()))
        if known is not None:
            await send_news(key, known)


async def send_news(key: str, known: Record) -> None:
    for jid, chat in known["chats"].items():
        if not chat["unsent"]:
            continue
        send = rooms.send if chat["is_room"] else chats.send
        try:
            await send(jid, "\n".join(chat["unsent"]))
        except errors.Error as error:
            # The bot may not be in that room at the moment. The next check tries again.
            log.info("news for %s were not sent: %s", jid, error)
        else:
            await storage.change(key, partial(record.sent, chat=jid))


async def fetch(url: str, known: Optional[Record] = None) -> Outcome:
    """Fetches a feed, if it has changed since it was `known`. It may have moved for good since this address was added."""
    at = (known.get("moved") if known is not None else "") or url
    headers = {"accept": ACCEPT}
    if known is not None and known["etag"]:
        headers["if-none-match"] = known["etag"]
    if known is not None and known["modified"]:
        headers["if-modified-since"] = known["modified"]
    try:
        answer, moved = await ask(at, headers)
    except feed.NotAFeed as error:
        return Failure(str(error))
    except errors.Denied as error:
        return Failure(f"my owner has to allow it first, by {error.hint}")
    except errors.Error as error:
        return Failure(str(error))
    if answer.status == 304:
        return None
    if answer.status == 410:
        return Failure("it is gone for good", is_gone=True)
    if answer.status != 200:
        return Failure(f"the server answers {answer.status}", wait=record.wait(answer.headers.get("retry-after", ""), time.time()))
    try:
        read = await feed.read(answer.content, answer.url, answer.headers.get("content-type", ""))
    except feed.NotAFeed as error:
        return Failure(str(error))
    return Fetched(read, kept_header(answer, "etag"), kept_header(answer, "last-modified"), moved)


async def ask(url: str, headers: dict[str, str]) -> tuple[http.Response, str]:
    """Makes a request. Returns the answer, and the new address of a feed that has moved for good, empty if it has not. Raises
    `NotAFeed`.

    The host follows redirects without saying which are for good. So the first one is followed here: of several, each check finds the next.
    """
    answer = await http.get(url, headers=headers, timeout=TIMEOUT)
    location = answer.headers.get("location", "")
    if answer.status not in ELSEWHERE or not location:
        return answer, ""
    try:
        to = urljoin(url, location.replace(" ", "%20"))
        is_secure = urlsplit(to).scheme == "https"
    except ValueError:
        raise feed.NotAFeed("it redirects to no address") from None
    if urlsplit(url).scheme == "https" and not is_secure:
        raise feed.NotAFeed("it redirects to http, and the request began with https")
    moved = feed.address(to) if answer.status in FOR_GOOD else None
    return await http.get(to, headers=headers, follow=REDIRECTS - 1, timeout=TIMEOUT), moved or ""


def kept_header(answer: http.Response, name: str) -> str:
    """Returns a header that the next request sends back. A header that is too long is left out."""
    value = answer.headers.get(name, "")
    return value if len(value) <= MOST_HEADER else ""
