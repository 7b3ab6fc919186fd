package parlor

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"unicode/utf8"

	"parlor/contract/chats"
	"parlor/contract/rooms"
	"parlor/contract/types"
	"parlor/contract/wit"
)

// Outgoing is a message that is to be sent. It has only the fields that are set.
type Outgoing struct {
	Body, Subject, Thread string
	// ReplyTo is the message that it answers; Quote puts what that says before the body, for clients that show answers as any other
	// message.
	ReplyTo *Message
	Quote   bool
	// Replace is the id of the message that it corrects.
	Replace string
	// Retract is the id of an own message that it retracts: in a room the StanzaID of its echo, elsewhere the id that sending gave.
	// Clients that know no retractions see a text of the host's.
	Retract string
	// ReactTo is the message that Emojis are about; without any they are taken back.
	ReactTo *Message
	Emojis  []string
	// RequestReceipt asks the other side to say that it came; Receipt is the id of a message of theirs that came.
	RequestReceipt bool
	Receipt        string
	// RequestMarkers asks to be told by markers that it came and was read (XEP-0333): they are messages whose All has a Marker.
	RequestMarkers bool
	// Marker is received, displayed or acknowledged, and MarkOf the message that it is about; or Marked is its id, in a room its
	// StanzaID, elsewhere its ID.
	Marker, Marked string
	MarkOf         *Message
	// ChatState is active, composing, paused, inactive or gone.
	ChatState string
	// Encryption is whether it is encrypted from end to end: as the chat is, unless it is required (else Unsupported) or none.
	Encryption string
	// Files are those that Upload.Finish gave, 16 at most. If Body is empty, the address of the first one is sent as such, as clients
	// expect it (XEP-0066).
	Files []File
	// Spoiler hides the body until the reader wants to see it, behind SpoilerHint, which may be empty (XEP-0382). A hint alone does so as
	// well. It needs a Body.
	Spoiler     bool
	SpoilerHint string
	// Unstyled says that the body has no markup, whatever signs are in it (XEP-0393).
	Unstyled bool
	// Previews are of links in the body, 8 at most (XEP-0511). They need a Body.
	Previews []LinkPreview
}

// LinkPreview is what the author of a message says of a link in it: the page may say something else. A field that is not known is
// empty.
type LinkPreview struct {
	// URL is the link, https://… or http://….
	URL string
	// Title is that of the page, on one line.
	Title string
	// Description is what the page is about.
	Description string
	// Image is the address of a picture.
	Image string
}

func newPreviews(raw []types.LinkPreview) []LinkPreview {
	var all []LinkPreview
	for _, one := range raw {
		all = append(all, LinkPreview{
			URL: one.Url, Title: one.Title.Some(), Description: one.Description.Some(), Image: one.Image.Some(),
		})
	}
	return all
}

func wirePreviews(all []LinkPreview) []types.LinkPreview {
	var raw []types.LinkPreview
	for _, one := range all {
		raw = append(raw, types.LinkPreview{
			Url: one.URL, Title: option(one.Title), Description: option(one.Description), Image: option(one.Image),
		})
	}
	return raw
}

// ChatsSend says something to somebody, and gives the message's id once it is queued on the stream. Needs messages.send.
func ChatsSend(ctx context.Context, jid, body string) (string, error) {
	return ChatsSendMessage(ctx, jid, Outgoing{Body: body})
}

// ChatsSendMessage is the same with all that a message may have. Needs messages.send.
func ChatsSendMessage(ctx context.Context, jid string, message Outgoing) (string, error) {
	wire, err := message.wire()
	if err != nil {
		return "", err
	}
	return call(ctx, jid, func() wit.Result[string, types.Error] { return chats.Send(jid, wire) })
}

// RoomsSend says something to everybody in a room that we are in. Needs rooms.send. By the id that it gives a correction names it (Replace);
// in replies and reactions others name it by the room's own, the StanzaID of its echo, which Filter{Own: true} lets through.
func RoomsSend(ctx context.Context, room, body string) (string, error) {
	return RoomsSendMessage(ctx, room, Outgoing{Body: body})
}

// RoomsSendMessage is the same with all that a message may have. Needs rooms.send.
func RoomsSendMessage(ctx context.Context, room string, message Outgoing) (string, error) {
	wire, err := message.wire()
	if err != nil {
		return "", err
	}
	return call(ctx, room, func() wit.Result[string, types.Error] { return rooms.Send(room, wire) })
}

