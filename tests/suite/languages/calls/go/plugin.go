// Makes the calls of tests/suite/languages/calls in Go.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net/url"
	"slices"
	"strings"
	"time"

	"parlor"
	"parlor/contract/rooms"
	"parlor/contract/wit"
)

const news, node, alice = "news@example.org", "urn:example:news", "alice@example.org"

// The id of the last request.
var last string

func main() { parlor.Start(start) }

func start(ctx context.Context) error {
	_, messages := parlor.OnMessage(parlor.Filter{Kind: "chat"}, told)
	_, rude := parlor.OnMessage(parlor.Filter{Kind: "groupchat", Prefix: "rude"}, moderate)
	_, asks := parlor.OnWebhook("ask", asked)
	_, books := parlor.OnWebhook("books", counted)
	_, outgoing := parlor.OnHookOutgoing(sign)
	_, incoming := parlor.OnHookIncoming(look)
	_, commands := parlor.OnHookCommand(permit)
	_, says := parlor.On("pubsub-item", parlor.Filter{From: news}, hear)
	number := parlor.IntegerArgument("number", -100, 100)
	command := parlor.Declaration{Name: "double", Help: "Doubles a number", Arguments: []parlor.Argument{number}}
	_, doubles := parlor.CommandsDeclare(ctx, command, double)
	_, topic := parlor.CommandsDeclare(ctx, parlor.Declaration{Name: "topic", Help: "Works in rooms", Place: parlor.PlaceRoom}, here)
	_, vote := parlor.CommandsDeclare(ctx, parlor.Declaration{Name: "vote", Help: "Works in private", Place: parlor.PlacePrivate}, here)
	moment := []parlor.Argument{parlor.DateArgument("day"), parlor.TimeArgument("at").Default("9:00")}
	_, dates := parlor.CommandsDeclare(ctx, parlor.Declaration{Name: "when", Help: "Says when", Arguments: moment}, when)
	return errors.Join(
		messages, rude, asks, books, outgoing, incoming, commands, says, doubles, topic, vote, dates, lets(ctx), listens(), hears())
}

// Adds the commands of groups.chat.
func lets(ctx context.Context) error {
	some := []parlor.People{
		parlor.PeopleGroup("staff"), parlor.PeopleJID("eve@example.org"), parlor.PeopleRole(parlor.RoleModerator),
		parlor.PeopleAffiliation(parlor.AffiliationMember), parlor.PeopleOwners(),
	}
	command := parlor.Declaration{Name: "enter", Help: "Lets some in", Aliases: []string{"go"}, Allow: some, RoomCooldown: time.Minute}
	_, enter := parlor.CommandsDeclare(ctx, command, here)
	contacts := []parlor.People{parlor.PeopleContacts()}
	command = parlor.Declaration{Name: "knock", Help: "Lets contacts in", Allow: contacts, PersonCooldown: 30 * time.Second}
	_, knock := parlor.CommandsDeclare(ctx, command, here)
	return errors.Join(enter, knock)
}

func told(ctx context.Context, message *parlor.Message) error {
	for _, file := range message.Files {
		if err := tell(ctx)(open(ctx, file.URL)); err != nil {
			return err
		}
	}
	if message.Body == "label me" {
		return tell(ctx)(labels(message), nil)
	}
	name, rest, _ := strings.Cut(message.Body, " ")
	text, err := call(ctx, name, rest)
	if text == "" && err == nil {
		return nil
	}
	return tell(ctx)(text, err)
}

// Says what came of a call.
func tell(ctx context.Context) func(text string, err error) error {
	return func(text string, err error) error {
		if err != nil {
			text = err.Error()
		}
		_, err = parlor.ChatsSend(ctx, alice, text)
		return err
	}
}

