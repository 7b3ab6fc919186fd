package parlor

import (
	"context"
	"strings"

	"parlor/contract/api"
	"parlor/contract/types"
	"parlor/contract/wit"
)

// Namespaces that plugins meet.
const (
	NSClient      = "jabber:client"
	NSRoster      = "jabber:iq:roster"
	NSDiscoInfo   = "http://jabber.org/protocol/disco#info"
	NSDiscoItems  = "http://jabber.org/protocol/disco#items"
	NSForm        = "jabber:x:data"
	NSMUC         = "http://jabber.org/protocol/muc"
	NSMUCUser     = "http://jabber.org/protocol/muc#user"
	NSMUCAdmin    = "http://jabber.org/protocol/muc#admin"
	NSMUCOwner    = "http://jabber.org/protocol/muc#owner"
	NSVCard       = "vcard-temp"
	NSPubSub      = "http://jabber.org/protocol/pubsub"
	NSOOB         = "jabber:x:oob"
	NSChatStates  = "http://jabber.org/protocol/chatstates"
	NSVersion     = "jabber:iq:version"
	NSReceipts    = "urn:xmpp:receipts"
	NSPing        = "urn:xmpp:ping"
	NSDelay       = "urn:xmpp:delay"
	NSAttention   = "urn:xmpp:attention:0"
	NSCorrection  = "urn:xmpp:message-correct:0"
	NSArchive     = "urn:xmpp:mam:2"
	NSChatMarkers = "urn:xmpp:chat-markers:0"
	NSHints       = "urn:xmpp:hints"
	NSStanzaID    = "urn:xmpp:sid:0"
	NSRetraction  = "urn:xmpp:message-retract:1"
	NSReactions   = "urn:xmpp:reactions:0"
	NSFallback    = "urn:xmpp:fallback:0"
	NSReply       = "urn:xmpp:reply:0"
)

// Element is one element of XML. Names are literals of the plugin; values may come from anywhere, and are escaped.
//
//	parlor.NewElement("message").To("juliet@example.org").
//		Child(parlor.NewElement("body").Text("<wake up>"))
type Element struct {
	name       string
	attributes [][2]string
	// Elements and texts, as they are written.
	inside strings.Builder
}

// NewElement is an empty element of the namespace around it.
func NewElement(name string) *Element {
	return &Element{name: name}
}

// NewIQ is one that asks for something: of the kind get, or set. The host sets its id.
func NewIQ(kind string) *Element {
	return NewElement("iq").Attr("type", kind)
}

// NS puts it into this namespace, like the elements inside it that name none.
func (element *Element) NS(namespace string) *Element {
	return element.Attr("xmlns", namespace)
}

// To says to whom.
func (element *Element) To(jid string) *Element {
	return element.Attr("to", jid)
}

// Attr gives it an attribute; one that is there already is replaced.
func (element *Element) Attr(name, value string) *Element {
	kept := element.attributes[:0]
	for _, attribute := range element.attributes {
		if attribute[0] != name {
			kept = append(kept, attribute)
		}
	}
	element.attributes = append(kept, [2]string{name, value})
	return element
}

// Child puts another element inside, at the end.
func (element *Element) Child(child *Element) *Element {
	element.inside.WriteString(child.String())
	return element
}

// Text puts text inside, at the end.
func (element *Element) Text(text string) *Element {
	element.inside.WriteString(EscapeXML(text))
	return element
}

// String is the element as XML.
func (element *Element) String() string {
	text := &strings.Builder{}
	text.WriteString("<" + element.name)
	for _, attribute := range element.attributes {
		text.WriteString(" " + attribute[0] + "='" + EscapeXML(attribute[1]) + "'")
	}
	if element.inside.Len() == 0 {
		return text.String() + "/>"
	}
	return text.String() + ">" + element.inside.String() + "</" + element.name + ">"
}

// EscapeXML makes a text such that it reads back as it was, in an attribute too; what XML 1.0 cannot hold becomes U+FFFD.
func EscapeXML(text string) string {
	escaped := &strings.Builder{}
	for _, char := range text {
		switch {
		case char == '<':
			escaped.WriteString("&lt;")
		case char == '>':
			escaped.WriteString("&gt;")
		case char == '&':
			escaped.WriteString("&amp;")
		case char == '\'':
			escaped.WriteString("&apos;")
		case char == '"':
			escaped.WriteString("&quot;")
		// Unescaped, a parser makes a space or a line feed of these.
		case char == '\t':
			escaped.WriteString("&#9;")
		case char == '\n':
			escaped.WriteString("&#10;")
		case char == '\r':
			escaped.WriteString("&#13;")
		case char < ' ', char == '\ufffe', char == '\uffff':
			escaped.WriteRune('\ufffd')
		default:
			escaped.WriteRune(char)
		}
	}
	return escaped.String()
}

// APISend sends one message, presence or IQ. Needs stanza.send.
func APISend(ctx context.Context, stanza *Element) error {
	return APISendXML(ctx, stanza.String())
}

// APISendXML is the same for a stanza that is written already. Needs stanza.send.
func APISendXML(ctx context.Context, stanza string) error {
	return done(ctx, "", func() wit.Result[wit.Unit, types.Error] { return api.Send(stanza) })
}

// APISendIQ sends one IQ, and gives the answer as XML, which encoding/xml reads. Needs stanza.send.
//
//	answer, err := parlor.APISendIQ(ctx, parlor.NewIQ("get").To(jid).Child(parlor.NewElement("query").NS(parlor.NSVersion)))
//	if err != nil {
//		return err
//	}
//	var iq struct {
//		Name string `xml:"jabber:iq:version query>name"`
//	}
//	err = xml.Unmarshal([]byte(answer), &iq)
func APISendIQ(ctx context.Context, iq *Element) (string, error) {
	return call(ctx, "", func() wit.Result[string, types.Error] { return api.SendIq(iq.String()) })
}
