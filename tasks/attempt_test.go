package tasks

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBackoffDoublesUpToAnHourWithoutOverflow(t *testing.T) {
	t.Parallel()
	backoff := (&attempter{jitter: chance}).backoff
	for n := 1; n <= 10_000; n++ {
		want := min(time.Second<<min(n-1, 30), maxBackoff)
		require.GreaterOrEqual(t, backoff(time.Second, n), want)
		require.LessOrEqual(t, backoff(time.Second, n), want+want/10)
	}
	require.LessOrEqual(t, backoff(maxBackoff, 1<<40), maxBackoff+maxBackoff/10)
	require.GreaterOrEqual(t, backoff(time.Millisecond, 0), time.Millisecond)
}
