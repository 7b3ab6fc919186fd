package parlor

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"parlor/contract/storage"
	"parlor/contract/types"
	"parlor/contract/wit"
)

// Range says which entries are wanted, and in which order.
type Range struct {
	// They begin with this.
	Prefix string
	// The first that is wanted, and the one behind the last, in the order of the keys' bytes; empty = no such bound.
	From, To string
	// The last one first.
	Descending bool
	// At most so many; 0 = all.
	Limit int
}

// StorageRange are the values of a range with their keys, in the order that it says. Needs storage.
//
//	newest, err := parlor.StorageRange[string](ctx, parlor.Range{Prefix: "notes/", Descending: true, Limit: 5})
func StorageRange[T any](ctx context.Context, wanted Range) ([]Entry[T], error) {
	// A remaining count that fell below 0 must not mean all.
	if wanted.Limit < 0 {
		return nil, fmt.Errorf("the Limit of a Range is 0 for all, or more, and not %d", wanted.Limit)
	}
	keys := storage.KeyRange{
		Prefix: wanted.Prefix, From: bound(wanted.From), To: bound(wanted.To), Descending: wanted.Descending,
	}
	var entries []Entry[T]
	after := wit.None[string]()
	for {
		most := 1000
		if wanted.Limit > 0 {
			most = min(most, wanted.Limit-len(entries))
		}
		page, err := call(ctx, wanted.Prefix, func() wit.Result[storage.EntriesPage, types.Error] {
			return storage.Range(keys, after, uint32(most))
		})
		if err != nil {
			return nil, err
		}
		if entries, err = appendPage(entries, page); err != nil {
			return nil, err
		}
		after = page.Next
		if after.Tag() == wit.OptionNone || (wanted.Limit > 0 && len(entries) >= wanted.Limit) {
			return entries, nil
		}
	}
}

func bound(key string) wit.Option[string] {
	if key == "" {
		return wit.None[string]()
	}
	return wit.Some(key)
}

// StorageAdd adds to a number, and returns the sum; what is not there counts as 0. Nothing is lost that other handlers add meanwhile.
// It lasts as long as the number before (0), or for so long. Needs storage.
//
//	visits, err := parlor.StorageAdd(ctx, "visits", 1, 0)
func StorageAdd(ctx context.Context, key string, amount int64, lasts time.Duration) (int64, error) {
	return call(ctx, key, func() wit.Result[int64, types.Error] {
		return storage.Add(storage.AddNumber{Key: key, Amount: amount, Expires: expires(lasts)})
	})
}

// Changes are several changes that Make makes together: all of them, or none. At most 256, and 256 KiB of keys and values, each key in one
// change and one expectation. The zero value has none.
//
//	var sale parlor.Changes
//	isMine, err := sale.Expect("seat/7", "free").Set("seat/7", "juliet", 0).Add("sold", 1).Make(ctx)
type Changes struct {
	changes []storage.KeyChange
	err     error
}

// Set keeps a value as JSON; for ever (0), or for so long.
func (changes *Changes) Set(key string, value any, lasts time.Duration) *Changes {
	text, err := marshal(value)
	return changes.with(storage.MakeKeyChangeSet(storage.SetValue{Key: key, Value: text, Expires: expires(lasts)}), err)
}

// Add adds to a number, as StorageAdd does.
func (changes *Changes) Add(key string, amount int64) *Changes {
	return changes.AddFor(key, amount, 0)
}

// AddFor adds to a number, and keeps the sum as long as the number before (0), or for so long.
func (changes *Changes) AddFor(key string, amount int64, lasts time.Duration) *Changes {
	return changes.with(storage.MakeKeyChangeAdd(storage.AddNumber{Key: key, Amount: amount, Expires: expires(lasts)}), nil)
}

// Delete forgets a key, if it is there.
func (changes *Changes) Delete(key string) *Changes {
	return changes.with(storage.MakeKeyChangeDelete(key), nil)
}

// Expect demands that this value is kept, as Set writes it, before anything is changed; nil is nothing.
func (changes *Changes) Expect(key string, value any) *Changes {
	text, err := optional(value)
	return changes.expect(key, text, err)
}

func (changes *Changes) expect(key string, text wit.Option[[]uint8], err error) *Changes {
	return changes.with(storage.MakeKeyChangeExpect(wit.Tuple2[string, wit.Option[[]uint8]]{F0: key, F1: text}), err)
}

func (changes *Changes) with(change storage.KeyChange, err error) *Changes {
	if changes.err == nil {
		changes.err = err
	}
	changes.changes = append(changes.changes, change)
	return changes
}

// Make makes them, and returns when they are on disk; false: something is not as they expect, and nothing has changed. Needs storage.
func (changes *Changes) Make(ctx context.Context) (bool, error) {
	if changes.err != nil {
		return false, changes.err
	}
	return call(ctx, "", func() wit.Result[bool, types.Error] { return storage.Change(changes.changes) })
}

// StorageMigrate brings what an earlier version of the plugin has kept to the present. The number of the version is kept under a key, and
// is 0 where there is none. Each step leads from its number to the next; the changes that it notes, 254 at most, are made together with the
// new number: a plugin that is ended meanwhile finds the one version or the other, and begins that step again. It is an error if the data
// is of a newer version, or not as a step expects. Needs storage.
//
//	err := parlor.StorageMigrate(ctx, "version", func(ctx context.Context, changes *parlor.Changes) error {
//		points, _, err := parlor.StorageGet[int](ctx, "score")
//		changes.Set("points/all", points, 0).Delete("score")
//		return err
//	})
func StorageMigrate(ctx context.Context, key string, steps ...func(context.Context, *Changes) error) error {
	read := func() (wit.Option[[]uint8], error) {
		return call(ctx, key, func() wit.Result[wit.Option[[]uint8], types.Error] { return storage.Get(key) })
	}
	for {
		kept, err := read()
		if err != nil {
			return err
		}
		var version int
		if text, ok := kept.Get(); ok {
			if err := json.Unmarshal(text, &version); err != nil {
				return fmt.Errorf("what is kept under %q: %w", key, err)
			}
		}
		if version < 0 || version > len(steps) {
			return fmt.Errorf("%s: the data is of version %d, and this plugin knows %d", key, version, len(steps))
		}
		if version == len(steps) {
			return nil
		}
		var changes Changes
		if err := steps[version](ctx, &changes); err != nil {
			return err
		}
		isMade, err := changes.expect(key, kept, nil).Set(key, version+1, 0).Make(ctx)
		if err != nil {
			return err
		}
		if isMade {
			continue
		}
		// Another handler may have done the same.
		present, err := read()
		if err != nil {
			return err
		}
		before, _ := kept.Get()
		if text, _ := present.Get(); present.Tag() == kept.Tag() && bytes.Equal(text, before) {
			return fmt.Errorf("%s: the data of version %d is not as its step expects", key, version)
		}
	}
}
