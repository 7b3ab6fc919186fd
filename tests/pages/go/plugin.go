// The examples on the pages of docs/reference/api, and of docs/author/moderation.md. Each page shows the part between its two marks.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"parlor"
	"parlor/contract/archive"
	"parlor/contract/chats"
	"parlor/contract/chatviews"
	"parlor/contract/connection"
	"parlor/contract/contacts"
	"parlor/contract/disco"
	"parlor/contract/promises"
	"parlor/contract/rooms"
	"parlor/contract/tokens"
	"parlor/contract/user"
	"parlor/contract/vcard"
	"parlor/contract/wit"
	"parlor/moderation"
)

const room, juliet = "hall@rooms.example.org", "juliet@example.org"

func main() { parlor.Start(start) }

func start(ctx context.Context) error {
	return errors.Join(
		listens(), hearsRequests(), wakes(ctx), answers(), answersPlugins(), asksPeople(ctx), judges(), guards(), commands(ctx), parlor.OnReady(asks), parlor.OnReady(reads), parlor.OnReady(chatting), parlor.OnReady(views),
		parlor.OnReady(befriends), parlor.OnReady(looks), parlor.OnReady(asksTheWeb), parlor.OnReady(shares), parlor.OnReady(promising), parlor.OnReady(enters), parlor.OnReady(publishes), parlor.OnReady(keeps),
		parlor.OnReady(waits), parlor.OnReady(knows),
	)
}

func asks(ctx context.Context) error {
	// == api
	err := parlor.Emit(ctx, "libraryOpen", map[string]int{"books": 12})
	opened, waited := parlor.WaitUntil(ctx, "libraryOpen")
	sent := parlor.APISend(ctx, parlor.NewElement("presence").To(juliet))
	query := parlor.NewElement("query").NS(parlor.NSVersion)
	answer, asked := parlor.APISendIQ(ctx, parlor.NewIQ("get").To("example.org").Child(query))
	// ==
	if err := errors.Join(err, waited, sent, asked); err != nil {
		return err
	}
	slog.Info(answer, "opened", opened.Name)
	return nil
}

func reads(ctx context.Context) error {
	// == archive
	newest, err := parlor.Value(archive.Query(archive.Options{With: wit.Some(juliet), Before: wit.Some(""), Max: wit.Some[uint32](10)}))
	older := archive.Previous(newest.Rsm, 10)
	newer := archive.Next(newest.Rsm, 10)
	options := archive.Options{With: wit.Some(juliet), Start: parlor.Time(time.Now().AddDate(0, 0, -7))}
	for message, err := range parlor.ArchiveQueryAll(ctx, options) {
		if err != nil {
			return err
		}
		slog.Info(message.Body)
	}
	// ==
	slog.Info("pages", "older", older.Before, "newer", newer.After)
	return err
}

func chatting(ctx context.Context) error {
	both := []string{juliet, "romeo@example.org"}
	// == chats
	id, sent := parlor.ChatsSend(ctx, juliet, "But soft!")
	chat, opened := parlor.Value(chats.Open(juliet))
	_, openedBoth := parlor.Value(chats.OpenMany(both))
	one, got := parlor.Value(chats.Get(juliet))
	two, gotBoth := parlor.Value(chats.GetMany(both))
	all, gotAll := parlor.Value(chats.GetAll())
	set := parlor.ChatsSetAttribute(ctx, chat.Jid, "height", 400)
	height, _, read := parlor.ChatsGetAttribute[int](chat.Jid, "height")
	// For a front end:
	focused := parlor.Done(chats.Focus(chat.Jid))
	shown := parlor.Done(chats.Show(chat.Jid))
	maximized := parlor.Done(chats.Maximize(chat.Jid))
	minimized := parlor.Done(chats.Minimize(chat.Jid))
	// Off the record, with the person of an open chat:
	begun := parlor.Done(chats.InitiateOtr(chat.Jid))
	ended := parlor.Done(chats.EndOtr(chat.Jid))
	closed := parlor.Done(chats.Close(chat.Jid))
	_, closedBoth := parlor.Value(chats.CloseMany(both))
	// ==
	slog.Info(id, "one", one, "two", two, "all", all, "height", height)
	return errors.Join(
		sent, opened, openedBoth, got, gotBoth, gotAll, set, read, focused, shown, maximized, minimized, closed, closedBoth, begun, ended,
	)
}

