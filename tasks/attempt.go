package tasks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"time"

	"github.com/ustat/ustat/internal/fault"
)

// unknownWait is how long a job waits for a process that knows its kind and version.
const unknownWait = time.Minute

// maxBackoff is the longest wait between two attempts.
const maxBackoff = time.Hour

// maxLater is the longest wait that Later takes.
const maxLater = 366 * 24 * time.Hour

type laterError struct{ wait time.Duration }

func (e laterError) Error() string { return "later: in " + e.wait.String() }

// Later is what a handler returns to be called again in d, at most a year; the
// attempt does not count.
func Later(d time.Duration) error { return laterError{min(max(d, 0), maxLater)} }

type discardError struct{ error }

func (e discardError) Unwrap() error { return e.error }

// Discard is what a handler returns when trying again makes no sense: the job is
// discarded at once with that error. Nil is no error.
func Discard(err error) error {
	if err == nil {
		return nil
	}
	return discardError{err}
}

// attempter makes attempts at jobs with the handlers of a registry.
type attempter struct {
	handlers map[string]handler
	grace    time.Duration // how long a handler may go on after its deadline
	jitter   func(most time.Duration) time.Duration
	log      *slog.Logger
	stats    *counters
}

// do is Work.Do: it makes one attempt.
func (a *attempter) do(ctx context.Context, job Job) Outcome {
	h, known := a.handlers[job.Kind]
	if !known || job.Version > h.version {
		a.stats.unknown.Add(1)
		return Outcome{Result: Postponed, After: unknownWait}
	}
	err := a.call(ctx, job, h)
	if err == nil {
		a.stats.succeeded.Add(1)
		return Outcome{Result: Succeeded}
	}
	var later laterError
	switch {
	case errors.Is(ctx.Err(), context.Canceled): // this process stops: another attempt is made elsewhere
		return Outcome{Result: Postponed}
	case errors.As(err, &later):
		return Outcome{Result: Postponed, After: later.wait}
	}
	a.stats.failed.Add(1)
	outcome := Outcome{Result: Failed, After: a.backoff(h.backoff, job.Attempt), Error: cutError(err)}
	if errors.As(err, new(discardError)) {
		outcome.Result = Refused
	}
	if outcome.Result == Refused || job.Attempt >= job.MaxAttempts {
		a.stats.discarded.Add(1)
		a.log.ErrorContext(ctx, "a job is discarded", "kind", job.Kind, "job", job.ID, "attempt", job.Attempt, "error", outcome.Error)
	}
	return outcome
}

var (
	errAbandoned = errors.New("the handler did not return within its deadline and the grace after it: it was abandoned")
	errGoexit    = errors.New("the handler ended its goroutine")
)

// call runs a handler on a goroutine of its own, so that whatever it does ends here:
// a panic, the end of its goroutine, or no end at all.
func (a *attempter) call(ctx context.Context, job Job, h handler) error {
	ctx, cancel := context.WithTimeout(ctx, job.Timeout)
	defer cancel()
	ended := make(chan error, 1) // an abandoned handler ends into it
	go func() {
		err := errGoexit
		defer func() { ended <- err }()
		defer recovered(&err)
		if err = h.run(ctx, job); err == nil {
			err = fault.Hit("tasks.attempt.after_handler")
		}
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	timer := time.NewTimer(a.grace)
	defer timer.Stop()
	select {
	case err := <-ended:
		return err
	case <-timer.C:
		a.stats.abandoned.Add(1)
		a.log.ErrorContext(ctx, "a handler ignores the end of its context and was abandoned", "kind", job.Kind, "job", job.ID, "timeout", job.Timeout)
		return errAbandoned
	}
}

// chance returns 0 to most.
func chance(most time.Duration) time.Duration { return rand.N(most + 1) }

// recovered, deferred, makes a panic an error.
func recovered(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
	}
}

// backoff returns the wait after the n-th failed attempt: first, doubling up to
// maxBackoff, with a jitter of up to a tenth.
func (a *attempter) backoff(first time.Duration, n int) time.Duration {
	wait := first
	for ; n > 1 && wait < maxBackoff; n-- {
		wait *= 2 // maxBackoff doubled is far from overflow
	}
	wait = min(wait, maxBackoff)
	return wait + a.jitter(wait/10)
}

// cutError returns the text of an error, valid and at most MaxError bytes long.
func cutError(err error) string {
	text := errorText(err)
	if len(text) > MaxError {
		text = text[:MaxError]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(text, ""), "\x00", "")
}

// errorText survives an Error method that panics.
func errorText(err error) (text string) {
	defer func() {
		if r := recover(); r != nil {
			text = fmt.Sprintf("an error of type %T, whose text cannot be had", err)
		}
	}()
	return err.Error()
}
