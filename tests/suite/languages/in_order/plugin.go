package main

import (
	"context"

	"parlor"
)

func main() { parlor.Start(start) }

func start(ctx context.Context) error {
	if _, err := parlor.OnCommand(ctx, "order", "Orders a pizza", "", order); err != nil {
		return err
	}
	_, err := parlor.OnCommand(ctx, "menu", "Shows the menu", "", menu)
	return err
}

func order(ctx context.Context, command *parlor.Command) error {
	size, err := parlor.AskAuthor(ctx, command.Message, parlor.Question{Text: "size?"})
	if err != nil {
		return err
	}
	topping, err := parlor.AskAuthor(ctx, command.Message, parlor.Question{Text: "topping?"})
	if err != nil {
		return err
	}
	return parlor.Reply(ctx, command.Message, size.Text+" "+topping.Text)
}

func menu(ctx context.Context, command *parlor.Command) error {
	return parlor.Reply(ctx, command.Message, "pizza")
}
