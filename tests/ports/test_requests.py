"""Requests over the web of ported plugins: `python3 -m unittest discover tests/ports`."""

import sys
import tomllib
import unittest
from typing import Any

import sample
import test_layer
from test_maubot import plugin

#: Addresses as plugins write them, and as they are sent.
ADDRESSES = (
    ("https://api.example.org/a?q=x y", "https://api.example.org/a?q=x%20y"),
    (" https://api.example.org/tea%20cup/100%?q=\"a\"<b>|é\n", "https://api.example.org/tea%20cup/100%25?q=%22a%22%3Cb%3E%7C%C3%A9%0A"),
    ("https://api.example.org/a(b)[c]?d=e+f&g=h%2Fi#j k", "https://api.example.org/a(b)[c]?d=e+f&g=h%2Fi#j%20k"),
    ("https://api.example.org?q=x y", "https://api.example.org?q=x%20y"),
    ("https://bücher.example/ü", "https://bücher.example/%C3%BC"),
    ("https://bad host/", "https://bad host/"),
    ("no address", "no address"),
)


class Threads(test_layer.Case):
    async def test_functions_for_threads_run_at_once(self) -> None:
        texts = plugin(
            "def fetch(self, name):\n    return requests.get('https://api.example.org/' + name).json()\n"
            "@command.new('ask')\nasync def ask(self, evt: MessageEvent) -> None:\n"
            "    loop = asyncio.get_event_loop()\n    said = [await loop.run_in_executor(None, self.fetch, 'a'), await asyncio.to_thread(self.fetch, name='b')]\n"
            "    said += [await to_thread(lambda: self.fetch('c')), await loop.run_in_executor(None, partial(self.fetch, 'd')), await to_thread(len, 'tea')]\n"
            "    try:\n        await self.loop.run_in_executor(None, int, 'x')\n    except ValueError:\n        said.append('no')\n"
            "    await evt.respond(str(said))",
            "import asyncio\nimport requests\nfrom asyncio import to_thread\nfrom functools import partial\n")
        result = sample.port(texts)
        self.assertEqual(sample.told(result, "lacks"), [])
        self.assertEqual([one.partition(" ")[2] for one in sample.told(result, "check") if "server" not in one], [
            "asyncio.to_thread", "loop.run_in_executor", "loop.run_in_executor", "to_thread", "self.loop.run_in_executor"])
        await self.begun(texts)
        self.host.answers.update({f"https://api.example.org/{name}": name for name in "abcd"})
        self.assertEqual(await self.answers("!ask"), ["['a', 'b', 'c', 'd', 3, 'no']"])


class Users(test_layer.Case):
    async def test_the_name_and_the_password_of_an_address_are_sent_as_a_header(self) -> None:
        texts: dict[str, Any] = test_layer.errbot("""
            @botcmd
            def ask(self, msg, args):
                requests.get("https://al%40x:p:1@api.example.org/a?b=@c")
                requests.get("https://alice@api.example.org", auth=("bob", "tea"))
                requests.get("https://api.example.org/@alice")
        """)
        texts["a.py"] = "import requests\n" + texts["a.py"]
        result = sample.port(texts)
        self.assertEqual(tomllib.loads(result["files"]["plugin.toml"])["permissions"]["http.fetch"]["scope"], ["api.example.org"])
        await self.begun(texts)
        self.host.answers.update({f"https://api.example.org{end}": {} for end in ("/a?b=@c", "", "/@alice")})
        await self.host.says("!ask")
        self.assertEqual(
            [(url, options["headers"].get("Authorization")) for _, url, options in self.host.requests],
            [("https://api.example.org/a?b=@c", "Basic YWxAeDpwOjE="), ("https://api.example.org", "Basic Ym9iOnRlYQ=="), ("https://api.example.org/@alice", None)])


