"""The decorators of commands, events and requests."""

from . import command, event, web

__all__ = ["command", "event", "web"]
