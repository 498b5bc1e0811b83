// Package sqlstore implements the stores on SQL through Bun, for every dialect
// that says what it can do in a [Dialect]. The adapters sqlite and postgres open
// the connections and bring the dialect.
package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"github.com/uptrace/bun"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/storage"
)

// Dialect is what engines differ in.
type Dialect struct {
	// Migrations holds the files NNNN_name.sql, statements parted by --bun:split.
	Migrations fs.FS
	// MigrationsTable and LocksTable are the migrator's own. Empty means those of the main
	// database.
	MigrationsTable, LocksTable string
	// MigrationLock is run first in the transaction of each migration, so that
	// two processes take turns. Empty where BEGIN itself does that.
	MigrationLock string
	// TreeLock makes the transactions that run it take turns. Empty where all
	// writing ones do.
	TreeLock string
	// TableExists returns a query whose one number says whether a table is there.
	TableExists func(table string) string
	// RefreshRollups makes the rollups of all courses anew. Empty where they are a table
	// that is written.
	RefreshRollups string
	// Search keeps and asks the full-text index. Nil where there are no courses.
	Search Search
	// Classify says by its code what a driver's error means.
	Classify func(error) Class
	// Constraint returns the name of the unique key that a Duplicate met, where the
	// driver tells it. Nil where two writers never meet.
	Constraint func(error) string
	// JoinOrder is how tables are joined so that the first one leads; inner joins
	// where the planner knows best.
	JoinOrder string
	// ForUpdate, ForNoKeyUpdate (which others may still refer to) and ForShare end a
	// query that takes its rows for the transaction; empty where one writer has them
	// all.
	ForUpdate, ForNoKeyUpdate, ForShare string
	// Day returns the number of the day in UTC, counted from 1970, of a column of times.
	Day func(column string) string
	// TextTime means that times are text in Bun's form, which the driver of a
	// host's handle may not write by itself.
	TextTime bool
	// Arrays means that the driver takes a slice for = ANY(?).
	Arrays bool
	// CachedMode, where it is set, goes before the arguments of a statement, whose
	// parameters are $1, $2, … then, and makes the driver keep its plan.
	CachedMode any
	// NoIndex hides a column from the choice of an index: "+" on SQLite.
	NoIndex string
}

// Class is what a driver's error means to a caller.
type Class uint8

// The classes of driver errors.
const (
	Other      Class = iota
	Duplicate        // a unique key
	BadRow           // a check, a foreign key, a value the engine refuses
	Retry            // a concurrent transaction was in the way: run it again
	Away             // the database does not answer: what it was asked may have happened
	RolledBack       // COMMIT was answered by a rollback
)

// DB is one database: a pool to read from, and a way to begin a transaction.
type DB struct {
	bun        *bun.DB // the reading pool, and the query builder of both
	writer     *sql.DB
	dialect    Dialect
	joined     *sql.Tx // set when the host's transaction is joined
	opt        Options
	closed     *atomic.Bool
	gate       chan struct{} // the one writer of SQLite; nil where writers are many
	holder     *atomic.Value // the operation that holds the gate: string
	waiting    *atomic.Int64 // who waits for the gate
	lastGap    *atomic.Int64 // when the file was last left alone, in ns
	hook       hook
	statements *statements // prepared on the reading pool
	written    *statements // and on the writer, where there is one
	listeners  *listeners
}

// Options tune a DB. Zero fields get their defaults.
type Options struct {
	Observer storage.Observer
	// RetryFor bounds how long an Update that meets concurrent ones is run again.
	// Zero means 10 s.
	RetryFor time.Duration
	// CommitTimeout bounds the wait for the answer of a COMMIT. Zero means 30 s.
	CommitTimeout time.Duration
	// WriterWait bounds the wait for the one writer, where there is one. Zero
	// means 10 s.
	WriterWait time.Duration
	// OneWriter makes Updates of this process take turns.
	OneWriter bool
	// Now is the clock of the outbox. Nil means the machine's.
	Now func() time.Time
}

// NewDB returns a DB that reads from db and writes to writer. The query hook is
// added to db.
func NewDB(db *bun.DB, writer *sql.DB, dialect Dialect, opt Options) *DB {
	setDefault(&opt.RetryFor, 10*time.Second)
	setDefault(&opt.CommitTimeout, 30*time.Second)
	setDefault(&opt.WriterWait, 10*time.Second)
	setDefault(&opt.Observer.SlowAfter, 100*time.Millisecond)
	if opt.Now == nil {
		opt.Now = core.SystemClock{}.Now
	}
	if dialect.MigrationsTable == "" {
		dialect.MigrationsTable, dialect.LocksTable = migrationsTable, locksTable
	}
	h := hook{opt.Observer}
	d := &DB{
		bun: db.WithQueryHook(h), hook: h, statements: &statements{text: map[string]*sql.Stmt{}}, written: &statements{text: map[string]*sql.Stmt{}},
		writer: writer, dialect: dialect, opt: opt, closed: new(atomic.Bool), holder: new(atomic.Value),
		waiting: new(atomic.Int64), lastGap: new(atomic.Int64), listeners: &listeners{calls: map[string][]func(){}},
	}
	if opt.OneWriter {
		d.gate = make(chan struct{}, 1)
	}
	return d
}

