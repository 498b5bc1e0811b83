package riverqueue

import (
	"context"
	"errors"
	"time"

	"github.com/riverqueue/river"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/tasks"
)

// fetchCooldown is the least time between two fetches of jobs; it bounds what a
// process works to Concurrency jobs in that time.
const fetchCooldown = 5 * time.Millisecond

// stopGrace bounds what Stop waits for after the contexts of jobs were cancelled.
const stopGrace = 10 * time.Second

// Start implements tasks.Queue.
func (q *Queue[TTx]) Start(ctx context.Context, work tasks.Work) error {
	if err := work.Check(); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return core.ErrClosed
	case q.working != nil:
		return core.ErrFailedPrecondition.Withf("a queue is started once")
	}
	config := q.config()
	config.Workers = river.NewWorkers()
	river.AddWorker(config.Workers, &worker{do: work.Do, lostAfter: q.options.LostAfter})
	config.Queues = map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: work.Concurrency}}
	// Each job has a timeout of its own; these only say when River begins to look.
	config.JobTimeout, config.RescueStuckJobsAfter = time.Millisecond, q.options.LostAfter
	// Cleanup removes jobs, not River.
	config.CancelledJobRetentionPeriod, config.CompletedJobRetentionPeriod, config.DiscardedJobRetentionPeriod = -1, -1, -1
	client, err := river.NewClient(q.driver, config)
	if err != nil {
		return core.ErrInternal.Because(err)
	}
	// River's work ends with the context of its Start; it shall end with Stop.
	if err := client.Start(context.WithoutCancel(ctx)); err != nil {
		return core.ErrUnavailable.Withf("the queue cannot be started").Because(err)
	}
	q.working = client
	return nil
}

// Stop implements tasks.Queue.
func (q *Queue[TTx]) Stop(ctx context.Context) error {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return nil
	}
	q.closed = true
	working := q.working
	q.mu.Unlock()
	if working == nil {
		return q.closeDB()
	}
	err := working.Stop(ctx)
	if err != nil {
		hard, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
		defer cancel()
		err = working.StopAndCancel(hard)
	}
	return errors.Join(err, q.closeDB())
}

// worker works all jobs.
type worker struct {
	river.WorkerDefaults[args]
	do        func(ctx context.Context, job tasks.Job) tasks.Outcome
	lostAfter time.Duration
}

// Timeout implements river.Worker: it is when River takes the attempt for lost. The
// job's own timeout is kept by who works it.
func (w *worker) Timeout(job *river.Job[args]) time.Duration { return job.Args.timeout() + w.lostAfter }

// NextRetry implements river.Worker.
func (w *worker) NextRetry(job *river.Job[args]) time.Time {
	return time.Now().UTC().Add(job.Args.after)
}

// Work implements river.Worker.
func (w *worker) Work(ctx context.Context, job *river.Job[args]) error {
	j, err := jobOf(job.JobRow)
	if err != nil {
		return river.JobCancel(err)
	}
	outcome := w.do(ctx, j)
	switch outcome.Result {
	case tasks.Succeeded:
		return nil
	case tasks.Postponed:
		return river.JobSnooze(outcome.After)
	case tasks.Refused:
		return river.JobCancel(errors.New(outcome.Error))
	default:
		job.Args.after = outcome.After
		return errors.New(outcome.Error)
	}
}
