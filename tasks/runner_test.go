package tasks_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/tasks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

// outbox is a core.Outbox in memory, and a core.Tx whose events are there at once.
type outbox struct {
	mu       sync.Mutex
	pending  []core.Event
	away     error
	undone   bool // Done fails
	broken   bool // Pending panics
	asked    int
	onCommit func()
}

func (o *outbox) Pending(_ context.Context, limit int) ([]core.Event, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.asked++; o.broken {
		panic("a broken store")
	}
	return append([]core.Event(nil), o.pending[:min(limit, len(o.pending))]...), o.away
}

func (o *outbox) Done(_ context.Context, ids ...uuid.UUID) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.undone {
		return errors.New("the process has died")
	}
	done := map[uuid.UUID]bool{}
	for _, id := range ids {
		done[id] = true
	}
	var rest []core.Event
	for _, e := range o.pending {
		if !done[e.ID] {
			rest = append(rest, e)
		}
	}
	o.pending = rest
	return nil
}

func (o *outbox) Forget(context.Context, time.Time, int) (int, error) { return 0, nil }

func (o *outbox) OnCommit(f func()) { o.onCommit = f }

func (o *outbox) Emit(_ context.Context, events ...core.Event) error {
	o.mu.Lock()
	o.pending = append(o.pending, events...)
	wake := o.onCommit
	o.mu.Unlock()
	if wake != nil {
		wake()
	}
	return nil
}

func (o *outbox) set(f func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f()
}

func (o *outbox) left() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.pending)
}

// tx makes an outbox a core.Tx.
type tx struct {
	core.Tx
	*outbox
}

func (t tx) Emit(ctx context.Context, events ...core.Event) error {
	return t.outbox.Emit(ctx, events...)
}

func event(typ string) core.Event {
	return core.NewEvent(typ, "row/1", core.Actor{UserID: 7}, time.Now(), map[string]any{"text": "<Ёлка> 🎓"})
}

type world struct {
	t        *testing.T
	registry *tasks.Registry
	queue    *tasks.Memory
	box      *outbox
	config   tasks.Config
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, registry: tasks.NewRegistry(), queue: tasks.NewMemory(nil), box: new(outbox)}
	w.config = tasks.Config{
		Registry: w.registry, Queue: w.queue, Sources: []tasks.Source{{Name: "test", Outbox: w.box}},
		Poll: 5 * time.Millisecond, Grace: 20 * time.Millisecond,
	}
	return w
}

func (w *world) start() *tasks.Runner {
	w.t.Helper()
	r, err := tasks.NewRunner(w.config)
	require.NoError(w.t, err)
	require.NoError(w.t, r.Start(w.t.Context()))
	w.t.Cleanup(func() { require.NoError(w.t, r.Stop(context.Background())) })
	return r
}

func (w *world) subscribe(s tasks.Subscription) {
	w.t.Helper()
	require.NoError(w.t, w.registry.Subscribe(s))
}

func (w *world) jobs(state tasks.State) []tasks.Job {
	w.t.Helper()
	list, err := w.queue.List(w.t.Context(), tasks.JobQuery{State: state, Limit: 1000})
	require.NoError(w.t, err)
	return list
}

func eventually(t *testing.T, what func() bool, msg string) {
	t.Helper()
	require.Eventually(t, what, patience, 2*time.Millisecond, msg)
}

func TestEachSubscriberGetsItsEventsOnceAndWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var mu sync.Mutex
	got := map[string][]core.Event{}
	keep := func(name string) func(context.Context, core.Event) error {
		return func(_ context.Context, e core.Event) error {
			mu.Lock()
			defer mu.Unlock()
			got[name] = append(got[name], e)
			return nil
		}
	}
	w.subscribe(tasks.Subscription{Name: "all", Handle: keep("all")})
	w.subscribe(tasks.Subscription{Name: "some", Types: []string{"courses.published", "courses.archived"}, Handle: keep("some")})
	r := w.start()
	a, b := event("courses.published"), event("accounts.created")
	require.NoError(t, w.box.Emit(t.Context(), a, b))
	eventually(t, func() bool { return len(w.jobs(tasks.Done)) == 3 && w.box.left() == 0 }, "three jobs")
	mu.Lock()
	defer mu.Unlock()
	require.ElementsMatch(t, []string{a.Type, b.Type}, []string{got["all"][0].Type, got["all"][1].Type})
	require.Len(t, got["some"], 1)
	require.Equal(t, a, got["some"][0])
	require.EqualValues(t, 2, r.Stats().Relayed)
	require.EqualValues(t, 3, r.Stats().Succeeded)
}

func TestAnEventNobodyTakesIsDoneAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	require.NoError(t, w.box.Emit(t.Context(), event("x")))
	eventually(t, func() bool { return w.box.left() == 0 }, "it is done")
	require.Empty(t, w.jobs(""))
}

func TestARelayThatDiesBeforeDoneGivesNoEventTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var effects atomic.Int64
	w.subscribe(tasks.Subscription{Name: "s", Handle: func(context.Context, core.Event) error {
		effects.Add(1)
		return nil
	}})
	w.box.undone = true
	require.NoError(t, w.box.Emit(t.Context(), event("x")))
	w.config.Sources = append(w.config.Sources, w.config.Sources[0]) // a second relay of the same store, at once
	w.start()
	eventually(t, func() bool { return effects.Load() == 1 && len(w.jobs(tasks.Done)) == 1 }, "worked")
	before := 0
	w.box.set(func() { before = w.box.asked })
	eventually(t, func() bool { w.box.mu.Lock(); defer w.box.mu.Unlock(); return w.box.asked > before+3 }, "it is taken over again")
	w.box.set(func() { w.box.undone = false })
	eventually(t, func() bool { return w.box.left() == 0 }, "it is done")
	require.EqualValues(t, 1, effects.Load())
	require.Len(t, w.jobs(""), 1)
}

func TestAStoreThatIsAwayStopsNoOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	gone := &outbox{away: errors.New("no connection")}
	w.config.Sources = append([]tasks.Source{{Name: "gone", Outbox: gone}}, w.config.Sources...)
	var got atomic.Int64
	w.subscribe(tasks.Subscription{Name: "s", Handle: func(context.Context, core.Event) error { got.Add(1); return nil }})
	w.start()
	require.NoError(t, gone.Emit(t.Context(), event("x")))
	require.NoError(t, w.box.Emit(t.Context(), event("x")))
	eventually(t, func() bool { return got.Load() == 1 }, "the other store's")
	gone.set(func() { gone.away = nil })
	eventually(t, func() bool { return got.Load() == 2 }, "and its own when it is back")
}

func TestAStoreThatPanicsEndsNoProcess(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.box.broken = true
	var got atomic.Int64
	w.subscribe(tasks.Subscription{Name: "s", Handle: func(context.Context, core.Event) error { got.Add(1); return nil }})
	w.start()
	require.NoError(t, w.box.Emit(t.Context(), event("x")))
	asked := func() (n int) { w.box.set(func() { n = w.box.asked }); return n }
	eventually(t, func() bool { return asked() > 2 }, "the relay goes on")
	w.box.set(func() { w.box.broken = false })
	eventually(t, func() bool { return got.Load() == 1 }, "and delivers when the store is mended")
}

func TestACommitWakesTheRelay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.Poll = time.Minute
	got := make(chan struct{}, 1)
	w.subscribe(tasks.Subscription{Name: "s", Handle: func(context.Context, core.Event) error { got <- struct{}{}; return nil }})
	w.start()
	eventually(t, func() bool { w.box.mu.Lock(); defer w.box.mu.Unlock(); return w.box.asked > 0 }, "the first look")
	start := time.Now()
	require.NoError(t, w.box.Emit(t.Context(), event("x")))
	<-got
	require.Less(t, time.Since(start), 10*time.Second)
}

type letter struct {
	To string `json:"to"`
}

