// Package riverqueue keeps jobs with River, in tables beside a platform's own, in
// SQLite or PostgreSQL. It is the one package that names River: a program that does
// not import it compiles none of it.
//
//	queue, err := riverqueue.SQLite(ctx, "school.db", nil)
//	platform, err := ustat.New(backend, &ustat.Config{Queue: queue})
//
// All jobs are of one kind of River's; a job's own kind is in its arguments. So a
// process that does not know a kind can put its jobs off, and who leads River's
// maintenance gives up none for that.
package riverqueue

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/tasks"
)

// Options tune a queue. A nil Options is all defaults.
type Options struct {
	// Poll is how often it is looked for jobs that other processes have added or that
	// have become due, 1 ms to 1 min; PostgreSQL also tells of new ones. Zero means
	// 100 ms on SQLite and 500 ms on PostgreSQL.
	Poll time.Duration
	// LostAfter is how long after its Timeout an attempt is held to be lost with its
	// process, 100 ms to 1 h, and longer than tasks.Config.Grace, in which it may live; a
	// job is taken up again within half a minute more. Zero means 15 s.
	LostAfter time.Duration
	// Schema is the schema of River's tables, which must exist, on PostgreSQL. Empty
	// means the first one of the search path. Give one of its own where the database
	// holds another River.
	Schema string
	// MaxConns is how many connections are used on PostgreSQL, 2 to 100. Zero means 4.
	MaxConns int
	// Logger gets River's warnings and errors. Nil means silence.
	Logger *slog.Logger
}

func (o *Options) withDefaults(poll time.Duration) (Options, error) {
	var out Options
	if o != nil {
		out = *o
	}
	out.Poll, out.LostAfter, out.MaxConns = cmp.Or(out.Poll, poll), cmp.Or(out.LostAfter, 15*time.Second), cmp.Or(out.MaxConns, 4)
	switch {
	case out.Poll < time.Millisecond || out.Poll > time.Minute:
		return out, core.Invalid("Poll", "range", "1ms-1m", out.Poll.String(), "jobs are looked for every millisecond to every minute")
	case out.LostAfter < 100*time.Millisecond || out.LostAfter > time.Hour:
		return out, core.Invalid("LostAfter", "range", "100ms-1h", out.LostAfter.String(), "an attempt is lost 100 milliseconds to 1 hour after its timeout")
	case out.MaxConns < 2 || out.MaxConns > 100:
		return out, core.Invalid("MaxConns", "range", "2-100", strconv.Itoa(out.MaxConns), "2 to 100 connections are used")
	}
	if out.Logger == nil {
		out.Logger = slog.New(slog.DiscardHandler)
	}
	return out, nil
}

// SQLite returns a queue in the database file at path, over one connection of its
// own. Stop closes it.
func SQLite(ctx context.Context, path string, opt *Options) (*Queue[*sql.Tx], error) {
	options, err := opt.withDefaults(100 * time.Millisecond)
	if err != nil {
		return nil, err
	}
	if options.Schema != "" {
		return nil, core.Invalid("Schema", "empty", "", options.Schema, "SQLite has no schemas")
	}
	params := url.Values{
		"_txlock": {"immediate"}, "_time_format": {"sqlite"}, "_timezone": {"UTC"},
		"_pragma": {"busy_timeout(30000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "cache_size(-4000)"},
	}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+params.Encode())
	if err != nil {
		return nil, core.ErrInternal.Because(err)
	}
	db.SetMaxOpenConns(1) // River would meet itself in the lock
	if err := db.PingContext(ctx); err != nil {
		return nil, core.ErrUnavailable.Withf("the SQLite database of the queue cannot be opened").Because(errors.Join(err, db.Close()))
	}
	driver := riversqlite.New(db)
	return newQueue(driver, options, "json_extract(args, '$.kind') = @job_kind", db.Close)
}

