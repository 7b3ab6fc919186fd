// The calls of chats.chat, contacts.chat, announced.chat and members.chat.
package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"parlor"
	"parlor/contract/chats"
	"parlor/contract/contacts"
	"parlor/contract/disco"
	"parlor/contract/rooms"
	"parlor/contract/types"
	"parlor/contract/wit"
)

const bob, nobody, hall, ball = "bob@example.org", "nobody@example.org", "hall@rooms.example.org", "ball@rooms.example.org"

// Subscribes to their events.
func hears() error {
	_, asks := parlor.On("contactRequest", parlor.Filter{}, func(ctx context.Context, event *parlor.Event) error {
		if strings.HasPrefix(event.Contact.Jid, "carol") {
			return parlor.Done(contacts.Accept(event.Contact.Jid))
		}
		return parlor.Done(contacts.Deny(event.Contact.Jid))
	})
	_, invites := parlor.On("roomInviteReceived", parlor.Filter{}, func(ctx context.Context, event *parlor.Event) error {
		return parlor.Done(rooms.Decline(event.Invite.Room, event.Invite.From, wit.Some("another time")))
	})
	return errors.Join(asks, invites)
}

// Makes one of these calls, and gives what is to be told of it.
func callEntities(name, what string) (string, error) {
	switch name {
	case "chats":
		return chatCalls(what)
	case "contacts":
		return contactCalls(what)
	case "announce", "announced", "clear", "server":
		return discoCalls(name)
	case "members":
		return memberCalls(what)
	case "rooms":
		return roomCalls(what)
	}
	return "", nil
}

