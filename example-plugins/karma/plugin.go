// Counts who is thanked: `juliet++`, `romeo--`, and `!karma` says how they stand.
package main

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"time"

	"parlor"
)

func main() { parlor.Start(start) }

func start(ctx context.Context) error {
	if _, err := parlor.OnMessage(parlor.Filter{}, count); err != nil {
		return err
	}
	if _, err := parlor.On("occupantChanged", parlor.Filter{}, rename); err != nil {
		return err
	}
	_, err := parlor.CommandsDeclare(ctx, parlor.Declaration{
		Name: "karma", Help: "Says how somebody stands, or who stands best",
		Arguments: []parlor.Argument{parlor.TextArgument("name").Optional()},
	}, tell)
	return err
}

// A standing is kept for each person or name in each chat: the points, and the last nickname, or the name as it was written first.
type standing struct {
	Name   string
	Points int64
}

const points, names = "points/", "names/"

func key(what, chat, who string) string {
	return what + chat + "/" + who
}

// When who thanked whom last, so that nobody counts up alone.
var thanked = map[string]time.Time{}

// How many of these are remembered. Further thanks of a crowd are counted, and not remembered.
const mostThanked = 1_000

func count(ctx context.Context, message *parlor.Message) error {
	// A message to another client of the account is not for this one to answer, and a correction thanks nobody again.
	if message.Carbon != "" || message.Replaces != "" {
		return nil
	}
	body := message.BodyWithoutFallback(parlor.NSReply)
	if !strings.Contains(body, "++") && !strings.Contains(body, "--") {
		return nil
	}
	there := people(message)
	by := author(message, there)
	for _, vote := range votes(body, there) {
		if err := take(ctx, message, by, vote); err != nil {
			return err
		}
	}
	return nil
}

func take(ctx context.Context, message *parlor.Message, by person, vote vote) error {
	who, err := of(ctx, message.Chat, vote)
	if err != nil {
		return err
	}
	// Without rooms.read, nobody is known to be there, and the nickname is all there is.
	if who.Key == by.Key || vote.Who == nil && strings.EqualFold(vote.Name, by.Nick) {
		return parlor.Reply(ctx, message, "Nobody thanks oneself.")
	}
	from := message.From
	if by.Key != "" {
		from = key("", message.Chat, by.Key)
	}
	if again(from, key(points, message.Chat, who.Key), message.At) {
		return nil
	}
	now, err := add(ctx, message.Chat, who, vote)
	if err != nil {
		return err
	}
	return parlor.Reply(ctx, message, now.String())
}

func of(ctx context.Context, chat string, vote vote) (person, error) {
	if vote.Who != nil {
		return *vote.Who, nil
	}
	return absent(ctx, chat, vote.Name)
}

// Whether these thanks come too soon after the last.
func again(from, key string, at time.Time) bool {
	pause := time.Duration(parlor.SettingsGet("pause", 10)) * time.Second
	for pair, last := range thanked {
		if at.Sub(last) >= pause {
			delete(thanked, pair)
		}
	}
	pair := from + " " + key
	_, soon := thanked[pair]
	if !soon && len(thanked) < mostThanked {
		thanked[pair] = at
	}
	return soon
}

func add(ctx context.Context, chat string, who person, vote vote) (standing, error) {
	isNew, err := parlor.StorageCompareAndSet(ctx, key(names, chat, who.Key), nil, who.Nick, 0)
	if err != nil {
		return standing{}, err
	}
	if isNew {
		if err := makeRoom(ctx, chat); err != nil {
			return standing{}, err
		}
		if err := takeOver(ctx, chat, who); err != nil {
			return standing{}, err
		}
	} else if vote.Who != nil && who.Key != plain(who.Nick) {
		if err := parlor.StorageSet(ctx, key(names, chat, who.Key), who.Nick, 0); err != nil {
			return standing{}, err
		}
	}
	sum, err := parlor.StorageAdd(ctx, key(points, chat, who.Key), vote.Points, 0)
	if err != nil {
		return standing{}, err
	}
	name, ok, err := parlor.StorageGet[string](ctx, key(names, chat, who.Key))
	if !ok {
		// It has just made room for another name.
		name = who.Nick
	}
	return standing{Name: name, Points: sum}, err
}

