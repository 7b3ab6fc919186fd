"""The log, by the name that plugins of maubot know."""

import logging
from typing import Any, cast

#: The levels below `DEBUG`.
_TRACE, _SILLY = 5, 1


class TraceLogger(logging.Logger):
    """A log with two levels below `DEBUG`, which the host does not ask for."""

    def trace(self, message: Any, *given: Any, **named: Any) -> None:
        """Notes a detail."""
        self.log(_TRACE, message, *given, **named)

    def silly(self, message: Any, *given: Any, **named: Any) -> None:
        """Notes a detail of a detail."""
        self.log(_SILLY, message, *given, **named)


def of_name(name: str) -> TraceLogger:
    """The log of this name."""
    return cast(TraceLogger, logging.getLogger(name))


# Plugins also make logs by themselves, and children of `self.log`.
logging.setLoggerClass(TraceLogger)
