package tasks

import (
	"context"
	"encoding/json"
	"strconv"

	"github.com/ustat/ustat/core"
)

// ServiceConfig is what a Service works with. Every field is needed, but for Queue.
type ServiceConfig struct {
	// Queue is looked into. Without one every call fails with core.ErrUnavailable.
	Queue   Queue
	Cursors *core.Cursors
	Clock   core.Clock
	// Audit records a privileged operation.
	Audit func(ctx context.Context, entry core.AuditEntry) error
}

// Service shows jobs to admins and tries discarded ones again. It is safe for
// concurrent use.
type Service struct{ c ServiceConfig }

// NewService returns a Service.
func NewService(c ServiceConfig) *Service { return &Service{c} }

// Filter chooses jobs. Conditions are joined by and; a zero field is none.
type Filter struct {
	State State
	Kind  string
}

// mayManage holds who may see jobs and try them again: admins.
func (s *Service) mayManage(by core.Actor) error {
	switch {
	case by.IsAnonymous():
		return core.ErrUnauthenticated
	case !by.IsAdmin():
		return core.ErrForbidden
	case s.c.Queue == nil:
		return core.ErrUnavailable.Withf("this platform has no queue of jobs")
	}
	return nil
}

// List returns jobs, the newest first, to admins. It fails with core.ErrInvalid for
// a state that is none and with core.ErrCursor.
func (s *Service) List(ctx context.Context, by core.Actor, f Filter, page core.Page) (core.PageOf[Job], error) {
	ctx = core.WithOperation(ctx, "tasks.List")
	if err := s.mayManage(by); err != nil {
		return core.PageOf[Job]{}, err
	}
	return core.ReadPage(s.c.Cursors, "tasks.jobs/"+string(f.State)+"/"+f.Kind, page,
		func(before int64, limit int) ([]Job, error) {
			return s.c.Queue.List(ctx, JobQuery{State: f.State, Kind: f.Kind, Before: before, Limit: limit})
		},
		func(j Job) int64 { return j.ID })
}

// Get returns a job to admins, or fails with ErrJobNotFound.
func (s *Service) Get(ctx context.Context, by core.Actor, id int64) (Job, error) {
	ctx = core.WithOperation(ctx, "tasks.Get")
	if err := s.mayManage(by); err != nil {
		return Job{}, err
	}
	return s.c.Queue.Get(ctx, id)
}

// Retry makes a discarded or waiting job due now, for admins, with an audit row that
// is written first, and returns the job. It fails with ErrJobNotFound or
// ErrNotRetryable.
func (s *Service) Retry(ctx context.Context, by core.Actor, id int64) (Job, error) {
	ctx = core.WithOperation(ctx, "tasks.Retry")
	if err := s.mayManage(by); err != nil {
		return Job{}, err
	}
	job, err := s.c.Queue.Get(ctx, id)
	if err != nil {
		return Job{}, err
	}
	if !job.State.Retryable() {
		return Job{}, ErrNotRetryable
	}
	detail, err := json.Marshal(map[string]any{"kind": job.Kind, "key": job.Key, "state": job.State, "attempt": job.Attempt})
	if err != nil {
		return Job{}, core.ErrInternal.Because(err)
	}
	if err := s.c.Audit(ctx, core.AuditEntry{
		Actor: by.UserID, Action: "tasks.job_retried", Subject: "job/" + strconv.FormatInt(id, 10), Detail: detail, At: core.Time(s.c.Clock.Now()),
	}); err != nil {
		return Job{}, err
	}
	if err := s.c.Queue.Retry(ctx, id); err != nil {
		return Job{}, err
	}
	return s.c.Queue.Get(ctx, id)
}

// Retryable reports whether a job in that state can be tried again at once.
func (s State) Retryable() bool { return s == Waiting || s == Discarded }
