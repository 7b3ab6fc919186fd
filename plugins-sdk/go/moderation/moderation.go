// Package moderation has the tools of a plugin that looks after rooms: it remembers people and messages, and decides which rules are
// broken. It calls nothing of the host's: tell it what happens, and act on its verdicts.
//
//	var judge moderation.Judge
//
//	func watch(ctx context.Context, message *parlor.Message) error {
//		author, err := parlor.OccupantOf(message)
//		if err != nil || author == nil || moderation.IsSpared(author) {
//			return err
//		}
//		key, said := moderation.Key(author), moderation.SaidOf(message)
//		verdict := judge.Hear(moderation.DefaultRules(), message.Chat, key, said, time.Now())
//		if verdict.Offence != moderation.OffenceLink || message.StanzaID == "" {
//			return nil
//		}
//		return parlor.Done(rooms.Retract(message.Chat, message.StanzaID, wit.Some("no links yet")))
//	}
//
// Judge.Join finds floods of joins; Judge.Hear floods of messages, repeated texts, links of newcomers, messages too early in slow mode, and
// messages that cannot be read; Judge.Messages has the last messages of a person, to retract them.
//
// Each list has an upper bound, above which the oldest entry is forgotten, so that no crowd can fill the memory. The SDKs for the other
// languages have the same kit.
package moderation

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"parlor"
	"parlor/contract/wit"
)

const (
	// MaxMessages is how many messages of a room are remembered.
	MaxMessages = 200
	// The most rooms that are remembered.
	maxRooms = 32
	// The most people of a room that are remembered.
	maxPeople = 300
	// The most joins of a room that are counted.
	maxJoins = 200
	// The most rooms with slow mode.
	maxSlow = 200
	// Longer ids of messages are not remembered: the message cannot be retracted later. In bytes, as all lengths of texts here.
	maxID = 256
	// Several people say shorter texts without any bad intent: "good morning". In characters.
	short = 14
	// The most bytes of a text that are compared.
	maxText = 200
	// The most texts of a message that are compared.
	maxTexts = 4
	// The longest name of a person that is remembered as it is.
	maxKey = 256
	// The most bytes of a nickname that are remembered and shown.
	maxNick = 64
)

// Rules are those of rooms; DefaultRules has usual ones.
type Rules struct {
	// Joins is how many newcomers may enter within the JoinWindow; 0 = any number.
	Joins      int
	JoinWindow time.Duration
	// Messages is how many messages one person may send within the MessageWindow, at most 200; 0 = any number.
	Messages      int
	MessageWindow time.Duration
	// Repeats is how often one person may say the same, and CrowdRepeats how often several people may; 0 = as often as they like.
	Repeats, CrowdRepeats int
	// Unreadable is how many messages that cannot be read one person may send; 0 = any number.
	Unreadable int
	// RepeatWindow is the window for repeated texts, and for messages that cannot be read.
	RepeatWindow time.Duration
	// Newcomer is how long after the first message somebody is a newcomer.
	Newcomer time.Duration
}

// DefaultRules are those of the plugin guard.
func DefaultRules() Rules {
	return Rules{
		Joins: 8, JoinWindow: 30 * time.Second, MessageWindow: 10 * time.Second, Repeats: 3, CrowdRepeats: 6, Unreadable: 3,
		RepeatWindow: 2 * time.Minute, Newcomer: 10 * time.Minute,
	}
}

// Offence is the rule that a message breaks; empty if it breaks none.
type Offence string

const (
	// OffenceEarly: it came too early in slow mode.
	OffenceEarly Offence = "early"
	// OffenceFlood: its author sent too many messages within the window.
	OffenceFlood Offence = "flood"
	// OffenceLink: it has a link or a file, and its author is a newcomer.
	OffenceLink Offence = "link"
	// OffenceRepeat: its text was said too often.
	OffenceRepeat Offence = "repeat"
	// OffenceSealed: it cannot be read, so it may have a link, and its author is a newcomer.
	OffenceSealed Offence = "sealed"
	// OffenceUnreadable: its author sent too many messages that cannot be read.
	OffenceUnreadable Offence = "unreadable"
)

// Said is the part of a message that the rules check.
type Said struct {
	// ID is the one by which the room retracts it; empty if it has none.
	ID string
	// Texts are the normalized ones, which Comparable gives.
	Texts []string
	// HasLink says that it has a link or a file.
	HasLink bool
	// IsCommand says that it gives a command, which people may do more often with the same words.
	IsCommand bool
	// IsUnreadable says that it is encrypted, or says so, and cannot be read here. Others in the room may read it.
	IsUnreadable bool
}

