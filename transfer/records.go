package transfer

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
)

const (
	maxRecord  = 16 << 20 // bytes of one record
	readBuffer = 64 << 10
)

var errRecordTooLarge = errors.New("the record is longer than 16 MiB (a quote that is never closed?): the rest of the file was not read")

// boundedReader fails once more than limit bytes were read, so that a record
// without an end is not gathered in memory. The limit is moved before each record.
type boundedReader struct {
	r           io.Reader
	read, limit int64
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.read >= b.limit {
		return 0, errRecordTooLarge
	}
	n, err := b.r.Read(p)
	b.read += int64(n)
	return n, err
}

// records reads the records of a CSV file and knows where each starts.
type records struct {
	bounded *boundedReader
	csv     *csv.Reader
	skipped int64 // the byte order mark
	line    int   // where the last record starts
	end     int   // the line on which it ends
}

func newRecords(r io.Reader) (*records, error) {
	bounded := &boundedReader{r: r, limit: maxRecord}
	buffered := bufio.NewReaderSize(bounded, readBuffer)
	var skipped int64
	if mark, err := buffered.Peek(3); err == nil && string(mark) == "\ufeff" {
		_, _ = buffered.Discard(3)
		skipped = 3
	} else if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	c := csv.NewReader(buffered)
	c.ReuseRecord = true
	c.FieldsPerRecord = -1 // counted by cells, which names the missing column
	return &records{bounded: bounded, csv: c, skipped: skipped}, nil
}

// next returns the next record, which is valid until the next call, and io.EOF
// after the last. With a *csv.ParseError or errRecordTooLarge come the fields
// before the broken one; after the former, reading may go on.
func (r *records) next() ([]string, error) {
	r.bounded.limit = r.offset() + maxRecord + readBuffer
	record, err := r.csv.Read()
	if errors.Is(err, io.EOF) {
		return nil, io.EOF
	}
	if broken, ok := errors.AsType[*csv.ParseError](err); ok {
		r.line, r.end = broken.StartLine, broken.Line
		return record, err
	}
	if len(record) == 0 { // only after an error in the first cell, which has no position
		r.line = r.end + 1
		return nil, err
	}
	last := len(record) - 1
	r.line, _ = r.csv.FieldPos(0)
	r.end, _ = r.csv.FieldPos(last)
	r.end += strings.Count(record[last], "\n")
	return record, err
}

// offset returns how many bytes of the file have been taken.
func (r *records) offset() int64 { return r.csv.InputOffset() + r.skipped }

// parseReason says what is wrong with a broken record, for people.
func parseReason(err *csv.ParseError) string {
	switch {
	case errors.Is(err.Err, csv.ErrBareQuote):
		return fmt.Sprintf(`a quote (") in a cell that is not quoted, at line %d, byte %d`, err.Line, err.Column)
	case errors.Is(err.Err, csv.ErrQuote):
		return fmt.Sprintf(`a quote (") that is not doubled, or that is never closed, at line %d, byte %d`, err.Line, err.Column)
	}
	return err.Err.Error()
}
