//go:build wasip1

package abi

import "unsafe"

// Before Go runs there is no memory of its own yet.
var running bool

func init() {
	running = true
}

//go:linkname sbrk runtime.sbrk
func sbrk(size uintptr) unsafe.Pointer

// While these are held the collector neither begins nor helps.
//
//go:linkname acquirem runtime.acquirem
func acquirem() unsafe.Pointer

//go:linkname releasem runtime.releasem
func releasem(unsafe.Pointer)

// Getting memory may read the clock, and nothing of the host may be called while it asks for some: so the adapter between
// the first WASI and the second says the last time again meanwhile.
//
//go:wasmimport wasi_snapshot_preview1 adapter_monotonic_clock_set_paused
func pauseClock(paused bool)

//go:wasmexport cabi_realloc
func reallocate(old unsafe.Pointer, oldSize, align, size uintptr) unsafe.Pointer {
	if old != nil || oldSize != 0 {
		panic("the host never asks for more of what it has")
	}
	if !running {
		fresh := sbrk(size + align - 1)
		return unsafe.Add(fresh, -uintptr(fresh)&(align-1))
	}
	pauseClock(true)
	// The collector would ask what day it is when it is done, and for that no adapter has an answer.
	thread := acquirem()
	fresh := allocate(size, align)
	if fresh != nil {
		held[uintptr(fresh)] = fresh
	}
	releasem(thread)
	pauseClock(false)
	handedOut += size
	return fresh
}
