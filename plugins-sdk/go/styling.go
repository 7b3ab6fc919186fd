package parlor

import (
	"strings"
	"unicode"
)

const (
	// The signs that begin and end markup within a line.
	stylingSigns = "*_~`"
	// The line around a block of code.
	stylingFence = "```"
	// Behind it a sign begins nothing: it cannot be seen, and is no white space.
	stylingJoiner = "\u2060"
)

// StylingBold makes a text bold (XEP-0393), which clients show as such. Lines are bold each by itself, since markup ends with its line. A
// line with a * in it stays as it is: there is no way to write one in bold.
//
// The markup is signs in the text, as in *bold*, and there is no way to write such a sign as itself. So text from elsewhere goes through
// StylingEscape first, or into StylingMonospace or StylingCodeBlock, which take it as it is. For a text that is all from elsewhere,
// Outgoing.Unstyled turns markup off.
//
//	text := parlor.StylingBold(parlor.StylingEscape(name)) + " says\n" + parlor.StylingQuote(said)
func StylingBold(text string) string {
	return styled("*", text, asItIs)
}

// StylingItalic makes a text italic, as StylingBold does, with _.
func StylingItalic(text string) string {
	return styled("_", text, asItIs)
}

// StylingStrike strikes a text out, as StylingBold does, with ~.
func StylingStrike(text string) string {
	return styled("~", text, asItIs)
}

// StylingMonospace shows a text as it is, in letters of one width: a name of a program, or anything from elsewhere. A line with a backtick
// in it is only escaped.
func StylingMonospace(text string) string {
	return styled("`", text, StylingEscape)
}

// StylingQuote quotes each line of a text. The quotation ends with its line: put a line break behind it.
func StylingQuote(text string) string {
	return eachLine(text, func(line string) string { return "> " + line })
}

// StylingCodeBlock shows the lines of a text as they are, in letters of one width. It begins and ends with a line of its own: put a line
// break before and behind it.
func StylingCodeBlock(text string) string {
	inside := eachLine(text, func(line string) string {
		// Such a line would end the block.
		if strings.HasPrefix(strings.TrimSpace(line), stylingFence) {
			return stylingJoiner + line
		}
		return line
	})
	return stylingFence + "\n" + inside + "\n" + stylingFence
}

// StylingEscape escapes a text such that nothing in it is markup: an invisible U+2060 goes before each sign that would begin some.
func StylingEscape(text string) string {
	escaped, before := &strings.Builder{}, '\n'
	for _, sign := range text {
		begins := strings.ContainsRune(stylingSigns, sign) && (unicode.IsSpace(before) || strings.ContainsRune(stylingSigns, before))
		if begins || sign == '>' && before == '\n' {
			escaped.WriteString(stylingJoiner)
		}
		escaped.WriteRune(sign)
		before = sign
	}
	return escaped.String()
}

func asItIs(line string) string {
	return line
}

// Puts the sign around each line, without the white space at its ends. Lines with the sign in them are for `otherwise`.
func styled(sign, text string, otherwise func(line string) string) string {
	lines := strings.Split(text, "\n")
	for at, line := range lines {
		inside := strings.TrimSpace(line)
		if inside == "" || strings.Contains(inside, sign) {
			lines[at] = otherwise(line)
			continue
		}
		start := strings.Index(line, inside)
		lines[at] = line[:start] + sign + inside + sign + line[start+len(inside):]
	}
	return strings.Join(lines, "\n")
}

// Changes each line; a line break at the end of the text begins none.
func eachLine(text string, change func(line string) string) string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for at, line := range lines {
		lines[at] = change(line)
	}
	return strings.Join(lines, "\n")
}
