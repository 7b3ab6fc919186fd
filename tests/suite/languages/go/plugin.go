// What authors expect of Go and of the SDK: see tests.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"parlor"
)

func main() { parlor.Start(start) }

func start(ctx context.Context) error {
	_, cuts := parlor.OnMessage(parlor.Filter{Prefix: "🍕"}, cut)
	_, reads := parlor.OnMessage(parlor.Filter{Prefix: "settings"}, read)
	_, answers := parlor.OnMessage(parlor.Filter{Prefix: "poll"}, poll)
	_, looks := parlor.OnMessage(parlor.Filter{Prefix: "who"}, who)
	_, kinds := parlor.OnMessage(parlor.Filter{Kind: "chat normal", Prefix: "kind"}, kind)
	_, agrees := parlor.OnMessage(parlor.Filter{}, agree)
	return errors.Join(cuts, reads, answers, looks, kinds, agrees, add(ctx, "first"), add(ctx, "second"))
}

// texts.chat

func cut(ctx context.Context, message *parlor.Message) error {
	half := message.Body[:1]
	slog.Warn(half)
	return parlor.Reply(ctx, message, half)
}

// settings.chat

var defaults = []string{"a", "b"}

func read(ctx context.Context, message *parlor.Message) error {
	words := parlor.Setting("words", defaults)
	return parlor.Reply(ctx, message, fmt.Sprint(words, defaults, parlor.Setting("time", 0)))
}

// commands.chat

func add(ctx context.Context, says string) error {
	_, err := parlor.OnCommand(ctx, "Grüße", "Greets", "", func(ctx context.Context, command *parlor.Command) error {
		return parlor.Reply(ctx, command.Message, says+": "+command.Rest)
	})
	return err
}

// messages.chat

func poll(ctx context.Context, message *parlor.Message) error {
	id, err := parlor.ReplyMessage(ctx, message, parlor.Outgoing{Body: "yes or no?", ReplyTo: message})
	if err != nil {
		return err
	}
	_, err = parlor.ReplyMessage(ctx, message, parlor.Outgoing{Body: "yes, or no?", Replace: id})
	return err
}

func who(ctx context.Context, message *parlor.Message) error {
	who, err := parlor.OccupantOf(message)
	if err != nil || who == nil {
		return errors.Join(err, parlor.Reply(ctx, message, "nobody"))
	}
	return parlor.Reply(ctx, message, who.Nick+", "+who.Role)
}

// kinds.chat

func kind(ctx context.Context, message *parlor.Message) error {
	return parlor.Reply(ctx, message, message.Kind)
}

// replies.chat

func agree(ctx context.Context, message *parlor.Message) error {
	if message.Body == "ack" {
		_, err := parlor.Acknowledge(ctx, message)
		return err
	}
	said := message.BodyWithoutFallback("urn:xmpp:reply:0")
	if said != "+1" {
		return nil
	}
	if err := parlor.Reply(ctx, message, said); err != nil {
		return err
	}
	_, err := parlor.ReplyMessage(ctx, message, parlor.Outgoing{Body: "so it is", ReplyTo: message, Quote: true})
	return err
}
