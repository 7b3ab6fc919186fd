// Package parlor is for plugins of parlor, a host for XMPP bots, in Go.
//
//	func main() { parlor.Start(start) }
//
//	func start(ctx context.Context) error {
//		_, err := parlor.OnMessage(parlor.Filter{Kind: "chat"}, answer)
//		return err
//	}
//
//	func answer(ctx context.Context, message *parlor.Message) error {
//		if message.Body == "" || message.Carbon != "" || message.Command != "" {
//			return nil // it says that somebody types, another client of the account received it, or it is a command
//		}
//		return parlor.Reply(ctx, message, "you said: "+message.Body)
//	}
//
// Beside it stands plugin.toml, which says what the plugin asks for, and why. `parlor plugin build` makes one file of both. A
// plugin imports what it calls, and nothing else: each function here names the permission that it needs.
//
// A call waits until it is done. While a handler waits, other handlers and goroutines of the plugin run: two handlers of one room may both
// read a value and then both write it. The manifest's in_order keeps handlers of one room or person apart; so do StorageAdd and
// StorageCompareAndSet, and a sync.Mutex. Goroutines go on when a handler waits or has returned, and when a timer is due that they wait for:
// time.Sleep, time.AfterFunc and time.NewTicker do what they do elsewhere. A panic in a goroutine ends the plugin; one in a function that
// After or Every calls goes into the log.
//
// There is one thread, and a goroutine has it until it waits for the host, another goroutine or a timer, or calls runtime.Gosched: one that
// computes for long does so in one go. Each time the host calls, goroutines have some twenty turns, and no more than 20 milliseconds. Those
// that have more to do go on 10 milliseconds later, and so on, with the plugin's events in between.
//
// A goroutine goes on after the handler that began it has returned, for as long as the plugin runs. While one waits for the host or for a
// timer of Go, a plugin with `parks` is not parked. One that waits for a channel alone does not count: the plugin may be parked meanwhile,
// and the goroutine is gone.
//
// SettingsGet and HTTPDo use the settings of a room: that of the handler that calls them, or that began the goroutine that calls them. Other
// handlers and goroutines may run before they do. Call them before the handler returns: afterwards the goroutine has no room, and gets the
// plugin's own settings. So does what time.AfterFunc calls, at any time.
//
// A context is asked before each call, and Sleep ends with it; any other call that has begun is waited for.
//
// Calls that are not wrapped here are in the packages generated from the contract, parlor/contract/rooms and its like; Value turns
// the results of their functions into a value and an error.
package parlor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	_ "unsafe" // for go:linkname

	"parlor/contract/export_guest"
	"parlor/contract/listen"
	"parlor/contract/wit"
	_ "parlor/contract/wit_exports" // what the host calls
	"parlor/internal/abi"
	"parlor/internal/tasks"
)

var (
	starting func(context.Context) error
	stopping []func(context.Context) error
)

// Start says what begins the plugin; main calls it, once. The function runs before the account logs in, and what it returns,
// unless nil, refuses the start.
func Start(start func(context.Context) error) {
	starting = start
}

// OnStop has a function called once, when the plugin is told to stop. It has two seconds.
func OnStop(stop func(context.Context) error) {
	stopping = append(stopping, stop)
}

// Go itself does not call it in what others call.
//
//go:linkname pluginMain main.main
func pluginMain()

func init() {
	if abi.IsHosted {
		slog.SetDefault(slog.New(&logHandler{}))
	}
	export_guest.Initialize = initialize
	export_guest.HandleEvent = handleEvent
	export_guest.Stop = stop
}

func initialize() wit.Result[wit.Unit, string] {
	alone = tasks.Own()
	err := toItsEnd("the plugin's start", func() error {
		pluginMain()
		if starting == nil {
			return errors.New("main does not call parlor.Start")
		}
		return starting(context.Background())
	})
	alone = nil
	if errors.Is(err, ErrOffline) {
		err = fmt.Errorf("%w: a plugin starts before its account is logged in; wait for `initialized`, or use OnReady", err)
	}
	if err != nil {
		return wit.Err[wit.Unit](logged(err))
	}
	return wit.Ok[wit.Unit, string](wit.Unit{})
}

// Handles an event. Failures are in the log; if it was a command, the host tells the person who gave it.
func handleEvent(raw listen.Event) wit.Result[wit.Unit, wit.Unit] {
	event, err := newEvent(raw)
	if err != nil {
		slog.Error("an event that this SDK does not know", "event", raw.Name, "error", err)
		return wit.Err[wit.Unit](wit.Unit{})
	}
	var called []*listener
	for _, number := range raw.Subscriptions {
		// It may have ended meanwhile.
		listener, ok := listeners[number]
		if !ok || !listener.takes(event) {
			continue
		}
		if listener.once {
			delete(listeners, number)
		}
		called = append(called, listener)
	}
	if !handle(called, event) {
		return wit.Err[wit.Unit](wit.Unit{})
	}
	return wit.Ok[wit.Unit, wit.Unit](wit.Unit{})
}

func stop() {
	alone = tasks.Own()
	for _, stop := range stopping {
		if err := toItsEnd("a handler of stop", func() error { return stop(context.Background()) }); err != nil {
			slog.Error("stopping failed: " + logged(err))
		}
	}
}

// Runs each handler in a goroutine of its own, which it may end, and returns whether all went well. One that waits holds up none of the
// others.
func handle(called []*listener, event *Event) bool {
	allWell := true
	actions := make([]func(), len(called))
	for at, listener := range called {
		actions[at] = func() {
			err := endedGoroutine("the handler")
			defer func() {
				if err != nil {
					slog.Error(fmt.Sprintf("a handler of %s failed: %s", event.what(), logged(err)))
					allWell = false
				}
			}()
			err = guard(func() error { return listener.handle(context.Background(), event) })
		}
	}
	tasks.Beside(actions)
	return allWell
}

// Runs an action in a goroutine of its own, which it may end: the host would wait for one that does so in the goroutine of the task.
func toItsEnd(what string, action func() error) error {
	err := endedGoroutine(what)
	tasks.Beside([]func(){func() { err = guard(action) }})
	return err
}

func endedGoroutine(what string) error { return errors.New(what + " has ended its goroutine") }

// Turns a panic into an error with its stack.
func guard(action func() error) (err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			err = fmt.Errorf("panic: %v\n%s", panicked, debug.Stack())
		}
	}()
	return action()
}