func views(context.Context) error {
	// == chatviews
	view, found := parlor.Value(chatviews.Get(juliet))
	views, foundBoth := parlor.Value(chatviews.GetMany([]string{juliet, "romeo@example.org"}))
	one, isOpen := view.Get()
	isSmall := isOpen && one.Minimized
	// ==
	slog.Info("chat", "small", isSmall, "views", views)

	// == connection
	if !connection.Connected() {
		slog.Info("nobody hears us yet")
	}
	ended := parlor.Done(connection.Disconnect())
	// ==
	return errors.Join(found, foundBoth, ended)
}

func befriends(context.Context) error {
	// == contacts
	contact, added := parlor.Value(contacts.Add(juliet, wit.Some("Juliet")))
	renamed := parlor.Done(contacts.Rename(contact.Jid, "Juliet Capulet"))
	grouped := parlor.Done(contacts.SetGroups(contact.Jid, []string{"friends"}))
	known, got := parlor.Value(contacts.Get(juliet))
	both, gotBoth := parlor.Value(contacts.GetMany([]string{juliet, "romeo@example.org"}))
	all, gotAll := parlor.Value(contacts.GetAll())
	_, listening := parlor.On("contactRequest", parlor.Filter{}, func(ctx context.Context, event *parlor.Event) error {
		if event.Contact.Jid == juliet {
			return parlor.Done(contacts.Accept(event.Contact.Jid))
		}
		return parlor.Done(contacts.Deny(event.Contact.Jid))
	})
	removed := parlor.Done(contacts.Remove("romeo@example.org"))

	report := contacts.Report{Kind: "spam", Text: wit.Some("it sells swords")}
	blocks := parlor.Done(contacts.Block("tybalt@example.org", wit.Some(report)))
	blocked, listed := parlor.Value(contacts.Blocked())
	unblocks := parlor.Done(contacts.Unblock("tybalt@example.org"))
	// ==
	slog.Info("contacts", "known", known, "both", both, "all", all, "blocked", blocked)
	return errors.Join(added, renamed, grouped, got, gotBoth, gotAll, listening, removed, blocks, listed, unblocks)
}

func asksTheWeb(ctx context.Context) error {
	// == http
	answer, err := parlor.HTTPDo(ctx, parlor.HTTPRequest{
		URL: "https://api.example.org/weather?city=Verona", Header: map[string]string{"authorization": "Bearer {{api_key}}"},
		Credentials: []string{"api_key"}, Follow: 3,
	})
	var weather struct{ Temperature float64 }
	if err == nil {
		err = answer.JSON(&weather)
	}
	body := map[string]string{"text": "But soft!"}
	note, sent := parlor.HTTPDo(ctx, parlor.HTTPRequest{Method: "POST", URL: "https://api.example.org/notes", JSON: body})

	// A body of any size goes in parts:
	exchange, opened := parlor.HTTPOpen(ctx, parlor.HTTPRequest{Method: "PUT", URL: "https://api.example.org/log"})
	if opened != nil {
		return opened
	}
	defer exchange.Close()
	_, written := exchange.Write([]byte("But soft!"))
	head, answered := exchange.Answer()
	size, read := io.Copy(io.Discard, exchange)
	// ==
	slog.Info("web", "weather", weather, "note", note, "head", head, "size", size)
	return errors.Join(err, sent, written, answered, read)
}

