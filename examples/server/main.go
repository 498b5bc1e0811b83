// Command server is the reference server of Ustat: on SQLite with demo data, as
// long as nothing else is said.
//
//	go run ./examples/server
//	go run ./examples/server import --dir FOLDER
//
// It only wires: flags, signals, the library. What a school would do is in the
// packages that it imports.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/storage"
	"github.com/ustat/ustat/storage/postgres"
	"github.com/ustat/ustat/storage/sqlite"
	"github.com/ustat/ustat/tasks"
	"github.com/ustat/ustat/tasks/riverqueue"
)

// The exit statuses.
const (
	statusOK    = 0
	statusError = 1 // the work failed, or a row of an import was refused
	statusUsage = 2 // the configuration is wrong
)

// cli is the command line. The flags that a deployment sets are also environment
// variables USTAT_….
type cli struct {
	DB        string `name:"db" default:"ustat.db" env:"USTAT_DB" help:"The main database: a file of SQLite, or the URL of a PostgreSQL database (postgres://…)."`
	LogFormat string `name:"log-format" default:"text" enum:"text,json" env:"USTAT_LOG_FORMAT" help:"How log lines are written: text or json."`

	Serve     serveCmd     `cmd:"" default:"withargs" help:"Serve the HTTP API (default)."`
	Migrate   migrateCmd   `cmd:"" help:"Bring the tables to this version."`
	Import    importCmd    `cmd:"" help:"Import a folder of CSV files; status 1 when a row was refused."`
	Export    exportCmd    `cmd:"" help:"Export the platform as such a folder."`
	User      userCmd      `cmd:"" help:"Manage users."`
	Recommend recommendCmd `cmd:"" help:"Recommendations."`
	OpenAPI   openapiCmd   `cmd:"" name:"openapi" help:"Print the OpenAPI document."`
}

// program is what commands share.
type program struct {
	cli    *cli
	log    *slog.Logger
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
}

// usageError is an error of the configuration, shown as one line with status 2.
type usageError struct{ error }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is main without the process: it returns the exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var c cli
	exited := -1
	parser, err := kong.New(&c, kong.Name("server"), kong.Description("The reference server of Ustat."),
		kong.Vars{"strategies": strings.Join(strategyNames(), ", ")},
		kong.Writers(stdout, stderr), kong.UsageOnError(), kong.Exit(func(status int) { exited = status }))
	if err != nil {
		fmt.Fprintln(stderr, "server:", err)
		return statusError
	}
	command, err := parser.Parse(args)
	switch {
	case exited >= 0: // --help
		return exited
	case err != nil:
		fmt.Fprintln(stderr, "server:", err)
		return statusUsage
	}
	p := &program{cli: &c, log: newLogger(c.LogFormat, stderr), stdin: stdin, stdout: stdout, stderr: stderr}
	command.BindTo(ctx, (*context.Context)(nil))
	err = command.Run(p)
	var refused refusedError
	switch {
	case err == nil:
		return statusOK
	case errors.As(err, &refused):
		return statusError
	case errors.As(err, new(usageError)):
		fmt.Fprintln(stderr, "server:", oneLine(err))
		return statusUsage
	}
	fmt.Fprintln(stderr, "server:", oneLine(err))
	return statusError
}

// oneLine returns the text of an error without line breaks, which drivers put in.
func oneLine(err error) string {
	return strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\t' }), " ")
}

func newLogger(format string, w io.Writer) *slog.Logger {
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, nil))
	}
	return slog.New(slog.NewTextHandler(w, nil))
}

// isPostgres reports whether --db names a PostgreSQL database, and not a file.
func isPostgres(dsn string) bool {
	return strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://")
}

// open opens the database of --db.
func (p *program) open(ctx context.Context) (*storage.Backend, error) {
	observer := storage.Observer{OnQuery: p.logSlow}
	dsn := p.cli.DB
	var backend *storage.Backend
	var err error
	switch scheme, _, isURL := strings.Cut(dsn, "://"); {
	case isPostgres(dsn):
		backend, err = postgres.Open(ctx, dsn, &postgres.Options{Observer: observer})
	case isURL:
		return nil, usageError{fmt.Errorf("--db: %s:// is no database that is known: give a file, or postgres://…", scheme)}
	default:
		if info, statErr := os.Stat(filepath.Dir(dsn)); statErr != nil || !info.IsDir() {
			return nil, usageError{fmt.Errorf("--db: there is no folder %s", filepath.Dir(dsn))}
		}
		backend, err = sqlite.Open(ctx, dsn, &sqlite.Options{Observer: observer})
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, usageError{fmt.Errorf("--db: %w", err)}
	}
	return backend, nil
}

func (p *program) logSlow(ctx context.Context, q storage.Query) {
	if q.Slow {
		p.log.WarnContext(ctx, "slow query", "operation", q.Operation, "duration", q.Duration, "sql", q.SQL)
	}
}

// openQueue opens the queue of background jobs in the database of --db.
func (p *program) openQueue(ctx context.Context) (tasks.Queue, error) {
	options := &riverqueue.Options{Logger: p.log}
	var queue tasks.Queue
	var err error
	if isPostgres(p.cli.DB) {
		queue, err = riverqueue.Postgres(ctx, p.cli.DB, options)
	} else {
		queue, err = riverqueue.SQLite(ctx, p.cli.DB, options)
	}
	if err != nil && ctx.Err() == nil {
		return nil, usageError{fmt.Errorf("--db: %w", err)}
	}
	return queue, err
}

// start opens the database, and a platform over it that is migrated and started.
// Without a queue its events wait for a process that has one.
func (p *program) start(ctx context.Context, config *ustat.Config) (*ustat.Platform, *storage.Backend, error) {
	backend, err := p.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	config.Logger = p.log
	platform, err := ustat.New(backend, config)
	if err != nil {
		err = errors.Join(err, backend.Close())
	} else if err = platform.Start(ctx); err != nil {
		err = errors.Join(err, platform.Stop(context.WithoutCancel(ctx)))
	}
	if err != nil {
		if errors.Is(err, storage.ErrSchemaNew) || core.KindOf(err) == core.KindInvalid {
			err = usageError{err}
		}
		return nil, nil, err
	}
	return platform, backend, nil
}
