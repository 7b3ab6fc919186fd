// Package abi is what the generated code stands on: memory that the host writes into, and texts as the host takes them.
package abi

import (
	"runtime"
	"unsafe"
)

// Allocate gives memory that stays where it is until the pinner lets it go. It is never collected before that.
func Allocate(pinner *runtime.Pinner, size, align uintptr) unsafe.Pointer {
	memory := allocate(size, align)
	if memory != nil {
		pinner.Pin(memory)
	}
	return memory
}

func allocate(size, align uintptr) unsafe.Pointer {
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
	return memory
}

// Memory that the host has written and nobody has read yet. Calls get their answers while others run, so no call holds that of its own.
var held = map[uintptr]unsafe.Pointer{}

// Take gives memory that the host has written to its reader. From now on only its users hold it, like all memory of Go.
func Take(place uintptr) unsafe.Pointer {
	memory, ok := held[place]
	if !ok {
		// Nothing is allocated for a value without bytes.
		return nil
	}
	delete(held, place)
	collect()
	return memory
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
