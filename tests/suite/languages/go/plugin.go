// What authors expect of Go and of the SDK: see tests.
package main

import (
	"context"
	"log/slog"

	"parlor"
)

func main() { parlor.Start(start) }

func start(ctx context.Context) error {
	_, err := parlor.OnMessage(parlor.Filter{Prefix: "🍕"}, cut)
	return err
}

// texts.chat

func cut(ctx context.Context, message *parlor.Message) error {
	half := message.Body[:1]
	slog.Warn(half)
	return parlor.Reply(ctx, message, half)
}
