package bench

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/analytics"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/internal/pgtest"
	"github.com/ustat/ustat/storage/postgres"
	"github.com/ustat/ustat/storage/sqlite"
)

// ingestRounds is how often the sides take turns; the median counts.
const ingestRounds = 5

// platformEvents returns what a platform of 500 courses and 20,000 people sees in a day: 7
// of 10 are views, popular courses have most of them.
func platformEvents(n int, seed uint64, now time.Time) []analytics.Event {
	r := rand.New(rand.NewPCG(seed, 1))
	zipf := rand.NewZipf(r, 1.2, 5, 499)
	list := make([]analytics.Event, n)
	for i := range list {
		e := analytics.Event{
			ID: uuid.Must(uuid.NewV7()), Type: analytics.View, Course: courses.CourseID(1 + zipf.Uint64()), User: core.UserID(1 + r.IntN(20_000)),
			OccurredAt: now.Add(-time.Duration(r.Int64N(int64(time.Hour)))),
		}
		switch k := r.IntN(20); {
		case k < 7:
			e.User, e.Session = 0, strconv.Itoa(r.IntN(50_000))
		case k < 14:
		case k < 16:
			e.Type, e.Lesson = analytics.LessonStart, courses.LessonID(1+r.IntN(20))
		case k < 18:
			e.Type, e.Lesson = analytics.LessonComplete, courses.LessonID(1+r.IntN(20))
		case k < 19:
			e.Type = analytics.Enroll
		default:
			e.Type, e.Amount = analytics.Purchase, core.Money{Minor: 199_900, Currency: "RUB"}
		}
		var err error
		if list[i], err = analytics.Prepare(e, now); err != nil {
			panic(err)
		}
	}
	return list
}

// ingestEngine is an engine with a shard, and a database alike for the hand-written side.
type ingestEngine struct {
	name    string
	router  *analytics.Router
	writer  writer
	copyRaw func(events []analytics.Event) (int64, error) // nil where there is no COPY
}

func ingestEngines(b *testing.B) (list []ingestEngine) {
	ctx := context.Background()
	newRouter := func(shard analytics.Shard) *analytics.Router {
		strategy, err := analytics.NewJumpHash("one")
		require.NoError(b, err)
		r, err := analytics.NewRouter(map[string]analytics.Shard{"one": shard}, strategy, nil, analytics.RouterOptions{})
		require.NoError(b, err)
		require.NoError(b, r.Prepare(ctx))
		return r
	}
	first := platformEvents(1, 1, time.Now())

	path := filepath.Join(b.TempDir(), "hand.db")
	for _, p := range []string{path, path + ".ours"} {
		shard, err := sqlite.OpenShard(ctx, p, nil)
		require.NoError(b, err)
		_, err = shard.Migrate(ctx)
		require.NoError(b, err)
		if p == path {
			require.NoError(b, shard.Close())
			continue
		}
		b.Cleanup(func() { require.NoError(b, shard.Close()) })
		db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(5000)&_pragma=cache_size(-4000)")
		require.NoError(b, err)
		db.SetMaxOpenConns(1)
		b.Cleanup(func() { require.NoError(b, db.Close()) })
		w, err := newSQLiteWriter(ctx, db)
		require.NoError(b, err)
		list = append(list, ingestEngine{name: "SQLite", router: newRouter(shard), writer: w})
	}

	ours, err := postgres.OpenShard(pgtest.DSN(b), nil)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, ours.Close()) })
	dsn := pgtest.DSN(b)
	theirs, err := postgres.OpenShard(dsn, nil)
	require.NoError(b, err)
	_, err = theirs.Migrate(ctx)
	require.NoError(b, err)
	_, err = theirs.Ingest(ctx, first, nil) // makes the month
	require.NoError(b, err)
	require.NoError(b, theirs.Close())
	pool, err := pgxpool.New(ctx, dsn)
	require.NoError(b, err)
	b.Cleanup(pool.Close)
	_, err = pool.Exec(ctx, "CREATE TABLE raw (LIKE ustat_analytics_events)")
	require.NoError(b, err)
	return append(list, ingestEngine{name: "PostgreSQL", router: newRouter(ours), writer: &pgWriter{pool}, copyRaw: func(events []analytics.Event) (int64, error) {
		return pool.CopyFrom(ctx, pgx.Identifier{"raw"}, []string{"course_id", "occurred_at", "id", "type", "lesson_id", "user_id", "session", "amount_minor", "currency", "received_at"},
			pgx.CopyFromSlice(len(events), func(i int) ([]any, error) {
				e := &events[i]
				return []any{int64(e.Course), e.OccurredAt, [16]byte(e.ID), int16(e.Type.Code()), int64(e.Lesson), int64(e.User), e.Session, e.Amount.Minor, e.Amount.Currency, e.ReceivedAt}, nil
			}))
	}})
}

