"""Files that come with a plugin. They are read while it is built, since none are there when it runs, and `open` gives what was read."""

import builtins
import io
import os.path
from pathlib import Path
from typing import Any, Iterable

_files: dict[str, bytes] = {}
#: The same, by their paths in the plugin's folder.
named: dict[str, bytes] = {}
_open: Any = builtins.open


def load(file: str, names: Iterable[str]) -> None:
    """Reads these files, which are in the folder of another one."""
    for name in names:
        path = Path(file).parent / name
        # A plugin may look for it by the path without links.
        named[name] = _files[os.path.abspath(path)] = _files[os.path.realpath(path)] = path.read_bytes()


def _opened(file: Any, mode: str = "r", buffering: int = -1, encoding: Any = None, errors: Any = None, newline: Any = None, *others: Any, **named: Any) -> Any:
    """Opens a file that was read, to read it again."""
    path = os.path.normpath(os.fspath(file)) if isinstance(file, (str, os.PathLike)) else None
    if path not in _files:
        return _open(file, mode, buffering, encoding, errors, newline, *others, **named)
    if set(mode) - set("rbtU"):
        raise PermissionError(f"{file}: a plugin has no files to write; `parlor.storage` keeps data")
    data = io.BytesIO(_files[path])
    # A program names the encoding or means this one.
    return data if "b" in mode else io.TextIOWrapper(data, "utf-8" if encoding in (None, "locale") else encoding, errors, newline)


# `pathlib` and `codecs` take it from these modules.
setattr(builtins, "open", _opened)
setattr(io, "open", _opened)
# Python loads the decoder that skips a mark at the beginning when it is first used: that has to be now, where there are files.
b"".decode("utf-8-sig")
