package analytics_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/ustat/ustat/analytics"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/internal/pgtest"
	"github.com/ustat/ustat/storage/postgres"
	"github.com/ustat/ustat/storage/sqlite"
)

func TestMain(m *testing.M) {
	runChild()
	code := m.Run()
	pgtest.Stop()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// size returns full when USTAT_TEST_SCALE is set, and small otherwise.
func size(full, small int) int {
	if os.Getenv("USTAT_TEST_SCALE") != "" {
		return full
	}
	return small
}

// engines open an empty shard each.
var engines = map[string]func(t testing.TB) analytics.Shard{
	"SQLite": func(t testing.TB) analytics.Shard {
		shard, err := sqlite.OpenShard(t.Context(), filepath.Join(t.TempDir(), "shard.db"), nil)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, shard.Close()) })
		return shard
	},
	"PostgreSQL": func(t testing.TB) analytics.Shard {
		dsn := pgtest.Template(t, "analytics", func(dsn string) error {
			shard, err := postgres.OpenShard(dsn, nil)
			if err != nil {
				return err
			}
			defer shard.Close()
			_, err = shard.Migrate(context.Background())
			return err
		})
		shard, err := postgres.OpenShard(dsn, nil)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, shard.Close()) })
		return shard
	},
}

// strategies make one over shards.
var strategies = map[string]func(t testing.TB, names []string) analytics.ShardStrategy{
	"modulo": func(t testing.TB, names []string) analytics.ShardStrategy {
		s, err := analytics.NewModulo(names...)
		require.NoError(t, err)
		return s
	},
	"jump hash": func(t testing.TB, names []string) analytics.ShardStrategy {
		s, err := analytics.NewJumpHash(names...)
		require.NoError(t, err)
		return s
	},
	"rendezvous": func(t testing.TB, names []string) analytics.ShardStrategy {
		s, err := analytics.NewRendezvous(equalWeights(len(names)))
		require.NoError(t, err)
		return s
	},
	"directory": func(t testing.TB, names []string) analytics.ShardStrategy {
		s, err := analytics.NewDirectory(&placements{}, names...)
		require.NoError(t, err)
		return s
	},
}

func newRouter(t testing.TB, shards map[string]analytics.Shard, strategy analytics.ShardStrategy, opt analytics.RouterOptions) *analytics.Router {
	t.Helper()
	r, err := analytics.NewRouter(shards, strategy, fixedClock{}, opt)
	require.NoError(t, err)
	require.NoError(t, r.Prepare(t.Context()))
	t.Cleanup(func() { require.NoError(t, r.Close(context.Background())) })
	return r
}

type fixedClock struct{}

func (fixedClock) Now() time.Time { return now }

// answers are those to every read.
type answers struct {
	Totals  []analytics.CourseTotals
	Top     map[string][]analytics.CourseTotals
	Series  map[analytics.Key][]analytics.PeriodCounts
	Lessons map[analytics.Key][]analytics.LessonCounts
	Cohorts map[analytics.Key][]analytics.CohortCount
	Users   map[core.UserID]analytics.UserReport
	Days    map[core.UserID]analytics.UserActivity
	Events  map[analytics.Key][]string
}

