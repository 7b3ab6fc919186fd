"""Python's own `logging`, written to the host's log."""

import logging

from .host import Grouping

_log = Grouping("log")

#: So many bytes of each end of a text fit into a line of the host's log, which has 4,096.
_HALF = 2040


class Handler(logging.Handler):
    """Gives records to the host, which bounds, marks and keeps them."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            _log.write(_level(record.levelno), _fitted(self.format(record)))
        except Exception:
            self.handleError(record)


def _level(number: int) -> object:
    levels = _log.Level
    if number >= logging.CRITICAL:
        return levels.FATAL
    if number >= logging.ERROR:
        return levels.ERROR
    if number >= logging.WARNING:
        return levels.WARN
    if number >= logging.INFO:
        return levels.INFO
    return levels.DEBUG


def _fitted(text: str) -> str:
    """Keeps both ends of a text that is too long: the host would keep the beginning, and a traceback ends with the exception."""
    if 8 * len(text) <= 2 * _HALF:
        return text
    begin, end = _beginning(text), _beginning(text[::-1])[::-1]
    return text if len(begin) + len(end) >= len(text) else f"{begin}…{end}"


def _beginning(text: str) -> str:
    size = 0
    for at, one in enumerate(text):
        # The host shows by its number what is not to be obeyed: a line feed is `\u{a}`.
        size += len(one.encode()) if one.isprintable() else len(f"{ord(one):x}") + 4
        if size > _HALF:
            return text[:at]
    return text


def start() -> None:
    """Everything that is logged from now on goes to the host. It keeps what its owner wants to see."""
    root = logging.getLogger()
    root.handlers = [Handler()]
    root.setLevel(logging.DEBUG)
