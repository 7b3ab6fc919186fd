package parlor

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"time"
	_ "unsafe" // for go:linkname
)

// How often others may run before the host has its answer: who goes on may let another one go on.
const turns = 20

// The host does not ring sooner than that: each time costs an event.
const shortest = 10 * time.Millisecond

// When the host rings for Go's own timers, in nanoseconds of Go's clock; zero if it does not.
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

// Lets goroutines and Go's own timers go on as far as they can, and has the host call again when the next timer is due: Go runs
// nothing between two calls.
func letOthersRun() {
	for range turns {
		runtime.Gosched()
	}
	next := nextTimer()
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
		slog.Warn(fmt.Sprintf("what waits for Go's own timers goes on with the next event: %v", err))
		return
	}
	ringsAt = next
}
