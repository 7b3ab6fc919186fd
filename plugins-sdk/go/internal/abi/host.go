package abi

import "runtime"

// IsHosted says whether there is a host: there is none where an author's own tests run.
const IsHosted = runtime.GOOS == "wasip1"

// Outside is what a call of the host ends with where there is none. It has the call's name.
type Outside string

func (call Outside) Error() string {
	return string(call) + " is a call of the host, and there is none under `go test`: " +
		"try what needs one in tests/*.chat, by `parlor plugin test`"
}
