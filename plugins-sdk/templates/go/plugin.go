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
	// Another client answers what it received (`carbon`), and another plugin its commands (`command`).
	if message.Body == "" || message.Carbon != "" || message.Command != "" {
		return nil
	}
	return parlor.ReplyInChat(ctx, message, "you said: "+message.Body)
}
