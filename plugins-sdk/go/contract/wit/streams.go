package wit

import (
	"runtime"
	"unsafe"

	"parlor/internal/abi"
	"parlor/internal/tasks"
)

// StreamVtable is how the items of a stream are read and written, as the generated code knows it.
type StreamVtable[T any] struct {
	Size, Align                uint32
	Read, Write                func(handle int32, items unsafe.Pointer, length uint32) uint32
	CancelRead, CancelWrite    func(handle int32) uint32
	DropReadable, DropWritable func(handle int32)
	Lift                       func(src unsafe.Pointer) T
	Lower                      func(pinner *runtime.Pinner, value T, dst unsafe.Pointer) func()
}

// StreamReader is a stream of the host's.
type StreamReader[T any] struct {
	vtable  *StreamVtable[T]
	handle  int32
	ended   bool
	stopped bool
}

// MakeStreamReader is for the generated code.
func MakeStreamReader[T any](vtable *StreamVtable[T], handle int32) *StreamReader[T] {
	return &StreamReader[T]{vtable: vtable, handle: handle}
}

// Read waits for the next items, as many as there are and fit; none when the stream has ended.
func (stream *StreamReader[T]) Read(items []T) int {
	if stream.ended || len(items) == 0 {
		return 0
	}
	pinner := &runtime.Pinner{}
	defer pinner.Unpin()
	size := uintptr(stream.vtable.Size)
	buffer := abi.Allocate(pinner, size*uintptr(len(items)), uintptr(stream.vtable.Align))
	begun := stream.vtable.Read(stream.handle, buffer, uint32(len(items)))
	ended, count, stopped := tasks.Read(begun, stream.handle, stream.vtable.CancelRead)
	stream.ended, stream.stopped = ended, stopped
	for i := range count {
		items[i] = stream.vtable.Lift(unsafe.Add(buffer, uintptr(i)*size))
	}
	return count
}

// Stopped says whether it ended before its end, since the call of the host was cancelled whose handler read it.
func (stream *StreamReader[T]) Stopped() bool {
	return stream.stopped
}

// Drop tells the host that nobody reads on.
func (stream *StreamReader[T]) Drop() {
	if stream.handle != 0 {
		stream.vtable.DropReadable(stream.handle)
		stream.handle, stream.ended = 0, true
	}
}

// StreamWriter is there for the generated code; the contract takes no streams.
type StreamWriter[T any] struct{}

// MakeStreamWriter is for the generated code.
func MakeStreamWriter[T any](*StreamVtable[T], int32) *StreamWriter[T] {
	panic("the contract takes no streams")
}

// FutureVtable is how the value of a future is read and written, as the generated code knows it.
type FutureVtable[T any] struct {
	Size, Align                uint32
	Read, Write                func(handle int32, item unsafe.Pointer) uint32
	CancelRead, CancelWrite    func(handle int32) uint32
	DropReadable, DropWritable func(handle int32)
	Lift                       func(src unsafe.Pointer) T
	Lower                      func(pinner *runtime.Pinner, value T, dst unsafe.Pointer) func()
}

// FutureReader is one value that the host gives later.
type FutureReader[T any] struct {
	vtable *FutureVtable[T]
	handle int32
}

// MakeFutureReader is for the generated code.
func MakeFutureReader[T any](vtable *FutureVtable[T], handle int32) *FutureReader[T] {
	return &FutureReader[T]{vtable, handle}
}

// Read waits for it. It can be read once. It panics where Get returns false.
func (future *FutureReader[T]) Read() T {
	value, ok := future.Get()
	if !ok {
		panic("the call of the host was cancelled whose handler read a future")
	}
	return value
}

// Get waits for it, once. It returns false if the call of the host was cancelled whose handler waits.
func (future *FutureReader[T]) Get() (value T, ok bool) {
	if future.handle == 0 {
		panic("a future is read once")
	}
	pinner := &runtime.Pinner{}
	defer pinner.Unpin()
	buffer := abi.Allocate(pinner, uintptr(future.vtable.Size), uintptr(future.vtable.Align))
	defer future.Drop()
	begun := future.vtable.Read(future.handle, buffer)
	if _, _, stopped := tasks.Read(begun, future.handle, future.vtable.CancelRead); stopped {
		return value, false
	}
	return future.vtable.Lift(buffer), true
}

// Drop tells the host that nobody waits for it.
func (future *FutureReader[T]) Drop() {
	if future.handle != 0 {
		future.vtable.DropReadable(future.handle)
		future.handle = 0
	}
}

// FutureWriter is there for the generated code; the contract takes no futures.
type FutureWriter[T any] struct{}

// MakeFutureWriter is for the generated code.
func MakeFutureWriter[T any](*FutureVtable[T], int32) *FutureWriter[T] {
	panic("the contract takes no futures")
}
