// Package taskstest proves that a tasks.Queue keeps what its comment promises: each
// sentence of it is a case here.
//
//	func TestConformance(t *testing.T) {
//		taskstest.Run(t, func(t *testing.T) func() tasks.Queue { ... })
//	}
package taskstest

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/tasks"
)

// Open returns a function that opens a queue over one and the same empty place, as
// two processes do, or that returns the same queue where there can be but one. It
// need not be migrated. What a case has not stopped is stopped in t.Cleanup.
type Open = func(t *testing.T) func() tasks.Queue

// Run runs every case. Where one place can be opened by one queue alone, shared is
// false, and the cases of two are left out.
func Run(t *testing.T, open Open, shared bool) {
	s := suite{t: t, open: open, shared: shared}
	s.inserting()
	s.working()
	s.looking()
	s.stopping()
}

type suite struct {
	t      *testing.T
	open   Open
	shared bool
}

// patience is how long anything may take.
const patience = 30 * time.Second

// run runs one case on a queue of its own, beside the others.
func (s suite) run(name string, test func(t *testing.T, q tasks.Queue)) {
	s.both(name, func(t *testing.T, q tasks.Queue, _ func() tasks.Queue) { test(t, q) })
}

// both also hands over what opens another queue on the same jobs.
func (s suite) both(name string, test func(t *testing.T, q tasks.Queue, again func() tasks.Queue)) {
	s.t.Run(name, func(t *testing.T) {
		t.Parallel()
		open := s.open(t)
		opened := func() tasks.Queue {
			q := open()
			t.Cleanup(func() { require.NoError(t, q.Stop(ctx(t))) })
			return q
		}
		q := opened()
		require.NoError(t, q.Migrate(ctx(t)))
		test(t, q, opened)
	})
}

func ctx(t testing.TB) context.Context {
	c, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return c
}

func job(key string) tasks.Insert { return tasks.Insert{Kind: "test", Key: key} }

// byKey returns the jobs of a queue by their keys.
func byKey(t testing.TB, q tasks.Queue) map[string]tasks.Job {
	t.Helper()
	list, err := q.List(ctx(t), tasks.JobQuery{Limit: 1000})
	require.NoError(t, err)
	out := map[string]tasks.Job{}
	for _, j := range list {
		require.NotContains(t, out, j.Key, "a key is there twice")
		out[j.Key] = j
	}
	return out
}

// await waits until a job is in a state, and returns it.
func await(t testing.TB, q tasks.Queue, key string, state tasks.State) tasks.Job {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if j := byKey(t, q)[key]; j.State == state {
			return j
		} else if time.Now().After(deadline) {
			t.Fatalf("job %s is %q, not %q: %+v", key, j.State, state, j)
		}
	}
}

func start(t testing.TB, q tasks.Queue, concurrency int, do func(ctx context.Context, j tasks.Job) tasks.Outcome) {
	t.Helper()
	require.NoError(t, q.Start(ctx(t), tasks.Work{Concurrency: concurrency, Do: do}))
}

func succeed(context.Context, tasks.Job) tasks.Outcome { return tasks.Outcome{} }

