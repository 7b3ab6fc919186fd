package main

import (
	"cmp"
	"slices"
	"strings"
)

// The punctuation before and after words, which is not part of a name.
const around = ".,:;!?()\"'"

// How many names of one text count. Each is answered: with more, somebody could have the room filled by one message.
const most = 5

// The names that go, so that one more has a place among this many: those with the fewest points, for or against.
func weakest(all []standing, most int) []standing {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(one, other standing) int { return cmp.Compare(weight(one), weight(other)) })
	return all[:max(0, len(all)+1-most)]
}

func weight(one standing) int64 {
	return max(one.Points, -one.Points)
}

// Votes are the words of a text that end in ++ or --, each name once.
func votes(text string) []standing {
	var found []standing
	seen := map[string]bool{}
	for _, word := range strings.Fields(text) {
		if len(found) == most {
			break
		}
		word = strings.Trim(word, around)
		sum := int64(1)
		name, ok := strings.CutSuffix(word, "++")
		if !ok {
			sum = -1
			name, ok = strings.CutSuffix(word, "--")
		}
		name = strings.Trim(name, around)
		if !ok || name == "" || len(name) > 64 || strings.ContainsAny(name, "+-/") || seen[strings.ToLower(name)] {
			continue
		}
		seen[strings.ToLower(name)] = true
		found = append(found, standing{Name: name, Points: sum})
	}
	return found
}
