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
	"time"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/accounts/password"
	"github.com/ustat/ustat/blob"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/internal/killtest"
	"github.com/ustat/ustat/payments/httppay"
	"github.com/ustat/ustat/payments/signed"
	"github.com/ustat/ustat/storage"
	"github.com/ustat/ustat/storage/postgres"
	"github.com/ustat/ustat/storage/sqlite"
	"github.com/ustat/ustat/tasks/riverqueue"
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
	config := &ustat.Config{Hasher: hasher, Learners: killtest.Everybody{}, Clock: ahead(work.Ahead), Achievements: []accounts.Rule{diligence}}
	if work.Files != "" {
		if err := withJobs(ctx, work, config); err != nil {
			return err
		}
	}
	if work.Payments != "" {
		provider, err := payments(work.Payments)
		if err != nil {
			return err
		}
		config.Payments = []courses.Payments{provider}
	}
	platform, err := ustat.New(backend, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, platform.Stop(context.Background())) }()
	if err := platform.Start(ctx); err != nil {
		return err
	}
	fmt.Println("ready")
	return work.Do(ctx, table(platform, backend, config.Queue))
}

// withJobs gives a platform what it needs to do work in the background.
func withJobs(ctx context.Context, work killtest.Work, c *ustat.Config) (err error) {
	c.Limiter = unlimited{}
	if c.Files, err = blob.Dir(work.Files, nil); err != nil {
		return err
	}
	hasty := &riverqueue.Options{Poll: 20 * time.Millisecond, LostAfter: 100 * time.Millisecond}
	if work.Engine == "sqlite" {
		c.Queue, err = riverqueue.SQLite(ctx, work.DSN, hasty)
	} else {
		c.Queue, err = riverqueue.Postgres(ctx, work.DSN, hasty)
	}
	return err
}

// ahead is a clock that is ahead of the machine's.
type ahead time.Duration

func (a ahead) Now() time.Time { return time.Now().UTC().Add(time.Duration(a)) }

func payments(url string) (courses.Payments, error) {
	keys, err := signed.NewKeys([]byte(killtest.PaymentKey))
	if err != nil {
		return nil, err
	}
	return httppay.New(httppay.Config{URL: url, Token: killtest.PaymentToken, Keys: keys})
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

// unlimited is a core.Limiter for a test that asks for a hundred reports.
type unlimited struct{}

func (unlimited) Take(context.Context, ...core.Limit) (time.Duration, error) { return 0, nil }
func (unlimited) Return(context.Context, ...core.Limit) error                { return nil }
