package parlor

import (
	"context"
	"iter"
	"time"

	"parlor/contract/archive"
	"parlor/contract/types"
	"parlor/contract/wit"
)

// How many messages are taken over from the host at once.
const messagesAtOnce = 50

// ArchiveQueryAll reads an archive to its end, oldest first, however long it is: the host asks for the next page once everything before it
// was read. Max bounds how many come in all. An error that ends it early comes last, with no message. The archive knows a message by
// its StanzaID. Needs archive.read.
//
//	for message, err := range parlor.ArchiveQueryAll(ctx, archive.Options{With: wit.Some("juliet@example.org")}) {
//		if err != nil {
//			return err
//		}
//		slog.Info(message.From + ": " + message.Body)
//	}
//
// Other handlers run while it waits for the next page; who leaves early leaves nothing open.
func ArchiveQueryAll(ctx context.Context, options archive.Options) iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		take := func(message *Message) bool { return yield(message, nil) }
		if err := eachOf(ctx, options, take); err != nil {
			yield(nil, err)
		}
	}
}

// Time is a point in time as the contract takes it: archive.Options{Start: parlor.Time(time.Now().AddDate(0, 0, -7))}. The zero time
// is none.
func Time(at time.Time) wit.Option[string] {
	if at.IsZero() {
		return wit.None[string]()
	}
	return wit.Some(at.UTC().Format(time.RFC3339Nano))
}

// Reads until there is no more, or whoever takes has enough.
func eachOf(ctx context.Context, options archive.Options, take func(*Message) bool) error {
	if err := ended(ctx); err != nil {
		return err
	}
	opened, err := Value(archive.QueryAll(options))
	if err != nil {
		return err
	}
	stream, outcome := opened.F0, opened.F1
	defer outcome.Drop()
	defer stream.Drop()
	messages := make([]archive.ArchivedMessage, messagesAtOnce)
	for {
		if err := ended(ctx); err != nil {
			return err
		}
		count := stream.Read(messages)
		if count == 0 {
			if !stream.Stopped() {
				if result, ok := outcome.Get(); ok {
					return Done(result)
				}
			}
			return Done(wit.Err[wit.Unit](types.MakeErrorStopped()))
		}
		for _, archived := range messages[:count] {
			message, err := NewMessage(archived.Message)
			if err != nil {
				return err
			}
			if !take(message) {
				return nil
			}
		}
	}
}
