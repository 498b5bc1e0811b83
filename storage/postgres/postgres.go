// Package postgres keeps a platform in PostgreSQL 15 or newer, over one pool of
// database/sql with pgx connections.
package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/storage"
	"github.com/ustat/ustat/storage/internal/sqlstore"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Options tune a backend. A nil Options is all defaults.
type Options struct {
	// RetryFor bounds how long an Update that meets a concurrent one is run again.
	// Zero means 10 s.
	RetryFor time.Duration
	// CommitTimeout bounds the wait for the answer of a COMMIT, after which its
	// outcome is unknown. Zero means 30 s.
	CommitTimeout time.Duration
	// Observer is told of each statement.
	Observer storage.Observer
}

// Open connects to the database that dsn names (a URL or key=value pairs, as pgx
// takes them; pool_max_conns sets the size of the pool) and returns its stores.
// Migrate the schema, or let ustat's Start do it, before use. Close ends the pool.
func Open(ctx context.Context, dsn string, opt *Options) (*storage.Backend, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		// The error of pgx hides the password, but it quotes the rest of the DSN.
		return nil, core.Invalid("dsn", "dsn", "", "", "it is no connection string of PostgreSQL").Because(err)
	}
	// Bun writes the arguments into the text, so prepared statements would only
	// crowd the cache. The pages that are read by constant text ask for the cache.
	config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	if config.ConnConfig.RuntimeParams["timezone"] == "" {
		config.ConnConfig.RuntimeParams["timezone"] = "UTC"
	}
	db := stdlib.OpenDB(*config.ConnConfig)
	db.SetMaxOpenConns(int(config.MaxConns))
	db.SetMaxIdleConns(int(config.MaxConns))
	db.SetConnMaxIdleTime(config.MaxConnIdleTime)
	db.SetConnMaxLifetime(config.MaxConnLifetime)
	if err := db.PingContext(ctx); err != nil {
		return nil, core.ErrUnavailable.Withf("PostgreSQL does not answer").Because(errors.Join(err, db.Close()))
	}
	d := newDB(db, opt)
	backend := d.Backend()
	backend.Close = func() error {
		d.MarkClosed()
		return db.Close()
	}
	return backend, nil
}

// Use returns the stores of a database that the embedder has opened with pgx's
// stdlib and keeps owning: Close leaves it open.
func Use(ctx context.Context, db *sql.DB, opt *Options) (*storage.Backend, error) {
	if err := db.PingContext(ctx); err != nil {
		return nil, core.ErrUnavailable.Because(err)
	}
	d := newDB(db, opt)
	backend := d.Backend()
	backend.Close = func() error {
		d.MarkClosed()
		return nil
	}
	return backend, nil
}

func newDB(db *sql.DB, opt *Options) *sqlstore.DB {
	if opt == nil {
		opt = &Options{}
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the folder is embedded above
	}
	return sqlstore.NewDB(bun.NewDB(db, pgdialect.New()), db, sqlstore.Dialect{
		Migrations:     files,
		MigrationLock:  "SELECT pg_advisory_xact_lock(7561346012)",
		TreeLock:       "SELECT pg_advisory_xact_lock(7561346013)",
		TableExists:    "SELECT count(to_regclass('ustat_migrations'))",
		RefreshRollups: "REFRESH MATERIALIZED VIEW CONCURRENTLY ustat_course_stats_mv",
		Search:         search{},
		Classify:       classify,
		Constraint:     constraint,
		Arrays:         true,
		ForUpdate:      " FOR UPDATE",
		ForNoKeyUpdate: " FOR NO KEY UPDATE",
		ForShare:       " FOR SHARE",
		CachedMode:     pgx.QueryExecModeCacheStatement,
		Day:            func(column string) string { return "CAST(floor(extract(epoch FROM " + column + ") / 86400) AS BIGINT)" },
		JoinOrder:      " CROSS JOIN ",
	}, sqlstore.Options{Observer: opt.Observer, RetryFor: opt.RetryFor, CommitTimeout: opt.CommitTimeout})
}
