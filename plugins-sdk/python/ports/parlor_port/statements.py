"""Statements of SQL that the layer passes to SQLite: their first words, and those that it does not pass on."""

import re
import sqlite3
from typing import Optional

#: Statements that change nothing.
READS = ("SELECT", "VALUES", "EXPLAIN", "PRAGMA", "WITH")
#: Statements that would end a transaction of the layer, or take the pages from it.
_REFUSED = ("BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE", "VACUUM", "ATTACH", "DETACH")
#: A space or a comment. No two of them can be read as one: a text with many would be tried in each way, which takes hours.
_SPACE = r"(?:\s|--[^\n]*(?:\n|\Z)|/\*(?:[^*]|\*(?!/))*\*/)"
_WORD = re.compile(_SPACE + r"*(\w+)")
#: The text after the word `PRAGMA`.
_PRAGMA = re.compile(rf"{_SPACE}+(?:\w+\.)?(\w+){_SPACE}*(?:=\s*([^;]*?)|\(([^)]*)\))?{_SPACE}*(?:;.*)?\Z", re.DOTALL)
#: Those that only ask, also with a value.
ASKS = ("table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo", "foreign_key_list", "foreign_key_check",
        "integrity_check", "quick_check")  # fmt: skip


def word_of(query: str, instead: str) -> str:
    """The first word of a statement, in capitals. `OperationalError`: it is one that the layer does not pass on, with what to use `instead`."""
    first = _WORD.match(query)
    word = first[1].upper() if first else ""
    if word in _REFUSED:
        raise sqlite3.OperationalError(f"{word} is no statement for this database: use {instead}")
    return word


def pragma_of(query: str) -> tuple[str, Optional[str]]:
    """The name of a PRAGMA in small letters, and its value. None: it has none."""
    first = _WORD.match(query)
    found = _PRAGMA.match(query, first.end()) if first else None
    if found is None:
        raise sqlite3.OperationalError("this PRAGMA cannot be read here: write `PRAGMA name` or `PRAGMA name = value`, without quotes")
    return found[1].lower(), found[2] or found[3]


def not_set(name: str) -> sqlite3.OperationalError:
    """The error of a PRAGMA that would change what the layer relies on."""
    return sqlite3.OperationalError(f"PRAGMA {name} cannot be set here: the database is in memory, and the layer stores its pages")