// Reply answers where a message was said, in a chat or in a room, and in its thread; an error is not answered. Needs
// messages.send and rooms.send.
func Reply(ctx context.Context, to *Message, body string) error {
	_, err := ReplyMessage(ctx, to, Outgoing{Body: body})
	return err
}

// ReplyMessage is the same with all that a message may have, and gives its id. Needs messages.send and rooms.send.
func ReplyMessage(ctx context.Context, to *Message, message Outgoing) (string, error) {
	answer, err := message.answering(to)
	if err != nil {
		return "", err
	}
	if to.Kind == "groupchat" {
		return RoomsSendMessage(ctx, to.Chat, answer)
	}
	return ChatsSendMessage(ctx, to.Chat, answer)
}

// ReplyInChat answers in private, in the same chat; for a message from a room, to its author there. Needs messages.send.
func ReplyInChat(ctx context.Context, to *Message, body string) error {
	_, err := ReplyMessageInChat(ctx, to, Outgoing{Body: body})
	return err
}

// ReplyMessageInChat is the same with all that a message may have, and gives its id. Needs messages.send.
func ReplyMessageInChat(ctx context.Context, to *Message, message Outgoing) (string, error) {
	answer, err := message.answering(to)
	if err != nil {
		return "", err
	}
	if to.Kind == "groupchat" {
		return ChatsSendMessage(ctx, to.From, answer)
	}
	return ChatsSendMessage(ctx, to.Chat, answer)
}

// ReplyInRoom answers a message in its room. Needs rooms.send.
func ReplyInRoom(ctx context.Context, to *Message, body string) error {
	answer, err := Outgoing{Body: body}.answering(to)
	if err != nil {
		return err
	}
	_, err = RoomsSendMessage(ctx, to.Chat, answer)
	return err
}

// In the thread of what it answers, unless it names one. An error is not answered.
func (message Outgoing) answering(to *Message) (Outgoing, error) {
	if to.Kind == "error" {
		return message, &Invalid{Argument: "message", Reason: "an error must not be answered (RFC 6120, section 8.3.1)"}
	}
	if message.Thread == "" {
		message.Thread = to.Thread
	}
	return message, nil
}

func (message Outgoing) wire() (types.Outgoing, error) {
	extensions := types.Extensions{
		Replace: option(message.Replace), Retract: option(message.Retract),
		ReceiptRequested: message.RequestReceipt, Receipt: option(message.Receipt),
		Markable: message.RequestMarkers, Marker: option(message.Marker), Marked: option(message.Marked),
		ChatState: option(message.ChatState), Files: wireFiles(message.Files),
		Unstyled: message.Unstyled, Previews: wirePreviews(message.Previews),
	}
	if message.Spoiler || message.SpoilerHint != "" {
		extensions.Spoiler = wit.Some(message.SpoilerHint)
	}
	if to := message.ReplyTo; to != nil && to.Reference() != "" {
		extensions.Reply = wit.Some(types.Reply{Id: to.Reference(), To: wit.Some(to.From)})
	}
	if message.ReplyTo != nil && message.Quote {
		if quoted := message.ReplyTo.quotation(); quoted != "" {
			part := wit.Tuple2[uint32, uint32]{F1: uint32(utf8.RuneCountInString(quoted))}
			extensions.Fallback = []types.Fallback{{Feature: wit.Some(NSReply), Part: wit.Some(part)}}
			message.Body = quoted + message.Body
		}
	}
	if to := message.ReactTo; to != nil {
		if to.Reference() == "" {
			return types.Outgoing{}, &Invalid{Argument: "message", Reason: "has no id that a reaction could name"}
		}
		extensions.Reactions = wit.Some(types.Reactions{Id: to.Reference(), Emojis: message.Emojis})
	}
	if of := message.MarkOf; of != nil {
		id := of.markedID()
		if id == "" {
			return types.Outgoing{}, &Invalid{Argument: "message", Reason: "has no id that a marker could name"}
		}
		extensions.Marked = wit.Some(id)
	}
	// They have no body, by which servers see what is worth keeping (XEP-0334).
	if message.ReactTo != nil || message.Receipt != "" || message.Marker != "" {
		extensions.Hints = []string{"store"}
	}
	return types.Outgoing{
		Body: option(message.Body), Subject: option(message.Subject), Thread: option(message.Thread),
		Extensions: wit.Some(extensions), Encryption: option(message.Encryption),
	}, nil
}

