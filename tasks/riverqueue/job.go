package riverqueue

import (
	"encoding/json"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/tasks"
)

// kind is the kind that all jobs have for River.
const kind = "ustat"

// args are a job as River keeps it. The job's own arguments are text: databases
// write JSON anew and refuse some of it.
type args struct {
	JobKind   string `json:"kind"`
	Key       string `json:"key" river:"unique"`
	Version   int    `json:"version"`
	TimeoutMS int64  `json:"timeout_ms"`
	Args      string `json:"args"`

	after time.Duration // until the next attempt, once one has failed
}

// Kind implements river.JobArgs.
func (args) Kind() string { return kind }

func (a args) timeout() time.Duration { return time.Duration(a.TimeoutMS) * time.Millisecond }

// everyState makes a key unique whatever has become of its job.
var everyState = rivertype.JobStates()

func insertParams(j tasks.Insert) river.InsertManyParams {
	return river.InsertManyParams{
		Args: args{JobKind: j.Kind, Key: j.Key, Version: j.Version, TimeoutMS: j.Timeout.Milliseconds(), Args: string(j.Args)},
		InsertOpts: &river.InsertOpts{
			MaxAttempts: j.MaxAttempts, ScheduledAt: j.RunAt.UTC(),
			UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: everyState},
		},
	}
}

func jobOf(row *rivertype.JobRow) (tasks.Job, error) {
	var a args
	if err := json.Unmarshal(row.EncodedArgs, &a); err != nil {
		return tasks.Job{}, core.ErrInternal.Withf("the arguments of job %d cannot be read", row.ID).Because(err)
	}
	job := tasks.Job{
		ID: row.ID, Kind: a.JobKind, Key: a.Key, Version: a.Version, Args: json.RawMessage(a.Args), State: stateOf(row.State),
		Attempt: row.Attempt, MaxAttempts: row.MaxAttempts, Timeout: a.timeout(),
		CreatedAt: core.Time(row.CreatedAt), RunAt: core.Time(row.ScheduledAt),
	}
	if row.FinalizedAt != nil {
		job.FinishedAt = core.Time(*row.FinalizedAt)
	}
	for _, e := range row.Errors {
		job.Failures = append(job.Failures, tasks.Failure{At: core.Time(e.At), Attempt: e.Attempt, Error: e.Error})
	}
	return job, nil
}

func stateOf(s rivertype.JobState) tasks.State {
	switch s {
	case rivertype.JobStateRunning:
		return tasks.Running
	case rivertype.JobStateCompleted:
		return tasks.Done
	case rivertype.JobStateCancelled, rivertype.JobStateDiscarded:
		return tasks.Discarded
	default:
		return tasks.Waiting
	}
}

func riverStates(s tasks.State) []rivertype.JobState {
	var out []rivertype.JobState
	for _, state := range everyState {
		if stateOf(state) == s {
			out = append(out, state)
		}
	}
	return out
}
