// Package abi is what the generated code stands on: memory that the host writes into, and waiting for what it began.
package abi

import (
	"runtime"
	"unsafe"
)

// Allocate gives memory that stays where it is until the pinner lets it go. It is never collected before that.
func Allocate(pinner *runtime.Pinner, size, align uintptr) unsafe.Pointer {
	if size == 0 {
		return nil
	}
	var memory unsafe.Pointer
	// Elements that are as wide as the alignment are aligned.
	switch count := (size + align - 1) / align; align {
	case 1:
		memory = unsafe.Pointer(unsafe.SliceData(make([]uint8, count)))
	case 2:
		memory = unsafe.Pointer(unsafe.SliceData(make([]uint16, count)))
	case 4:
		memory = unsafe.Pointer(unsafe.SliceData(make([]uint32, count)))
	case 8:
		memory = unsafe.Pointer(unsafe.SliceData(make([]uint64, count)))
	default:
		panic("an alignment that no type of the contract has")
	}
	pinner.Pin(memory)
	return memory
}

// Last is the generated function that was called last, such as rooms.Kick, and whom or what it was about: for the error that it may
// give. While one waits no other can be called.
var Last struct{ Name, About string }

// Called is called by the generated code when an author's call begins.
func Called(name, about string) {
	Last.Name, Last.About = name, about
}

// Memory that the host has written and nobody has read yet is held by the pinner of the call that it answers, or by that of events.
// When it has been read, only its users hold it, like all memory of Go.
var (
	events runtime.Pinner
	given  = &events
)

// Begin says whose pinner holds what the host writes until End. In between no goroutine may go on but this one, and so nothing of
// Go's be allocated but for the host.
func Begin(pinner *runtime.Pinner) {
	given = pinner
}

// End says that a call has its answer, which is not read yet.
func End() {
	given = &events
	collect()
}

// Unpin is called by the generated code when an event has been read.
func Unpin() {
	events.Unpin()
	collect()
}

// How much the host was given since the collector last had its turn, and how much that may be.
var handedOut uintptr

const most = 1 << 20

// Lets the collector look whether it is needed, as it does when something large is wanted. While the host asks for memory it may
// not; and who only reads what the host gives asks for little else.
func collect() {
	if handedOut > most {
		handedOut = 0
		large = make([]byte, 64<<10)
	}
}

var large []byte
