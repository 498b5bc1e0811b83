// Package sqlite keeps a platform in one SQLite file, without cgo.
//
// One connection writes, in transactions that take the write lock at once; a pool
// beside it reads, in WAL mode, and is not blocked by the writer. Every
// acknowledged commit is on the disk (synchronous=FULL).
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/ustat/ustat/analytics"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/storage"
	"github.com/ustat/ustat/storage/internal/shardstore"
	"github.com/ustat/ustat/storage/internal/sqlstore"
)

//go:embed migrations/*.sql
var migrations embed.FS

//go:embed shard/*.sql
var shardMigrations embed.FS

// MinVersion is the oldest SQLite engine that is accepted: before it, a WAL that
// was reset could corrupt the database.
const MinVersion = "3.51.3"

// Options tune a backend. A nil Options is all defaults.
type Options struct {
	// Readers is how many connections read, 1 to 64. Zero means four times the CPUs, at
	// least 8. With fewer than there are callers at once, these wait for each other at
	// each statement, which costs no throughput, but time.
	Readers int
	// BusyTimeout is how long a write waits for another process. Zero means 5 s.
	BusyTimeout time.Duration
	// WriterWait bounds how long an Update waits for the one writer of this
	// process before it fails with core.ErrBusy. Zero means 10 s.
	WriterWait time.Duration
	// RetryFor bounds how long an Update that meets another process is run again.
	// Zero means 10 s.
	RetryFor time.Duration
	// Observer is told of each statement.
	Observer storage.Observer
}

func (o *Options) withDefaults() (Options, error) {
	var out Options
	if o != nil {
		out = *o
	}
	if out.Readers == 0 {
		out.Readers = min(max(8, 4*runtime.GOMAXPROCS(0)), 64)
	}
	if out.BusyTimeout == 0 {
		out.BusyTimeout = 5 * time.Second
	}
	if out.Readers < 1 || out.Readers > 64 {
		return out, core.Invalid("Readers", "range", "1-64", fmt.Sprint(out.Readers), "between 1 and 64 connections can read")
	}
	return out, nil
}

// Open opens the database file at path, which is made if it is not there, and
// returns its stores. Migrate the schema, or let ustat's Start do it, before use.
// Close ends both pools.
func Open(ctx context.Context, path string, opt *Options) (*storage.Backend, error) {
	db, closeDB, err := openDB(ctx, path, opt)
	if err != nil {
		return nil, err
	}
	return backendOf(db, closeDB), nil
}

// OpenShard opens the database file at path, which is made if it is not there, as a shard
// of analytics. Its schema is migrated when it is used first. Close ends both pools.
func OpenShard(ctx context.Context, path string, opt *Options) (analytics.Shard, error) {
	db, closeDB, err := openDB(ctx, path, opt)
	if err != nil {
		return nil, err
	}
	return shardOf(db, closeDB), nil
}

// backendOf returns the stores of a database, and the shard that is beside them.
func backendOf(db *sqlstore.DB, closeDB func() error) *storage.Backend {
	backend := db.Backend()
	backend.Analytics = shardOf(db, nil)
	backend.Close = closeDB
	return backend
}

// shardOf returns the shard in a database.
func shardOf(db *sqlstore.DB, closeDB func() error) analytics.Shard {
	return shardstore.New(db.Beside(sub(shardMigrations, "shard"), shardstore.MigrationsTable), closeDB)
}

