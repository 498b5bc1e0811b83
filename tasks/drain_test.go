package tasks_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/tasks"
	"github.com/ustat/ustat/tasks/riverqueue"
)

// still is a clock that stands.
type still struct{ now time.Time }

func (c *still) Now() time.Time { return c.now }

// drained is a world whose runner is drained, not started.
func drained(t *testing.T) (w *world, clock *still, drain func() error) {
	w, clock = newWorld(t), &still{time.Date(2028, 2, 29, 12, 0, 0, 0, time.UTC)}
	w.queue = tasks.NewMemory(clock)
	w.config.Queue, w.config.Clock = w.queue, clock
	r, err := tasks.NewRunner(w.config)
	require.NoError(t, err)
	return w, clock, func() error { return r.Drain(t.Context()) }
}

func TestDrainDoesAllThatIsDueAndWhatThatSetsInMotion(t *testing.T) {
	t.Parallel()
	w, clock, drain := drained(t)
	var did []string
	note := func(what string) { did = append(did, what) }
	follow := tasks.Kind[string]{Name: "follow"}
	w.subscribe(tasks.Subscription{Name: "first", Types: []string{"a"}, Handle: func(ctx context.Context, _ core.Event) error {
		note("first")
		return tasks.Ask(ctx, tx{outbox: w.box}, follow, "x")
	}})
	require.NoError(t, tasks.Register(w.registry, follow, func(ctx context.Context, arg string, job tasks.Job) error {
		if note("follow"); job.Attempt == 1 {
			return errors.New("no")
		}
		return w.box.Emit(ctx, event("b"))
	}))
	w.subscribe(tasks.Subscription{Name: "last", Types: []string{"b"}, Handle: func(context.Context, core.Event) error {
		note("last")
		return nil
	}})
	require.NoError(t, w.registry.Every(tasks.Periodic{Name: "hourly", Every: time.Hour, Do: func(_ context.Context, period time.Time) error {
		note(period.Format("15:04"))
		return nil
	}}))
	require.NoError(t, w.box.Emit(t.Context(), event("a")))

	require.NoError(t, drain())
	require.Equal(t, []string{"12:00", "first", "follow"}, did)
	require.NoError(t, drain())
	require.Len(t, did, 3, "the failed job is not due yet")
	clock.now = clock.now.Add(time.Second)
	require.NoError(t, drain())
	require.Equal(t, []string{"follow", "last"}, did[3:])
	clock.now = clock.now.Add(3 * time.Hour)
	require.NoError(t, drain())
	require.Equal(t, []string{"15:00"}, did[5:], "of periods that have passed meanwhile only the last has work, as after a stop")
	require.Zero(t, w.box.left())
	require.Empty(t, w.jobs(tasks.Waiting))
	jobs := w.jobs("")
	require.Len(t, jobs, 5)
	brought, ok := jobs[3].Event()
	require.True(t, ok)
	require.Equal(t, "a", brought.Type)
	_, ok = jobs[4].Event()
	require.False(t, ok, "the work of a period brings no event")
}

func TestDrainEndsWhereJobsSetEachOtherInMotion(t *testing.T) {
	t.Parallel()
	w, _, drain := drained(t)
	w.subscribe(tasks.Subscription{Name: "echo", Handle: func(ctx context.Context, _ core.Event) error { return w.box.Emit(ctx, event("x")) }})
	require.NoError(t, w.box.Emit(t.Context(), event("x")))
	err := drain()
	require.ErrorIs(t, err, core.ErrFailedPrecondition)
	require.ErrorContains(t, err, "events.echo (10000)")
	require.Empty(t, w.jobs(tasks.Running))
}

func TestDrainMakesAsManyAttemptsAsItsLimit(t *testing.T) {
	t.Parallel()
	w, _, drain := drained(t)
	left := tasks.DrainLimit
	w.subscribe(tasks.Subscription{Name: "echo", Handle: func(ctx context.Context, _ core.Event) error {
		if left--; left == 0 {
			return nil
		}
		return w.box.Emit(ctx, event("x"))
	}})
	require.NoError(t, w.box.Emit(t.Context(), event("x")))
	require.NoError(t, drain())
	require.Zero(t, left)
}

func TestDrainRefusesWhatItCannotStep(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	require.ErrorIs(t, w.start().Drain(t.Context()), core.ErrFailedPrecondition)

	queue, err := riverqueue.SQLite(t.Context(), t.TempDir()+"/queue.db", nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, queue.Stop(context.Background())) })
	other, err := tasks.NewRunner(tasks.Config{Registry: tasks.NewRegistry(), Queue: queue})
	require.NoError(t, err)
	require.ErrorIs(t, other.Drain(t.Context()), core.ErrInvalid)

	_, _, drain := drained(t)
	require.NoError(t, drain())
	away := newWorld(t)
	away.box.away = errors.New("away")
	r, err := tasks.NewRunner(away.config)
	require.NoError(t, err)
	require.EqualError(t, r.Drain(t.Context()), "away")
}
