package parlor

import (
	"context"
	"errors"
	"time"

	"parlor/contract/commands"
	"parlor/contract/listen"
	"parlor/contract/types"
	"parlor/contract/wit"
)

// Declaration is a command with typed arguments, which the host reads.
type Declaration struct {
	// Name is as of OnCommand.
	Name string
	// Help is one sentence of at most 256 bytes. The host makes the usage from the arguments.
	Help string
	// Aliases are other names, at most 8.
	Aliases []string
	// Arguments have the order in which people write them, at most 16.
	Arguments []Argument
	// Allow has who may give it: people of any of these groups; none = everybody. The owner can override it.
	Allow []People
	// PersonCooldown is how long the same person has to wait before giving it again, RoomCooldown how long all in the same room; at most
	// a day.
	PersonCooldown, RoomCooldown time.Duration
	// Place is the only one in which it may be given: PlaceRoom or PlacePrivate; empty = both. The host tells people who give it elsewhere.
	Place string
}

// The places of commands.
const (
	// PlaceRoom is a room, where everybody there reads it.
	PlaceRoom = "room"
	// PlacePrivate is a chat, a form, or private messages through a room.
	PlacePrivate = "private"
)

// Argument is one of a command, made by TextArgument and its like. Its methods give it with something changed.
type Argument struct {
	raw commands.Argument
}

// TextArgument is a word, or several in quotes.
func TextArgument(name string) Argument { return argument(name, commands.MakeKindText()) }

// IntegerArgument is a whole number within these bounds.
func IntegerArgument(name string, least, most int64) Argument {
	return argument(name, commands.MakeKindInteger(wit.Tuple2[int64, int64]{F0: least, F1: most}))
}

// NumberArgument is a number within these bounds, such as 2.5.
func NumberArgument(name string, least, most float64) Argument {
	return argument(name, commands.MakeKindNumber(wit.Tuple2[float64, float64]{F0: least, F1: most}))
}

// DurationArgument is a span of time, such as 90s or 2h30m.
func DurationArgument(name string) Argument { return argument(name, commands.MakeKindDuration()) }

// DateArgument is a date, such as 2026-12-24.
func DateArgument(name string) Argument { return argument(name, commands.MakeKindDate()) }

// TimeArgument is a time of day, such as 18:30. With a date and a zone, SchedulesParse makes a moment of it.
func TimeArgument(name string) Argument { return argument(name, commands.MakeKindTime()) }

// JIDArgument is an address; in a room people may also give the nickname of an occupant whose address the room shows.
func JIDArgument(name string) Argument { return argument(name, commands.MakeKindJid()) }

// ChoiceArgument is one of these words, 1 to 64; capitals do not count.
func ChoiceArgument(name string, words ...string) Argument {
	return argument(name, commands.MakeKindChoice(words))
}

// FlagArgument is whether --NAME is given.
func FlagArgument(name string) Argument {
	return argument(name, commands.MakeKindFlag()).Named().Optional()
}

// RestArgument is all that is left of the text, as it was written; only as the last one that is not named.
func RestArgument(name string) Argument { return argument(name, commands.MakeKindRest()) }

func argument(name string, kind commands.Kind) Argument {
	return Argument{commands.Argument{Name: name, Kind: kind}}
}

// Optional may be left out. Each one after it that is not named must be optional, too.
func (argument Argument) Optional() Argument {
	argument.raw.Optional = true
	return argument
}

// Default has this value where it is left out, as a person would write it. That makes it optional.
func (argument Argument) Default(value string) Argument {
	argument.raw.Optional, argument.raw.Default = true, wit.Some(value)
	return argument
}

// Named is written as --NAME VALUE or --NAME=VALUE, at any place.
func (argument Argument) Named() Argument {
	argument.raw.Named = true
	return argument
}

// Help has one sentence of at most 256 bytes about it.
func (argument Argument) Help(help string) Argument {
	argument.raw.Help = help
	return argument
}

// Page begins a page with this title, one line of at most 256 bytes, where the command is given by a form.
func (argument Argument) Page(title string) Argument {
	argument.raw.Page = wit.Some(title)
	return argument
}

// People is a group of people who may give a command.
type People = commands.People

// PeopleContacts are those whose presence the bot sees.
func PeopleContacts() People { return commands.MakePeopleContacts() }

// PeopleOwners are the owners of the bot, as the configuration names them.
func PeopleOwners() People { return commands.MakePeopleOwners() }

// PeopleGroup are those in this group of the roster.
func PeopleGroup(name string) People { return commands.MakePeopleGroup(name) }

// PeopleJID is this bare JID, or all of this domain.
func PeopleJID(jid string) People { return commands.MakePeopleJid(jid) }

// PeopleRole are those in a room with this role or a higher one: RoleParticipant or RoleModerator.
func PeopleRole(role string) People { return commands.MakePeopleRole(role) }

// PeopleAffiliation are those in a room with this affiliation or a higher one: AffiliationMember, AffiliationAdmin or AffiliationOwner.
func PeopleAffiliation(affiliation string) People { return commands.MakePeopleAffiliation(affiliation) }

