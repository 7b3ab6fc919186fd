package parlor

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sort"

	"parlor/contract/chats"
	"parlor/contract/rooms"
	"parlor/contract/settings"
	"parlor/contract/types"
	"parlor/contract/wit"
)

// Address is the address of an entity: a text as it is, the JID of a Contact, Chat, View or Room, and of an Occupant the room with the
// nickname. Empty where it has none, which the host answers by Invalid. So a call that takes an address takes each of them:
//
//	card, err := parlor.Value(vcard.Get(parlor.Address(occupant), false))
func Address(entity any) string {
	switch one := entity.(type) {
	case string:
		return one
	case Contact:
		return one.Jid
	case *Contact:
		return one.Jid
	case Chat:
		return one.Jid
	case *Chat:
		return one.Jid
	case types.View:
		return one.Jid
	case *types.View:
		return one.Jid
	case Room:
		return one.Jid
	case *Room:
		return one.Jid
	case Occupant:
		return one.Room + "/" + one.Nick
	case *Occupant:
		return one.Room + "/" + one.Nick
	}
	return ""
}

// Attribute is one attribute of a contact by its name: ask, chat_status, fullname, groups, id, image, image_type, jid, requesting,
// resources, status, subscription, url, user_id or vcard_updated. A name may be spelled as any language spells it: chat-status,
// chatStatus. Nil where there is none of this name, or it has no value.
func Attribute(contact *Contact, name string) any {
	text := func(text wit.Option[string]) any {
		if value, ok := text.Get(); ok {
			return value
		}
		return nil
	}
	switch snakeCase(name) {
	case "ask":
		return text(contact.Ask)
	case "chat_status":
		return contact.ChatStatus
	case "fullname":
		return contact.Fullname
	case "groups":
		return contact.Groups
	case "id", "jid":
		return contact.Jid
	case "image":
		return text(contact.Image)
	case "image_type":
		return text(contact.ImageType)
	case "requesting":
		return contact.Requesting
	case "resources":
		return contact.Resources
	case "status":
		return text(contact.Status)
	case "subscription":
		return contact.Subscription
	case "url":
		return text(contact.Url)
	case "user_id":
		return contact.UserId
	case "vcard_updated":
		return text(contact.VcardUpdated)
	}
	return nil
}

// The name as the SDKs that have underscores spell it, of that of any language.
func snakeCase(name string) string {
	var spelled []byte
	for at := range len(name) {
		sign := name[at]
		if sign >= 'A' && sign <= 'Z' && at > 0 && name[at-1] >= 'a' && name[at-1] <= 'z' {
			spelled = append(spelled, '_', sign-'A'+'a')
		} else if sign == '-' {
			spelled = append(spelled, '_')
		} else {
			spelled = append(spelled, sign)
		}
	}
	return string(spelled)
}

// ChatsGetAttribute reads an attribute of an open chat, or a field of its record such as fullname, and says whether there is one. The
// address may be that of an entity: parlor.Address(chat). Needs chats.read.
//
//	height, ok, err := parlor.ChatsGetAttribute[int](chat.Jid, "height")
func ChatsGetAttribute[T any](chat, name string) (value T, ok bool, err error) {
	return attribute[T](chat, func() wit.Result[wit.Option[string], types.Error] { return chats.GetAttribute(chat, name) })
}

// ChatsSetAttribute sets an attribute of an open chat until it is closed, to whatever encoding/json makes JSON of; nil takes it away.
// Needs chats.write.
func ChatsSetAttribute(ctx context.Context, chat, name string, value any) error {
	text, err := marshal(value)
	if err != nil {
		return err
	}
	return done(ctx, chat, func() wit.Result[wit.Unit, types.Error] { return chats.SetAttribute(chat, name, string(text)) })
}

// RoomsGetAttribute reads what was set for a front end, or a field of the room's record such as nick, and says whether there is
// anything. Needs rooms.read.
func RoomsGetAttribute[T any](room, name string) (value T, ok bool, err error) {
	return attribute[T](room, func() wit.Result[wit.Option[string], types.Error] { return rooms.GetAttribute(room, name) })
}

// RoomsSetAttribute keeps something for a front end as long as the room is open, whatever encoding/json makes JSON of; nil takes it
// away. Needs rooms.join.
func RoomsSetAttribute(ctx context.Context, room, name string, value any) error {
	text, err := marshal(value)
	if err != nil {
		return err
	}
	return done(ctx, room, func() wit.Result[wit.Unit, types.Error] { return rooms.SetAttribute(room, name, string(text)) })
}

func attribute[T any](of string, get func() wit.Result[wit.Option[string], types.Error]) (value T, ok bool, err error) {
	text, err := call(context.Background(), of, get)
	if err != nil || text.Tag() == wit.OptionNone {
		return value, false, err
	}
	err = json.Unmarshal([]byte(text.Some()), &value)
	return value, err == nil, err
}

