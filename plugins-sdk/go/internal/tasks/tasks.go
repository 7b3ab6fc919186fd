// Package tasks lets handlers wait for the host beside each other. Each call of the host is a task with a goroutine of its own. It goes on
// until all goroutines wait, and the host calls it back when something has come that one of them waits for (Component Model, Canonical
// ABI, callbacks of async exports).
package tasks

import (
	"runtime"
	"runtime/metrics"
	"time"
	"unsafe"
)

// What the host calls back for, as the Canonical ABI numbers it.
const (
	subtaskEvent    = 1
	streamReadEvent = 2
	futureReadEvent = 4
	cancelledEvent  = 6
)

// A call that has an answer has this state, or a later one.
const returned = 2

// What a task tells the host when its turn ends.
const (
	exits = 0
	waits = 2
)

// The code of a read that has to wait.
const blocked = 0xFFFFFFFF

// How a read ended that was given up.
const givenUp = 2

// How often others may run before a turn ends. There may be several rounds, since a goroutine that goes on may let another one go on.
// Without an end, a goroutine that never waits would keep out all events. A handler that has not returned is given more time than
// goroutines that it left behind.
const (
	turns      = 20
	ofHandlers = 1000
	// The host ends a plugin that computes for too long without a pause (limit cpu_slice), so goroutines that compute in between get
	// fewer.
	longest = 20 * time.Millisecond
)

// Task is one call of the host's.
type Task struct {
	// Go looks for a list of texts here when it writes the stack of a goroutine of the task: an empty one.
	_ [3]uintptr
	// What it waits for; zero if it has not waited yet.
	set uint32
	// How many handles are in the set.
	waits int
	// Gives the host the result; nil as long as there is none.
	give        func()
	given       chan struct{}
	hasReturned bool
	// Whether the caller has given it up. It has returned then, and without a result.
	isCancelled bool
	// The ends of the stream by which another task's turn woke this one; zero if none did.
	wakes, woken uint32
	// The goroutines that wait for a turn of this task.
	awaited []chan struct{}
	// Whether this turn is for Go's own timers.
	rings bool
}

var (
	// By their numbers.
	all = map[uint32]*Task{}
	// The task whose turn it is. The host gives one at a time.
	current *Task
	// The one that starts the plugin. It lasts as long as the plugin: goroutines that outlive their own task have their turns in it.
	first *Task
	// The goroutines that wait for the host, by the handles that it will tell about.
	waiters = map[uint32]waiter{}
	// The ends of streams that woke tasks which were cancelled before they heard of it: the writable ones, by the readable ones.
	unheard = map[uint32]uint32{}
	// How many goroutines wait for the host, or for a goroutine of this package.
	parked int
)

// A goroutine that waits for what the host will tell about a handle.
type waiter struct {
	answer chan uint32
	// The goroutine's own task; nil if that is over.
	own *Task
	// The task that has the handle in its set.
	in *Task
	// Gives up what it waits for, and returns how far that came.
	giveUp func(handle uint32) uint32
}

func (one waiter) goOn(code uint32) {
	parked--
	one.answer <- code
}

// Run begins a task; for the generated code.
func Run(handle func(*Task)) uint32 {
	// Go's collector may have whoever allocates wait for it, and others run. Their calls would come in the turn before, of a task that may be
	// over.
	thread := acquirem()
	task := &Task{given: make(chan struct{})}
	all[task.number()] = task
	if first == nil {
		first = task
	}
	current = task
	releasem(thread)
	setLabels(unsafe.Pointer(task))
	go handle(task)
	setLabels(nil)
	return task.turn()
}

// Own gives the task of this goroutine, which a goroutine inherits from the one that starts it. It is nil if the task is over.
func Own() *Task {
	return all[numberOf(labels())]
}

// InTurn waits for a turn of the goroutine's own task; for the generated code. The host knows the handler of a call by the task whose turn it
// is. It matters to the host which one calls: the handler's room has settings of its own, and a handler that waits for a person takes no place.
func InTurn() {
	// A turn may end before this goroutine goes on, and a task whose handler has returned may be over then.
	for task := ofTurns(); task != current; task = ofTurns() {
		// The collector may have whoever allocates wait for it, and the task may be over then.
		thread := acquirem()
		came := make(chan struct{})
		task.awaited = append(task.awaited, came)
		task.wake()
		parked++
		releasem(thread)
		<-came
	}
}

