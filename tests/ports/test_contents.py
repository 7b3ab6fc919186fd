"""Contents of messages in plugins of maubot: `python3 -m unittest discover tests/ports`."""

import json
import unittest
from typing import Any

import test_layer
from test_maubot import plugin

TYPES = "from mautrix.types import *\n"


class Contents(test_layer.Case):
    async def said(self, body: str, **named: Any) -> str:
        """The words of a plugin that has this in a method."""
        lines = "\n".join(f"    {line}" for line in body.split("\n"))
        await self.begun(plugin(f"@command.new('a')\nasync def a(self, evt: MessageEvent) -> None:\n{lines}\n    await evt.respond(str(said))", TYPES))
        return (await self.answers("!a", **named))[0]

    async def test_a_message_that_refers_to_nothing_has_an_empty_relation(self) -> None:
        body = (
            "relates = evt.content.relates_to\n"
            "said = bool(relates), relates.rel_type == RelationType.THREAD, relates.in_reply_to, relates.event_id, evt.content.get_reply_to()")
        self.assertEqual(await self.said(body), "(False, False, None, None, None)")

    async def test_a_content_is_written_as_matrix_does(self) -> None:
        body = (
            "content = TextMessageEventContent(msgtype=MessageType.NOTICE, body='tea', format=Format.HTML, formatted_body='<b>tea</b>')\n"
            "plain = content.serialize()\n"
            "content.set_edit('m1')\ncontent['org.example.x'] = 1\n"
            "file = MediaMessageEventContent(MessageType.IMAGE, 'a.png', url='https://x.example/a', info=ImageInfo('image/png', 5, width=7))\n"
            "import json\nsaid = json.dumps([plain, json.loads(content.json()), file.serialize(), TextMessageEventContent(body='x').json()])")
        plain, edit, file, short = json.loads(await self.said(body))
        self.assertEqual(plain, {"msgtype": "m.notice", "body": "tea", "format": "org.matrix.custom.html", "formatted_body": "<b>tea</b>"})
        self.assertEqual(edit, {**plain, "m.relates_to": {"rel_type": "m.replace", "event_id": "m1"}, "org.example.x": 1})
        self.assertEqual(file["info"], {"mimetype": "image/png", "size": 5, "w": 7})
        self.assertEqual((file["msgtype"], file["url"]), ("m.image", "https://x.example/a"))
        self.assertEqual(json.loads(short), {"msgtype": "m.text", "body": "x"})

    async def test_a_written_content_can_be_read_again(self) -> None:
        body = (
            "content = TextMessageEventContent(body='tea')\ncontent.set_reply('m7')\n"
            "again = TextMessageEventContent.deserialize(content.serialize())\nsaid = again.body, again.get_reply_to(), again.relates_to.rel_type")
        self.assertEqual(await self.said(body), "('tea', 'm7', None)")


if __name__ == "__main__":
    unittest.main()
