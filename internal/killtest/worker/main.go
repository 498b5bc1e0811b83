// Command worker is the process that killtest kills: a platform that does the
// operations it reads from standard input. It is built with the tag ustat_fault.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/accounts/password"
	"github.com/ustat/ustat/internal/killtest"
	"github.com/ustat/ustat/storage"
	"github.com/ustat/ustat/storage/postgres"
	"github.com/ustat/ustat/storage/sqlite"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) (err error) {
	work, err := killtest.ReadWork(os.Stdin)
	if err != nil {
		return err
	}
	backend, err := open(ctx, work)
	if err != nil {
		return err
	}
	hasher, err := password.New(password.Options{Memory: 8, Passes: 1})
	if err != nil {
		return err
	}
	platform, err := ustat.New(backend, &ustat.Config{Hasher: hasher, Learners: killtest.Everybody{}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, platform.Stop(context.Background())) }()
	if err := platform.Start(ctx); err != nil {
		return err
	}
	fmt.Println("ready")
	return work.Do(ctx, table(platform))
}

func open(ctx context.Context, work killtest.Work) (*storage.Backend, error) {
	switch work.Engine {
	case "sqlite":
		return sqlite.Open(ctx, work.DSN, nil)
	case "postgres":
		return postgres.Open(ctx, work.DSN, nil)
	}
	return nil, fmt.Errorf("there is no engine %q", work.Engine)
}
