// Package transfer reads a folder of CSV files into a platform, and writes a platform
// as such a folder: categories, users, courses, modules, lessons, translations,
// enrollments, progress and reviews.
//
//	categories.csv  slug, name, parent
//	users.csv       username, email, role, [full_name], [bio], [password_hash], [active]
//	courses.csv     slug, title, description, language, category, teacher, price,
//	                currency, status, tags (";" between), created_at, [requirements],
//	                [capacity]
//	modules.csv     course, position, title, [description]
//	lessons.csv     course, module_position, position, title, kind, content,
//	                duration_seconds, [free_preview], [opens_at], [opens_after_days]
//	translations.csv object (course, module, lesson, category, tag), key (a slug, of a
//	                module "course/1", of a lesson "course/1/2"), language, title,
//	                [description], [requirements], [sources]
//	enrollments.csv course, user, price_paid, currency, enrolled_at, [status],
//	                [source], [started_at], [completed_at]
//	progress.csv    course, user, module_position, position, completed_at
//	reviews.csv     course, user, rating, text, created_at, [status]
//
// The columns may come in any order; those in brackets may be left out. Times are
// RFC 3339. Users, courses and categories are referred to by username and slug, a
// module by its course and position, and must be stored or stand in the folder.
//
// A folder may be read any number of times: rows are matched by their natural
// keys, and only what differs is written. A bad row is refused with its line,
// column and reason and never stops the good ones. Each file is read twice, as a
// stream: first to find the keys that stand in it more than once (the later row is
// refused, also when the first was refused by the store's content), then to write.
// Memory does not depend on the size of a file, but for the tree of categories and
// for 20 to 40 bytes a repeated key, of which there may be a million.
package transfer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/storage"
)

// EventImported is the type of the event that a file with changes ends in, sent by
// the store of the file's domain, also when the import was stopped in that file. Its
// payload is [Imported].
const EventImported = "transfer.imported"

// Imported is the payload of EventImported. Where the answer of a commit was lost,
// rows of that batch are not counted.
type Imported struct {
	File     string `json:"file"`
	Inserted int    `json:"inserted"`
	Updated  int    `json:"updated"`
}

// Options are the choices of an import. The functions are called one at a time, on
// the goroutine that called Import; a nil one is not called.
type Options struct {
	// Refused is given every refused row, in the order of the file.
	Refused func(Refusal)
	// Warned is given what is odd and was taken nevertheless.
	Warned func(Warning)
	// Progress is told how far a file is, about every 100 ms and at its end.
	Progress func(Progress)
	// Clock tells when rows without a time were made. Nil means core.SystemClock.
	Clock core.Clock
	// Actor is who imports, for the events. Zero means the system.
	Actor core.Actor
}

// Import reads the files of folder (os.DirFS of a path, or an embedded one) into
// backend, each file optional, in the order
// categories.csv, users.csv, courses.csv, modules.csv, lessons.csv, translations.csv, enrollments.csv,
// progress.csv, reviews.csv, one Update of the file's domain per 1,000 rows (or 8 MiB), of
// enrollments and progress per 5,000. It asks nobody for permission: it is
// for the operator of a platform.
//
// The error is for what stops the import: the folder or a file cannot be read, a store
// fails, ctx ends. Batches written before stay written, their event is sent and the
// categories' courses are counted (for at most a minute after ctx has ended), and the
// Report holds what was done; running the import again goes on from there. Rows that were refused
// are no error.
func Import(ctx context.Context, backend *storage.Backend, folder fs.FS, opts *Options) (Report, error) {
	var report Report
	if info, err := fs.Stat(folder, "."); err != nil {
		return report, fmt.Errorf("transfer: %w", err)
	} else if !info.IsDir() {
		return report, errors.New("transfer: this is no folder")
	}
	o := Options{}
	if opts != nil {
		o = *opts
	}
	if o.Clock == nil {
		o.Clock = core.SystemClock{}
	}
	keys := newKeySet()
	for _, f := range files(backend, &o) {
		err := importNamed(ctx, folder, f, keys, &o, &report)
		if err != nil {
			return report, fmt.Errorf("transfer: %s: %w", f.name, err)
		}
	}
	for _, name := range notYet() {
		if _, err := fs.Stat(folder, name); err == nil {
			report.NotImported = append(report.NotImported, name)
		}
	}
	return report, nil
}

// file is a file of the format and what reads it.
type file struct {
	name  string
	batch int // rows of an Update
	read  func(ctx context.Context, job *job) error
}

// files lists what can be imported, in order: each refers only to those before.
func files(backend *storage.Backend, o *Options) []file {
	clock := o.Clock
	return []file{
		{"categories.csv", batchRows, func(ctx context.Context, j *job) error { return run(ctx, j, newCategories(backend)) }},
		{"users.csv", batchRows, func(ctx context.Context, j *job) error { return run(ctx, j, &users{backend.Accounts, clock}) }},
		{"courses.csv", batchRows, func(ctx context.Context, j *job) error { return run(ctx, j, newCatalogue(backend, clock)) }},
		{"modules.csv", batchRows, func(ctx context.Context, j *job) error { return run(ctx, j, &modules{backend.Courses}) }},
		{"lessons.csv", batchRows, func(ctx context.Context, j *job) error { return run(ctx, j, &lessons{backend.Courses}) }},
		{"translations.csv", batchRows, func(ctx context.Context, j *job) error { return run(ctx, j, &translations{backend.Courses, clock}) }},
		{"enrollments.csv", batchShort, func(ctx context.Context, j *job) error { return run(ctx, j, newEnrollments(backend, clock)) }},
		{"progress.csv", batchShort, func(ctx context.Context, j *job) error { return run(ctx, j, newCompletions(backend, clock)) }},
		{"reviews.csv", batchRows, func(ctx context.Context, j *job) error { return run(ctx, j, newOpinions(backend, o)) }},
	}
}

// notYet lists the files of the format whose domains are not there yet.
func notYet() []string {
	return []string{"interactions.csv"}
}

// importNamed imports one file, if it is there, and adds its counts to report.
func importNamed(ctx context.Context, folder fs.FS, f file, keys *keySet, opts *Options, report *Report) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	info, err := fs.Stat(folder, f.name) // before Open, which waits for a writer on a pipe
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("this is no regular file")
	}
	job := &job{folder: folder, size: info.Size(), batch: f.batch, keys: keys, opts: opts, reported: time.Now(), report: FileReport{File: f.name}}
	err = f.read(core.WithOperation(ctx, "transfer."+f.name), job)
	report.Files = append(report.Files, job.report)
	return err
}