func setDefault(d *time.Duration, to time.Duration) {
	if *d == 0 {
		*d = to
	}
}

// Backend returns the stores of the database.
func (d *DB) Backend() *storage.Backend {
	return &storage.Backend{
		Accounts: newAccounts(d), Courses: newCourses(d), Recommend: newRecommend(d), Reports: newReports(d), Reviews: newReviews(d), Shards: shards{d},
		Keys: keys{d}, Schema: schema{d}, Atomic: d.atomic, Ping: d.ping, Verify: d.verify,
	}
}

// MarkClosed makes every later use fail with core.ErrClosed.
func (d *DB) MarkClosed() { d.closed.Store(true) }

func (d *DB) ping(ctx context.Context) error {
	if d.closed.Load() {
		return core.ErrClosed
	}
	if err := d.bun.PingContext(ctx); err != nil {
		return core.ErrUnavailable.Because(err)
	}
	return nil
}

// session is where the statements of a store or of a Tx go.
type session struct {
	db *DB
	tx *Tx // nil outside an Update
}

// conn returns the connection to use, or why there is none.
func (s session) conn(ctx context.Context) (bun.IConn, error) {
	if s.tx != nil {
		if s.tx.done.Load() {
			return nil, core.ErrTxDone
		}
		return s.tx.conn, nil
	}
	if err := core.CheckNested(ctx); err != nil {
		return nil, err
	}
	if s.db.closed.Load() {
		return nil, core.ErrClosed
	}
	if s.db.joined != nil {
		return s.db.joined, nil
	}
	return s.db.bun.DB, nil
}

// fail translates a driver's error, and makes it stick to the Tx: an Update whose
// statement failed rolls back even if its closure returns nil.
func (s session) fail(ctx context.Context, err error) error {
	if err == nil || errors.Is(err, sql.ErrNoRows) {
		return err
	}
	err = s.db.translate(ctx, err)
	if s.tx != nil && s.tx.failed == nil {
		s.tx.failed = err
	}
	return err
}

// translate maps a driver's error by its code to one of core's.
func (d *DB) translate(ctx context.Context, err error) error {
	if _, ok := errors.AsType[*core.Error](err); ok {
		return err
	}
	if cause := ctx.Err(); cause != nil {
		return cause
	}
	switch d.dialect.Classify(err) {
	case Duplicate:
		return core.ErrConflict.Because(err)
	case BadRow:
		return core.ErrInvalid.Withf("the database refused a value").Because(err)
	case Retry:
		return core.ErrRetry.Because(err)
	case Away:
		return core.ErrUnavailable.Because(err)
	}
	if d.closed.Load() {
		return core.ErrClosed.Because(err)
	}
	return core.ErrInternal.Because(err)
}

// timeValue returns a time as a query's argument in the form that is stored.
func (d *DB) timeValue(t time.Time) any {
	if d.dialect.TextTime {
		return strings.Trim(string(d.bun.Dialect().AppendTime(nil, t)), "'")
	}
	return t
}

// constraint returns the name of the unique key in an error of translate, or "".
func (d *DB) constraint(err error) string {
	if d.dialect.Constraint == nil || !errors.Is(err, core.ErrConflict) {
		return ""
	}
	return d.dialect.Constraint(err)
}

func (d *DB) translateNil(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	return d.translate(ctx, err)
}

// scanner and execer are what Bun's builders have in common.
type scanner interface {
	Scan(ctx context.Context, dest ...any) error
}

type execer interface {
	Exec(ctx context.Context, dest ...any) (sql.Result, error)
}

// scan runs a query whose Conn was set from conn.
func (s session) scan(ctx context.Context, q scanner, dest ...any) error {
	return s.fail(ctx, q.Scan(ctx, dest...))
}

func (s session) exec(ctx context.Context, q execer) (int64, error) {
	res, err := q.Exec(ctx)
	if err != nil {
		return 0, s.fail(ctx, err)
	}
	n, err := res.RowsAffected()
	return n, s.fail(ctx, err)
}

// raw builds a statement of constant text with arguments, which Bun writes into it.
func (s session) raw(ctx context.Context, query string, args ...any) (*bun.RawQuery, error) {
	conn, err := s.conn(ctx)
	if err != nil {
		return nil, err
	}
	return s.db.bun.NewRaw(query, args...).Conn(conn), nil
}

func (s session) rawScan(ctx context.Context, dest any, query string, args ...any) error {
	q, err := s.raw(ctx, query, args...)
	if err != nil {
		return err
	}
	return s.scan(ctx, q, dest)
}

// rawExec runs a statement and returns how many rows it wrote. Its plan is kept, where
// its arguments allow that.
func (s session) rawExec(ctx context.Context, query string, args ...any) (int64, error) {
	if values, ok := s.db.driverValues(args); ok {
		return s.keptExec(ctx, query, values...)
	}
	q, err := s.raw(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return s.exec(ctx, q)
}

// pause waits before the attempt after n failed ones: 1 ms doubling to 64 ms, with
// full jitter. It returns false when ctx ends first.
func pause(ctx context.Context, n int) bool {
	most := time.Millisecond << min(n, 6)
	timer := time.NewTimer(rand.N(most) + time.Microsecond)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
