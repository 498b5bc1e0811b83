package reports

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/blob"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/internal/fault"
)

// Make writes a report that was asked for: it is the handler of EventRequested. Run
// twice, at once or again after the death of a process, it keeps one file: an attempt
// takes over from the one before, whose file is deleted. An error means that it is to
// be tried again; a report that cannot be written ends as Failed, without an error, and
// so does one that is begun once more after MaxAttempts.
func (s *Service) Make(ctx context.Context, id uuid.UUID) error {
	ctx = core.WithOperation(ctx, "reports.Make")
	if err := s.ready(); err != nil {
		return err
	}
	r, err := s.begin(ctx, id)
	if err != nil || r.State != Running {
		return err // finished, or gone
	}
	key := r.Files[len(r.Files)-1]
	if err := fault.Hit("reports.make.after_begin"); err != nil {
		return err
	}
	rows, err := s.write(ctx, r, key)
	if err == nil {
		err = fault.Hit("reports.make.after_put")
	}
	switch {
	case err == nil:
		return s.end(ctx, id, key, func(r *Report) { r.State, r.Rows = Done, rows })
	case ctx.Err() != nil:
		return err
	case hopeless(err) || len(r.Files) >= MaxAttempts:
		return s.end(ctx, id, key, func(r *Report) { r.State, r.Code = Failed, codeOf(err) })
	}
	return err
}

// begin begins an attempt: its file gets a key of its own, which the report knows
// before there is a file. A report that is not there any more comes back as nothing.
func (s *Service) begin(ctx context.Context, id uuid.UUID) (Report, error) {
	var begun Report
	err := s.c.Store.Update(ctx, func(ctx context.Context, tx Tx) error {
		r, err := tx.ReportForUpdate(ctx, id)
		if err != nil || r.finished() {
			begun = r
			return err
		}
		format, err := s.format(r.Format)
		switch {
		case err != nil:
			return err
		case len(r.Files) >= MaxAttempts:
			s.finish(&r)
			r.State, r.Code = Failed, ErrGivenUp.Code
		default:
			r.State, r.Files = Running, append(slices.Clip(r.Files), blob.NewKey(format.Type))
		}
		begun = r
		return tx.UpdateReport(ctx, r)
	})
	if errors.Is(err, ErrReportNotFound) {
		return Report{}, nil
	}
	return begun, err
}

// end finishes the report, unless another attempt has taken over, and deletes the
// files that are not its own. One that cannot be deleted now is by Cleanup.
func (s *Service) end(ctx context.Context, id uuid.UUID, key blob.Key, how func(r *Report)) error {
	extra := []blob.Key{key}
	err := s.c.Store.Update(ctx, func(ctx context.Context, tx Tx) error {
		extra = []blob.Key{key}
		r, err := tx.ReportForUpdate(ctx, id)
		if errors.Is(err, ErrReportNotFound) || err == nil && !r.isAttempt(key) {
			return nil
		}
		if err != nil {
			return err
		}
		s.finish(&r)
		how(&r)
		if extra = r.Files; r.State == Done {
			extra = r.Files[:len(r.Files)-1]
		}
		return tx.UpdateReport(ctx, r)
	})
	if err != nil {
		return err
	}
	if err := fault.Hit("reports.make.after_end"); err != nil {
		return err
	}
	for _, other := range extra {
		_ = s.c.Files.Delete(ctx, other)
	}
	return nil
}

func (s *Service) finish(r *Report) {
	r.FinishedAt = core.Time(s.c.Clock.Now())
	r.ExpiresAt = r.FinishedAt.Add(s.c.Keep)
}

// hopeless reports whether trying again makes no sense.
func hopeless(err error) bool {
	switch core.KindOf(err) {
	case core.KindInternal, core.KindUnavailable, core.KindRateLimited, core.KindConflict, core.KindOutcomeUnknown:
		return false
	}
	return true
}

