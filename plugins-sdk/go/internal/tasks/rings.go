package tasks

import "math"

// How soon goroutines go on that have more to do than there was time for, in nanoseconds.
const soon = 10_000_000

const millisecond = 1_000_000

// A sleep of the host that wakes goroutines: Go runs nothing between two calls of the host, so also none of its own timers. It is a call
// that a task waits for, so it needs no event: it ends also while the plugin starts or stops, and keeps a plugin that parks awake.
type ring struct {
	handle uint32
	of     *Task
	// When it is needed, in nanoseconds of Go's clock.
	at int64
}

var rings []ring

// Has the host give this task a turn when the next of Go's own timers is due, and soon where goroutines have more to do. No goroutine runs
// from the look at the timers until the turn's end: it might set another timer.
func (task *Task) ringForOthers(goOn bool) {
	thread := acquirem()
	next := nextTimer()
	if goOn {
		next = min(next, nanotime()+soon)
	}
	task.giveUpRings(next)
	if next != math.MaxInt64 && !isRung(next) {
		task.ringAt(next)
	}
	releasem(thread)
}

// Whether the host rings at this time, or before.
func isRung(at int64) bool {
	for _, one := range rings {
		if one.at <= at {
			return true
		}
	}
	return false
}

func (task *Task) ringAt(at int64) {
	left := max(at-nanotime(), 0)
	// In whole milliseconds, rounded up: nothing comes too early. Without any time, a timer that is due would ring without an end.
	status := uint32(sleep(max((left+millisecond-1)/millisecond, 1)))
	if status&0xF == returned {
		return
	}
	handle := status >> 4
	rings = append(rings, ring{handle: handle, of: task, at: at})
	task.join(handle)
}

// Gives up those rings of this task that nothing needs any more, such as that of a deadline when all is done in time. Those of other tasks
// are not touched: the host may be about to tell such a task that its sleep is over.
func (task *Task) giveUpRings(next int64) {
	for at := len(rings) - 1; at >= 0; at-- {
		if one := rings[at]; one.of == task && one.at < next {
			rings = append(rings[:at], rings[at+1:]...)
			task.leave(one.handle)
			subtaskCancel(one.handle)
			subtaskDrop(one.handle)
		}
	}
}

// Notes that a sleep is over.
func hasRung(handle uint32) {
	for at, one := range rings {
		if one.handle == handle {
			rings = append(rings[:at], rings[at+1:]...)
			return
		}
	}
}
