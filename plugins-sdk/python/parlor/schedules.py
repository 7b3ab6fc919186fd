"""Times at which the host wakes the plugin, in any time zone. Free for every plugin; the limit `schedules` says how many there may be
at once.

    @on("schedule", schedule="standup")
    async def standup(due: DueTime) -> None:
        await rooms.send("hall@rooms.example.org", f"Standup! {due.missed} were missed.")

    @on_start
    async def begin() -> None:
        await schedules.cron("standup", "0 9 * * MON-FRI", "Europe/Berlin")

The host keeps a schedule on disk: it outlives restarts and updates. Setting one whose name is taken replaces it; where nothing about it
changes, it goes on as it was. Due times that pass while the plugin or the host does not run are missed; `catch_up` says how many of
them, the latest ones, are told when it runs again, at most 1,000.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, List, Optional, Union

from . import errors
from .host import Grouping
from .timers import Seconds, in_milliseconds

_schedules = Grouping("schedules")


@dataclass(frozen=True)
class Schedule:
    """A schedule of this plugin. One of `every`, `at` and `cron` is set."""

    name: str
    #: It is due after each such period, counted from when it was set.
    every: Optional[timedelta]
    #: It is due once.
    at: Optional[datetime]
    #: A cron expression, which counts in `zone`.
    cron: Optional[str]
    zone: Optional[str]
    #: The number of missed due times that are delivered.
    catch_up: int
    #: The next due time; None while the last one is still told.
    next: Optional[datetime]
    #: The owner has paused it.
    paused: bool


async def every(name: str, period: Seconds, *, catch_up: int = 1) -> datetime:
    """Sets a schedule that is due after each such period from now, of at least a minute, and returns its first due time."""
    try:
        return _time(await _schedules.every(name, max(0, in_milliseconds(period)), catch_up))
    except errors.Invalid as error:
        # The host counts in milliseconds, which the author has not written.
        if error.argument == "milliseconds":
            shown = period if isinstance(period, timedelta) else f"{period} s"
            error.args = (f"invalid period: {shown}; it may be from a minute to ten years",)
        raise


async def at(name: str, due: Union[datetime, str], *, catch_up: int = 1) -> bool:
    """Sets a schedule that is due once. False: that time has passed, and nothing was set."""
    return bool(await _schedules.at(name, _text(due), catch_up))


async def cron(name: str, expression: str, zone: str, *, catch_up: int = 1) -> datetime:
    """Sets a schedule by a cron expression of five fields, such as `0 9 * * MON-FRI`, in a zone such as `Europe/Berlin`, and returns its
    first due time.

    `Invalid`: there is no such zone, it is no cron expression, or one that is never due.
    """
    return _time(await _schedules.cron(name, expression, zone, catch_up))


async def list() -> List[Schedule]:
    """Returns this plugin's schedules, by name."""
    return [_shown(one) for one in await _schedules.list()]


async def cancel(name: str) -> bool:
    """Ends a schedule. False: there is none of this name."""
    return bool(await _schedules.cancel(name))


def to_local(moment: Union[datetime, str], zone: str) -> datetime:
    """Returns the time that clocks in a zone show at this moment, with the zone's offset and short name at that time."""
    local = _schedules.to_local(_text(moment), zone)
    offset = timezone(timedelta(seconds=local.offset), local.abbreviation)
    return datetime(local.year, local.month, local.day, local.hour, local.minute, local.second, tzinfo=offset)


def format(moment: Union[datetime, str], zone: str, pattern: str) -> str:
    """Writes a moment as clocks in a zone show it, by a pattern of strftime, such as `%A, %H:%M`.

    `Invalid`: there is no such zone, or the pattern has something that is unknown.
    """
    return str(_schedules.format(_text(moment), zone, pattern))


def parse(text: str, zone: str) -> datetime:
    """Returns the moment that a text means, as a person in a zone writes it: `2026-11-20 09:00`, `9:00`, `today 9:00`,
    `tomorrow 9:00`, `friday 9:00`, `in 2 hours 30 minutes`.

    `Invalid`: there is no such zone, or it cannot be read.
    """
    return _time(_schedules.parse(text, zone))


def _shown(schedule: Any) -> Schedule:
    kind, value = type(schedule.timing).__name__.rpartition("_")[2], schedule.timing.value
    expression, zone = value if kind == "Cron" else (None, None)
    return Schedule(
        schedule.name,
        timedelta(milliseconds=value) if kind == "Every" else None,
        _time(value) if kind == "At" else None,
        expression,
        zone,
        schedule.catch_up,
        _time(schedule.next) if schedule.next is not None else None,
        schedule.paused,
    )


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _text(time: Union[datetime, str]) -> str:
    return time.isoformat() if isinstance(time, datetime) else time