// BenchmarkIngest prints how many events a second ours takes durably beside hand-written
// transactions that write the same rows: single events of 64 callers beside transactions
// of 64, and calls of 1,000 beside transactions of 1,000.
func BenchmarkIngest(b *testing.B) {
	n := 10 * b.N
	if b.N == 1 {
		n = 20_000
	}
	for _, e := range ingestEngines(b) {
		for _, c := range []struct {
			name            string
			callers, events int // ours
			transaction     int // by hand
		}{{"64 callers with one event", 64, 1, 64}, {"one caller with 1,000", 1, 1000, 1000}} {
			var hand, ours []float64
			var waits []time.Duration
			for round := range ingestRounds {
				seed := uint64(round)
				hand = append(hand, byHand(b, e.writer, platformEvents(n, 2*seed, time.Now()), c.transaction))
				rate, took := byRouter(b, e.router, platformEvents(n, 2*seed+1, time.Now()), c.callers, c.events)
				ours, waits = append(ours, rate), append(waits, took...)
			}
			slices.Sort(hand)
			slices.Sort(ours)
			slices.Sort(waits)
			h, o := hand[len(hand)/2], ours[len(ours)/2]
			fmt.Printf("Benchmark %s, %s: ours %.0f events/s, hand-written %.0f, ratio %.2f, p99 of the answer %s\n", e.name, c.name, o, h, o/h, waits[len(waits)*99/100].Round(10*time.Microsecond))
		}
		if e.copyRaw != nil {
			list := platformEvents(n, 99, time.Now())
			began := time.Now()
			_, err := e.copyRaw(list)
			require.NoError(b, err)
			fmt.Printf("Benchmark %s, raw COPY of the rows alone: %.0f rows/s\n", e.name, float64(n)/time.Since(began).Seconds())
		}
	}
}

func byHand(b *testing.B, w writer, events []analytics.Event, size int) float64 {
	began := time.Now()
	for part := range slices.Chunk(events, size) {
		require.NoError(b, w.write(context.Background(), part))
	}
	return float64(len(events)) / time.Since(began).Seconds()
}

func byRouter(b *testing.B, r *analytics.Router, events []analytics.Event, callers, size int) (rate float64, waits []time.Duration) {
	calls := make(chan []analytics.Event, len(events))
	for part := range slices.Chunk(events, size) {
		calls <- part
	}
	close(calls)
	var mu sync.Mutex
	var errs []error
	var wg sync.WaitGroup
	began := time.Now()
	for range callers {
		wg.Go(func() {
			var took []time.Duration
			var failed error
			for call := range calls {
				asked := time.Now()
				_, err := r.Track(context.Background(), analytics.Durable, call...)
				took = append(took, time.Since(asked))
				failed = errors.Join(failed, err)
			}
			mu.Lock()
			defer mu.Unlock()
			waits, errs = append(waits, took...), append(errs, failed)
		})
	}
	wg.Wait()
	rate = float64(len(events)) / time.Since(began).Seconds()
	require.NoError(b, errors.Join(errs...))
	return rate, waits
}