// The task in whose turns this goroutine makes the calls of a handler. After its own one is over it belongs to no handler any more, so its
// calls must not be those of another one: it makes them in the first task. So do functions that Go's timers call.
func ofTurns() *Task {
	if own := Own(); own != nil {
		return own
	}
	return first
}

// A task stays where it is, so its address is its number.
func (task *Task) number() uint32 {
	return numberOf(unsafe.Pointer(task))
}

func numberOf(place unsafe.Pointer) uint32 {
	return uint32(uintptr(place))
}

// Callback goes on with the task to which the host has something to tell; for the generated code.
func Callback(event, handle, code uint32) uint32 {
	task := all[contextGet()]
	switch event {
	case subtaskEvent:
		if code < returned {
			break // it has only begun
		}
		task.answered(handle, code)
		subtaskDrop(handle)
	case streamReadEvent, futureReadEvent:
		task.answered(handle, code)
	case cancelledEvent:
		// A result that is there is given instead.
		if task.give == nil && !task.hasReturned {
			task.cancel()
		}
		if task.isCancelled && task != first {
			return exits
		}
	}
	return task.turn()
}

// Ends a task that its caller has given up (Component Model, Canonical ABI, task.cancel). Its goroutines that wait for the host go on
// without an answer, in the first task like all that outlive their own one. The first task also takes over what others wait for here.
// It has a turn for that, and no goroutine runs before.
func (task *Task) cancel() {
	thread := acquirem()
	defer releasem(thread)
	taskCancel()
	task.hasReturned, task.isCancelled = true, true
	for handle, one := range waiters {
		switch {
		case one.own == task:
			one.in.leave(handle)
			delete(waiters, handle)
			one.goOn(one.giveUp(handle))
		case one.in == task:
			task.handOver(handle)
			one.in = first
			waiters[handle] = one
		}
	}
	if task == first {
		return
	}
	for at := range rings {
		if rings[at].of == task {
			task.handOver(rings[at].handle)
			rings[at].of = first
		}
	}
	if task.woken != 0 {
		task.handOver(task.woken)
		unheard[task.woken] = task.wakes
	}
	for _, came := range task.awaited {
		parked--
		close(came)
	}
	task.awaited = nil
	if task.set != 0 {
		waitableSetDrop(task.set)
	}
	delete(all, task.number())
	first.wake()
}

// Moves a handle to the set of the first task.
func (task *Task) handOver(handle uint32) {
	if task != first {
		task.waits--
		first.join(handle)
	}
}

// IsCancelled says whether the caller of this task has given it up; nil is no task.
func (task *Task) IsCancelled() bool {
	return task != nil && task.isCancelled
}

// Return gives the host the result of a task, in a turn of that task; for the generated code.
func (task *Task) Return(give func()) {
	if task.isCancelled {
		return
	}
	task.give = give
	if current != task {
		task.wake()
	}
	parked++
	<-task.given
}

// SubtaskWait waits until a call of the host has its answer; for the generated code. It returns false if there is none, since the task
// of the goroutine was cancelled.
func SubtaskWait(status uint32) bool {
	return status&0xF == returned || wait(status>>4, giveUpSubtask) == returned
}

func giveUpSubtask(handle uint32) uint32 {
	state := subtaskCancel(handle)
	subtaskDrop(handle)
	return state
}

// Read gives how a read of a stream or a future went: whether the other end is gone, how much came, and whether the read was given up,
// since the task of the goroutine was cancelled.
func Read(code uint32, handle int32, cancel func(handle int32) uint32) (ended bool, count int, isGivenUp bool) {
	if code == blocked {
		code = wait(uint32(handle), func(handle uint32) uint32 { return cancel(int32(handle)) })
	}
	return code&0xF != 0, int(code >> 4), code&0xF == givenUp
}

// Beside runs each action in a goroutine of its own, which it may end, and waits until all of these have ended.
func Beside(actions []func()) {
	left := len(actions)
	if left == 0 {
		return
	}
	ended := make(chan struct{})
	waits := false
	for _, action := range actions {
		go func() {
			defer func() {
				if left--; left == 0 {
					if waits {
						parked--
					}
					close(ended)
				}
			}()
			action()
		}()
	}
	// It counts only now: Go's collector may have had it wait before, and then it has more to do.
	if left > 0 {
		waits = true
		parked++
	}
	<-ended
}

