// Tests what authors expect of Go and of the SDK; see tests.
package main

import (
	"context"
	_ "embed"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"regexp"
	"runtime"
	"strings"
	"time"
	_ "time/tzdata"

	"parlor"
	"parlor/contract/chats"
	"parlor/contract/connection"
	"parlor/contract/contacts"
	"parlor/contract/rooms"
	"parlor/contract/storage"
	"parlor/contract/vcard"
)

func main() { parlor.Start(start) }

func start(ctx context.Context) error {
	_, cuts := parlor.OnMessage(parlor.Filter{Prefix: "🍕"}, cut)
	_, reads := parlor.OnMessage(parlor.Filter{Prefix: "settings"}, read)
	_, answers := parlor.OnMessage(parlor.Filter{Prefix: "poll"}, poll)
	_, looks := parlor.OnMessage(parlor.Filter{Prefix: "who"}, who)
	_, finds := parlor.OnMessage(parlor.Filter{Prefix: "find "}, find)
	_, whispers := parlor.OnMessage(parlor.Filter{Prefix: "alone"}, alone)
	_, marks := parlor.OnMessage(parlor.Filter{Prefix: "mark me"}, askForMarkers)
	_, sents := parlor.On("messageSend", parlor.Filter{Prefix: "read this"}, sent)
	_, laters := parlor.OnMessage(parlor.Filter{Prefix: "later?"}, later)
	_, kinds := parlor.OnMessage(parlor.Filter{Kind: "chat normal", Prefix: "kind"}, kind)
	_, pauses := parlor.OnMessage(parlor.Filter{Prefix: "pause"}, pause)
	_, lists := parlor.OnMessage(parlor.Filter{Prefix: "entries"}, entries)
	_, ranges := parlor.OnMessage(parlor.Filter{Prefix: "range"}, inRange)
	_, migrates := parlor.OnMessage(parlor.Filter{Prefix: "migrate"}, migrate)
	_, loses := parlor.OnMessage(parlor.Filter{Prefix: "lose"}, lose)
	_, opens := parlor.OnMessage(parlor.Filter{Prefix: "open"}, open)
	_, dials := parlor.OnMessage(parlor.Filter{Prefix: "dial"}, dial)
	_, swaps := parlor.OnMessage(parlor.Filter{Prefix: "swap"}, swap)
	_, counts := parlor.OnMessage(parlor.Filter{Prefix: "count"}, count)
	_, uncounts := parlor.OnMessage(parlor.Filter{Prefix: "uncount"}, uncount)
	_, asks := parlor.OnMessage(parlor.Filter{Prefix: "ask"}, ask)
	_, cannots := parlor.OnMessage(parlor.Filter{Prefix: "cannot"}, cannot)
	_, times := parlor.OnMessage(parlor.Filter{Prefix: "time"}, wait)
	_, pasts := parlor.OnMessage(parlor.Filter{Prefix: "past"}, past)
	_, signed := parlor.OnMessage(parlor.Filter{Prefix: "signs"}, signs)
	_, emits := parlor.OnMessage(parlor.Filter{Prefix: "emit"}, emit)
	_, decodes := parlor.On("goFired", parlor.Filter{}, decode)
	_, whens := parlor.OnMessage(parlor.Filter{Prefix: "when"}, when)
	_, tells := parlor.OnMessage(parlor.Filter{Prefix: "fields"}, fields)
	_, styles := parlor.OnMessage(parlor.Filter{Prefix: "style "}, style)
	_, shows := parlor.OnMessage(parlor.Filter{Prefix: "shown"}, shown)
	_, agrees := parlor.OnMessage(parlor.Filter{}, agree)
	heard := errors.Join(
		cuts, reads, answers, looks, whispers, finds, marks, sents, laters, kinds, pauses, swaps, counts, uncounts, asks, cannots,
		times, lists, loses, opens, dials, emits, decodes, pasts, whens, tells, agrees, ranges, migrates, styles, shows, signed,
	)
	_, readied := parlor.OnMessage(parlor.Filter{Prefix: "ready?"}, tellReadies)
	isReady := parlor.OnReady(func(context.Context) error {
		readies = append(readies, connection.Connected())
		return nil
	})
	_, knows := parlor.OnMessage(parlor.Filter{Prefix: "entities"}, entities)
	_, failing := parlor.OnCommand(ctx, "fails", "Does not work", "", fails)
	invite := parlor.Declaration{Name: "invite", Arguments: []parlor.Argument{parlor.JIDArgument("guest")}}
	_, invites := parlor.CommandsDeclare(ctx, invite, func(ctx context.Context, command *parlor.Command) error {
		return parlor.Reply(ctx, command.Message, command.Text("guest")+" is "+command.JID("guest"))
	})
	return errors.Join(heard, readied, isReady, knows, failing, invites, add(ctx, "first"), add(ctx, "second"))
}

