package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"github.com/ustat/ustat/httpapi"
)

// drainTime is how long requests in flight may take to end after a signal.
const drainTime = 10 * time.Second

type serveCmd struct {
	Addr string `default:"127.0.0.1:8080" env:"USTAT_ADDR" help:"The address to listen on."`
	Demo bool   `default:"true" negatable:"" env:"USTAT_DEMO" help:"Fill an empty database with demo data."`
}

// Run serves until ctx ends, then lets requests in flight end.
func (c *serveCmd) Run(ctx context.Context, p *program) (err error) {
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
	platform, backend, err := p.start(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, platform.Stop(context.WithoutCancel(ctx))) }()
	if c.Demo {
		if err := p.fillDemo(ctx, platform, backend); err != nil {
			return err
		}
	}
	logins, err := demoLogins(ctx, backend)
	if err != nil {
		return err
	}
	handler, err := httpapi.New(platform, &httpapi.Options{Logger: p.log})
	if err != nil {
		return err
	}
	server := httpapi.Server(c.Addr, handler)
	fmt.Fprintf(p.stdout, "Ustat serves http://%s/api/v1/courses/\nDocumentation:   http://%[1]s/api/v1/docs/\n", listener.Addr())
	for _, u := range logins {
		fmt.Fprintf(p.stdout, "Demo login:      %s / %s (%s)\n", u.Username, demoPassword, u.Role)
	}

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
