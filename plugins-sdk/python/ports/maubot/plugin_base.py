"""The class that plugins of maubot inherit from."""

import asyncio
from typing import Any, Optional

import aiohttp
from mautrix.util import logging

from .client import Client
from .loader import PluginLoader, PluginMeta
from .sched import Scheduler


class Plugin:
    """A plugin."""

    def __init__(self, *_: Any, instance_id: str = "", config: Any = None, client: Any = None, **__: Any) -> None:
        self.id = instance_id
        self.log = logging.of_name(f"maubot.{instance_id}")
        self.config = config
        self.client = Client() if client is None else client
        self.http = aiohttp.ClientSession()
        self.database: Any = None
        self.webapp: Any = None
        self.webapp_url: Any = None
        self.sched = Scheduler()
        self.loader = PluginLoader(PluginMeta(instance_id))
        #: Other objects whose methods are handlers.
        self._parlor_handlers: list[Any] = []

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that everything runs on."""
        return asyncio.get_running_loop()

    @classmethod
    def get_config_class(cls) -> Optional[type]:
        """The class of the settings."""
        return None

    @classmethod
    def get_db_upgrade_table(cls) -> Any:
        """The upgrades of the database."""
        return None

    def on_external_config_update(self) -> Any:
        """Called when the settings have changed."""
        if self.config is not None:
            self.config.load_and_update()

    async def pre_start(self) -> None:
        """Called before `start`."""

    async def start(self) -> None:
        """Called when the plugin starts."""

    async def pre_stop(self) -> None:
        """Called before `stop`."""

    async def stop(self) -> None:
        """Called when it ends."""

    def register_handler_class(self, obj: Any) -> None:
        """Has the methods of another object called as well."""
        self._parlor_handlers.append(obj)
