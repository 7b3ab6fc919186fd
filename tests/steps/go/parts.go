package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"parlor"
	"parlor/contract/archive"
	"parlor/contract/commands"
	"parlor/contract/contacts"
	"parlor/contract/disco"
	"parlor/contract/iq"
	"parlor/contract/promises"
	"parlor/contract/rooms"
	"parlor/contract/settings"
	"parlor/contract/storage"
	"parlor/contract/timers"
	"parlor/contract/types"
	"parlor/contract/user"
	"parlor/contract/wit"
)

func take(part string, steps *steps, message *parlor.Message) {
	switch part {
	case "settings":
		steps.settings()
	case "storage":
		steps.storage()
	case "timers":
		steps.timers()
	case "listen":
		steps.listen()
	case "heard":
		for _, line := range heard {
			steps.tell(line)
		}
		heard = nil
	case "promises":
		steps.promises()
	case "wait":
		slog.Info("waiting for " + steps.rest)
		steps.waits("wait for another's promise", steps.rest)
	case "messages":
		steps.messages(message)
	case "stanza":
		steps.stanzas()
	case "rooms":
		steps.rooms()
	case "account":
		steps.account()
	case "commands":
		steps.declares()
	case "schedules":
		steps.schedules()
	case "others":
		steps.others()
	}
}

func (steps *steps) waits(what, promise string) {
	event, err := parlor.WaitUntil(steps.ctx, promise)
	value := "none"
	if err == nil && event.JSON != nil {
		value = string(event.JSON)
	}
	steps.note(what, value, err)
}

func (steps *steps) settings() {
	steps.note("a text of the manifest", parlor.SettingsGet("greeting", ""), nil)
	steps.note("a number of the manifest", parlor.SettingsGet("count", 0), nil)
	steps.note("a flag of the manifest", parlor.SettingsGet("loud", true), nil)
	steps.note("a setting that nobody has", parlor.SettingsGet("nobody", "none"), nil)
	steps.done("set a text", parlor.SettingsSet(steps.ctx, "greeting", "hü \"\\ <&>"))
	steps.note("read it", parlor.SettingsGet("greeting", ""), nil)
	steps.fails("set a number to a text", parlor.SettingsSet(steps.ctx, "count", "many"))
	steps.fails("set what is the operator's", parlor.SettingsSet(steps.ctx, "password", "secret"))
	steps.done("a new default", parlor.Done(settings.Update([]wit.Tuple2[string, string]{{F0: "count", F1: "9"}})))
	steps.note("the new default", parlor.SettingsGet("count", 0), nil)
}

func (steps *steps) storage() {
	ctx := steps.ctx
	read := func(what string) {
		text, ok, err := parlor.StorageGet[string](ctx, "a")
		if !ok {
			text = "none"
		}
		steps.note(what, text, err)
	}
	keys := func(what, prefix string) {
		keys, err := parlor.StorageKeys(ctx, prefix)
		steps.note(what, strings.Join(keys, ","), err)
	}
	forget := func(what string) {
		gone, err := parlor.StorageDelete(ctx, "b/ü")
		steps.note(what, gone, err)
	}
	swap := func(what string, expected, value wit.Option[[]byte]) {
		done, err := parlor.Value(storage.CompareAndSet("n", expected, value, wit.None[uint64]()))
		steps.note(what, done, err)
	}
	read("nothing is kept")
	steps.done("keep a text", parlor.StorageSet(ctx, "a", "väl\"ue", 0))
	read("read it")
	steps.done("keep another", parlor.StorageSet(ctx, "b/ü", "two", 0))
	keys("all keys", "")
	keys("keys that begin so", "b/")
	page, err := parlor.Value(storage.List("", wit.None[string](), 1))
	steps.note("a page of one", strings.Join(page.Keys, ",")+" then "+orNone(page.Next), err)
	forget("forget it")
	forget("forget it again")
	one, two := wit.Some([]byte("1")), wit.Some([]byte("2"))
	swap("put one where nothing is", wit.None[[]byte](), one)
	swap("put two where one is", one, two)
	steps.fails("keep too much", parlor.StorageSet(ctx, "much", strings.Repeat("x", 100_000), 0))
	steps.fails("keep it under no key", parlor.StorageSet(ctx, "", "x", 0))
}