// CommandsDeclare adds a command with typed arguments. The host reads them, answers a wrong one with the usage, and checks who may give
// the command. One that is added again takes the place of the older one. Free.
//
//	parlor.CommandsDeclare(ctx, parlor.Declaration{
//		Name: "roll", Help: "Rolls dice",
//		Arguments: []parlor.Argument{parlor.IntegerArgument("count", 1, 100).Default("1"), parlor.FlagArgument("secret")},
//	}, func(ctx context.Context, command *parlor.Command) error {
//		return parlor.Reply(ctx, command.Message, fmt.Sprintf("%d dice", command.Integer("count")))
//	})
func CommandsDeclare(
	ctx context.Context, declaration Declaration, handler func(ctx context.Context, command *Command) error,
) (Subscription, error) {
	return addCommand(ctx, declaration.Name, handler, func() wit.Result[wit.Unit, types.Error] {
		return commands.Declare(declaration.raw())
	})
}

// Adds a command by asking the host for it, and has the handler called for it.
func addCommand(
	ctx context.Context, name string, handler func(ctx context.Context, command *Command) error,
	asking func() wit.Result[wit.Unit, types.Error],
) (Subscription, error) {
	subscription, err := subscribe(listen.On("command", wit.None[listen.Filter]()), &listener{
		handle:  func(ctx context.Context, event *Event) error { return handler(ctx, event.Command) },
		command: shortName(name),
	})
	if err != nil {
		return subscription, err
	}
	if err = done(ctx, name, asking); err != nil {
		delete(listeners, subscription.number)
		return Subscription{}, errors.Join(err, Done(listen.Not(subscription.number)))
	}
	return subscription, replace(subscription.number)
}

func (declaration Declaration) raw() commands.Declaration {
	raw := commands.Declaration{
		Name: declaration.Name, Help: declaration.Help, Aliases: declaration.Aliases, Allow: declaration.Allow,
		PersonCooldown: milliseconds(declaration.PersonCooldown), RoomCooldown: milliseconds(declaration.RoomCooldown),
		Place: option(declaration.Place),
	}
	for _, argument := range declaration.Arguments {
		raw.Arguments = append(raw.Arguments, argument.raw)
	}
	return raw
}

// Answer answers a command in the form by which it was given; where it was written, as Reply does. A form has one answer, of at most
// 4 KiB. It gives NotFound where nobody waits for it any more. Needs messages.send and rooms.send.
func Answer(ctx context.Context, command *Command, text string) error {
	if command.form == "" {
		return Reply(ctx, command.Message, text)
	}
	return command.inForm(ctx, text, false)
}

// Progress says in the form by which a command was given how far the work is; Answer follows. The person sees it if they look again
// before the answer. Nothing is said where the command was written.
func Progress(ctx context.Context, command *Command, text string) error {
	if command.form == "" {
		return nil
	}
	return command.inForm(ctx, text, true)
}

func (command *Command) inForm(ctx context.Context, text string, more bool) error {
	return done(ctx, command.Name, func() wit.Result[wit.Unit, types.Error] {
		return commands.Answer(command.form, text, more)
	})
}

// Has says whether an argument of a declared command was given, or has a default.
func (command *Command) Has(name string) bool {
	_, ok := command.values[name]
	return ok
}

// Flag says whether a flag was given.
func (command *Command) Flag(name string) bool {
	value, ok := command.values[name].(bool)
	return ok && value
}

// Text is a word, what is left of the text, the word of a choice as it was declared, an address, a date such as 2026-12-24, or a time of
// day such as 18:30:00. As in the methods below it is empty where the argument was left out and has no default, or is of another kind.
func (command *Command) Text(name string) string {
	switch value := command.values[name].(type) {
	case string:
		return value
	case date:
		return string(value)
	case timeOfDay:
		return string(value)
	}
	return command.JID(name)
}

// Integer is a whole number.
func (command *Command) Integer(name string) int64 {
	value, _ := command.values[name].(int64)
	return value
}

// Number is a number.
func (command *Command) Number(name string) float64 {
	value, _ := command.values[name].(float64)
	return value
}

// Duration is a span of time.
func (command *Command) Duration(name string) time.Duration {
	value, _ := command.values[name].(time.Duration)
	return value
}

// Date is the midnight, in UTC, with which a date begins.
func (command *Command) Date(name string) time.Time {
	value, _ := command.values[name].(date)
	day, _ := time.Parse(time.DateOnly, string(value))
	return day
}

// Time is a time of day, as the span of time since midnight on a clock.
func (command *Command) Time(name string) time.Duration {
	value, _ := command.values[name].(timeOfDay)
	shown, err := time.Parse(time.TimeOnly, string(value))
	if err != nil {
		return 0
	}
	hour, minute, second := shown.Clock()
	return time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second
}

// JID is an address.
func (command *Command) JID(name string) string {
	value, _ := command.values[name].(address)
	return string(value)
}

// Texts of other kinds, to tell them from words.
type address string
type date string
type timeOfDay string

func valuesOf(raw []wit.Tuple2[string, types.Value]) map[string]any {
	values := map[string]any{}
	for _, one := range raw {
		switch value := one.F1; value.Tag() {
		case types.ValueText:
			values[one.F0] = value.Text()
		case types.ValueInteger:
			values[one.F0] = value.Integer()
		case types.ValueNumber:
			values[one.F0] = value.Number()
		case types.ValueDuration:
			values[one.F0] = time.Duration(min(value.Duration(), uint64(1<<63-1)/uint64(time.Millisecond))) * time.Millisecond
		case types.ValueDate:
			values[one.F0] = date(value.Date())
		case types.ValueTime:
			values[one.F0] = timeOfDay(value.Time())
		case types.ValueJid:
			values[one.F0] = address(value.Jid())
		case types.ValueFlag:
			values[one.F0] = value.Flag()
		}
	}
	return values
}
