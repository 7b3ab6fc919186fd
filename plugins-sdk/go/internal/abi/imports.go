//go:build wasip1

package abi

import "unsafe"

//go:wasmimport $root [waitable-set-new]
func waitableSetNew() int32

//go:wasmimport $root [waitable-set-wait]
func waitableSetWait(set int32, payload unsafe.Pointer) int32

//go:wasmimport $root [waitable-set-drop]
func waitableSetDrop(set int32)

//go:wasmimport $root [waitable-join]
func waitableJoin(waitable, set int32)
