"""The log."""

from logging import Logger as TraceLogger

__all__ = ["TraceLogger"]