func (s suite) inserting() {
	s.run("Migrate may run again and Check is content after it", func(t *testing.T, q tasks.Queue) {
		require.NoError(t, q.Migrate(ctx(t)))
		require.NoError(t, q.Check(ctx(t)))
	})
	s.run("jobs come back as they were inserted, with their defaults", func(t *testing.T, q tasks.Queue) {
		args := json.RawMessage(`{"b": 1.50, "a": "Ёлка 🎓 <&> \u0000 \\ \"", "n": 12345678901234567890}`)
		at := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
		require.NoError(t, q.Insert(ctx(t),
			tasks.Insert{Kind: "mail.send", Key: "ключ/1", Version: 3, Args: args, RunAt: at, MaxAttempts: 7, Timeout: 90 * time.Second}, job("plain")))
		got := byKey(t, q)
		j := got["ключ/1"]
		require.Equal(t, string(args), string(j.Args))
		require.Equal(t, tasks.Job{
			ID: j.ID, Kind: "mail.send", Key: "ключ/1", Version: 3, Args: args, State: tasks.Waiting, MaxAttempts: 7, Timeout: 90 * time.Second,
			CreatedAt: j.CreatedAt, RunAt: at,
		}, j)
		require.WithinDuration(t, time.Now(), j.CreatedAt, time.Minute)
		p := got["plain"]
		require.Equal(t, []any{"null", tasks.DefaultMaxAttempts, tasks.DefaultTimeout, 1}, []any{string(p.Args), p.MaxAttempts, p.Timeout, p.Version})
		one, err := q.Get(ctx(t), p.ID)
		require.NoError(t, err)
		require.Equal(t, p, one)
		require.NoError(t, q.Insert(ctx(t)), "no jobs are no error")
	})
	s.run("a job out of its bounds is ErrInvalid and adds none", func(t *testing.T, q tasks.Queue) {
		for name, bad := range map[string]tasks.Insert{
			"no kind":       {Key: "k"},
			"a long kind":   {Kind: strings.Repeat("k", 101), Key: "k"},
			"no key":        {Kind: "k"},
			"a long key":    {Kind: "k", Key: strings.Repeat("k", 256)},
			"a NUL":         {Kind: "k", Key: "a\x00b"},
			"no JSON":       {Kind: "k", Key: "k", Args: json.RawMessage("{")},
			"long args":     {Kind: "k", Key: "k", Args: json.RawMessage(`"` + strings.Repeat("x", tasks.MaxArgs) + `"`)},
			"many attempts": {Kind: "k", Key: "k", MaxAttempts: 101},
			"no attempt":    {Kind: "k", Key: "k", MaxAttempts: -1},
			"a long while":  {Kind: "k", Key: "k", Timeout: 25 * time.Hour},
			"a version":     {Kind: "k", Key: "k", Version: -1},
		} {
			require.ErrorIs(t, q.Insert(ctx(t), job("good"), bad), core.ErrInvalid, name)
		}
		require.Empty(t, byKey(t, q))
	})
	s.run("a job whose Key is known is left out, whatever has become of it", func(t *testing.T, q tasks.Queue) {
		running := make(chan struct{})
		require.NoError(t, q.Insert(ctx(t), job("done"), job("discarded"), job("running"), job("twin"), job("twin"),
			tasks.Insert{Kind: "test", Key: "waiting", RunAt: time.Now().Add(time.Hour)}))
		start(t, q, 4, func(_ context.Context, j tasks.Job) tasks.Outcome {
			switch j.Key {
			case "discarded":
				return tasks.Outcome{Result: tasks.Refused, Error: "no"}
			case "running":
				<-running
			}
			return tasks.Outcome{}
		})
		await(t, q, "done", tasks.Done)
		await(t, q, "twin", tasks.Done)
		await(t, q, "discarded", tasks.Discarded)
		await(t, q, "running", tasks.Running)
		before := byKey(t, q)
		require.Len(t, before, 5)
		for key := range before {
			require.NoError(t, q.Insert(ctx(t), job(key), job("new/"+key)), "a known key keeps no other from being added")
			require.NoError(t, q.Insert(ctx(t), tasks.Insert{Kind: "other", Key: key}))
		}
		require.Len(t, byKey(t, q), 10)
		close(running)
		await(t, q, "running", tasks.Done)
	})
	s.run("of concurrent inserts of one key one takes effect", func(t *testing.T, q tasks.Queue) {
		var all sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			all.Go(func() {
				// In different orders, which must not lock each other out.
				errs[i] = q.Insert(context.Background(), job(fmt.Sprint("k", i%2)), job(fmt.Sprint("k", (i+1)%2)), job(fmt.Sprint("own", i)))
			})
		}
		all.Wait()
		for _, err := range errs {
			require.NoError(t, err)
		}
		require.Len(t, byKey(t, q), 2+len(errs))
	})
	s.run("an ended context adds nothing", func(t *testing.T, q tasks.Queue) {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		require.ErrorIs(t, q.Insert(ended, job("late")), context.Canceled)
		require.Empty(t, byKey(t, q))
	})
}

