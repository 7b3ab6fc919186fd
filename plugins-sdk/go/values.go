package parlor

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"time"

	"parlor/contract/api"
	"parlor/contract/promises"
	"parlor/contract/settings"
	"parlor/contract/storage"
	"parlor/contract/types"
	"parlor/contract/user"
	"parlor/contract/wit"
	"parlor/internal/abi"
)

// UserBareJID is the account's bare one. Free.
func UserBareJID() string { return user.BareJid() }

// SettingsGet is one of the plugin's own settings; otherwise where it has no value, or one that does not fit, and under `go test`. One whose type is
// duration fits a time.Duration: parlor.SettingsGet("pause", 4*time.Minute). Free.
func SettingsGet[T any](name string, otherwise T) T {
	if !abi.IsHosted {
		return otherwise
	}
	return orElse(otherwise, settings.Get(name))
}

// SettingsGetIn is the setting in a room, at any time: that of the owner for the room, else the one for everywhere. SettingsGet gives it only
// while a handler handles an event of the room, which timers and schedules do not. Otherwise as SettingsGet. Free.
//
//	feeds := parlor.SettingsGetIn(room.Jid, "feeds", []string(nil))
func SettingsGetIn[T any](room, name string, otherwise T) T {
	if !abi.IsHosted {
		return otherwise
	}
	return orElse(otherwise, settings.GetIn(room, name))
}

// The value that the host gave, or the other where it is none that fits.
func orElse[T any](otherwise T, given wit.Result[wit.Option[string], types.Error]) T {
	text, err := Value(given)
	if err != nil {
		return otherwise
	}
	// Reading into an existing list would overwrite it.
	var value T
	if text, ok := text.Get(); !ok || fit([]byte(text), &value) != nil {
		return otherwise
	}
	return value
}

// The host gives durations in seconds, with a fraction where they have one.
func fit(text []byte, value any) error {
	duration, ok := value.(*time.Duration)
	if !ok {
		return json.Unmarshal(text, value)
	}
	var seconds float64
	err := json.Unmarshal(text, &seconds)
	*duration = time.Duration(math.Round(seconds * float64(time.Second)))
	return err
}

// SettingsSet changes one for this account and this process. Free.
func SettingsSet(ctx context.Context, name string, value any) error {
	text, err := marshal(value)
	if err != nil {
		return err
	}
	return done(ctx, name, func() wit.Result[wit.Unit, types.Error] { return settings.Set(name, string(text)) })
}

// Emit fires an event that every plugin may hear, and keeps the promise of the same name; the value, which may be nil, becomes
// JSON. Free.
func Emit(ctx context.Context, name string, value any) error {
	payload := wit.None[string]()
	if value != nil {
		text, err := marshal(value)
		if err != nil {
			return err
		}
		payload = wit.Some(string(text))
	}
	return done(ctx, name, func() wit.Result[wit.Unit, types.Error] { return api.Emit(name, payload) })
}

// PromisesAdd makes a promise that others can wait for; Emit of the same name keeps it. Free.
func PromisesAdd(ctx context.Context, name string) error {
	return done(ctx, name, func() wit.Result[wit.Unit, types.Error] { return promises.Add(name) })
}

// PromisesReject breaks a promise of this plugin: who waits for it is given the reason as Rejected. Free.
func PromisesReject(ctx context.Context, name, reason string) error {
	return done(ctx, name, func() wit.Result[wit.Unit, types.Error] { return promises.Reject(name, reason) })
}

// WaitUntil waits for a promise, the host's or a plugin's, and gives what it carries. The host ends the wait by an error when it
// can no longer come. Free.
func WaitUntil(ctx context.Context, name string) (*Event, error) {
	payload, err := call(ctx, name, func() wit.Result[types.Payload, types.Error] { return api.WaitUntil(name) })
	if err != nil {
		return nil, err
	}
	event := &Event{Name: name, At: time.Now()}
	return event, event.carry(payload)
}

// StorageSet keeps a value under a key, as JSON, on the disk when this returns; for ever (0), or for so long. Needs storage.
func StorageSet(ctx context.Context, key string, value any, lasts time.Duration) error {
	text, err := marshal(value)
	if err != nil {
		return err
	}
	return done(ctx, key, func() wit.Result[wit.Unit, types.Error] { return storage.Set(key, text, expires(lasts)) })
}

// StorageCompareAndSet keeps a value where what is kept reads as the expected one, and says whether it was: for what several may change at once.
// Nil is nothing, for either, and so is a map, a slice or a pointer that is nil. Needs storage.
func StorageCompareAndSet(ctx context.Context, key string, expected, value any, lasts time.Duration) (bool, error) {
	old, err := optional(expected)
	if err != nil {
		return false, err
	}
	fresh, err := optional(value)
	if err != nil {
		return false, err
	}
	if old.Tag() == wit.OptionSome {
		// The same value may have been written in another way, such as by an earlier version.
		kept, err := call(ctx, key, func() wit.Result[wit.Option[[]uint8], types.Error] { return storage.Get(key) })
		if err != nil || kept.Tag() == wit.OptionNone {
			return false, err
		}
		present := reflect.New(reflect.TypeOf(expected)).Interface()
		if err := json.Unmarshal(kept.Some(), present); err != nil {
			return false, err
		}
		if text, err := marshal(present); err != nil || !bytes.Equal(text, old.Some()) {
			return false, err
		}
		old = kept
	}
	return call(ctx, key, func() wit.Result[bool, types.Error] {
		return storage.CompareAndSet(key, old, fresh, expires(lasts))
	})
}

