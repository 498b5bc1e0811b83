package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/analytics/chart"
	"github.com/ustat/ustat/blob"
	"github.com/ustat/ustat/courses/certificate"
	"github.com/ustat/ustat/httpapi"
	"github.com/ustat/ustat/reports"
	"github.com/ustat/ustat/reports/xlsx"
	"github.com/ustat/ustat/storage"
	"github.com/ustat/ustat/tasks"
)

// drainTime is how long requests in flight, and then jobs, may take to end after a
// signal.
const drainTime = 10 * time.Second

type serveCmd struct {
	Addr   string `default:"127.0.0.1:8080" env:"USTAT_ADDR" help:"The address to listen on."`
	Demo   bool   `default:"true" negatable:"" env:"USTAT_DEMO" help:"Fill an empty database with demo data."`
	Tasks  int    `default:"10" env:"USTAT_TASKS" help:"How many background jobs are worked at once; -1 for none, where others work them."`
	Files  string `env:"USTAT_FILES" help:"The folder for the files that the platform makes and takes, such as reports and files of lessons: one for all processes. By default ustat-files, beside the file of the database."`
	Worker bool   `env:"USTAT_WORKER" help:"Work background jobs and serve nothing but /healthz and /readyz."`
}

// Run serves until ctx ends, then lets requests in flight end.
func (c *serveCmd) Run(ctx context.Context, p *program) (err error) {
	if c.Worker && c.Tasks < 0 {
		return usageError{errors.New("--worker: a worker works at least one job: give --tasks 1 or more")}
	}
	if os.Getenv("GOGC") == "" {
		// The heap of a small platform is smaller than what one hash of a password
		// takes: by Go's default each sign-in would begin a collection.
		debug.SetGCPercent(400)
	}
	// Listen first: an address in use must not cost a migration.
	listener, err := net.Listen("tcp", c.Addr)
	if err != nil {
		return usageError{fmt.Errorf("--addr: %w", err)}
	}
	defer listener.Close()
	files, err := blob.Dir(c.filesDir(p.cli.DB), nil)
	if err != nil {
		return usageError{fmt.Errorf("--files: %w", err)}
	}
	queue, err := p.openQueue(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, queue.Stop(ctx)) }() // where no platform has done it
	certificates, err := certificate.New(certificate.Options{})
	if err != nil {
		return err
	}
	bank, payments, err := c.demoBank(listener.Addr())
	if err != nil {
		return err
	}
	platform, backend, err := p.start(ctx, &ustat.Config{
		Payments: payments, Queue: queue, TaskConcurrency: c.Tasks, Files: files, ReportFormats: []reports.Format{xlsx.Format}, Certificates: certificates,
		Charts: chart.Painter{},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop(ctx, platform)) }()
	if c.Demo && !c.Worker {
		if err := p.fillDemo(ctx, platform, backend); err != nil {
			return err
		}
	}
	handler, err := c.handler(ctx, p, platform, queue)
	if err != nil {
		return err
	}
	handler = withPayPage(handler, bank, platform)
	if err := c.greet(ctx, p, backend, listener.Addr()); err != nil {
		return err
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

// filesDir returns the folder of files.
func (c *serveCmd) filesDir(db string) string {
	const name = "ustat-files"
	switch {
	case c.Files != "":
		return c.Files
	case isPostgres(db):
		return name
	}
	return filepath.Join(filepath.Dir(db), name)
}

// handler returns what is served: the API and River's interface, or health alone.
func (c *serveCmd) handler(ctx context.Context, p *program, platform *ustat.Platform, queue tasks.Queue) (http.Handler, error) {
	api, err := httpapi.New(platform, &httpapi.Options{Logger: p.log})
	if err != nil || c.Worker {
		return healthOnly(api), err
	}
	return p.withRiver(ctx, api, platform, queue)
}

// greet says where what is.
func (c *serveCmd) greet(ctx context.Context, p *program, backend *storage.Backend, addr net.Addr) error {
	if c.Worker {
		fmt.Fprintf(p.stdout, "Ustat works background jobs\nHealth: http://%s/readyz\n", addr)
		return nil
	}
	logins, err := demoLogins(ctx, backend)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "Ustat serves http://%s/api/v1/courses/\nDocumentation:   http://%[1]s/api/v1/docs/\n", addr)
	for _, u := range logins {
		fmt.Fprintf(p.stdout, "Demo login:      %s / %s (%s)\n", u.Username, demoPassword, u.Role)
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