// Makes a call, and gives what is to be told of it.
func call(ctx context.Context, name, rest string) (string, error) {
	switch name {
	case "fetch":
		return fetch(ctx)
	case "json":
		return post(ctx, parlor.HTTPRequest{URL: "https://api.example.org/json", JSON: map[string]string{"tëa": "<a & b>"}})
	case "form":
		return post(ctx, parlor.HTTPRequest{URL: "https://api.example.org/form", Form: []parlor.HTTPPart{
			{Name: "ti\"tle", Content: []byte("tëa 🍕")},
			{Name: "file", FileName: "a\r\n\".txt", MediaType: "text/plain\r\nx: y", Content: []byte("one\ntwo")},
		}})
	case "fields":
		title := []string{"tëa & \"pie\"=1+2 100%/~!'()* {{x}}"}
		query, fields := map[string][]string{"title": title}, map[string][]string{"title": title, "key": {"5"}}
		return post(ctx, parlor.HTTPRequest{URL: "https://api.example.org/songs?day=1", Query: query, Fields: fields})
	case "both":
		_, err := post(ctx, parlor.HTTPRequest{URL: "https://api.example.org/json", Body: []byte("a"), JSON: 1})
		var invalid *parlor.Invalid
		if errors.As(err, &invalid) {
			return "it was refused", nil
		}
		return "it was sent", err
	case "exchange":
		return exchange(ctx)
	case "much":
		return much(ctx)
	case "missing":
		return missing(ctx)
	case "unreachable":
		return unreachable(ctx)
	case "upload":
		return upload(ctx, rest)
	case "encrypted":
		begun, err := parlor.FilesUploadEncrypted(ctx, "note.txt", "text/plain", int64(len(rest)))
		_, text, err := send(begun, err, rest)
		return text, err
	case "keep":
		return keep(ctx, rest)
	case "price":
		return price(ctx), nil
	case "short":
		begun, err := parlor.FilesUpload(ctx, "note.txt", "text/plain", 9)
		_, text, err := send(begun, err, rest)
		return text, err
	case "picture":
		_, err := parlor.FilesUpload(ctx, "dot.png", "image/png", 3)
		return "it was begun", err
	case "open":
		return open(ctx, rest)
	case "blame":
		return blame(ctx, rest)
	case "size":
		return size(ctx, rest)
	case "again":
		return "it was answered again", parlor.WebhooksAnswer(ctx, &parlor.Webhook{ID: last}, parlor.WebhookAnswer{Status: 204})
	case "address":
		return parlor.WebhooksAddress(ctx, rest)
	case "publish":
		return publish(ctx, rest)
	case "retract":
		return "done", parlor.PubsubRetract(ctx, news, node, rest)
	case "create":
		return "done", parlor.PubsubCreate(ctx, news, node, &parlor.NodeOptions{Access: rest, Title: "Tëa"})
	case "configure":
		return "done", parlor.PubsubConfigure(ctx, news, node, parlor.NodeOptions{Access: rest})
	case "purge":
		return "done", parlor.PubsubPurge(ctx, news, node)
	case "delete":
		return "done", parlor.PubsubDelete(ctx, news, node)
	case "items":
		return items(ctx, rest)
	case "item":
		found, err := parlor.PubsubItem(ctx, news, node, rest)
		if found == nil {
			return "none", err
		}
		return shown(*found), err
	case "subscribe":
		inForce, err := parlor.PubsubSubscribe(ctx, news, node)
		return fmt.Sprint(inForce), err
	case "unsubscribe":
		return "done", parlor.PubsubUnsubscribe(ctx, news, node)
	}
	return callPeople(ctx, name, rest)
}