// Waits for what the host will tell about a handle, in the task whose turn it is.
func wait(handle uint32, giveUp func(handle uint32) uint32) uint32 {
	// The collector may have whoever allocates wait for it, and this task may be cancelled then.
	thread := acquirem()
	one := waiter{answer: make(chan uint32, 1), own: Own(), in: current, giveUp: giveUp}
	waiters[handle] = one
	current.join(handle)
	parked++
	releasem(thread)
	return <-one.answer
}

func (task *Task) join(handle uint32) {
	waitableJoin(handle, task.waitableSet())
	task.waits++
}

func (task *Task) leave(handle uint32) {
	waitableJoin(handle, 0)
	task.waits--
}

// Returns the task's set, which it gets when it first waits.
func (task *Task) waitableSet() uint32 {
	if task.set == 0 {
		task.set = waitableSetNew()
	}
	return task.set
}

// Lets the goroutine go on that waits for a handle.
func (task *Task) answered(handle, code uint32) {
	task.leave(handle)
	if handle == task.woken {
		streamDropReadable(task.woken)
		streamDropWritable(task.wakes)
		task.wakes, task.woken = 0, 0
		return
	}
	if wakes, ok := unheard[handle]; ok {
		streamDropReadable(handle)
		streamDropWritable(wakes)
		delete(unheard, handle)
		return
	}
	one, ok := waiters[handle]
	if !ok {
		hasRung(handle)
		task.rings = true
		return
	}
	delete(waiters, handle)
	one.goOn(code)
}

// Has the host give this task a turn, from that of another one: it is told that a stream that it reads has an item.
func (task *Task) wake() {
	if task.woken != 0 {
		return
	}
	ends := streamNew()
	task.woken, task.wakes = uint32(ends), uint32(ends>>32)
	streamRead(task.woken, nil, 1)
	task.join(task.woken)
	streamWrite(task.wakes, nil, 1)
}

// Lets goroutines run until all wait, and tells the host how this task goes on.
func (task *Task) turn() uint32 {
	current = task
	for _, came := range task.awaited {
		parked--
		close(came)
	}
	task.awaited = nil
	var began time.Time
	var goOn bool
	for number := 0; ; number++ {
		// All goroutines may wait, and one of them for this turn.
		task.deliver()
		if number == unasked {
			began = time.Now()
		}
		// Go looks for timers that are due when a goroutine lets others run.
		goOn = number == 0 && task.rings || othersGoOn(number)
		if !goOn || task.isLong(number, began) {
			break
		}
		runtime.Gosched()
	}
	task.rings = false
	// The count allocates memory, and other goroutines may have run meanwhile.
	task.deliver()
	task.ringForOthers(goOn || oneWaitsForCollector())
	if task.hasReturned && task.waits == 0 && task != first {
		if task.set != 0 {
			waitableSetDrop(task.set)
		}
		delete(all, task.number())
		return exits
	}
	contextSet(task.number())
	return waits | task.waitableSet()<<4
}

// Gives the host the result, if there is one.
func (task *Task) deliver() {
	if task.give == nil || task.hasReturned {
		return
	}
	task.give()
	task.hasReturned = true
	parked--
	close(task.given)
}

// Whether its turn ends although a goroutine may have more to do.
func (task *Task) isLong(number int, began time.Time) bool {
	return number >= ofHandlers || task.hasReturned && number >= turns || number > unasked && time.Since(began) > longest
}

// Most turns end within so many, so only later ones are worth asking Go, and looking at the clock.
const unasked = 2

// How many goroutines could go on at once.
var runnable = []metrics.Sample{{Name: "/sched/goroutines/runnable:goroutines"}}

// Whether a goroutine may have more to do.
func othersGoOn(number int) bool {
	// One is this one. Go's own work can wait.
	if runtime.NumGoroutine() == parked+1 {
		return false
	}
	if number < unasked {
		return true
	}
	metrics.Read(runnable)
	return runnable[0].Value.Kind() == metrics.KindUint64 && runnable[0].Value.Uint64() > 0
}

// Whether a goroutine may wait for the collector, which does its work bit by bit, when goroutines let others run.
func oneWaitsForCollector() bool {
	return marking != 0 && runtime.NumGoroutine() != parked+1
}