class PassedOn(test_layer.Case):
    """Sessions that a plugin gives to functions and objects of its own."""

    def scope(self, result: dict[str, Any]) -> Any:
        return tomllib.loads(result["files"]["plugin.toml"])["permissions"].get("http.fetch", {}).get("scope")

    async def test_a_function_and_an_object_of_a_plugin_of_maubot_ask_with_its_session(self) -> None:
        texts = plugin(
            "async def start(self) -> None:\n    self.api = Api(session=self.http)\n"
            "@command.new\nasync def ask(self, evt: MessageEvent) -> None:\n    await evt.respond(str([await fetch(self.http, 'tea'), await self.api.cup()]))",
            "from b import Api, fetch\n")
        texts["maubot.yaml"] = texts["maubot.yaml"].replace("- a\n", "- b\n- a\n")
        texts["b.py"] = (
            "async def fetch(client, name):\n    return await inner(client, name)\n\n"
            "async def inner(own, name):\n    asks = own\n    async with asks.get(f'https://a.example.org/{name}') as answer:\n        return await answer.json()\n\n"
            "class Api:\n    def __init__(self, session):\n        self.asks = session\n\n"
            "    async def cup(self):\n        return await (await self.asks.get('https://b.example.org/cup')).json()\n")
        self.assertEqual(self.scope(sample.port(texts)), ["a.example.org", "b.example.org"])
        await self.begun(texts)
        self.host.answers.update({"https://a.example.org/tea": "green", "https://b.example.org/cup": 1})
        self.assertEqual(await self.answers("!ask"), ["['green', 1]"])

    def test_a_session_is_known_by_its_class(self) -> None:
        for kind in ("aiohttp.ClientSession", "'aiohttp.ClientSession'", "Optional[aiohttp.ClientSession]", "aiohttp.ClientSession | None"):
            head = f"import aiohttp\nfrom typing import Optional\nasync def fetch(asks: {kind}):\n    return await asks.get('https://a.example.org/')\n"
            self.assertEqual(self.scope(sample.port(plugin("pass", head))), ["a.example.org"], kind)
        head = "import aiohttp\n@dataclass\nclass B:\n    asks: aiohttp.ClientSession\n    async def b(self):\n        return await self.asks.get('https://a.example.org/')\n"
        self.assertEqual(self.scope(sample.port(plugin("pass", f"from dataclasses import dataclass\n{head}"))), ["a.example.org"])
        head = "import aiohttp\ndef last(several: list[aiohttp.ClientSession]):\n    return several.get('https://a.example.org/')\n"
        self.assertIsNone(self.scope(sample.port(plugin("pass", head))))

    def test_a_session_that_nobody_sees_asking_may_ask_every_server(self) -> None:
        result = sample.port(plugin("async def start(self) -> None:\n    self.several = {'tea': self.http}"))
        self.assertEqual((self.scope(result), sample.told(result, "check")), (["*"], ["a.py:7 which server self.http names"]))
        self.assertIsNone(self.scope(sample.port(plugin("pass"))))

    async def test_what_asks_with_a_session_of_requests_is_awaited(self) -> None:
        texts: dict[str, Any] = test_layer.errbot("""
            def activate(self):
                super().activate()
                self.api = Api(requests.Session())
                self.asks = requests.Session()

            @botcmd
            def ask(self, msg, args):
                return str([fetch(self.asks, "tea"), self.api.cup(), pick({"a": 1})])
        """)
        texts["a.py"] = (
            "import requests\ndef fetch(session, name):\n    return session.get('https://a.example.org/' + name).json()\n"
            "def pick(values):\n    return values.get('a')\n"
            "class Api:\n    def __init__(self, session):\n        self.session = session\n"
            "    def cup(self):\n        return self.session.get('https://b.example.org/cup').json()\n" + texts["a.py"])
        await self.begun(texts)
        self.host.answers.update({"https://a.example.org/tea": "green", "https://b.example.org/cup": 2})
        self.assertEqual(await self.answers("!ask"), ["['green', 2, 1]"])


