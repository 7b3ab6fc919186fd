"""Reminds people: `remind me in 10m to water the plants`."""

import logging
import re
from collections import deque
from datetime import datetime, timedelta, timezone

from parlor import Message, after, body_without_fallback, chats, errors, on, on_ready, reply, storage

log = logging.getLogger(__name__)

WISH = re.compile(r"remind me in (\d{1,6}) ?(s|m|h|d)\w* (?:to|of|about) (.+)", re.IGNORECASE | re.DOTALL)
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
# When what could not be said is tried again, in seconds.
AGAIN = 60

# The keys of those that a timer waits for.
awaited: set[str] = set()
# The last messages that were understood, as their corrections name them.
understood: deque[tuple[str, str | None]] = deque(maxlen=1000)


# A prefix would be compared letter by letter, and phones begin a text with a capital.
@on("message", kind="chat")
async def remind(message: Message) -> None:
    body = body_without_fallback(message).strip()
    # A message to another client of the account is not for this one to answer, and a corrected wish is no second one.
    corrects = message.extensions.replace if message.extensions else None
    said = (message.chat, corrects or message.id)
    if message.carbon or (corrects and said in understood) or not body.lower().startswith("remind me"):
        return
    wish = WISH.fullmatch(body)
    if wish is None:
        await reply(message, "Say: remind me in 10m to water the plants")
        return
    number, unit, what = wish.groups()
    due = datetime.now(timezone.utc) + timedelta(**{UNITS[unit.lower()]: int(number)})
    key = f"{due.isoformat()} {message.chat}"
    try:
        await storage.set(key, {"to": message.chat, "what": what, "due": due.isoformat()})
    except errors.OverLimit:
        await reply(message, "I have too much to remember already.")
        return
    wait_for(key, due)
    understood.append(said)
    await reply(message, f"I will, at {due:%H:%M:%S} UTC.")


# Not when the plugin starts: what came due meanwhile is said at once, and nothing can be said before the log-in.
@on_ready
async def ready() -> None:
    keys = await storage.keys()
    for key in keys:
        kept = await storage.get(key)
        if kept is not None:
            wait_for(key, datetime.fromisoformat(kept["due"]))
    log.info("%d reminders are due some day", len(keys))


def wait_for(key: str, due: datetime) -> None:
    if key in awaited:
        return
    awaited.add(key)

    async def now() -> None:
        kept = await storage.get(key)
        if kept is not None:
            try:
                await chats.send(kept["to"], f"You wanted to be reminded to {kept['what']}")
            except (errors.Offline, errors.OverLimit) as error:
                log.warning("a reminder is tried again in %d s: %s", AGAIN, error)
                after(AGAIN, now)
                return
            # Only what was sent is forgotten.
            await storage.delete(key)
        awaited.discard(key)

    after(max(0, (due - datetime.now(timezone.utc)).total_seconds()), now)
