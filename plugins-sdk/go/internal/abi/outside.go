//go:build !wasip1

package abi

import "unsafe"

func waitableSetNew() int32 { panic(Outside("[waitable-set-new]")) }

func waitableSetWait(int32, unsafe.Pointer) int32 { panic(Outside("[waitable-set-wait]")) }

func waitableSetDrop(int32) { panic(Outside("[waitable-set-drop]")) }

func waitableJoin(int32, int32) { panic(Outside("[waitable-join]")) }