// Postgres returns a queue in the database that dsn names, over a pool of its own.
// Stop closes it.
func Postgres(ctx context.Context, dsn string, opt *Options) (*Queue[pgx.Tx], error) {
	options, err := opt.withDefaults(500 * time.Millisecond)
	if err != nil {
		return nil, err
	}
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, core.Invalid("dsn", "dsn", "", "", "it is no connection string of PostgreSQL").Because(err)
	}
	config.MaxConns = int32(options.MaxConns) //nolint:gosec // at most 100
	config.MinConns = 0
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, core.ErrUnavailable.Because(err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, core.ErrUnavailable.Withf("PostgreSQL does not answer").Because(err)
	}
	return newQueue(riverpgxv5.New(pool), options, "args->>'kind' = @job_kind", func() error {
		pool.Close()
		return nil
	})
}

// Queue is a tasks.Queue over a driver of River, whose transactions are a TTx.
type Queue[TTx any] struct {
	driver   riverdriver.Driver[TTx]
	options  Options
	byKind   string // the condition that a job is of @job_kind
	client   *river.Client[TTx]
	migrator *rivermigrate.Migrator[TTx]
	closeDB  func() error

	mu      sync.Mutex // of Start and Stop
	working *river.Client[TTx]
	closed  bool
}

// newQueue returns a queue, or closes the database.
func newQueue[TTx any](driver riverdriver.Driver[TTx], o Options, byKind string, closeDB func() error) (*Queue[TTx], error) {
	q := &Queue[TTx]{driver: driver, options: o, byKind: byKind, closeDB: closeDB}
	var err error
	if q.client, err = river.NewClient(driver, q.config()); err == nil {
		q.migrator, err = rivermigrate.New(driver, &rivermigrate.Config{Logger: o.Logger, Schema: o.Schema})
	}
	if err != nil {
		return nil, core.ErrInternal.Because(errors.Join(err, closeDB()))
	}
	return q, nil
}

// River returns River's own client, which inserts and looks and works nothing, for
// what only River has, such as its web interface. It ends with Stop.
func (q *Queue[TTx]) River() *river.Client[TTx] { return q.client }

var (
	_ tasks.Queue = (*Queue[pgx.Tx])(nil)
	_ tasks.Queue = (*Queue[*sql.Tx])(nil)
)

// config returns what a client that only inserts is made with. Its cooldown is also
// how often River tells others of new jobs at most.
func (q *Queue[TTx]) config() *river.Config {
	o := q.options
	return &river.Config{Logger: o.Logger, Schema: o.Schema, FetchCooldown: min(fetchCooldown, o.Poll), FetchPollInterval: o.Poll}
}

// usable returns core.ErrClosed after Stop.
func (q *Queue[TTx]) usable() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return core.ErrClosed
	}
	return nil
}

// fail translates an error of River or of the database.
func (q *Queue[TTx]) fail(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, rivertype.ErrNotFound):
		return tasks.ErrJobNotFound
	}
	if closed := q.usable(); closed != nil {
		return closed
	}
	return core.ErrUnavailable.Withf("the queue does not answer").Because(err)
}

// Migrate implements tasks.Queue.
func (q *Queue[TTx]) Migrate(ctx context.Context) error {
	if err := q.usable(); err != nil {
		return err
	}
	var err error
	for range 3 { // two processes at once: the second finds the first's work done
		if _, err = q.migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err == nil || q.Check(ctx) == nil {
			return nil
		}
	}
	return q.fail(ctx, err)
}

// Check implements tasks.Queue.
func (q *Queue[TTx]) Check(ctx context.Context) error {
	if err := q.usable(); err != nil {
		return err
	}
	result, err := q.migrator.Validate(ctx, nil)
	if err != nil {
		return q.fail(ctx, err)
	}
	if !result.OK {
		return tasks.ErrNotMigrated
	}
	return nil
}

// Insert implements tasks.Queue.
func (q *Queue[TTx]) Insert(ctx context.Context, jobs ...tasks.Insert) error {
	if err := q.usable(); err != nil {
		return err
	}
	// In one order, so that two processes with the same jobs wait for each other and
	// do not lock each other out.
	jobs = slices.SortedStableFunc(slices.Values(jobs), func(a, b tasks.Insert) int { return strings.Compare(a.Key, b.Key) })
	params := make([]river.InsertManyParams, 0, len(jobs))
	seen := make(map[string]bool, len(jobs))
	for _, j := range jobs {
		j, err := j.WithDefaults()
		if err != nil {
			return err
		}
		if seen[j.Key] {
			continue
		}
		seen[j.Key] = true
		params = append(params, insertParams(j))
	}
	if len(params) == 0 {
		return nil
	}
	_, err := q.client.InsertMany(ctx, params)
	return q.fail(ctx, err)
}

