package parlor

import (
	"context"

	"parlor/contract/hooks"
	"parlor/contract/types"
	"parlor/contract/wit"
)

// Hook is a message or a command that waits for the verdict of this plugin.
type Hook struct {
	// ID is that by which the verdict is given.
	ID string
	// Plugin is the one that sends the message, or whose command it is, by the id that the owner gave it. Empty for a message that came.
	Plugin string
	// Arguments are those of a command; what stood in quotes is one.
	Arguments []string
	Message   *Message
}

// OutgoingVerdict is that on a message which another plugin sends. The empty one lets it pass as it is.
type OutgoingVerdict struct {
	// Body and Subject replace those of the message; empty ones leave them. So Stop a message of which you leave no text.
	Body, Subject string
	// Stop has the message not be sent. The plugin that sends it gets the Reason.
	Stop   bool
	Reason string
}

// IncomingVerdict is that on a message which came. The empty one lets it pass as it is.
type IncomingVerdict struct {
	// Label is one that plugins see in the message.
	Label string
	// Hide keeps other plugins from hearing of it.
	Hide bool
}

// CommandVerdict is that on a command to another plugin. The empty one lets it pass.
type CommandVerdict struct {
	// Refuse keeps the command from its plugin. The person gets the Text, if there is one.
	Refuse bool
	Text   string
}

// OnHookOutgoing has a handler called at each message that another plugin sends, which gives the verdict. One that returns an error
// gives none, and the owner's rule decides. Needs hooks.outgoing, and a place in the owner's order.
//
//	parlor.OnHookOutgoing(func(ctx context.Context, hook *parlor.Hook) (parlor.OutgoingVerdict, error) {
//		return parlor.OutgoingVerdict{Body: hook.Message.Body + " (a bot)"}, nil
//	})
func OnHookOutgoing(handler func(ctx context.Context, hook *Hook) (OutgoingVerdict, error)) (Subscription, error) {
	return On("hookOutgoing", Filter{}, func(ctx context.Context, event *Event) error {
		verdict, err := handler(ctx, event.Hook)
		switch {
		case err != nil:
			return err
		case verdict.Stop:
			return HooksStop(ctx, event.Hook, verdict.Reason)
		case verdict.Body != "" || verdict.Subject != "":
			return HooksAlter(ctx, event.Hook, verdict.Body, verdict.Subject)
		default:
			return HooksAllow(ctx, event.Hook)
		}
	})
}

// OnHookIncoming has a handler called at each message that came, before other plugins hear of it. Needs hooks.incoming, and a place in the
// owner's order.
func OnHookIncoming(handler func(ctx context.Context, hook *Hook) (IncomingVerdict, error)) (Subscription, error) {
	return On("hookIncoming", Filter{}, func(ctx context.Context, event *Event) error {
		verdict, err := handler(ctx, event.Hook)
		switch {
		case err != nil:
			return err
		case verdict.Hide:
			return HooksStop(ctx, event.Hook, "")
		case verdict.Label != "":
			return HooksMark(ctx, event.Hook, verdict.Label)
		default:
			return HooksAllow(ctx, event.Hook)
		}
	})
}

// OnHookCommand has a handler called at each command to another plugin. Needs hooks.commands, and a place in the owner's order.
func OnHookCommand(handler func(ctx context.Context, hook *Hook) (CommandVerdict, error)) (Subscription, error) {
	return On("hookCommand", Filter{}, func(ctx context.Context, event *Event) error {
		verdict, err := handler(ctx, event.Hook)
		switch {
		case err != nil:
			return err
		case verdict.Refuse:
			return HooksStop(ctx, event.Hook, verdict.Text)
		default:
			return HooksAllow(ctx, event.Hook)
		}
	})
}

// HooksAllow lets it pass as it is. It gives NotFound where nobody waits for a verdict: it was given, or its time is over.
func HooksAllow(ctx context.Context, hook *Hook) error {
	return done(ctx, hook.ID, func() wit.Result[wit.Unit, types.Error] { return hooks.Allow(hook.ID) })
}

// HooksAlter lets an outgoing message pass with another body, subject or both; an empty one stays as it is. It gives Invalid where it is no
// outgoing message or nothing is changed, and NotFound as HooksAllow does. Needs hooks.outgoing.
func HooksAlter(ctx context.Context, hook *Hook, body, subject string) error {
	return done(ctx, hook.ID, func() wit.Result[wit.Unit, types.Error] {
		return hooks.Alter(hook.ID, option(body), option(subject))
	})
}

// HooksStop stops a message or a command. The plugin that sends a message gets the reason, which may be empty, and so does the person who
// gives a command. It gives NotFound as HooksAllow does.
func HooksStop(ctx context.Context, hook *Hook, reason string) error {
	return done(ctx, hook.ID, func() wit.Result[wit.Unit, types.Error] { return hooks.Stop(hook.ID, option(reason)) })
}

// HooksMark lets an incoming message pass with a label. It gives Invalid where it is no incoming message or the label is none, and NotFound as
// HooksAllow does. Needs hooks.incoming.
func HooksMark(ctx context.Context, hook *Hook, label string) error {
	return done(ctx, hook.ID, func() wit.Result[wit.Unit, types.Error] { return hooks.Mark(hook.ID, label) })
}
