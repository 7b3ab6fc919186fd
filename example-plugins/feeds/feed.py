"""Parses RSS 2.0 and its predecessors, RSS 1.0 (RDF), Atom (RFC 4287) and JSON Feed 1 and 1.1. Nothing here calls the host.

Feeds come from strangers. A `<!DOCTYPE` with declarations is refused, since it can define entities that expand without bound. Everything
that is kept has a limit, and a long feed is parsed in parts, so that other handlers run in between.

Many feeds are not quite right. The parser mends a wrong encoding, control characters, also as references, an ampersand that stands for itself,
entities of HTML, prefixes of extensions that are not declared, and text before the begin or behind the end.
"""

import asyncio
import codecs
import json
import re
from hashlib import blake2b
from html import unescape
from typing import NamedTuple, Optional
from urllib.parse import urljoin, urlsplit, urlunsplit
from xml.parsers import expat

# Encodings of feeds, beside those that the SDK imports. A running plugin cannot import anything.
import encodings.cp1250
import encodings.cp1251
import encodings.cp1253
import encodings.cp1254
import encodings.cp1255
import encodings.cp1256
import encodings.cp1257
import encodings.cp874
import encodings.iso8859_2
import encodings.iso8859_5
import encodings.iso8859_7
import encodings.iso8859_9
import encodings.iso8859_13
import encodings.koi8_r
import encodings.koi8_u
import encodings.tis_620
import encodings.utf_16_be
import encodings.utf_16_le  # noqa: F401

try:
    import encodings.big5
    import encodings.euc_jp
    import encodings.euc_kr
    import encodings.gb2312
    import encodings.gb18030
    import encodings.gbk
    import encodings.shift_jis  # noqa: F401
except ImportError:
    # They are in C, and not every Python has them. Feeds in these encodings are refused then.
    pass

#: How many entries of a feed are read. Feeds begin with the newest one.
MOST_ENTRIES = 200
#: How many elements a feed may have. A feed with 200 entries has some thousand.
MOST_ELEMENTS = 50_000
#: How many characters of a field are read. It is more than `MOST_LINK`, so that a longer link is recognized.
MOST_TEXT = 1500
#: How many characters of a title are shown, and how long a link may be.
MOST_TITLE, MOST_LINK = 200, 1000
#: How many bytes the address of a feed may have. It is part of a key in storage, and a key has at most 512.
MOST_ADDRESS = 400
#: How many characters are parsed at once, which takes some milliseconds.
PART = 16 << 10

#: The encodings that are read beside UTF-8 and UTF-16, by the names of their codecs. Some other codecs take long, or decode no text.
_ENCODINGS = {
    "cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp874", "iso8859-2", "iso8859-5", "iso8859-7", "iso8859-13",
    "iso8859-15", "koi8-r", "koi8-u", "big5", "euc_jp", "euc_kr", "gb18030", "shift_jis",
}
#: Encodings that are read as wider ones, as browsers do.
_WIDER = {
    "ascii": "cp1252", "iso8859-1": "cp1252", "iso8859-9": "cp1254", "tis-620": "cp874", "gb2312": "gb18030", "gbk": "gb18030",
}
#: The beginnings by which an encoding is known (XML 1.0, appendix F).
_BEGINNINGS = {b"\xef\xbb\xbf": "utf-8", b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be", b"<\0": "utf-16-le", b"\0<": "utf-16-be"}
_DECLARED = re.compile(rb"<\?xml[^>]{0,200}?\bencoding\s*=\s*[\"']([\w.:-]{1,40})")
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]{1,40})", re.IGNORECASE)
#: Characters that XML forbids.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
#: The root of a feed. Some begin with a comment before the declaration, or with the messages of a script. The declaration may say that nothing
#: is defined elsewhere: then each entity that the feed does not define is an error.
_ROOT = re.compile(r"<(?:rss|feed|rdf:RDF)\b")
#: The prefixes of extensions, in the names of elements and attributes.
_PREFIX = re.compile(r"</?([a-zA-Z_][\w.-]*):|\s([a-zA-Z_][\w.-]*):[\w.-]+\s*=")
_DECLARED_PREFIX = re.compile(r"\sxmlns:([\w.-]+)\s*=")
#: How many of them are declared.
MOST_PREFIXES = 50
#: A part that has no references, a reference to a character, or an ampersand that begins none.
_REFERENCE = re.compile(r"<!\[CDATA\[.*?(?:\]\]>|\Z)|&#([0-9]{1,7}|[xX][0-9a-fA-F]{1,6});|&(?![a-zA-Z]\w{0,31};)", re.DOTALL)