// RoomOptions are how a room is entered. The bookmark and the settings decide the fields that are left out.
type RoomOptions struct {
	Nick, Password string
	// AutoConfigure has a room that this makes configured; with a Config it is, in any case.
	AutoConfigure bool
	// Config are fields of its configuration, named without muc#roomconfig_: each a bool, a text, a whole number, or several texts.
	// Needs rooms.configure for the room as well.
	Config map[string]any
	// Maximize makes a room large again that is minimized; BringToForeground gives it the focus, where another chat or room is open.
	Maximize, BringToForeground bool
}

// RoomsEnter enters a room under a nickname, and returns when we are in; the nickname may be empty. Needs rooms.join.
func RoomsEnter(ctx context.Context, room, nick string) (*Room, error) {
	return RoomsOpen(ctx, room, RoomOptions{Nick: nick})
}

// RoomsOpen is the same with all that a room may be entered with. Needs rooms.join.
//
//	config := map[string]any{"membersonly": true, "roomdesc": "Comfy room for hanging out", "whois": "anyone"}
//	room, err := parlor.RoomsOpen(ctx, "myroom@conference.example.org", parlor.RoomOptions{Nick: "coolguy69", Config: config})
func RoomsOpen(ctx context.Context, room string, options RoomOptions) (*Room, error) {
	attributes, err := options.attributes()
	if err != nil {
		return nil, err
	}
	opened, err := call(ctx, room, func() wit.Result[types.Room, types.Error] { return rooms.Open(room, attributes) })
	if err != nil {
		return nil, err
	}
	return &opened, nil
}

// RoomsGetOrCreate is the room, which is entered with these options where it is not open and create is true; nil where it is not open
// and create is false. Needs rooms.read, and rooms.join to enter it.
//
//	room, err := parlor.RoomsGetOrCreate(ctx, "hall@rooms.example.org", parlor.RoomOptions{Nick: "Romeo"}, true)
func RoomsGetOrCreate(ctx context.Context, room string, options RoomOptions, create bool) (*Room, error) {
	attributes, err := options.attributes()
	if err != nil {
		return nil, err
	}
	found, err := call(ctx, room, func() wit.Result[wit.Option[types.Room], types.Error] {
		return rooms.GetOrCreate(room, attributes, create)
	})
	if err != nil || found.Tag() == wit.OptionNone {
		return nil, err
	}
	opened := found.Some()
	return &opened, nil
}

func (options RoomOptions) attributes() (rooms.Attributes, error) {
	fields, err := RoomsConfig(options.Config)
	return rooms.Attributes{
		Nick: option(options.Nick), Password: option(options.Password), Roomconfig: fields,
		AutoConfigure: options.AutoConfigure || len(fields) > 0, Maximize: options.Maximize,
		BringToForeground: options.BringToForeground,
	}, err
}

// RoomsConfigure changes fields of a room's configuration, as in RoomOptions; the others stay as they are. Needs rooms.configure.
func RoomsConfigure(ctx context.Context, room string, config map[string]any) error {
	fields, err := RoomsConfig(config)
	if err != nil {
		return err
	}
	return done(ctx, room, func() wit.Result[wit.Unit, types.Error] { return rooms.Configure(room, fields) })
}

// RoomsConfig makes of a map of plain values what rooms.Attributes and rooms.Configure take.
func RoomsConfig(config map[string]any) ([]wit.Tuple2[string, rooms.ConfigValue], error) {
	var fields []wit.Tuple2[string, rooms.ConfigValue]
	for _, name := range names(config) {
		var value rooms.ConfigValue
		switch given := config[name].(type) {
		case bool:
			value = rooms.MakeConfigValueFlag(given)
		case string:
			value = rooms.MakeConfigValueText(given)
		case int, int64, uint, uint64, int32, uint32:
			value = rooms.MakeConfigValueText(fmt.Sprint(given))
		case []string:
			value = rooms.MakeConfigValueTexts(slices.Clone(given))
		default:
			return nil, &Invalid{Argument: "roomconfig." + name, Reason: "is no bool, text, whole number or list of texts"}
		}
		fields = append(fields, wit.Tuple2[string, rooms.ConfigValue]{F0: name, F1: value})
	}
	return fields, nil
}

// SettingsSetMany changes several settings for this account and this process, or none. Free.
func SettingsSetMany(ctx context.Context, values map[string]any) error {
	pairs, err := written(values)
	if err != nil {
		return err
	}
	return done(ctx, "", func() wit.Result[wit.Unit, types.Error] { return settings.SetMany(pairs) })
}

// SettingsUpdate adds settings, and new defaults for those that are there; what the owner or SettingsSet gave goes on to win. Free.
func SettingsUpdate(ctx context.Context, values map[string]any) error {
	pairs, err := written(values)
	if err != nil {
		return err
	}
	return done(ctx, "", func() wit.Result[wit.Unit, types.Error] { return settings.Update(pairs) })
}

func written(values map[string]any) ([]wit.Tuple2[string, string], error) {
	var pairs []wit.Tuple2[string, string]
	for _, name := range names(values) {
		text, err := marshal(values[name])
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, wit.Tuple2[string, string]{F0: name, F1: string(text)})
	}
	return pairs, nil
}

// In order, so that the same map is the same call.
func names(values map[string]any) []string {
	var names []string
	for name := range values {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}
