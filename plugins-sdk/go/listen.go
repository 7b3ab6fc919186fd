package parlor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"parlor/contract/commands"
	"parlor/contract/connection"
	"parlor/contract/listen"
	"parlor/contract/timers"
	"parlor/contract/types"
	"parlor/contract/wit"
)

// The payloads of events, as the contract has them.
type (
	Contact  = types.Contact
	Chat     = types.Chat
	Room     = types.Room
	Occupant = types.Occupant
	Feature  = types.Feature
	Invite   = types.Invite
	Status   = types.Status
)

// Event is what happened. It has at most one of the pointers; a command has its message as well.
type Event struct {
	Name string
	At   time.Time

	Message  *Message
	Command  *Command
	Contact  *Contact
	Chat     *Chat
	Room     *Room
	Occupant *Occupant
	Feature  *Feature
	Invite   *Invite
	Status   *Status
	Webhook  *Webhook
	Due      *DueTime
	IQ       *IQRequest
	Request  *PluginRequest
	Hook     *Hook
	Pubsub   *PubsubEvent
	// Undecryptable is of the event of this name.
	Undecryptable *Undecryptable

	// Text is of events that carry a text, a JID or a stanza.
	Text string
	// JSON is of events that carry it, such as plugins' own.
	JSON json.RawMessage

	// It carries nothing at all.
	isEmpty bool
}

// Returns the event's name for the log. For a command, a webhook, a schedule or a request, it names which one.
func (event *Event) what() string {
	switch {
	case event.Command != nil:
		return event.Name + " " + event.Command.Name
	case event.Webhook != nil:
		return event.Name + " " + event.Webhook.Name
	case event.Due != nil:
		return event.Name + " " + event.Due.Name
	case event.IQ != nil:
		return event.Name + " " + event.IQ.Name
	case event.Request != nil:
		return event.Name + " " + event.Request.Name
	case event.Pubsub != nil:
		return event.Name + " " + event.Pubsub.Node
	default:
		return event.Name
	}
}

// Decode reads the event's JSON into a value. An event without a payload reads like null.
func (event *Event) Decode(value any) error {
	if event.isEmpty {
		return json.Unmarshal([]byte("null"), value)
	}
	return json.Unmarshal(event.JSON, value)
}

// Message is one as it came. A field that it does not have is empty.
type Message struct {
	ID, StanzaID, OriginID string
	// Chat is the conversation: the bare JID of the other person, or of the room, or for who writes to us alone from a room the
	// room's JID with their nickname.
	Chat     string
	From, To string
	// Nick is who said it, in a room.
	Nick string
	// OccupantID is the id by which the room knows the author, whatever the nickname; empty if the room has no such ids.
	OccupantID string
	// Kind is chat, normal, headline, groupchat or error.
	Kind string
	// Body is the text; of several, which All has, it is the first.
	Body, Subject, Thread string
	// Command is the name of the command that the host read in it, else empty.
	Command string
	// Cut is the limit over which the host left out a part of it, else empty.
	Cut string
	// RepliesTo, Replaces and ReactsTo are the id of the message that it answers, corrects, or reacts to by Emojis, in the place of
	// all earlier ones; by none, where it takes them back.
	RepliesTo, Replaces, ReactsTo string
	Emojis                        []string
	// Retracts is the id of the message that its author retracts, and Moderates of one that the room retracts; All says for whom.
	Retracts, Moderates string
	// Files are those that it refers to; FilesOpen reads one.
	Files []File
	// Spoiler says that the text is to stay hidden until the reader wants to see it, and SpoilerHint what is shown instead, if anything.
	Spoiler     bool
	SpoilerHint string
	// Unstyled says that the text has no markup.
	Unstyled bool
	// Previews are of links in the text. The author of the message wrote them.
	Previews []LinkPreview
	At       time.Time
	// Delayed says that it is history; do not answer it.
	Delayed bool
	// Carbon is received or sent where it is a copy of what another client of this account did, else empty; do not answer a copy.
	Carbon string
	// Own says that this account wrote it.
	Own bool
	// Encryption is how it was encrypted from end to end, omemo or otr, and DeviceTrust what the owner decided about the device that wrote
	// it: trusted, blind, undecided or distrusted. Both are empty for a message that was not encrypted.
	Encryption, DeviceTrust string
	// All is everything else.
	All *types.Message
}

