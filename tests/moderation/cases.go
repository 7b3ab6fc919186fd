// Runs the cases of `cases.json` on the moderation kit for Go. A test of the suite puts it into a plugin; the tests of the SDK for Rust,
// `cases.py`, `cases.js` and `cases.c` read the same cases in the same way.
package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"parlor"
	"parlor/contract/types"
	"parlor/contract/wit"
	"parlor/moderation"
)

const room = "garden@rooms.example.org"

// The number of a step that has none.
const none = -1

type cases struct {
	Letters struct {
		Ranges [][2]rune
		Digest uint32
	}
	Comparable [][2]any
	Links      []any
	NoLinks    []any `json:"no links"`
	Nicks      [][2]any
	People     [][3]any
	Messages   [][2]map[string]any
	Rules      map[string]float64
	Judge      []struct {
		Name  string
		Rules map[string]float64
		Steps [][]any
	}
}

// A text as the cases write it: as it is, repeated, or in parts. `{}` is the number of a step. No text is an empty one, as in the kit.
func text(of any, number int) string {
	switch of := of.(type) {
	case []any:
		return strings.Join(texts(of, number), "")
	case map[string]any:
		return strings.Repeat(text(of["of"], number), int(of["times"].(float64)))
	case string:
		if number != none {
			return strings.ReplaceAll(of, "{}", strconv.Itoa(number))
		}
		return of
	}
	return ""
}

func texts(of any, number int) []string {
	var all []string
	list, _ := of.([]any)
	for _, one := range list {
		all = append(all, text(one, number))
	}
	return all
}

func option(of any) wit.Option[string] {
	if of == nil {
		return wit.None[string]()
	}
	return wit.Some(text(of, none))
}

func or(of any, otherwise string) string {
	if given, ok := option(of).Get(); ok {
		return given
	}
	return otherwise
}

func isTrue(of any) bool {
	is, _ := of.(bool)
	return is
}

// The letters and digits are no part of what the package exports. Comparable shows which ones are kept, and how, and with two signs in front
// of a slash HasLink shows which ones are letters.
func digest(ranges [][2]rune) uint32 {
	sum := uint32(0x811C9DC5)
	add := func(part rune) { sum = (sum ^ uint32(part)) * 0x01000193 }
	for _, one := range ranges {
		for code := one[0]; code <= one[1]; code++ {
			sign := string(code)
			// A letter behind it: without one, a sign would be kept as well.
			small, _ := strings.CutSuffix(moderation.Comparable(sign + "z")[0], "z")
			switch {
			case small == "":
				add(0)
			case moderation.HasLink("z." + sign + sign + "/"):
				add(1)
			default:
				add(2)
			}
			for _, part := range small {
				add(part)
			}
		}
	}
	return sum
}

func rulesOf(own, all map[string]float64) moderation.Rules {
	if own == nil {
		return moderation.DefaultRules()
	}
	number := func(name string) int {
		if value, ok := own[name]; ok {
			return int(value)
		}
		return int(all[name])
	}
	span := func(name string) time.Duration { return time.Duration(number(name)) * time.Millisecond }
	return moderation.Rules{
		Joins: number("joins"), JoinWindow: span("join_window"), Messages: number("messages"), MessageWindow: span("message_window"),
		Repeats: number("repeats"), CrowdRepeats: number("crowd_repeats"), Unreadable: number("unreadable"),
		RepeatWindow: span("repeat_window"), Newcomer: span("newcomer"),
	}
}

func saidOf(given any, number int) moderation.Said {
	fields, _ := given.(map[string]any)
	if _, isText := fields["of"]; isText || fields == nil {
		return moderation.SaidText(text(given, number))
	}
	return moderation.Said{
		ID: text(fields["id"], number), Texts: texts(fields["texts"], number), HasLink: isTrue(fields["link"]),
		IsCommand: isTrue(fields["command"]), IsUnreadable: isTrue(fields["unreadable"]),
	}
}

func messageOf(given map[string]any) *parlor.Message {
	all := &types.Message{Body: option(given["body"]), Command: option(given["command"])}
	message := &parlor.Message{Body: text(given["body"], none), StanzaID: text(given["id"], none), All: all}
	bodies, _ := given["bodies"].([]any)
	for _, one := range bodies {
		parts := texts(one, none)
		all.Bodies = append(all.Bodies, wit.Tuple2[string, string]{F0: parts[0], F1: parts[1]})
	}
	if isTrue(given["plain"]) {
		return message
	}
	if count, _ := given["files"].(float64); count > 0 {
		message.Files = make([]parlor.File, int(count))
	}
	var extensions types.Extensions
	if given["reply"] != nil {
		extensions.Reply = wit.Some(types.Reply{Id: text(given["reply"], none)})
	}
	fallback, _ := given["fallback"].([]any)
	for _, one := range fallback {
		one := one.([]any)
		made := types.Fallback{Feature: option(one[0])}
		if part, ok := one[1].([]any); ok {
			made.Part = wit.Some(wit.Tuple2[uint32, uint32]{F0: uint32(part[0].(float64)), F1: uint32(part[1].(float64))})
		}
		extensions.Fallback = append(extensions.Fallback, made)
	}
	all.Extensions = wit.Some(extensions)
	return message
}

func occupantOf(given map[string]any) *parlor.Occupant {
	return &parlor.Occupant{
		Nick: or(given["nick"], "nick"), Jid: option(given["jid"]), OccupantId: option(given["id"]),
		Role: or(given["role"], parlor.RoleParticipant), Affiliation: or(given["affiliation"], parlor.AffiliationNone),
		Own: isTrue(given["own"]),
	}
}

