"""The names that plugins of errbot use, on parlor. `parlor plugin port` puts it beside them; it has no code of errbot.

Functions of the plugin that wait, such as those with a request, have become `async`. What is said by `self.send`, and what is kept by
`self[key] = …`, goes out when a function returns or yields.
"""

# Plugins import these two from here by accident.
import logging
import re

from . import rendering
from .decorators import arg_botcmd, botcmd, botmatch, cmdfilter, re_botcmd, webhook
from .flows import FLOW_END, BotFlow, FlowRoot, botflow
from .people import Identifier, Message, Person, Room, RoomOccupant
from .plugin import BotPlugin, CommandError
from .running import run
from .utils import ValidationException

#: Plugins ask which Python they run in.
PY2, PY3 = False, True

__all__ = [
    "BotFlow", "BotPlugin", "CommandError", "FLOW_END", "FlowRoot", "Identifier", "Message", "PY2", "PY3", "Person", "Room", "RoomOccupant",
    "ValidationException", "arg_botcmd", "botcmd", "botflow", "botmatch", "cmdfilter", "logging", "re", "re_botcmd", "rendering", "run", "webhook",
]
