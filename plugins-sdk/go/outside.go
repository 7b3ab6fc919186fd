//go:build !wasip1

package parlor

// Outside of a host, such as under `go test`, nothing rings for goroutines: Go itself lets them run.
func letOthersRun() {}
