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
	_, err := parlor.CommandsDeclare(ctx, parlor.Declaration{
		Name: "karma", Help: "Says how somebody stands, or who stands best",
		Arguments: []parlor.Argument{parlor.TextArgument("name").Optional()},
	}, tell)
	return err
}

// A standing is kept for each name in each chat: the points, and the name as it was written first.
type standing struct {
	Name   string
	Points int64
}

const points, names = "points/", "names/"

func key(what, chat, name string) string {
	return what + chat + "/" + strings.ToLower(name)
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
	for _, vote := range votes(message.BodyWithoutFallback(parlor.NSReply)) {
		if strings.EqualFold(vote.Name, message.Nick) {
			if err := parlor.Reply(ctx, message, "Nobody thanks oneself."); err != nil {
				return err
			}
			continue
		}
		if again(message.From, key(points, message.Chat, vote.Name), message.At) {
			continue
		}
		now, err := add(ctx, message.Chat, vote)
		if err != nil {
			return err
		}
		if err := parlor.Reply(ctx, message, now.String()); err != nil {
			return err
		}
	}
	return nil
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

func add(ctx context.Context, chat string, vote standing) (standing, error) {
	isNew, err := parlor.StorageCompareAndSet(ctx, key(names, chat, vote.Name), nil, vote.Name, 0)
	if err != nil {
		return standing{}, err
	}
	if isNew {
		if err := makeRoom(ctx, chat); err != nil {
			return standing{}, err
		}
	}
	sum, err := parlor.StorageAdd(ctx, key(points, chat, vote.Name), vote.Points, 0)
	if err != nil {
		return standing{}, err
	}
	name, ok, err := parlor.StorageGet[string](ctx, key(names, chat, vote.Name))
	if !ok {
		// It has just made room for another name.
		name = vote.Name
	}
	return standing{Name: name, Points: sum}, err
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
	if command.Has("name") {
		now, err := of(ctx, message.Chat, command.Text("name"))
		if err != nil {
			return err
		}
		return parlor.Answer(ctx, command, now.String())
	}
	best, err := best(ctx, message.Chat)
	if err != nil {
		return err
	}
	if len(best) == 0 {
		return parlor.Answer(ctx, command, "Nobody was thanked here yet. Say: juliet++")
	}
	return parlor.Answer(ctx, command, strings.Join(best, ", "))
}

// How somebody stands in a chat.
func of(ctx context.Context, chat, name string) (standing, error) {
	if isElsewhere(name) {
		return standing{Name: name}, nil
	}
	sum, ok, err := parlor.StorageGet[int64](ctx, key(points, chat, name))
	if !ok {
		return standing{Name: name}, err
	}
	written, ok, err := parlor.StorageGet[string](ctx, key(names, chat, name))
	if ok {
		name = written
	}
	return standing{Name: name, Points: sum}, err
}

// Whether what stands behind a room's part of a key is kept for one of its occupants alone, who whispered it: names have no slash.
func isElsewhere(name string) bool {
	return strings.Contains(name, "/")
}

// The five who stand best in a chat.
func best(ctx context.Context, chat string) ([]string, error) {
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
	for _, now := range all[:min(5, len(all))] {
		now, err := of(ctx, chat, now.Name)
		if err != nil {
			return nil, err
		}
		lines = append(lines, now.String())
	}
	return lines, nil
}
