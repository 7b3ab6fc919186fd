package abi

import "strings"

// Text is the text as the host takes it: what was cut inside a character ends with U+FFFD.
func Text(text string) string {
	return strings.ToValidUTF8(text, "\uFFFD")
}