class Addresses(test_layer.Case):
    async def asked(self) -> list[str]:
        self.host.answers.update({sent: {} for _, sent in ADDRESSES})
        for written, _ in ADDRESSES:
            sys.modules["a"].ADDRESS = written  # type: ignore[attr-defined]
            await self.host.says("!ask")
        return [address for _, address, _ in self.host.requests]

    async def test_unsafe_signs_of_an_address_are_encoded(self) -> None:
        expected = [sent for _, sent in ADDRESSES]
        texts: dict[str, Any] = test_layer.errbot("""
            @botcmd
            def ask(self, msg, args):
                requests.get(ADDRESS)
        """)
        texts["a.py"] = "import requests\nADDRESS = ''\n" + texts["a.py"]
        await self.begun(texts)
        self.assertEqual(await self.asked(), expected)
        self.folder.cleanup()
        await self.begun(plugin("@command.new('ask')\nasync def ask(self, evt: MessageEvent) -> None:\n    await self.http.get(ADDRESS)", "ADDRESS = ''\n"))
        self.assertEqual(await self.asked(), expected)

    async def test_parameters_are_encoded_once(self) -> None:
        await self.begun(plugin(
            "@command.new('ask')\nasync def ask(self, evt: MessageEvent) -> None:\n"
            "    await self.http.get('https://api.example.org/a b', params={'q': '50% x&y'})"))
        self.host.answers["https://api.example.org/a%20b?q=50%25+x%26y"] = {}
        await self.host.says("!ask")
        self.assertEqual(len(self.host.requests), 1)


class Answers(test_layer.Case):
    """Answers to requests of aiohttp."""

    PAGE = "https://api.example.org/tea/green.txt"

    async def asked(self, body: str) -> list[str]:
        lines = "".join(f"        {line}\n" for line in body.split("\n"))
        await self.begun(plugin(
            "@command.new('ask')\nasync def ask(self, evt: MessageEvent) -> None:\n    said = []\n"
            f"    async with self.http.get('{self.PAGE}') as answer:\n{lines}    await evt.respond(str(said))"))
        self.host.answers[self.PAGE] = (200, "grün\ncup\n".encode("iso-8859-1"), "Text/Plain; charset=\"ISO-8859-1\"")
        return await self.answers("!ask")

    async def test_an_answer_has_an_address_in_parts(self) -> None:
        said = await self.asked(
            "said += [answer.url.host, answer.url.name, str(answer.real_url), answer.method, answer.reason, answer.history]\n"
            "said += [answer.headers.getone('content-type'), answer.headers.getall('etag', [])]")
        self.assertEqual(said, [str([
            "api.example.org", "green.txt", self.PAGE, "GET", "OK", (), "Text/Plain; charset=\"ISO-8859-1\"", []])])

    async def test_the_body_of_an_answer_is_read_in_parts(self) -> None:
        said = await self.asked(
            "said += [await answer.content.read(2), answer.content.at_eof(), await answer.content.readline()]\n"
            "said += [[part async for part in answer.content.iter_chunked(3)], answer.content.at_eof(), await answer.content.read(), answer.content_length]")
        self.assertEqual(said, ["[b'gr', False, b'\\xfcn\\n', [b'cup', b'\\n'], True, b'', 9]"])

    async def test_the_body_of_an_answer_is_read_line_by_line(self) -> None:
        said = await self.asked(
            "said += [[line async for line in answer.content], [part async for part in answer.content.iter_any()]]")
        self.assertEqual(said, ["[[b'gr\\xfcn\\n', b'cup\\n'], []]"])

    def test_an_answer_that_goes_on_for_ever_is_told(self) -> None:
        result = sample.port(plugin(
            "async def a(self):\n    async with self.http.get('https://a.example.org') as answer:\n"
            "        async for line in answer.content:\n            print(line, await answer.content.readline(), await answer.content.read())\n"
            "        print(await answer.content.readuntil(b'x'), answer.content.iter_chunked(5))"))
        self.assertEqual(sample.told(result, "check"), ["a.py:8 async for … in answer.content", "a.py:9 answer.content.readline"])
        self.assertEqual(sample.told(result, "lacks"), ["a.py:10 answer.content.readuntil"])

    async def test_the_text_of_an_answer_has_the_encoding_that_the_server_names(self) -> None:
        self.assertEqual(await self.asked("said += [await answer.text(), answer.charset, await answer.read()]"), [
            "['grün\\ncup\\n', 'iso-8859-1', b'gr\\xfcn\\ncup\\n']"])

    async def test_an_answer_of_an_unknown_encoding_is_read_as_utf_8(self) -> None:
        await self.begun(plugin(
            f"@command.new('ask')\nasync def ask(self, evt: MessageEvent) -> None:\n    await evt.respond(await (await self.http.get('{self.PAGE}')).text())"))
        for kind in ("text/plain; charset=of-tea", "text/plain; charset=", "text/plain"):
            self.host.answers[self.PAGE] = (200, "grün".encode(), kind)
            self.assertEqual(await self.answers("!ask"), ["grün"])

    def test_a_plugin_of_errbot_with_aiohttp_gets_addresses_too(self) -> None:
        texts = test_layer.errbot("""
            @botcmd
            async def ask(self, msg, args):
                pass
        """)
        texts["a.py"] = "import aiohttp\n" + texts["a.py"]
        self.assertEqual(sample.port(texts)["parts"], ["aiohttp", "errbot", "parlor_port", "yarl"])


