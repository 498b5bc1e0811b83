package killtest_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/blob"
	"github.com/ustat/ustat/internal/fault"
	"github.com/ustat/ustat/internal/killtest"
	"github.com/ustat/ustat/reports"
)

// jobs are the workers of a world that do work in the background.
type jobs struct {
	*world
	files string
}

// work returns work whose lanes are worked at once, by a clock that is ahead.
func (w jobs) work(ahead time.Duration, lanes ...[]killtest.Op) killtest.Work {
	work := w.world.work(lanes...)
	work.Files, work.Ahead = w.files, ahead
	return work
}

func (w jobs) run(t *testing.T, ops ...killtest.Op) killtest.Ended {
	t.Helper()
	return killtest.Run(t, w.work(0, ops), killtest.NoKill)
}

// revive lets the time pass after which jobs of dead processes are taken up again.
func (w jobs) revive(t *testing.T) {
	t.Helper()
	for _, statement := range []string{"DELETE FROM river_leader", "UPDATE river_job SET attempted_at = '2020-01-01 00:00:00' WHERE state = 'running'"} {
		_, err := w.beside.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
}

func reportOf(key string) killtest.Op {
	return killtest.Op{Name: "reports.make", Args: map[string]string{"by": "root", "key": key}}
}

var settle = killtest.Op{Name: "tasks.settle"}

// TestSweepOfJobs stops a report at each of its points, from the relay that takes its
// event over to the end of its job, in each way. Then it does the same to the cleanup
// that removes the reports, several times at once. Without USTAT_TEST_SCALE a process
// is killed at each point of a report, and other faults are a few.
func TestSweepOfJobs(t *testing.T) {
	onEachEngine(t, func(t *testing.T, plain *world) {
		w := jobs{plain, t.TempDir()}
		w.run(t, reportOf("warm"), settle) // the work of this hour is out of the way
		var faulty []killtest.Op           // of a process that lives on
		keys := []string{"warm"}
		for _, plan := range w.faultsOfAReport(t) {
			op := reportOf(plan.String())
			op.Fault = plan
			keys = append(keys, op.Args["key"])
			if plan.Mode == fault.Kill {
				require.True(t, w.run(t, op).Killed, plan)
			} else {
				faulty = append(faulty, op)
			}
		}
		w.revive(t)
		w.allDone(t, slices.Concat(faulty, []killtest.Op{settle}))
		again := make([]killtest.Op, len(keys))
		for i, key := range keys {
			again[i] = reportOf(key)
		}
		w.allDone(t, append(again, settle))
		w.checkReports(t, len(keys))
		t.Logf("%d faults of reports", len(keys)-1)

		kills := w.sweepCleanup(t)
		w.check(t)
		t.Logf("%d faults of cleanups", kills)
	})
}

// faultsOfAReport returns what is done to reports, at the points that one passes once
// it has been asked for.
func (w jobs) faultsOfAReport(t *testing.T) (plans []fault.Plan) {
	t.Helper()
	hits := w.run(t, reportOf("warm-too")).Calls[0].Hits
	begin := slices.Index(hits, "tasks.relay.after_pending")
	require.Positive(t, begin)
	nth := map[string]int{}
	for i, point := range hits {
		nth[point]++
		if i < begin {
			continue
		}
		ours := !strings.HasPrefix(point, "sqlstore.")
		if ours || scale(t) > 1 {
			plans = append(plans, fault.Plan{Point: point, Mode: fault.Kill, Nth: nth[point]})
		}
		for _, mode := range []fault.Mode{fault.Error, fault.Panic} {
			if scale(t) > 1 || point == "tasks.relay.after_insert" && mode == fault.Panic || point == "reports.make.after_put" && mode == fault.Error {
				plans = append(plans, fault.Plan{Point: point, Mode: mode, Nth: nth[point]})
			}
		}
	}
	return plans
}

// allDone has a worker do operations that succeed.
func (w jobs) allDone(t *testing.T, ops []killtest.Op) {
	t.Helper()
	for _, call := range w.run(t, ops...).Calls {
		what := fmt.Sprintf("%s %v with %s: %s", call.Op.Name, call.Op.Args, call.Op.Fault, call.Error)
		require.Equal(t, killtest.OK, call.Outcome, what)
		if call.Op.Fault.Point != "" {
			require.Contains(t, call.Hits, call.Op.Fault.Point, what)
		}
		if call.Op.Name == reportOf("").Name {
			var r reports.Report
			require.NoError(t, call.Into(&r))
			require.Equal(t, reports.Done, r.State, what)
		}
	}
}

// checkReports checks that there are n reports beside the one of the dry run, each
// with one event, one job and its file.
func (w jobs) checkReports(t *testing.T, n int) {
	t.Helper()
	n++
	require.Equal(t, n, w.count(t, "SELECT count(*) FROM ustat_outbox WHERE type = 'reports.requested' AND done_at IS NOT NULL"))
	require.Equal(t, n, w.count(t, "SELECT count(*) FROM river_job WHERE args->>'kind' = 'events.ustat.reports' AND state = 'completed'"))
	all, err := w.Backend.Reports.ExpiredReports(t.Context(), time.Now().AddDate(1, 0, 0), math.MaxInt16)
	require.NoError(t, err)
	require.Len(t, all, n)
	attempts := 0
	for _, r := range all {
		require.Equal(t, reports.Done, r.State)
		attempts += len(r.Files)
		require.FileExists(t, filepath.Join(w.files, string(r.Files[len(r.Files)-1])))
	}
	require.Greater(t, attempts, n, "some took more than one")
}

// sweepCleanup kills processes that clean up several times at once, until all is
// removed.
func (w jobs) sweepCleanup(t *testing.T) (kills int) {
	t.Helper()
	const ahead = 40 * 24 * time.Hour // everything is older than it is kept
	cleanup := func(n, lane int) []killtest.Op {
		return []killtest.Op{{Name: "ustat.cleanup", Args: map[string]string{"key": fmt.Sprint("cleanup ", n, lane)}}}
	}
	plans := []fault.Plan{{Point: "reports.cleanup.after_files", Mode: fault.Kill}, {Point: "sqlstore.update.before_commit", Mode: fault.Kill}}
	if scale(t) > 1 {
		for nth := 2; nth <= 8; nth++ {
			plans = append(plans, fault.Plan{Point: "sqlstore.update.before_commit", Mode: fault.Kill, Nth: nth}, fault.Plan{Point: "sqlstore.update.after_commit", Mode: fault.Kill, Nth: nth})
		}
	}
	for i, plan := range plans {
		// Armed by the environment, since the cleanup of the hour begins with the process.
		ended := killtest.Run(t, w.work(ahead, cleanup(i, 1), cleanup(i, 2)), killtest.NoKill, "USTAT_FAULT="+plan.String())
		require.True(t, ended.Killed, plan)
		w.revive(t)
	}
	last := killtest.Run(t, w.work(ahead, cleanup(len(plans), 1), cleanup(len(plans), 2)), killtest.NoKill)
	for _, call := range last.Calls {
		require.Equal(t, killtest.OK, call.Outcome, call.Error)
	}
	for _, table := range []string{"ustat_reports", "ustat_idempotency", "ustat_outbox WHERE done_at IS NOT NULL"} {
		require.Zero(t, w.count(t, "SELECT count(*) FROM "+table), table)
	}
	// A training of a period that was killed three times is left to that of the next one.
	require.Empty(t, w.rows(t, "SELECT state, attempt, max_attempts, args, errors FROM river_job WHERE state <> 'completed' AND args->>'kind' <> '"+ustat.TrainTask+"'"))
	w.noFileIsLeft(t)
	return len(plans)
}

// noFileIsLeft checks that no report has left a file, but what a dead process was
// writing, which goes when it is a day old.
func (w jobs) noFileIsLeft(t *testing.T) {
	t.Helper()
	names := func() (names []string) {
		entries, err := os.ReadDir(w.files)
		require.NoError(t, err)
		for _, entry := range entries {
			names = append(names, entry.Name())
		}
		return names
	}
	for _, name := range names() {
		require.Error(t, blob.Key(name).Check(), "%s is a file of no report", name)
		old := time.Now().Add(-25 * time.Hour)
		require.NoError(t, os.Chtimes(filepath.Join(w.files, name), old, old))
	}
	_, err := blob.Dir(w.files, nil)
	require.NoError(t, err)
	require.Empty(t, names())
}
