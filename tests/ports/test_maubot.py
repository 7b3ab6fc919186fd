"""Parts of the layer for maubot that the samples do not use: `python3 -m unittest discover tests/ports`."""

import unittest
from types import SimpleNamespace
from typing import Any

import sample
import test_layer

HALL = "hall@rooms.example.org"
ABOUT = "id: org.example.a\nversion: 1.0\nmodules:\n- a\nmain_class: A\n"
HEAD = "from maubot import Plugin, MessageEvent\nfrom maubot.handlers import command, event\n"


def plugin(body: str, head: str = "", about: str = ABOUT, config: str = "") -> dict[str, str]:
    """The texts of a plugin whose class has this body."""
    lines = "\n".join(f"    {line}" if line else "" for line in body.split("\n"))
    texts = {"maubot.yaml": about, "a.py": f"{HEAD}{head}\n\nclass A(Plugin):\n{lines}\n"}
    return {**texts, "base-config.yaml": config} if config else texts


class Beginning(test_layer.Case):
    async def test_the_plugins_own_init_is_called(self) -> None:
        await self.begun(plugin(
            "def __init__(self, *args, client, **kwargs):\n    super().__init__(*args, client=client, **kwargs)\n    self.said = [self.id, client is self.client]\n"
            "@command.new\nasync def show(self, evt: MessageEvent) -> None:\n    await evt.reply(str(self.said))"))
        self.assertEqual(await self.answers("!show"), ["['org.example.a', True]"])

    async def test_an_init_with_fewer_names_gets_those(self) -> None:
        await self.begun(plugin(
            "def __init__(self, config):\n    super().__init__(config=config)\n    self.said = []\n"
            "@command.new\nasync def show(self, evt: MessageEvent) -> None:\n    await evt.reply(str(self.said))"))
        self.assertEqual(await self.answers("!show"), ["[]"])


if __name__ == "__main__":
    unittest.main()
