package abi

import (
	"runtime"
	"unsafe"
)

const blocked = 0xFFFFFFFF

// Wait gives how a read of a stream or a future went: whether the other end is gone, and how much came.
func Wait(code uint32, handle int32) (ended bool, count int) {
	if code == blocked {
		code = waitFor(handle)
	}
	return code&0xF != 0, int(code >> 4)
}

func waitFor(handle int32) uint32 {
	set := waitableSetNew()
	waitableJoin(handle, set)
	pinner := &runtime.Pinner{}
	defer pinner.Unpin()
	payload := Allocate(pinner, 8, 4)
	waitableSetWait(set, payload)
	waitableJoin(handle, 0)
	waitableSetDrop(set)
	return unsafe.Slice((*uint32)(payload), 2)[1]
}

//go:wasmimport $root [waitable-set-new]
func waitableSetNew() int32

//go:wasmimport $root [waitable-set-wait]
func waitableSetWait(set int32, payload unsafe.Pointer) int32

//go:wasmimport $root [waitable-set-drop]
func waitableSetDrop(set int32)

//go:wasmimport $root [waitable-join]
func waitableJoin(waitable, set int32)
