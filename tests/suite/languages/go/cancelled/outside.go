//go:build !wasip1

package tasks

import (
	"fmt"
	"math"
	"unsafe"
)

// A host that does as the Canonical ABI says, for tests.
var host = struct {
	next uint32
	// The set of each handle; 0 is none.
	handles map[uint32]uint32
	sets    map[uint32]bool
	// The context of the task whose turn it is.
	context   uint32
	cancelled int
	given     int
	// The state in which a subtask that is cancelled is.
	state uint32
}{handles: map[uint32]uint32{}, sets: map[uint32]bool{}}

func fresh() uint32 {
	host.next++
	return host.next
}

// Begins a call of the host, and returns its status.
func begin() uint32 {
	handle := fresh()
	host.handles[handle] = 0
	return handle<<4 | 1
}

func drop(handle uint32) {
	if set, ok := host.handles[handle]; !ok || set != 0 {
		panic(fmt.Sprintf("%d is not there, or in set %d", handle, set))
	}
	delete(host.handles, handle)
}

//go:linkname labels runtime/pprof.runtime_getProfLabel
func labels() unsafe.Pointer

//go:linkname setLabels runtime/pprof.runtime_setProfLabel
func setLabels(unsafe.Pointer)

func waitableSetNew() uint32 {
	set := fresh()
	host.sets[set] = true
	return set
}

func waitableSetDrop(set uint32) {
	for handle, in := range host.handles {
		if in == set {
			panic(fmt.Sprintf("%d is in the set", handle))
		}
	}
	delete(host.sets, set)
}

func waitableJoin(handle, set uint32) {
	if _, ok := host.handles[handle]; !ok || set != 0 && !host.sets[set] {
		panic(fmt.Sprintf("%d cannot join %d", handle, set))
	}
	host.handles[handle] = set
}

func subtaskDrop(subtask uint32) { drop(subtask) }

func subtaskCancel(uint32) uint32 { return host.state }

func taskCancel() { host.cancelled++ }

func contextGet() uint32 { return host.context }

func contextSet(id uint32) { host.context = id }

func streamNew() uint64 {
	read, write := fresh(), fresh()
	host.handles[read], host.handles[write] = 0, 0
	return uint64(write)<<32 | uint64(read)
}

func streamRead(uint32, unsafe.Pointer, uint32) uint32 { return blocked }

func streamWrite(uint32, unsafe.Pointer, uint32) uint32 { return 1 << 4 }

func streamDropReadable(stream uint32) { drop(stream) }

func streamDropWritable(stream uint32) { drop(stream) }

func acquirem() unsafe.Pointer { return nil }

func releasem(unsafe.Pointer) {}

func sleep(int64) int32 { return returned }

func nextTimer() int64 { return math.MaxInt64 }

func nanotime() int64 { return 0 }

var marking uint32