func (s suite) working() {
	s.run("a job that succeeds is done", func(t *testing.T, q tasks.Queue) {
		var got tasks.Job
		require.NoError(t, q.Insert(ctx(t), tasks.Insert{Kind: "test", Key: "a", Version: 2, Args: json.RawMessage(`[1]`), Timeout: time.Second}))
		start(t, q, 1, func(_ context.Context, j tasks.Job) tasks.Outcome {
			got = j
			return tasks.Outcome{}
		})
		j := await(t, q, "a", tasks.Done)
		require.Equal(t, []any{"test", "a", 2, "[1]", tasks.Running, 1, time.Second}, []any{got.Kind, got.Key, got.Version, string(got.Args), got.State, got.Attempt, got.Timeout})
		require.Equal(t, 1, j.Attempt)
		require.WithinDuration(t, time.Now(), j.FinishedAt, time.Minute)
		require.Empty(t, j.Failures)
	})
	s.run("a job that fails is tried again after its wait, and discarded after its last attempt", func(t *testing.T, q tasks.Queue) {
		const wait = 150 * time.Millisecond
		var mu sync.Mutex
		var at []time.Time
		require.NoError(t, q.Insert(ctx(t), tasks.Insert{Kind: "test", Key: "a", MaxAttempts: 3}))
		start(t, q, 2, func(_ context.Context, j tasks.Job) tasks.Outcome {
			mu.Lock()
			defer mu.Unlock()
			at = append(at, time.Now())
			return tasks.Outcome{Result: tasks.Failed, After: wait, Error: fmt.Sprint("failure ", j.Attempt)}
		})
		j := await(t, q, "a", tasks.Discarded)
		mu.Lock()
		defer mu.Unlock()
		require.Len(t, at, 3)
		for i := 1; i < len(at); i++ {
			require.GreaterOrEqual(t, at[i].Sub(at[i-1]), wait-2*time.Millisecond)
		}
		require.Equal(t, 3, j.Attempt)
		require.Len(t, j.Failures, 3)
		require.Equal(t, "failure 2", j.Failures[1].Error)
		require.Equal(t, 2, j.Failures[1].Attempt)
		require.WithinDuration(t, time.Now(), j.Failures[1].At, time.Minute)
		require.False(t, j.FinishedAt.IsZero())
	})
	s.run("a postponed attempt does not count", func(t *testing.T, q tasks.Queue) {
		var calls atomic.Int64
		require.NoError(t, q.Insert(ctx(t), tasks.Insert{Kind: "test", Key: "a", MaxAttempts: 1}))
		start(t, q, 1, func(context.Context, tasks.Job) tasks.Outcome {
			if calls.Add(1) < 4 {
				return tasks.Outcome{Result: tasks.Postponed, After: 10 * time.Millisecond}
			}
			return tasks.Outcome{}
		})
		require.Equal(t, 1, await(t, q, "a", tasks.Done).Attempt)
		require.EqualValues(t, 4, calls.Load())
	})
	s.run("a refused job is discarded at once", func(t *testing.T, q tasks.Queue) {
		require.NoError(t, q.Insert(ctx(t), tasks.Insert{Kind: "test", Key: "a", MaxAttempts: 9}))
		start(t, q, 1, func(context.Context, tasks.Job) tasks.Outcome {
			return tasks.Outcome{Result: tasks.Refused, Error: "never"}
		})
		j := await(t, q, "a", tasks.Discarded)
		require.Equal(t, 1, j.Attempt)
		require.Equal(t, "never", j.Failures[len(j.Failures)-1].Error[len(j.Failures[len(j.Failures)-1].Error)-5:])
	})
	s.run("a job is not worked before its time, and then it is", func(t *testing.T, q tasks.Queue) {
		at := time.Now().Add(400 * time.Millisecond)
		worked := make(chan time.Time, 1)
		require.NoError(t, q.Insert(ctx(t), tasks.Insert{Kind: "test", Key: "a", RunAt: at}))
		start(t, q, 1, func(context.Context, tasks.Job) tasks.Outcome {
			worked <- time.Now()
			return tasks.Outcome{}
		})
		require.WithinRange(t, <-worked, at.Add(-2*time.Millisecond), at.Add(patience))
	})
	s.run("at most Concurrency jobs are worked at once", func(t *testing.T, q tasks.Queue) {
		var now, most, done atomic.Int64
		jobs := make([]tasks.Insert, 12)
		for i := range jobs {
			jobs[i] = job(fmt.Sprint(i))
		}
		require.NoError(t, q.Insert(ctx(t), jobs...))
		start(t, q, 3, func(context.Context, tasks.Job) tasks.Outcome {
			n := now.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			time.Sleep(30 * time.Millisecond)
			now.Add(-1)
			done.Add(1)
			return tasks.Outcome{}
		})
		require.Eventually(t, func() bool { return done.Load() == 12 }, patience, 5*time.Millisecond)
		require.EqualValues(t, 3, most.Load())
	})
	s.run("work goes on when the context of Start ends", func(t *testing.T, q tasks.Queue) {
		brief, cancel := context.WithCancel(context.Background())
		require.NoError(t, q.Start(brief, tasks.Work{Concurrency: 1, Do: succeed}))
		cancel()
		require.NoError(t, q.Insert(ctx(t), job("a")))
		await(t, q, "a", tasks.Done)
	})
	s.run("a queue is started once, and not without work", func(t *testing.T, q tasks.Queue) {
		require.ErrorIs(t, q.Start(ctx(t), tasks.Work{Concurrency: 1}), core.ErrInvalid)
		require.ErrorIs(t, q.Start(ctx(t), tasks.Work{Concurrency: 1001, Do: succeed}), core.ErrInvalid)
		require.ErrorIs(t, q.Start(ctx(t), tasks.Work{Do: succeed}), core.ErrInvalid)
		start(t, q, 1, succeed)
		require.ErrorIs(t, q.Start(ctx(t), tasks.Work{Concurrency: 1, Do: succeed}), core.ErrFailedPrecondition)
	})
	if s.shared {
		s.both("two processes share the jobs and each job is worked once", func(t *testing.T, q tasks.Queue, again func() tasks.Queue) {
			other := again()
			require.NoError(t, other.Migrate(ctx(t)))
			var mu sync.Mutex
			worked := map[string]int{}
			do := func(_ context.Context, j tasks.Job) tasks.Outcome {
				mu.Lock()
				defer mu.Unlock()
				worked[j.Key]++
				return tasks.Outcome{}
			}
			start(t, q, 2, do)
			start(t, other, 2, do)
			for i := range 40 {
				require.NoError(t, []tasks.Queue{q, other}[i%2].Insert(ctx(t), job(fmt.Sprint(i)), job(fmt.Sprint(i+1))))
			}
			for key := range byKey(t, q) {
				await(t, q, key, tasks.Done)
			}
			mu.Lock()
			defer mu.Unlock()
			require.Len(t, worked, 41)
			for key, n := range worked {
				require.Equal(t, 1, n, key)
			}
		})
	}
}
