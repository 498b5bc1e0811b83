package core_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
)

// steppedClock is a Clock that moves when it is told to.
type steppedClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *steppedClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *steppedClock) step(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func TestALimitIsCountTimesInPer(t *testing.T) {
	t.Parallel()
	clock := &steppedClock{now: time.Unix(1e9, 0).UTC()}
	m := core.NewMemoryLimiter(clock)
	take := func(limits ...core.Limit) time.Duration {
		wait, err := m.Take(t.Context(), limits...)
		require.NoError(t, err)
		return wait
	}
	ten := core.Limit{Key: "ten", Count: 10, Per: time.Minute}
	for range 10 {
		require.Zero(t, take(ten))
	}
	require.Equal(t, 6*time.Second, take(ten), "one in ten of a minute")
	clock.step(6 * time.Second)
	require.Zero(t, take(ten))
	require.Positive(t, take(ten))
	require.NoError(t, m.Return(t.Context(), ten))
	require.Zero(t, take(ten), "what was given back can be taken again")

	other := core.Limit{Key: "other", Count: 1, Per: time.Hour}
	require.Positive(t, take(other, ten), "one of them is exhausted")
	require.Zero(t, take(other), "so the other was not counted")
}

func TestALimiterForgetsKeysBeforeItGrowsWithoutBound(t *testing.T) {
	t.Parallel()
	m := core.NewMemoryLimiter(core.SystemClock{})
	for i := range 250_000 {
		_, err := m.Take(context.Background(), core.Limit{Key: fmt.Sprint(i), Count: 1, Per: time.Hour})
		require.NoError(t, err)
	}
	require.LessOrEqual(t, m.Keys(), 100_000)
}

func TestConcurrentTakesNeverPassTheLimit(t *testing.T) {
	t.Parallel()
	m := core.NewMemoryLimiter(&steppedClock{now: time.Unix(1e9, 0)})
	taken := make(chan bool, 1000)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for range 20 {
				wait, _ := m.Take(context.Background(), core.Limit{Key: "k", Count: 100, Per: time.Hour})
				taken <- wait == 0
			}
		})
	}
	wg.Wait()
	close(taken)
	n := 0
	for ok := range taken {
		if ok {
			n++
		}
	}
	require.Equal(t, 100, n)
}

func TestASecretIsNeverShown(t *testing.T) {
	t.Parallel()
	type form struct{ Password core.Secret }
	f := form{"hunter2"}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "password", f.Password, "form", f)
	body, err := json.Marshal(f)
	require.NoError(t, err)
	for _, text := range []string{fmt.Sprint(f), fmt.Sprintf("%+v %#v %s %q", f, f, f.Password, f.Password), log.String(), string(body)} {
		require.NotContains(t, text, "hunter2")
	}
	require.NoError(t, json.Unmarshal([]byte(`{"Password":"x"}`), &f))
	require.Equal(t, "x", string(f.Password))
}

func TestWeakKeysAreRefused(t *testing.T) {
	t.Parallel()
	require.NoError(t, core.CheckKey("key", []byte(strings.Repeat("ab", 16)), 32))
	for _, bad := range []string{"", "short", strings.Repeat("a", 32), strings.Repeat("\x00", 64)} {
		require.ErrorIs(t, core.CheckKey("key", []byte(bad), 32), core.ErrInvalid, "%q", bad)
	}
}
