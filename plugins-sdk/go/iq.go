package parlor

import (
	"context"

	"parlor/contract/iq"
	"parlor/contract/types"
	"parlor/contract/wit"
)

// IQRequest is a request (IQ) of somebody in a namespace that this plugin answers.
type IQRequest = types.IqRequest

// OnIQ has a handler called at each request in a namespace that the manifest lists as the scope of iq.answer.
//
//	parlor.OnIQ(func(ctx context.Context, request *parlor.IQRequest) error {
//		degrees := parlor.NewElement("temperature").NS("urn:example:weather").Text("7")
//		return parlor.IQAnswer(ctx, request, degrees)
//	})
func OnIQ(handler func(ctx context.Context, request *IQRequest) error) (Subscription, error) {
	return On("iq", Filter{}, func(ctx context.Context, event *Event) error {
		return handler(ctx, event.IQ)
	})
}

// IQAnswer answers a request: with an element in a namespace of its own, or with nothing where it is nil. Without it the answer is
// service-unavailable when the handler returns, and internal-server-error when it fails. It gives NotFound where nobody waits for it: it
// was answered, or its time is over. Needs iq.answer.
func IQAnswer(ctx context.Context, request *IQRequest, payload *Element) error {
	xml := wit.None[string]()
	if payload != nil {
		xml = wit.Some(payload.String())
	}
	return done(ctx, request.Namespace, func() wit.Result[wit.Unit, types.Error] { return iq.Answer(request.Id, xml) })
}

// IQRefuse refuses a request by a condition of RFC 6120, section 8.3.3, such as item-not-found. The text is for people, and may be empty.
// It gives Invalid where there is no such condition, and NotFound as IQAnswer does. Needs iq.answer.
func IQRefuse(ctx context.Context, request *IQRequest, condition, text string) error {
	return done(ctx, request.Namespace, func() wit.Result[wit.Unit, types.Error] {
		return iq.Refuse(request.Id, condition, option(text))
	})
}
