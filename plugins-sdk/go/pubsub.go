package parlor

import (
	"context"

	"parlor/contract/pubsub"
	"parlor/contract/types"
	"parlor/contract/wit"
)

// PubsubEvent is what a node of a publish-subscribe service or of an account says.
type PubsubEvent struct {
	// Kind is item, retracted, purged, deleted, subscribed or unsubscribed.
	Kind string
	// Service is a domain, or the account that the node is of.
	Service, Node string
	// ID is empty where the kind is about the whole node, or the node keeps no items. Publisher is empty where the service does not
	// say who it was.
	ID, Publisher string
	// XML is the item's element; empty where it has none, or is Cut.
	XML string
	// Cut says that the host left the element out, since it has more than 224 KiB.
	Cut bool
}

// NodeItem is an item of a node, with fields as in PubsubEvent.
type NodeItem struct {
	ID, Publisher, XML string
	Cut                bool
}

// NodeOptions are the options of a node. An empty field stays as it is, or as the service creates nodes.
type NodeOptions struct {
	// Access is who may read: open, presence, roster, authorize or whitelist.
	Access string
	// Publishers is who may publish: publishers, subscribers or open.
	Publishers string
	// Persist is whether items are kept.
	Persist *bool
	// MaxItems is how many items are kept.
	MaxItems uint32
	Title    string
}

func (options NodeOptions) raw() pubsub.NodeOptions {
	raw := pubsub.NodeOptions{Access: option(options.Access), Publishers: option(options.Publishers), Title: option(options.Title)}
	if options.Persist != nil {
		raw.Persist = wit.Some(*options.Persist)
	}
	if options.MaxItems != 0 {
		raw.MaxItems = wit.Some(options.MaxItems)
	}
	return raw
}

func (options *NodeOptions) some() wit.Option[pubsub.NodeOptions] {
	if options == nil {
		return wit.None[pubsub.NodeOptions]()
	}
	return wit.Some(options.raw())
}

func newPubsubEvent(raw types.PubsubItem) *PubsubEvent {
	return &PubsubEvent{
		Kind: raw.Kind, Service: raw.Service, Node: raw.Node, ID: raw.Id.Some(), Publisher: raw.Publisher.Some(), XML: raw.Xml.Some(),
		Cut: raw.Cut,
	}
}

func newNodeItem(raw pubsub.NodeItem) NodeItem {
	return NodeItem{ID: raw.Id, Publisher: raw.Publisher.Some(), XML: raw.Xml.Some(), Cut: raw.Cut}
}

// OnPubsub has a handler called with what nodes say. Needs pubsub.read for them.
//
//	parlor.OnPubsub(func(ctx context.Context, event *parlor.PubsubEvent) error {
//		parlor.Logger().Info("news", "id", event.ID, "xml", event.XML)
//		return nil
//	})
func OnPubsub(handler func(ctx context.Context, event *PubsubEvent) error) (Subscription, error) {
	return On("pubsub-item", Filter{}, func(ctx context.Context, event *Event) error {
		return handler(ctx, event.Pubsub)
	})
}

// PubsubPublish publishes an item, and gives its id. An item of the same id is replaced; with an empty id the service makes one up. With
// options, a node that does not exist is created with them, where the service creates nodes by itself, as accounts do; they may be nil.
// Needs pubsub.publish.
func PubsubPublish(ctx context.Context, service, node, id string, payload *Element, options *NodeOptions) (string, error) {
	return call(ctx, node, func() wit.Result[string, types.Error] {
		return pubsub.Publish(service, node, payload.String(), option(id), options.some())
	})
}

// PubsubRetract takes an item back. Needs pubsub.publish.
func PubsubRetract(ctx context.Context, service, node, id string) error {
	return done(ctx, node, func() wit.Result[wit.Unit, types.Error] { return pubsub.Retract(service, node, id) })
}

// PubsubItems asks for items of a node, 1 to 10,000 of them, and gives what the next page begins after, empty where there is none. It gives
// Unsupported where the service gives no pages after the first. Needs pubsub.read.
func PubsubItems(ctx context.Context, service, node string, most uint32, after string) (items []NodeItem, last string, err error) {
	page, err := call(ctx, node, func() wit.Result[pubsub.NodePage, types.Error] {
		return pubsub.Items(service, node, most, option(after))
	})
	for _, raw := range page.Items {
		items = append(items, newNodeItem(raw))
	}
	return items, page.Last.Some(), err
}

// PubsubItem asks for one item by its id, and gives nil where there is none. Needs pubsub.read.
func PubsubItem(ctx context.Context, service, node, id string) (*NodeItem, error) {
	raw, err := call(ctx, node, func() wit.Result[wit.Option[pubsub.NodeItem], types.Error] { return pubsub.Item(service, node, id) })
	if err != nil || raw.Tag() == wit.OptionNone {
		return nil, err
	}
	return pointer(newNodeItem(raw.Some())), nil
}

// PubsubSubscribe subscribes the account to a node until the plugin ends, so subscribe on every start. It gives whether the subscription is
// in force; if not, somebody has to approve it first. Needs pubsub.read.
func PubsubSubscribe(ctx context.Context, service, node string) (bool, error) {
	return call(ctx, node, func() wit.Result[bool, types.Error] { return pubsub.Subscribe(service, node) })
}

// PubsubUnsubscribe ends a subscription. It gives NotFound where this plugin is not subscribed. Needs pubsub.read.
func PubsubUnsubscribe(ctx context.Context, service, node string) error {
	return done(ctx, node, func() wit.Result[wit.Unit, types.Error] { return pubsub.Unsubscribe(service, node) })
}

// PubsubCreate creates a node; options may be nil. Needs pubsub.configure.
func PubsubCreate(ctx context.Context, service, node string, options *NodeOptions) error {
	return done(ctx, node, func() wit.Result[wit.Unit, types.Error] { return pubsub.Create(service, node, options.some()) })
}

// PubsubConfigure changes what is given of a node's options. Needs pubsub.configure.
func PubsubConfigure(ctx context.Context, service, node string, options NodeOptions) error {
	return done(ctx, node, func() wit.Result[wit.Unit, types.Error] { return pubsub.Configure(service, node, options.raw()) })
}

// PubsubPurge takes all items of a node back. The node and its subscribers stay. Needs pubsub.configure.
func PubsubPurge(ctx context.Context, service, node string) error {
	return done(ctx, node, func() wit.Result[wit.Unit, types.Error] { return pubsub.Purge(service, node) })
}

// PubsubDelete deletes a node with all its items. Needs pubsub.configure.
func PubsubDelete(ctx context.Context, service, node string) error {
	return done(ctx, node, func() wit.Result[wit.Unit, types.Error] { return pubsub.Delete(service, node) })
}
