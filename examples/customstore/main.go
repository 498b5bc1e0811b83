// Command customstore keeps one domain elsewhere: the orders of reports are in memory, in
// a store of its own over core/memtx, and everything else is in a database. Its test runs
// the suite that every store of reports passes.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/blob"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/reports"
	"github.com/ustat/ustat/storage"
	"github.com/ustat/ustat/storage/sqlite"
	"github.com/ustat/ustat/tasks"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// open returns a backend in memory whose reports are kept by a store of our own.
func open(ctx context.Context) (*storage.Backend, error) {
	backend, err := sqlite.InMemory(ctx, nil)
	if err != nil {
		return nil, err
	}
	mine, kept := *backend, newStore()
	mine.Reports = kept
	mine.Close = func() error { return errors.Join(kept.Close(), backend.Close()) }
	return &mine, nil
}

// run asks a platform for a report and writes it to w.
func run(ctx context.Context, w io.Writer) (err error) {
	backend, err := open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, backend.Close()) }()
	folder, err := os.MkdirTemp("", "customstore-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	files, err := blob.Dir(folder, nil)
	if err != nil {
		return err
	}
	platform, err := ustat.New(backend, &ustat.Config{Files: files, Queue: tasks.NewMemory(nil)})
	if err != nil {
		return err
	}
	if err := platform.Start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, platform.Stop(ctx)) }()

	ada, err := platform.Accounts.CreateUser(ctx, accounts.System, accounts.NewUser{Username: "ada", Email: "ada@example.org", Role: core.Teacher})
	if err != nil {
		return err
	}
	by := core.Actor{UserID: ada.ID, Role: ada.Role}
	if _, err := platform.Courses.Create(ctx, by, courses.NewCourse{Title: "Analytical engines"}); err != nil {
		return err
	}
	return report(ctx, w, platform, by)
}

// report orders a report, waits until it is written and copies it to w.
func report(ctx context.Context, w io.Writer, platform *ustat.Platform, by core.Actor) error {
	order, err := platform.Reports.Request(ctx, by, reports.New{Kind: reports.Courses, Format: "csv"})
	for err == nil && order.State != reports.Done {
		if order.State == reports.Failed {
			return fmt.Errorf("the report has failed: %s", order.Code)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
		order, err = platform.Reports.Get(ctx, by, order.ID)
	}
	if err != nil {
		return err
	}
	file, _, err := platform.OpenLink(ctx, order.Token)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, file)
	return errors.Join(err, file.Close())
}