func ask(t testing.TB, r *analytics.Router, keys []analytics.Key, users int) answers {
	t.Helper()
	ctx := t.Context()
	a := answers{
		Top: map[string][]analytics.CourseTotals{}, Series: map[analytics.Key][]analytics.PeriodCounts{}, Lessons: map[analytics.Key][]analytics.LessonCounts{},
		Cohorts: map[analytics.Key][]analytics.CohortCount{}, Users: map[core.UserID]analytics.UserReport{}, Days: map[core.UserID]analytics.UserActivity{}, Events: map[analytics.Key][]string{},
	}
	var missing []string
	var err error
	a.Totals, missing, err = r.Totals(ctx, keys)
	require.NoError(t, err)
	require.Empty(t, missing)
	for _, order := range []analytics.TopOrder{{By: analytics.TopViews}, {By: analytics.TopCompletion}, {By: analytics.TopRevenue, Currency: "EUR"}} {
		var after *analytics.TopPosition
		for {
			page, missing, err := r.Top(ctx, order, after, 3)
			require.NoError(t, err)
			require.Empty(t, missing)
			a.Top[string(order.By)] = append(a.Top[string(order.By)], page...)
			if len(page) < 3 {
				break
			}
			after = &analytics.TopPosition{Value: order.Value(page[2]), Key: page[2].Key}
		}
	}
	months, err := analytics.Periods(analytics.ByMonth, zone(t, "Asia/Kathmandu"), now.AddDate(0, -8, 0), now.AddDate(0, 1, 0))
	require.NoError(t, err)
	for _, key := range keys {
		a.Series[key], err = r.Series(ctx, key, months)
		require.NoError(t, err)
		a.Lessons[key], err = r.Lessons(ctx, key, analytics.LessonKey{}, 100)
		require.NoError(t, err)
		a.Cohorts[key], err = r.Cohorts(ctx, key, 0, analytics.WeekOf(now))
		require.NoError(t, err)
		events, err := r.Events(ctx, key, nil, 50)
		require.NoError(t, err)
		for _, e := range events {
			a.Events[key] = append(a.Events[key], e.ID.String())
		}
	}
	for user := core.UserID(1); int(user) <= users; user++ {
		a.Users[user], err = r.User(ctx, user)
		require.NoError(t, err)
		a.Days[user], err = r.UserDays(ctx, user, 0, 1<<20)
		require.NoError(t, err)
	}
	return a
}

// TestTheSameEventsOnAnyShardsGiveTheSameAnswers sends the same events, some of them
// twice, through one, two and five shards by each strategy, and compares every answer.
// RunShard compares those of one shard with what is counted from the events.
func TestTheSameEventsOnAnyShardsGiveTheSameAnswers(t *testing.T) {
	t.Parallel()
	r := random(t)
	events := manyEvents(t, r, size(1_000_000, 1000), size(500, 8), size(20_000, 12))
	var keys []analytics.Key
	for key := analytics.Key(1); int(key) <= size(500, 8); key++ {
		keys = append(keys, key)
	}
	var first *answers
	for engine, open := range engines {
		if engine == "PostgreSQL" && pgtest.Source(t) == "" {
			continue
		}
		for name, strategy := range strategies {
			for _, n := range []int{1, 2, 5} {
				if n != 2 && name != "directory" { // each strategy with two shards
					continue
				}
				shards := map[string]analytics.Shard{}
				for _, shard := range names(n) {
					shards[shard] = open(t)
				}
				router := newRouter(t, shards, strategy(t, names(n)), analytics.RouterOptions{})
				given := slices.Clone(events)
				r.Shuffle(len(given), func(i, j int) { given[i], given[j] = given[j], given[i] })
				track(t, router, given)
				got := ask(t, router, keys, 12)
				if first == nil {
					first = &got
				}
				require.Equal(t, *first, got, "%s, %s, %d shards", engine, name, n)
			}
		}
	}
}

// manyEvents returns events of many people in many courses.
func manyEvents(t testing.TB, r dice, n, courseCount, users int) []analytics.Event {
	t.Helper()
	list := make([]analytics.Event, n)
	for i := range list {
		list[i] = oneEvent(r, courseCount, users)
		var err error
		list[i], err = analytics.Prepare(list[i], now)
		require.NoError(t, err)
	}
	return list
}

// track sends events by four callers at once, some twice, and asserts that each is
// accepted once.
func track(t testing.TB, router *analytics.Router, events []analytics.Event) {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	var sum analytics.Result
	again := events[:len(events)/10]
	calls := make(chan []analytics.Event)
	var errs []error
	for range 4 {
		wg.Go(func() {
			for call := range calls {
				result, err := router.Track(context.Background(), analytics.Durable, call...)
				mu.Lock()
				sum.Accepted += result.Accepted
				sum.Duplicates += result.Duplicates
				errs = append(errs, err)
				mu.Unlock()
			}
		})
	}
	for _, list := range [][]analytics.Event{events, again} {
		for call := range slices.Chunk(list, size(1000, 100)) {
			calls <- call
		}
	}
	close(calls)
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	require.Equal(t, analytics.Result{Accepted: len(events), Duplicates: len(again)}, sum)
}

