// A hundred steps, the same in every language: see tests/guests/steps.
package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"parlor"
)

func main() { parlor.Start(start) }

func start(ctx context.Context) error {
	_, err := parlor.OnMessage(parlor.Filter{Kind: "chat"}, func(ctx context.Context, message *parlor.Message) error {
		words := strings.SplitN(message.Body, " ", 4)
		steps := &steps{ctx: ctx, friend: words[1], room: words[2], rest: words[3]}
		take(words[0], steps, message)
		return parlor.ReplyInChat(ctx, message, words[0]+"\n"+strings.Join(steps.lines, "\n"))
	})
	return err
}

// steps has the arguments of a part, and its results.
type steps struct {
	ctx                context.Context
	friend, room, rest string
	lines              []string
}

// heard has the results of events since the last report.
var heard []string

func (steps *steps) note(what string, value any, err error) {
	steps.tell(line(what, value, err))
}

func (steps *steps) tell(line string) {
	count++
	steps.lines = append(steps.lines, fmt.Sprintf("%03d %s", count, line))
}

func (steps *steps) done(what string, err error) {
	steps.note(what, "done", err)
}

func (steps *steps) fails(what string, err error) {
	steps.note(what, "it worked", err)
}

// some records a step whose result differs in each run.
func (steps *steps) some(what, value string, err error) {
	if value != "" {
		value = "something"
	}
	steps.note(what, value, err)
}

func hear(what string, value any) {
	heard = append(heard, line(what, value, nil))
}

var count int

func line(what string, value any, err error) string {
	if err != nil {
		value = typed(err)
	}
	return fmt.Sprintf("%s: %v", what, value)
}

// typed returns the case of an error, with those of its fields that are the same in each run.
func typed(err error) string {
	// The error is wrapped with its location.
	var failed *parlor.CallError
	if errors.As(err, &failed) {
		err = failed.Err
	}
	switch err := err.(type) {
	case *parlor.Denied:
		return "denied " + err.Permission
	case *parlor.Invalid:
		return "invalid " + err.Argument
	case *parlor.NotFound:
		return "not-found"
	case *parlor.NotReady:
		return "not-ready " + err.Promise
	case *parlor.Unsupported:
		return "unsupported"
	case *parlor.StanzaError:
		return "stanza " + err.Condition
	case *parlor.Rejected:
		return "rejected " + err.Reason
	case *parlor.OverLimit:
		return "over-limit"
	}
	switch {
	case errors.Is(err, parlor.ErrTimedOut):
		return "timed-out"
	case errors.Is(err, parlor.ErrOffline):
		return "offline"
	case errors.Is(err, parlor.ErrStopped):
		return "stopped"
	}
	return "other"
}