class Forms(test_layer.Case):
    """Forms of aiohttp and of requests, with and without files."""

    def sent(self) -> tuple[Any, Any, Any]:
        _, _, options = self.host.requests.pop()
        return options.get("data"), options.get("files"), options["headers"].get("Content-Type")

    async def test_forms_of_aiohttp_have_files(self) -> None:
        await self.begun(plugin(
            "@command.new('ask')\n@command.argument('kind')\nasync def ask(self, evt: MessageEvent, kind: str) -> None:\n"
            "    form = aiohttp.FormData({'model': 'small'})\n    form.add_field('model', 'large')\n    data = form\n"
            "    if kind == 'file':\n        form = data = aiohttp.FormData()\n"
            "        form.add_field('file', b'tea', filename='tea.mp3', content_type='audio/mpeg')\n"
            "        form.add_field('more', io.BytesIO(b'cup'))\n        form.add_field('options', '{}', content_type='application/json')\n"
            "    if kind == 'mapping':\n        data = {'file': b'tea', 'language': 'en'}\n"
            "    if kind == 'body':\n        data = io.BytesIO(b'tea')\n"
            "    session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())\n"
            "    async with session.post('https://api.example.org/', data=data):\n        pass", "import io\nimport aiohttp\n"))
        self.host.answers["https://api.example.org/"] = {}
        for kind, expected in (
            ("none", ("model=small&model=large", None, "application/x-www-form-urlencoded")),
            ("file", ({"options": "{}"}, {"file": ("tea.mp3", b"tea", "audio/mpeg"), "more": ("more", b"cup")}, None)),
            ("mapping", ({"language": "en"}, {"file": ("file", b"tea")}, None)),
            ("body", (b"tea", None, None)),
        ):
            with self.subTest(kind):
                await self.host.says(f"!ask {kind}")
                self.assertEqual(self.sent(), expected)

    async def test_forms_of_requests_have_files(self) -> None:
        texts: dict[str, Any] = test_layer.errbot("""
            @botcmd
            def ask(self, msg, args):
                requests.post("https://api.example.org/", data={"a": 1, "b": [b"2\\xff"]}, files={"f": ("tea.txt", b"tea"), "g": io.BytesIO(b"cup"), "h": ("h.txt", "é", "text/plain"), "kind": (None, "upload")})

            @botcmd
            def twice(self, msg, args):
                requests.post("https://api.example.org/", files=[("f", b"tea"), ("f", b"cup")])

            @botcmd
            def list(self, msg, args):
                requests.post("https://api.example.org/", data={"a": [1, 2]}, files={"f": b"tea"})
        """)
        texts["a.py"] = "import io\nimport requests\n" + texts["a.py"]
        await self.begun(texts)
        self.host.answers["https://api.example.org/"] = {}
        await self.host.says("!ask")
        self.assertEqual(self.sent(), ({"a": 1, "b": b"2\xff", "kind": "upload"}, {"f": ("tea.txt", b"tea"), "g": ("g", b"cup"), "h": ("h.txt", "é", "text/plain")}, None))
        for command in ("!twice", "!list"):
            with self.assertRaisesRegex(NotImplementedError, "two fields of one name in a form with files"):
                await self.host.says(command)


if __name__ == "__main__":
    unittest.main()