// StorageChange calls a function with the stored value, stores the result and returns it; for ever (0), or for so long. If nothing is
// stored, the function is given the zero value of its type; a map, a slice or a pointer that is nil is nothing, for either. A value
// that is stored meanwhile is not lost: the function is called again then, with that. Needs storage.
//
//	count, err := parlor.StorageChange(ctx, "count", func(count int) int { return count + 1 }, 0)
func StorageChange[T any](ctx context.Context, key string, change func(T) T, lasts time.Duration) (T, error) {
	for {
		var value T
		kept, err := call(ctx, key, func() wit.Result[wit.Option[[]uint8], types.Error] { return storage.Get(key) })
		if err != nil {
			return value, err
		}
		if text, ok := kept.Get(); ok {
			if err := json.Unmarshal(text, &value); err != nil {
				return value, err
			}
		}
		value = change(value)
		fresh, err := optional(value)
		if err != nil {
			return value, err
		}
		isKept, err := call(ctx, key, func() wit.Result[bool, types.Error] {
			return storage.CompareAndSet(key, kept, fresh, expires(lasts))
		})
		if isKept || err != nil {
			return value, err
		}
	}
}

// Writes a value as JSON. Unlike json.Marshal, it writes <, > and & as they are, as the SDKs of other languages do.
func marshal(value any) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), err
}

func optional(value any) (wit.Option[[]uint8], error) {
	if value == nil {
		return wit.None[[]uint8](), nil
	}
	text, err := marshal(value)
	if string(text) == "null" {
		return wit.None[[]uint8](), err
	}
	return wit.Some(text), err
}

func expires(lasts time.Duration) wit.Option[uint64] {
	if lasts == 0 {
		return wit.None[uint64]()
	}
	// A negative duration, or one that rounds to 0, must not last for ever.
	return wit.Some(max(1, milliseconds(lasts)))
}

// StorageGet reads what is kept, and says whether there is anything. Needs storage.
func StorageGet[T any](ctx context.Context, key string) (value T, ok bool, err error) {
	text, err := call(ctx, key, func() wit.Result[wit.Option[[]uint8], types.Error] { return storage.Get(key) })
	if err != nil || text.Tag() == wit.OptionNone {
		return value, false, err
	}
	err = json.Unmarshal(text.Some(), &value)
	return value, err == nil, err
}

// StorageDelete deletes it, and says whether there was anything. Needs storage.
func StorageDelete(ctx context.Context, key string) (bool, error) {
	return call(ctx, key, func() wit.Result[bool, types.Error] { return storage.Delete(key) })
}

// StorageKeys are all keys that begin so, in order. Needs storage.
func StorageKeys(ctx context.Context, prefix string) ([]string, error) {
	var keys []string
	after := wit.None[string]()
	for {
		page, err := call(ctx, prefix, func() wit.Result[storage.Page, types.Error] { return storage.List(prefix, after, 1000) })
		if err != nil {
			return nil, err
		}
		keys = append(keys, page.Keys...)
		if after = page.Next; after.Tag() == wit.OptionNone {
			return keys, nil
		}
	}
}

// Entry is a key with its value.
type Entry[T any] struct {
	Key   string
	Value T
}

// StorageEntries are all values whose keys begin so, with their keys, in the order of the keys. The host is asked once for each page,
// so this is faster than a StorageGet for each key. Needs storage.
//
//	points, err := parlor.StorageEntries[int](ctx, "points/")
func StorageEntries[T any](ctx context.Context, prefix string) ([]Entry[T], error) {
	var entries []Entry[T]
	after := wit.None[string]()
	for {
		page, err := call(ctx, prefix, func() wit.Result[storage.EntriesPage, types.Error] {
			return storage.Entries(prefix, after, 1000)
		})
		if err != nil {
			return nil, err
		}
		if entries, err = appendPage(entries, page); err != nil {
			return nil, err
		}
		if after = page.Next; after.Tag() == wit.OptionNone {
			return entries, nil
		}
	}
}

// appendPage appends the entries of a page, whose values are read as JSON.
func appendPage[T any](entries []Entry[T], page storage.EntriesPage) ([]Entry[T], error) {
	for _, one := range page.Entries {
		entry := Entry[T]{Key: one.Key}
		if err := json.Unmarshal(one.Value, &entry.Value); err != nil {
			return nil, fmt.Errorf("what is kept under %q: %w", one.Key, err)
		}
		entries = append(entries, entry)
	}
	return entries, nil
}
