package reports

import (
	"encoding/csv"
	"io"

	"github.com/ustat/ustat/blob"
)

// Writer writes a report row by row, in memory that does not grow with them. It is
// used on one goroutine.
type Writer interface {
	// Row writes one row. The first one is the header.
	Row(cells ...Cell) error
	// Close writes what is left and ends the report; it leaves what is written to open.
	// It is called once, after an error too: the report is no good then, and Close lets
	// go of what the writer holds.
	Close() error
}

// Format is a way to write reports.
type Format struct {
	Name string    // as requests name it: "csv"
	Type blob.Type // of the file
	// New returns a Writer to w.
	New func(w io.Writer) (Writer, error)
}

// CSV is the format of RFC 4180: UTF-8, a comma between cells.
var CSV = Format{Name: "csv", Type: blob.CSV, New: func(w io.Writer) (Writer, error) {
	return &csvWriter{csv: csv.NewWriter(w)}, nil
}}

type csvWriter struct {
	csv *csv.Writer
	row []string
}

func (w *csvWriter) Row(cells ...Cell) error {
	w.row = w.row[:0]
	for _, c := range cells {
		w.row = append(w.row, c.String())
	}
	return w.csv.Write(w.row)
}

func (w *csvWriter) Close() error {
	w.csv.Flush()
	return w.csv.Error()
}
