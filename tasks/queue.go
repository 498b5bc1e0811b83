// Package tasks makes happen what a commit sets in motion: it gives the events of
// every store to their subscribers, and runs jobs, in the background, with
// retries, at least once.
//
// What is asked for inside a transaction (an event by Emit, a job by [Ask]) is a row
// of that transaction, in the store's own outbox. A relay turns each row into one
// job for each subscriber, whose key the [Queue] takes once. So nothing is lost with
// a process, nothing is run for what was rolled back, and a handler that tells
// events apart by their ID has each effect once.
//
//	registry := tasks.NewRegistry()
//	err := registry.Subscribe(tasks.Subscription{Name: "search", Types: []string{"courses.published"}, Handle: index})
//	err = tasks.Register(registry, mail, send)
//	runner, err := tasks.NewRunner(tasks.Config{Registry: registry, Queue: queue, Sources: sources})
//	err = runner.Start(ctx)
//
// A platform does that itself: see ustat.Config.Queue. Package tasks/riverqueue keeps
// jobs in SQLite or PostgreSQL, [Memory] in memory for tests.
package tasks

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/ustat/ustat/core"
)

// Queue keeps jobs and has them worked. Implementations are safe for concurrent use
// and pass tasks/taskstest.Run. Several processes may share one: each job is worked
// by one of them at a time, as long as that one lives and keeps the job's Timeout.
//
// Used after Stop, every method but Stop fails with core.ErrClosed.
type Queue interface {
	// Migrate makes the tables that the queue needs, where there are any. It may run
	// twice, and in two processes at once.
	Migrate(ctx context.Context) error
	// Check returns nil when Migrate has nothing to do, and ErrNotMigrated when it has.
	Check(ctx context.Context) error
	// Insert adds jobs, all or none. A job whose Key is known, whatever has become of
	// it, is left out silently; so is the second of two with one Key. A job out of its
	// bounds is core.ErrInvalid and adds none.
	Insert(ctx context.Context, jobs ...Insert) error
	// Start begins to work jobs that are due, the oldest first, up to Concurrency at
	// once, and returns. It is called once. Work goes on when ctx ends; Stop ends it.
	Start(ctx context.Context, work Work) error
	// Stop takes no more jobs, waits for those being worked, and when ctx ends cancels
	// their contexts and waits for them a little longer. What is not finished by then
	// is worked again by another process, or after the next Start. The queue is closed
	// then. It may be called twice, and unstarted.
	Stop(ctx context.Context) error
	// List returns up to q.Limit jobs, the newest first.
	List(ctx context.Context, q JobQuery) ([]Job, error)
	// Get returns a job, or fails with ErrJobNotFound.
	Get(ctx context.Context, id int64) (Job, error)
	// Retry makes a discarded or waiting job due now, with one more attempt where it
	// has none left. It fails with ErrJobNotFound, or with ErrNotRetryable for a job
	// that is being worked or is done.
	Retry(ctx context.Context, id int64) error
	// Cleanup removes up to limit jobs that were done or discarded before a time, and
	// returns how many. Their keys are free then.
	Cleanup(ctx context.Context, before time.Time, limit int) (int, error)
}

// Insert is a job to be added.
type Insert struct {
	Kind    string          // which handler works it: 1 to 100 bytes
	Key     string          // which job it is: 1 to 255 bytes
	Version int             // of the shape of Args, from 1; 0 is 1
	Args    json.RawMessage // JSON, at most MaxArgs bytes
	// RunAt is before when it is not worked. Zero means now.
	RunAt time.Time
	// MaxAttempts is how often it is tried before it is discarded, 1 to 100. Zero
	// means DefaultMaxAttempts.
	MaxAttempts int
	// Timeout is how long an attempt may take, 1 ms to 24 h. One that takes longer, by
	// more than a grace that the queue allows, is held to be lost with its process. Zero
	// means DefaultTimeout.
	Timeout time.Duration
}

// The bounds and defaults of jobs.
const (
	DefaultMaxAttempts = 20
	DefaultTimeout     = time.Minute
	MaxArgs            = 1 << 20
	maxTimeout         = 24 * time.Hour
	maxMaxAttempts     = 100
)

