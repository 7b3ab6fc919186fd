// Package export_guest has what the host calls, by the names that the generated code has for it.
package export_guest

import (
	"parlor/contract/listen"
	"parlor/contract/wit"
)

// Set by package parlor.
var (
	Initialize  func() wit.Result[wit.Unit, string]
	HandleEvent func(listen.Event) wit.Result[wit.Unit, wit.Unit]
	Stop        func()
)