_ATOM = "http://www.w3.org/2005/Atom"
_XML_BASE = "http://www.w3.org/XML/1998/namespace base"
#: Types of texts that some feeds give as media types, and the right ones (RFC 4287, section 3.1.1).
_TYPES = {"": "text", "text/plain": "text", "text/html": "html", "application/xhtml+xml": "xhtml"}
_ALTERNATE = ("alternate", "http://www.iana.org/assignments/relation/alternate")
_RDF_ABOUT = "http://www.w3.org/1999/02/22-rdf-syntax-ns# about"
_ROOTS = ("rss", "RDF", "feed")
#: The places of entries and of the feed's own title, as the names of the elements around them.
_ENTRIES = {("rss", "channel", "item"), ("RDF", "item"), ("feed", "entry")}
_TITLES = {("rss", "channel", "title"), ("RDF", "channel", "title"), ("feed", "title")}
#: The elements of an entry that are read, and the names of their fields here.
_FIELDS = {
    "title": "title", "link": "link", "guid": "id", "id": "id", "description": "text", "summary": "text", "content": "text",
}
#: The fields that may contain markup.
_FOR_PEOPLE = ("title", "text")

#: Comments, scripts, tags and declarations of HTML. `html.parser` raises errors that it does not document, such as for `<![if`.
_MARKUP = re.compile(r"<!--.*?-->|<(script|style)\b.*?</\1>|</?([a-z][a-z0-9]*)[^>]*(?:>|$)|<[!?][^>]*>", re.IGNORECASE | re.DOTALL)
#: The tags that separate words.
_BREAKS = {"br", "div", "h1", "h2", "h3", "h4", "h5", "h6", "li", "p", "td", "tr"}
#: Control characters, surrogates, and marks that change the direction of the following text.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufff9-\uffff]")