// Runs the steps of a case.
type runner struct {
	judge moderation.Judge
	rules moderation.Rules
	wrong []string
}

func (runner *runner) run(step []any, place, room string, number int) {
	switch name := step[0].(string); name {
	case "in":
		runner.run(step[2].([]any), place, text(step[1], number), number)
	case "each":
		for number := int(step[1].(float64)); number <= int(step[2].(float64)); number++ {
			for at, one := range step[3].([]any) {
				runner.run(one.([]any), fmt.Sprintf("%s, %d, %d", place, number, at), room, number)
			}
		}
	default:
		came, expected := runner.made(name, step, room, number)
		if came, expected := shown(came), shown(expected); came != expected {
			runner.wrong = append(runner.wrong, fmt.Sprintf("%s: %s gives %s, and not %s", place, name, came, expected))
		}
	}
}

// Makes the call of a step. Gives what came of it, and what should.
func (runner *runner) made(name string, step []any, room string, number int) (came, expected any) {
	judge, rules := &runner.judge, runner.rules
	word := func(place int) string { return text(step[place], number) }
	now := func() time.Time { return time.UnixMilli(int64(step[1].(float64)) + int64(max(number, 0))) }
	switch name {
	case "join":
		return judge.Join(rules, room, word(2), now()), texts(step[3], number)
	case "join_count":
		return len(judge.Join(rules, room, word(2), now())), int(step[3].(float64))
	case "hear":
		return words(judge.Hear(rules, room, word(2), saidOf(step[3], number), now())), step[4]
	case "meet":
		judge.Meet(room, word(2), word(3), isTrue(step[4]), now())
	case "absent":
		key, isSpared, ok := judge.Absent(room, word(1))
		wanted, isThere := step[2].([]any)
		if !isThere {
			return ok, false
		}
		return []any{key, isSpared, ok}, []any{text(wanted[0], number), wanted[1], true}
	case "is_settled":
		isSettled, isKnown := judge.IsSettled(room, word(1))
		return []any{isSettled, isKnown}, []any{isTrue(step[2]), step[2] != nil}
	case "settle":
		judge.Settle(room, word(2), isTrue(step[3]), now())
	case "author":
		key, ok := judge.Author(room, word(1))
		return []any{key, ok}, []any{word(2), step[2] != nil}
	case "messages":
		return judge.Messages(room, word(1), int(step[2].(float64))), texts(step[3], number)
	case "retracted":
		judge.Retracted(room, word(1))
	case "slow_down":
		pause := -time.Millisecond
		if given, ok := step[1].(float64); ok {
			pause = time.Duration(given) * time.Millisecond
		}
		return judge.SlowDown(room, pause), step[2]
	case "leave":
		judge.Leave(room)
	default:
		panic("there is no step " + name)
	}
	return nil, nil
}

func words(verdict moderation.Verdict) string {
	word := "fine"
	if verdict.Offence != "" {
		word = string(verdict.Offence)
	}
	if verdict.Pause != 0 {
		word += fmt.Sprintf(" %d", verdict.Pause.Milliseconds())
	}
	if verdict.HasSettled {
		word += " settled"
	}
	return word
}

// In quotes, where it is of texts.
func shown(of any) string {
	switch of.(type) {
	case string, []string, moderation.Said:
		return fmt.Sprintf("%q", of)
	}
	return fmt.Sprint(of)
}

// Runs all cases; gives how many there are, and what is wrong.
func runCases(table []byte) (count int, wrong []string) {
	var all cases
	if err := json.Unmarshal(table, &all); err != nil {
		return 0, []string{err.Error()}
	}
	check := func(name string, given, came, expected any) {
		count++
		if came, expected := shown(came), shown(expected); came != expected {
			wrong = append(wrong, fmt.Sprintf("%s %v: %s, and not %s", name, given, came, expected))
		}
	}
	check("letters", "", digest(all.Letters.Ranges), all.Letters.Digest)
	for _, one := range all.Comparable {
		check("Comparable", one[0], moderation.Comparable(texts(one[0], none)...), texts(one[1], none))
	}
	for _, one := range all.Links {
		check("HasLink", one, moderation.HasLink(text(one, none)), true)
	}
	for _, one := range all.NoLinks {
		check("HasLink", one, moderation.HasLink(text(one, none)), false)
	}
	for _, one := range all.Nicks {
		check("Nick", one[0], moderation.Nick(text(one[0], none)), text(one[1], none))
	}
	for _, one := range all.People {
		occupant := occupantOf(one[0].(map[string]any))
		came := []any{moderation.Key(occupant), moderation.IsSpared(occupant)}
		check("Key", one[0], came, []any{text(one[1], none), one[2]})
	}
	for _, one := range all.Messages {
		check("SaidOf", one[0], moderation.SaidOf(messageOf(one[0])), saidOf(one[1], none))
	}
	sealed := moderation.SaidUnreadable(&parlor.Undecryptable{StanzaID: "sealed"})
	check("SaidUnreadable", "", sealed, moderation.Said{ID: "sealed", IsUnreadable: true})
	for _, one := range all.Judge {
		runner := runner{rules: rulesOf(one.Rules, all.Rules)}
		for at, step := range one.Steps {
			runner.run(step, fmt.Sprintf("step %d", at), room, none)
		}
		check(one.Name, "", runner.wrong, []string(nil))
	}
	return count, wrong
}
