package parlor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"runtime"
	"strings"
	"syscall"

	"parlor/contract/types"
	"parlor/contract/wit"
	"parlor/internal/abi"
)

// Errors of the host that say nothing more; ask for them with errors.Is.
var (
	// ErrTimedOut says that it was sent, and no answer came in time.
	ErrTimedOut = errors.New("no answer came in time")
	// ErrOffline says that the account has no session with the server. A cut of the connection mostly leaves it one: then what is
	// sent waits.
	ErrOffline = errors.New("there is no connection to the server")
	// ErrStopped says that what the call waited for has ended: its plugin, the session, or the host's call of the handler that waits.
	ErrStopped = errors.New("what the call waited for has ended")
)

// Denied says that the owner did not grant it. Like the types below, ask for it with errors.As.
type Denied struct {
	// Permission is the one that is missing, such as messages.send.
	Permission string
	// Scope is what it would have to cover, such as a JID; empty where the permission has none.
	Scope string
	// Hint is what the owner types or writes to allow it.
	Hint string
}

func (denied *Denied) Error() string {
	if denied.Scope == "" {
		return "not granted: " + denied.Permission
	}
	return fmt.Sprintf("not granted: %s for %s", denied.Permission, denied.Scope)
}

// Invalid says that an argument is not what it should be.
type Invalid struct {
	// Argument is its name as the contract spells it.
	Argument string
	// Reason is what is wrong with it.
	Reason string
}

func (invalid *Invalid) Error() string {
	return fmt.Sprintf("invalid %s: %s", invalid.Argument, invalid.Reason)
}

// NotFound says that the thing of this name does not exist.
type NotFound struct{ Name string }

func (missing *NotFound) Error() string { return "not found: " + missing.Name }

// NotReady says that it is too early: wait for this promise first.
type NotReady struct{ Promise string }

func (early *NotReady) Error() string {
	return fmt.Sprintf("too early: %s has not come yet", early.Promise)
}

// Unsupported says that the host, or the server, cannot do that.
type Unsupported struct{ Reason string }

func (unsupported *Unsupported) Error() string { return "unsupported: " + unsupported.Reason }

// StanzaError says that it was sent, and the other side answered with an error (RFC 6120, section 8.3).
type StanzaError struct {
	// Condition is such as item-not-found or forbidden.
	Condition string
	// Kind is what to do about it: auth, cancel, continue, modify or wait.
	Kind string
	// Text is the other side's own words; often empty.
	Text string
	// XML is the whole error.
	XML string
}

func (stanza *StanzaError) Error() string {
	if stanza.Text == "" {
		return stanza.Condition
	}
	return stanza.Condition + ": " + stanza.Text
}

// Rejected says that the promise was rejected.
type Rejected struct{ Reason string }

func (rejected *Rejected) Error() string { return "rejected: " + rejected.Reason }

// OverLimit says that a limit of this plugin is used up.
type OverLimit struct{ Limit string }

func (over *OverLimit) Error() string { return "over a limit: " + over.Limit }

// Unreachable says that there is no connection to the server of the web.
type Unreachable struct{ Reason string }

func (unreachable *Unreachable) Error() string { return unreachable.Reason }

// TLS says that there is no trusted connection to the server of the web.
type TLS struct{ Reason string }

func (tls *TLS) Error() string { return tls.Reason }

// Protocol says that the server of the web does not speak HTTP as it should.
type Protocol struct{ Reason string }

func (protocol *Protocol) Error() string { return protocol.Reason }

// CallError is the error of every call that failed: it names the call and where it was made. It wraps the cause, for errors.Is
// and errors.As.
type CallError struct {
	// Call is the function of this package, such as RoomsSend, or one that is generated from the contract, such as rooms.Kick.
	Call string
	// Argument is what the call was about, such as a JID or a key; empty where it is about nothing.
	Argument string
	// Place is the author's line, such as plugin.go:41; empty where there is none.
	Place string
	// Err is what went wrong.
	Err error
}

func (failed *CallError) Error() string { return failed.Err.Error() }

// Where returns the call, its target, and the line that made it: RoomsSend "hall@rooms.example.org" at plugin.go:41.
// The log shows it when a handler fails.
func (failed *CallError) Where() string {
	var where []string
	if failed.Call != "" {
		where = append(where, failed.Call)
	}
	if failed.Argument != "" {
		where = append(where, fmt.Sprintf("%q", failed.Argument))
	}
	if failed.Place != "" {
		where = append(where, "at "+failed.Place)
	}
	return strings.Join(where, " ")
}

// Makes the text for the log.
func logged(err error) string {
	var failed *CallError
	if errors.As(err, &failed) && failed.Where() != "" {
		return fmt.Sprintf("%v (%s)", err, failed.Where())
	}
	return err.Error() + advice(err)
}

