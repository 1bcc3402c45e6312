package acme

import (
	"log/slog"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// zapLog hands certmagic's lines to our log. They speak to who knows certmagic: all
// are for debugging, but for errors that we do not tell ourselves.
func zapLog(log *slog.Logger) *zap.Logger { return zap.New(zapTo{log}) }

type zapTo struct{ log *slog.Logger }

func (z zapTo) Enabled(zapcore.Level) bool { return true }
func (z zapTo) Sync() error                { return nil }

func (z zapTo) With(fields []zapcore.Field) zapcore.Core {
	return zapTo{z.log.With(plain(fields)...)}
}

func (z zapTo) Check(e zapcore.Entry, c *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	return c.AddCore(e, z)
}

func (z zapTo) Write(e zapcore.Entry, fields []zapcore.Field) error {
	switch e.Message {
	case "tls-alpn challenge":
		return nil // anybody can cause it, and it has an address in it
	case "could not get certificate from issuer":
		return nil // told by tell
	}
	args := plain(fields)
	if e.Level >= zapcore.ErrorLevel && !strings.HasSuffix(e.LoggerName, "acme_client") && !told(args) {
		z.log.Error("looking after certificates: "+e.Message, args...)
		return nil
	}
	z.log.Debug("certmagic: "+e.Message, args...)
	return nil
}

// plain makes fields what slog takes.
func plain(fields []zapcore.Field) (args []any) {
	enc := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(enc)
		if v, ok := enc.Fields[f.Key]; ok {
			args = append(args, f.Key, v)
		}
	}
	return args
}

// told says whether a line is about a trouble.
func told(args []any) bool {
	for _, a := range args {
		if s, ok := a.(string); ok && (strings.Contains(s, mark) || s == "context canceled") {
			return true
		}
	}
	return false
}
