"""The decorators of commands and events."""

from . import command, event

__all__ = ["command", "event"]