func shares(ctx context.Context) error {
	// == files
	text := "But soft!"
	upload, err := parlor.FilesUpload(ctx, "note.txt", "text/plain", int64(len(text)))
	if err != nil {
		return err
	}
	defer upload.Close()
	_, written := upload.Write([]byte(text))
	file, finished := upload.Finish()
	if err := errors.Join(written, finished); err != nil {
		return err
	}
	_, sent := parlor.ChatsSendMessage(ctx, juliet, parlor.Outgoing{Files: []parlor.File{file}})
	// For an encrypted chat:
	secret, err := parlor.FilesUploadEncrypted(ctx, "note.txt", "text/plain", int64(len(text)))
	if err != nil {
		return err
	}
	defer secret.Close()
	_, written = secret.Write([]byte(text))
	file, finished = secret.Finish()
	if err := errors.Join(written, finished); err != nil {
		return err
	}
	encrypted := parlor.Outgoing{Files: []parlor.File{file}, Encryption: "required"}
	_, sentToo := parlor.ChatsSendMessage(ctx, juliet, encrypted)

	_, listening := parlor.OnMessage(parlor.Filter{}, func(ctx context.Context, message *parlor.Message) error {
		for _, file := range message.Files {
			download, err := parlor.FilesOpen(ctx, file.URL)
			if err != nil {
				return err
			}
			size, err := io.Copy(io.Discard, download)
			if err := errors.Join(err, download.Close()); err != nil {
				return err
			}
			slog.Info("read", "name", file.Name, "size", size)
		}
		return nil
	})
	// ==
	return errors.Join(sent, sentToo, listening)
}

func looks(context.Context) error {
	// == disco
	_, added := parlor.Value(disco.OwnFeaturesAdd("urn:example:weather:1"))
	_, named := parlor.Value(disco.OwnIdentitiesAdd("automation", "weather", "Weather for Verona", wit.None[string]()))
	features, read := parlor.Value(disco.OwnFeaturesGet())
	identities, readBoth := parlor.Value(disco.OwnIdentitiesGet())
	cleared := parlor.Done(disco.OwnIdentitiesClear())
	support, asked := parlor.Value(disco.Supports("urn:xmpp:ping", "example.org"))
	server, found := parlor.Value(disco.GetIdentity("server", "im", "example.org"))
	clock, timed := parlor.Value(disco.Time("example.org"))
	software, versioned := parlor.Value(disco.Version("example.org"))
	idle, waited := parlor.Value(disco.LastActivity(juliet))
	// ==
	slog.Info("disco", "features", features, "identities", identities, "ping", support.Supported, "server", server)
	slog.Info("disco", "clock", clock.Utc, "software", software.Name, "idle", idle.Seconds)

	// == log
	slog.Info("ready") // or parlor.Logger().Info("ready")
	slog.Warn("somebody is not there", "jid", juliet)
	// ==
	return errors.Join(added, named, read, readBoth, cleared, asked, found, timed, versioned, waited)
}

func promising(ctx context.Context) error {
	// == promises
	added := parlor.PromisesAdd(ctx, "libraryOpen")
	addedBoth := parlor.Done(promises.AddAll([]string{"booksSorted", "lampsLit"}))
	// … and once they are:
	kept := parlor.Emit(ctx, "libraryOpen", map[string]int{"books": 12})
	broken := parlor.PromisesReject(ctx, "lampsLit", "there is no oil")
	// ==
	return errors.Join(added, addedBoth, kept, broken)
}