// texts.chat

func cut(ctx context.Context, message *parlor.Message) error {
	half := message.Body[:1]
	slog.Warn(half)
	return parlor.Reply(ctx, message, half)
}

func when(ctx context.Context, message *parlor.Message) error {
	week := message.At.In(time.FixedZone("", 3600)).AddDate(0, 0, -7)
	return parlor.Reply(ctx, message, fmt.Sprintf("%q %q", parlor.Time(week).Some(), parlor.Time(time.Time{}).Some()))
}

// settings.chat

var defaults = []string{"a", "b"}

func read(ctx context.Context, message *parlor.Message) error {
	words := parlor.SettingsGet("words", defaults)
	return parlor.Reply(ctx, message, fmt.Sprint(words, defaults, parlor.SettingsGet("time", 0)))
}

func pause(ctx context.Context, message *parlor.Message) error {
	return parlor.Reply(ctx, message, fmt.Sprint(parlor.SettingsGet("time", time.Minute), parlor.SettingsGet("words", time.Minute)))
}

func lose(ctx context.Context, message *parlor.Message) error {
	_, err := parlor.ChatsSend(ctx, "@", "hello")
	switch message.Body {
	case "lose a room":
		return parlor.Done(rooms.Close("hall@rooms.example.org"))
	case "lose an occupant":
		_, err = parlor.RoomsOccupant("cellar@rooms.example.org", "bob")
	case "lose them all":
		_, err = parlor.Value(chats.OpenMany(nil))
	}
	return err
}

func open(context.Context, *parlor.Message) error {
	_, err := os.ReadFile("/etc/passwd")
	return fmt.Errorf("who is there: %w", err)
}

func dial(context.Context, *parlor.Message) error {
	_, err := net.Dial("tcp", "example.org:80")
	return err
}

// storage.chat

func swap(ctx context.Context, message *parlor.Message) error {
	var done []bool
	for _, pair := range [][2]any{{nil, 1}, {nil, 2}, {1, []string{"a"}}, {[]string{"a"}, nil}} {
		stored, err := parlor.StorageCompareAndSet(ctx, "k", pair[0], pair[1], 0)
		if err != nil {
			return err
		}
		done = append(done, stored)
	}
	_, ok, err := parlor.StorageGet[int](ctx, "k")
	return errors.Join(err, parlor.Reply(ctx, message, fmt.Sprint(done, ok)))
}

func entries(ctx context.Context, message *parlor.Message) error {
	for i := range 1001 {
		if err := parlor.StorageSet(ctx, fmt.Sprintf("e/%04d", i), i, 0); err != nil {
			return err
		}
	}
	found, err := parlor.StorageEntries[int](ctx, "e/")
	right := 0
	for i, one := range found {
		if one.Value == i && one.Key == fmt.Sprintf("e/%04d", i) {
			right++
		}
	}
	return errors.Join(err, parlor.Reply(ctx, message, fmt.Sprint(len(found), " ", right)))
}

func inRange(ctx context.Context, message *parlor.Message) error {
	first, err := parlor.StorageAdd(ctx, "n", -3, 0)
	second, added := parlor.StorageAdd(ctx, "n", 5, 0)
	var made []bool
	for range 2 {
		var changes parlor.Changes
		is, failed := changes.Expect("r/1", nil).Set("r/1", 1, 0).Set("r/2", 2, time.Hour).Add("n", 1).Delete("none").Make(ctx)
		made, err = append(made, is), errors.Join(err, failed)
	}
	last, ranged := parlor.StorageRange[int](ctx, parlor.Range{Prefix: "r/", Descending: true})
	some, bounded := parlor.StorageRange[int](ctx, parlor.Range{From: "n", To: "r/2", Limit: 1})
	_, negative := parlor.StorageRange[int](ctx, parlor.Range{Limit: -1})
	err = errors.Join(err, added, ranged, bounded)
	return errors.Join(err, parlor.Reply(ctx, message, fmt.Sprint(first, second, made, last, some, " ", negative)))
}