// Shows which of them there are, by something of each.
func those[T any](some []wit.Option[T], of func(T) string) string {
	var all []string
	for _, one := range some {
		text := "-"
		if value, ok := one.Get(); ok {
			text = of(value)
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

// Makes each call for the same one.
func each(jid string, calls ...func(string) wit.Result[wit.Unit, types.Error]) error {
	for _, call := range calls {
		if err := parlor.Done(call(jid)); err != nil {
			return err
		}
	}
	return nil
}

// chats.chat

func chatCalls(what string) (string, error) {
	jid := func(chat types.Chat) string { return chat.Jid }
	switch what {
	case "open":
		opened, err := parlor.Value(chats.OpenMany([]string{alice, bob}))
		var all []string
		for _, one := range opened {
			all = append(all, one.Ok().Jid)
		}
		return strings.Join(all, ", "), err
	case "get":
		one, err := parlor.Value(chats.Get(bob))
		two, errTwo := parlor.Value(chats.GetMany([]string{alice, nobody}))
		all, errAll := parlor.Value(chats.GetAll())
		first := those([]wit.Option[types.Chat]{one}, jid)
		return fmt.Sprintf("%s; %s; %d", first, those(two, jid), len(all)), errors.Join(err, errTwo, errAll)
	case "show":
		return "done", each(bob, chats.Focus, chats.Show, chats.Maximize, chats.Minimize)
	}
	if err := parlor.Done(chats.Close(bob)); err != nil {
		return "", err
	}
	closed, err := parlor.Value(chats.CloseMany([]string{alice}))
	return fmt.Sprint(len(closed)), err
}

// contacts.chat

func contactCalls(what string) (string, error) {
	if what == "change" {
		renamed := parlor.Done(contacts.Rename(alice, "Al"))
		return "done", errors.Join(renamed, parlor.Done(contacts.SetGroups(alice, []string{"family", "friends"})))
	}
	one, err := parlor.Value(contacts.Get(alice))
	two, errTwo := parlor.Value(contacts.GetMany([]string{alice, nobody}))
	all, errAll := parlor.Value(contacts.GetAll())
	first := those([]wit.Option[types.Contact]{one}, func(contact types.Contact) string {
		return contact.Fullname + " " + strings.Join(contact.Groups, " ")
	})
	second := those(two, func(contact types.Contact) string { return contact.Jid })
	return fmt.Sprintf("%s; %s; %d", first, second, len(all)), errors.Join(err, errTwo, errAll)
}

// announced.chat

func discoCalls(name string) (string, error) {
	switch name {
	case "announce":
		added, err := parlor.Value(disco.OwnFeaturesAdd("urn:example:news"))
		named, errNamed := parlor.Value(disco.OwnIdentitiesAdd("automation", "weather", "Weather", wit.None[string]()))
		return fmt.Sprintf("%t %t", added, named), errors.Join(err, errNamed)
	case "announced":
		features, err := parlor.Value(disco.OwnFeaturesGet())
		identities, errIdentities := parlor.Value(disco.OwnIdentitiesGet())
		var names []string
		for _, one := range identities {
			names = append(names, fmt.Sprintf("%s/%s %s", one.Category, one.Kind, orNone(one.Name.Some())))
		}
		text := fmt.Sprintf("%t; %s", slices.Contains(features, "urn:example:news"), strings.Join(names, ", "))
		return text, errors.Join(err, errIdentities)
	case "clear":
		return "done", parlor.Done(disco.OwnIdentitiesClear())
	}
	server, err := parlor.Value(disco.GetIdentity("server", "im", "example.org"))
	ping, errPing := parlor.Value(disco.Supports("urn:xmpp:ping", "example.org"))
	none, errNone := parlor.Value(disco.Supports("urn:example:none", "example.org"))
	text := fmt.Sprintf("%s %t %t", orNone(server.Some().Kind), ping.Supported, none.Supported)
	return text, errors.Join(err, errPing, errNone)
}

// members.chat

func memberCalls(what string) (string, error) {
	switch what {
	case "list":
		members, err := parlor.Value(rooms.Affiliations(garden, parlor.AffiliationMember))
		all := []string{}
		for _, one := range members {
			all = append(all, one.Jid)
		}
		if len(all) == 0 {
			return "nobody", err
		}
		return strings.Join(all, ", "), err
	case "change":
		muted := parlor.Done(rooms.SetRole(garden, "bob", parlor.RoleVisitor, wit.Some("enough")))
		return "done", errors.Join(muted, parlor.Done(rooms.SetAffiliation(garden, bob, parlor.AffiliationMember, wit.None[string]())))
	case "invite":
		return "done", parlor.Done(rooms.Invite(garden, "carol@example.org", rooms.Invitation{Reason: wit.Some("come")}))
	}
	return "done", parlor.Done(rooms.Ban(garden, bob, wit.Some("spam")))
}

func roomCalls(what string) (string, error) {
	switch what {
	case "open":
		opened, err := parlor.Value(rooms.OpenMany([]string{hall, ball}, rooms.Attributes{Nick: wit.Some("bot")}))
		return fmt.Sprint(len(opened)), err
	case "get":
		one, err := parlor.Value(rooms.Get(hall))
		two, errTwo := parlor.Value(rooms.GetMany([]string{ball, garden}))
		all, errAll := parlor.Value(rooms.GetAll())
		first := those([]wit.Option[types.Room]{one}, func(room types.Room) string { return room.Nick })
		second := those(two, func(room types.Room) string { return room.Jid })
		return fmt.Sprintf("%s; %s; %d", first, second, len(all)), errors.Join(err, errTwo, errAll)
	case "show":
		return "done", each(hall, rooms.Focus, rooms.Show, rooms.Maximize, rooms.Minimize)
	case "bookmark":
		return bookmark()
	}
	if err := parlor.Done(rooms.Destroy(ball, wit.Some("it is over"), wit.None[string]())); err != nil {
		return "", err
	}
	closed, err := parlor.Value(rooms.CloseMany([]string{hall}))
	return fmt.Sprint(len(closed)), err
}

func bookmark() (string, error) {
	set := parlor.Done(rooms.SetBookmark(rooms.Bookmark{Jid: hall, Name: wit.Some("The hall"), Autojoin: true}))
	marked, err := parlor.Value(rooms.Bookmarks())
	var all []string
	for _, one := range marked {
		all = append(all, one.Jid+" "+orNone(one.Name.Some()))
	}
	removed := parlor.Done(rooms.RemoveBookmark(hall))
	left, errLeft := parlor.Value(rooms.Bookmarks())
	return fmt.Sprintf("%s; %d", strings.Join(all, ", "), len(left)), errors.Join(set, err, removed, errLeft)
}
