"""Requests to ported plugins of maubot: `python3 -m unittest discover tests/ports`."""

import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import sample
import test_layer
from test_layer import maubot


class Webapps(test_layer.Case):
    async def test_requests_over_the_web_are_answered(self) -> None:
        texts = maubot("""
            async def start(self):
                self.register_handler_class(Other())

            @web.get("/state")
            async def state(self, req):
                return json_response({"kind": req.query.get("kind"), "all": req.query.getall("kind", [])}, headers={"ETag": "x"})

            @web.post("/deploy")
            @web.put("/deploy")
            async def deploy(self, request: Request) -> Response:
                if request.headers.get(hdrs.X_SECRET) != "tea" or request.method == hdrs.METH_GET:
                    raise HTTPForbidden(text="no", headers={hdrs.ETAG: "x", hdrs.WWW_AUTHENTICATE: "Basic"})
                data = await request.json()
                if "cookie" in data:
                    return Response(headers={"Set-Cookie": "a=b"})
                return Response(text=f"{request.method} {data['version']} {(await request.post())}")

            @web.post("/quiet")
            async def quiet(self, req):
                form = await req.post()
                if form.get("a") == "none":
                    raise HTTPNoContent()
                if form.get("a") == "much":
                    raise HTTPTooManyRequests(body=b"{}", content_type="application/json")
                if form:
                    return Response(body=form["a"].encode(), content_type="text/html")
        """)
        texts["a.py"] = texts["a.py"].replace("import re\n", """import re
from aiohttp import hdrs
from aiohttp.web import HTTPForbidden, HTTPNoContent, HTTPTooManyRequests, Request, Response, json_response
from maubot.handlers import web


class Other:
    @web.post("/other")
    async def other(self, req):
        return Response(status=202)


""", 1)
        texts["maubot.yaml"] += "webapp: true\n"
        host = await self.begun(texts)
        [(_, options, take)] = [one for one in host.listeners if one[0] == "webhook"]
        self.assertEqual(options, {"webhook": "web"})

        async def sent(path: Any, body: bytes = b"", query: Any = None, method: str = "POST", **headers: str) -> None:
            given = {key.replace("_", "-"): value for key, value in headers.items()}
            await take(SimpleNamespace(method=method, query=query, path=path, headers=given, body=body))

        await sent("state", query="kind=a%20b&kind=", method="GET")
        await sent("deploy", b'{"version": 3}', x_secret="tea", content_type="application/json")
        await sent("deploy", b'{"version": 3}')
        await sent("deploy", b"\xff", x_secret="tea")
        await sent("quiet", b"a=b+c&a=d", content_type="application/x-www-form-urlencoded; charset=utf-8")
        await sent("other")
        for body, kind in ((b"a=none", "application/x-www-form-urlencoded"), (b"a=much", "application/x-www-form-urlencoded"), (b"", "multipart/form-data; boundary=x")):
            await sent("quiet", body, content_type=kind)
        self.assertEqual([(status, body) for _, status, body in host.webhooks], [
            (200, b'{"kind": "a b", "all": ["a b", ""]}'), (200, b"POST 3 {}"), (403, b"no"), (400, b"the body is no text of UTF-8"), (200, b"b c"), (202, b""),
            (204, b""), (429, b"{}"), (415, b"the plugin takes no forms with files"),
        ])
        host.webhooks.clear()
        await sent("quiet")
        for body in (b'{"cookie": 1}', b"no JSON"):
            with self.assertRaises(Exception):
                await sent("deploy", body, x_secret="tea")
        self.assertEqual(host.webhooks, [])
        for path, method in (("none", "POST"), (None, "POST"), ("state/x", "GET"), ("State", "GET"), ("state", "DELETE")):
            await sent(path, method=method)
        self.assertEqual([status for _, status, _ in host.webhooks], [404, 404, 404, 404, 405])

    async def test_the_body_of_a_request_is_read_in_parts(self) -> None:
        texts = maubot("""
            @web.post("/hook")
            async def hook(self, req):
                parts = [part async for part in req.content.iter_chunked(3)]
                return Response(text=f"{parts} {await req.content.read()} {await req.read()}")
        """)
        texts["a.py"] = f"from aiohttp.web import Response\nfrom maubot.handlers import web\n{texts['a.py']}"
        texts["maubot.yaml"] += "webapp: true\n"
        self.assertEqual(sample.told(sample.port(texts), "lacks"), [])
        host = await self.begun(texts)
        [take] = [take for name, _, take in host.listeners if name == "webhook"]
        await take(SimpleNamespace(method="POST", query=None, path="hook", headers={}, body=b"green"))
        self.assertEqual([body for _, _, body in host.webhooks], [b"[b'gre', b'en'] b'' b'green'"])

    async def test_parameters_of_a_path_are_below_the_address(self) -> None:
        texts = maubot("""
            @web.get("/polls")
            @web.get("/poll/{id:[0-9]{1,3}}")
            @web.delete("/poll/{id}/{vote}")
            async def poll(self, req):
                return Response(text=f"{req.method} {dict(req.match_info)} {req.url.query.get('page')}")
        """)
        texts["a.py"] = texts["a.py"].replace("import re\n", "import re\nfrom aiohttp.web import Response\nfrom maubot.handlers import web\n", 1)
        texts["maubot.yaml"] += "webapp: true\n"
        host = await self.begun(texts)
        [(_, _, take)] = [one for one in host.listeners if one[0] == "webhook"]
        for method, path in (("GET", "poll/12"), ("GET", "polls"), ("GET", "poll/1234"), ("DELETE", "poll/1/a{b"), ("DELETE", "poll/1/a")):
            await take(SimpleNamespace(method=method, path=path, query="page=2", headers={}, body=b""))
        said = [(status, text if isinstance(text, str) else text.decode()) for _, status, text in host.webhooks]
        self.assertEqual(said[:2], [(200, "GET {'id': '12'} 2"), (200, "GET {} 2")])
        self.assertEqual([said[2][0], said[3][0], said[4]], [404, 404, (200, "DELETE {'id': '1', 'vote': 'a'} 2")])

    async def test_a_plugin_adds_functions_for_requests_and_knows_its_address(self) -> None:
        texts = maubot("""
            webapp: PluginWebApp

            async def start(self):
                self.webapp.add_get("/codes", self.codes)
                self.webapp.clear()
                self.webapp.add_route("*", "/hook/{token}", self.take)
                self.webapp.router.add_post("/hook/own", self.own)

            async def codes(self, req):
                return Response(text="never")

            async def take(self, req):
                return Response(text=f"{req.method} {req.match_info['token']} {self.webapp_url}send {self.webapp_url and self.webapp_url / 'auth'}")

            async def own(self, req):
                return Response(text="own")
        """)
        texts["a.py"] = texts["a.py"].replace("import re\n", "import re\nfrom aiohttp.web import Response\nfrom maubot import PluginWebApp\n", 1)
        texts["maubot.yaml"] += "webapp: true\n"
        for has_address in (True, False):
            with tempfile.TemporaryDirectory() as folder:
                host = sample.begun(texts, Path(folder)).host
            host.has_address = has_address
            await host.start()
            [(_, _, take)] = [one for one in host.listeners if one[0] == "webhook"]
            for method, path in (("PUT", "hook/a b"), ("POST", "hook/own"), ("GET", "codes")):
                await take(SimpleNamespace(method=method, path=path, query=None, headers={}, body=b""))
            said = b"PUT a b https://bots.example/web/send https://bots.example/web/auth" if has_address else b"PUT a b Nonesend None"
            self.assertEqual([text for _, _, text in host.webhooks][:2], [said, b"own"])
            self.assertEqual([status for _, status, _ in host.webhooks], [200, 200, 404])


if __name__ == "__main__":
    unittest.main()
