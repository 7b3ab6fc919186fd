"""Python's own `logging`, written to the host's log."""

import logging

from .host import Grouping

_log = Grouping("log")


class Handler(logging.Handler):
    """Gives records to the host, which bounds, marks and keeps them."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            _log.write(_level(record.levelno), self.format(record))
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


def start() -> None:
    """Everything that is logged from now on goes to the host. It keeps what its owner wants to see."""
    root = logging.getLogger()
    root.handlers = [Handler()]
    root.setLevel(logging.DEBUG)
