package transfer

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"time"

	"github.com/ustat/ustat/core"
)

const (
	progressEvery = 100 * time.Millisecond
	planAttempts  = 3
	finishWithin  = time.Minute
)

// table is what a file does of its own; all else is done for it. R is a row that
// has been read.
type table[R any] interface {
	// columns lists the known columns; parse names them by their place in it.
	columns() []column
	// parse reads a row and checks all that needs no store. It runs one batch ahead
	// of plan, on a goroutine of its own.
	parse(c *cells) R
	// repeated adds the unique values of a row to seen and returns the column of one
	// that an earlier row has, or "". It runs where parse runs.
	repeated(row *R, seen *keySet) string
	// plan compares rows with what is stored. It only reads, and may be asked
	// again for the same rows.
	plan(ctx context.Context, rows []row[R], refuse refuseFunc) (changes, error)
	// finish ends a file that was read without an error, and one that was stopped
	// after some of it was written. The event, nil when nothing was changed, is
	// emitted in an Update of the file's domain.
	finish(ctx context.Context, event *core.Event) error
}

// surveyor is a table that looks at the whole file before anything is written. A
// row whose key an earlier row has is among those that survey is given.
type surveyor[R any] interface {
	survey(rows []row[R])
	surveyed(ctx context.Context) error
}

type column struct {
	name     string
	required bool // in the header
}

// row is a row that parse has found good.
type row[R any] struct {
	line int
	cell R
}

// refuseFunc refuses row i of those that plan was given.
type refuseFunc func(i int, column, reason string)

// changes is what a plan has found to do.
type changes struct {
	inserted, updated int
	write             func(ctx context.Context) error // not called when both are 0
}

// job is one file being imported.
type job struct {
	folder   fs.FS
	size     int64
	batch    int // rows of an Update
	keys     *keySet
	opts     *Options
	reported time.Time // when Progress was last called
	report   FileReport
}

// run imports the file of job as t reads it, in two passes.
func run[R any](ctx context.Context, j *job, t table[R]) error {
	if err := check(ctx, j, t); err != nil {
		return err
	}
	var offset int64
	err := each(ctx, j, t, func(b *batch[R]) error {
		offset = b.offset
		err := apply(ctx, j, t, b)
		j.progress(Progress{Rows: j.report.Rows(), BytesRead: offset}, false)
		return err
	})
	if errors.Is(err, errIncomplete) {
		j.report.Incomplete, err = true, nil
	}
	event := j.event(err)
	if err == nil {
		j.progress(Progress{Rows: j.report.Rows(), BytesRead: offset}, true)
	} else if event == nil {
		return err
	}
	// What was written stays, whatever has become of ctx, and must be told.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishWithin)
	defer cancel()
	if failed := t.finish(ctx, event); failed != nil {
		return errors.Join(err, failed)
	}
	return err
}

// check is the first pass over a file: it finds the keys that may be repeated, and
// shows the rows to a surveyor.
func check[R any](ctx context.Context, j *job, t table[R]) error {
	s, surveys := t.(surveyor[R])
	j.keys.begin()
	var rows int
	err := each(ctx, j, t, func(b *batch[R]) error {
		if surveys {
			s.survey(b.rows)
		}
		rows += len(b.rows) + len(b.refused)
		j.progress(Progress{Rows: rows, BytesRead: b.offset, Checking: true}, false)
		return nil
	})
	if err != nil && !errors.Is(err, errIncomplete) {
		return err
	}
	if err := j.keys.checked(); err != nil {
		return err
	}
	if surveys {
		return s.surveyed(ctx)
	}
	return nil
}

// apply plans and writes one batch and reports on it.
func apply[R any](ctx context.Context, j *job, t table[R], b *batch[R]) error {
	var refused []Refusal
	var done changes
	for attempt := 1; ; attempt++ {
		refused = b.refused[:len(b.refused):len(b.refused)]
		var err error
		done, err = t.plan(ctx, b.rows, func(i int, column, reason string) {
			refused = append(refused, Refusal{j.report.File, b.rows[i].line, column, reason})
		})
		if err == nil && done.inserted+done.updated > 0 {
			err = done.write(ctx)
		}
		if err == nil {
			break
		}
		// Somebody else wrote one of these keys after the plan: look again.
		if !errors.Is(err, core.ErrConflict) || attempt == planAttempts {
			return err
		}
	}
	planned := len(refused) - len(b.refused)
	j.report.Inserted += done.inserted
	j.report.Updated += done.updated
	j.report.Unchanged += len(b.rows) - planned - done.inserted - done.updated
	j.refuse(refused)
	j.warn(b.warned)
	return nil
}

// errChanged makes apply plan a batch again.
var errChanged = core.ErrConflict.Withf("what the import was about to write over was changed meanwhile")

// unchanged fails with errChanged unless the rows have the versions they were planned
// with. Read is asked in the Update that writes, once nobody else may write them.
func unchanged[ID ~int64](ctx context.Context, planned map[ID]int64, read func(ctx context.Context, ids []ID) (map[ID]int64, error)) error {
	if len(planned) == 0 {
		return nil
	}
	stored, err := read(ctx, slices.Collect(maps.Keys(planned)))
	if err == nil && !maps.Equal(planned, stored) {
		return errChanged
	}
	return err
}

func (j *job) refuse(refused []Refusal) {
	slices.SortStableFunc(refused, func(a, b Refusal) int { return a.Line - b.Line })
	j.report.Refused += len(refused)
	for _, r := range refused {
		if j.opts.Refused != nil {
			j.opts.Refused(r)
		}
	}
}

func (j *job) warn(warned []Warning) {
	j.report.Warnings += len(warned)
	for _, w := range warned {
		if j.opts.Warned != nil {
			j.opts.Warned(w)
		}
	}
}

func (j *job) progress(p Progress, last bool) {
	if j.opts.Progress == nil || (!last && time.Since(j.reported) < progressEvery) {
		return
	}
	j.reported = time.Now()
	p.File, p.BytesTotal = j.report.File, j.size
	j.opts.Progress(p)
}

// event returns the event of a file that ended in err, or nil when nothing was
// changed.
func (j *job) event(err error) *core.Event {
	if j.report.Inserted+j.report.Updated == 0 && !errors.Is(err, core.ErrOutcomeUnknown) {
		return nil
	}
	event := core.NewEvent(EventImported, "file/"+j.report.File, j.opts.Actor, j.opts.Clock.Now(),
		Imported{j.report.File, j.report.Inserted, j.report.Updated})
	return &event
}
