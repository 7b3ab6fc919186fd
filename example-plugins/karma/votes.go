package main

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"
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

// The longest name of somebody who is not there, and the signs that it cannot have.
const (
	longest = 64
	signs   = "+-/"
)

// A vote is what ends in ++ or -- in a text.
type vote struct {
	// Name is the nickname of who is there, or else the word that was written.
	Name   string
	Points int64
	// Who points to the person if they are in the room; otherwise it is nil.
	Who *person
}

// Votes are the words of a text that end in ++ or --, and the nicknames of those who are there, which may be several words. Each counts
// once.
func votes(text string, there []person) []vote {
	var found []vote
	seen := map[string]bool{}
	words := strings.Fields(text)
	for at, word := range words {
		if len(found) == most {
			break
		}
		before, points, ok := thanks(strings.TrimRight(word, around))
		if !ok {
			continue
		}
		one := vote{Name: strings.Trim(before, around), Points: points}
		mark := strings.ToLower(one.Name)
		if who := ending(strings.Join(append(slices.Clone(words[:at]), before), " "), there); who != nil {
			one.Name, one.Who, mark = who.Nick, who, who.Key
		} else if one.Name == "" || len(one.Name) > longest || strings.ContainsAny(one.Name, signs) {
			continue
		}
		if !seen[mark] {
			seen[mark] = true
			found = append(found, one)
		}
	}
	return found
}

// Cuts ++ or -- off a word. Returns the text before it, and the points that it gives.
func thanks(word string) (before string, points int64, ok bool) {
	if before, ok = strings.CutSuffix(word, "++"); ok {
		return before, 1, true
	}
	before, ok = strings.CutSuffix(word, "--")
	return before, -1, ok
}

// The person by whose nickname or address a text ends, as it is or in quotes: the longest one, and of two that differ in capitals alone
// the one that is written so.
func ending(text string, there []person) *person {
	var found *person
	best := 0
	for _, text := range []string{text, strings.TrimRight(text, around)} {
		low := strings.ToLower(text)
		for at := range there {
			for _, name := range []string{there[at].Nick, there[at].Address} {
				name = strings.Join(strings.Fields(name), " ")
				rest, ok := strings.CutSuffix(low, strings.ToLower(name))
				if name == "" || !ok || !isEdge(rest) {
					continue
				}
				size := 2 * len(name)
				if strings.HasSuffix(text, name) {
					size++
				}
				if size > best {
					found, best = &there[at], size
				}
			}
		}
	}
	return found
}

// Whether a name may begin behind this text.
func isEdge(text string) bool {
	last, _ := utf8.DecodeLastRuneInString(text)
	return text == "" || strings.ContainsRune(around+" @", last)
}
