"""Time zones for `pytz`. Its files are read while the plugin is built, since none are there when it runs.

This module needs that package in the plugin's folder: `pip install --target . pytz`.
"""

import importlib
import io
from pathlib import Path
from typing import Any

_pytz: Any = importlib.import_module("pytz")
_folder = Path(_pytz.__file__).parent / "zoneinfo"
_files = {path.relative_to(_folder).as_posix(): path.read_bytes() for path in _folder.rglob("*") if path.is_file()}


def _open_resource(name: str) -> io.BytesIO:
    if name not in _files:
        raise FileNotFoundError(f"pytz has no file {name}")
    return io.BytesIO(_files[name])


setattr(_pytz, "open_resource", _open_resource)
# These lists are made of the files when they are first used.
len(_pytz.all_timezones)
len(_pytz.common_timezones)
