package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"parlor"
	"parlor/contract/rooms"
	"parlor/contract/wit"
	"parlor/moderation"
)

// A person is somebody in a room.
type person struct {
	Nick string
	// Address is the bare JID; empty if the room hides it.
	Address string
	// Key stands for the person in the storage: by the occupant id or the address, whatever the nickname, or else by the nickname.
	Key string
	// IsThere says that the nickname is the present one.
	IsThere bool
}

func personOf(one *parlor.Occupant) person {
	address, _, _ := strings.Cut(one.Jid.Some(), "/")
	key := plain(one.Nick)
	if _, hasID := one.OccupantId.Get(); hasID || address != "" {
		key = hashed("id " + moderation.Key(one))
	}
	return person{Nick: one.Nick, Address: address, Key: key, IsThere: true}
}

// The key of a name that nobody has here, which is also that of a nickname where nothing else is known of who has it.
func plain(name string) string {
	name = strings.ToLower(name)
	if len(name) > longest || strings.ContainsAny(name, signs) {
		return hashed("nick " + name)
	}
	return name
}

// A key that no plain name has, without the slash that separates the parts of a key.
func hashed(text string) string {
	sum := sha256.Sum256([]byte(text))
	return known + hex.EncodeToString(sum[:16])
}

const known = "+"

// The room of a message, and the nickname of its author there; both are empty for a chat of two.
func place(message *parlor.Message) (room, nick string) {
	if room, nick, isWhispered := strings.Cut(message.Chat, "/"); isWhispered {
		return room, nick
	}
	if message.Kind == parlor.KindGroupchat {
		return message.Chat, message.Nick
	}
	return "", ""
}

// Those who are in the room of a message. Without rooms.read and in a chat of two there is nobody, and a name is what people write.
func people(message *parlor.Message) []person {
	room, _ := place(message)
	if room == "" {
		return nil
	}
	there, err := parlor.Value(rooms.Occupants(room))
	if err != nil {
		return nil
	}
	var all []person
	for at := range there {
		all = append(all, personOf(&there[at]))
	}
	return all
}

// Returns the author of a message in a room. In a chat of two, the person has no key.
func author(message *parlor.Message, there []person) person {
	room, nick := place(message)
	if room == "" {
		return person{}
	}
	for _, one := range there {
		if one.Nick == nick {
			return one
		}
	}
	left := parlor.Occupant{Room: room, Nick: nick}
	if message.OccupantID != "" {
		left.OccupantId = wit.Some(message.OccupantID)
	}
	return personOf(&left)
}

// The nicknames that people had before, in their rooms, with their keys. Those of a crowd are not all remembered, and none after a restart.
var former = map[string]string{}

// Remembers who had a nickname, and shows the person by the new one from here on.
func rename(ctx context.Context, event *parlor.Event) error {
	one := event.Occupant
	before, isRenamed := one.PreviousNick.Get()
	who := personOf(one)
	if !isRenamed || who.Key == plain(one.Nick) {
		// If only the nickname is known, another person may take it next.
		return nil
	}
	if len(former) < mostThanked {
		former[key("", one.Room, strings.ToLower(before))] = who.Key
	}
	_, isKept, err := parlor.StorageGet[string](ctx, key(names, one.Room, who.Key))
	if err != nil || !isKept {
		return err
	}
	return parlor.StorageSet(ctx, key(names, one.Room, who.Key), one.Nick, 0)
}

// Finds the person for a name that nobody in the chat has now: one listed by it, else one who had it before, else the name alone.
func absent(ctx context.Context, chat, name string) (person, error) {
	prefix := key(names, chat, "")
	kept, err := parlor.StorageEntries[string](ctx, prefix)
	if err != nil {
		return person{}, err
	}
	for _, one := range kept {
		who := one.Key[len(prefix):]
		if strings.HasPrefix(who, known) && !isElsewhere(who) && strings.EqualFold(one.Value, name) {
			return person{Nick: one.Value, Key: who}, nil
		}
	}
	room, _, _ := strings.Cut(chat, "/")
	if who, ok := former[key("", room, strings.ToLower(name))]; ok {
		return person{Nick: name, Key: who}, nil
	}
	return person{Nick: name, Key: plain(name)}, nil
}

// The person of this nickname or address, the one with the same capitals first; nil if nobody is there.
func named(name string, there []person) *person {
	var found *person
	for at := range there {
		one := &there[at]
		if one.Nick == name {
			return one
		}
		if found == nil && (strings.EqualFold(one.Nick, name) || strings.EqualFold(one.Address, name)) {
			found = one
		}
	}
	return found
}
