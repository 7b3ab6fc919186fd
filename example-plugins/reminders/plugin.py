"""Reminds people: `!remind tomorrow 9:00 call Nurse`."""

import logging
from datetime import datetime, timezone
from typing import Any, Optional

from parlor import Command, DueTime, Rest, chats, command, errors, on, on_ready, reply_in_chat, schedules, setting, storage

log = logging.getLogger(__name__)

HOW = "Say: !remind tomorrow 9:00 call Nurse. Or in 10 minutes, 18:30, friday 9:00, 2026-11-20 09:00"
ELSEWHERE = "Write to me from your own address, or say that in the room: when it is time, somebody else may have your nickname there."
SHOWN = "%A, %d %B, %H:%M"
# A time has no more words than `in 2 days 3 hours 30 minutes`.
MOST_WORDS = 7


@command("remind", help="Reminds you in private")
async def remind(asked: Command, when_and_what: Rest = Rest("")) -> None:
    if is_whispered(asked):
        await reply_in_chat(asked, ELSEWHERE)
        return
    zone = await zone_of(person(asked))
    wish = understood(when_and_what, zone)
    if wish is None:
        await reply_in_chat(asked, HOW)
        return
    due, what = wish
    name = str(await storage.change("last", lambda last: (last or 0) + 1))
    try:
        # Kept before it is due, and forgotten when it was said.
        await storage.set(f"reminder/{name}", {"to": person(asked), "what": what})
        is_set = await schedules.at(name, due)
        answer = f"I will, on {schedules.format(due, zone, SHOWN)}." if is_set else "That time has passed."
    except errors.OverLimit:
        is_set, answer = False, "I have too much to remember already."
    if not is_set:
        await storage.delete(f"reminder/{name}")
    await reply_in_chat(asked, answer)


@command("zone", help="Says in which time zone you are")
async def choose_zone(asked: Command, zone: str) -> None:
    try:
        shown = schedules.format(datetime.now(timezone.utc), zone, SHOWN)
    except errors.Invalid:
        await reply_in_chat(asked, "I do not know that zone. Say such as: !zone Europe/Berlin")
        return
    await storage.set(f"zone/{person(asked)}", zone)
    await reply_in_chat(asked, f"Your clocks say {shown}.")


# When this fails, the host tells the due time again after a while.
@on("schedule")
async def due(time: DueTime) -> None:
    await say(time.name)


@on_ready
async def ready() -> None:
    waiting = {schedule.name for schedule in await schedules.list()}
    for key in await storage.keys("reminder/"):
        name = key.removeprefix("reminder/")
        # The host tells a due time five times. One that could not be said in all of them, such as in a long cut, is said now.
        if name not in waiting:
            await say(name)
    log.info("%d reminders are due some day", len(waiting))


async def say(name: str) -> None:
    kept: Any = await storage.get(f"reminder/{name}")
    if kept is not None:
        await chats.send(kept["to"], f"You wanted to be reminded: {kept['what']}")
        await storage.delete(f"reminder/{name}")


def is_whispered(asked: Command) -> bool:
    """Whether it is a private message in a room. Its reminder would go to the next person with this nickname."""
    return asked.message.kind != "groupchat" and "/" in asked.message.chat


def person(asked: Command) -> str:
    """Returns the author's address; in a room, the one there."""
    message = asked.message
    return message.from_ if message.kind == "groupchat" else message.chat


async def zone_of(jid: str) -> str:
    chosen: Any = await storage.get(f"zone/{jid}")
    return chosen if chosen is not None else setting("zone", "UTC")


def understood(text: str, zone: str) -> Optional[tuple[datetime, str]]:
    """The time at the beginning of a text, as long as it goes, and what is behind it."""
    words = text.split()
    for count in range(min(len(words) - 1, MOST_WORDS), 0, -1):
        try:
            return schedules.parse(" ".join(words[:count]), zone), " ".join(words[count:])
        except errors.Invalid:
            continue
    return None