func migrate(ctx context.Context, message *parlor.Message) error {
	var ran []int
	var steps []func(context.Context, *parlor.Changes) error
	for number := range 2 {
		steps = append(steps, func(_ context.Context, changes *parlor.Changes) error {
			ran = append(ran, number)
			changes.Set("now", number, 0)
			return nil
		})
	}
	for _, count := range []int{1, 2, 2} {
		if err := parlor.StorageMigrate(ctx, "version", steps[:count]...); err != nil {
			return err
		}
	}
	now, _, err := parlor.StorageGet[int](ctx, "now")
	older := parlor.StorageMigrate(ctx, "version", steps[:1]...)
	return errors.Join(err, parlor.Reply(ctx, message, fmt.Sprint(ran, now, " ", older)))
}

func count(ctx context.Context, message *parlor.Message) error {
	var faster error
	calls := 0
	n, err := parlor.StorageChange(ctx, "n", func(n int) int {
		if calls++; calls == 1 {
			faster = parlor.StorageSet(ctx, "n", n+10, 0)
		}
		return n + 1
	}, time.Minute)
	return errors.Join(faster, err, parlor.Reply(ctx, message, fmt.Sprint(n, calls)))
}

func uncount(ctx context.Context, message *parlor.Message) error {
	gone, err := parlor.StorageChange(ctx, "n", func(*int) *int { return nil }, 0)
	_, ok, read := parlor.StorageGet[int](ctx, "n")
	return errors.Join(err, read, parlor.Reply(ctx, message, fmt.Sprint(gone == nil, ok)))
}

func past(ctx context.Context, message *parlor.Message) error {
	_, ok, read := parlor.StorageGet[int](ctx, "past")
	_, isCounted, counted := parlor.StorageGet[int](ctx, "count of the past")
	kept := parlor.StorageSet(ctx, "past", 1, -time.Hour)
	var changes parlor.Changes
	_, made := changes.AddFor("count of the past", 1, -time.Hour).Make(ctx)
	return errors.Join(read, counted, kept, made, parlor.Reply(ctx, message, fmt.Sprint(ok || isCounted)))
}

// No sign takes six bytes, and no number becomes another one.
func signs(ctx context.Context, message *parlor.Message) error {
	kept := parlor.StorageSet(ctx, "signs", "<&>", 0)
	text, read := parlor.Value(storage.Get("signs"))
	_, err := parlor.SchedulesEvery(ctx, "never", time.Hour, -1)
	var invalid *parlor.Invalid
	isRefused := errors.As(err, &invalid)
	return errors.Join(kept, read, parlor.Reply(ctx, message, fmt.Sprintf("%s %t", text.Some(), isRefused)))
}

// stanzas.chat

func ask(ctx context.Context, message *parlor.Message) error {
	query := parlor.NewElement("query").NS(parlor.NSDiscoInfo)
	answer, err := parlor.APISendIQ(ctx, parlor.NewIQ("get").To("garden@rooms.example.org").Child(query))
	if err != nil {
		return err
	}
	var iq struct {
		Query struct {
			Identity struct {
				Category string `xml:"category,attr"`
			} `xml:"identity"`
		} `xml:"http://jabber.org/protocol/disco#info query"`
	}
	if err := xml.Unmarshal([]byte(answer), &iq); err != nil {
		return err
	}
	return parlor.Reply(ctx, message, iq.Query.Identity.Category)
}

// timers.chat