// Outside of rooms a marker goes by the message's own id, whatever else the author calls it.
func (message *Message) markedID() string {
	if message.Kind == "groupchat" {
		return message.StanzaID
	}
	return message.ID
}

// Acknowledge tells the author of a message that it came, if it asked to be told (XEP-0184), and gives the id of the receipt; empty
// if none was sent. It tells the author that somebody is there, so that nothing but a plugin decides to send it. Needs messages.send.
func Acknowledge(ctx context.Context, message *Message) (string, error) {
	wish := message.All.Extensions.Some().ReceiptRequested && message.ID != ""
	// Everybody in a room would send one, and errors, history and copies are not answered.
	may := message.Kind != "groupchat" && message.Kind != "error" && !message.Own && !message.Delayed && message.Carbon == ""
	if !wish || !may {
		return "", nil
	}
	return ChatsSendMessage(ctx, message.From, Outgoing{Receipt: message.ID})
}

// BodyWithoutFallback is the body without what is only there for clients that lack a feature, such as the quotation of a reply for
// those without urn:xmpp:reply:0.
func (message *Message) BodyWithoutFallback(feature string) string {
	return message.bodyWithout(feature)
}

// The body without what stands there for a reply, for reactions or for a retraction, which plugins read beside it.
func (message *Message) said() string {
	return message.bodyWithout(NSReply, NSReactions, NSRetraction)
}

func (message *Message) bodyWithout(features ...string) string {
	parts := message.All.Extensions.Some().Fallback
	var kept []rune
	for at, sign := range []rune(message.Body) {
		if !slices.ContainsFunc(parts, func(one types.Fallback) bool { return covers(one, features, uint32(at)) }) {
			kept = append(kept, sign)
		}
	}
	return string(kept)
}

func covers(one types.Fallback, features []string, at uint32) bool {
	if meant, ok := one.Feature.Get(); ok && !slices.Contains(features, meant) {
		return false
	}
	part, ok := one.Part.Get()
	return !ok || part.F0 <= at && at < part.F1
}

func (message *Message) quotation() string {
	text := strings.TrimSuffix(strings.ReplaceAll(message.said(), "\r\n", "\n"), "\n")
	if text == "" {
		return ""
	}
	return "> " + strings.ReplaceAll(text, "\n", "\n> ") + "\n"
}

// OccupantOf is who said a message in a room, or from there to us alone, as the room knows them now: role, affiliation, and the real JID where the room shows
// it. Nil: the room itself said it, or who did has gone. In a room that gives occupant ids, somebody who has taken the author's nickname
// since is not the author. Needs rooms.read for it.
func OccupantOf(message *Message) (*Occupant, error) {
	room, nick := message.Chat, message.Nick
	if message.Kind != "groupchat" {
		// A person who writes from a room to us alone has a chat of their own.
		room, nick, _ = strings.Cut(message.Chat, "/")
	}
	if nick == "" {
		return nil, nil
	}
	there, err := Value(rooms.Occupants(room))
	if err != nil {
		return nil, err
	}
	var author *Occupant
	for at := range there {
		isCalledSo := there[at].Nick == nick
		isAuthor := isCalledSo
		// The author may have another nickname by now, and somebody else the old one.
		if id := there[at].OccupantId.Some(); message.OccupantID != "" && id != "" {
			isAuthor = id == message.OccupantID
		}
		if isAuthor && (author == nil || isCalledSo) {
			author = &there[at]
		}
	}
	return author, nil
}

// RoomsOccupant is who is in a room under this nickname. Nil: nobody is. Needs rooms.read for it.
func RoomsOccupant(room, nick string) (*Occupant, error) {
	there, err := Value(rooms.Occupants(room))
	if err != nil {
		return nil, err
	}
	for _, one := range there {
		if one.Nick == nick {
			return &one, nil
		}
	}
	return nil, nil
}

// Reference is the id by which replies and reactions know it: in a room the room's, elsewhere the author's, which stays where a relay
// gives it another one on the way (XEP-0444, section 4.2; XEP-0461, section 4.1). Empty: it has none, and cannot be referred to.
func (message *Message) Reference() string {
	if message.Kind == "groupchat" {
		return message.StanzaID
	}
	return cmp.Or(message.OriginID, message.ID)
}