_PAGE = re.compile(r"<(!doctype )?html", re.IGNORECASE)
#: How many characters of a page are searched for the address of its feed.
_HEAD = 100_000
_LINK = re.compile(r"<link\b([^<>]{1,1000})>", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"\b([a-z]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"']+))", re.IGNORECASE)
_FEED_TYPES = ("application/atom+xml", "application/rss+xml", "application/rdf+xml", "application/feed+json")


class NotAFeed(ValueError):
    """The answer of a server is not a feed. The text gives the reason, as people are told."""


class Entry(NamedTuple):
    """One entry of a feed."""

    #: A digest of its id, which may be long.
    key: str
    #: Its title or the beginning of its text, as one line without markup.
    title: str
    #: Its address on the web, empty if it has none.
    link: str


class Feed(NamedTuple):
    """A parsed feed."""

    #: Its title as one line without markup, empty if it has none.
    title: str
    #: The entries in the order of the feed.
    entries: list[Entry]


def address(text: str) -> Optional[str]:
    """Returns the normal form of a feed's address. None: it is not an address on the web, or it is too long."""
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
        is_web = parts.scheme in ("http", "https") and parts.hostname and parts.username is None
    except ValueError:
        return None
    url = urlunsplit((parts.scheme, parts.netloc.lower(), parts.path or "/", parts.query, ""))
    return url if is_web and _is_plain(url) and len(url.encode()) <= MOST_ADDRESS else None


async def read(body: bytes, url: str, media_type: str = "") -> Feed:
    """Parses a feed that came from this address, with this header `content-type`. Raises `NotAFeed`."""
    # Some feeds begin with an empty line, which XML forbids.
    text = _decoded(body, media_type).lstrip("\ufeff \t\r\n")
    if _PAGE.match(text):
        raise NotAFeed(_advice(text, url))
    if text.startswith("{"):
        return _parsed_json(text, url)
    try:
        return await _parsed(text, url)
    except expat.ExpatError:
        pass
    try:
        return await _parsed(_mended(text), url)
    except expat.ExpatError as error:
        raise NotAFeed(f"its XML is wrong: {error}") from None


async def _parsed(text: str, url: str) -> Feed:
    reader = _Reader(url)
    parser = expat.ParserCreate(namespace_separator=" ")

    def read_none(context: Optional[str], *_: object) -> int:
        """Takes a definition of the document type that is elsewhere for an empty one. Entities that it may define are not errors then."""
        parser.ExternalEntityParserCreate(context).Parse("", True)
        return 1

    parser.buffer_text = True
    parser.UseForeignDTD(True)
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_UNLESS_STANDALONE)
    parser.ExternalEntityRefHandler = read_none
    parser.SkippedEntityHandler = reader.entity
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = _refuse_declarations
    try:
        for at in range(0, len(text), PART):
            # The parser is given UTF-8, whatever the feed declares.
            parser.Parse(text[at : at + PART], False)
            await asyncio.sleep(0)
        parser.Parse("", True)
    except _Enough:
        pass
    return Feed(one_line(reader.about.get("title", "")), [_entry(fields, url) for fields in reader.entries])


def _parsed_json(text: str, url: str) -> Feed:
    """Parses a JSON Feed (https://www.jsonfeed.org/version/1.1/)."""
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NotAFeed(f"its JSON is wrong: {error}") from None
    items = whole.get("items")
    if "jsonfeed.org/version/" not in _word(whole, "version") or not isinstance(items, list):
        raise NotAFeed("it is JSON, but not a JSON Feed")
    entries = [_fields(item) for item in items[:MOST_ENTRIES] if isinstance(item, dict)]
    return Feed(one_line(_word(whole, "title")), [_entry(fields, url) for fields in entries])


def _fields(item: dict[str, object]) -> dict[str, str]:
    """Returns the fields of an entry of a JSON Feed, without those that it does not have."""
    text = _word(item, "summary") or _word(item, "content_text") or plain(_word(item, "content_html")).strip()
    link = _word(item, "url") or _word(item, "external_url")
    fields = {"id": _word(item, "id"), "link": link, "title": _word(item, "title"), "text": text}
    return {name: value for name, value in fields.items() if value}


def _word(of: dict[str, object], name: str) -> str:
    """Returns a text, empty if there is none. Some feeds have numbers as ids."""
    value = of.get(name)
    return str(value)[:MOST_TEXT].strip() if isinstance(value, (str, int, float)) else ""


def _mended(text: str) -> str:
    """Returns a feed without the mistakes that many feeds have. It takes too long to look for them in each feed."""
    root = _ROOT.search(text)
    # With its lines, so that an error names the right one.
    text = "\n" * text.count("\n", 0, root.start()) + text[root.start() :] if root else text
    return _REFERENCE.sub(_referred, _declared(_FORBIDDEN.sub("", text)))


def _referred(found: "re.Match[str]") -> str:
    """Returns a reference as XML has it. A reference to a character that XML forbids is left out."""
    if not found[1]:
        return "&amp;" if found[0] == "&" else found[0]
    number = int(f"0{found[1]}", 16) if found[1][0] in "xX" else int(found[1])
    return f"&#{number};" if number < 0x110000 and not _FORBIDDEN.match(chr(number)) else ""


