"""The class that plugins inherit from, by its other place."""

from .plugin import BotPlugin, CommandError
from .utils import ValidationException, recurse_check_structure

#: The class that `BotPlugin` itself inherits from, there.
BotPluginBase = BotPlugin

__all__ = ["BotPlugin", "BotPluginBase", "CommandError", "ValidationException", "recurse_check_structure"]
