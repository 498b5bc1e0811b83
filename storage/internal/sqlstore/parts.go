package sqlstore

import (
	"context"
	"database/sql"
	"io/fs"

	"github.com/ustat/ustat/storage"
)

// What the stores of other databases are made of, for package shardstore.

// Session is where statements go: the reading pool, or the Tx of an Update.
type Session = session

// Reading returns the reading pool.
func (d *DB) Reading() Session { return session{db: d} }

// Session returns where the statements of the Tx go.
func (tx *Tx) Session() Session { return tx.session }

// Update runs fn in one transaction; see DB.update.
func (d *DB) Update(ctx context.Context, store string, fn func(ctx context.Context, tx *Tx) error) error {
	return d.update(ctx, store, fn)
}

// Schema returns the migrations of the database.
func (d *DB) Schema() storage.Schema { return schema{d} }

// Ping fails when the database does not answer.
func (d *DB) Ping(ctx context.Context) error { return d.ping(ctx) }

// ReadAll runs a query of constant text with ? parameters and scans every row.
func ReadAll[T any](ctx context.Context, s Session, query string, args []any, scan func(rows *sql.Rows, row *T) error) ([]T, error) {
	return readAll(ctx, s, query, args, scan)
}

// Exec runs a statement of constant text with ? parameters and returns how many rows it
// wrote.
func (s session) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	return s.keptExec(ctx, query, args...)
}

// In returns the condition that a column is one of at least one numbers.
func (d *DB) In(column string, values []int64) (string, []any) { return in(d, column, values) }

// Arrays reports whether the driver takes a slice as a parameter.
func (d *DB) Arrays() bool { return d.dialect.Arrays }

// ForUpdate and ForShare end a query that takes its rows for the transaction.
func (d *DB) ForUpdate() string { return d.dialect.ForUpdate }

// ForShare is ForUpdate for rows that others may take so too.
func (d *DB) ForShare() string { return d.dialect.ForShare }

// Beside returns the same database with the migrations of something else that is kept in
// it, whose marks are in a table of that name.
func (d *DB) Beside(migrations fs.FS, table string) *DB {
	c := *d
	c.dialect.Migrations, c.dialect.MigrationsTable, c.dialect.LocksTable, c.dialect.Search = migrations, table, table+"_locks", nil
	return &c
}

// MigrationLock makes transactions that run it take turns; empty where all writing ones do.
func (d *DB) MigrationLock() string { return d.dialect.MigrationLock }