def _declared(text: str) -> str:
    """Declares the prefixes that a feed does not declare."""
    used = {found[1] or found[2] for found in _PREFIX.finditer(text)}
    missing = sorted(used - {found[1] for found in _DECLARED_PREFIX.finditer(text)} - {"xml", "xmlns"})
    names = "".join(f" xmlns:{prefix}='urn:{prefix}'" for prefix in missing[:MOST_PREFIXES])
    return _ROOT.sub(lambda root: root[0] + names, text, count=1)


def _decoded(body: bytes, media_type: str) -> str:
    """Returns the text of a feed. Text in another encoding is hardly ever valid UTF-8: whatever is valid counts as UTF-8."""
    for begin, encoding in _BEGINNINGS.items():
        if body.startswith(begin):
            return body.decode(encoding, "replace")
    try:
        return body.decode()
    except UnicodeDecodeError:
        pass
    # The header counts more than the declaration (RFC 7303, section 3).
    named, declared = _CHARSET.search(media_type), _DECLARED.match(body.lstrip())
    encoding = named[1] if named else declared[1].decode() if declared else "cp1252"
    try:
        codec = codecs.lookup(encoding.lower().replace("windows-", "cp")).name
    except LookupError:
        codec = ""
    if codec == "utf-8":
        return body.decode("utf-8", "replace")
    codec = _WIDER.get(codec, codec)
    if codec not in _ENCODINGS:
        raise NotAFeed("I do not know its encoding")
    return body.decode(codec, "replace")


def one_line(text: str, most: int = MOST_TITLE) -> str:
    """Returns a text as one line of at most `most` characters, without control characters."""
    text = _UNSAFE.sub("", " ".join(text.split()))
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def plain(html: str) -> str:
    """Returns the text of HTML without the markup."""
    return unescape(_MARKUP.sub(lambda tag: " " if (tag[2] or "").lower() in _BREAKS else "", html))


class _Enough(Exception):
    """Ends the parsing: enough entries were read."""