// Shows a text that the host may leave out.
func orNone(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// http.chat

func fetch(ctx context.Context) (string, error) {
	answer, err := parlor.HTTPDo(ctx, parlor.HTTPRequest{
		Method: "POST", URL: "https://api.example.org/old", Body: []byte("a=1"), Follow: 3, Timeout: 5 * time.Second,
		Header: map[string]string{"content-type": "application/x-www-form-urlencoded"},
	})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d %s %s: %s", answer.Status, answer.URL, orNone(answer.Header["etag"]), answer.Body), nil
}

func post(ctx context.Context, request parlor.HTTPRequest) (string, error) {
	request.Method = "POST"
	answer, err := parlor.HTTPDo(ctx, request)
	if err != nil {
		return "", err
	}
	return fmt.Sprint(answer.Status), nil
}

func exchange(ctx context.Context) (string, error) {
	exchange, err := parlor.HTTPOpen(ctx, parlor.HTTPRequest{Method: "POST", URL: "https://api.example.org/tea"})
	if err != nil {
		return "", err
	}
	defer exchange.Close()
	for _, part := range []string{"one ", "tëa", " two"} {
		if _, err := io.WriteString(exchange, part); err != nil {
			return "", err
		}
	}
	head, err := exchange.Answer()
	if err != nil {
		return "", err
	}
	whole, err := io.ReadAll(exchange)
	return fmt.Sprintf("%d %s: %s", head.Status, orNone(head.Header["etag"]), whole), err
}

func much(ctx context.Context) (string, error) {
	exchange, err := parlor.HTTPOpen(ctx, parlor.HTTPRequest{Method: "POST", URL: "https://api.example.org/much"})
	if err != nil {
		return "", err
	}
	defer exchange.Close()
	if written, err := io.WriteString(exchange, strings.Repeat("a", 1<<20+5)); err != nil || written != 1<<20+5 {
		return fmt.Sprint(written), err
	}
	head, err := exchange.Answer()
	if err != nil {
		return "", err
	}
	exchange.Close()
	// A closed body fails, instead of looking complete.
	if _, err := io.ReadAll(exchange); !errors.Is(err, fs.ErrClosed) {
		return "it was read", err
	}
	return fmt.Sprint(head.Status), nil
}

func missing(ctx context.Context) (string, error) {
	header := map[string]string{"content-length": "5"}
	exchange, err := parlor.HTTPOpen(ctx, parlor.HTTPRequest{Method: "POST", URL: "https://api.example.org/tea", Header: header})
	if err != nil {
		return "", err
	}
	defer exchange.Close()
	if _, err := exchange.Write([]byte("ab")); err != nil {
		return "", err
	}
	_, err = exchange.Answer()
	return "it was answered", err
}

func unreachable(ctx context.Context) (string, error) {
	body := []byte("lost")
	exchange, err := parlor.HTTPOpen(ctx, parlor.HTTPRequest{Method: "POST", URL: "https://api.example.org/none", Body: body})
	if err != nil {
		return "", err
	}
	defer exchange.Close()
	_, err = exchange.Answer()
	return "it was answered", err
}

// files.chat

func upload(ctx context.Context, text string) (string, error) {
	begun, err := parlor.FilesUpload(ctx, "note.txt", "text/plain", int64(len(text)))
	file, said, err := send(begun, err, text)
	if err != nil {
		return "", err
	}
	if err := tell(ctx)(said, nil); err != nil {
		return "", err
	}
	_, err = parlor.ChatsSendMessage(ctx, alice, parlor.Outgoing{Files: []parlor.File{file}})
	return "", err
}

func send(upload *parlor.Upload, err error, text string) (parlor.File, string, error) {
	if err != nil {
		return parlor.File{}, "", err
	}
	defer upload.Close()
	for _, part := range []string{text[:1], text[1:]} {
		if _, err := io.WriteString(upload, part); err != nil {
			return parlor.File{}, "", err
		}
	}
	file, err := upload.Finish()
	return file, fmt.Sprintf("%s %s %d", file.Name, file.MediaType, file.Size), err
}

func open(ctx context.Context, url string) (string, error) {
	file, err := parlor.FilesOpen(ctx, url)
	if err != nil {
		return "", err
	}
	defer file.Close()
	whole, err := io.ReadAll(file)
	return fmt.Sprintf("%d %s: %s", file.Size, orNone(file.MediaType), whole), err
}

// blame.chat

func blame(ctx context.Context, url string) (string, error) {
	_, err := parlor.FilesOpen(ctx, url)
	var failed *parlor.CallError
	if !errors.As(err, &failed) {
		return "it was opened", err
	}
	return failed.Argument, nil
}

// dialogs.chat

func size(ctx context.Context, when string) (string, error) {
	ctx, end := context.WithTimeout(ctx, 10*time.Second)
	defer end()
	question := parlor.Question{Text: "Which size?", Choices: []string{"small", "large"}}
	if when == "at once" {
		question.Timeout = 200 * time.Microsecond
	}
	given, err := parlor.DialogsAsk(ctx, alice, question)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, parlor.ErrTimedOut) {
		return "too late", nil
	}
	return given.Text, err
}

// webhooks.chat

func asked(ctx context.Context, hook *parlor.Webhook) error {
	last = hook.ID
	place := fmt.Sprintf("%s %s %s", hook.Method, orNone(hook.Path), orNone(hook.Query))
	body := fmt.Sprintf("%s %s: %s", place, orNone(hook.Header["x-kind"]), hook.Body)
	if hook.Path == "fields" {
		query, _ := url.ParseQuery(hook.Query)
		form, _ := url.ParseQuery(string(hook.Body))
		body = fmt.Sprintf("%s: %s, %s", query.Get("room"), form.Get("payload"), orNone(form.Get("none")))
	}
	header := map[string]string{"etag": "v1"}
	return parlor.WebhooksAnswer(ctx, hook, parlor.WebhookAnswer{Status: 201, Header: header, Body: []byte(body)})
}