// List implements tasks.Queue.
func (q *Queue[TTx]) List(ctx context.Context, query tasks.JobQuery) ([]tasks.Job, error) {
	if err := query.Check(); err != nil {
		return nil, err
	}
	if err := q.usable(); err != nil {
		return nil, err
	}
	params := river.NewJobListParams().Kinds(kind).First(query.Limit).OrderBy(river.JobListOrderByID, river.SortOrderDesc)
	if query.State != "" {
		params = params.States(riverStates(query.State)...)
	}
	if query.Kind != "" {
		params = params.Where(q.byKind, river.NamedArgs{"job_kind": query.Kind})
	}
	if query.Before > 0 {
		params = params.Where("id < @before", river.NamedArgs{"before": query.Before})
	}
	rows, err := q.client.JobList(ctx, params)
	if err != nil {
		return nil, q.fail(ctx, err)
	}
	jobs := make([]tasks.Job, len(rows.Jobs))
	for i, row := range rows.Jobs {
		if jobs[i], err = jobOf(row); err != nil {
			return nil, err
		}
	}
	return jobs, nil
}

// Get implements tasks.Queue.
func (q *Queue[TTx]) Get(ctx context.Context, id int64) (tasks.Job, error) {
	row, err := q.row(ctx, id)
	if err != nil {
		return tasks.Job{}, err
	}
	return jobOf(row)
}

func (q *Queue[TTx]) row(ctx context.Context, id int64) (*rivertype.JobRow, error) {
	if err := q.usable(); err != nil {
		return nil, err
	}
	row, err := q.client.JobGet(ctx, id)
	if err != nil {
		return nil, q.fail(ctx, err)
	}
	if row.Kind != kind { // of another River user of the database
		return nil, tasks.ErrJobNotFound
	}
	return row, nil
}

// Retry implements tasks.Queue. That a waiting job is begun between the look and the
// change is no harm: River leaves a running one alone.
func (q *Queue[TTx]) Retry(ctx context.Context, id int64) error {
	row, err := q.row(ctx, id)
	if err != nil {
		return err
	}
	if !stateOf(row.State).Retryable() {
		return tasks.ErrNotRetryable
	}
	_, err = q.client.JobRetry(ctx, id)
	return q.fail(ctx, err)
}

// Cleanup implements tasks.Queue.
func (q *Queue[TTx]) Cleanup(ctx context.Context, before time.Time, limit int) (int, error) {
	if err := q.usable(); err != nil {
		return 0, err
	}
	removed := 0
	for _, state := range append(riverStates(tasks.Done), riverStates(tasks.Discarded)...) {
		if removed == limit {
			break
		}
		// One state at a time, so that the index on state and time serves it.
		rows, err := q.client.JobList(ctx, river.NewJobListParams().States(state).Kinds(kind).First(min(limit-removed, 10_000)).
			Where("state = @one", river.NamedArgs{"one": string(state)}).
			Where("finalized_at < @before", river.NamedArgs{"before": before.UTC()}).OrderBy(river.JobListOrderByFinalizedAt, river.SortOrderAsc))
		if err != nil {
			return removed, q.fail(ctx, err)
		}
		if len(rows.Jobs) == 0 {
			continue
		}
		ids := make([]int64, len(rows.Jobs))
		for i, row := range rows.Jobs {
			ids[i] = row.ID
		}
		gone, err := q.client.JobDeleteMany(ctx, river.NewJobDeleteManyParams().IDs(ids...).States(state).First(len(ids)))
		if err != nil {
			return removed, q.fail(ctx, err)
		}
		removed += len(gone.Jobs)
	}
	return removed, nil
}
