package main

import (
	"slices"
	"testing"
)

func TestEachNameIsVotedForOnceInAText(t *testing.T) {
	found := votes("Thanks, (juliet++)! romeo-- juliet++ c++/go++ ++ x")
	wanted := []standing{{Name: "juliet", Points: 1}, {Name: "romeo", Points: -1}}
	if !slices.Equal(found, wanted) {
		t.Fatal(found)
	}
}

func TestOnlySoManyNamesOfATextCount(t *testing.T) {
	found := votes("a++ a++ b++ c++ d-- e++ f++ g++")
	if len(found) != most || found[most-1].Name != "e" {
		t.Fatal(found)
	}
}
