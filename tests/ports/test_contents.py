"""Contents of messages in plugins of maubot: `python3 -m unittest discover tests/ports`."""

import importlib
import json
import random
import sys
import unittest
from types import SimpleNamespace
from typing import Any

import sample
import test_layer
from test_maubot import plugin

TYPES = "from mautrix.types import *\n"


class Contents(test_layer.Case):
    async def said(self, body: str, **named: Any) -> str:
        """The words of a plugin that has this in a method."""
        lines = "\n".join(f"    {line}" for line in body.split("\n"))
        await self.begun(plugin(f"@command.new('a')\nasync def a(self, evt: MessageEvent) -> None:\n{lines}\n    await evt.respond(str(said), markdown=False)", TYPES))
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

    async def test_an_event_is_read_as_a_mapping_and_written_as_matrix_does(self) -> None:
        body = (
            "evt['org.example.x'] = 1\n"
            "said = json.dumps([evt['sender'], evt['content'].body, evt['content']['body'], evt['type'] == EventType.ROOM_MESSAGE, evt.get('state_key', 'none'),\n"
            "    evt.get('content', {}).get('msgtype').value, evt.content.get('_relates_to'), evt.unsigned.age, evt.serialize(), json.loads(evt.json())])")
        self.assertEqual(
            [one.partition(" ")[2] for one in sample.told(sample.port(plugin("@command.new\nasync def a(self, evt: MessageEvent):\n    evt.json()\n    evt.tea()")), "lacks")],
            ["evt.tea"])
        *read, serialized, written = json.loads(await self.said(f"import json\n{body}"))
        self.assertEqual(read, ["alice@example.org", "!a", "!a", True, "none", "m.text", None, None])
        self.assertEqual(serialized, written)
        self.assertEqual(written, {
            "type": "m.room.message", "content": {"msgtype": "m.text", "body": "!a"}, "room_id": "alice@example.org", "sender": "alice@example.org",
            "event_id": "m1", "origin_server_ts": 1767268800000, "org.example.x": 1})

    async def test_a_content_and_an_event_have_the_fields_that_they_have(self) -> None:
        reply = test_layer.extensions(reply=SimpleNamespace(id="m7", to=None))
        body = (
            "evt.content['org.example.x'] = 1\n"
            "asked = 'body', 'org.example.x', 'm.relates_to', 'relates_to', 'formatted_body', 'org.example.y', 'get', '_others'\n"
            "said = [one in evt.content for one in asked], 'sender' in evt, 'origin_server_ts' in evt, 'client' in evt, evt.content._relates_to is None")
        self.assertEqual(await self.said(body, extensions=reply), "([True, True, True, True, False, False, False, False], True, True, False, False)")
        asked = "@event.on(EventType.ROOM_MESSAGE)\nasync def a(self, evt: MessageEvent):\n    return evt.content._relates_to, 'x' in evt.content"
        self.assertEqual(sample.told(sample.port(plugin(asked, TYPES)), "lacks"), [])

    async def test_a_reply_is_told_by_the_older_name(self) -> None:
        reply = test_layer.extensions(reply=SimpleNamespace(id="m7", to=None))
        body = "said = evt.content.get('_relates_to')['in_reply_to'].get('event_id'), evt['content']['_relates_to']['in_reply_to']['event_id']"
        self.assertEqual(await self.said(body, extensions=reply), "('m7', 'm7')")

    async def test_a_plugin_that_knows_replies_by_a_type_gets_and_sends_it(self) -> None:
        reply = test_layer.extensions(reply=SimpleNamespace(id="m7", to=None))
        body = (
            "about = evt.content.relates_to\nanswer = RelatesTo()\nanswer.rel_type, answer.event_id = RelationType.REPLY, evt.event_id\n"
            "if about.rel_type is RelationType.REPLY:\n    await self.client.send_text(evt.room_id, 'tea', relates_to=answer)\nsaid = about.event_id, evt.content.get_reply_to()")
        self.assertEqual(await self.said(body), "(None, None)")
        await self.host.says("!a", extensions=reply)
        [(_, said), (_, told)] = self.host.sent
        self.assertEqual((said.body, said.reply_to.id, told.body), ("tea", "m1", "('m7', 'm7')"))

    async def test_other_plugins_get_replies_without_a_type(self) -> None:
        reply = test_layer.extensions(reply=SimpleNamespace(id="m7", to=None))
        body = "said = evt.content.relates_to.rel_type, evt.content.relates_to.event_id, evt.content.get_reply_to()"
        self.assertEqual(await self.said(body, extensions=reply), "(None, None, 'm7')")

    async def test_a_plugin_that_also_reads_encrypted_files_reads_those_that_the_host_decrypted(self) -> None:
        texts = plugin(
            "@event.on(EventType.ROOM_MESSAGE)\nasync def heard(self, evt: MessageEvent) -> None:\n"
            "    file: EncryptedFile = evt.content.file\n    data = await self.client.download_media(evt.content.url if file is None else file.url)\n"
            "    if file is not None:\n        data = decrypt_attachment(data, file.key.key, file.hashes['sha256'], file.iv)\n"
            "    await evt.respond(f'{data} {mautrix.crypto.attachments.decrypt_attachment(data, key=1, hash=2, iv=3)}')",
            "import mautrix.crypto.attachments\nfrom mautrix.crypto.attachments import decrypt_attachment\nfrom mautrix.types import EncryptedFile, EventType\n")
        self.assertEqual(sample.told(sample.port(texts), "lacks"), [])
        host = await self.begun(texts)
        file = self.parlor.File("aesgcm://files.example/a.png", "a.png", "image/png", 3)
        host.files = {file.url: b"abc"}
        [hear] = [handler for name, options, handler in host.listeners if name == "message" and not options.get("own")]
        await hear(self.parlor.Message(None, extensions=test_layer.extensions(files=[file])))
        self.assertEqual([text for _, text in host.take()], ["b'abc' b'abc'"])

    async def test_a_text_beside_a_file_is_sent_with_it(self) -> None:
        texts = plugin(
            "@event.on(EventType.ROOM_MESSAGE)\nasync def heard(self, evt: MessageEvent) -> None:\n"
            "    data = evt.content.serialize()\n    same = evt.content\n    name = data['filename']\n"
            "    data['body'] = f'alice: {name}'\n    await self.client.send_message_event('x@x.example', EventType.ROOM_MESSAGE, data)\n"
            "    await self.client.send_message('x@x.example', same)\n"
            "    await self.client.send_message('x@x.example', MediaMessageEventContent(body='tea', filename='b.png', url='https://x.example/b'))\n"
            "    await self.client.send_message('x@x.example', MediaMessageEventContent(body='c.png', url='https://x.example/c'))",
            "from mautrix.types import EventType, MediaMessageEventContent\n")
        self.assertEqual(sample.told(sample.port(texts), "lacks"), [])
        host = await self.begun(texts)
        [hear] = [handler for name, options, handler in host.listeners if name == "message" and not options.get("own")]
        await hear(self.parlor.Message(None, extensions=test_layer.extensions(files=[self.parlor.File("https://x.example/a.png", "a.png", "image/png", 3)])))
        self.assertEqual([(sent.body, [file.name for file in sent.files]) for _, sent in host.sent], [
            ("alice: a.png", ["a.png"]), (None, ["a.png"]), ("tea", ["b.png"]), (None, ["c.png"])])


