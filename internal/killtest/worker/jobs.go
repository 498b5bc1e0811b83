package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/reports"
	"github.com/ustat/ustat/tasks"
)

// patience is how long a job may take, its retries included.
const patience = time.Minute

// report asks for a report and waits for its job.
func (w worker) report(ctx context.Context, args map[string]string) (any, error) {
	by, err := w.actor(ctx, args)
	if err != nil {
		return nil, err
	}
	r, err := w.p.Reports.Request(ctx, by, reports.New{Kind: reports.Courses, Format: "csv", Key: args["key"]})
	if err != nil {
		return nil, err
	}
	if err := w.wait(ctx, "events."+ustat.ReportsTask, func(job tasks.Job) bool { return isOf(job, r.ID) }); err != nil {
		return nil, err
	}
	return w.p.Reports.Get(ctx, by, r.ID)
}

func isOf(job tasks.Job, report uuid.UUID) bool {
	e, ok := job.Event()
	var asked reports.Requested
	return ok && json.Unmarshal(e.Payload, &asked) == nil && asked.ID == report
}

// cleanup asks for the work of a period of the cleanup, named by a key, and waits until
// there is nothing to be done: another cleanup may have removed the job by then.
func (w worker) cleanup(ctx context.Context, args map[string]string) (any, error) {
	if err := w.queue.Insert(ctx, tasks.Insert{Kind: ustat.CleanupTask, Key: args["key"], Args: json.RawMessage(`"2026-01-02T03:00:00Z"`)}); err != nil {
		return nil, err
	}
	return w.settle(ctx, args)
}

// wait waits until a job is done.
func (w worker) wait(ctx context.Context, kind string, isIt func(job tasks.Job) bool) error {
	return w.until(ctx, func() (bool, error) {
		done, err := w.queue.List(ctx, tasks.JobQuery{Kind: kind, State: tasks.Done, Limit: 1000})
		for _, job := range done {
			if isIt(job) {
				return true, nil
			}
		}
		return false, err
	})
}

// settle waits until there is nothing to be done any more.
func (w worker) settle(ctx context.Context, _ map[string]string) (any, error) {
	return nil, w.until(ctx, func() (bool, error) {
		jobs, err := w.queue.List(ctx, tasks.JobQuery{Limit: 1000}) // in one look: jobs go to and fro between states
		for _, job := range jobs {
			if job.State == tasks.Waiting || job.State == tasks.Running {
				return false, nil
			}
		}
		return true, err
	})
}

func (w worker) until(ctx context.Context, is func() (bool, error)) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		done, err := is()
		if err != nil || done {
			return err
		}
		if time.Now().After(deadline) {
			return core.ErrUnavailable.Because(fmt.Errorf("the job is not done after %s", patience))
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}
