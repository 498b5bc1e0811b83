package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/httpapi"
	"github.com/ustat/ustat/storage"
	"github.com/ustat/ustat/transfer"
)

//go:embed demo/*.csv
var demoFiles embed.FS

// drainTime is how long requests in flight, and then jobs, may take to end after a
// signal.
const drainTime = 10 * time.Second

type serveCmd struct {
	Addr   string `default:"127.0.0.1:8080" env:"USTAT_ADDR" help:"The address to listen on."`
	Demo   bool   `default:"true" negatable:"" env:"USTAT_DEMO" help:"Fill an empty database with demo data."`
	Tasks  int    `default:"10" env:"USTAT_TASKS" help:"How many background jobs are worked at once; -1 for none, where others work them."`
	Worker bool   `env:"USTAT_WORKER" help:"Work background jobs and serve nothing but /healthz and /readyz."`
}

// Run serves until ctx ends, then lets requests in flight end.
func (c *serveCmd) Run(ctx context.Context, p *program) (err error) {
	if c.Worker && c.Tasks < 0 {
		return usageError{errors.New("--worker: a worker works at least one job: give --tasks 1 or more")}
	}
	// Listen first: an address in use must not cost a migration.
	listener, err := net.Listen("tcp", c.Addr)
	if err != nil {
		return usageError{fmt.Errorf("--addr: %w", err)}
	}
	defer listener.Close()
	queue, err := p.openQueue(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, queue.Stop(ctx)) }() // where no platform has done it
	platform, backend, err := p.start(ctx, &ustat.Config{Queue: queue, TaskConcurrency: c.Tasks})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop(ctx, platform)) }()
	if c.Demo && !c.Worker {
		if err := p.fillDemo(ctx, backend); err != nil {
			return err
		}
	}
	handler, err := httpapi.New(platform, &httpapi.Options{Logger: p.log})
	if err != nil {
		return err
	}
	if c.Worker {
		handler = healthOnly(handler)
		fmt.Fprintf(p.stdout, "Ustat works background jobs\nHealth: http://%s/readyz\n", listener.Addr())
	} else {
		if handler, err = p.withRiver(ctx, handler, platform, queue); err != nil {
			return err
		}
		fmt.Fprintf(p.stdout, "Ustat serves http://%s/api/v1/courses/\nDocumentation:   http://%[1]s/api/v1/docs/\n", listener.Addr())
	}
	server := httpapi.Server(c.Addr, handler)

	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	if err := server.Shutdown(drain); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// healthOnly serves nothing of the API but what tells how the process is.
func healthOnly(handler http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/healthz", handler)
	mux.Handle("/readyz", handler)
	return mux
}

// stop stops a platform whose jobs have drainTime to end.
func stop(ctx context.Context, platform *ustat.Platform) error {
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	return platform.Stop(drain)
}

// fillDemo imports the demo data into a database that is empty.
func (p *program) fillDemo(ctx context.Context, backend *storage.Backend) error {
	empty, err := isEmpty(ctx, backend)
	if err != nil || !empty {
		return err
	}
	files, err := fs.Sub(demoFiles, "demo")
	if err != nil {
		return err
	}
	var refused []string
	report, err := transfer.Import(ctx, backend, files, &transfer.Options{Refused: func(r transfer.Refusal) { refused = append(refused, r.String()) }})
	if err != nil {
		return err
	}
	if refused != nil {
		return fmt.Errorf("the demo data has bad rows:\n%s", strings.Join(refused, "\n"))
	}
	p.log.InfoContext(ctx, "filled the empty database with demo data", "rows", report.Total().Inserted)
	return nil
}

// isEmpty reports whether the database has neither a user nor a category.
func isEmpty(ctx context.Context, backend *storage.Backend) (bool, error) {
	categories, err := backend.Courses.Categories(ctx, "", 1)
	if err != nil || len(categories) > 0 {
		return false, err
	}
	// The first id that an identity gives is 1.
	users, err := backend.Accounts.UsersByID(ctx, []core.UserID{1})
	return len(users) == 0, err
}
