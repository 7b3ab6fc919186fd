"""Requests over the web of ported plugins: `python3 -m unittest discover tests/ports`."""

import sys
import unittest
from typing import Any

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


if __name__ == "__main__":
    unittest.main()