// SaidText reads a text alone.
func SaidText(text string) Said {
	return Said{Texts: Comparable(text), HasLink: HasLink(text)}
}

// SaidOf reads a message. Clients show any of several texts, so all of them count.
func SaidOf(message *parlor.Message) Said {
	said := Said{ID: message.StanzaID, HasLink: len(message.Files) > 0, IsCommand: message.Command != ""}
	own, texts := message.Body, []string{message.Body}
	// A message that the plugin's own tests make may lack it.
	if all := message.All; all != nil {
		// The quoted part of a reply counts only if there is no other text. Without a reply, or in lines that do not begin with `>`,
		// nothing is quoted: people with other clients see all of it.
		_, replies := all.Extensions.Some().Reply.Get()
		rest := message.BodyWithoutFallback(parlor.NSReply)
		if replies && strings.TrimSpace(rest) != "" && unquoted(rest) == unquoted(message.Body) {
			own = rest
		}
		said.IsCommand = said.IsCommand || all.Command.Tag() == wit.OptionSome
		for _, one := range all.Bodies {
			if one.F1 != message.Body {
				texts = append(texts, one.F1)
			}
		}
	}
	said.HasLink = said.HasLink || slices.ContainsFunc(texts, HasLink)
	texts[0] = own
	said.Texts = Comparable(texts...)
	return said
}

// unquoted returns the lines of a text that do not begin with `>`, without the breaks between them.
func unquoted(text string) string {
	isQuoted := func(line string) bool { return strings.HasPrefix(line, ">") }
	return strings.Join(slices.DeleteFunc(strings.Split(text, "\n"), isQuoted), "")
}

// SaidUnreadable takes a message that cannot be decrypted, or only says that it is encrypted. Others may see a text in it.
func SaidUnreadable(message *parlor.Undecryptable) Said {
	return Said{ID: message.StanzaID, IsUnreadable: true}
}

// Verdict is the rule that a message breaks, and the new standing of its author.
type Verdict struct {
	Offence Offence
	// Pause is that of slow mode, if the offence is OffenceEarly.
	Pause time.Duration
	// HasSettled says that the author is no newcomer from now on.
	HasSettled bool
}

// Somebody in a room. Times are in milliseconds, here and below.
type person struct {
	nick string
	// Whether it is a moderator, a member or more.
	isSpared bool
	// Whether it is known if it is a newcomer, which it is not after a restart; and if it is none.
	isKnown, isSettled bool
	// When it said something for the first time, and when it said something last that slow mode allowed; nil = never.
	first, allowed *int64
	// When it was noticed last.
	seen int64
}

// A message of somebody who is not spared.
type remembered struct {
	id, key, nick string
	texts         []string
	isUnreadable  bool
	at            int64
}

// A newcomer who entered.
type join struct {
	key       string
	at        int64
	isHandled bool
}

type place struct {
	people   map[string]*person
	messages []remembered
	joins    []join
	seen     int64
}

// Judge remembers rooms, the people in them and what they said last, and decides which rules are broken. A person is known by a key, such
// as the occupant id; Key gives it. The zero value remembers nothing yet, and is ready to use.
type Judge struct {
	rooms map[string]*place
	// The pauses of rooms in slow mode.
	slow map[string]int64
}

// Returns the key of the entry that was seen first; of several, the first by its key.
func oldest[T any](all map[string]T, seen func(T) int64) string {
	found, isFound := "", false
	for key, one := range all {
		if !isFound || seen(one) < seen(all[found]) || seen(one) == seen(all[found]) && key < found {
			found, isFound = key, true
		}
	}
	return found
}

func (judge *Judge) room(room string, now int64) *place {
	if judge.rooms == nil {
		judge.rooms = map[string]*place{}
	}
	at := judge.rooms[room]
	if at == nil {
		if len(judge.rooms) >= maxRooms {
			delete(judge.rooms, oldest(judge.rooms, func(one *place) int64 { return one.seen }))
		}
		at = &place{people: map[string]*person{}}
		judge.rooms[room] = at
	}
	at.seen = now
	return at
}

func (place *place) person(key string, now int64) *person {
	one := place.people[key]
	if one == nil {
		if len(place.people) >= maxPeople {
			delete(place.people, oldest(place.people, func(one *person) int64 { return one.seen }))
		}
		one = &person{}
		place.people[key] = one
	}
	one.seen = now
	return one
}

