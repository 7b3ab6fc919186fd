package parlor

import (
	"context"
	"errors"
	"time"

	"parlor/contract/dialogs"
	"parlor/contract/types"
	"parlor/contract/wit"
	"parlor/internal/tasks"
)

// Question is one to a person, whose next message in the same chat or room is the answer.
type Question struct {
	Text string
	// Choices are the only answers, at most 32. The host writes them below the text, with numbers. Without any, each text is an answer.
	Choices []string
	// Timeout is the time for the answer, at most a day; zero is five minutes.
	Timeout time.Duration
}

// DialogAnswer is what a person answers.
type DialogAnswer struct {
	// Text is that of the message, or the choice as it was given.
	Text string
	// Choice is the index of the choice; -1 if there were no choices.
	Choice int
}

// DialogsAsk asks a person in a private chat, and waits for the answer; no longer than the context lasts. A handler that asks does not count
// for the limit of handlers. DialogsAsk gives ErrTimedOut where the person did not answer in time, Rejected where the answer was cancel or
// wrong three times, for the reason cancelled or wrong, NotFound where the person is an occupant of a room and has left, and ErrStopped where
// another question to the person took its place. Needs messages.send.
func DialogsAsk(ctx context.Context, to string, question Question) (DialogAnswer, error) {
	wire := question.wire()
	return ask(ctx, to, func() wit.Result[uint64, types.Error] { return dialogs.Begin(to, wire) })
}

// DialogsAskInRoom asks an occupant of a room by the nickname, so that all in the room see it. It gives NotFound where nobody there has this
// nickname, or the person has left; else as DialogsAsk. Needs rooms.send.
func DialogsAskInRoom(ctx context.Context, room, nick string, question Question) (DialogAnswer, error) {
	wire := question.wire()
	return ask(ctx, room, func() wit.Result[uint64, types.Error] { return dialogs.BeginInRoom(room, nick, wire) })
}

// AskAuthor asks the author of a message where it was said, in a chat or in a room. Needs messages.send and rooms.send.
//
//	size, err := parlor.AskAuthor(ctx, command.Message, parlor.Question{Text: "Which size?", Choices: []string{"small", "large"}})
func AskAuthor(ctx context.Context, of *Message, question Question) (DialogAnswer, error) {
	if of.Kind == "groupchat" {
		return DialogsAskInRoom(ctx, of.Chat, of.Nick, question)
	}
	return DialogsAsk(ctx, of.Chat, question)
}

func (question Question) wire() dialogs.Question {
	timeout := wit.None[uint64]()
	if question.Timeout != 0 {
		timeout = wit.Some(milliseconds(question.Timeout))
	}
	return dialogs.Question{Text: question.Text, Choices: question.Choices, Timeout: timeout}
}

func ask(ctx context.Context, about string, begin func() wit.Result[uint64, types.Error]) (DialogAnswer, error) {
	if own := tasks.Own(); own != nil && own == alone {
		return DialogAnswer{}, errors.New("a question is asked by a handler, and not while the plugin starts or stops: nobody could answer")
	}
	number, err := call(ctx, about, begin)
	if err != nil {
		return DialogAnswer{}, err
	}
	ended := make(chan wit.Result[dialogs.Answer, types.Error], 1)
	go func() { ended <- dialogs.Wait(number) }()
	var result wit.Result[dialogs.Answer, types.Error]
	select {
	case result = <-ended:
	case <-ctx.Done():
		// It may have ended just now.
		_ = Done(dialogs.Cancel(number))
		return DialogAnswer{}, ctx.Err()
	}
	answer, err := Value(result)
	if failed, ok := err.(*CallError); ok {
		// The call itself knows the question's number alone.
		failed.Argument = about
	}
	if err != nil {
		return DialogAnswer{}, err
	}
	choice := -1
	if index, ok := answer.Choice.Get(); ok {
		choice = int(index)
	}
	return DialogAnswer{Text: answer.Text, Choice: choice}, nil
}

// The task in which the plugin starts or stops; nil at other times. Handlers may run beside it.
var alone *tasks.Task
