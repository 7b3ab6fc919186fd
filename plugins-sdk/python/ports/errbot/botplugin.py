"""The class that plugins inherit from, by its other place."""

from .plugin import BotPlugin, CommandError
from .utils import ValidationException, recurse_check_structure

__all__ = ["BotPlugin", "CommandError", "ValidationException", "recurse_check_structure"]
