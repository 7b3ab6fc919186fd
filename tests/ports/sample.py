"""Ports the sample plugins, and runs them with a stand-in for the SDK."""

import atexit
import compileall
import functools
import importlib
import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TOOLS = ROOT / "host/authoring/src/port"
LAYERS = ROOT / "plugins-sdk/python/ports"

sys.dont_write_bytecode = True
sys.path.insert(0, str(TOOLS))

import main  # noqa: E402


def files(folder: Path) -> dict[str, str]:
    """The texts of a folder, by their paths."""
    found = {}
    for around, _, names in os.walk(folder):
        for name in names:
            path = Path(around, name)
            if path.suffix in (".py", ".plug", ".flow", ".yaml", ".md"):
                found[path.relative_to(folder).as_posix()] = path.read_text()
    return found


def port(texts: dict[str, str], framework: Any = None) -> dict[str, Any]:
    return main.port(texts, framework, "sample")


def ported(name: str) -> dict[str, Any]:
    return port(files(HERE / name))


def told(result: dict[str, Any], kind: str) -> list[str]:
    """Returns the findings of one kind, with file and line."""
    return [f"{one['file']}:{one['line']} {one['what']}" for one in result["findings"] if one["kind"] == kind]


@functools.cache
def compiled() -> Path:
    """The layers and the stand-in with their bytecode, made once for all samples."""
    place = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, place)
    shutil.copytree(LAYERS, place, dirs_exist_ok=True)
    shutil.copytree(HERE / "fake", place, dirs_exist_ok=True)
    compileall.compile_dir(place, quiet=1)
    return place


def begun(name: "str | dict[str, str]", into: Path, **settings: Any) -> Any:
    """Ports a sample or these texts, imports them, and gives the stand-in for the host. It is started by the caller."""
    result = ported(name) if isinstance(name, str) else port(name)
    for path, text in result["files"].items():
        (into / path).parent.mkdir(parents=True, exist_ok=True)
        (into / path).write_text(text)
    for part in result["parts"]:
        (into / part).symlink_to(compiled() / part)
    for part in ("parlor.py", "__pycache__"):
        (into / part).symlink_to(compiled() / part)
    logging.setLoggerClass(logging.Logger)
    # Forget the modules of an earlier sample, and those that it put in the place of Python's own.
    own = {path.name.partition(".")[0] for path in into.iterdir()}
    for module in [one for one in sys.modules if one.partition(".")[0] in own or one in ("requests", "aiohttp", "bottle", "flask")]:
        del sys.modules[module]
    sys.path.insert(0, str(into))
    try:
        parlor = importlib.import_module("parlor")
        parlor.host.settings.update(settings)
        importlib.import_module("plugin")
    finally:
        sys.path.remove(str(into))
    return parlor
