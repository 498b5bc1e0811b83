// Package storage bundles the stores of the domains into a [Backend]. The
// packages sqlite and postgres open one; storagetest proves one.
package storage

import (
	"context"
	"database/sql"
	"sync/atomic"
	"time"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/analytics"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/recommend"
	"github.com/ustat/ustat/reports"
	"github.com/ustat/ustat/reviews"
)

// Backend is one store a domain, and what they share. It is a plain struct: copy
// it and set one field to keep one domain elsewhere.
type Backend struct {
	Accounts accounts.Store
	Courses  courses.Store
	Reviews  reviews.Store
	// Recommend is nil where nothing is recommended.
	Recommend recommend.Store
	Reports   reports.Store // nil where no reports are made
	Keys      Keys
	Schema    Schema
	// Analytics is a shard of analytics in the same database, for a platform that has no
	// others. Nil where there is none.
	Analytics analytics.Shard
	// Shards keeps which shard has what, for a platform that has several. Nil where that is
	// not kept.
	Shards analytics.DirectoryStore
	// Atomic runs fn in one transaction of the database that Join joins: nil commits, an
	// error or a panic rolls back; fn runs again when its error is core.ErrRetry. Nil
	// where there is no such transaction, or one already.
	Atomic func(ctx context.Context, fn func(tx *sql.Tx) error) error
	// Ping fails when the database does not answer.
	Ping func(ctx context.Context) error
	// Verify looks for rows that contradict each other, such as a course without
	// statistics, and returns one error for each rule that is broken, joined, or
	// nil. It reads whole tables: it is for operators and tests, while nothing
	// writes. Nil where the storage has no such rules.
	Verify func(ctx context.Context) error
	// Close ends what Open started. It never closes a handle that was given.
	Close func() error
}

// Keys holds the secrets that a platform makes for itself, so that restarts and
// other processes agree on them.
type Keys interface {
	// Key returns the secret of that name; where there is none, the one that
	// fresh returns is kept. Of concurrent callers one wins and all get its secret.
	Key(ctx context.Context, name string, fresh func() []byte) ([]byte, error)
}

// Schema brings the tables to what this version of the library needs.
type Schema interface {
	// Migrate applies what is missing and returns the names of what it applied.
	// It may be killed at any moment and run again, and two may run at once.
	Migrate(ctx context.Context) ([]string, error)
	// Check returns nil when the schema fits, ErrSchemaOld when Migrate has
	// work to do and ErrSchemaNew when a newer library has been here.
	Check(ctx context.Context) error
}

// The errors of Schema.
var (
	ErrSchemaOld = &core.Error{Kind: core.KindFailedPrecondition, Code: "storage.schema_old", Message: "the schema is older than this version of ustat: migrate it"}
	ErrSchemaNew = &core.Error{Kind: core.KindFailedPrecondition, Code: "storage.schema_new", Message: "the schema is newer than this version of ustat: upgrade the program"}
)

// Join returns the backend inside a host's transaction. A store that cannot join
// is core.ErrCannotJoin.
func (b *Backend) Join(tx *sql.Tx) (*Backend, error) {
	if tx == nil {
		return nil, core.ErrCannotJoin.Withf("there is no transaction to join")
	}
	joined := *b
	var err error
	if joined.Accounts, err = join(b.Accounts, tx, "accounts"); err != nil {
		return nil, err
	}
	if joined.Courses, err = join(b.Courses, tx, "courses"); err != nil {
		return nil, err
	}
	if joined.Reviews, err = join(b.Reviews, tx, "reviews"); err != nil {
		return nil, err
	}
	if b.Recommend != nil {
		if joined.Recommend, err = join(b.Recommend, tx, "recommend"); err != nil {
			return nil, err
		}
	}
	if b.Reports != nil {
		if joined.Reports, err = join(b.Reports, tx, "reports"); err != nil {
			return nil, err
		}
	}
	joined.Atomic = nil
	joined.Close = func() error { return nil }
	return &joined, nil
}

func join[S any](store S, tx *sql.Tx, name string) (S, error) {
	joiner, ok := any(store).(core.Joiner[S])
	if !ok {
		return store, core.ErrCannotJoin.Withf("the store of %s cannot join a host's transaction", name)
	}
	return joiner.Join(tx)
}

// Query is one statement that a store has run.
type Query struct {
	Operation string        // what it served: "courses.List"
	Type      string        // SELECT, INSERT, ...
	SQL       string        // without any value; set only when Slow
	Duration  time.Duration // until its answer; of pages, until their rows are read
	Slow      bool          // it took longer than the threshold
	Err       error
}

// Observer is told of the statements that a store runs.
type Observer struct {
	// OnQuery is called after each statement, on its goroutine. Nil means nobody
	// listens.
	OnQuery func(ctx context.Context, q Query)
	// SlowAfter is from when on a statement is slow. Zero means 100 ms.
	SlowAfter time.Duration
}

// QueryCounter counts the statements run with a context.
type QueryCounter struct{ n atomic.Int64 }

// Count returns how many statements there have been.
func (c *QueryCounter) Count() int { return int(c.n.Load()) }

// Add counts one; stores call it.
func (c *QueryCounter) Add() { c.n.Add(1) }

type counterKey struct{}

// CountQueries returns a context whose statements are counted, for tests that
// assert how many a request needs.
func CountQueries(ctx context.Context) (context.Context, *QueryCounter) {
	c := new(QueryCounter)
	return context.WithValue(ctx, counterKey{}, c), c
}

// CounterOf returns the counter that CountQueries gave, or nil.
func CounterOf(ctx context.Context) *QueryCounter {
	c, _ := ctx.Value(counterKey{}).(*QueryCounter)
	return c
}
