//go:build wasip1

package parlor

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"runtime/metrics"
	"time"
	_ "unsafe" // for go:linkname
)

// How often others may run before the host has its answer: who goes on may let another one go on.
const turns = 20

// The host does not ring sooner than that: each time costs an event.
const shortest = 10 * time.Millisecond

// When the host rings for goroutines and Go's own timers, in nanoseconds of Go's clock; zero if it does not.
var (
	ringsAt int64
	ring    Subscription
)

// Nothing else in Go tells when the next of its timers is due. It gives math.MaxInt64 if none is.
//
//go:linkname nextTimer runtime.timeSleepUntil
func nextTimer() int64

//go:linkname nanotime runtime.nanotime
func nanotime() int64

// How many goroutines could go on at once.
var runnable = []metrics.Sample{{Name: "/sched/goroutines/runnable:goroutines"}}

// Whether a goroutine has more to do than there were turns for.
func someGoOn() bool {
	if runtime.NumGoroutine() == 1 {
		// It is this one. Go's own work can wait.
		return false
	}
	metrics.Read(runnable)
	return runnable[0].Value.Kind() == metrics.KindUint64 && runnable[0].Value.Uint64() > 0
}

// Lets goroutines and Go's own timers go on, and has the host call again when the next timer is due, and soon where goroutines have
// more to do: Go runs nothing between two calls. Without an end to the turns one that never waits would keep out all events.
func letOthersRun() {
	for range turns {
		runtime.Gosched()
	}
	next := nextTimer()
	if someGoOn() {
		next = min(next, nanotime()+int64(shortest))
	}
	if next == math.MaxInt64 || ringsAt != 0 && ringsAt <= next {
		return
	}
	if ringsAt != 0 {
		// It may have rung, with its event still on the way.
		_ = ring.End()
	}
	var err error
	ring, err = After(max(time.Duration(next-nanotime()), shortest), func(context.Context) error {
		ringsAt = 0
		return nil
	})
	if err != nil {
		ringsAt = 0
		slog.Warn(fmt.Sprintf("what goroutines have to do goes on with the next event: %v", err))
		return
	}
	ringsAt = next
}
