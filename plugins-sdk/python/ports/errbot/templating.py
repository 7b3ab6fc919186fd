"""Templates of answers: the files `templates/NAME.md`, for jinja2. They are read and compiled while the plugin is built, since no files are
there when it runs. What they give is sent like any other answer.

This module needs the package jinja2 in the plugin's folder: `pip install --target . jinja2`.
"""

import importlib
import re
from pathlib import Path
from typing import Any, Mapping, Optional

_jinja2: Any = importlib.import_module("jinja2")
# These are imported late, when a template fails or has sample text.
for _name in ("jinja2.debug", "jinja2.constants"):
    importlib.import_module(_name)

_texts: dict[str, str] = {}
#: More than one empty line.
_GAP = re.compile(r"\n[ \t]*(?:\n[ \t]*)+\n")


def _text_of(name: str) -> Optional[str]:
    # A name may begin with that of the plugin.
    return _texts.get(name, _texts.get(name.partition("/")[2]))


_environment: Any = _jinja2.Environment(
    loader=_jinja2.FunctionLoader(_text_of), trim_blocks=True, lstrip_blocks=True, auto_reload=False, cache_size=-1, autoescape=False)


def load(file: str) -> None:
    """Reads the templates beside a file, and compiles them."""
    folder = Path(file).parent / "templates"
    for path in sorted(folder.rglob("*.md")):
        _texts[path.relative_to(folder).as_posix()] = path.read_text(encoding="utf-8")
    for name in _texts:
        _environment.get_template(name)


def tenv() -> Any:
    """The templates, as an environment of jinja2."""
    return _environment


def render(name: str, values: Mapping[str, Any]) -> str:
    """The text that a template makes of these values."""
    text = str(_environment.get_template(f"{name}.md").render(**values))
    return _GAP.sub("\n\n", text).strip()
