package parlor

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"unicode"

	"parlor/contract/log"
)

// Logger writes to the host's log, as slog does by itself: this is what slog.Default() gives. Records worse than an error, from
// slog.LevelError+4 on, are fatal there. Free.
func Logger() *slog.Logger { return slog.Default() }

// The host adds time, plugin and account.
type logHandler struct {
	// The text after each line, and the one before the names of its fields.
	fields, group string
}

func (*logHandler) Enabled(context.Context, slog.Level) bool { return true }

func (handler *logHandler) Handle(_ context.Context, record slog.Record) error {
	line := &strings.Builder{}
	line.WriteString(record.Message)
	line.WriteString(handler.fields)
	record.Attrs(func(field slog.Attr) bool {
		writeField(line, handler.group, field)
		return true
	})
	log.Write(level(record.Level), line.String())
	return nil
}

func (handler *logHandler) WithAttrs(fields []slog.Attr) slog.Handler {
	line := &strings.Builder{}
	line.WriteString(handler.fields)
	for _, field := range fields {
		writeField(line, handler.group, field)
	}
	return &logHandler{fields: line.String(), group: handler.group}
}

func (handler *logHandler) WithGroup(name string) slog.Handler {
	return &logHandler{fields: handler.fields, group: handler.group + name + "."}
}

// As slog.Handler says: a field that is nothing is left out, and a group without a name is none.
func writeField(line *strings.Builder, group string, field slog.Attr) {
	field.Value = field.Value.Resolve()
	if field.Equal(slog.Attr{}) {
		return
	}
	if field.Value.Kind() == slog.KindGroup {
		if field.Key != "" {
			group += field.Key + "."
		}
		for _, inner := range field.Value.Group() {
			writeField(line, group, inner)
		}
		return
	}
	line.WriteString(" " + group + field.Key + "=" + quoted(field.Value.String()))
}

// In quotes where it would read as more than one field, or as none.
func quoted(value string) string {
	isOdd := func(char rune) bool { return char == '"' || char == '=' || unicode.IsSpace(char) || !unicode.IsPrint(char) }
	if value == "" || strings.ContainsFunc(value, isOdd) {
		return strconv.Quote(value)
	}
	return value
}

func level(level slog.Level) uint8 {
	switch {
	case level < slog.LevelInfo:
		return log.LevelDebug
	case level < slog.LevelWarn:
		return log.LevelInfo
	case level < slog.LevelError:
		return log.LevelWarn
	case level < slog.LevelError+4:
		return log.LevelError
	default:
		return log.LevelFatal
	}
}