func counted(ctx context.Context, hook *parlor.Webhook) error {
	return parlor.WebhooksAnswer(ctx, hook, parlor.WebhookAnswer{JSON: 12})
}

// hooks.chat

func sign(ctx context.Context, hook *parlor.Hook) (parlor.OutgoingVerdict, error) {
	if strings.Contains(hook.Message.Body, "secret") {
		return parlor.OutgoingVerdict{Stop: true, Reason: "it names a secret"}, nil
	}
	return parlor.OutgoingVerdict{Body: hook.Message.Body + " (signed)"}, nil
}

func look(ctx context.Context, hook *parlor.Hook) (parlor.IncomingVerdict, error) {
	verdict := parlor.IncomingVerdict{Hide: strings.Contains(hook.Message.Body, "casino")}
	if strings.Contains(hook.Message.Body, "label") {
		verdict.Label = "advertisement"
	}
	return verdict, nil
}

func permit(ctx context.Context, hook *parlor.Hook) (parlor.CommandVerdict, error) {
	return parlor.CommandVerdict{Refuse: slices.Equal(hook.Arguments, []string{"no such", "secret"}), Text: "not that"}, nil
}

func labels(message *parlor.Message) string {
	var all []string
	for _, label := range message.All.Labels {
		all = append(all, label.Plugin+": "+label.Text)
	}
	return strings.Join(all, ", ")
}

// pubsub.chat

func publish(ctx context.Context, id string) (string, error) {
	var options *parlor.NodeOptions
	if id != "" {
		persist := true
		options = &parlor.NodeOptions{Access: "open", Persist: &persist, MaxItems: 10}
	}
	entry := parlor.NewElement("entry").NS(node).Text("tëa & 🍕")
	return parlor.PubsubPublish(ctx, news, node, id, entry, options)
}

func items(ctx context.Context, after string) (string, error) {
	page, last, err := parlor.PubsubItems(ctx, news, node, 2, after)
	var all []string
	for _, item := range page {
		all = append(all, shown(item))
	}
	return fmt.Sprintf("%s; %s", strings.Join(all, ", "), orNone(last)), err
}

func shown(item parlor.NodeItem) string {
	return fmt.Sprintf("%s %s %s", item.ID, orNone(item.Publisher), orNone(item.XML))
}

func hear(ctx context.Context, event *parlor.Event) error {
	said := event.Pubsub
	text := fmt.Sprintf("%s %s %s %s", said.Kind, said.Service, said.Node, orNone(said.ID))
	return tell(ctx)(fmt.Sprintf("%s %s %s", text, orNone(said.Publisher), orNone(said.XML)), nil)
}

// storage.chat

func keep(ctx context.Context, text string) (string, error) {
	kept, _, err := parlor.StorageGet[*string](ctx, "kept")
	if err != nil {
		return "", err
	}
	isMade, err := new(parlor.Changes).Expect("kept", kept).Set("kept", text, 0).Add("times", 1).Make(ctx)
	before := "-"
	if kept != nil {
		before = *kept
	}
	return fmt.Sprintf("%t: %s", isMade, before), err
}

func price(ctx context.Context) string {
	if err := parlor.Emit(ctx, "price", map[string]float64{"low": math.NaN()}); err != nil {
		return "it was refused"
	}
	return "it was sent"
}

// rooms.chat

func moderate(ctx context.Context, message *parlor.Message) error {
	if err := parlor.Done(rooms.Retract(message.Chat, message.StanzaID, wit.Some("so it is"))); err != nil {
		return tell(ctx)("", err)
	}
	return nil
}

// forms.chat

func double(ctx context.Context, command *parlor.Command) error {
	if err := parlor.Progress(ctx, command, "doubling"); err != nil {
		return err
	}
	if err := parlor.Sleep(ctx, 20*time.Second); err != nil {
		return err
	}
	return parlor.Answer(ctx, command, fmt.Sprint(command.Integer("number")*2))
}

// places.chat

func here(ctx context.Context, command *parlor.Command) error {
	return parlor.Answer(ctx, command, "here")
}

func when(ctx context.Context, command *parlor.Command) error {
	return parlor.Answer(ctx, command, command.Date("day").Add(command.Time("at")).Format(time.DateTime))
}
