package transfer

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/storage"
)

// ExportOptions are the choices of an export.
type ExportOptions struct {
	// Passwords writes the hashes of passwords into users.csv: whoever has the file can
	// try to guess them. Without it the column is not there.
	Passwords bool
	// Progress is told how many rows of a file are written, about every 100 ms and at
	// its end, on the goroutine that called Export.
	Progress func(file string, rows int)
}

// Exported says how many rows a file has.
type Exported struct {
	File string
	Rows int
}

// partial is what the name of a file ends in until all of them are whole.
const partial = ".part"

// Export writes a platform as the files that Import reads into the folder dir, which
// is made where it is missing. All files are written, and get their names once all
// are whole. It asks nobody for permission: it is for the operator of a platform.
//
// Rows come in an order of natural keys, so that two platforms with the same contents
// are the same bytes, and in pages, so that memory does not depend on how many there
// are. Cells hold what is stored, for machines: nothing is escaped for spreadsheets,
// which may run a cell that begins with =. Only a line break of two characters (CRLF)
// is one of LF, as which CSV is read. Rich text is as it is shown now.
//
// The files are not of one moment. Those that refer to others are read first, so that
// what they refer to is there, unless it is deleted meanwhile. For an export of one
// moment join the backend to a transaction of that kind (see storage.Backend.Join).
//
// It fails with core.ErrConflict where dir has one of the files already, and leaves
// none of its own behind when it fails.
func Export(ctx context.Context, backend *storage.Backend, dir string, opts *ExportOptions) ([]Exported, error) {
	e := &exporter{backend: backend, dir: dir}
	if opts != nil {
		e.opts = *opts
	}
	done, err := e.run(ctx)
	if err != nil {
		for _, f := range exports {
			err = errors.Join(err, ignoreMissing(os.Remove(filepath.Join(dir, f.name+partial))))
		}
		return nil, fmt.Errorf("transfer: export: %w", err)
	}
	return done, nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// exporter is one export.
type exporter struct {
	backend *storage.Backend
	dir     string
	opts    ExportOptions
}

// export is a file of the format and what writes its rows.
type export struct {
	name string
	rows func(ctx context.Context, e *exporter, out *sheet) error
}

// exports lists the files in the order of Import.
var exports = []export{
	{"categories.csv", exportCategories},
	{"users.csv", exportUsers},
	{"courses.csv", exportCourses},
	{"modules.csv", exportModules},
	{"lessons.csv", exportLessons},
	{"translations.csv", exportTranslations},
	{"enrollments.csv", exportEnrollments},
	{"progress.csv", exportProgress},
	{"reviews.csv", exportOpinions},
}

func (e *exporter) run(ctx context.Context) ([]Exported, error) {
	if err := os.MkdirAll(e.dir, 0o755); err != nil {
		return nil, err
	}
	for _, f := range exports {
		if _, err := os.Lstat(filepath.Join(e.dir, f.name)); err == nil {
			return nil, core.ErrConflict.Withf("%s is there already: export into another folder", f.name)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	done := make([]Exported, len(exports))
	for i := len(exports) - 1; i >= 0; i-- { // what refers to others is read before them
		rows, err := e.write(core.WithOperation(ctx, "transfer.export."+exports[i].name), exports[i])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", exports[i].name, err)
		}
		done[i] = Exported{exports[i].name, rows}
	}
	for _, f := range exports {
		name := filepath.Join(e.dir, f.name)
		if err := os.Rename(name+partial, name); err != nil {
			return nil, err
		}
	}
	return done, nil
}

// write writes one file under its partial name. Only its owner may read it: it has
// people's addresses.
func (e *exporter) write(ctx context.Context, f export) (rows int, err error) {
	file, err := os.OpenFile(filepath.Join(e.dir, f.name+partial), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	buffered := bufio.NewWriterSize(file, 1<<16)
	out := &sheet{name: f.name, csv: csv.NewWriter(buffered), progress: e.opts.Progress}
	if err := f.rows(ctx, e, out); err != nil {
		return 0, err
	}
	out.csv.Flush()
	if err := errors.Join(out.csv.Error(), buffered.Flush(), file.Sync()); err != nil {
		return 0, err
	}
	if out.progress != nil {
		out.progress(out.name, out.rows)
	}
	return out.rows, nil
}

// sheet is a file that is being written.
type sheet struct {
	name     string
	csv      *csv.Writer
	progress func(file string, rows int)
	rows     int
	reported time.Time
}

// header writes the names of the columns.
func (s *sheet) header(names ...string) error { return s.csv.Write(names) }

// row writes a row.
func (s *sheet) row(cells ...string) error {
	for i, cell := range cells {
		if strings.Contains(cell, "\r\n") {
			cells[i] = strings.ReplaceAll(cell, "\r\n", "\n")
		}
	}
	s.rows++
	if s.progress != nil && time.Since(s.reported) >= progressEvery {
		s.reported = time.Now()
		s.progress(s.name, s.rows)
	}
	return s.csv.Write(cells)
}

// pages calls row for everything that page returns, which is asked for up to limit
// after the last one that it has returned.
func pages[T any](ctx context.Context, limit int, page func(ctx context.Context, last *T, limit int) ([]T, error), rows func([]T) error) error {
	var last *T
	for {
		list, err := page(ctx, last, limit)
		if err != nil {
			return err
		}
		if err := rows(list); err != nil {
			return err
		}
		if len(list) < limit {
			return nil
		}
		last = &list[len(list)-1]
	}
}

// moment returns a time as Import reads it, and "" for none.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
