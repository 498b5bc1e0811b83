package killtest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/internal/fault"
	"github.com/ustat/ustat/reviews"
)

// Work is what one worker process does.
type Work struct {
	// Engine is "sqlite", whose DSN is a path, or "postgres".
	Engine string
	DSN    string
	// Files is the folder of a worker's files. With one it has a queue of jobs, delivers
	// events and makes reports; without, it has none of these.
	Files string
	// Ahead is how far the clock of a worker's platform is ahead.
	Ahead time.Duration
	// Lanes are worked at once, the operations of each one after the other.
	Lanes [][]Op
	// Payments is the address of a provider of payments, of package httppay, whose token
	// and key are PaymentToken and PaymentKey. Empty is none.
	Payments string
	// History is where the calls are written. Run sets it.
	History string
}

// The secrets of a provider of payments that a worker uses.
const (
	PaymentToken = "a token of a worker"
	PaymentKey   = "0123456789abcdef0123456789abcdef"
)

// Op is one operation of the worker's table.
type Op struct {
	Name string            `json:"name"`
	Args map[string]string `json:"args,omitempty"`
	// Fault is armed for this operation; the zero Plan is none. Only one lane may
	// have faults, but for kills.
	Fault fault.Plan `json:"fault,omitzero"`
}

// Everybody takes every course: the reviews.Learners of workers and their tests.
type Everybody struct{}

// Learner implements reviews.Learners.
func (Everybody) Learner(context.Context, courses.CourseID, core.UserID) (reviews.Learner, error) {
	return reviews.Learner{Enrolled: true, Percent: 100}, nil
}

// Func does one operation. Its result becomes JSON.
type Func func(ctx context.Context, args map[string]string) (any, error)

// ReadWork reads what a worker is asked to do.
func ReadWork(r io.Reader) (Work, error) {
	var w Work
	err := json.NewDecoder(r).Decode(&w)
	return w, err
}

// Do works all lanes by the functions of a table and writes the history. It ends
// with the first line that cannot be written.
func (w Work) Do(ctx context.Context, table map[string]Func) error {
	history, err := OpenHistory(w.History)
	if err != nil {
		return err
	}
	errs := make(chan error, len(w.Lanes))
	var lanes sync.WaitGroup
	for _, lane := range w.Lanes {
		lanes.Go(func() {
			for _, op := range lane {
				if err := w.call(ctx, history, table, op); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	lanes.Wait()
	close(errs)
	return <-errs
}

func (w Work) call(ctx context.Context, history *History, table map[string]Func, op Op) error {
	do, ok := table[op.Name]
	if !ok {
		return fmt.Errorf("killtest: there is no operation %q", op.Name)
	}
	id, err := history.Begin(op)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	alone := len(w.Lanes) == 1
	if alone || op.Fault.Point != "" {
		plan := op.Fault
		plan.Cancel = cancel
		if err := fault.Arm(plan); err != nil {
			return err
		}
	}
	result, err := safely(ctx, do, op.Args)
	var hits []string
	if alone {
		hits = fault.Disarm()
	}
	return history.End(id, result, err, hits)
}

// panicked is a panic of an operation.
type panicked struct{ value any }

func (p panicked) Error() string { return fmt.Sprint("panic: ", p.value) }

func safely(ctx context.Context, do Func, args map[string]string) (result any, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = panicked{value}
		}
	}()
	return do(ctx, args)
}