// Counts the messages of this kind within a window.
func (place *place) recent(window time.Duration, now int64, isMeant func(one *remembered) bool) int {
	count := 0
	for at := len(place.messages) - 1; at >= 0 && now-place.messages[at].at < window.Milliseconds(); at-- {
		if isMeant(&place.messages[at]) {
			count++
		}
	}
	return count
}

// Whether somebody sent too many messages, with this one.
func (place *place) isFlood(rules Rules, key string, now int64) bool {
	count := 1 + place.recent(rules.MessageWindow, now, func(one *remembered) bool { return one.key == key })
	return isOver(count, rules.Messages)
}

// Whether this was said too often, with this message.
func (place *place) isRepeated(rules Rules, key string, said Said, now int64) bool {
	return slices.ContainsFunc(said.Texts, func(text string) bool {
		isLong := utf8.RuneCountInString(text) >= short
		if said.IsCommand && !isLong {
			return false
		}
		has := func(one *remembered) bool { return slices.Contains(one.texts, text) }
		byOne := 1 + place.recent(rules.RepeatWindow, now, func(one *remembered) bool { return one.key == key && has(one) })
		return isOver(byOne, rules.Repeats) || isLong && isOver(1+place.recent(rules.RepeatWindow, now, has), rules.CrowdRepeats)
	})
}

// Whether somebody sent too many messages that cannot be read, with this one.
func (place *place) isUnreadable(rules Rules, key string, said Said, now int64) bool {
	if !said.IsUnreadable {
		return false
	}
	count := 1 + place.recent(rules.RepeatWindow, now, func(one *remembered) bool { return one.isUnreadable && one.key == key })
	return isOver(count, rules.Unreadable)
}

// Meet notes the nickname and the rank of somebody.
func (judge *Judge) Meet(room, key, nick string, isSpared bool, now time.Time) {
	at := now.UnixMilli()
	one := judge.room(room, at).person(key, at)
	one.nick, one.isSpared = nick, isSpared
}

// Absent is the key and the rank of somebody who has left, by the last nickname; ok is false where there was nobody.
func (judge *Judge) Absent(room, nick string) (key string, isSpared, ok bool) {
	at := judge.rooms[room]
	if at == nil {
		return "", false, false
	}
	for name, one := range at.people {
		if one.nick == nick && (!ok || one.seen > at.people[key].seen || one.seen == at.people[key].seen && name > key) {
			key, isSpared, ok = name, one.isSpared, true
		}
	}
	return key, isSpared, ok
}

// IsSettled says whether somebody is no newcomer. If isKnown is false, it is unknown, as after a restart: ask your storage, and call
// Settle.
func (judge *Judge) IsSettled(room, key string) (isSettled, isKnown bool) {
	if at := judge.rooms[room]; at != nil && at.people[key] != nil {
		return at.people[key].isSettled, at.people[key].isKnown
	}
	return false, false
}

// Settle notes whether somebody is no newcomer.
func (judge *Judge) Settle(room, key string, isSettled bool, now time.Time) {
	at := now.UnixMilli()
	one := judge.room(room, at).person(key, at)
	one.isSettled, one.isKnown = isSettled, true
}

// Join counts a newcomer's join. It gives the keys of people to kick: in a flood, everybody in it who was not given before.
func (judge *Judge) Join(rules Rules, room, key string, now time.Time) []string {
	at := now.UnixMilli()
	place := judge.room(room, at)
	// Somebody who comes again and again is no flood.
	place.joins = slices.DeleteFunc(place.joins, func(one join) bool {
		return at-one.at >= rules.JoinWindow.Milliseconds() || one.key == key
	})
	if len(place.joins) >= maxJoins {
		place.joins = slices.Delete(place.joins, 0, 1)
	}
	place.joins = append(place.joins, join{key: key, at: at})
	if !isOver(len(place.joins), rules.Joins) {
		return nil
	}
	var handled []string
	for at := range place.joins {
		if one := &place.joins[at]; !one.isHandled {
			one.isHandled = true
			handled = append(handled, one.key)
		}
	}
	return handled
}

