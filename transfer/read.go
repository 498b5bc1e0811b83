package transfer

import (
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"io"
)

const (
	batchRows  = 1000
	batchShort = 5000 // of files whose rows are short and refer to everything
	batchBytes = 8 << 20
)

// errIncomplete ends the reading of a file that cannot be read on. The refusal
// before it says why; it does not leave the package.
var errIncomplete = errors.New("the file was not read to its end")

// batch goes from the reading goroutine to the writing one.
type batch[R any] struct {
	rows    []row[R]
	refused []Refusal
	warned  []Warning
	bytes   int   // of rows
	offset  int64 // in the file, after it
}

// each reads the file and calls do for every batch, while the one after it is read.
func each[R any](ctx context.Context, j *job, t table[R], do func(*batch[R]) error) error {
	f, err := j.folder.Open(j.report.File)
	if err != nil {
		return err
	}
	defer f.Close()
	ctx, cancel := context.WithCancel(ctx)
	batches := make(chan *batch[R])
	var failed error // of reading; set before batches is closed
	go func() {
		defer close(batches)
		failed = read(ctx, j, t, f, batches)
	}()
	defer func() { // the goroutine has ended before the file is closed
		cancel()
		for range batches {
		}
	}()
	for b := range batches {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := do(b); err != nil {
			return err
		}
	}
	return failed
}

// read parses the whole file into batches.
func read[R any](ctx context.Context, j *job, t table[R], f io.Reader, out chan<- *batch[R]) error {
	name := j.report.File
	b := new(batch[R])
	send := func(r *records) error {
		b.offset = r.offset()
		select {
		case out <- b:
			b = &batch[R]{rows: make([]row[R], 0, len(b.rows))}
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	r, err := newRecords(f)
	if err != nil {
		return err
	}
	c, refused, err := readHeader(name, r, t.columns())
	if err != nil {
		return err
	}
	if refused != nil {
		b.refused = refused
		return cmp.Or(send(r), errIncomplete)
	}
	b.warned = c.warnings(name)
	for {
		record, err := r.next()
		if errors.Is(err, io.EOF) {
			return send(r)
		}
		goOn, err := parseInto(b, t, c, record, err, j.keys, Refusal{File: name, Line: r.line})
		if err != nil {
			return err
		}
		if !goOn {
			return cmp.Or(send(r), errIncomplete)
		}
		if len(b.rows)+len(b.refused) >= j.batch || b.bytes >= batchBytes {
			if err := send(r); err != nil {
				return err
			}
		}
	}
}

// parseInto adds one record to b, as a row or as the refusal that at places. It
// returns false when the file cannot be read on.
func parseInto[R any](b *batch[R], t table[R], c *cells, record []string, err error, seen *keySet, at Refusal) (bool, error) {
	if broken, ok := errors.AsType[*csv.ParseError](err); ok {
		at.Column, at.Reason = c.nameAt(len(record)), parseReason(broken)
		b.refused = append(b.refused, at)
		return true, nil
	}
	if errors.Is(err, errRecordTooLarge) {
		at.Column, at.Reason = c.nameAt(len(record)), err.Error()
		b.refused = append(b.refused, at)
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var parsed R
	if c.take(record) {
		if parsed = t.parse(c); c.reason == "" {
			if col := t.repeated(&parsed, seen); col != "" {
				c.column, c.reason = col, "an earlier row of this file has the same"
			}
		}
	}
	if c.reason != "" {
		at.Column, at.Reason = c.column, c.reason
		b.refused = append(b.refused, at)
		return true, nil
	}
	b.rows = append(b.rows, row[R]{at.Line, parsed})
	b.bytes += c.size
	return true, nil
}