func (steps *steps) timers() {
	friend := steps.friend
	steps.done("sleep", parlor.Sleep(steps.ctx, 5*time.Millisecond))
	_, err := parlor.Every(time.Millisecond, func(context.Context) error { return nil })
	steps.fails("a period that is too short", err)
	steps.fails("cancel what is no timer", parlor.Done(timers.Cancel(123_456)))
	_, err = parlor.After(10*time.Millisecond, func(ctx context.Context) error {
		hear("a timer fired", "done")
		_, err := parlor.ChatsSend(ctx, friend, "fired")
		return err
	})
	steps.done("begin a timer", err)
}

func (steps *steps) listen() {
	friend := steps.friend
	_, err := parlor.Once("stepsEvent", parlor.Filter{}, func(ctx context.Context, event *parlor.Event) error {
		var carried struct{ N int }
		if err := event.Decode(&carried); err != nil {
			return err
		}
		hear("an event of one's own", carried.N)
		_, err := parlor.ChatsSend(ctx, friend, "heard")
		return err
	})
	steps.done("listen once", err)
	nothing := func(context.Context, *parlor.Event) error { return nil }
	subscription, err := parlor.On("nobodyFiresIt", parlor.Filter{}, nothing)
	steps.done("listen to what nobody fires", err)
	steps.done("listen no more", subscription.End())
	steps.fails("end it again", subscription.End())
	_, err = parlor.On("message", parlor.Filter{From: "@"}, nothing)
	steps.fails("listen to no address", err)
	steps.done("fire an event", parlor.Emit(steps.ctx, "stepsEvent", map[string]int{"n": 42}))
}

func (steps *steps) promises() {
	ctx := steps.ctx
	steps.waits("wait for what nobody promised", "stepsNever")
	steps.done("promise", parlor.PromisesAdd(ctx, "stepsDone"))
	steps.done("keep it", parlor.Emit(ctx, "stepsDone", map[string]any{"kept": []any{1, "two"}}))
	steps.waits("wait for what is kept", "stepsDone")
	steps.done("promise two", parlor.Done(promises.AddAll([]string{"stepsOne", "stepsTwo"})))
	steps.done("break one", parlor.PromisesReject(ctx, "stepsOne", "no bread"))
	steps.waits("wait for what is broken", "stepsOne")
	steps.fails("promise what is the host's", parlor.PromisesAdd(ctx, "roster"))
	steps.fails("keep what is another's", parlor.Emit(ctx, "promised", 1))
	steps.waits("wait for the host", "pluginsInitialized")
}

func (steps *steps) messages(message *parlor.Message) {
	says := func(note func(what, id string, err error), what, jid string, message parlor.Outgoing) {
		id, err := parlor.ChatsSendMessage(steps.ctx, jid, message)
		note(what, id, err)
	}
	fails := func(what, _ string, err error) { steps.fails(what, err) }
	friend, hello := steps.friend, parlor.Outgoing{Body: "hello"}
	steps.note("what came", fmt.Sprint(message.Kind, " ", message.Delayed, " ", steps.rest), nil)
	says(steps.some, "say something", friend, hello)
	says(steps.some, "with subject and thread", friend, parlor.Outgoing{Body: "on", Subject: "so", Thread: "t1"})
	says(steps.some, "correct it", friend, parlor.Outgoing{Body: "hallo", Replace: "m1"})
	says(steps.some, "say what one does", friend, parlor.Outgoing{ChatState: "composing"})
	says(steps.some, "ask for a receipt", friend, parlor.Outgoing{Body: "there?", RequestReceipt: true})
	says(fails, "to nobody", "", hello)
	says(fails, "to no address", "@", hello)
	says(fails, "to whom nobody granted", "nobody@nowhere.invalid", hello)
	says(fails, "nothing at all", friend, parlor.Outgoing{})
	says(fails, "what XML cannot hold", friend, parlor.Outgoing{Body: "a\x01b"})
}

