package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/httpapi"
	"github.com/ustat/ustat/tasks"
	"github.com/ustat/ustat/transfer"
)

type migrateCmd struct{}

// Run migrates the database and says what it did.
func (migrateCmd) Run(ctx context.Context, p *program) (err error) {
	backend, err := p.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, backend.Close()) }()
	applied, err := backend.Schema.Migrate(ctx)
	if err != nil {
		return err
	}
	shard, err := backend.Analytics.Migrate(ctx)
	if err != nil {
		return err
	}
	applied = append(applied, shard...)
	for _, name := range applied {
		fmt.Fprintln(p.stdout, "applied", name)
	}
	queue, err := p.openQueue(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, queue.Stop(ctx)) }()
	switch err := queue.Check(ctx); {
	case errors.Is(err, tasks.ErrNotMigrated):
		if err := queue.Migrate(ctx); err != nil {
			return err
		}
		fmt.Fprintln(p.stdout, "applied the tables of the queue")
	case err != nil:
		return err
	case len(applied) == 0:
		fmt.Fprintln(p.stdout, "nothing to apply: the schema is up to date")
	}
	return nil
}

type importCmd struct {
	Dir string `required:"" env:"USTAT_IMPORT_DIR" help:"The folder with categories.csv, users.csv, courses.csv, modules.csv, lessons.csv, enrollments.csv and progress.csv, each optional."`
}

// refusedError makes the status 1 after the rows were named.
type refusedError struct{ rows int }

func (e refusedError) Error() string { return fmt.Sprintf("%d rows were refused", e.rows) }

// Run imports a folder. Refused rows go to standard error, the totals to standard
// output.
func (c *importCmd) Run(ctx context.Context, p *program) (err error) {
	if info, err := os.Stat(c.Dir); err != nil || !info.IsDir() {
		return usageError{fmt.Errorf("--dir: %s is no folder", c.Dir)}
	}
	platform, backend, err := p.start(ctx, new(ustat.Config))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, platform.Stop(context.WithoutCancel(ctx))) }()
	bar := newProgress(p)
	report, err := transfer.Import(ctx, backend, os.DirFS(c.Dir), &transfer.Options{
		Refused:  func(r transfer.Refusal) { bar.line(r.String()) },
		Warned:   func(w transfer.Warning) { bar.line("warning: " + w.String()) },
		Progress: bar.show,
	})
	bar.end()
	fmt.Fprint(p.stdout, report.String())
	if err != nil {
		return err
	}
	if total := report.Total(); total.Refused > 0 {
		return refusedError{total.Refused}
	}
	return nil
}

type exportCmd struct {
	Dir           string `required:"" env:"USTAT_EXPORT_DIR" help:"The folder to write to. It has none of the files yet, and is made where it is missing."`
	WithPasswords bool   `name:"with-passwords" help:"Write the hashes of passwords too: whoever has the file can try to guess them."`
}

// Run exports the platform. How far it is goes to standard error, the totals to
// standard output.
func (c *exportCmd) Run(ctx context.Context, p *program) (err error) {
	platform, backend, err := p.start(ctx, new(ustat.Config))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, platform.Stop(context.WithoutCancel(ctx))) }()
	last := time.Now()
	done, err := transfer.Export(ctx, backend, c.Dir, &transfer.ExportOptions{
		Passwords: c.WithPasswords,
		Progress: func(file string, rows int) {
			const every = 2 * time.Second
			if time.Since(last) >= every {
				last = time.Now()
				fmt.Fprintf(p.stderr, "%s: %d rows\n", file, rows)
			}
		},
	})
	if errors.Is(err, core.ErrConflict) {
		return usageError{fmt.Errorf("--dir: %w", err)}
	}
	for _, f := range done {
		fmt.Fprintf(p.stdout, "%s: %d rows\n", f.File, f.Rows)
	}
	return err
}

// progress shows how far long work is: a bar on a terminal, a line every few
// seconds elsewhere.
type progress struct {
	p    *program
	bar  *progressbar.ProgressBar
	pass string // over which file
	last time.Time
}

func newProgress(p *program) *progress { return &progress{p: p, last: time.Now()} }

func (g *progress) show(at transfer.Progress) {
	pass := at.File
	if at.Checking {
		pass += " (checking)"
	}
	if isTerminal(g.p.stderr) {
		if g.pass != pass {
			g.end()
			g.pass = pass
			g.bar = progressbar.NewOptions64(at.BytesTotal, progressbar.OptionSetWriter(g.p.stderr), progressbar.OptionSetDescription(pass),
				progressbar.OptionShowBytes(true), progressbar.OptionSetWidth(30), progressbar.OptionThrottle(65*time.Millisecond))
		}
		_ = g.bar.Set64(at.BytesRead) // a bar that cannot be drawn is no reason to stop
		return
	}
	const every = 2 * time.Second
	if time.Since(g.last) >= every {
		g.last = time.Now()
		fmt.Fprintf(g.p.stderr, "%s: %d rows, %d of %d bytes\n", pass, at.Rows, at.BytesRead, at.BytesTotal)
	}
}

// line writes a line that is not overwritten by the bar.
func (g *progress) line(text string) {
	if g.bar != nil {
		_ = g.bar.Clear()
	}
	fmt.Fprintln(g.p.stderr, text)
}

func (g *progress) end() {
	if g.bar != nil {
		_ = g.bar.Finish()
		fmt.Fprintln(g.p.stderr)
		g.bar = nil
	}
}

type openapiCmd struct {
	Version string `default:"v1" help:"The version of the API: v1."`
}

// Run prints the OpenAPI document of a version.
func (c *openapiCmd) Run(p *program) error {
	document, err := httpapi.OpenAPI(c.Version)
	if core.KindOf(err) == core.KindInvalid {
		return usageError{err}
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.stdout, string(document))
	return err
}