// Gives a person the points that the nickname got before anybody knew who has it.
func takeOver(ctx context.Context, chat string, who person) error {
	name := plain(who.Nick)
	if name == who.Key {
		return nil
	}
	sum, ok, err := parlor.StorageGet[int64](ctx, key(points, chat, name))
	if err != nil || !ok {
		return err
	}
	var changes parlor.Changes
	changes.Expect(key(points, chat, name), sum).Delete(key(points, chat, name)).Delete(key(names, chat, name))
	_, err = changes.Add(key(points, chat, who.Key), sum).Make(ctx)
	return err
}

// Forgets names of a chat if it has as many as are kept. All that is whispered in a room counts as one chat here: each nickname has one.
func makeRoom(ctx context.Context, chat string) error {
	room, _, isWhispered := strings.Cut(chat, "/")
	prefix := key(points, room, "")
	sums, err := parlor.StorageEntries[int64](ctx, prefix)
	if err != nil {
		return err
	}
	var all []standing
	for _, sum := range sums {
		if isElsewhere(sum.Key[len(prefix):]) == isWhispered {
			all = append(all, standing{Name: sum.Key[len(points):], Points: sum.Value})
		}
	}
	for _, gone := range weakest(all, parlor.SettingsGet("names", 200)) {
		var changes parlor.Changes
		if _, err := changes.Delete(points + gone.Name).Delete(names + gone.Name).Make(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (now standing) String() string {
	return fmt.Sprintf("%s has %d", now.Name, now.Points)
}

func tell(ctx context.Context, command *parlor.Command) error {
	message := command.Message
	there := people(message)
	if command.Has("name") {
		name := command.Text("name")
		who, err := of(ctx, message.Chat, vote{Name: name, Who: named(name, there)})
		if err != nil {
			return err
		}
		now, err := standingOf(ctx, message.Chat, who)
		if err != nil {
			return err
		}
		return parlor.Answer(ctx, command, now.String())
	}
	best, err := best(ctx, message.Chat, there)
	if err != nil {
		return err
	}
	if len(best) == 0 {
		return parlor.Answer(ctx, command, "Nobody was thanked here yet. Say: juliet++")
	}
	return parlor.Answer(ctx, command, strings.Join(best, ", "))
}

// How somebody stands in a chat.
func standingOf(ctx context.Context, chat string, who person) (standing, error) {
	sum, ok, err := parlor.StorageGet[int64](ctx, key(points, chat, who.Key))
	if !ok {
		return standing{Name: who.Nick}, err
	}
	if who.IsThere {
		return standing{Name: who.Nick, Points: sum}, nil
	}
	written, ok, err := parlor.StorageGet[string](ctx, key(names, chat, who.Key))
	if ok {
		who.Nick = written
	}
	return standing{Name: who.Nick, Points: sum}, err
}

// Whether what stands behind a room's part of a key is kept for one of its occupants alone, who whispered it: names have no slash.
func isElsewhere(name string) bool {
	return strings.Contains(name, "/")
}

// The five who stand best in a chat, by their present nicknames if they are there.
func best(ctx context.Context, chat string, there []person) ([]string, error) {
	sums, err := parlor.StorageEntries[int64](ctx, key(points, chat, ""))
	if err != nil {
		return nil, err
	}
	var all []standing
	for _, sum := range sums {
		if name := sum.Key[len(key(points, chat, "")):]; !isElsewhere(name) {
			all = append(all, standing{Name: name, Points: sum.Value})
		}
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].Points > all[j].Points })
	var lines []string
	for _, kept := range all[:min(5, len(all))] {
		who := person{Nick: kept.Name, Key: kept.Name}
		for _, one := range there {
			if one.Key == kept.Name {
				who = one
			}
		}
		now, err := standingOf(ctx, chat, who)
		if err != nil {
			return nil, err
		}
		lines = append(lines, now.String())
	}
	return lines, nil
}
