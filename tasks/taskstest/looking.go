package taskstest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/tasks"
)

func (s suite) looking() {
	s.run("List returns the newest first, by state and kind, behind an ID", func(t *testing.T, q tasks.Queue) {
		for i := range 10 {
			require.NoError(t, q.Insert(ctx(t), tasks.Insert{Kind: fmt.Sprint("kind", i%2), Key: fmt.Sprint(i)}))
		}
		var keys []string
		query := tasks.JobQuery{Kind: "kind1", Limit: 2}
		for {
			page, err := q.List(ctx(t), query)
			require.NoError(t, err)
			for _, j := range page {
				require.Equal(t, "kind1", j.Kind)
				keys = append(keys, j.Key)
			}
			if len(page) < 2 {
				break
			}
			query.Before = page[1].ID
		}
		require.Equal(t, []string{"9", "7", "5", "3", "1"}, keys)

		start(t, q, 2, func(_ context.Context, j tasks.Job) tasks.Outcome {
			if j.Kind == "kind0" {
				return tasks.Outcome{Result: tasks.Refused, Error: "no"}
			}
			return tasks.Outcome{}
		})
		for i := range 10 {
			await(t, q, fmt.Sprint(i), []tasks.State{tasks.Discarded, tasks.Done}[i%2])
		}
		for state, want := range map[tasks.State]int{tasks.Discarded: 5, tasks.Done: 5, tasks.Waiting: 0, tasks.Running: 0} {
			page, err := q.List(ctx(t), tasks.JobQuery{State: state, Limit: 100})
			require.NoError(t, err)
			require.Len(t, page, want, state)
		}
		page, err := q.List(ctx(t), tasks.JobQuery{State: tasks.Done, Kind: "kind0", Limit: 100})
		require.NoError(t, err)
		require.Empty(t, page)
	})
	s.run("a query out of its bounds is ErrInvalid", func(t *testing.T, q tasks.Queue) {
		for _, bad := range []tasks.JobQuery{{}, {Limit: 1001}, {Limit: 1, State: "dancing"}} {
			_, err := q.List(ctx(t), bad)
			require.ErrorIs(t, err, core.ErrInvalid)
		}
	})
	s.run("Retry makes a discarded job due now with one more attempt", func(t *testing.T, q tasks.Queue) {
		mended := make(chan struct{})
		require.NoError(t, q.Insert(ctx(t), tasks.Insert{Kind: "test", Key: "failed", MaxAttempts: 1}, job("refused")))
		start(t, q, 2, func(_ context.Context, j tasks.Job) tasks.Outcome {
			select {
			case <-mended:
				return tasks.Outcome{}
			default:
			}
			return tasks.Outcome{Result: map[string]tasks.Result{"failed": tasks.Failed, "refused": tasks.Refused}[j.Key], Error: "broken"}
		})
		jobs := []tasks.Job{await(t, q, "failed", tasks.Discarded), await(t, q, "refused", tasks.Discarded)}
		close(mended)
		for _, j := range jobs {
			require.NoError(t, q.Retry(ctx(t), j.ID))
			again := await(t, q, j.Key, tasks.Done)
			require.Equal(t, 2, again.Attempt)
			require.NotEmpty(t, again.Failures, "what went wrong before is kept")
		}
	})
	s.run("Retry makes a waiting job due now", func(t *testing.T, q tasks.Queue) {
		require.NoError(t, q.Insert(ctx(t), tasks.Insert{Kind: "test", Key: "a", RunAt: time.Now().Add(time.Hour)}))
		start(t, q, 1, succeed)
		require.NoError(t, q.Retry(ctx(t), byKey(t, q)["a"].ID))
		await(t, q, "a", tasks.Done)
	})
	s.run("Retry leaves a running and a done job alone, and knows no other", func(t *testing.T, q tasks.Queue) {
		release := make(chan struct{})
		require.NoError(t, q.Insert(ctx(t), job("a")))
		start(t, q, 1, func(context.Context, tasks.Job) tasks.Outcome {
			<-release
			return tasks.Outcome{}
		})
		j := await(t, q, "a", tasks.Running)
		require.ErrorIs(t, q.Retry(ctx(t), j.ID), tasks.ErrNotRetryable)
		close(release)
		await(t, q, "a", tasks.Done)
		require.ErrorIs(t, q.Retry(ctx(t), j.ID), tasks.ErrNotRetryable)
		require.Equal(t, 1, byKey(t, q)["a"].Attempt)
		require.ErrorIs(t, q.Retry(ctx(t), j.ID+1000), tasks.ErrJobNotFound)
		_, err := q.Get(ctx(t), j.ID+1000)
		require.ErrorIs(t, err, tasks.ErrJobNotFound)
	})
	s.run("Cleanup removes up to limit finished jobs of before, and frees their keys", func(t *testing.T, q tasks.Queue) {
		for i := range 5 {
			require.NoError(t, q.Insert(ctx(t), job(fmt.Sprint(i))))
		}
		require.NoError(t, q.Insert(ctx(t), tasks.Insert{Kind: "test", Key: "waiting", RunAt: time.Now().Add(time.Hour)}))
		start(t, q, 2, func(_ context.Context, j tasks.Job) tasks.Outcome {
			if j.Key == "4" {
				return tasks.Outcome{Result: tasks.Refused, Error: "no"}
			}
			return tasks.Outcome{}
		})
		for i := range 4 {
			await(t, q, fmt.Sprint(i), tasks.Done)
		}
		await(t, q, "4", tasks.Discarded)
		later := time.Now().Add(time.Minute)
		clean := func(before time.Time, limit, want int) {
			t.Helper()
			n, err := q.Cleanup(ctx(t), before, limit)
			require.NoError(t, err)
			require.Equal(t, want, n)
		}
		clean(time.Now().Add(-time.Hour), 100, 0)
		clean(later, 2, 2)
		clean(later, 100, 3)
		require.Len(t, byKey(t, q), 1)
		require.NoError(t, q.Insert(ctx(t), job("0")))
		await(t, q, "0", tasks.Done)
	})
}