func (steps *steps) stanzas() {
	for _, text := range []string{"<body>", "a & b", "'single' and \"double\"", "hü🍕"} {
		steps.note("escape", parlor.NewElement("a").Attr("b", text).Text(text), nil)
	}
	body := func(text string) *parlor.Element {
		return parlor.NewElement("message").To(steps.friend).Child(parlor.NewElement("body").Text(text))
	}
	ask := func(child *parlor.Element) (string, error) {
		return parlor.APISendIQ(steps.ctx, parlor.NewIQ("get").To("localhost").Child(child))
	}
	steps.done("send what was built", parlor.APISend(steps.ctx, body("<built> & sent")))
	steps.fails("under another's name", parlor.APISend(steps.ctx, body("false").Attr("from", steps.friend)))
	steps.fails("what is no XML", parlor.APISendXML(steps.ctx, "<message"))
	steps.fails("two at once", parlor.APISendXML(steps.ctx, "<message/><message/>"))
	steps.fails("presence without a grant", parlor.APISend(steps.ctx, parlor.NewElement("presence")))
	answer, err := ask(parlor.NewElement("ping").NS(parlor.NSPing))
	steps.note("ask", strings.Contains(answer, "type='result'"), err)
	_, err = ask(parlor.NewElement("nonsense").NS("urn:test:nonsense"))
	steps.fails("ask what nobody knows", err)
}

func (steps *steps) rooms() {
	room := steps.room
	attributes := rooms.Attributes{Nick: wit.Some("steps")}
	shown := func(room types.Room) string {
		return fmt.Sprint(room.Nick, " ", room.Role, " ", room.Affiliation, " ", room.Joined)
	}
	get := func(what string) {
		text := "none"
		found, err := parlor.Value(rooms.Get(room))
		if found, ok := found.Get(); ok {
			text = shown(found)
		}
		steps.note(what, text, err)
	}
	get("not in the room")
	entered, err := parlor.Value(rooms.Open(room, attributes))
	steps.note("enter", shown(entered), err)
	get("in the room")
	occupants, err := parlor.Value(rooms.Occupants(room))
	var nicks []string
	for _, occupant := range occupants {
		nicks = append(nicks, occupant.Nick)
	}
	steps.note("who is there", strings.Join(nicks, ","), err)
	id, err := parlor.RoomsSend(steps.ctx, room, "hello")
	steps.some("say something", id, err)
	steps.done("what it is about", parlor.Done(rooms.SetSubject(room, "steps & stairs")))
	steps.done("keep an attribute", parlor.RoomsSetAttribute(steps.ctx, room, "height", 400))
	height, _, err := parlor.RoomsGetAttribute[int](room, "height")
	steps.note("read it", height, err)
	owners, err := parlor.Value(rooms.Affiliations(room, "owner"))
	steps.note("who owns it", len(owners), err)
	steps.fails("throw out who is not there", parlor.Done(rooms.Kick(room, "nobody", wit.None[string]())))
	steps.done("leave", parlor.Done(rooms.Close(room)))
	steps.fails("leave again", parlor.Done(rooms.Close(room)))
	_, err = parlor.Value(rooms.Open("@", attributes))
	steps.fails("enter what is no room", err)
	_, err = parlor.RoomsSend(steps.ctx, room, "hello")
	steps.fails("speak where one is not", err)
}

// ends returns the first words of the first and the last message.
func (steps *steps) ends() (string, error) {
	var words []string
	for message, err := range parlor.ArchiveQueryAll(steps.ctx, archive.Options{With: wit.Some(steps.friend)}) {
		if err != nil {
			return "", err
		}
		word, _, _ := strings.Cut(message.Body, " ")
		words = append(words, word)
	}
	return words[0] + " to " + words[len(words)-1], nil
}

func (steps *steps) account() {
	friend := steps.friend
	options := archive.Options{With: wit.Some(friend), Max: wit.Some(uint32(2))}
	page, err := parlor.Value(archive.Query(options))
	steps.note("a page of the archive", len(page.Messages), err)
	next, err := parlor.Value(archive.Query(archive.Next(page.Rsm, 3)))
	steps.note("the next", len(next.Messages), err)
	options.After = wit.Some("nowhere")
	_, err = parlor.Value(archive.Query(options))
	steps.fails("after what is not there", err)
	ends, err := steps.ends()
	steps.note("all of the archive", ends, err)

	contact := func(what string, shown func(types.Contact) string) {
		text := "none"
		found, err := parlor.Value(contacts.Get(friend))
		if found, ok := found.Get(); ok {
			text = shown(found)
		}
		steps.note(what, text, err)
	}
	contact("somebody who is no contact", func(one types.Contact) string { return one.Fullname })
	added, err := parlor.Value(contacts.Add(friend, wit.Some("Fränd")))
	steps.note("add a contact", added.Fullname+" "+added.Subscription, err)
	steps.done("put it into a group", parlor.Done(contacts.SetGroups(friend, []string{"climbers"})))
	contact("its groups", func(one types.Contact) string { return strings.Join(one.Groups, ",") })
	steps.done("remove it", parlor.Done(contacts.Remove(friend)))

	support, err := parlor.Value(disco.Supports(parlor.NSPing, "localhost"))
	steps.note("what the server can do", support.Supported, err)
	for _, what := range []string{"say what one can do", "say it again"} {
		fresh, err := parlor.Value(disco.OwnFeaturesAdd("urn:test:steps"))
		steps.note(what, fresh, err)
	}
	steps.done("be away", parlor.Done(user.SetStatus("away", wit.Some("on the stairs"))))
	status, err := parlor.Value(user.GetStatus())
	steps.note("how one is", status.Value+" "+status.Message, err)
	steps.fails("be what nobody is", parlor.Done(user.SetStatus("asleep", wit.None[string]())))

	nothing := func(context.Context, *parlor.Command) error { return nil }
	command, err := parlor.OnCommand(steps.ctx, "climb", "Climbs", "[STEPS]", nothing)
	steps.done("add a command", err)
	steps.done("take it away", command.End())
	steps.fails("take it away again", parlor.Done(commands.Remove("climb")))
}