// Hear judges a message of somebody who is not spared, and remembers it.
func (judge *Judge) Hear(rules Rules, room, key string, said Said, now time.Time) Verdict {
	at := now.UnixMilli()
	pause, isSlow := judge.slow[room]
	place := judge.room(room, at)
	isFlood := place.isFlood(rules, key, at)
	isRepeated, isUnreadable := place.isRepeated(rules, key, said, at), place.isUnreadable(rules, key, said, at)
	author := place.person(key, at)
	wasSettled := author.isSettled
	if !wasSettled && author.first == nil {
		author.first = &at
	}
	author.isSettled = wasSettled || at-*author.first >= rules.Newcomer.Milliseconds()
	author.isKnown = true
	isEarly := isSlow && author.allowed != nil && at-*author.allowed < pause
	if !isEarly {
		author.allowed = &at
	}
	verdict := Verdict{HasSettled: author.isSettled && !wasSettled}
	switch {
	case isEarly:
		verdict.Offence, verdict.Pause = OffenceEarly, time.Duration(pause)*time.Millisecond
	case said.HasLink && !author.isSettled:
		verdict.Offence = OffenceLink
	case said.IsUnreadable && !author.isSettled:
		verdict.Offence = OffenceSealed
	case isUnreadable:
		verdict.Offence = OffenceUnreadable
	case isRepeated:
		verdict.Offence = OffenceRepeat
	case isFlood:
		verdict.Offence = OffenceFlood
	}
	if len(place.messages) >= MaxMessages {
		place.messages = slices.Delete(place.messages, 0, 1)
	}
	id := said.ID
	if len(id) > maxID {
		id = ""
	}
	texts := slices.Clone(said.Texts)
	place.messages = append(place.messages, remembered{id, key, author.nick, texts, said.IsUnreadable, at})
	return verdict
}

// Author is the key of the last author with this nickname; ok is false where there is none.
func (judge *Judge) Author(room, nick string) (key string, ok bool) {
	if at := judge.rooms[room]; at != nil {
		for _, one := range slices.Backward(at.messages) {
			if one.nick == nick {
				return one.key, true
			}
		}
	}
	return "", false
}

// Messages are the ids of at most so many of somebody's messages that are not retracted yet, the last ones first.
func (judge *Judge) Messages(room, key string, most int) []string {
	var ids []string
	if at := judge.rooms[room]; at != nil {
		for _, one := range slices.Backward(at.messages) {
			if len(ids) < most && one.key == key && one.id != "" {
				ids = append(ids, one.id)
			}
		}
	}
	return ids
}

// Retracted notes that a message is retracted.
func (judge *Judge) Retracted(room, id string) {
	if at := judge.rooms[room]; at != nil {
		for place := range at.messages {
			if at.messages[place].id == id {
				at.messages[place].id = ""
			}
		}
	}
}

// SlowDown sets the pause of a room in slow mode; a negative one ends slow mode. False: it is on in too many rooms.
func (judge *Judge) SlowDown(room string, pause time.Duration) bool {
	if pause < 0 {
		delete(judge.slow, room)
		return true
	}
	if _, isSlow := judge.slow[room]; !isSlow && len(judge.slow) >= maxSlow {
		return false
	}
	if judge.slow == nil {
		judge.slow = map[string]int64{}
	}
	judge.slow[room] = pause.Milliseconds()
	return true
}

// Leave forgets a room that the account is not in any more. Slow mode stays for when it comes back.
func (judge *Judge) Leave(room string) {
	delete(judge.rooms, room)
}

// Comparable are the normalized texts of a message, without empty ones.
func Comparable(texts ...string) []string {
	var all []string
	for _, text := range texts[:min(len(texts), maxTexts)] {
		if small := normalized(text); small != "" {
			all = append(all, small)
		}
	}
	return all
}

// HasLink says whether clients are likely to show a link in this text.
func HasLink(text string) bool {
	return slices.ContainsFunc(strings.Fields(text), isLink)
}

// Key is that by which a person in a room is known: the occupant id, else the address, else the nickname.
func Key(occupant *parlor.Occupant) string {
	if id, ok := occupant.OccupantId.Get(); ok {
		return keyOf(id)
	}
	if jid, ok := occupant.Jid.Get(); ok {
		bare, _, _ := strings.Cut(jid, "/")
		return keyOf(bare)
	}
	return keyOf(occupant.Nick)
}

// IsSpared says that the rules are not for somebody: for the account itself, moderators, members, admins and owners.
func IsSpared(occupant *parlor.Occupant) bool {
	switch occupant.Affiliation {
	case parlor.AffiliationMember, parlor.AffiliationAdmin, parlor.AffiliationOwner:
		return true
	}
	return occupant.Own || occupant.Role == parlor.RoleModerator
}