func (s suite) stopping() {
	s.run("Stop waits for what is worked and takes no more, and then all fails with ErrClosed", func(t *testing.T, q tasks.Queue) {
		begun, ended := make(chan struct{}), false
		require.NoError(t, q.Insert(ctx(t), job("a"), job("b")))
		start(t, q, 1, func(jobCtx context.Context, _ tasks.Job) tasks.Outcome {
			close(begun) // panics if another one is begun
			select {
			case <-jobCtx.Done():
			case <-time.After(200 * time.Millisecond):
				ended = true
			}
			return tasks.Outcome{}
		})
		<-begun
		require.NoError(t, q.Stop(ctx(t)))
		require.True(t, ended, "the job was cancelled")
		require.NoError(t, q.Stop(ctx(t)), "again")
		_, listErr := q.List(ctx(t), tasks.JobQuery{Limit: 1})
		_, getErr := q.Get(ctx(t), 1)
		_, cleanErr := q.Cleanup(ctx(t), time.Now(), 1)
		for name, err := range map[string]error{
			"Migrate": q.Migrate(ctx(t)), "Check": q.Check(ctx(t)), "Insert": q.Insert(ctx(t), job("c")), "List": listErr, "Get": getErr,
			"Start": q.Start(ctx(t), tasks.Work{Concurrency: 1, Do: succeed}), "Retry": q.Retry(ctx(t), 1), "Cleanup": cleanErr,
		} {
			require.ErrorIs(t, err, core.ErrClosed, name)
		}
	})
	s.run("Stop may be called unstarted", func(t *testing.T, q tasks.Queue) {
		require.NoError(t, q.Stop(ctx(t)))
	})
	s.both("Stop cancels the jobs when its context ends, and they are worked again", func(t *testing.T, q tasks.Queue, again func() tasks.Queue) {
		begun, cause := make(chan struct{}), make(chan error, 1)
		require.NoError(t, q.Insert(ctx(t), tasks.Insert{Kind: "test", Key: "a", MaxAttempts: 1}))
		start(t, q, 1, func(jobCtx context.Context, _ tasks.Job) tasks.Outcome {
			close(begun)
			<-jobCtx.Done()
			cause <- jobCtx.Err()
			return tasks.Outcome{Result: tasks.Postponed}
		})
		<-begun
		brief, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		if err := q.Stop(brief); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			require.NoError(t, err)
		}
		require.ErrorIs(t, <-cause, context.Canceled)
		if !s.shared {
			return
		}
		other := again()
		start(t, other, 1, succeed)
		require.Equal(t, 1, await(t, other, "a", tasks.Done).Attempt)
	})
}