class Markdown(test_layer.Case):
    #: As a plugin writes it, and as XMPP shows it.
    TEXTS = (
        ("**Hello** *you*, __all__ of _you_", "*Hello* _you_, *all* of _you_"),
        ("***both*** and **a *b* c** and **a *b***", "*_both_* and *a _b_ c* and *a _b_*"),
        ("~~gone~~ `**code**` ``a ` b`` ``c``", "~gone~ `**code**` a ` b `c`"),
        ("2 * 3 * 4, 5*3*2, snake_case_name, ** a **, **", "2 * 3 * 4, 5*3*2, snake_case_name, ** a **, **"),
        ("# Tea #\n## **Green**\n#1 is mint", "*Tea*\n*Green*\n#1 is mint"),
        ("> #### Tea\n>> # **Green**", "> *Tea*\n>> *Green*"),
        ("* one\n  + **two** *a*\n* *three*\n> *four*", "* one\n  + *two* _a_\n* _three_\n> _four_"),
        ("```py\n**a** *b*\n```\n~~~\n*c*\n```\n~~~\n**d**", "```\n**a** *b*\n```\n```\n*c*\n```\n```\n*d*"),
        ("[**tea**](https://x.example/a_b_c) ![p](https://x.example/p)", "*tea* (https://x.example/a_b_c) p (https://x.example/p)"),
        ("[https://x.example](https://x.example) <https://x.example/_a_>", "https://x.example https://x.example/_a_"),
        ("https://x.example/_a_/*b* xmpp:_a_@x.example", "https://x.example/_a_/*b* xmpp:_a_@x.example"),
        (r"\*a\* \[b\] C:\dir", "\u2060*a\u2060* [b] C:\\dir"),
        ("Write\\\n`a`\\\n\\\nor `b\\`\\\n\nC:\\\\\nd\\", "Write\n`a`\n\nor `b\\`\\\n\nC:\\\nd\\"),
        ("```\na\\\nb\n```", "```\na\\\nb\n```"),
        ("**5*3** <b>c</b> a & b", "5*3 <b>c</b> a & b"),
        ("", ""),
    )

    async def test_markdown_becomes_what_xmpp_shows(self) -> None:
        await self.begun(plugin("pass"))
        of_markdown = sys.modules["parlor_port.texts"].of_markdown
        for markdown, text in self.TEXTS:
            self.assertEqual(of_markdown(markdown), text, markdown)

    async def test_html_in_markdown_is_read_with_it(self) -> None:
        await self.begun(plugin("pass"))
        of_markdown = sys.modules["parlor_port.texts"].of_markdown
        for markdown, text in (
            ("**a** <b>c</b> &amp; `<i>`", "*a* *c* & `<i>`"),
            ("<a href='https://x.example/__a__'>**tea**</a>", "*tea* (https://x.example/__a__)"),
            ("<pre>  **a**</pre>**b**<pre>_", "```\n  **a**\n```\n*b*\n```\n_"),
            ("```\n  if a < b:\n```", "```\n  if a < b:\n```"),
        ):
            self.assertEqual(of_markdown(markdown, True), text, markdown)

    async def test_any_text_is_read_in_little_time_and_loses_no_letter(self) -> None:
        await self.begun(plugin("pass"))
        of_markdown = sys.modules["parlor_port.texts"].of_markdown
        numbers = random.Random(7)
        for _ in range(2000):
            text = "".join(numbers.choice(["*", "**", "_", "__", "~~", "`", "```", "[", "](", ")", "\\", " ", "\n", "#", "x", "y"]) for _ in range(30))
            for allow_html in (False, True):
                # The words behind the marks of a block of code are the name of a language.
                if "```" not in text and "~~~" not in text:
                    self.assertEqual(*(one.count("x") + one.count("y") for one in (text, of_markdown(text, allow_html))), text)
        # Each of these begins something that never ends.
        for sign in ("**a ", "*a ", "_a ", "~~a ", "`a ", "[a", "<a", "<pre>", "a://", "***a "):
            of_markdown(sign * 2000, True)

    async def test_plugins_say_markdown_by_each_of_the_calls_that_read_it(self) -> None:
        await self.begun(plugin(
            "@command.new('a')\nasync def a(self, evt: MessageEvent) -> None:\n"
            "    await evt.reply('**one**')\n    await evt.respond('**two**')\n    await evt.respond('**three**', markdown=False)\n"
            "    await evt.respond('**four** <b>x</b>', markdown=False, allow_html=True)\n"
            "    await self.client.send_markdown(evt.room_id, '**five**')\n    await self.client.send_text(evt.room_id, '**six**')"))
        self.assertEqual(await self.answers("!a"), ["*one*", "*two*", "**three**", "**four** *x*", "*five*", "**six**"])

    async def test_html_keeps_its_lists_tables_quotations_and_headings(self) -> None:
        await self.begun(plugin("pass"))
        of_html = sys.modules["parlor_port.texts"].of_html
        for html, text in (
            ("<ul>\n<li><p>a</p></li>\n<li>b<ol start='3'><li>c</li><li>d</li></ol></li><li>e</li></ul>f", "- a\n- b\n  3. c\n  4. d\n- e\nf"),
            ("<table>\n<tr> <th>a</th> <th>b</th></tr>\n<tr><td>1</td><td><p>2</p></td></tr></table>", "a | b\n1 | 2"),
            ("<details><summary>s</summary>t</details>u", "s\nt\nu"),
            ("x<blockquote><p>a<br>b</p><p>c</p><blockquote>d</blockquote></blockquote>y", "x\n> a\n> b\n>\n> c\n>\n> > d\n\ny"),
            ("<h3>News</h3><p>a</p><h1><b>b</b></h1>", "*News*\n\na\n\n*b*"),
            ("a\2b\1c<span>d  e</span>", "abcd e"),
        ):
            self.assertEqual(of_html(html), text, html)

    async def test_rendered_markdown_shows_the_same_as_html(self) -> None:
        await self.begun(plugin("pass"))
        of_html, markdown = sys.modules["parlor_port.texts"].of_html, importlib.import_module("mautrix.util.markdown")
        for allow_html, text in ((False, "use `!x  <name>`\n  & _see_ *b*"), (True, "use `!x <name>`\n& _see_ *b*")):
            rendered = markdown.render("use `!x  <name>`\n  & *see* **b**", allow_html=allow_html)
            # It also stays what it is behind other HTML.
            for html in (rendered, f"{rendered}"):
                self.assertEqual(of_html(html), text)
            self.assertEqual(of_html(f"<b>a</b> {rendered}"), f"*a* {text}")

    async def test_what_render_made_is_sent_as_what_it_shows(self) -> None:
        await self.begun(plugin(
            "@command.new('a')\nasync def a(self, evt: MessageEvent) -> None:\n"
            "    text = 'use `!x <name>` & *see* **bold**'\n"
            "    await self.client.send_text(evt.room_id, html=markdown.render(text))\n"
            "    await self.client.send_text(evt.room_id, text, html=markdown.render(text))\n"
            "    await self.client.send_text(evt.room_id, 'plain', html=markdown.render(text))\n"
            "    await evt.respond(markdown.render(text), allow_html=True)", "from mautrix.util import markdown"))
        shown = "use `!x <name>` & _see_ *bold*"
        self.assertEqual(await self.answers("!a"), [shown, shown, "plain", shown])

    async def test_what_somebody_does_begins_with_me(self) -> None:
        await self.begun(plugin(
            "@command.new('a')\nasync def a(self, evt: MessageEvent) -> None:\n"
            "    await evt.respond(TextMessageEventContent(msgtype=MessageType.EMOTE, body='waves'))\n"
            "    await self.client.send_text(evt.room_id, 'bows', msgtype=MessageType.EMOTE)\n"
            "    await self.client.send_message(evt.room_id, {'msgtype': 'm.emote', 'body': 'nods'})\n"
            "    await self.client.send_emote(evt.room_id, html='<b>jumps</b>')\n"
            "    await self.client.send_text(evt.room_id, 'tea', msgtype=MessageType.NOTICE)", TYPES))
        self.assertEqual(await self.answers("!a"), ["/me waves", "/me bows", "/me nods", "/me *jumps*", "tea"])


if __name__ == "__main__":
    unittest.main()