func openDB(ctx context.Context, path string, opt *Options) (*sqlstore.DB, func() error, error) {
	if path == "" || strings.HasPrefix(path, ":memory:") || strings.Contains(path, "mode=memory") {
		return nil, nil, core.Invalid("path", "file", "", path, "a file is needed; see InMemory")
	}
	options, err := opt.withDefaults()
	if err != nil {
		return nil, nil, err
	}
	busy := fmt.Sprintf("busy_timeout(%d)", options.BusyTimeout.Milliseconds())
	writer, err := open(path, 1, url.Values{
		"_txlock": {"immediate"}, "_pragma": {busy, "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "cache_size(-4000)"},
	})
	if err != nil {
		return nil, nil, err
	}
	if err := checkEngine(ctx, writer); err != nil {
		return nil, nil, errors.Join(err, writer.Close())
	}
	readers, err := open(path, options.Readers, url.Values{
		"_pragma": {busy, "query_only(1)", "foreign_keys(1)", "cache_size(-4000)"}, "mode": {"ro"},
	})
	if err != nil {
		return nil, nil, errors.Join(err, writer.Close())
	}
	db := newDB(readers, writer, options)
	return db, func() error {
		db.MarkClosed()
		return errors.Join(readers.Close(), writer.Close())
	}, nil
}

// InMemory opens a database that lives as long as it is open: a temporary file,
// removed by Close. (SQLite's own memory databases block or hang readers.)
func InMemory(ctx context.Context, opt *Options) (*storage.Backend, error) {
	dir, err := os.MkdirTemp("", "ustat-*")
	if err != nil {
		return nil, err
	}
	backend, err := Open(ctx, filepath.Join(dir, "ustat.db"), opt)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	closeDB := backend.Close
	backend.Close = func() error { return errors.Join(closeDB(), os.RemoveAll(dir)) }
	return backend, nil
}

// Use returns the stores of a database that the embedder has opened with this
// driver and keeps owning: Close leaves it open. Its connections must have
// foreign_keys on and should be opened with _txlock=immediate, journal_mode(WAL)
// and a busy_timeout. With a pool of one connection, reads wait for writes.
func Use(ctx context.Context, db *sql.DB, opt *Options) (*storage.Backend, error) {
	options, err := opt.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := checkEngine(ctx, db); err != nil {
		return nil, err
	}
	d := newDB(db, db, options)
	return backendOf(d, func() error {
		d.MarkClosed()
		return nil
	}), nil
}

func open(path string, conns int, params url.Values) (*sql.DB, error) {
	params.Set("_time_format", "sqlite")
	params.Set("_timezone", "UTC")
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+params.Encode())
	if err != nil {
		return nil, core.ErrInternal.Because(err)
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

func newDB(readers, writer *sql.DB, o Options) *sqlstore.DB {
	return sqlstore.NewDB(bun.NewDB(readers, sqlitedialect.New()), writer, sqlstore.Dialect{
		Migrations:  sub(migrations, "migrations"),
		TableExists: tableExists,
		Search:      search{},
		Classify:    classify,
		Day:         func(column string) string { return "unixepoch(" + column + ") / 86400" },
		JoinOrder:   " CROSS JOIN ", // SQLite: the left table leads
		NoIndex:     "+",
		TextTime:    true,
	}, sqlstore.Options{Observer: o.Observer, RetryFor: o.RetryFor, WriterWait: o.WriterWait, OneWriter: true})
}

// sub returns a folder that is embedded above.
func sub(files embed.FS, folder string) fs.FS {
	inside, err := fs.Sub(files, folder)
	if err != nil {
		panic(err)
	}
	return inside
}

// checkEngine opens the first connection, and refuses old engines and databases
// without foreign keys.
func checkEngine(ctx context.Context, db *sql.DB) error {
	var version string
	var foreignKeys int
	if err := db.QueryRowContext(ctx, "SELECT sqlite_version(), (SELECT foreign_keys FROM pragma_foreign_keys)").Scan(&version, &foreignKeys); err != nil {
		return core.ErrUnavailable.Withf("the SQLite database cannot be opened: %v", err).Because(err)
	}
	if older(version, MinVersion) {
		return core.ErrFailedPrecondition.Withf("SQLite %s is too old: %s or newer is needed", version, MinVersion)
	}
	if foreignKeys != 1 {
		return core.ErrFailedPrecondition.Withf("the connections need _pragma=foreign_keys(1)")
	}
	return nil
}

func older(version, than string) bool {
	var a, b [3]int
	// A part that is no number counts as 0.
	_, _ = fmt.Sscanf(version, "%d.%d.%d", &a[0], &a[1], &a[2])
	_, _ = fmt.Sscanf(than, "%d.%d.%d", &b[0], &b[1], &b[2])
	for i := range a {
		if a[i] != b[i] {
			return a[i] < b[i]
		}
	}
	return false
}