func enters(ctx context.Context) error {
	const ball, garden = "ball@rooms.example.org", "garden@rooms.example.org"
	// == rooms
	_, opened := parlor.RoomsOpen(ctx, room, parlor.RoomOptions{Nick: "bot"})
	_, openedBoth := parlor.Value(rooms.OpenMany([]string{garden, ball}, rooms.Attributes{Nick: wit.Some("bot")}))
	_, made := parlor.RoomsGetOrCreate(ctx, ball, parlor.RoomOptions{Nick: "bot"}, true)
	configured := parlor.RoomsConfigure(ctx, ball, map[string]any{"membersonly": true, "roomname": "The ball"})
	_, said := parlor.RoomsSend(ctx, room, "Good evening")

	there, got := parlor.Value(rooms.Get(room))
	both, gotBoth := parlor.Value(rooms.GetMany([]string{room, ball}))
	all, gotAll := parlor.Value(rooms.GetAll())
	people, seen := parlor.Value(rooms.Occupants(room))

	// As a moderator, an admin or an owner:
	titled := parlor.Done(rooms.SetSubject(room, "The feast"))
	muted := parlor.Done(rooms.SetRole(room, "romeo", parlor.RoleVisitor, wit.Some("enough for today")))
	joined := parlor.Done(rooms.SetAffiliation(room, juliet, parlor.AffiliationMember, wit.None[string]()))
	members, listed := parlor.Value(rooms.Affiliations(room, parlor.AffiliationMember))
	invited := parlor.Done(rooms.Invite(room, juliet, rooms.Invitation{Reason: wit.Some("You are expected.")}))
	kicked := parlor.Done(rooms.Kick(room, "romeo", wit.Some("not on the list")))
	banned := parlor.Done(rooms.Ban(room, "tybalt@example.org", wit.Some("no duels")))
	retracted := parlor.Done(rooms.Retract(room, "the stanza-id of a message", wit.Some("no duels")))
	_, answering := parlor.On("voiceRequest", parlor.Filter{}, func(ctx context.Context, event *parlor.Event) error {
		visitor := event.Occupant
		return parlor.Done(rooms.AnswerVoice(visitor.Room, visitor.Nick, visitor.Affiliation == parlor.AffiliationMember))
	})
	// As a visitor, and as somebody who wants to be known there:
	voiced := parlor.Done(rooms.RequestVoice("garden@rooms.example.org"))
	registered := parlor.Done(rooms.Register("garden@rooms.example.org", "bot", nil))
	reserved, asked := parlor.Value(rooms.ReservedNick("garden@rooms.example.org"))
	unregistered := parlor.Done(rooms.Unregister("garden@rooms.example.org"))
	_, listening := parlor.On("roomInviteReceived", parlor.Filter{}, func(ctx context.Context, event *parlor.Event) error {
		return parlor.Done(rooms.Decline(event.Invite.Room, event.Invite.From, wit.Some("another time")))
	})

	marked := parlor.Done(rooms.SetBookmark(rooms.Bookmark{Jid: room, Name: wit.Some("The hall"), Autojoin: true}))
	bookmarks, noted := parlor.Value(rooms.Bookmarks())
	unmarked := parlor.Done(rooms.RemoveBookmark(room))

	// For a front end:
	set := parlor.RoomsSetAttribute(ctx, room, "height", 400)
	height, _, read := parlor.RoomsGetAttribute[int](room, "height")
	focused := parlor.Done(rooms.Focus(room))
	shown := parlor.Done(rooms.Show(room))
	maximized := parlor.Done(rooms.Maximize(room))
	minimized := parlor.Done(rooms.Minimize(room))

	closed := parlor.Done(rooms.Close(room))
	_, closedMany := parlor.Value(rooms.CloseMany([]string{garden}))
	gone := parlor.Done(rooms.Destroy(ball, wit.Some("the ball is over"), wit.None[string]()))
	// ==
	slog.Info("rooms", "there", there, "both", both, "all", all, "people", people, "members", members, "reserved", reserved, "bookmarks", bookmarks, "height", height)
	return errors.Join(
		opened, openedBoth, made, configured, said, got, gotBoth, gotAll, seen, titled, muted, joined, listed, invited, kicked, banned,
		retracted, answering, voiced, registered, asked, unregistered, listening, marked, noted, unmarked, set, read, focused, shown, maximized, minimized, closed, closedMany, gone,
	)
}

func keeps(ctx context.Context) error {
	// == settings
	greeting := parlor.SettingsGet("greeting", "Hello")
	// In a timer or schedule, which handle no event of the room:
	inHall := parlor.SettingsGetIn("hall@rooms.example.org", "greeting", "Hello")
	changed := parlor.SettingsSet(ctx, "greeting", "Good evening")
	changedBoth := parlor.SettingsSetMany(ctx, map[string]any{"greeting": "Good evening", "limit": 12})
	// A new setting, and its default:
	added := parlor.SettingsUpdate(ctx, map[string]any{"colour": "red"})
	// ==
	slog.Info(greeting + inHall)

	// == storage
	set := parlor.StorageSet(ctx, "points/juliet", 3, 0)
	short := parlor.StorageSet(ctx, "cooldown", true, time.Minute)
	points, isThere, read := parlor.StorageGet[int](ctx, "points/juliet")
	_, counted := parlor.StorageChange(ctx, "points/juliet", func(points int) int { return points + 1 }, 0)
	isMine, compared := parlor.StorageCompareAndSet(ctx, "points/juliet", points, points+1, 0)
	entries, listed := parlor.StorageEntries[int](ctx, "points/")
	for _, entry := range entries {
		slog.Info(entry.Key, "points", entry.Value)
	}
	best, ranged := parlor.StorageRange[int](ctx, parlor.Range{Prefix: "points/", Descending: true, Limit: 5})
	visits, visited := parlor.StorageAdd(ctx, "visits", 1, 0)
	var sale parlor.Changes
	isSold, sold := sale.Expect("seat/7", "free").Set("seat/7", "juliet", 0).Add("sold", 1).Make(ctx)
	keys, named := parlor.StorageKeys(ctx, "points/")
	_, deleted := parlor.StorageDelete(ctx, "points/juliet")
	// ==
	slog.Info("points", "there", isThere, "mine", isMine, "best", best, "visits", visits, "sold", isSold, "keys", keys)
	changes := errors.Join(changed, changedBoth, added, set, short, read, counted, compared)
	return errors.Join(changes, listed, ranged, visited, sold, named, deleted)
}

