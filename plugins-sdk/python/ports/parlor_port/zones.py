"""Time zones for `zoneinfo`. They are read from the package tzdata while the plugin is built, since no files are there when it runs.

This module needs that package in the plugin's folder: `pip install --target . tzdata`.
"""

import importlib
import io
import zoneinfo
from pathlib import Path
from typing import Any

_tzdata: Any = importlib.import_module("tzdata")


def _read(folder: Path) -> dict[str, bytes]:
    """The zones below a folder, by their names."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            if data.startswith(b"TZif"):
                found[path.relative_to(folder).as_posix()] = data
    return found


_zones = _read(Path(_tzdata.__file__).parent / "zoneinfo")


def _load(key: str) -> io.BytesIO:
    if key not in _zones:
        raise zoneinfo.ZoneInfoNotFoundError(f"No time zone found with key {key}")
    return io.BytesIO(_zones[key])


# Python asks it for zones that are in no folder of the machine: that is all of them. It has no public way to give their data.
setattr(importlib.import_module("zoneinfo._common"), "load_tzdata", _load)
setattr(zoneinfo, "available_timezones", lambda: set(_zones))
zoneinfo.reset_tzpath(to=())
