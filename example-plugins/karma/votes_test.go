package main

import (
	"slices"
	"testing"
)

func TestEachNameIsVotedForOnceInAText(t *testing.T) {
	found := votes("Thanks, (juliet++)! romeo-- juliet++ c++/go++ ++ x", nil)
	wanted := []vote{{Name: "juliet", Points: 1}, {Name: "romeo", Points: -1}}
	if !slices.Equal(found, wanted) {
		t.Fatal(found)
	}
}

func TestTheNamesWithTheFewestPointsMakeRoomForOneMore(t *testing.T) {
	var all []standing
	for at := range int64(20) {
		all = append(all, standing{Name: "somebody", Points: 2 + at})
	}
	if found := weakest(all[1:], 20); len(found) != 0 {
		t.Fatal(found)
	}
	all[7] = standing{Name: "liked", Points: 1}
	all[9] = standing{Name: "disliked", Points: -1000}
	if found := weakest(all, 20); !slices.Equal(found, []standing{{Name: "liked", Points: 1}}) {
		t.Fatal(found)
	}
	if found := weakest(append(all, standing{Name: "late"}), 20); len(found) != 2 || found[0].Name != "late" {
		t.Fatal(found)
	}
}

func TestOnlySoManyNamesOfATextCount(t *testing.T) {
	found := votes("a++ a++ b++ c++ d-- e++ f++ g++", nil)
	if len(found) != most || found[most-1].Name != "e" {
		t.Fatal(found)
	}
}

func TestThePeopleInARoomAreFoundByTheirWholeNicknames(t *testing.T) {
	there := []person{
		{Nick: "bob", Key: "1"}, {Nick: "bob the  builder", Key: "2"}, {Nick: "Jean-Luc", Key: "3"}, {Nick: "BOB", Key: "4"},
		{Nick: "al!", Address: "alice@example.org", Key: "5"},
	}
	for text, nick := range map[string]string{
		"thanks, bob++":             "bob",
		"thanks, BOB++":             "BOB",
		"Bob the Builder++":         "bob the  builder",
		"(\"bob the\nbuilder\"--)!": "bob the  builder",
		"the builder++":             "",
		"jean-luc++":                "Jean-Luc",
		"@jean-luc++":               "Jean-Luc",
		"al!++":                     "al!",
		"alice@example.org++":       "al!",
		"notbob++":                  "",
	} {
		found := votes(text, there)
		if len(found) != 1 || (found[0].Who != nil) != (nick != "") || nick != "" && found[0].Name != nick {
			t.Error(text, found)
		}
	}
	if found := votes("bob++ Bob++ bob++", there); len(found) != 1 {
		t.Error(found)
	}
}