func waits(ctx context.Context) error {
	tick := func(context.Context) error {
		slog.Info("another minute")
		return nil
	}
	// == timers
	err := parlor.Sleep(ctx, 500*time.Millisecond)
	timer, set := parlor.Every(time.Minute, tick)
	_, later := parlor.After(10*time.Minute, tick)
	ended := timer.End()
	// ==
	return errors.Join(err, set, later, ended)
}

func knows(ctx context.Context) error {
	// == tokens
	rid, noRid := parlor.Value(tokens.Get("rid"))
	sid, noSid := parlor.Value(tokens.Get("sid"))
	// ==
	slog.Info("session", "rid", rid, "sid", sid)

	// == user
	set := parlor.Done(user.SetStatus("dnd", wit.Some("reading")))
	told := parlor.Done(user.SetStatusMessage("reading a sonnet"))
	status, read := parlor.Value(user.GetStatus())
	own := parlor.UserBareJID()
	full := user.Jid()
	left := parlor.Done(user.Logout())
	back := parlor.Done(user.Login(wit.None[user.Credentials]()))
	// ==
	slog.Info(own, "full", full, "status", status.Value)

	// == vcard
	card, fetched := parlor.Value(vcard.Get(juliet, false))
	kept := parlor.Done(vcard.Set(vcard.CardData{Nickname: wit.Some("bot")}))
	shown := parlor.Done(vcard.Update(juliet, false)) // so that the contact, chat or occupant shows it
	// ==
	slog.Info("card", "nickname", card.Nickname)
	return errors.Join(noRid, noSid, set, told, read, left, back, fetched, kept, shown)
}

func commands(ctx context.Context) error {
	// == commands
	weather, err := parlor.OnCommand(ctx, "weather", "Says what the weather will be", "CITY [DAY]",
		func(ctx context.Context, command *parlor.Command) error {
			return parlor.Reply(ctx, command.Message, "Sunshine in "+command.Rest)
		})
	parlor.OnStop(func(context.Context) error { return weather.End() })

	// One whose arguments the host reads:
	_, declared := parlor.CommandsDeclare(ctx, parlor.Declaration{
		Name: "roll", Help: "Rolls dice",
		Arguments: []parlor.Argument{
			parlor.IntegerArgument("count", 1, 100).Default("1"), parlor.ChoiceArgument("sides", "6", "20").Default("6"),
			parlor.FlagArgument("secret"),
		},
		Allow: []parlor.People{parlor.PeopleRole(parlor.RoleParticipant)}, PersonCooldown: 10 * time.Second,
	}, func(ctx context.Context, command *parlor.Command) error {
		dice := fmt.Sprintf("%d dice with %s sides", command.Integer("count"), command.Text("sides"))
		if command.Flag("secret") {
			return parlor.ReplyInChat(ctx, command.Message, dice)
		}
		// In the form, if the command was given by one.
		return parlor.Answer(ctx, command, dice)
	})
	// ==
	return errors.Join(err, declared)
}

func listens() error {
	// == listen
	service, err := parlor.On("message", parlor.Filter{Room: room, Prefix: "bot:"},
		func(ctx context.Context, event *parlor.Event) error {
			return parlor.Reply(ctx, event.Message, "at your service")
		})
	_, once := parlor.Once("disconnected", parlor.Filter{}, func(context.Context, *parlor.Event) error {
		return service.End()
	})
	// ==
	return errors.Join(err, once)
}

