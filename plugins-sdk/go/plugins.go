package parlor

import (
	"context"
	"encoding/json"

	"parlor/contract/plugins"
	"parlor/contract/types"
	"parlor/contract/wit"
)

// PluginRequest is a request of another plugin on the account, by a name that the manifest lists under [requests].
type PluginRequest struct {
	// ID is that by which it is answered.
	ID string
	// Plugin is the one that asks, by the id that the owner gave it.
	Plugin string
	// Name is that of the request.
	Name string
	// Value is JSON.
	Value json.RawMessage
}

// Decode reads the value.
func (request *PluginRequest) Decode(value any) error { return json.Unmarshal(request.Value, value) }

// OnRequest has a handler called at each request of another plugin. Needs plugins.answer.
//
//	parlor.OnRequest(func(ctx context.Context, request *parlor.PluginRequest) error {
//		return parlor.PluginsAnswer(ctx, request, 1.08)
//	})
func OnRequest(handler func(ctx context.Context, request *PluginRequest) error) (Subscription, error) {
	return On("request", Filter{}, func(ctx context.Context, event *Event) error {
		return handler(ctx, event.Request)
	})
}

// PluginsCall asks another plugin, by the id that the owner gave it, and reads its answer. It gives NotFound where there is no such plugin
// or request, or where it may not answer this plugin, Rejected where it refused, and TimedOut where it did not answer in time. Needs
// plugins.call.
//
//	rate, err := parlor.PluginsCall[float64](ctx, "money", "rate", "EUR")
func PluginsCall[T any](ctx context.Context, plugin, name string, value any) (answer T, err error) {
	text, err := marshal(value)
	if err != nil {
		return answer, err
	}
	given, err := call(ctx, plugin, func() wit.Result[string, types.Error] { return plugins.Call(plugin, name, string(text)) })
	if err != nil {
		return answer, err
	}
	return answer, json.Unmarshal([]byte(given), &answer)
}

// PluginsAnswer answers a request, before the handler returns. It gives NotFound where nobody waits for it: it was answered, or its time
// is over. Needs plugins.answer.
func PluginsAnswer(ctx context.Context, request *PluginRequest, value any) error {
	text, err := marshal(value)
	if err != nil {
		return err
	}
	return done(ctx, request.Name, func() wit.Result[wit.Unit, types.Error] { return plugins.Answer(request.ID, string(text)) })
}

// PluginsRefuse refuses a request: the other plugin gets Rejected with this reason. It gives NotFound as PluginsAnswer does. Needs
// plugins.answer.
func PluginsRefuse(ctx context.Context, request *PluginRequest, text string) error {
	return done(ctx, request.Name, func() wit.Result[wit.Unit, types.Error] { return plugins.Refuse(request.ID, text) })
}
