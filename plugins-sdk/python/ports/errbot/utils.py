"""Helpers that plugins of errbot know."""

import re
from datetime import timedelta
from typing import Any


class ValidationException(Exception):
    """Something is not as it should be."""


def recurse_check_structure(sample: Any, to_check: Any) -> None:
    """Checks that values have the types of a sample, and its keys. `ValidationException`: they have not."""
    if sample is None or to_check is None:
        return
    if isinstance(sample, dict):
        if not isinstance(to_check, dict):
            raise ValidationException(f"{to_check!r} is no mapping")
        for key, value in sample.items():
            if key not in to_check:
                raise ValidationException(f"{key} is missing")
            recurse_check_structure(value, to_check[key])
    elif isinstance(sample, (list, tuple)):
        if not isinstance(to_check, (list, tuple)):
            raise ValidationException(f"{to_check!r} is no list")
        for value in to_check if sample else ():
            recurse_check_structure(sample[0], value)
    elif isinstance(sample, bool) != isinstance(to_check, bool):
        raise ValidationException(f"{to_check!r} is not of the type {type(sample).__name__}")
    elif isinstance(sample, (int, float)):
        if not isinstance(to_check, (int, float)):
            raise ValidationException(f"{to_check!r} is no number")
    elif isinstance(sample, str) and not isinstance(to_check, str):
        raise ValidationException(f"{to_check!r} is no text")


def version2tuple(version: str) -> tuple[int, ...]:
    """The numbers of a version such as `6.2.0`. Signs behind them, as in `6.2.0-beta`, are left out. `ValueError`: it is none."""
    found = re.match(r"v?(\d+)\.(\d+)\.(\d+)", str(version))
    if found is None:
        raise ValueError(f"{version!r} is no version such as 6.2.0")
    return tuple(int(one) for one in found.groups())


#: The signs of a bar.
_BAR = 15


def drawbar(value: float, max_: float) -> str:
    """A share of a whole as a bar."""
    full = round(value * _BAR / max_) if max_ else 0
    return f"[{'█' * full}{'▒' * (_BAR - full)}]"


def format_timedelta(span: timedelta) -> str:
    """A span of time in words, by its parts that are not nothing."""
    minutes, seconds = divmod(int(span.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "day"), (hours, "hour"), (minutes, "minute")]
    shown = [f"{number} {word}{'' if number == 1 else 's'}" for number, word in parts if number]
    if not shown:
        return f"{seconds} second{'' if seconds == 1 else 's'}"
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