func hearsRequests() error {
	// == webhooks
	_, err := parlor.OnWebhook("github", func(ctx context.Context, hook *parlor.Webhook) error {
		if hook.Header["x-github-event"] == "push" {
			var push struct{ Ref, After string }
			if err := hook.JSON(&push); err != nil {
				return err
			}
			if _, err := parlor.RoomsSend(ctx, room, push.Ref+" is at "+push.After); err != nil {
				return err
			}
		}
		return parlor.WebhooksAnswer(ctx, hook, parlor.WebhookAnswer{Status: 204}) // in the mode answer
	})
	later := parlor.OnReady(func(ctx context.Context) error {
		address, err := parlor.WebhooksAddress(ctx, "github")
		if err != nil {
			return err
		}
		_, err = parlor.ChatsSend(ctx, juliet, "Give GitHub "+address) // not into the log: it is a secret
		return err
	})
	// ==
	return errors.Join(err, later)
}

func wakes(ctx context.Context) error {
	// == schedules
	const zone = "Europe/Berlin"
	_, err := parlor.OnSchedule("standup", func(ctx context.Context, due *parlor.DueTime) error {
		text, err := parlor.SchedulesFormat(due.Due, zone, "%A, %H:%M: the standup begins")
		if err != nil {
			return err
		}
		_, err = parlor.RoomsSend(ctx, room, text)
		return err
	})
	if err != nil {
		return err
	}
	if _, err = parlor.SchedulesCron(ctx, "standup", "0 9 * * MON-FRI", zone, parlor.CatchUp); err != nil {
		return err
	}
	if _, err = parlor.SchedulesEvery(ctx, "backup", 6*time.Hour, parlor.CatchUp); err != nil {
		return err
	}
	noon, err := parlor.SchedulesParse("tomorrow 12:00", zone)
	if err != nil {
		return err
	}
	local, err := parlor.SchedulesToLocal(noon, zone)
	if err != nil {
		return err
	}
	if local.Weekday() != time.Saturday && local.Weekday() != time.Sunday {
		isSet, err := parlor.SchedulesAt(ctx, "lunch", noon, parlor.CatchUp)
		if err != nil {
			return err
		}
		slog.Info("lunch", "at", noon, "set", isSet)
	}
	all, err := parlor.SchedulesList(ctx)
	for _, schedule := range all {
		if strings.HasPrefix(schedule.Name, "old-") {
			_, failed := parlor.SchedulesCancel(ctx, schedule.Name)
			err = errors.Join(err, failed)
		}
	}
	// ==
	return err
}

func answers() error {
	// == iq
	_, err := parlor.OnIQ(func(ctx context.Context, request *parlor.IQRequest) error {
		if request.Kind != "get" {
			return parlor.IQRefuse(ctx, request, "not-allowed", "it can only be read")
		}
		return parlor.IQAnswer(ctx, request, parlor.NewElement("temperature").NS("urn:example:weather").Text("7"))
	})
	// ==
	return err
}

func answersPlugins() error {
	// == plugins
	_, err := parlor.OnRequest(func(ctx context.Context, request *parlor.PluginRequest) error {
		var currency string
		if err := request.Decode(&currency); err != nil {
			return err
		}
		price, err := parlor.PluginsCall[float64](ctx, "bank", "price", currency)
		if rejected := (*parlor.Rejected)(nil); errors.As(err, &rejected) {
			return parlor.PluginsRefuse(ctx, request, currency+" is no currency")
		}
		if err != nil {
			return err
		}
		return parlor.PluginsAnswer(ctx, request, map[string]float64{"rate": price * 1.02})
	})
	// ==
	return err
}

func guards() error {
	// == moderation
	var judge moderation.Judge
	_, err := parlor.OnMessage(parlor.Filter{Kind: parlor.KindGroupchat}, func(ctx context.Context, message *parlor.Message) error {
		author, err := parlor.OccupantOf(message)
		if err != nil || author == nil || moderation.IsSpared(author) {
			return err
		}
		key, said := moderation.Key(author), moderation.SaidOf(message)
		verdict := judge.Hear(moderation.DefaultRules(), message.Chat, key, said, time.Now())
		if verdict.Offence != moderation.OffenceLink || message.StanzaID == "" {
			return nil
		}
		return parlor.Done(rooms.Retract(message.Chat, message.StanzaID, wit.Some("no links yet")))
	})
	// ==
	return err
}