class _Reader:
    """Collects the fields of a feed from the events of the XML parser."""

    def __init__(self, url: str) -> None:
        #: The fields of the feed itself.
        self.about: dict[str, str] = {}
        #: The fields of the entries.
        self.entries: list[dict[str, str]] = []
        #: The open elements, each as its namespace and name.
        self._open: list[tuple[str, str]] = []
        #: The address that links are relative to, outside of all elements and inside of each open one.
        self._bases = [url]
        #: The depth of the open entry, 0 if none is open.
        self._entry_depth = 0
        #: The open field, empty if none is open, its depth, and whether its text is HTML.
        self._field = ""
        self._field_depth = 0
        self._is_html = False
        self._parts: list[str] = []
        self._length = 0
        self._elements = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._elements += 1
        if self._elements > MOST_ELEMENTS:
            raise NotAFeed("it has too many elements")
        namespace, _, tag = name.rpartition(" ")
        # An element in another namespace than its parent belongs to an extension, such as `media:title`.
        is_own = bool(self._open) and self._open[-1][0] == namespace
        self._open.append((namespace, tag))
        depth = len(self._open)
        self._bases.append(self._base(depth, attributes))
        if depth == 1 and tag not in _ROOTS:
            raise NotAFeed("it is neither RSS nor Atom")
        if self._field:
            # Markup inside of a field, such as XHTML.
            if tag in _BREAKS:
                self.text(" ")
            return
        if self._entry_depth:
            if depth == self._entry_depth + 1 and is_own and tag in _FIELDS:
                self._begin(_FIELDS[tag], namespace, attributes)
        elif depth <= 3:
            place = tuple(name for _, name in self._open)
            if place in _ENTRIES:
                self._entry_depth = depth
                about = attributes.get(_RDF_ABOUT)
                self.entries.append({"id": about} if about else {})
            elif place in _TITLES and is_own:
                self._begin("title", namespace, attributes)

    def _begin(self, field: str, namespace: str, attributes: dict[str, str]) -> None:
        kind = attributes.get("type", "text").lower()
        kind = _TYPES.get(kind, kind)
        if field == "link" and "href" in attributes:
            # Other links are those of pictures, comments or the feed.
            if attributes.get("rel", "alternate") in _ALTERNATE:
                self._keep("link", attributes["href"])
            return
        if namespace == _ATOM and field in _FOR_PEOPLE and kind not in ("text", "html", "xhtml"):
            # It is not text, but for example a picture in base64.
            return
        self._field, self._field_depth = field, len(self._open)
        self._is_html = field in _FOR_PEOPLE and (namespace != _ATOM or kind == "html")
        self._parts, self._length = [], 0

    def _base(self, depth: int, attributes: dict[str, str]) -> str:
        """Returns what the links in an element are relative to (RFC 4287, section 2). Deeper elements have none that are read."""
        base = attributes.get(_XML_BASE, "") if depth <= 4 else ""
        return (base and _web_link(self._bases[-1], base)) or self._bases[-1]

    def entity(self, name: str, _is_parameter: bool) -> None:
        """Takes an entity that the feed does not define for one of HTML."""
        self.text(unescape(f"&{name};"))

    def text(self, data: str) -> None:
        if self._field and self._length < MOST_TEXT:
            self._parts.append(data)
            self._length += len(data)

    def end(self, _name: str) -> None:
        depth = len(self._open)
        if self._field and depth == self._field_depth:
            text = "".join(self._parts)[:MOST_TEXT]
            self._keep(self._field, plain(text) if self._is_html else text)
            self._field = ""
        if depth == self._entry_depth:
            self._entry_depth = 0
            if len(self.entries) == MOST_ENTRIES:
                raise _Enough
        self._open.pop()
        if not self._open:
            # The rest is no part of the feed, such as the messages of a script.
            raise _Enough
        self._bases.pop()

    def _keep(self, field: str, text: str) -> None:
        """Sets a field, unless it is set: the first one of `summary` and `content` counts."""
        if text.strip():
            fields = self.entries[-1] if self._entry_depth else self.about
            fields.setdefault(field, text.strip())
            if field == "link":
                fields.setdefault("base", self._bases[-1])


def _entry(fields: dict[str, str], url: str) -> Entry:
    given, link, text = fields.get("id", ""), fields.get("link", ""), fields.get("text", "")
    title = fields.get("title", text)
    key = blake2b((given or link or title).encode("utf-8", "replace"), digest_size=8).hexdigest()
    if not link and "://" in given:
        # In RSS the id of an entry may be its only address.
        link = given
    return Entry(key, one_line(title) or "(without a title)", _web_link(fields.get("base", url), link) if link else "")


def _web_link(base: str, text: str) -> str:
    """Returns the absolute form of an address that can be shown to people, empty if there is none."""
    try:
        link = urljoin(base, text.strip().replace(" ", "%20"))
        is_web = urlsplit(link).scheme in ("http", "https") and len(link) <= MOST_LINK and _is_plain(link)
    except ValueError:
        return ""
    return link if is_web else ""


def _is_plain(url: str) -> bool:
    return url.isprintable() and " " not in url


def _refuse_declarations(_name: str, _system: Optional[str], _public: Optional[str], has_declarations: bool) -> None:
    if has_declarations:
        raise NotAFeed("it has a DOCTYPE with declarations, which I do not accept")


def _advice(page: str, url: str) -> str:
    """Returns the reason why a page is refused, with the address of its feed."""
    for link in _LINK.finditer(page[:_HEAD]):
        found = {name.lower(): unescape("".join(values)) for name, *values in _ATTRIBUTE.findall(link[1])}
        feed = _web_link(url, found.get("href", ""))
        if "alternate" in found.get("rel", "").lower() and found.get("type", "").lower() in _FEED_TYPES and feed:
            return f"it is a page. Its feed is {feed}"
    return "it is a page that names no feed"
