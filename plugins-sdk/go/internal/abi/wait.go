package abi

import "unsafe"

const blocked = 0xFFFFFFFF

// The host writes the result of a wait here: whose it was, and how it went. It is there from the beginning, for Wait allocates
// nothing.
var payload [2]uint32

// Wait gives how a read of a stream or a future went: whether the other end is gone, and how much came. It stands between Begin
// and End.
func Wait(code uint32, handle int32) (ended bool, count int) {
	if code == blocked {
		code = waitFor(handle)
	}
	return code&0xF != 0, int(code >> 4)
}

func waitFor(handle int32) uint32 {
	set := waitableSetNew()
	waitableJoin(handle, set)
	waitableSetWait(set, unsafe.Pointer(&payload))
	waitableJoin(handle, 0)
	waitableSetDrop(set)
	return payload[1]
}