// gated is a shard whose writes wait or fail.
type gated struct {
	analytics.Shard
	mu   sync.Mutex
	err  error
	wait chan struct{}
	max  int // events in one call
	n    int // calls
}

func (g *gated) Ingest(ctx context.Context, events []analytics.Event, epochs map[analytics.Bucket]int64) ([]bool, error) {
	g.mu.Lock()
	wait, err := g.wait, g.err
	g.n++
	g.max = max(g.max, len(events))
	g.mu.Unlock()
	if wait != nil {
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if err != nil {
		return nil, err
	}
	return g.Shard.Ingest(ctx, events, epochs)
}

// largest returns how many events the greatest call had.
func (g *gated) largest() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.max
}

func (g *gated) set(wait chan struct{}, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.wait, g.err = wait, err
}

func view(course, user int) analytics.Event {
	e, err := analytics.Prepare(analytics.Event{Type: analytics.View, Course: coursesID(course), User: core.UserID(user)}, now)
	if err != nil {
		panic(err)
	}
	return e
}

func oneShard(t testing.TB, shard analytics.Shard, opt analytics.RouterOptions) *analytics.Router {
	t.Helper()
	return newRouter(t, map[string]analytics.Shard{"shard1": shard}, strategies["jump hash"](t, names(1)), opt)
}

func TestCallersShareTransactions(t *testing.T) {
	t.Parallel()
	g := &gated{Shard: engines["SQLite"](t), wait: make(chan struct{})}
	router := oneShard(t, g, analytics.RouterOptions{})
	var wg sync.WaitGroup
	errs := make([]error, 100)
	for i := range errs {
		wg.Go(func() { _, errs[i] = router.Track(t.Context(), analytics.Durable, view(1, i+1)) })
	}
	require.Eventually(t, func() bool { return router.Stats()[0].Waiting+g.largest() >= len(errs) }, time.Minute, time.Millisecond, "the first ones are written, and all others wait")
	wait := g.wait
	g.set(nil, nil)
	close(wait)
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	require.LessOrEqual(t, g.n, 4, "a hundred callers share few transactions")
	totals, _, err := router.Totals(t.Context(), []analytics.Key{1})
	require.NoError(t, err)
	require.Equal(t, int64(100), totals[0].Views)
}