var mail = tasks.Kind[letter]{Name: "mail.send", MaxAttempts: 3, Backoff: time.Millisecond}

func TestAJobAskedForInATransactionIsRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := make(chan letter, 1)
	require.NoError(t, tasks.Register(w.registry, mail, func(_ context.Context, l letter, j tasks.Job) error {
		require.Equal(t, 3, j.MaxAttempts)
		got <- l
		return nil
	}))
	w.start()
	require.NoError(t, tasks.Ask(t.Context(), tx{outbox: w.box}, mail, letter{"<anna@example.org>"}))
	require.Equal(t, letter{"<anna@example.org>"}, <-got)
	require.ErrorIs(t, tasks.Ask(t.Context(), tx{outbox: w.box}, mail, letter{strings.Repeat("x", core.MaxPayload)}), core.ErrInvalid)
	require.ErrorIs(t, tasks.Ask(t.Context(), tx{outbox: w.box}, tasks.Kind[letter]{}, letter{}), core.ErrInvalid)
}

// Each of these would end a process, hang it or fill its database.
func TestPoisonIsDiscardedAndOthersGoOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var good atomic.Int64
	w.subscribe(tasks.Subscription{Name: "good", Handle: func(context.Context, core.Event) error { good.Add(1); return nil }})
	endless := errors.New(strings.Repeat("ё", 50<<20))
	hanging := make(chan struct{})
	t.Cleanup(func() { close(hanging) })
	for name, poison := range map[string]func(context.Context, core.Event) error{
		"panics":              func(context.Context, core.Event) error { panic("boom\x00") },
		"panics with nil":     func(context.Context, core.Event) error { panic(nil) }, //nolint:govet // on purpose
		"ends its goroutine":  func(context.Context, core.Event) error { runtime.Goexit(); return nil },
		"ignores its context": func(context.Context, core.Event) error { <-hanging; return nil },
		"overstays":           func(ctx context.Context, _ core.Event) error { <-ctx.Done(); return ctx.Err() },
		"a long error":        func(context.Context, core.Event) error { return endless },
		"an error that panics": func(context.Context, core.Event) error {
			return (*nilError)(nil)
		},
		"gives up": func(context.Context, core.Event) error {
			return fmt.Errorf("no use: %w", tasks.Discard(errors.New("bad")))
		},
	} {
		w.subscribe(tasks.Subscription{Name: name, MaxAttempts: 2, Timeout: 20 * time.Millisecond, Backoff: time.Millisecond, Handle: poison})
	}
	w.config.Concurrency = 4
	r := w.start()
	require.NoError(t, w.box.Emit(t.Context(), event("x"), event("x")))
	eventually(t, func() bool { return len(w.jobs(tasks.Discarded)) == 16 }, "all poison is discarded")
	require.EqualValues(t, 2, good.Load())
	for _, j := range w.jobs(tasks.Discarded) {
		want := 2
		if j.Kind == "events.gives up" {
			want = 1
		}
		require.Equal(t, want, j.Attempt, j.Kind)
		require.Len(t, j.Failures, want)
		for _, f := range j.Failures {
			require.NotEmpty(t, f.Error, j.Kind)
			require.LessOrEqual(t, len(f.Error), tasks.MaxError)
			require.NotContains(t, f.Error, "\x00")
		}
	}
	require.EqualValues(t, 4, r.Stats().Abandoned)
	require.EqualValues(t, 16, r.Stats().Discarded)
	require.NoError(t, w.box.Emit(t.Context(), event("x")))
	eventually(t, func() bool { return good.Load() == 3 }, "others go on")
}

type nilError struct{ text string }

func (e *nilError) Error() string { return e.text }

func TestWhatThisProcessDoesNotKnowWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	fail := func(context.Context, core.Event) error { t.Error("it was called"); return nil }
	w.subscribe(tasks.Subscription{Name: "old", Version: 2, Handle: fail})
	r := w.start()
	newer := event("x")
	newer.Version = 3
	asked := core.NewEvent(tasks.EventAsked, "job/x", core.Actor{}, time.Now(), "of another shape")
	require.NoError(t, w.box.Emit(t.Context(), newer, asked))
	require.NoError(t, w.queue.Insert(t.Context(), tasks.Insert{Kind: "unheard.of", Key: "k", MaxAttempts: 1}))
	eventually(t, func() bool { return r.Stats().Unknown == 3 && len(w.jobs(tasks.Waiting)) == 3 }, "three wait")
	for _, j := range w.jobs(tasks.Waiting) {
		require.Zero(t, j.Attempt, "it costs no attempt")
		require.WithinDuration(t, time.Now().Add(time.Minute), j.RunAt, 30*time.Second)
	}
}

func TestLaterCostsNoAttempt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var calls atomic.Int64
	require.NoError(t, tasks.Register(w.registry, tasks.Kind[int]{Name: "k", MaxAttempts: 1}, func(context.Context, int, tasks.Job) error {
		if calls.Add(1) < 5 {
			return tasks.Later(time.Millisecond)
		}
		return nil
	}))
	w.start()
	require.NoError(t, w.queue.Insert(t.Context(), tasks.Insert{Kind: "k", Key: "k", Args: json.RawMessage("1")}))
	eventually(t, func() bool { return len(w.jobs(tasks.Done)) == 1 }, "done")
	require.EqualValues(t, 5, calls.Load())
}

func TestAJobThatIsStoppedGoesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	begun := make(chan struct{})
	require.NoError(t, tasks.Register(w.registry, tasks.Kind[int]{Name: "k", MaxAttempts: 1}, func(ctx context.Context, _ int, _ tasks.Job) error {
		close(begun)
		<-ctx.Done()
		return ctx.Err()
	}))
	stopped := make(chan tasks.Job, 1)
	w.config.Queue = spy{w.queue, func(j tasks.Job, o tasks.Outcome) {
		require.Equal(t, tasks.Outcome{Result: tasks.Postponed}, o)
		stopped <- j
	}}
	r, err := tasks.NewRunner(w.config)
	require.NoError(t, err)
	require.NoError(t, r.Start(t.Context()))
	require.NoError(t, w.queue.Insert(t.Context(), tasks.Insert{Kind: "k", Key: "k", Args: json.RawMessage("1")}))
	<-begun
	brief, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	require.NoError(t, r.Stop(brief))
	require.Equal(t, "k", (<-stopped).Key)
	require.NoError(t, r.Stop(t.Context()), "again")
	require.ErrorIs(t, r.Start(t.Context()), core.ErrFailedPrecondition)
}

// spy sees the outcomes.
type spy struct {
	*tasks.Memory
	see func(j tasks.Job, o tasks.Outcome)
}

func (s spy) Start(ctx context.Context, work tasks.Work) error {
	do := work.Do
	work.Do = func(ctx context.Context, j tasks.Job) tasks.Outcome {
		o := do(ctx, j)
		s.see(j, o)
		return o
	}
	return s.Memory.Start(ctx, work)
}

// clock is a core.Clock that a test sets.
type clock struct{ now atomic.Int64 }

func (c *clock) Now() time.Time { return time.Unix(0, c.now.Load()).UTC() }