func judges() error {
	// == hooks
	_, outgoing := parlor.On("hookOutgoing", parlor.Filter{}, func(ctx context.Context, event *parlor.Event) error {
		body := event.Hook.Message.Body
		switch {
		case body == "":
			return parlor.HooksAllow(ctx, event.Hook)
		case strings.Contains(body, "secret"):
			return parlor.HooksStop(ctx, event.Hook, "it names a secret")
		default:
			return parlor.HooksAlter(ctx, event.Hook, body+" (a bot)", "")
		}
	})
	_, incoming := parlor.On("hookIncoming", parlor.Filter{}, func(ctx context.Context, event *parlor.Event) error {
		if strings.Contains(event.Hook.Message.Body, "casino") {
			return parlor.HooksMark(ctx, event.Hook, "advertisement")
		}
		return parlor.HooksAllow(ctx, event.Hook)
	})
	// A function that returns the verdict does the same.
	_, commands := parlor.OnHookCommand(func(ctx context.Context, hook *parlor.Hook) (parlor.CommandVerdict, error) {
		if count := len(hook.Arguments); count > 0 && hook.Arguments[count-1] == "123456" {
			return parlor.CommandVerdict{}, nil
		}
		return parlor.CommandVerdict{Refuse: true, Text: "Add your code."}, nil
	})
	err := errors.Join(outgoing, incoming, commands)
	// ==
	return err
}

func asksPeople(ctx context.Context) error {
	// == dialogs
	_, err := parlor.OnCommand(ctx, "order", "Orders a pizza", "", func(ctx context.Context, order *parlor.Command) error {
		question := parlor.Question{Text: "Which size?", Choices: []string{"small", "large"}, Timeout: time.Minute}
		size, err := parlor.AskAuthor(ctx, order.Message, question)
		if rejected := (*parlor.Rejected)(nil); errors.Is(err, parlor.ErrTimedOut) || errors.As(err, &rejected) {
			return parlor.Reply(ctx, order.Message, "No pizza, then.")
		}
		if gone := (*parlor.NotFound)(nil); errors.Is(err, parlor.ErrStopped) || errors.As(err, &gone) {
			return nil // another order took its place, or they left the room
		}
		if err != nil {
			return err
		}
		return parlor.Reply(ctx, order.Message, "A "+size.Text+" pizza it is.")
	})
	// ==
	return err
}

func publishes(ctx context.Context) error {
	// == pubsub
	const service = "pubsub.example.org"
	_, err := parlor.OnPubsub(func(ctx context.Context, event *parlor.PubsubEvent) error {
		slog.Info(event.Node, "kind", event.Kind, "xml", event.XML)
		return nil
	})
	if err != nil {
		return err
	}
	if _, err := parlor.PubsubSubscribe(ctx, service, "weather"); err != nil {
		created := parlor.PubsubCreate(ctx, service, "weather", nil)
		configured := parlor.PubsubConfigure(ctx, service, "weather", parlor.NodeOptions{Access: "open", MaxItems: 10})
		if err := errors.Join(created, configured); err != nil {
			return err
		}
	}
	degrees := parlor.NewElement("temperature").NS("urn:example:weather").Text("7")
	if _, err := parlor.PubsubPublish(ctx, service, "weather", "Verona", degrees, nil); err != nil {
		return err
	}
	items, last, err := parlor.PubsubItems(ctx, service, "weather", 10, "")
	if err != nil {
		return err
	}
	if last != "" {
		return parlor.PubsubPurge(ctx, service, "weather")
	}
	if item, err := parlor.PubsubItem(ctx, service, "weather", "Padua"); len(items) > 1 && item != nil && err == nil {
		return parlor.PubsubRetract(ctx, service, "weather", "Padua")
	}
	parlor.OnStop(func(ctx context.Context) error {
		return errors.Join(parlor.PubsubUnsubscribe(ctx, service, "weather"), parlor.PubsubDelete(ctx, service, "weather"))
	})
	// ==
	return nil
}