func TestTheQueueIsBounded(t *testing.T) {
	t.Parallel()
	g := &gated{Shard: engines["SQLite"](t), wait: make(chan struct{})}
	router := oneShard(t, g, analytics.RouterOptions{MaxWaiting: 1000})
	call := make([]analytics.Event, 500)
	for i := range call {
		call[i] = view(1, i+1)
	}
	result, err := router.Track(t.Context(), analytics.BestEffort, call[:1]...) // holds the writer
	require.NoError(t, err)
	require.Equal(t, analytics.Result{Waiting: 1}, result)
	require.Eventually(t, func() bool { return router.Stats()[0].Waiting == 0 }, 5*time.Second, time.Millisecond)
	for range 2 {
		_, err = router.Track(t.Context(), analytics.BestEffort, call...)
		require.NoError(t, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	_, err = router.Track(ctx, analytics.BestEffort, call[:1]...)
	require.ErrorIs(t, err, core.ErrUnavailable, "it waits for room, as long as its context")
	require.Equal(t, 1000, router.Stats()[0].Waiting)
	wait := g.wait
	g.set(nil, nil)
	close(wait)
	require.Eventually(t, func() bool { return router.Stats()[0].Waiting == 0 }, 5*time.Second, time.Millisecond)
}

func TestAShardThatIsAwayFailsOnlyItsCalls(t *testing.T) {
	t.Parallel()
	g := &gated{Shard: engines["SQLite"](t)}
	shards := map[string]analytics.Shard{"shard1": g, "shard2": engines["SQLite"](t)}
	router := newRouter(t, shards, strategies["modulo"](t, names(2)), analytics.RouterOptions{RetryAfter: 3 * time.Second})
	here, there := view(1, 1), view(2, 1) // modulo: the odd courses are on shard 2
	g.set(nil, core.ErrUnavailable)
	result, err := router.Track(t.Context(), analytics.Durable, here, there)
	require.ErrorIs(t, err, core.ErrUnavailable)
	require.Equal(t, 1, result.Accepted)
	require.Len(t, result.Refused, 1)
	require.Equal(t, 1, result.Refused[0].Index)
	g.set(make(chan struct{}), nil) // whoever asks it now would hang
	began := time.Now()
	_, err = router.Track(t.Context(), analytics.Durable, there)
	require.ErrorIs(t, err, core.ErrUnavailable)
	require.Positive(t, errOf(t, err).RetryAfter)
	require.Less(t, time.Since(began), 2*time.Second, "it fails at once")
	_, missing, err := router.Totals(t.Context(), []analytics.Key{1, 2})
	require.NoError(t, err)
	require.Equal(t, []string{"shard1"}, missing)
	_, missing, err = router.Top(t.Context(), analytics.TopOrder{By: analytics.TopViews}, nil, 10)
	require.NoError(t, err)
	require.Equal(t, []string{"shard1"}, missing)
	user, err := router.User(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, []string{"shard1"}, user.Missing)
	g.set(nil, nil)
	require.Eventually(t, func() bool {
		result, err := router.Track(t.Context(), analytics.Durable, there)
		return err == nil && result.Accepted == 1
	}, 30*time.Second, 20*time.Millisecond, "it is asked again")
	require.False(t, router.Stats()[0].Away)
}

func errOf(t testing.TB, err error) *core.Error {
	t.Helper()
	e, ok := errors.AsType[*core.Error](err)
	require.True(t, ok)
	return e
}

func TestOneCallersBadEventFailsNoOther(t *testing.T) {
	t.Parallel()
	shard := engines["SQLite"](t)
	g := &gated{Shard: shard, wait: make(chan struct{})}
	router := oneShard(t, g, analytics.RouterOptions{})
	old := view(1, 1)
	old.OccurredAt = analytics.Earliest
	require.NoError(t, shard.Prune(t.Context(), now.AddDate(-1, 0, 0)))
	errs := make([]error, 20)
	var wg sync.WaitGroup
	for i := range errs {
		e := view(1, i+1)
		if i == 7 {
			e = old
		}
		wg.Go(func() { _, errs[i] = router.Track(t.Context(), analytics.Durable, e) })
	}
	require.Eventually(t, func() bool { return router.Stats()[0].Waiting >= 18 }, 5*time.Second, time.Millisecond)
	wait := g.wait
	g.set(nil, nil)
	close(wait)
	wg.Wait()
	for i, err := range errs {
		if i == 7 {
			require.ErrorIs(t, err, analytics.ErrPruned)
		} else {
			require.NoError(t, err)
		}
	}
}

func TestTrackChecksItsEventsOneByOne(t *testing.T) {
	t.Parallel()
	router := oneShard(t, engines["SQLite"](t), analytics.RouterOptions{})
	result, err := router.Track(t.Context(), analytics.Durable, view(1, 1), analytics.Event{Type: "dance"}, view(1, 2))
	require.ErrorIs(t, err, core.ErrInvalid)
	require.Equal(t, 2, result.Accepted)
	require.Equal(t, 1, result.Refused[0].Index)
	_, err = router.Track(t.Context(), analytics.Durable, make([]analytics.Event, analytics.MaxTrack+1)...)
	require.ErrorIs(t, err, core.ErrInvalid)
	_, err = router.Track(core.EnterUpdate(t.Context()), analytics.Durable, view(1, 1))
	require.ErrorIs(t, err, core.ErrNested)
	require.NoError(t, router.Close(t.Context()))
	_, err = router.Track(t.Context(), analytics.Durable, view(1, 1))
	require.ErrorIs(t, err, core.ErrClosed)
}
