package app

import (
	"io"
	"log/slog"

	"seawall/internal/config"
)

func logger(cfg config.Log, to io.Writer, level *slog.LevelVar) *slog.Logger {
	if to == nil {
		to = io.Discard
	}
	setLevel(level, cfg.Level)
	opt := &slog.HandlerOptions{Level: level}
	if cfg.Format == "json" {
		return slog.New(slog.NewJSONHandler(to, opt))
	}
	return slog.New(slog.NewTextHandler(to, opt))
}

func setLevel(v *slog.LevelVar, name string) {
	// The name was validated; an unknown one leaves the level as it is.
	_ = v.UnmarshalText([]byte(name))
}
