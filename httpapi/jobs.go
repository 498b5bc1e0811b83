package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/ustat/ustat/tasks"
)

// job shows a job without its arguments, which may hold what is nobody's business.
type job struct {
	ID             string          `json:"id"`
	Kind           string          `json:"kind"`
	Key            string          `json:"key" doc:"Which job it is: the id of its event, and its subscriber"`
	State          string          `json:"state" enum:"waiting,running,done,discarded"`
	Version        int             `json:"version" doc:"Of the shape of its arguments"`
	Attempt        int             `json:"attempt" doc:"How often it was begun"`
	MaxAttempts    int             `json:"max_attempts"`
	TimeoutSeconds float64         `json:"timeout_seconds"`
	CreatedAt      time.Time       `json:"created_at"`
	RunAt          time.Time       `json:"run_at" doc:"When its next attempt is, or its last one was, due"`
	FinishedAt     *time.Time      `json:"finished_at" doc:"null until it is done or discarded"`
	Failures       []tasks.Failure `json:"failures" nullable:"false"`
}

func jobOf(j tasks.Job) job {
	return job{
		ID: strconv.FormatInt(j.ID, 10), Kind: j.Kind, Key: j.Key, State: string(j.State), Version: j.Version, Attempt: j.Attempt,
		MaxAttempts: j.MaxAttempts, TimeoutSeconds: j.Timeout.Seconds(), CreatedAt: j.CreatedAt.UTC(), RunAt: j.RunAt.UTC(),
		FinishedAt: timeOrNull(j.FinishedAt), Failures: append([]tasks.Failure{}, j.Failures...),
	}
}

func (a *api) mountJobs() {
	const tag, path = "operations", Prefix + "/admin/jobs/"
	states := make([]string, len(tasks.States))
	for i, s := range tasks.States {
		states[i] = string(s)
	}
	get(a, route{
		path: path, id: "jobs-list", tag: tag, summary: "List background jobs, the newest first", description: "Admins only.", signedIn: true,
		query: append(pageParams(),
			param{name: "state", kind: choice, choices: states, doc: "Only jobs in it"},
			param{name: "kind", doc: "Only jobs of it: mail.send, events.search"}),
	}, func(ctx context.Context, c *call) (list[job], error) {
		found, err := a.platform.Jobs.List(ctx, c.actor, tasks.Filter{State: tasks.State(c.args.text("state")), Kind: c.args.text("kind")}, c.page())
		return present(found.Items, found.Next, jobOf), err
	})
	get(a, route{
		path: path + "{id}/", id: "jobs-get", tag: tag, summary: "One background job", description: "Admins only.", signedIn: true,
	}, func(ctx context.Context, c *call) (job, error) {
		id, err := c.id("id", tasks.ErrJobNotFound)
		if err != nil {
			return job{}, err
		}
		found, err := a.platform.Jobs.Get(ctx, c.actor, id)
		return jobOf(found), err
	})
	send(a, route{
		method: http.MethodPost, path: path + "{id}/retry/", id: "jobs-retry", tag: tag, summary: "Try a discarded or waiting job again now",
		description: "Admins only. A job that is running or done is left alone: 409.", signedIn: true,
	}, func(ctx context.Context, c *call, _ none) (job, error) {
		id, err := c.id("id", tasks.ErrJobNotFound)
		if err != nil {
			return job{}, err
		}
		retried, err := a.platform.Jobs.Retry(ctx, c.actor, id)
		return jobOf(retried), err
	})
}
