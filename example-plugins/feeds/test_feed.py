"""Tests of the parser: `python3 -m unittest test_feed`."""

import asyncio
import json
import unittest

import feed

URL = "https://garden.example/news/feed.xml"


def read(text: str | bytes, media_type: str = "") -> feed.Feed:
    return asyncio.run(feed.read(text if isinstance(text, bytes) else text.encode(), URL, media_type))


def shown(text: str | bytes) -> list[tuple[str, str]]:
    return [(entry.title, entry.link) for entry in read(text).entries]


def rss(*items: str) -> str:
    return f"<rss version='2.0'><channel><title>Garden</title>{''.join(f'<item>{one}</item>' for one in items)}</channel></rss>"


class Formats(unittest.TestCase):
    def test_rss_2(self) -> None:
        text = """

        <?xml version="1.0"?>
        <rss version="2.0" xmlns:media="http://search.yahoo.com/mrss/" xmlns:atom="http://www.w3.org/2005/Atom">
          <channel>
            <media:title>no</media:title> <image><title>no</title></image> <title>Garden &amp; more</title>
            <item>
              <media:title>no</media:title> <atom:link href="https://no.example/"/>
              <title><![CDATA[Tomatoes <b>are</b> ripe]]></title> <link>https://garden.example/1</link>
              <guid isPermaLink="false">1</guid>
            </item>
            <item><title>Peas</title><guid>https://garden.example/2</guid></item>
            <item><description>&lt;p&gt;No title&lt;/p&gt;&lt;p&gt;but text&lt;/p&gt;</description></item>
            <item/>
          </channel>
        </rss>"""
        self.assertEqual(read(text).title, "Garden & more")
        self.assertEqual(
            shown(text),
            [
                ("Tomatoes are ripe", "https://garden.example/1"),
                ("Peas", "https://garden.example/2"),
                ("No title but text", ""),
                ("(without a title)", ""),
            ],
        )
        self.assertEqual(len({entry.key for entry in read(text).entries}), 4)

    def test_rss_1(self) -> None:
        text = """
        <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"
            xmlns:dc="http://purl.org/dc/elements/1.1/">
          <channel rdf:about="https://garden.example/"><dc:title>no</dc:title><title>Garden</title></channel>
          <item rdf:about="https://garden.example/1"><title>Tomatoes</title><link>https://garden.example/1</link></item>
        </rdf:RDF>"""
        self.assertEqual(read(text).title, "Garden")
        self.assertEqual(shown(text), [("Tomatoes", "https://garden.example/1")])

    def test_atom(self) -> None:
        text = """
        <feed xmlns="http://www.w3.org/2005/Atom">
          <title>Garden</title>
          <entry>
            <id>tag:garden.example,2026:1</id> <title type="html">Toma&lt;i&gt;toes&lt;/i&gt;</title>
            <link rel="enclosure" href="https://garden.example/1.mp3"/> <link href="../1"/>
            <source><title>no</title></source>
          </entry>
          <entry>
            <id>tag:garden.example,2026:2</id>
            <title type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml">Fresh <b>peas</b></div></title>
          </entry>
          <entry><id>tag:garden.example,2026:3</id><title>1 &lt;b&gt; 2</title></entry>
          <entry><id>tag:garden.example,2026:4</id><title/><content type="image/png">iVBORw0KGgo=</content></entry>
        </feed>"""
        self.assertEqual(
            shown(text),
            [
                ("Tomatoes", "https://garden.example/1"),
                ("Fresh peas", ""),
                ("1 <b> 2", ""),
                ("(without a title)", ""),
            ],
        )

    def test_encodings(self) -> None:
        for encoding in ("utf-8", "utf-16", "iso-8859-1", "windows-1252", "iso-8859-15"):
            text = f"<?xml version='1.0' encoding='{encoding}'?>{rss('<title>Möhren</title>')}"
            self.assertEqual(shown(text.encode(encoding)), [("Möhren", "")], encoding)
        text = f"<?xml version='1.0' encoding='windows-1251'?>{rss('<title>Морковь</title>')}"
        self.assertEqual(shown(text.encode("cp1251")), [("Морковь", "")])
        for encoding, word in {
            "windows-1253": "Καρότα", "iso-8859-7": "Καρότα", "windows-1254": "Havuç ığş", "iso-8859-9": "Havuç ığş", "windows-1255": "גזר",
            "windows-1256": "جزر", "windows-1257": "Burkānų", "iso-8859-13": "Burkānų", "iso-8859-5": "Морковь", "koi8-u": "Їжа", "tis-620": "แครอท",
            "windows-874": "แครอท",
        }.items():
            text = f"<?xml version='1.0' encoding='{encoding}'?>{rss(f'<title>{word}</title>')}"
            self.assertEqual(shown(text.encode(encoding.replace("windows-", "cp"))), [(word, "")], encoding)
        for encoding in ("gb2312", "gbk", "gb18030", "big5", "euc-jp", "shift_jis", "euc-kr"):
            text = f"<?xml version='1.0' encoding='{encoding}'?>{rss('<title>日本</title>')}"
            self.assertEqual(shown(text.encode(encoding)), [("日本", "")], encoding)

    def test_a_wrong_encoding_is_mended(self) -> None:
        feed_ = rss("<title>Möhren</title>")
        for named in ("utf8", "UTF_8", "ascii", "iso-8859-1", "shift_jis", "klingon", "idna", "utf-16"):
            self.assertEqual(shown(f"<?xml version='1.0' encoding='{named}'?>{feed_}"), [("Möhren", "")], named)
        for encoding in ("utf-16-le", "utf-16-be", "iso-8859-1"):
            self.assertEqual(shown(feed_.encode(encoding)), [("Möhren", "")], encoding)
        self.assertEqual(shown(f"\ufeff\n<?xml version='1.0'?>{feed_}"), [("Möhren", "")])
        typographic = f"<?xml version='1.0' encoding='iso-8859-1'?>{rss('<title>Peas’ home</title>')}"
        self.assertEqual(shown(typographic.encode("cp1252")), [("Peas’ home", "")])
        cut = rss("<title>Möhren</title>").encode() + b"<!-- \xc3 -->"
        self.assertEqual(read(cut, "text/xml; charset=utf-8").entries[0].title, "Möhren")

    def test_the_header_names_the_encoding_of_a_feed_that_does_not(self) -> None:
        morning = rss("<title>Утро</title>").encode("koi8-r")
        for media_type in ("text/xml; charset=koi8-r", "application/rss+xml;Charset = \"KOI8-R\""):
            self.assertEqual(read(morning, media_type).entries[0].title, "Утро", media_type)

    def test_links_are_relative_to_the_base_that_the_feed_names(self) -> None:
        text = """
        <feed xmlns="http://www.w3.org/2005/Atom" xml:base="https://blog.example/2026/">
          <title>Garden</title>
          <entry><id>1</id><title>One</title><link href="one"/></entry>
          <entry xml:base="may/"><id>2</id><title>Two</title><link href="two"/></entry>
          <entry xml:base="javascript:x"><id>3</id><title>Three</title><link xml:base="/june/" href="three"/></entry>
          <entry><id>4</id><title>Four</title><link rel="http://www.iana.org/assignments/relation/alternate" href="a b"/></entry>
        </feed>"""
        self.assertEqual(
            shown(text),
            [
                ("One", "https://blog.example/2026/one"),
                ("Two", "https://blog.example/2026/may/two"),
                ("Three", "https://blog.example/june/three"),
                ("Four", "https://blog.example/2026/a%20b"),
            ],
        )

    def test_mistakes_that_many_feeds_have(self) -> None:
        doctype = "<!DOCTYPE rss PUBLIC '-//Netscape Communications//DTD RSS 0.91//EN' 'http://my.netscape.com/rss-0.91.dtd'>"
        for text, expected in [
            (rss("<title>Peas&nbsp;&amp;&nbsp;caf&eacute; &peas;</title>"), [("Peas & café &peas;", "")]),
            (f"<?xml version='1.0'?>{doctype}{rss('<title>Caf&eacute;</title>')}", [("Café", "")]),
            (
                rss("<title>Peas & beans</title><link>https://a.example/?b=1&c=2</link>", "<title><![CDATA[A & B]]></title>"),
                [("Peas & beans", "https://a.example/?b=1&c=2"), ("A & B", "")],
            ),
            (rss("<title>Pe\x0bas\x00</title>"), [("Peas", "")]),
            (f"<?xml version='1.0' encoding='UTF-8' standalone='yes'?>\n{rss('<title>Caf&eacute;&nbsp;au lait</title>')}", [("Café au lait", "")]),
            (rss("<title>Peas</title>") + "\n<b>Warning</b>: no database", [("Peas", "")]),
        ]:
            self.assertEqual(shown(text), expected, text)
        media = "<title>Peas</title><media:thumbnail url='https://a.example/1.png'/><p custom:rank='1'/>"
        for text in [
            rss(media),
            rss(media).replace("<rss", "<rss xmlns:media='http://search.yahoo.com/mrss/'"),
            f"<!-- made in 1 s -->\n<?xml version='1.0'?>\n{rss(media)}",
            f"Notice: no cache\n<br/>{rss('<title>Peas</title>')}",
        ]:
            self.assertEqual(shown(text), [("Peas", "")], text)
        for reference, read_as in [("&#11;", ""), ("&#X41;", "A"), ("&#xD83D;&#xDE00;", ""), ("&#0;", ""), ("&#9999999;", ""), ("&#x1F600;", "\U0001f600")]:
            self.assertEqual(shown(rss(f"<title>Peas{reference} & beans</title>")), [(f"Peas{read_as} & beans", "")], reference)
        xhtml = "<div xmlns='http://www.w3.org/1999/xhtml'>One<br/>two</div>"
        atom = f"<feed xmlns='http://www.w3.org/2005/Atom'><entry><id>1</id><title type='xhtml'>{xhtml}</title></entry></feed>"
        self.assertEqual(shown(atom), [("One two", "")])
        for kind, read_as in [("", "1 <b> 2"), ("text/plain", "1 <b> 2"), ("TEXT", "1 <b> 2"), ("text/html", "1 2"), ("image/png", "(without a title)")]:
            atom = f"<feed xmlns='http://www.w3.org/2005/Atom'><entry><id>1</id><title type='{kind}'>1 &lt;b&gt; 2</title></entry></feed>"
            self.assertEqual(shown(atom), [(read_as, "")], kind)

    def test_json(self) -> None:
        items = [
            {"id": "1", "url": "https://garden.example/1", "title": "Tomatoes & more", "content_html": "<p>no</p>"},
            {"id": 2, "external_url": "/2", "content_html": "<p>No title</p><p>but text</p>"},
            {"id": "https://garden.example/3", "content_text": "Peas\nand beans"},
            {"id": "4", "url": "javascript:alert(1)", "title": None, "summary": "\ud800"},
            "no entry",
        ]
        for version in ("https://jsonfeed.org/version/1", "https://jsonfeed.org/version/1.1"):
            text = json.dumps({"version": version, "title": "Garden", "items": items})
            self.assertEqual(read(f"\ufeff{text}").title, "Garden")
            self.assertEqual(
                shown(text),
                [
                    ("Tomatoes & more", "https://garden.example/1"),
                    ("No title but text", "https://garden.example/2"),
                    ("Peas and beans", "https://garden.example/3"),
                    ("(without a title)", ""),
                ],
            )
            self.assertEqual(len({entry.key for entry in read(text).entries}), 4)