// Undecryptable is a message that came encrypted, and that the host cannot decrypt.
type Undecryptable struct {
	// Chat, From, Nick, Kind, ID and StanzaID are those of a message.
	Chat, From, Nick, Kind, ID, StanzaID string
	At                                   time.Time
	// Delayed says that it is history, and Own that this account wrote it.
	Delayed, Own bool
	// Encryption is omemo, otr, openpgp, pgp or other.
	Encryption string
	// Reason is no-key-for-us, no-session, replayed, broken, distrusted, other-device or unsupported.
	Reason string
}

func newUndecryptable(raw types.Undecryptable) (*Undecryptable, error) {
	at, err := time.Parse(time.RFC3339Nano, raw.At)
	if err != nil {
		return nil, err
	}
	return &Undecryptable{
		Chat: raw.Chat, From: raw.From, Nick: raw.Nick.Some(), Kind: raw.Kind, ID: raw.Id.Some(), StanzaID: raw.StanzaId.Some(), At: at,
		Delayed: raw.Delayed, Own: raw.Own, Encryption: raw.Encryption, Reason: raw.Reason,
	}, nil
}

// Command is a message that the host read as one of this plugin's commands.
type Command struct {
	Name string
	// Arguments are its words; what stood in quotes is one.
	Arguments []string
	// Rest is all that stands behind its name, as it was written.
	Rest    string
	Message *Message

	// Those of a declared command, by the arguments' names.
	values map[string]any
	// The id of the form by which it was given; empty where it was written.
	form string
}

// The roles of occupants, for as long as a visit lasts (XEP-0045, section 5.1). Giving RoleNone kicks.
const (
	RoleNone        = "none"
	RoleVisitor     = "visitor"
	RoleParticipant = "participant"
	RoleModerator   = "moderator"
)

// How a person belongs to a room, whether there or not (XEP-0045, section 5.2). AffiliationOutcast is banned.
const (
	AffiliationNone    = "none"
	AffiliationOutcast = "outcast"
	AffiliationMember  = "member"
	AffiliationAdmin   = "admin"
	AffiliationOwner   = "owner"
)

// The kinds of messages.
const (
	KindChat      = "chat"
	KindNormal    = "normal"
	KindHeadline  = "headline"
	KindGroupchat = "groupchat"
	KindError     = "error"
)

// Filter keeps events that do not match from waking the plugin. A field that is left out lets all through.
type Filter struct {
	// From is the sender, occupant or contact: a bare JID also stands for its full ones.
	From string
	Room string
	// Kind is that of messages, or several with spaces between them: "chat normal".
	Kind string
	// Prefix is how a message's body begins, or what is left of it without what a reply quotes and the white space
	// behind that: so cut it off what BodyWithoutFallback gives, trimmed.
	Prefix string
	// Webhook is the name of a webhook in the manifest.
	Webhook string
	// Schedule is the name of a schedule.
	Schedule string
	// Own lets messages of this account through, Delayed history.
	Own, Delayed bool
	// XML gives the whole stanza with a message; needs stanza.read.
	XML bool
}

// Handler is called with an event. One that returns an error, or panics, is written to the log, and the plugin goes on.
type Handler func(ctx context.Context, event *Event) error

// Subscription is one that this plugin has, a timer, or a command. Functions cannot be compared in Go: who wants to end one keeps it.
type Subscription struct {
	number uint64
	timer  bool
}

// End ends it, and takes a command away. It gives NotFound if it has ended.
func (subscription Subscription) End() error {
	ending := listeners[subscription.number]
	delete(listeners, subscription.number)
	if subscription.timer {
		return Done(timers.Cancel(subscription.number))
	}
	err := Done(listen.Not(subscription.number))
	if ending != nil && ending.command != "" {
		err = errors.Join(err, Done(commands.Remove(ending.command)))
	}
	return err
}

type listener struct {
	handle Handler
	once   bool
	// Of a command, its name as the host says it.
	command string
}

func (listener *listener) takes(event *Event) bool {
	return listener.command == "" || event.Command != nil && strings.EqualFold(event.Command.Name, listener.command)
}

var listeners = map[uint64]*listener{}

// On has a handler called at each event of this name that the filter lets through. Most events need a grant.
func On(name string, filter Filter, handler Handler) (Subscription, error) {
	return subscribe(listen.On(name, filter.option()), &listener{handle: handler})
}

