// The calls of schedules.chat, iq.chat, requests.chat, questions.chat, people.chat and sealed.chat.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"parlor"
	"parlor/contract/chats"
	"parlor/contract/contacts"
	"parlor/contract/disco"
	"parlor/contract/rooms"
	"parlor/contract/user"
	"parlor/contract/wit"
)

const garden, zone = "garden@rooms.example.org", "Europe/Berlin"

// Subscribes to their events.
func listens() error {
	_, due := parlor.OnSchedule("", wake)
	_, iqs := parlor.OnIQ(weather)
	_, requests := parlor.OnRequest(requested)
	_, pizzas := parlor.OnMessage(parlor.Filter{Kind: "groupchat", Prefix: "pizza"}, pizza)
	_, bargains := parlor.OnMessage(parlor.Filter{Kind: "chat", Prefix: "buy"}, offers)
	_, voices := parlor.On("voiceRequest", parlor.Filter{}, asksForVoice)
	_, seals := parlor.OnMessage(parlor.Filter{Kind: "chat", Prefix: "sealed"}, sealed)
	_, unreadable := parlor.On("undecryptable", parlor.Filter{}, cannot)
	return errors.Join(due, iqs, requests, pizzas, bargains, voices, seals, unreadable)
}

// Makes one of these calls, and gives what is to be told of it.
func callPeople(ctx context.Context, name, rest string) (string, error) {
	switch name {
	case "cron":
		return shownTime(parlor.SchedulesCron(ctx, "work", rest, zone, parlor.CatchUp))
	case "every":
		seconds, err := strconv.Atoi(rest)
		if err != nil {
			return "", err
		}
		return shownTime(parlor.SchedulesEvery(ctx, "tick", time.Duration(seconds)*time.Second, parlor.CatchUp))
	case "cancel":
		there, err := parlor.SchedulesCancel(ctx, rest)
		return fmt.Sprint(there), err
	case "when":
		return whenText(rest)
	case "fail":
		fails = true
	case "answer":
		return "it was answered again", parlor.IQAnswer(ctx, &lastIQ, nil)
	case "request":
		return request(ctx, rest)
	case "idle":
		idle, err := parlor.Value(disco.LastActivity(rest))
		return fmt.Sprintf("%d %s", idle.Seconds, orNone(idle.Status.Some())), err
	case "clock":
		return clock(rest)
	case "software":
		found, err := parlor.Value(disco.Version(rest))
		return fmt.Sprintf("%s %s %s", orNone(found.Name.Some()), orNone(found.Version.Some()), orNone(found.Os.Some())), err
	case "block":
		return "done", parlor.Done(contacts.Block(rest, wit.None[contacts.Report]()))
	case "report":
		report := contacts.Report{Kind: "spam", Text: wit.Some("it sells swords")}
		if bought != "" {
			report.StanzaIds = []wit.Tuple2[string, string]{{F0: user.BareJid(), F1: bought}}
		}
		return "done", parlor.Done(contacts.Block(rest, wit.Some(report)))
	case "unblock":
		return "done", parlor.Done(contacts.Unblock(rest))
	case "blocked":
		blocked, err := parlor.Value(contacts.Blocked())
		if len(blocked) == 0 {
			return "nobody", err
		}
		return strings.Join(blocked, ", "), err
	case "voice":
		return "done", parlor.Done(rooms.RequestVoice(garden))
	case "register":
		return "done", parlor.Done(rooms.Register(garden, rest, nil))
	case "unregister":
		return "done", parlor.Done(rooms.Unregister(garden))
	case "reserved":
		nick, err := parlor.Value(rooms.ReservedNick(garden))
		if reserved, ok := nick.Get(); ok {
			return reserved, err
		}
		return "none", err
	case "require", "plain":
		encryption := map[string]string{"require": "required", "plain": "none"}[name]
		_, err := parlor.ChatsSendMessage(ctx, alice, parlor.Outgoing{Body: rest, Encryption: encryption})
		return "", err
	case "otr":
		return otr(rest)
	}
	return callEntities(name, rest)
}

// schedules.chat

var fails bool

func shownTime(moment time.Time, err error) (string, error) {
	if err != nil {
		return "", err
	}
	return parlor.SchedulesFormat(moment, "UTC", "%F %H:%M:%S")
}

