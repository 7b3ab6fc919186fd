package parlor

import (
	"context"

	"parlor/contract/chats"
	"parlor/contract/rooms"
	"parlor/contract/types"
	"parlor/contract/wit"
)

// Outgoing is a message that is to be sent. What is left out it does not have.
type Outgoing struct {
	Body, Subject, Thread string
	// ReplyTo is the message that it answers.
	ReplyTo *Message
	// Replace is the id of the message that it corrects.
	Replace string
	// ReactTo is the message that Emojis are about; without any they are taken back.
	ReactTo *Message
	Emojis  []string
	// RequestReceipt asks the other side to say that it came; Receipt is the id of a message of theirs that came.
	RequestReceipt bool
	Receipt        string
	// Marker is received, displayed or acknowledged, and Marked the id of the message that it is about.
	Marker, Marked string
	// ChatState is active, composing, paused, inactive or gone.
	ChatState string
}

// Send says something to somebody, and gives the message's id once it is queued on the stream. Needs messages.send.
func Send(ctx context.Context, jid, body string) (string, error) {
	return SendMessage(ctx, jid, Outgoing{Body: body})
}

// SendMessage is the same with all that a message may have. Needs messages.send.
func SendMessage(ctx context.Context, jid string, message Outgoing) (string, error) {
	return call(ctx, func() wit.Result[string, types.Error] { return chats.Send(jid, message.wire()) })
}

// Say says something to everybody in a room that we are in. Needs rooms.send.
func Say(ctx context.Context, room, body string) (string, error) {
	return SayMessage(ctx, room, Outgoing{Body: body})
}

// SayMessage is the same with all that a message may have. Needs rooms.send.
func SayMessage(ctx context.Context, room string, message Outgoing) (string, error) {
	return call(ctx, func() wit.Result[string, types.Error] { return rooms.Send(room, message.wire()) })
}

// Reply answers where a message was said, in a chat or in a room. Needs messages.send and rooms.send.
func Reply(ctx context.Context, to *Message, body string) error {
	if to.Kind == "groupchat" {
		return ReplyInRoom(ctx, to, body)
	}
	return ReplyInChat(ctx, to, body)
}

// ReplyInChat answers a message in its chat. Needs messages.send.
func ReplyInChat(ctx context.Context, to *Message, body string) error {
	_, err := SendMessage(ctx, to.Chat, Outgoing{Body: body, Thread: to.Thread})
	return err
}

// ReplyInRoom answers a message in its room. Needs rooms.send.
func ReplyInRoom(ctx context.Context, to *Message, body string) error {
	_, err := SayMessage(ctx, to.Chat, Outgoing{Body: body, Thread: to.Thread})
	return err
}

func (message Outgoing) wire() types.Outgoing {
	extensions := types.Extensions{
		Replace: option(message.Replace), ReceiptRequested: message.RequestReceipt, Receipt: option(message.Receipt),
		Marker: option(message.Marker), Marked: option(message.Marked), ChatState: option(message.ChatState),
	}
	if to := message.ReplyTo; to != nil {
		extensions.Reply = wit.Some(types.Reply{Id: knownAs(to), To: wit.Some(to.From)})
	}
	if to := message.ReactTo; to != nil {
		extensions.Reactions = wit.Some(types.Reactions{Id: knownAs(to), Emojis: message.Emojis})
	}
	// They have no body, by which servers see what is worth keeping (XEP-0334).
	if message.ReactTo != nil || message.Receipt != "" || message.Marker != "" {
		extensions.Hints = []string{"store"}
	}
	return types.Outgoing{
		Body: option(message.Body), Subject: option(message.Subject), Thread: option(message.Thread),
		Extensions: wit.Some(extensions),
	}
}

// In a room everybody knows a message by the id that the room gave it (XEP-0461, section 3).
func knownAs(message *Message) string {
	first := message.OriginID
	if message.Kind == "groupchat" {
		first = message.StanzaID
	}
	if first == "" {
		return message.ID
	}
	return first
}
