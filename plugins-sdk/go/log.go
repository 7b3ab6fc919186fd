package parlor

import (
	"context"
	"log/slog"
	"strings"

	"parlor/contract/log"
)

// Logger writes to the host's log, as slog does by itself: this is what slog.Default() gives. Free.
func Logger() *slog.Logger { return slog.Default() }

// The host adds time, plugin and account.
type logHandler struct {
	// What stands behind each line, and before the names of its fields.
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

func writeField(line *strings.Builder, group string, field slog.Attr) {
	value := field.Value.Resolve()
	if value.Kind() == slog.KindGroup {
		for _, inner := range value.Group() {
			writeField(line, group+field.Key+".", inner)
		}
		return
	}
	line.WriteString(" " + group + field.Key + "=" + value.String())
}

func level(level slog.Level) uint8 {
	switch {
	case level < slog.LevelInfo:
		return log.LevelDebug
	case level < slog.LevelWarn:
		return log.LevelInfo
	case level < slog.LevelError:
		return log.LevelWarn
	default:
		return log.LevelError
	}
}
