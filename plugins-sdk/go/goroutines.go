//go:build wasip1

package parlor

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"time"
	_ "unsafe" // for go:linkname

	"parlor/internal/tasks"
)

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

func init() {
	tasks.AtEnd = ringForOthers
}

// Has the host call again when the next of Go's own timers is due, and soon where goroutines have more to do: Go runs nothing between
// two calls.
func ringForOthers(goOn bool) {
	next := nextTimer()
	if goOn {
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
