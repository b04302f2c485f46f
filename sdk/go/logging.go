package modrun

import (
	"bytes"
	"context"
	"io"
	"log"
	"log/slog"
	"sync"
)

// Logs: each line on stderr begins with its level in the way of sd-daemon(3), by which the runtime tells them apart.

// LogHandler returns a handler for log/slog that writes each record to w as lines which begin with their level: `<3>`
// error, `<4>` warning, `<6>` information, `<7>` debug. Run makes it the default, for the package log too.
func LogHandler(w io.Writer) slog.Handler {
	lines := &levelLines{to: w}
	return &levelHandler{lines, slog.NewTextHandler(lines, &slog.HandlerOptions{
		Level:       slog.LevelDebug,
		ReplaceAttr: plainMessage,
	})}
}

// routeLogs makes both of Go's loggers write to w with levels.
func routeLogs(w io.Writer) {
	slog.SetDefault(slog.New(LogHandler(w))) // also takes what package log writes, as information
	log.SetFlags(0)
}

// plainMessage leaves out what the runtime adds itself: the time and the level.
func plainMessage(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == slog.MessageKey) {
		return slog.Attr{}
	}
	return a
}

// levelHandler writes the message itself, and its attributes by the handler inside.
type levelHandler struct {
	lines  *levelLines
	inside slog.Handler
}

func (h *levelHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h *levelHandler) Handle(ctx context.Context, record slog.Record) error {
	h.lines.mu.Lock()
	defer h.lines.mu.Unlock()
	h.lines.prefix, h.lines.message = prefixOf(record.Level), record.Message
	return h.inside.Handle(ctx, record)
}

func (h *levelHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &levelHandler{h.lines, h.inside.WithAttrs(attrs)}
}

func (h *levelHandler) WithGroup(name string) slog.Handler {
	return &levelHandler{h.lines, h.inside.WithGroup(name)}
}

func prefixOf(level slog.Level) string {
	switch {
	case level >= slog.LevelError:
		return "<3>"
	case level >= slog.LevelWarn:
		return "<4>"
	case level >= slog.LevelInfo:
		return "<6>"
	default:
		return "<7>"
	}
}

// levelLines puts the message before its attributes, and the level before every line.
type levelLines struct {
	mu      sync.Mutex
	to      io.Writer
	prefix  string
	message string
	buffer  []byte
}

// Write gets the attributes of one record, as one line.
func (l *levelLines) Write(attributes []byte) (int, error) {
	text := []byte(l.message)
	if attributes = bytes.TrimRight(attributes, "\n"); len(attributes) > 0 {
		text = append(append(text, ' '), attributes...)
	}
	l.buffer = l.buffer[:0]
	for _, line := range bytes.Split(bytes.TrimRight(text, "\n"), []byte("\n")) {
		l.buffer = append(append(append(l.buffer, l.prefix...), line...), '\n')
	}
	_, err := l.to.Write(l.buffer)
	return len(attributes), err
}