func TestPeriodicWorkIsDoneOnceAPeriodByAnyNumberOfProcesses(t *testing.T) {
	t.Parallel()
	var c clock
	c.now.Store(time.Date(2026, 1, 2, 3, 59, 0, 0, time.UTC).UnixNano())
	queue := tasks.NewMemory(&c)
	var runs atomic.Int64
	count := func(_ context.Context, period time.Time) error {
		require.Equal(t, c.Now().Truncate(time.Hour), period)
		runs.Add(1)
		return nil
	}
	for range 3 {
		registry := tasks.NewRegistry()
		require.NoError(t, registry.Every(tasks.Periodic{Name: "hourly", Every: time.Hour, Do: count}))
		// A web process: it asks, and works nothing.
		r, err := tasks.NewRunner(tasks.Config{Registry: registry, Queue: noStop{queue}, Concurrency: -1, Clock: &c})
		require.NoError(t, err)
		require.NoError(t, r.Start(t.Context()))
		t.Cleanup(func() { require.NoError(t, r.Stop(context.Background())) })
	}
	registry := tasks.NewRegistry()
	require.NoError(t, registry.Every(tasks.Periodic{Name: "hourly", Every: time.Hour, Do: count}))
	r, err := tasks.NewRunner(tasks.Config{Registry: registry, Queue: queue, Clock: &c})
	require.NoError(t, err)
	require.NoError(t, r.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, r.Stop(context.Background())) })
	for hour := range 4 {
		eventually(t, func() bool { return runs.Load() == int64(hour+1) }, "a run a period")
		time.Sleep(300 * time.Millisecond) // all four look again
		require.EqualValues(t, hour+1, runs.Load())
		c.now.Add(int64(time.Hour))
	}
}

// noStop is a queue that several runners of a test share.
type noStop struct{ *tasks.Memory }

func (noStop) Stop(context.Context) error { return nil }

func TestRegistryRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	r := tasks.NewRegistry()
	handle := func(context.Context, core.Event) error { return nil }
	work := func(context.Context, time.Time) error { return nil }
	job := func(context.Context, int, tasks.Job) error { return nil }
	require.True(t, r.Empty())
	for name, err := range map[string]error{
		"no handler":       r.Subscribe(tasks.Subscription{Name: "x"}),
		"no name":          r.Subscribe(tasks.Subscription{Handle: handle}),
		"a long name":      r.Subscribe(tasks.Subscription{Name: strings.Repeat("x", 81), Handle: handle}),
		"many attempts":    r.Subscribe(tasks.Subscription{Name: "x", MaxAttempts: 1000, Handle: handle}),
		"a short timeout":  r.Subscribe(tasks.Subscription{Name: "x", Timeout: 1, Handle: handle}),
		"a long backoff":   r.Subscribe(tasks.Subscription{Name: "x", Backoff: 2 * time.Hour, Handle: handle}),
		"no work":          r.Every(tasks.Periodic{Name: "x", Every: time.Minute}),
		"a short period":   r.Every(tasks.Periodic{Name: "x", Every: time.Millisecond, Do: work}),
		"a nameless":       r.Every(tasks.Periodic{Every: time.Minute, Do: work}),
		"a kind of none":   tasks.Register(r, tasks.Kind[int]{}, job),
		"no job's handler": tasks.Register[int](r, tasks.Kind[int]{Name: "x"}, nil),
	} {
		require.ErrorIs(t, err, core.ErrInvalid, name)
	}
	require.True(t, r.Empty())
	require.NoError(t, tasks.Register(r, tasks.Kind[int]{Name: "events.x"}, job))
	require.ErrorIs(t, r.Subscribe(tasks.Subscription{Name: "x", Handle: handle}), core.ErrConflict)

	for name, c := range map[string]tasks.Config{
		"no registry":     {Queue: tasks.NewMemory(nil)},
		"no queue":        {Registry: r},
		"concurrency":     {Registry: r, Queue: tasks.NewMemory(nil), Concurrency: 1001},
		"less than none":  {Registry: r, Queue: tasks.NewMemory(nil), Concurrency: -2},
		"a slow relay":    {Registry: r, Queue: tasks.NewMemory(nil), Poll: time.Hour},
		"an endless wait": {Registry: r, Queue: tasks.NewMemory(nil), Grace: time.Hour},
	} {
		_, err := tasks.NewRunner(c)
		require.ErrorIs(t, err, core.ErrInvalid, name)
	}
	runner, err := tasks.NewRunner(tasks.Config{Registry: r, Queue: tasks.NewMemory(nil)})
	require.NoError(t, err)
	require.NoError(t, runner.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, runner.Stop(context.Background())) })
	require.ErrorIs(t, r.Subscribe(tasks.Subscription{Name: "late", Handle: handle}), core.ErrFailedPrecondition)
}
