package transfer

import (
	"fmt"
	"strconv"
	"strings"
)

// Report says what an import did. It holds counts only; refused rows go to
// Options.Refused.
type Report struct {
	Files []FileReport // those that were there, in the order of reading
	// NotImported names files of the format that were there and that this version
	// does not import yet.
	NotImported []string
}

// FileReport counts what became of one file's rows.
type FileReport struct {
	File string
	Counts
	// Incomplete is set when the file was not read to its end, because of its
	// header or of a record over 16 MiB. The refusal says why.
	Incomplete bool
}

// Counts are numbers of rows.
type Counts struct {
	Inserted  int
	Updated   int
	Unchanged int
	Refused   int
	Warnings  int
}

// Rows returns how many rows were read.
func (c Counts) Rows() int { return c.Inserted + c.Updated + c.Unchanged + c.Refused }

// String returns the counts in one line.
func (c Counts) String() string {
	return fmt.Sprintf("%d inserted, %d updated, %d unchanged, %d refused, %d warnings",
		c.Inserted, c.Updated, c.Unchanged, c.Refused, c.Warnings)
}

// Total returns the sum over all files.
func (r Report) Total() Counts {
	var sum Counts
	for _, f := range r.Files {
		sum.Inserted += f.Inserted
		sum.Updated += f.Updated
		sum.Unchanged += f.Unchanged
		sum.Refused += f.Refused
		sum.Warnings += f.Warnings
	}
	return sum
}

// String returns a line a file.
func (r Report) String() string {
	var b strings.Builder
	for _, f := range r.Files {
		fmt.Fprintf(&b, "%s: %s\n", f.File, f.Counts)
	}
	for _, name := range r.NotImported {
		fmt.Fprintf(&b, "%s: not imported by this version\n", name)
	}
	return b.String()
}

// Refusal is a row that was not imported.
type Refusal struct {
	File   string // "courses.csv"
	Line   int    // where the record starts, from 1
	Column string // the header's name; empty when it is the record as a whole
	Reason string // English sentence for people
}

// String returns "courses.csv:12:price: reason", without what is empty.
func (r Refusal) String() string { return place(r.File, r.Line, r.Column) + ": " + r.Reason }

// Warning is something odd that was taken nevertheless.
type Warning struct {
	File    string
	Line    int
	Column  string
	Message string
}

// String returns "courses.csv:1:colour: message", without what is empty.
func (w Warning) String() string { return place(w.File, w.Line, w.Column) + ": " + w.Message }

func place(file string, line int, column string) string {
	at := file + ":" + strconv.Itoa(line)
	if column != "" {
		at += ":" + column
	}
	return at
}

// Progress says how far a file is.
type Progress struct {
	File       string
	Rows       int   // done, refused ones too
	BytesRead  int64 // of the rows that are done
	BytesTotal int64
	// Checking is set in the first of the two passes over a file, which looks at the
	// rows and writes none.
	Checking bool
}
