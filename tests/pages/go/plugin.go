// The examples on the pages of docs/api. Each page shows the part between its two marks.
package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"parlor"
	"parlor/contract/archive"
	"parlor/contract/chats"
	"parlor/contract/chatviews"
	"parlor/contract/connection"
	"parlor/contract/contacts"
	"parlor/contract/disco"
	"parlor/contract/rooms"
	"parlor/contract/tokens"
	"parlor/contract/user"
	"parlor/contract/vcard"
	"parlor/contract/wit"
)

const room, juliet = "hall@rooms.example.org", "juliet@example.org"

func main() { parlor.Start(start) }

func start(ctx context.Context) error {
	return errors.Join(
		listens(), commands(ctx), parlor.OnReady(asks), parlor.OnReady(reads), parlor.OnReady(chatting), parlor.OnReady(enters),
		parlor.OnReady(keeps), parlor.OnReady(looks), parlor.OnReady(waits), parlor.OnReady(knows),
	)
}

func asks(ctx context.Context) error {
	// == api
	err := parlor.Emit(ctx, "libraryOpen", map[string]int{"books": 12})
	_, waited := parlor.WaitUntil(ctx, "rosterContactsFetched")
	query := parlor.NewElement("query").NS(parlor.NSVersion)
	answer, asked := parlor.APISendIQ(ctx, parlor.NewIQ("get").To("example.org").Child(query))
	// ==
	slog.Info(answer)
	return errors.Join(err, waited, asked)
}

func reads(ctx context.Context) error {
	// == archive
	options := archive.Options{With: wit.Some(juliet), Start: parlor.Time(time.Now().AddDate(0, 0, -7))}
	for message, err := range parlor.ArchiveQueryAll(ctx, options) {
		if err != nil {
			return err
		}
		slog.Info(message.Body)
	}
	// ==
	return nil
}

func chatting(ctx context.Context) error {
	// == chats
	_, err := parlor.ChatsSend(ctx, juliet, "But soft!")
	chat, opened := parlor.Value(chats.Open(juliet))
	set := parlor.ChatsSetAttribute(ctx, chat.Jid, "height", 400)
	// ==

	// == chatviews
	view, found := parlor.Value(chatviews.Get(juliet))
	isSmall := view.Some().Minimized
	// ==
	slog.Info("chat", "small", isSmall)

	// == connection
	if !connection.Connected() {
		slog.Info("nobody hears us yet")
	}
	// ==

	// == contacts
	contact, added := parlor.Value(contacts.Add(juliet, wit.Some("Juliet")))
	grouped := parlor.Done(contacts.SetGroups(contact.Jid, []string{"friends"}))
	// ==
	return errors.Join(err, opened, set, found, added, grouped)
}

func looks(ctx context.Context) error {
	// == disco
	_, err := parlor.Value(disco.OwnFeaturesAdd("urn:example:weather:1"))
	support, asked := parlor.Value(disco.Supports("urn:xmpp:ping", "example.org"))
	// ==
	slog.Info("ping", "supported", support.Supported)

	// == log
	slog.Info("ready")
	slog.Warn("somebody is not there", "jid", juliet)
	// ==
	return errors.Join(err, asked)
}

func enters(ctx context.Context) error {
	// == rooms
	_, err := parlor.Value(rooms.Open(room, rooms.Attributes{Nick: wit.Some("bot")}))
	_, said := parlor.RoomsSend(ctx, room, "Good evening")
	muted := parlor.Done(rooms.SetRole(room, "romeo", parlor.RoleVisitor, wit.Some("enough for today")))
	// ==
	return errors.Join(err, said, muted)
}

func keeps(ctx context.Context) error {
	// == promises
	err := parlor.PromisesAdd(ctx, "libraryOpen")
	// … and once it is:
	kept := parlor.Emit(ctx, "libraryOpen", map[string]int{"books": 12})
	// ==

	// == settings
	greeting := parlor.SettingsGet("greeting", "Hello")
	changed := parlor.SettingsSet(ctx, "greeting", "Good evening")
	// ==
	slog.Info(greeting)

	// == storage
	set := parlor.StorageSet(ctx, "points/juliet", 3, 0)
	_, counted := parlor.StorageChange(ctx, "points/juliet", func(points int) int { return points + 1 }, 0)
	entries, read := parlor.StorageEntries[int](ctx, "points/")
	for _, entry := range entries {
		slog.Info(entry.Key, "points", entry.Value)
	}
	short := parlor.StorageSet(ctx, "cooldown", true, time.Minute)
	// ==
	return errors.Join(err, kept, changed, set, counted, read, short)
}

func waits(ctx context.Context) error {
	// == timers
	err := parlor.Sleep(ctx, 500*time.Millisecond)
	_, set := parlor.Every(time.Minute, func(context.Context) error {
		slog.Info("another minute")
		return nil
	})
	// ==
	return errors.Join(err, set)
}

func knows(ctx context.Context) error {
	// == tokens
	rid, noRid := parlor.Value(tokens.Get("rid"))
	sid, noSid := parlor.Value(tokens.Get("sid"))
	// ==
	slog.Info(rid.Some() + sid.Some())

	// == user
	err := parlor.Done(user.SetStatus("dnd", wit.Some("reading")))
	own := parlor.UserBareJID()
	// ==
	slog.Info(own)

	// == vcard
	card, read := parlor.Value(vcard.Get(juliet, false))
	set := parlor.Done(vcard.Set(vcard.CardData{Nickname: wit.Some("bot")}))
	// ==
	slog.Info(card.Nickname.Some())
	return errors.Join(noRid, noSid, err, read, set)
}

func commands(ctx context.Context) error {
	// == commands
	_, err := parlor.OnCommand(ctx, "weather", "Says what the weather will be", "CITY [DAY]",
		func(ctx context.Context, command *parlor.Command) error {
			return parlor.Reply(ctx, command.Message, "Sunshine in "+command.Rest)
		})
	// ==
	return err
}

func listens() error {
	// == listen
	_, err := parlor.OnMessage(parlor.Filter{Room: room, Prefix: "bot:"},
		func(ctx context.Context, message *parlor.Message) error {
			return parlor.Reply(ctx, message, "at your service")
		})
	// ==
	return err
}
