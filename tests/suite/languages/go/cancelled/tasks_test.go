package tasks

import (
	"os"
	"runtime"
	"testing"
)

func TestMain(m *testing.M) {
	runtime.GOMAXPROCS(1)
	// The task that starts the plugin.
	Run(func(task *Task) { task.Return(func() {}) })
	os.Exit(m.Run())
}

// Begins a task, and returns its context.
func begins(t *testing.T, handle func(*Task)) uint32 {
	t.Helper()
	if code := Run(handle); code&0xF != waits {
		t.Fatal("it does not wait", code)
	}
	return host.context
}

// Calls a task back.
func tells(context, event, handle, code uint32) uint32 {
	host.context = context
	return Callback(event, handle, code)
}

// Gives the first task the turns that it is woken for.
func rouse(t *testing.T) {
	t.Helper()
	if first.woken == 0 {
		t.Fatal("nobody woke it")
	}
	for first.woken != 0 {
		tells(first.number(), streamReadEvent, first.woken, 1<<4)
	}
	for handle := range unheard {
		tells(first.number(), streamReadEvent, handle, 1<<4)
	}
}

// Checks that nothing is left but the first task.
func nothingLeft(t *testing.T) {
	t.Helper()
	if len(all) != 1 || len(waiters) != 0 || len(unheard) != 0 || parked != 0 || first.waits != 0 {
		t.Error(len(all), len(waiters), len(unheard), parked, first.waits)
	}
	if len(host.handles) != 0 || len(host.sets) != 1 {
		t.Error(host.handles, host.sets)
	}
}

func TestATaskThatWaitsEnds(t *testing.T) {
	for state, answered := range map[uint32]bool{2: true, 3: false, 4: false} {
		host.cancelled, host.state = 0, state
		answers := make(chan bool, 1)
		context := begins(t, func(task *Task) {
			answers <- SubtaskWait(begin())
			task.Return(func() { t.Error("it gave a result") })
		})
		if code := tells(context, cancelledEvent, 0, 0); code != exits || host.cancelled != 1 {
			t.Fatal(code, host.cancelled)
		}
		rouse(t)
		if answer := <-answers; answer != answered {
			t.Fatal(state, answer)
		}
		nothingLeft(t)
	}
}

// Another task's goroutine waits in the turn of the one that is cancelled, and one of the cancelled task in the turn of another.
func TestOthersGoOn(t *testing.T) {
	host.cancelled, host.state = 0, 4
	baton, back := make(chan uint32), make(chan uint32)
	answers := make(chan bool, 1)
	one := begins(t, func(task *Task) {
		status := <-baton
		answers <- SubtaskWait(status)
		task.Return(func() { host.given++ })
	})
	status := begin()
	other := begins(t, func(task *Task) {
		// It waits in the turn of this task.
		baton <- status
		<-back
		task.Return(func() { t.Error("it gave a result") })
	})
	if code := tells(other, cancelledEvent, 0, 0); code != exits {
		t.Fatal(code)
	}
	rouse(t)
	if _, ok := waiters[status>>4]; !ok || host.handles[status>>4] != first.set {
		t.Fatal("the first task does not have it")
	}
	tells(first.number(), subtaskEvent, status>>4, returned)
	if !<-answers {
		t.Fatal("it was cancelled")
	}
	// It gives its result in its own turn.
	host.given = 0
	waker := all[one].woken
	if code := tells(one, streamReadEvent, waker, 1<<4); code != exits || host.given != 1 {
		t.Fatal(code, host.given)
	}
	close(back)
	tells(first.number(), 0, 0, 0)
	nothingLeft(t)
}

func TestItsResultIsGivenIfThereIsOne(t *testing.T) {
	host.cancelled, host.given = 0, 0
	ready := make(chan bool)
	context := begins(t, func(task *Task) {
		<-ready
		task.Return(func() { host.given++ })
	})
	// It has its result in the turn of another task.
	close(ready)
	tells(first.number(), 0, 0, 0)
	waker := all[context].woken
	if code := tells(context, cancelledEvent, 0, 0); code&0xF != waits || host.given != 1 || host.cancelled != 0 {
		t.Fatal(code, host.given, host.cancelled)
	}
	if code := tells(context, streamReadEvent, waker, 1<<4); code != exits {
		t.Fatal(code)
	}
	nothingLeft(t)
}
