//go:build wasip1

package tasks

import "unsafe"

//go:wasmimport $root [waitable-set-new]
func waitableSetNew() uint32

//go:wasmimport $root [waitable-set-drop]
func waitableSetDrop(set uint32)

//go:wasmimport $root [waitable-join]
func waitableJoin(waitable, set uint32)

//go:wasmimport $root [subtask-drop]
func subtaskDrop(subtask uint32)

// The host gives up the call, or has answered it: either way it is over when this returns.
//
//go:wasmimport $root [subtask-cancel]
func subtaskCancel(subtask uint32) uint32

// The caller of the task whose turn it is has given it up, and gets no result.
//
//go:wasmimport [export]$root [task-cancel]
func taskCancel()

//go:wasmimport $root [context-get-0]
func contextGet() uint32

//go:wasmimport $root [context-set-0]
func contextSet(id uint32)

// Go keeps a pointer for each goroutine, which goroutines inherit that it starts: the labels of profiles.
//
//go:linkname labels runtime/pprof.runtime_getProfLabel
func labels() unsafe.Pointer

//go:linkname setLabels runtime/pprof.runtime_setProfLabel
func setLabels(unsafe.Pointer)

// While these are held the collector neither begins nor helps.
//
//go:linkname acquirem runtime.acquirem
func acquirem() unsafe.Pointer

//go:linkname releasem runtime.releasem
func releasem(unsafe.Pointer)

// The call that package timers waits for.
//
//go:linkname sleep parlor/contract/timers.wasm_import_sleep
func sleep(milliseconds int64) int32

// Nothing else in Go tells when the next of its timers is due. It gives math.MaxInt64 if none is.
//
//go:linkname nextTimer runtime.timeSleepUntil
func nextTimer() int64

//go:linkname nanotime runtime.nanotime
func nanotime() int64

// Not zero while the collector looks for what is in use.
//
//go:linkname marking runtime.gcBlackenEnabled
var marking uint32

// A stream of items without content.
//
//go:wasmimport $root [stream-new-unit]
func streamNew() uint64

//go:wasmimport $root [async-lower][stream-read-unit]
func streamRead(stream uint32, items unsafe.Pointer, count uint32) uint32

//go:wasmimport $root [async-lower][stream-write-unit]
func streamWrite(stream uint32, items unsafe.Pointer, count uint32) uint32

//go:wasmimport $root [stream-drop-readable-unit]
func streamDropReadable(stream uint32)

//go:wasmimport $root [stream-drop-writable-unit]
func streamDropWritable(stream uint32)