// Once is the same, at the next one only.
func Once(name string, filter Filter, handler Handler) (Subscription, error) {
	return subscribe(listen.Once(name, filter.option()), &listener{handle: handler, once: true})
}

// OnMessage has a handler called at each message that the filter lets through. Needs messages.read.
func OnMessage(filter Filter, handler func(ctx context.Context, message *Message) error) (Subscription, error) {
	return On("message", filter, func(ctx context.Context, event *Event) error {
		return handler(ctx, event.Message)
	})
}

// OnMention has a handler called at each message in a room that names our nickname there. Needs messages.read for the room.
func OnMention(handler func(ctx context.Context, message *Message) error) (Subscription, error) {
	return On("messageNotification", Filter{Kind: "groupchat"}, func(ctx context.Context, event *Event) error {
		return handler(ctx, event.Message)
	})
}

// OnReady has a function called once, when the account is logged in and all that follows is done: the moment to send and to
// enter rooms, for which the plugin's start is too early. If the plugin starts after that moment, the function is
// called at once. Free.
func OnReady(ready func(ctx context.Context) error) error {
	subscription, err := Once("initialized", Filter{}, ignoring(ready))
	if err != nil {
		return err
	}
	var look func(ctx context.Context) error
	// A plugin that starts during a cut is called when the connection is back.
	lookAgain := func() error {
		_, err := Once("reconnected", Filter{}, ignoring(look))
		return err
	}
	look = func(ctx context.Context) error {
		if !connection.Connected() {
			return lookAgain()
		}
		if _, err := WaitUntil(ctx, "initialized"); err != nil || listeners[subscription.number] == nil {
			return nil
		}
		// The event may be on its way already, and then there is nothing to end.
		_ = subscription.End()
		return ready(ctx)
	}
	// If the event has come already, it does not come again.
	if connection.Connected() {
		_, err = After(0, look)
		return err
	}
	return lookAgain()
}

// OnCommand adds a command that people give, such as `!roll 2d6`; usage is what may stand behind its name. One that is added again
// takes the place of the older one. Free.
func OnCommand(
	ctx context.Context, name, help, usage string, handler func(ctx context.Context, command *Command) error,
) (Subscription, error) {
	return addCommand(ctx, name, handler, func() wit.Result[wit.Unit, types.Error] { return commands.Add(name, help, usage) })
}

// Ends the older handler of a command that was added again.
func replace(by uint64) error {
	newer := listeners[by]
	if newer == nil {
		// Another handler has added it once more meanwhile.
		return nil
	}
	for number, older := range listeners {
		if number != by && strings.EqualFold(older.command, newer.command) {
			delete(listeners, number)
			return Done(listen.Not(number))
		}
	}
	return nil
}

// The host says it without the plugin's id, and in small letters.
func shortName(name string) string {
	return strings.ToLower(name[strings.LastIndexByte(name, '.')+1:])
}

// Compares without regard to case, by letters: one of the two small sigmas is written only at the end of words.
func endsWith(word, name string) bool {
	letters, length := []rune(word), utf8.RuneCountInString(name)
	return length <= len(letters) && strings.EqualFold(string(letters[len(letters)-length:]), name)
}

// Returns the text after a command's name; the prefix is before the name, in the same word or in one of its own.
func restOf(name, body string) string {
	rest := strings.TrimSpace(body)
	for {
		space := strings.IndexFunc(rest, unicode.IsSpace)
		if space < 0 {
			return ""
		}
		word := rest[:space]
		rest = strings.TrimLeftFunc(rest[space:], unicode.IsSpace)
		if endsWith(word, name) {
			return rest
		}
	}
}

func subscribe(result wit.Result[uint64, types.Error], listener *listener) (Subscription, error) {
	number, err := Value(result)
	if err != nil {
		return Subscription{}, err
	}
	listeners[number] = listener
	return Subscription{number: number}, nil
}

func (filter Filter) option() wit.Option[listen.Filter] {
	if filter == (Filter{}) {
		return wit.None[listen.Filter]()
	}
	return wit.Some(listen.Filter{
		From: option(filter.From), Room: option(filter.Room), Kind: option(filter.Kind), Prefix: option(filter.Prefix),
		Webhook: option(filter.Webhook), Own: filter.Own, Delayed: filter.Delayed, Xml: filter.XML,
		Schedule: option(filter.Schedule),
	})
}

// An empty text is none.
func option(text string) wit.Option[string] {
	if text == "" {
		return wit.None[string]()
	}
	return wit.Some(text)
}

