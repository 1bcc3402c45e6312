package bench

import (
	"context"

	"seawall/internal/bench/accuracy"
)

// AccuracyOptions says what to measure.
type AccuracyOptions = accuracy.Options

// Accuracy holds made-up floods and ordinary days against a door and a control loop.
func Accuracy(ctx context.Context, o AccuracyOptions) (*accuracy.Report, error) {
	return accuracy.Run(ctx, o)
}
