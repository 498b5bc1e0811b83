package ustat_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// size returns full when USTAT_TEST_SCALE is set, and small otherwise.
func size(full, small int) int {
	if os.Getenv("USTAT_TEST_SCALE") != "" {
		return full
	}
	return small
}

func random(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("USTAT_TEST_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err, "USTAT_TEST_SEED")
	}
	t.Logf("replay with USTAT_TEST_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

func number(t *testing.T, db *sql.DB, query string, args ...any) (n int) {
	t.Helper()
	require.NoError(t, db.QueryRowContext(t.Context(), query, args...).Scan(&n))
	return n
}

// settled lets a platform finish what dead processes have left, and asserts that
// each committed event has had one effect for each subscriber, and no more than that.
func (d database) settled(t *testing.T, db *sql.DB) {
	t.Helper()
	if number(t, db, runningEvents) > 0 {
		time.Sleep(childTimeout + hasty.LostAfter + 100*time.Millisecond) // then the first look finds them lost
	}
	// The dead process leads River's maintenance for fifteen seconds more, unless its
	// lease is ended.
	_, err := db.ExecContext(t.Context(), "DELETE FROM river_leader")
	require.NoError(t, err)
	p, err := d.platform(t.Context(), db)
	require.NoError(t, err)
	events := number(t, db, "SELECT count(*) FROM ustat_outbox WHERE type = $1", courses.EventCreated)
	require.Equal(t, number(t, db, "SELECT count(*) FROM ustat_courses"), events, "each course has its event")
	for last, moved := -1, time.Now(); ; time.Sleep(20 * time.Millisecond) {
		effects := number(t, db, "SELECT count(*) FROM effects WHERE subscriber <> 'tick'")
		if effects == len(subscribers)*events && number(t, db, "SELECT count(*) FROM ustat_outbox WHERE done_at IS NULL") == 0 &&
			number(t, db, "SELECT count(*) FROM river_job WHERE state <> 'completed' AND args->>'kind' LIKE 'events.%'") == 0 {
			break
		}
		if effects != last {
			last, moved = effects, time.Now()
		}
		require.Less(t, time.Since(moved), time.Minute, "nothing moves any more: %d events, %d effects", events, effects)
	}
	var joined int
	for _, name := range subscribers {
		joined += number(t, db, "SELECT count(*) FROM ustat_outbox o JOIN effects e ON e.what = CAST(o.id AS TEXT) WHERE e.subscriber = $1", name)
	}
	require.Equal(t, len(subscribers)*events, joined, "an effect without its event")
	t.Logf("%d events, %d effects, %d calls of handlers", events, joined, number(t, db, "SELECT coalesce(sum(calls), 0) FROM effects WHERE subscriber <> 'tick'"))
	require.NoError(t, p.Stop(context.Background()))
	require.Zero(t, number(t, db, runningEvents))
}

// runningEvents counts the jobs of events that a process, dead or alive, works.
const runningEvents = "SELECT count(*) FROM river_job WHERE state = 'running' AND args->>'kind' LIKE 'events.%'"

func TestWhatWasCommittedJustBeforeSIGKILLReachesEachSubscriberOnce(t *testing.T) {
	t.Parallel()
	onDatabases(t, func(t *testing.T, d database, db *sql.DB) {
		d.prepare(t)
		p := d.spawn(t, "commit-and-die")
		_ = p.rest()
		require.ErrorContains(t, p.cmd.Wait(), "killed", p.stderr)
		require.Equal(t, 1, number(t, db, "SELECT count(*) FROM ustat_courses"))
		d.settled(t, db)
		require.LessOrEqual(t, number(t, db, "SELECT max(calls) FROM effects WHERE subscriber <> 'tick'"), 2)
	})
}

func TestNoEventIsLostOrDoubledBySIGKILL(t *testing.T) {
	t.Parallel()
	r := random(t)
	commits, kills := size(10_000, 300), size(200, 8)
	var mu sync.Mutex // of r
	onDatabases(t, func(t *testing.T, d database, db *sql.DB) {
		d.prepare(t)
		acked, died := 0, 0
		for ; acked < commits || died < kills; died++ {
			mu.Lock()
			after, instant := r.IntN(2*commits/kills), time.Duration(r.Int64N(int64(10*time.Millisecond)))
			mu.Unlock()
			p := d.spawn(t, "write")
			for n := 0; n < after && p.lines.Scan(); n++ {
				acked++
			}
			time.Sleep(instant)
			lines, err := p.end(t, syscall.SIGKILL)
			require.ErrorContains(t, err, "killed", p.stderr)
			for _, line := range lines {
				if strings.HasPrefix(line, "ack ") {
					acked++
				}
			}
		}
		require.GreaterOrEqual(t, number(t, db, "SELECT count(*) FROM ustat_courses"), acked, "an acknowledged course is lost")
		t.Logf("%d courses acknowledged, %d kills", acked, died)
		d.settled(t, db)
	})
}

func TestSIGTERMUnderLoadLosesNothingAndLeavesNothing(t *testing.T) {
	t.Parallel()
	r := random(t)
	rounds := size(200, 4)
	var mu sync.Mutex // of r
	onDatabases(t, func(t *testing.T, d database, db *sql.DB) {
		d.prepare(t)
		var acked []string
		for range rounds {
			p := d.spawn(t, "write")
			mu.Lock()
			instant := time.Duration(r.Int64N(int64(200 * time.Millisecond)))
			mu.Unlock()
			time.Sleep(instant)
			lines, err := p.end(t, syscall.SIGTERM)
			require.NoError(t, err, "the child: %s", p.stderr)
			acked = append(acked, lines...)
			require.Zero(t, number(t, db, "SELECT count(*) FROM river_job WHERE state = 'running'"), "what was not finished has gone back")
			if d.driver == "pgx" {
				require.Eventually(t, func() bool {
					return number(t, db, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()") == 0 &&
						number(t, db, "SELECT count(*) FROM pg_locks WHERE pid <> pg_backend_pid() AND database = (SELECT oid FROM pg_database WHERE datname = current_database())") == 0
				}, 10*time.Second, 5*time.Millisecond, "a connection or a lock is left")
			}
		}
		for _, line := range acked {
			id, ok := strings.CutPrefix(line, "ack ")
			require.True(t, ok, line)
			require.Equal(t, 1, number(t, db, "SELECT count(*) FROM ustat_courses WHERE id = "+id), "course %s was acknowledged", id)
		}
		t.Logf("%d courses acknowledged in %d rounds", len(acked), rounds)
		d.settled(t, db)
	})
}

func TestTwoProcessesDoPeriodicWorkOnceAPeriodAndOneIsEnough(t *testing.T) {
	t.Parallel()
	onDatabases(t, func(t *testing.T, d database, db *sql.DB) {
		d.prepare(t)
		first := d.spawn(t, "work")
		began := time.Now()
		second := d.spawn(t, "work")
		ticks := func() int { return number(t, db, "SELECT count(*) FROM effects WHERE subscriber = 'tick'") }
		require.Eventually(t, func() bool { return ticks() >= size(20, 2) }, time.Minute, 5*time.Millisecond)
		_, err := first.end(t, syscall.SIGKILL) // it came first, so it leads
		require.ErrorContains(t, err, "killed")
		killed := time.Now().UTC().Format(time.RFC3339)
		require.Eventually(t, func() bool { return ticks() >= size(40, 5) }, time.Minute, 5*time.Millisecond)
		_, err = second.end(t, syscall.SIGTERM)
		require.NoError(t, err, "%s", second.stderr)

		rows, err := db.QueryContext(t.Context(), "SELECT what, calls FROM effects WHERE subscriber = 'tick' ORDER BY what")
		require.NoError(t, err)
		defer rows.Close()
		var last time.Time
		for rows.Next() {
			var what string
			var calls int
			require.NoError(t, rows.Scan(&what, &calls))
			if what != killed { // the work of that moment may have died before it was marked as done
				require.Equal(t, 1, calls, "the period of %s", what)
			}
			period, err := time.Parse(time.RFC3339, what)
			require.NoError(t, err)
			if !last.IsZero() {
				require.LessOrEqual(t, period.Sub(last), 2*time.Second, "a period is missing before %s", what)
			}
			last = period
		}
		require.NoError(t, rows.Err())
		require.WithinDuration(t, time.Now(), last, 3*time.Second)
		require.Less(t, time.Since(began), time.Minute)
	})
}

// 100 writers and the runner take turns at the one writer of a file.
func TestNobodyMeetsABusyFile(t *testing.T) {
	t.Parallel()
	onDatabases(t, func(t *testing.T, d database, db *sql.DB) {
		if d.driver != "sqlite" {
			t.Skip("it is about SQLite")
		}
		d.prepare(t)
		p, err := d.platform(t.Context(), db)
		require.NoError(t, err)
		anna, err := p.Accounts.UserByUsername(t.Context(), "anna")
		require.NoError(t, err)
		by := core.Actor{UserID: anna.ID, Role: anna.Role}
		deadline := time.Now().Add(time.Duration(size(60, 3)) * time.Second)
		const writers = 100
		errs, written := make([]error, writers), make([]int, writers)
		var all sync.WaitGroup
		for i := range writers {
			all.Go(func() {
				for errs[i] == nil && time.Now().Before(deadline) {
					if _, err := p.Courses.Create(context.Background(), by, newCourse()); err != nil {
						errs[i] = fmt.Errorf("writer %d: %w", i, err)
					}
					written[i]++
				}
			})
		}
		all.Wait()
		total := 0
		for i, err := range errs {
			require.NoError(t, err)
			require.NotZero(t, written[i])
			total += written[i]
		}
		stats := p.TaskStats()
		t.Logf("%d courses by %d writers, %d events relayed and %d jobs worked meanwhile, %d attempts failed", total, writers, stats.Relayed, stats.Succeeded, stats.Failed)
		require.Zero(t, number(t, db, "SELECT count(*) FROM river_job WHERE json(errors) LIKE '%lock%' OR json(errors) LIKE '%busy%'"), "a busy file reached a job")
		require.NoError(t, p.Stop(context.Background()))
		d.settled(t, db)
	})
}