class Strangers(unittest.TestCase):
    def refuses(self, text: str | bytes, reason: str) -> None:
        with self.assertRaisesRegex(feed.NotAFeed, reason):
            read(text)

    def test_what_is_no_feed_is_refused(self) -> None:
        self.refuses("", "its XML is wrong: no element found")
        self.refuses("<rss><channel>", "its XML is wrong")
        self.refuses("<svg/>", "neither RSS nor Atom")
        nested = f'{{"version": {"[" * 900}"https://jsonfeed.org/version/1"{"]" * 900}, "items": []}}'
        for text in ("{}", nested, '{"version": 1, "items": []}', '{"version": "https://jsonfeed.org/version/1", "items": {}}'):
            self.refuses(text, "it is JSON, but not a JSON Feed")
        for text in ("{", f'{{"a": {"[" * 100_000}', f'{{"a": 1{"0" * 10_000}}}'):
            self.refuses(text, "its JSON is wrong")
        for encoding in (b"klingon", b"idna", b"punycode", b"unicode_escape", b"hex", b"utf-7"):
            self.refuses(b"<?xml version='1.0' encoding='" + encoding + b"'?><rss>\xff</rss>", "encoding")

    def test_entities_are_refused(self) -> None:
        bomb = "<!DOCTYPE rss [<!ENTITY a 'ha'><!ENTITY b '&a;&a;'>]>" + rss("<title>&b;</title>")
        self.refuses(bomb, "DOCTYPE")
        self.refuses("<!DOCTYPE rss SYSTEM 'https://evil.example/' [<!ENTITY % a SYSTEM 'file:///a'>%a;]>" + rss(), "DOCTYPE")

    def test_a_base_does_not_grow_without_end(self) -> None:
        deep = "<a xml:base='a/'>" * 20_000 + "</a>" * 20_000
        self.assertEqual(shown(rss("<title>Peas</title><link>1</link>" + deep)), [("Peas", "https://garden.example/news/1")])

    def test_a_page_names_its_feed(self) -> None:
        page = """<!DOCTYPE html><html><head><link rel="stylesheet" href="/style.css">
            <link rel='alternate' type='application/rss+xml' href='/feed?a=1&amp;b=2'></head>"""
        self.refuses(page, r"a page\. Its feed is https://garden\.example/feed\?a=1&b=2$")
        self.refuses("<html><link rel=alternate type=application/rss+xml href='javascript:x'>", "names no feed")

    def test_texts_are_one_line_without_control_characters(self) -> None:
        text = rss("<title>One\ntwo\u202e &lt;script&gt;x()&lt;/script&gt;&amp;amp; &amp;#7; three</title>")
        self.assertEqual(shown(text), [("One two & three", "")])
        [(title, _)] = shown(rss(f"<title>{'long ' * 1000}</title>"))
        self.assertEqual((len(title), title[-5:]), (200, "long…"))

    def test_links_lead_to_the_web(self) -> None:
        self.assertEqual(shown(rss("<title>Peas</title><link> /a b </link>")), [("Peas", "https://garden.example/a%20b")])
        for link in ("javascript:alert(1)", "http://[", f"https://x.example/{'x' * 2000}"):
            self.assertEqual(shown(rss(f"<title>Peas</title><link>{link}</link>")), [("Peas", "")], link)

    def test_only_so_much_is_read(self) -> None:
        self.assertEqual(len(read(rss(*["<title>x</title>"] * 1000)).entries), feed.MOST_ENTRIES)
        self.assertEqual(len(read(json.dumps({"version": "https://jsonfeed.org/version/1.1", "items": [{}] * 1000})).entries), feed.MOST_ENTRIES)
        self.refuses(f"<rss>{'<a/>' * 100_000}</rss>", "too many elements")
        self.refuses("<rss>" * 100_000, "too many elements")
        # Each of these prefixes is looked up once.
        many = "".join(f"<p{number}:a/>" for number in range(100_000))
        self.refuses(f"<rss>{many}</rss>", "unbound prefix")


class Addresses(unittest.TestCase):
    def test_addresses(self) -> None:
        for text, kept in {
            "garden.example/feed": "https://garden.example/feed",
            "https://Garden.example": "https://garden.example/",
            "http://garden.example/Feed?a=1#top": "http://garden.example/Feed?a=1",
            "ftp://garden.example/": None,
            "https://me:secret@garden.example/": None,
            "https://": None,
            "http://[": None,
            "https://garden.example/a b": None,
            f"https://garden.example/{'x' * 400}": None,
        }.items():
            self.assertEqual(feed.address(text), kept, text)


if __name__ == "__main__":
    unittest.main()