func wait(ctx context.Context, message *parlor.Message) error {
	say := func(text string) { parlor.Reply(ctx, message, text) }
	switch message.Body {
	case "time after":
		time.AfterFunc(time.Hour, func() { say("late") })
		time.AfterFunc(time.Second, func() { say("soon") })
	case "time ticks":
		go func() {
			ticker := time.NewTicker(time.Minute)
			defer ticker.Stop()
			for count := range 3 {
				<-ticker.C
				say(fmt.Sprint("tick ", count))
			}
		}()
	case "time pipe":
		first, second := make(chan string), make(chan string)
		go func() { say(<-second) }()
		go func() { second <- <-first }()
		go func() {
			time.Sleep(10 * time.Second)
			first <- "it went through"
		}()
	case "time relay":
		numbers := make(chan int)
		go func() {
			defer close(numbers)
			for n := range 20_000 {
				numbers <- n
			}
		}()
		go func() {
			count := 0
			for range numbers {
				count++
			}
			for range 100 {
				runtime.Gosched()
			}
			say(fmt.Sprint(count, " went through"))
		}()
	case "time over":
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		go func() {
			defer cancel()
			<-ctx.Done()
			say(ctx.Err().Error())
		}()
	}
	return nil
}

// cannot.chat

//go:embed words.txt
var words string

func cannot(ctx context.Context, message *parlor.Message) error {
	_, read := os.ReadFile("words.txt")
	write := os.WriteFile("notes.txt", nil, 0o600)
	_, zone := time.LoadLocation("Europe/Berlin")
	failed := []bool{read != nil, write != nil, zone != nil}
	says := fmt.Sprintln(failed, len(os.Environ()), time.Now().Local().Hour(), words)
	return parlor.Reply(ctx, message, strings.TrimSpace(says))
}

// commands.chat

func add(ctx context.Context, says string) error {
	_, err := parlor.OnCommand(ctx, "Οδός", "Greets", "", func(ctx context.Context, command *parlor.Command) error {
		return parlor.Reply(ctx, command.Message, says+": "+command.Rest)
	})
	return err
}

func fails(context.Context, *parlor.Command) error {
	return errors.New("told to")
}

// ready.chat

var readies []bool

func tellReadies(ctx context.Context, message *parlor.Message) error {
	return parlor.Reply(ctx, message, strings.Trim(fmt.Sprint(readies), "[]"))
}

// messages.chat

func poll(ctx context.Context, message *parlor.Message) error {
	id, err := parlor.ReplyMessage(ctx, message, parlor.Outgoing{Body: "yes or no?", ReplyTo: message})
	if err != nil {
		return err
	}
	_, err = parlor.ReplyMessage(ctx, message, parlor.Outgoing{Body: "yes, or no?", Replace: id})
	return err
}

func who(ctx context.Context, message *parlor.Message) error {
	who, err := parlor.OccupantOf(message)
	if err != nil || who == nil {
		return errors.Join(err, parlor.Reply(ctx, message, "nobody"))
	}
	return parlor.Reply(ctx, message, who.Nick+", "+who.Role)
}

func find(ctx context.Context, message *parlor.Message) error {
	one, err := parlor.RoomsOccupant(message.Chat, strings.TrimPrefix(message.Body, "find "))
	if err != nil || one == nil {
		return errors.Join(err, parlor.Reply(ctx, message, "nobody"))
	}
	return parlor.Reply(ctx, message, one.Jid.Some())
}

func alone(ctx context.Context, message *parlor.Message) error {
	_, err := parlor.ReplyMessageInChat(ctx, message, parlor.Outgoing{Body: "you alone", ReplyTo: message})
	return err
}

func askForMarkers(ctx context.Context, message *parlor.Message) error {
	_, err := parlor.ReplyMessage(ctx, message, parlor.Outgoing{Body: "read this", RequestMarkers: true})
	return err
}

func sent(ctx context.Context, event *parlor.Event) error {
	slog.Warn(fmt.Sprint("markers: ", event.Message.All.Extensions.Some().Markable))
	return nil
}

// events.chat

func emit(ctx context.Context, message *parlor.Message) error {
	return errors.Join(parlor.Emit(ctx, "goFired", nil), parlor.Emit(ctx, "goFired", 7))
}

func decode(ctx context.Context, event *parlor.Event) error {
	told := 3
	err := event.Decode(&told)
	slog.Warn(fmt.Sprint("told ", told))
	return err
}

// logs.chat

func fields(ctx context.Context, message *parlor.Message) error {
	slog.Warn("told", "said", "two words", "by", "alice", "nothing", "", slog.Attr{}, slog.Group("", "n", 1), slog.Group("g", "n", 2))
	slog.Default().WithGroup("g").With("n", 3).Error("worse", "n", "a=b")
	return nil
}