// Nick is a nickname on one line, without characters that could disguise it.
func Nick(nick string) string {
	return cut(strings.Map(func(sign rune) rune {
		isHiding := sign >= 0x200B && sign <= 0x200F || sign >= 0x2028 && sign <= 0x202E || sign >= 0x2066 && sign <= 0x2069
		if unicode.IsControl(sign) || isHiding {
			return -1
		}
		return sign
	}, nick), maxNick)
}

func isOver(count, most int) bool {
	return most > 0 && count > most
}

// The part of a text that has at most so many bytes.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most]
}

// The letters and digits of a text, each in its small letter. If it has none, as with emojis, all but its spaces. Nothing else is
// changed: a letter with an accent is not the same as that letter and an accent behind it, which is a sign.
func normalized(text string) string {
	if letters := kept(text, isLetterOrDigit, small); letters != "" {
		return letters
	}
	isNoSpace := func(sign rune) bool { return !unicode.IsSpace(sign) }
	return kept(text, isNoSpace, func(sign rune) string { return string(sign) })
}

// The small letter of a single character. This one alone has two characters.
func small(sign rune) string {
	if sign == 'İ' {
		return "i\u0307"
	}
	return string(unicode.ToLower(sign))
}

// The characters of this kind, as far as they are compared. The rest can be long.
func kept(text string, isKept func(rune) bool, written func(rune) string) string {
	var all []byte
	for _, sign := range text {
		if !isKept(sign) {
			continue
		}
		all = append(all, written(sign)...)
		if len(all) >= maxText {
			break
		}
	}
	return cut(string(all), maxText)
}

func isLink(word string) bool {
	scheme, rest, _ := strings.Cut(word, "://")
	if rest != "" && isScheme(scheme) {
		return true
	}
	begins := strings.TrimLeftFunc(word, func(sign rune) bool { return !isLetterOrDigit(sign) })
	for _, name := range []string{"www.", "xmpp:", "magnet:"} {
		if len(begins) >= len(name) && strings.EqualFold(begins[:len(name)], name) {
			return true
		}
	}
	return isBareAddress(begins)
}

// Whether a text ends as schemes do.
func isScheme(text string) bool {
	sign, _ := utf8.DecodeLastRuneInString(text)
	return sign >= '0' && sign <= '9' || sign >= 'A' && sign <= 'Z' || sign >= 'a' && sign <= 'z'
}

// Whether a word is an address without a scheme, such as example.org/x, which many clients show as a link. Without the slash it may be
// the name of a file.
func isBareAddress(word string) bool {
	host, _, hasSlash := strings.Cut(word, "/")
	dot := strings.LastIndexByte(host, '.')
	if !hasSlash || dot < 0 {
		return false
	}
	isNoLabel := func(label string) bool {
		return label == "" || strings.ContainsFunc(label, func(sign rune) bool { return sign != '-' && !isLetterOrDigit(sign) })
	}
	top := host[dot+1:]
	isTop := utf8.RuneCountInString(top) >= 2 && !strings.ContainsFunc(top, func(sign rune) bool { return !isLetter(sign) })
	return isTop && !slices.ContainsFunc(strings.Split(host[:dot], "."), isNoLabel)
}

// The name by which a person is remembered. One that is too long is replaced by its hash.
func keyOf(name string) string {
	if len(name) <= maxKey {
		return name
	}
	// A byte that is in no text ends it, as in Rust.
	return fmt.Sprintf("%s#%016x", cut(name, maxNick), sipHash(append([]byte(name), 0xFF)))
}

// SipHash-1-3 with a key of zeros, which is what Rust has for this. Nobody can easily make two names with one hash.
func sipHash(data []byte) uint64 {
	a, b, c, d := uint64(0x736F6D6570736575), uint64(0x646F72616E646F6D), uint64(0x6C7967656E657261), uint64(0x7465646279746573)
	mix := func() {
		a, c = a+b, c+d
		b, d = bits.RotateLeft64(b, 13)^a, bits.RotateLeft64(d, 16)^c
		a, c = bits.RotateLeft64(a, 32)+d, c+b
		b, d = bits.RotateLeft64(b, 17)^c, bits.RotateLeft64(d, 21)^a
		c = bits.RotateLeft64(c, 32)
	}
	length := uint64(len(data))
	for rest := data; ; rest = rest[8:] {
		var word [8]byte
		isLast := copy(word[:], rest) < 8
		read := binary.LittleEndian.Uint64(word[:])
		if isLast {
			read |= length << 56
		}
		d ^= read
		mix()
		a ^= read
		if isLast {
			break
		}
	}
	c ^= 0xFF
	for range 3 {
		mix()
	}
	return a ^ b ^ c ^ d
}