// Says what there is in the place of files and of a network, of which the system's own texts say only that they do not work.
func advice(err error) string {
	if errors.Is(err, syscall.EBADF) {
		return ": a plugin has no files: keep values in storage, and bring files along by go:embed; .parlor/docs/author/cannot.md says more"
	}
	for ; err != nil; err = errors.Unwrap(err) {
		// By its name, since a plugin without a network needs no package net.
		switch fmt.Sprintf("%T", err) {
		case "*net.OpError", "*net.DNSError":
			return ": a plugin reaches no network by itself: the host makes requests, by parlor.HTTPDo; .parlor/docs/author/web.md says how"
		}
	}
	return ""
}

// Unwrap gives what went wrong.
func (failed *CallError) Unwrap() error { return failed.Err }

// How many functions of this package stand between an author's and a failure, at most.
const deepest = 32

// Says which call failed: the last function of this package before the author's own, or the generated one that the author called.
func inCall(called wit.Called, err error) *CallError {
	const own = "parlor."
	failed := &CallError{Call: called.Name, Argument: named(called.About), Err: err}
	places := make([]uintptr, deepest)
	frames := runtime.CallersFrames(places[:runtime.Callers(2, places)])
	for {
		frame, more := frames.Next()
		name, isOwn := strings.CutPrefix(frame.Function, own)
		if !isOwn {
			if frame.Line > 0 {
				failed.Place = fmt.Sprintf("%s:%d", path.Base(frame.File), frame.Line)
			}
			return failed
		}
		name, _, _ = strings.Cut(name, "[")
		if name != "Value" && name != "Done" {
			failed.Call, _, _ = strings.Cut(name, ".")
		}
		if !more {
			return failed
		}
	}
}

// Returns what a call was about, as the log may name it.
func named(about string) string {
	if strings.Contains(about, "://") {
		return withoutQuery(about)
	}
	return about
}

// IsTemporary says whether the same call may well work later.
func IsTemporary(err error) bool {
	var early *NotReady
	var stanza *StanzaError
	if errors.As(err, &stanza) {
		return stanza.Kind == "wait"
	}
	return errors.As(err, &early) || errors.Is(err, ErrTimedOut) || errors.Is(err, ErrOffline)
}

// Value makes Go's own way of a generated function's: room, err := parlor.Value(rooms.Open(jid, rooms.Attributes{})).
func Value[T any](result wit.Result[T, types.Error]) (T, error) {
	if result.Tag() == wit.ResultOk {
		return result.Ok(), nil
	}
	var none T
	return none, inCall(result.Called(), failure(result.Err()))
}

// Done is the same for functions that give nothing.
func Done(result wit.Result[wit.Unit, types.Error]) error {
	_, err := Value(result)
	return err
}

func failure(failed types.Error) error {
	switch failed.Tag() {
	case types.ErrorDenied:
		denied := failed.Denied()
		return &Denied{Permission: denied.Permission, Scope: denied.Scope.Some(), Hint: denied.Hint}
	case types.ErrorInvalid:
		return &Invalid{Argument: failed.Invalid().Name, Reason: failed.Invalid().Reason}
	case types.ErrorNotFound:
		return &NotFound{failed.NotFound()}
	case types.ErrorNotReady:
		return &NotReady{failed.NotReady()}
	case types.ErrorUnsupported:
		return &Unsupported{failed.Unsupported()}
	case types.ErrorStanza:
		stanza := failed.Stanza()
		return &StanzaError{Condition: stanza.Condition, Kind: stanza.Kind, Text: stanza.Text.Some(), XML: stanza.Xml}
	case types.ErrorRejected:
		return &Rejected{failed.Rejected()}
	case types.ErrorTimedOut:
		return ErrTimedOut
	case types.ErrorOffline:
		return ErrOffline
	case types.ErrorStopped:
		return ErrStopped
	case types.ErrorOverLimit:
		return &OverLimit{failed.OverLimit()}
	case types.ErrorUnreachable:
		return &Unreachable{failed.Unreachable()}
	case types.ErrorTls:
		return &TLS{failed.Tls()}
	case types.ErrorProtocol:
		return &Protocol{failed.Protocol()}
	default:
		return errors.New(failed.Other())
	}
}

// Makes a call unless the context has ended. An error names whom or what the call was about.
func call[T any](ctx context.Context, about string, action func() wit.Result[T, types.Error]) (value T, err error) {
	if err := ended(ctx); err != nil {
		return value, err
	}
	if !abi.IsHosted {
		// An author's own test goes on: what has to be there is an error of the call's.
		defer func() {
			panicked := recover()
			outside, ok := panicked.(abi.Outside)
			if panicked != nil && !ok {
				panic(panicked)
			}
			err = cmp.Or[error](err, outside)
		}()
	}
	value, err = Value(action())
	if failed, ok := err.(*CallError); ok && about != "" {
		failed.Argument = about
	}
	return value, err
}

func done(ctx context.Context, about string, action func() wit.Result[wit.Unit, types.Error]) error {
	_, err := call(ctx, about, action)
	return err
}
