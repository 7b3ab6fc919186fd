"""Stanzas for `api.send` and `api.send_iq`, without ever writing XML: everything is escaped.

    query = Element("query", ns.VERSION)
    answer = parse_xml(await api.send_iq(Element("iq", attributes={"type": "get", "to": jid}, children=[query])))
    name = answer.find("query").find("name").text
"""

import re
from typing import Iterator, Mapping, Optional, Sequence, Union
from xml.parsers import expat


class ns:
    """Namespaces that plugins meet."""

    #: Stanzas (RFC 6120); it need not be written.
    CLIENT = "jabber:client"
    #: The roster (RFC 6121).
    ROSTER = "jabber:iq:roster"
    #: Asking what an entity is and can do (XEP-0030).
    DISCO_INFO = "http://jabber.org/protocol/disco#info"
    #: Asking what an entity has (XEP-0030).
    DISCO_ITEMS = "http://jabber.org/protocol/disco#items"
    #: Forms (XEP-0004).
    FORM = "jabber:x:data"
    #: Rooms (XEP-0045).
    MUC = "http://jabber.org/protocol/muc"
    #: Rooms, for occupants (XEP-0045).
    MUC_USER = "http://jabber.org/protocol/muc#user"
    #: Rooms, for their administrators (XEP-0045).
    MUC_ADMIN = "http://jabber.org/protocol/muc#admin"
    #: Rooms, for their owners (XEP-0045).
    MUC_OWNER = "http://jabber.org/protocol/muc#owner"
    #: vCards (XEP-0054).
    VCARD = "vcard-temp"
    #: Publishing and subscribing (XEP-0060).
    PUBSUB = "http://jabber.org/protocol/pubsub"
    #: Links beside a message (XEP-0066).
    OOB = "jabber:x:oob"
    #: Chat states, such as "composing" (XEP-0085).
    CHAT_STATES = "http://jabber.org/protocol/chatstates"
    #: The version of a client (XEP-0092).
    VERSION = "jabber:iq:version"
    #: Receipts (XEP-0184).
    RECEIPTS = "urn:xmpp:receipts"
    #: Pings (XEP-0199).
    PING = "urn:xmpp:ping"
    #: Delayed delivery (XEP-0203).
    DELAY = "urn:xmpp:delay"
    #: Asking for attention (XEP-0224).
    ATTENTION = "urn:xmpp:attention:0"
    #: Corrections (XEP-0308).
    CORRECTION = "urn:xmpp:message-correct:0"
    #: The archive (XEP-0313).
    ARCHIVE = "urn:xmpp:mam:2"
    #: Markers of what was read (XEP-0333).
    CHAT_MARKERS = "urn:xmpp:chat-markers:0"
    #: Hints on how to treat a message (XEP-0334).
    HINTS = "urn:xmpp:hints"
    #: Ids that survive the way (XEP-0359).
    STANZA_ID = "urn:xmpp:sid:0"
    #: Retractions (XEP-0424).
    RETRACTION = "urn:xmpp:message-retract:1"
    #: Reactions (XEP-0444).
    REACTIONS = "urn:xmpp:reactions:0"
    #: Parts of a body for clients that lack something (XEP-0428).
    FALLBACK = "urn:xmpp:fallback:0"
    #: Replies (XEP-0461).
    REPLY = "urn:xmpp:reply:0"


_NAME = re.compile(r"[A-Za-z_][\w.-]*(:[A-Za-z_][\w.-]*)?")
#: The characters that XML 1.0 cannot hold.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
#: Unescaped, a parser makes a space or a line feed of the last three.
_ESCAPES = str.maketrans(
    {"<": "&lt;", ">": "&gt;", "&": "&amp;", "'": "&apos;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
)
_XML = "http://www.w3.org/XML/1998/namespace"


class Element:
    """One element of XML; `str` writes it. Names are the plugin's own; values may come from anywhere."""

    def __init__(
        self,
        tag: str,
        namespace: Optional[str] = None,
        attributes: Optional[Mapping[str, Optional[str]]] = None,
        children: Sequence[Union["Element", str]] = (),
        text: Optional[str] = None,
    ) -> None:
        self.tag = tag
        #: None: that of the element around it.
        self.namespace = namespace
        self.attributes = {name: value for name, value in (attributes or {}).items() if value is not None}
        #: Elements and texts, in their order.
        self.children: list[Union[Element, str]] = [*([] if text is None else [text]), *children]
        for name in (tag, *self.attributes):
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no name of XML")

    @property
    def text(self) -> str:
        """All text that stands directly in it."""
        return "".join(child for child in self.children if isinstance(child, str))

    def __iter__(self) -> Iterator["Element"]:
        """The elements in it, without the texts."""
        return (child for child in self.children if isinstance(child, Element))

    def find(self, tag: str, namespace: Optional[str] = None) -> Optional["Element"]:
        """The first element in it of this name, and of this namespace if one is given."""
        return next((one for one in self if one.tag == tag and namespace in (None, one.namespace)), None)

    def get(self, attribute: str, default: Optional[str] = None) -> Optional[str]:
        """The value of an attribute."""
        return self.attributes.get(attribute, default)

    def __str__(self) -> str:
        return self._written(None)

    def __repr__(self) -> str:
        return f"<Element {self}>"

    def _written(self, around: Optional[str]) -> str:
        namespace = around if self.namespace is None else self.namespace
        declared = {} if namespace is None or namespace == around else {"xmlns": namespace}
        attributes = "".join(f" {name}='{_escaped(value)}'" for name, value in {**declared, **self.attributes}.items())
        inside = "".join(
            _escaped(child) if isinstance(child, str) else child._written(namespace) for child in self.children
        )
        return f"<{self.tag}{attributes}>{inside}</{self.tag}>" if inside else f"<{self.tag}{attributes}/>"


def _escaped(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", str(text)).translate(_ESCAPES)


def parse_xml(text: Union[str, bytes]) -> Element:
    """Reads one element, such as what `api.send_iq` gives, the `xml` of a message, or the body of an answer over the web. Bytes are UTF-8
    unless they declare another encoding. `ValueError`: it is none. Attributes of other namespaces than XML's own are left out."""
    parser = expat.ParserCreate(namespace_separator=" ")
    # Neighbouring texts come as one.
    parser.buffer_text = True
    around: list[Element] = [Element("document")]

    def start(name: str, attributes: dict[str, str]) -> None:
        namespace, _, tag = name.rpartition(" ")
        known = {key.replace(f"{_XML} ", "xml:"): value for key, value in attributes.items()}
        element = Element(tag, namespace or None, {key: value for key, value in known.items() if " " not in key})
        around[-1].children.append(element)
        around.append(element)

    def refuse(*_: object) -> None:
        raise ValueError("no declarations are allowed in XMPP (RFC 6120, section 11.1)")

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _: around.pop()
    parser.CharacterDataHandler = lambda data: around[-1].children.append(data)
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(text, True)
    except (expat.ExpatError, LookupError) as error:
        # An encoding that Python does not know is a `LookupError`.
        raise ValueError(f"not XML: {error}") from None
    return next(iter(around[0]))