func codeOf(err error) string {
	if e, ok := errors.AsType[*core.Error](err); ok {
		return e.Code
	}
	return core.ErrInternal.Code
}

// write writes the report's file as it is made, row by row, and returns how many rows
// it has.
func (s *Service) write(ctx context.Context, r Report, key blob.Key) (rows int, err error) {
	by, err := s.actor(ctx, r.By)
	if err != nil {
		return 0, err
	}
	format, err := s.format(r.Format)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	pipe, file := io.Pipe()
	written := make(chan struct{})
	go func() {
		defer close(written)
		var err error
		defer func() {
			if reason := recover(); reason != nil {
				err = core.ErrInternal.Because(fmt.Errorf("panic: %v\n%s", reason, debug.Stack()))
			}
			file.CloseWithError(err) // nil is the end of the file
		}()
		rows, err = s.fill(ctx, by, r, format, file)
	}()
	defer pipe.Close() // where Put has ended early, writing fails
	_, err = s.c.Files.Put(ctx, key, pipe)
	cancel()
	_ = pipe.Close()
	<-written
	return rows, err
}

// actor returns who asked, with the role that they have now.
func (s *Service) actor(ctx context.Context, id core.UserID) (core.Actor, error) {
	if id == accounts.System.UserID {
		return accounts.System, nil
	}
	users, err := s.c.Users.UsersByID(ctx, []core.UserID{id})
	if err != nil {
		return core.Actor{}, err
	}
	if len(users) == 0 || !users[0].Active {
		return core.Actor{}, core.ErrForbidden
	}
	by := core.Actor{UserID: id, Role: users[0].Role}
	return by, mayAsk(by)
}

// fill writes a report to file.
func (s *Service) fill(ctx context.Context, by core.Actor, r Report, format Format, file io.Writer) (rows int, err error) {
	w, err := format.New(file)
	if err != nil {
		return 0, err
	}
	defer func() { // whatever happens, the writer lets go of what it holds
		if closing := w.Close(); err == nil {
			err = closing
		}
	}()
	switch r.Kind {
	case Courses:
		return s.courses(ctx, by, r.Filter, w)
	case Course, Revenue:
		if s.c.Analytics == nil {
			return 0, ErrNotSetUp.Withf("this process makes no such reports: it has no analytics")
		}
		if r.Kind == Course {
			return s.course(ctx, by, r.Filter, w)
		}
		return s.revenue(ctx, by, r.Filter, w)
	}
	return 0, ErrNotSetUp.Withf("this process makes no reports of the kind %q", r.Kind)
}

// Cleanup removes up to limit reports that have expired before a time, with all files
// of their attempts, and returns how many it has removed.
func (s *Service) Cleanup(ctx context.Context, before time.Time, limit int) (removed int, err error) {
	ctx = core.WithOperation(ctx, "reports.Cleanup")
	if s.c.Store == nil || s.c.Files == nil {
		return 0, nil // a process that has them does it
	}
	expired, err := s.c.Store.ExpiredReports(ctx, before, limit)
	if err != nil {
		return 0, err
	}
	var gone []uuid.UUID
	var errs []error
	for _, r := range expired {
		err := s.deleteFiles(ctx, r)
		if err == nil {
			gone = append(gone, r.ID)
		}
		errs = append(errs, err)
	}
	if err := fault.Hit("reports.cleanup.after_files"); err != nil {
		return 0, err
	}
	if len(gone) > 0 {
		errs = append(errs, s.c.Store.Update(ctx, func(ctx context.Context, tx Tx) (err error) {
			removed, err = tx.DeleteReports(ctx, gone...)
			return err
		}))
	}
	return removed, errors.Join(errs...)
}

func (s *Service) deleteFiles(ctx context.Context, r Report) error {
	for _, key := range r.Files {
		if err := s.c.Files.Delete(ctx, key); err != nil {
			return err
		}
	}
	return nil
}
