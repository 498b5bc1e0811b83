package tasks

import (
	"context"
	"time"
)

// Cleanup has batch remove what is older than a time, 1,000 at a time with a pause
// after each, until there is no more or ctx ends. It returns how many were removed.
func Cleanup(ctx context.Context, before time.Time, batch func(ctx context.Context, before time.Time, limit int) (int, error)) (removed int, err error) {
	const limit, pause = 1000, 50 * time.Millisecond
	for {
		n, err := batch(ctx, before, limit)
		removed += n
		if err != nil || n < limit {
			return removed, err
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return removed, ctx.Err()
		case <-timer.C:
		}
	}
}
