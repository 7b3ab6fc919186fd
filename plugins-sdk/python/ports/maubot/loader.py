"""The files that come with a plugin, and what maubot.yaml says of it, by the names that plugins of maubot know."""

import sys
from typing import Mapping, Optional


class PluginMeta:
    """What maubot.yaml says of the plugin."""

    def __init__(self, id: str, version: str = "", license: Optional[str] = None) -> None:
        self.id = id
        self.version = version
        self.license = license


class PluginLoader:
    """`self.loader` of a plugin."""

    def __init__(self, meta: PluginMeta) -> None:
        self.meta = meta

    @property
    def id(self) -> str:
        """The name of the plugin."""
        return self.meta.id

    def sync_read_file(self, path: str) -> bytes:
        """The content of a file. `FileNotFoundError`: none of this path comes with the plugin."""
        try:
            return _files()[path]
        except KeyError:
            raise FileNotFoundError(f"no file {path} comes with the plugin") from None

    def sync_list_files(self, directory: str) -> list[str]:
        """The paths of the files in a folder, without those of folders within it."""
        return [path for path in _files() if path.rpartition("/")[0] == directory.strip("/")]

    async def read_file(self, path: str) -> bytes:
        """The same as `sync_read_file`."""
        return self.sync_read_file(path)

    async def list_files(self, directory: str) -> list[str]:
        """The same as `sync_list_files`."""
        return self.sync_list_files(directory)


BasePluginLoader = PluginLoader


def _files() -> Mapping[str, bytes]:
    # It is there only if files come with the plugin.
    packaged = sys.modules.get("parlor_port.packaged")
    found: Mapping[str, bytes] = {} if packaged is None else packaged.named
    return found
