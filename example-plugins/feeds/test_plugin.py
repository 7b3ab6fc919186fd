"""Tests of requests: `PYTHONPATH=.parlor/sdk python3 -m unittest`, after `parlor plugin build`.

Tests in `tests/*.chat` neither see the headers of requests nor set those of answers.
"""

import asyncio
import unittest
from unittest.mock import AsyncMock, patch

from parlor import http

import feed
import plugin
import record

URL = "https://news.example/rss"
KNOWN = record.begin(record.Fetched(feed.Feed("News", []), '"1"', "Mon, 02 Mar 2026 09:00:00 GMT"), "news.example", 0)


def answer(status: int = 200, url: str = URL, **headers: str) -> http.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return http.Response(status, url, named, b"<rss><channel><item><title>Peas</title><link>/1</link></item></channel></rss>")


def fetch(answer: http.Response, known: record.Record | None = None) -> tuple[record.Outcome, dict[str, str]]:
    """Returns what `plugin.fetch` makes of an answer, and the headers that it has sent."""
    with patch.object(http, "get", AsyncMock(return_value=answer)) as get:
        outcome = asyncio.run(plugin.fetch(URL, known))
    return outcome, get.mock_calls[0].kwargs["headers"]


class Requests(unittest.TestCase):
    def test_validators_are_kept_and_sent_back(self) -> None:
        outcome, headers = fetch(answer(etag='"2"', last_modified="Tue, 03 Mar 2026 09:00:00 GMT"))
        assert isinstance(outcome, record.Fetched)
        self.assertEqual((outcome.etag, outcome.modified), ('"2"', "Tue, 03 Mar 2026 09:00:00 GMT"))
        self.assertEqual(list(headers), ["accept"])
        outcome, headers = fetch(answer(304), KNOWN)
        self.assertIsNone(outcome)
        self.assertEqual((headers["if-none-match"], headers["if-modified-since"]), ('"1"', "Mon, 02 Mar 2026 09:00:00 GMT"))

    def test_validators_that_are_too_long_are_not_kept(self) -> None:
        outcome, _ = fetch(answer(etag="x" * 1000))
        assert isinstance(outcome, record.Fetched)
        self.assertEqual(outcome.etag, "")

    def test_links_are_relative_to_the_address_after_redirects(self) -> None:
        outcome, _ = fetch(answer(url="https://new.example/rss"))
        assert isinstance(outcome, record.Fetched)
        self.assertEqual(outcome.feed.entries[0].link, "https://new.example/1")

    def test_a_server_that_wants_to_be_left_alone_is_for_a_day_at_most(self) -> None:
        for header, pause in (
            ("", 900), ("60", 900), ("3600", 3600), (" 3600 ", 3600), ("9" * 400, 86_400), ("-1", 900), ("soon", 900), ("1e9", 900), ("\u0663600", 900),
            ("Thu, 01 Jan 1970 01:00:10 GMT", 3600), ("Thu, 01 Jan 1970 00:00:00 GMT", 900), ("Thu, 99 Jan 1970 01:00:10 GMT", 900),
            ("Thu, 01 Foo 1970 01:00:10 GMT", 900), ("Thu, 01 Jan 0000 01:00:10 GMT", 900),
        ):
            with patch("time.time", return_value=10.0):
                outcome, _ = fetch(answer(503, retry_after=header))
            self.assertEqual(record.after(KNOWN, outcome, 10.0, 900.0)["due"], 10.0 + pause, header)

    def test_a_feed_that_moved_for_good_is_asked_for_there_until_it_fails(self) -> None:
        def fetched(known: record.Record, *answers: http.Response) -> tuple[record.Record, list[str]]:
            with patch.object(http, "get", AsyncMock(side_effect=answers)) as get:
                outcome = asyncio.run(plugin.fetch(URL, known))
            return record.after(known, outcome, 0, 900), [call.args[0] for call in get.mock_calls]

        new = "https://news.example/new"
        known, asked = fetched(KNOWN, answer(301, location="/new"), answer())
        self.assertEqual((known["moved"], asked), (new, [URL, new]))
        known, asked = fetched(known, answer())
        self.assertEqual((known["moved"], asked), (new, [new]))
        known, asked = fetched(known, answer(302, location="https://news.example/a b"), answer())
        self.assertEqual((known["moved"], asked), (new, [new, "https://news.example/a%20b"]))
        known, asked = fetched(known, answer(404))
        self.assertEqual((known["moved"], asked), ("", [new]))
        for location, reason in (("http://news.example/", "redirects to http"), ("https://[", "no address"), ("javascript:x", "redirects to http")):
            known, asked = fetched(KNOWN, answer(308, location=location))
            self.assertIn(reason, known["trouble"], location)
            self.assertEqual((known["moved"], asked), ("", [URL]))

    def test_the_header_names_the_encoding(self) -> None:
        with patch.object(feed, "read", AsyncMock(return_value=feed.Feed("", []))) as read:
            fetch(answer(content_type="text/xml; charset=koi8-r"))
        self.assertEqual(read.mock_calls[0].args[2], "text/xml; charset=koi8-r")


if __name__ == "__main__":
    unittest.main()
