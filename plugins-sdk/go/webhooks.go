package parlor

import (
	"context"
	"strings"

	"parlor/contract/types"
	"parlor/contract/webhooks"
	"parlor/contract/wit"
)

// Webhook is a request to a webhook of this plugin, after its signature was verified.
type Webhook struct {
	// ID stays the same when the request is told again.
	ID string
	// Name is that of the webhook in the manifest.
	Name string
	// Attempt is the number of this delivery: 1 for the first, then 2 and so on.
	Attempt int
	// Method is such as POST.
	Method string
	// Query is what stood behind the ? in the address, else empty.
	Query string
	// Path is the part of the path below the address, decoded, such as garden; only of a webhook with paths = true in the manifest. Empty:
	// the request came to the address itself.
	Path string
	// Header has content-type and those that the manifest lists by name, in small letters; of several with one name, the values are
	// joined by a comma.
	Header map[string]string
	// Body is whole.
	Body []byte
}

// WebhookAnswer is an answer to such a request.
type WebhookAnswer struct {
	// Status is the status code, from 200 to 599; 200 where it is 0.
	Status int
	// Header has the values by name.
	Header map[string]string
	// Body has 1 MiB at most, and may be nil.
	Body []byte
	// JSON takes the place of Body unless it is nil: it is written as JSON, with its content-type.
	JSON any
}

// OnWebhook has a handler called at each request to the webhook of this name in the manifest. Needs webhooks.receive.
//
//	parlor.OnWebhook("github", func(ctx context.Context, hook *parlor.Webhook) error {
//		var push struct{ Ref, After string }
//		if err := hook.JSON(&push); err != nil {
//			return err
//		}
//		_, err := parlor.RoomsSend(ctx, "hall@rooms.example.org", push.Ref+" is at "+push.After)
//		return err
//	})
func OnWebhook(name string, handler func(ctx context.Context, hook *Webhook) error) (Subscription, error) {
	return On("webhook", Filter{Webhook: name}, func(ctx context.Context, event *Event) error {
		return handler(ctx, event.Webhook)
	})
}

// WebhooksAnswer answers a request to a webhook whose mode is answer. Without it the answer is 204 when the handler returns, and 500
// when it fails. It gives NotFound where nobody waits for it: it was answered, its time is over, the other side has gone, or the mode
// is queue. Needs webhooks.receive.
//
//	parlor.WebhooksAnswer(ctx, hook, parlor.WebhookAnswer{JSON: map[string]int{"books": 12}})
func WebhooksAnswer(ctx context.Context, hook *Webhook, answer WebhookAnswer) error {
	response := webhooks.Response{Status: 200, Body: answer.Body}
	if answer.Status != 0 {
		// A size that is too large for the contract is too large for the host, too.
		response.Status = uint16(min(max(answer.Status, 0), 1<<16-1))
	}
	hasType := false
	for name, value := range answer.Header {
		hasType = hasType || strings.EqualFold(name, "content-type")
		response.Headers = append(response.Headers, types.Header{Name: name, Value: value})
	}
	if answer.JSON != nil {
		text, err := marshal(answer.JSON)
		if err != nil {
			return err
		}
		response.Body = text
		if !hasType {
			response.Headers = append(response.Headers, types.Header{Name: "content-type", Value: "application/json"})
		}
	}
	if response.Body == nil {
		// The bindings pin it, and there is nothing to pin.
		response.Body = []byte{}
	}
	return done(ctx, hook.Name, func() wit.Result[wit.Unit, types.Error] { return webhooks.Answer(hook.ID, response) })
}

// WebhooksAddress is the address of a webhook, which whoever sends the requests has to know. It stays the same until the owner changes
// it. It gives NotFound where the manifest has none of this name, and Unsupported where the owner has not said where the host listens.
// Needs webhooks.receive.
func WebhooksAddress(ctx context.Context, name string) (string, error) {
	return call(ctx, name, func() wit.Result[string, types.Error] { return webhooks.Address(name) })
}

// JSON reads the body into a value.
func (hook *Webhook) JSON(value any) error { return fromJSON(hook.Body, value) }

func newWebhook(raw types.Webhook) *Webhook {
	return &Webhook{
		ID: raw.Id, Name: raw.Name, Attempt: int(raw.Attempt), Method: raw.Method, Query: raw.Query.Some(), Path: raw.Path.Some(),
		Header: byName(raw.Headers), Body: raw.Body,
	}
}

// Returns headers by their names; of several with one name, the values are joined by a comma, and those of set-cookie by a line feed,
// since a cookie may contain commas (RFC 6265, section 3).
func byName(headers []types.Header) map[string]string {
	values := map[string]string{}
	for _, header := range headers {
		if before, ok := values[header.Name]; ok {
			between := ", "
			if header.Name == "set-cookie" {
				between = "\n"
			}
			header.Value = before + between + header.Value
		}
		values[header.Name] = header.Value
	}
	return values
}