func (steps *steps) declares() {
	friend := steps.friend
	_, err := parlor.CommandsDeclare(steps.ctx, parlor.Declaration{
		Name: "stairs", Help: "Climbs stairs",
		Arguments: []parlor.Argument{
			parlor.IntegerArgument("count", 1, 100).Default("1"), parlor.ChoiceArgument("how", "slow", "fast").Default("slow"),
			parlor.FlagArgument("loud"), parlor.RestArgument("why").Optional(),
		},
	}, func(ctx context.Context, command *parlor.Command) error {
		count, how := command.Integer("count"), command.Text("how")
		hear("a command came", fmt.Sprintf("%d %s %t %s", count, how, command.Flag("loud"), command.Text("why")))
		_, err := parlor.ChatsSend(ctx, friend, "stairs")
		return err
	})
	steps.done("declare a command", err)
	nothing := func(context.Context, *parlor.Command) error { return nil }
	_, err = parlor.CommandsDeclare(steps.ctx, parlor.Declaration{Name: "no name", Help: "Climbs nothing"}, nothing)
	steps.fails("declare what is no name", err)
}

func (steps *steps) schedules() {
	ctx, noon := steps.ctx, time.Date(2026, time.July, 1, 12, 0, 0, 0, time.UTC)
	_, err := parlor.SchedulesEvery(ctx, "often", time.Millisecond, parlor.CatchUp)
	steps.fails("a schedule that is due too often", err)
	set, err := parlor.SchedulesAt(ctx, "late", time.Date(2100, time.January, 1, 0, 0, 0, 0, time.UTC), parlor.CatchUp)
	steps.note("set a schedule", set, err)
	all, err := parlor.SchedulesList(ctx)
	var names []string
	for _, one := range all {
		names = append(names, one.Name)
	}
	steps.note("all schedules", strings.Join(names, ","), err)
	text, err := parlor.SchedulesFormat(noon, "Europe/Berlin", "%H:%M")
	steps.note("a moment in a zone", text, err)
	_, err = parlor.SchedulesFormat(noon, "Nowhere/At_All", "%H:%M")
	steps.fails("a moment in no zone", err)
	for _, what := range []string{"end the schedule", "end it again"} {
		there, err := parlor.SchedulesCancel(ctx, "late")
		steps.note(what, there, err)
	}
}

// others has the calls for somebody else, who is not there.
func (steps *steps) others() {
	ctx := steps.ctx
	_, err := parlor.DialogsAsk(ctx, "@", parlor.Question{Text: "Well?"})
	steps.fails("ask nobody", err)
	steps.fails("answer a request that nobody sent", parlor.Done(iq.Answer("none", wit.None[string]())))
	steps.fails("give a verdict on nothing", parlor.HooksAllow(ctx, &parlor.Hook{ID: "none"}))
	_, err = parlor.PluginsCall[any](ctx, "nobody", "rate", 1)
	steps.fails("ask a plugin that is not there", err)
	_, _, err = parlor.PubsubItems(ctx, "pubsub.localhost", "storage:bookmarks", 1, "")
	steps.fails("read a node of the host", err)
}

func orNone(text wit.Option[string]) string {
	if text, ok := text.Get(); ok {
		return text
	}
	return "none"
}