func whenText(text string) (string, error) {
	moment, err := parlor.SchedulesParse(text, zone)
	if err != nil {
		return "", err
	}
	there, err := parlor.SchedulesToLocal(moment, zone)
	abbreviation, offset := there.Zone()
	return fmt.Sprintf("%s %d %d %s", there.Format(time.DateTime), there.Weekday(), offset, abbreviation), err
}

func wake(ctx context.Context, due *parlor.DueTime) error {
	if fails {
		fails = false
		return errors.New("it is too early")
	}
	moment, err := shownTime(due.Due, nil)
	text := fmt.Sprintf("%s %s %.0f %d %d", due.Name, moment, due.Late.Truncate(time.Second).Seconds(), due.Missed, due.Attempt)
	return tell(ctx)(text, err)
}

// iq.chat

var lastIQ parlor.IQRequest

func weather(ctx context.Context, request *parlor.IQRequest) error {
	lastIQ = *request
	if request.Kind != "get" {
		return parlor.IQRefuse(ctx, request, "not-allowed", "it can only be read")
	}
	if request.Name == "nothing" {
		return parlor.IQAnswer(ctx, request, nil)
	}
	text := fmt.Sprintf("%s %s %s %s %s", request.From, request.Kind, request.Namespace, request.Name, request.Xml)
	return parlor.IQAnswer(ctx, request, parlor.NewElement("said").NS("urn:example:weather").Text(text))
}

// requests.chat

func request(ctx context.Context, text string) (string, error) {
	name, value, ok := strings.Cut(text, " ")
	if !ok {
		value = "null"
	}
	answer, err := parlor.PluginsCall[json.RawMessage](ctx, "partner", name, json.RawMessage(value))
	return string(answer), err
}

func requested(ctx context.Context, request *parlor.PluginRequest) error {
	if request.Name == "closed" {
		return parlor.PluginsRefuse(ctx, request, request.Plugin+" has to wait")
	}
	var value any
	if err := request.Decode(&value); err != nil {
		return err
	}
	return parlor.PluginsAnswer(ctx, request, map[string]any{"name": request.Name, "value": value})
}

// questions.chat

func pizza(ctx context.Context, message *parlor.Message) error {
	question := parlor.Question{Text: "Which size?", Choices: []string{"small", "large"}, Timeout: time.Minute}
	size, err := parlor.DialogsAskInRoom(ctx, message.Chat, message.Nick, question)
	if err != nil {
		return tell(ctx)("", err)
	}
	_, err = parlor.RoomsSend(ctx, message.Chat, fmt.Sprintf("%d: %s", size.Choice, size.Text))
	return err
}

// people.chat

// The id of the last message that offers something, in the archive.
var bought string

func offers(ctx context.Context, message *parlor.Message) error {
	bought = message.StanzaID
	return nil
}

func clock(jid string) (string, error) {
	found, err := parlor.Value(disco.Time(jid))
	if err != nil {
		return "", err
	}
	utc, err := time.Parse(time.RFC3339, found.Utc)
	if err != nil {
		return "", err
	}
	shown, err := shownTime(utc, nil)
	return fmt.Sprintf("%s %d", shown, found.Offset), err
}

func asksForVoice(ctx context.Context, event *parlor.Event) error {
	visitor := event.Occupant
	return parlor.Done(rooms.AnswerVoice(visitor.Room, visitor.Nick, visitor.Nick == "bob"))
}

// sealed.chat

func otr(what string) (string, error) {
	if _, err := parlor.Value(chats.Open(alice)); err != nil {
		return "", err
	}
	if what == "begin" {
		return "done", parlor.Done(chats.InitiateOtr(alice))
	}
	return "done", parlor.Done(chats.EndOtr(alice))
}

func sealed(ctx context.Context, message *parlor.Message) error {
	return tell(ctx)(orNone(message.Encryption)+" "+orNone(message.DeviceTrust), nil)
}

func cannot(ctx context.Context, event *parlor.Event) error {
	message := event.Undecryptable
	who := fmt.Sprintf("%s %s %s", message.Chat, message.From, message.Kind)
	return tell(ctx)(fmt.Sprintf("%s %s %s %s", who, message.Encryption, message.Reason, orNone(message.ID)), nil)
}
