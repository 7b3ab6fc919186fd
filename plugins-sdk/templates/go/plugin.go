// Says what you said.
package main

import (
	"context"
	"log/slog"

	"parlor"
)

func main() { parlor.Start(start) }

func start(ctx context.Context) error {
	slog.Info("ready")
	_, err := parlor.OnMessage(parlor.Filter{Kind: "chat"}, answer)
	return err
}

func answer(ctx context.Context, message *parlor.Message) error {
	// A copy of what another client of the account received is left to that one.
	if message.Body == "" || message.Carbon != "" {
		return nil
	}
	return parlor.ReplyInChat(ctx, message, "you said: "+message.Body)
}