// errors.chat

func later(ctx context.Context, message *parlor.Message) error {
	_, wrong := parlor.ChatsSend(ctx, "@", "hello")
	told := []error{
		&parlor.StanzaError{Kind: "wait"}, &parlor.StanzaError{Kind: "cancel"}, &parlor.NotReady{},
		fmt.Errorf("told: %w", parlor.ErrOffline), parlor.ErrTimedOut, &parlor.OverLimit{}, wrong,
	}
	var temporary []bool
	for _, one := range told {
		temporary = append(temporary, parlor.IsTemporary(one))
	}
	return parlor.Reply(ctx, message, fmt.Sprint(temporary))
}

// kinds.chat

func kind(ctx context.Context, message *parlor.Message) error {
	return parlor.Reply(ctx, message, message.Kind)
}

// replies.chat

func agree(ctx context.Context, message *parlor.Message) error {
	switch {
	case message.Chat != "erin@example.org":
	case message.RepliesTo != "":
		return parlor.Reply(ctx, message, "an answer to "+message.RepliesTo)
	case message.Replaces != "":
		return parlor.Reply(ctx, message, "in the place of "+message.Replaces)
	case message.ReactsTo != "":
		return parlor.Reply(ctx, message, fmt.Sprintf("%d for %s: %v", len(message.Emojis), message.ReactsTo, message.Emojis))
	}
	if message.Body == "ack" {
		_, err := parlor.Acknowledge(ctx, message)
		return err
	}
	if message.Body == "👍" {
		_, err := parlor.ReplyMessage(ctx, message, parlor.Outgoing{ReactTo: message, Emojis: []string{message.Body}})
		return err
	}
	if message.Body == "mark" {
		_, err := parlor.ReplyMessage(ctx, message, parlor.Outgoing{Marker: "displayed", MarkOf: message})
		return err
	}
	said := message.BodyWithoutFallback("urn:xmpp:reply:0")
	if said != "+1" {
		return nil
	}
	if err := parlor.Reply(ctx, message, said); err != nil {
		return err
	}
	_, err := parlor.ReplyMessage(ctx, message, parlor.Outgoing{Body: "so it is", ReplyTo: message, Quote: true})
	return err
}

// styling.chat

func style(ctx context.Context, message *parlor.Message) error {
	text := strings.TrimPrefix(message.Body, "style ")
	styled := strings.Join([]string{
		parlor.StylingBold(parlor.StylingEscape(text)), parlor.StylingMonospace(text), parlor.StylingQuote(text),
		parlor.StylingCodeBlock(text), "https://example.org/",
	}, "\n")
	_, err := parlor.ReplyMessage(ctx, message, parlor.Outgoing{
		Body: strings.ReplaceAll(styled, "\u2060", "+"), SpoilerHint: "end", Unstyled: true,
		Previews: []parlor.LinkPreview{{URL: "https://example.org/", Title: "Page"}},
	})
	return err
}

func shown(ctx context.Context, message *parlor.Message) error {
	switch {
	case message.Spoiler:
		return parlor.Reply(ctx, message, "hidden <"+message.SpoilerHint+">")
	case message.Unstyled:
		return parlor.Reply(ctx, message, "unstyled "+message.Previews[0].Title)
	}
	return parlor.Reply(ctx, message, "there")
}

// entities.chat