func newEvent(raw listen.Event) (*Event, error) {
	at, err := time.Parse(time.RFC3339Nano, raw.At)
	if err != nil {
		return nil, err
	}
	event := &Event{Name: raw.Name, At: at}
	return event, event.carry(raw.Payload)
}

func (event *Event) carry(payload types.Payload) (err error) {
	switch payload.Tag() {
	case types.PayloadNone:
		event.isEmpty = true
	case types.PayloadText:
		event.Text = payload.Text()
	case types.PayloadStanza:
		event.Text = payload.Stanza()
	case types.PayloadJson:
		event.JSON = json.RawMessage(payload.Json())
	case types.PayloadStatus:
		event.Status = pointer(payload.Status())
	case types.PayloadContact:
		event.Contact = pointer(payload.Contact())
	case types.PayloadChat:
		event.Chat = pointer(payload.Chat())
	case types.PayloadRoom:
		event.Room = pointer(payload.Room())
	case types.PayloadOccupant:
		event.Occupant = pointer(payload.Occupant())
	case types.PayloadFeature:
		event.Feature = pointer(payload.Feature())
	case types.PayloadInvite:
		event.Invite = pointer(payload.Invite())
	case types.PayloadIqRequest:
		event.IQ = pointer(payload.IqRequest())
	case types.PayloadPluginRequest:
		raw := payload.PluginRequest()
		event.Request = &PluginRequest{ID: raw.Id, Plugin: raw.Plugin, Name: raw.Name, Value: json.RawMessage(raw.Value)}
	case types.PayloadHook:
		raw := payload.Hook()
		event.Hook = &Hook{ID: raw.Id, Plugin: raw.Plugin.Some(), Arguments: raw.Args}
		event.Hook.Message, err = NewMessage(raw.Message)
	case types.PayloadPubsubItem:
		event.Pubsub = newPubsubEvent(payload.PubsubItem())
	case types.PayloadUndecryptable:
		event.Undecryptable, err = newUndecryptable(payload.Undecryptable())
	case types.PayloadWebhook:
		event.Webhook = newWebhook(payload.Webhook())
	case types.PayloadSchedule:
		event.Due, err = newDueTime(payload.Schedule())
	case types.PayloadMessage:
		event.Message, err = NewMessage(payload.Message())
	case types.PayloadCommand:
		command := payload.Command()
		event.Message, err = NewMessage(command.Message)
		event.Command = &Command{
			Name: command.Name, Arguments: command.Args, Message: event.Message, values: valuesOf(command.Values),
			form: command.Form.Some(),
		}
		if event.Message != nil {
			event.Command.Rest = restOf(command.Name, event.Message.said())
		}
	default:
		err = fmt.Errorf("a payload of case %d", payload.Tag())
	}
	return err
}

func pointer[T any](value T) *T { return &value }

// NewMessage is a message of the contract, such as one of the archive, as Go has it.
func NewMessage(all types.Message) (*Message, error) {
	at, err := time.Parse(time.RFC3339Nano, all.At)
	if err != nil {
		return nil, err
	}
	extensions := all.Extensions.Some()
	spoiler, isSpoiler := extensions.Spoiler.Get()
	return &Message{
		ID: all.Id.Some(), StanzaID: all.StanzaId.Some(), OriginID: all.OriginId.Some(), Chat: all.Chat, From: all.From,
		To: all.To, Nick: all.Nick.Some(), OccupantID: all.OccupantId.Some(), Kind: all.Kind, Body: all.Body.Some(), Subject: all.Subject.Some(),
		Thread: all.Thread.Some(), RepliesTo: extensions.Reply.Some().Id, Replaces: extensions.Replace.Some(),
		Retracts: extensions.Retract.Some(), Moderates: extensions.Moderated.Some().Id,
		ReactsTo: extensions.Reactions.Some().Id, Emojis: extensions.Reactions.Some().Emojis, Files: newFiles(extensions.Files),
		Spoiler: isSpoiler, SpoilerHint: spoiler, Unstyled: extensions.Unstyled, Previews: newPreviews(extensions.Previews),
		At: at, Delayed: all.Delayed, Carbon: all.Carbon.Some(), Command: all.Command.Some(), Cut: all.Cut.Some(), Own: all.Own,
		Encryption: all.Encryption.Some(), DeviceTrust: all.DeviceTrust.Some(),
		All: &all,
	}, nil
}
