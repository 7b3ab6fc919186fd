"""The names that plugins of maubot use, on parlor. `parlor plugin port` puts it beside them; it has no code of maubot.

Matrix and XMPP differ: a sender and a room are JIDs, messages are plain text in which `*bold*` is a sign (XEP-0393), and HTML becomes
text. An id of a message is the one by which XMPP refers to it.
"""

from . import handlers
from .events import MessageEvent
from .plugin_base import Plugin
from .running import run
from .webapp import PluginWebApp

#: Plugins name it in their requests over the web.
__version__ = "parlor"

__all__ = ["MessageEvent", "Plugin", "PluginWebApp", "__version__", "handlers", "run"]