func entities(ctx context.Context, message *parlor.Message) error {
	if _, err := parlor.RoomsEnter(ctx, "hall@rooms.example.org", "Romeo"); err != nil {
		return err
	}
	config := map[string]any{"changesubject": false, "membersonly": true, "roomdesc": "Comfy room for hanging out", "maxusers": 20}
	ball, err := parlor.RoomsOpen(ctx, "ball@rooms.example.org", parlor.RoomOptions{Nick: "coolguy69", Config: config})
	if err != nil {
		return err
	}
	if err := parlor.RoomsConfigure(ctx, parlor.Address(ball), map[string]any{"roomname": "The ball"}); err != nil {
		return err
	}
	form, err := parlor.APISendIQ(ctx, parlor.NewIQ("get").To(ball.Jid).Child(parlor.NewElement("query").NS("http://jabber.org/protocol/muc#owner")))
	if err != nil {
		return err
	}
	var values []string
	for _, name := range []string{"changesubject", "membersonly", "roomdesc", "maxusers", "roomname"} {
		if found := regexp.MustCompile("roomconfig_" + name + `["'][^>]*><value>([^<]*)<`).FindStringSubmatch(form); found != nil {
			values = append(values, found[1])
		}
	}
	if err := parlor.Reply(ctx, message, strings.Join(values, ", ")); err != nil {
		return err
	}
	if err := parlor.RoomsConfigure(ctx, ball.Jid, map[string]any{"roomname": 1.5}); err == nil {
		return errors.New("no room has half of a user")
	}
	known, err := parlor.Value(contacts.Get(message.Chat))
	if err != nil {
		return err
	}
	contact := known.Some()
	occupant, err := parlor.RoomsOccupant("garden@rooms.example.org", "alice")
	if err != nil {
		return err
	}
	if err := parlor.Done(vcard.Update(parlor.Address(contact), false)); err != nil {
		return err
	}
	card, err := parlor.Value(vcard.Get(parlor.Address(occupant), true))
	if err != nil {
		return err
	}
	known, err = parlor.Value(contacts.Get(message.Chat))
	if err != nil {
		return err
	}
	updated := known.Some()
	if err := parlor.Reply(ctx, message, fmt.Sprint(parlor.Attribute(&updated, "url"), " ", card.Fn.Some())); err != nil {
		return err
	}
	if err := parlor.SettingsUpdate(ctx, map[string]any{"limit": 12, "words": []string{"a"}}); err != nil {
		return err
	}
	if err := parlor.SettingsSetMany(ctx, map[string]any{"open": true}); err != nil {
		return err
	}
	var told []string
	for _, name := range []string{"id", "jid", "subscription", "nothing"} {
		if value := parlor.Attribute(&contact, name); value != nil {
			told = append(told, fmt.Sprint(value))
		}
	}
	if err := parlor.Reply(ctx, message, fmt.Sprint(strings.Join(told, " "), " ", parlor.SettingsGet("limit", 0), " ", parlor.SettingsGet("open", false))); err != nil {
		return err
	}
	return attributes(ctx, message, &contact, ball)
}

func attributes(ctx context.Context, message *parlor.Message, contact *parlor.Contact, ball *parlor.Room) error {
	chat, err := parlor.Value(chats.Open(parlor.Address(contact)))
	if err != nil {
		return err
	}
	mood := map[string][]int{"romantic": {1}}
	set := errors.Join(parlor.ChatsSetAttribute(ctx, chat.Jid, "mood", mood), parlor.RoomsSetAttribute(ctx, ball.Jid, "height", 400))
	read, ok, err := parlor.ChatsGetAttribute[map[string][]int](parlor.Address(chat), "mood")
	gone := parlor.ChatsSetAttribute(ctx, chat.Jid, "mood", nil)
	_, stays, gets := parlor.ChatsGetAttribute[any](chat.Jid, "mood")
	height, _, knows := parlor.RoomsGetAttribute[int](ball.Jid, "height")
	var told []string
	for _, name := range []string{"chat-status", "chat_status", "chatStatus"} {
		told = append(told, fmt.Sprint(parlor.Attribute(contact, name)))
	}
	for _, name := range []string{"shows-jids", "shows_jids", "showsJids"} {
		flag, isField, err := parlor.RoomsGetAttribute[bool](ball.Jid, name)
		told = append(told, fmt.Sprint(flag, isField, err))
	}
	again, finds := parlor.RoomsGetOrCreate(ctx, ball.Jid, parlor.RoomOptions{Nick: "Romeo"}, true)
	garden, enters := parlor.RoomsGetOrCreate(ctx, "park@rooms.example.org", parlor.RoomOptions{Nick: "Romeo"}, true)
	none, misses := parlor.RoomsGetOrCreate(ctx, "nowhere@rooms.example.org", parlor.RoomOptions{}, false)
	if err := errors.Join(set, err, gone, gets, knows, finds, enters, misses); err != nil {
		return err
	}
	_, err = parlor.ChatsSend(ctx, parlor.Address(&chat), strings.TrimSpace(fmt.Sprintln(read, ok, stays, height+1, told, again.Nick, garden.Nick, none == nil)))
	return err
}