// WithDefaults returns the job with its defaults, or core.ErrInvalid for one that is
// out of its bounds. Queues call it.
func (j Insert) WithDefaults() (Insert, error) {
	if j.MaxAttempts == 0 {
		j.MaxAttempts = DefaultMaxAttempts
	}
	if j.Timeout == 0 {
		j.Timeout = DefaultTimeout
	}
	if j.Version == 0 {
		j.Version = 1
	}
	if len(j.Args) == 0 {
		j.Args = json.RawMessage("null")
	}
	switch {
	case j.Kind == "" || len(j.Kind) > 100 || !core.ValidText(j.Kind):
		return j, core.Invalid("kind", "length", "1-100", j.Kind, "a kind is 1 to 100 bytes of text")
	case j.Key == "" || len(j.Key) > 255 || !core.ValidText(j.Key):
		return j, core.Invalid("key", "length", "1-255", j.Key, "a key is 1 to 255 bytes of text")
	case len(j.Args) > MaxArgs || !json.Valid(j.Args):
		return j, core.Invalid("args", "json", strconv.Itoa(MaxArgs), "", "the arguments are JSON of at most 1 MiB")
	case j.Version < 1:
		return j, core.Invalid("version", "min", "1", strconv.Itoa(j.Version), "versions begin with 1")
	}
	return j, checkLimits(j.MaxAttempts, j.Timeout)
}

func checkLimits(maxAttempts int, timeout time.Duration) error {
	if maxAttempts < 1 || maxAttempts > maxMaxAttempts {
		return core.Invalid("MaxAttempts", "range", "1-100", strconv.Itoa(maxAttempts), "a job is tried 1 to 100 times")
	}
	if timeout < time.Millisecond || timeout > maxTimeout {
		return core.Invalid("Timeout", "range", "1ms-24h", timeout.String(), "an attempt takes 1 millisecond to 24 hours")
	}
	return nil
}

// Work says how jobs are worked.
type Work struct {
	// Concurrency is how many jobs are worked at once, 1 to 1,000.
	Concurrency int
	// Do makes one attempt at a job and says what becomes of it. It is called on many
	// goroutines. It does not panic, and it returns soon after ctx or the job's Timeout
	// has ended; a Runner's sees to that.
	Do func(ctx context.Context, job Job) Outcome
}

// Check returns core.ErrInvalid for a Work out of its bounds. Queues call it.
func (w Work) Check() error {
	if w.Concurrency < 1 || w.Concurrency > 1000 {
		return core.Invalid("Concurrency", "range", "1-1000", strconv.Itoa(w.Concurrency), "between 1 and 1,000 jobs are worked at once")
	}
	if w.Do == nil {
		return core.Invalid("Do", "required", "", "", "jobs need somebody to work them")
	}
	return nil
}

// Result is how an attempt has ended.
type Result uint8

// The results.
const (
	Succeeded Result = iota // the job is done
	Failed                  // it is tried again after Outcome.After, or discarded after its last attempt
	Postponed               // it is tried again after Outcome.After; the attempt does not count
	Refused                 // it is discarded at once
)

// Outcome is what an attempt says of its job.
type Outcome struct {
	Result Result
	After  time.Duration
	Error  string // why it has failed or was refused; at most MaxError bytes
}

// MaxError is how many bytes of an error's text are kept.
const MaxError = 4 << 10

// State is where a job is.
type State string

// The states of a job.
const (
	Waiting   State = "waiting" // for its time, its turn or its next attempt
	Running   State = "running"
	Done      State = "done"
	Discarded State = "discarded" // it has failed for good; Retry begins again
)

// States lists what a job can be.
var States = [...]State{Waiting, Running, Done, Discarded}

// Job is a job as the queue has it.
type Job struct {
	ID          int64 // grows with each job
	Kind        string
	Key         string
	Version     int
	Args        json.RawMessage
	State       State
	Attempt     int // how often it was begun, this attempt included
	MaxAttempts int
	Timeout     time.Duration
	CreatedAt   time.Time
	RunAt       time.Time // when its next attempt is, or its last one was, due
	FinishedAt  time.Time // when it was done or discarded; zero before
	Failures    []Failure // of its attempts, the oldest first
}

// Failure is an attempt that has failed.
type Failure struct {
	At      time.Time `json:"at"`
	Attempt int       `json:"attempt"`
	Error   string    `json:"error"` // at most MaxError bytes
}

// JobQuery asks for jobs. Conditions are joined by and; a zero field is none.
type JobQuery struct {
	State  State
	Kind   string
	Before int64 // the ID that the page begins behind
	Limit  int   // 1 to 1,000
}

// The errors of jobs.
var (
	ErrJobNotFound  = &core.Error{Kind: core.KindNotFound, Code: "tasks.job_not_found", Message: "there is no such job"}
	ErrNotRetryable = &core.Error{Kind: core.KindFailedPrecondition, Code: "tasks.not_retryable", Message: "a job that is running or done is not tried again"}
	ErrNotMigrated  = &core.Error{Kind: core.KindFailedPrecondition, Code: "tasks.not_migrated", Message: "the tables of the queue are missing or old: migrate them"}
)
