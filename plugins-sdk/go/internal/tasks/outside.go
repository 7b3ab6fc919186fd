//go:build !wasip1

package tasks

import (
	"math"
	"unsafe"

	"parlor/internal/abi"
)

func labels() unsafe.Pointer { return nil }

func setLabels(unsafe.Pointer) {}

func waitableSetNew() uint32 { panic(abi.Outside("[waitable-set-new]")) }

func waitableSetDrop(uint32) { panic(abi.Outside("[waitable-set-drop]")) }

func waitableJoin(uint32, uint32) { panic(abi.Outside("[waitable-join]")) }

func subtaskDrop(uint32) { panic(abi.Outside("[subtask-drop]")) }

func subtaskCancel(uint32) uint32 { panic(abi.Outside("[subtask-cancel]")) }

func taskCancel() { panic(abi.Outside("[task-cancel]")) }

func contextGet() uint32 { panic(abi.Outside("[context-get-0]")) }

func contextSet(uint32) { panic(abi.Outside("[context-set-0]")) }

func streamNew() uint64 { panic(abi.Outside("[stream-new-unit]")) }

func streamRead(uint32, unsafe.Pointer, uint32) uint32 { panic(abi.Outside("[stream-read-unit]")) }

func streamWrite(uint32, unsafe.Pointer, uint32) uint32 { panic(abi.Outside("[stream-write-unit]")) }

func streamDropReadable(uint32) { panic(abi.Outside("[stream-drop-readable-unit]")) }

func streamDropWritable(uint32) { panic(abi.Outside("[stream-drop-writable-unit]")) }

func acquirem() unsafe.Pointer { return nil }

func releasem(unsafe.Pointer) {}

func sleep(int64) int32 { panic(abi.Outside("timers.sleep")) }

func nextTimer() int64 { return math.MaxInt64 }

func nanotime() int64 { return 0 }

var marking uint32
