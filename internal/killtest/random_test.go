package killtest_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/internal/killtest"
)

// life is what is done to a course, one event each, and the status after it.
var life = []struct{ op, status string }{
	{"courses.create", "draft"},
	{"courses.module", "draft"},
	{"courses.lesson", "draft"},
	{"courses.submit", "review"},
	{"courses.publish", "published"},
	{"courses.archive", "archived"},
	{"courses.restore", "draft"},
}

// TestKillsAtRandomInstants kills a worker again and again while it writes, and
// compares what was acknowledged with what is stored: of each course the steps that
// were answered, and at most the one that was not.
func TestKillsAtRandomInstants(t *testing.T) {
	onEachEngine(t, func(t *testing.T, w *world) {
		random := seeded(t)
		kills, latest := 5, 150*time.Millisecond
		if scale(t) > 1 {
			kills, latest = 20*scale(t), 500*time.Millisecond
		}
		answered, unanswered, done := 0, 0, 0
		for round := range kills {
			ended := killtest.Run(t, w.work(w.lanes(round)...), time.Duration(random.Int64N(int64(latest))))
			require.True(t, ended.Killed, "the work was too short")
			of := map[string][]killtest.Call{}
			for _, call := range ended.Calls {
				of[call.Op.Args["network"]] = append(of[call.Op.Args["network"]], call)
			}
			for n, calls := range of {
				ok, open := tally(t, calls)
				answered, unanswered = answered+ok, unanswered+open
				stored := w.steps(t, n, calls[0].Op.Name)
				require.GreaterOrEqual(t, stored, ok, "%s: an acknowledged step is not stored", n)
				require.LessOrEqual(t, stored, ok+open, "%s: a step is stored that was never asked for", n)
				done += stored - ok
			}
			w.check(t)
		}
		t.Logf("%d kills, %d calls answered, %d without an answer, of which %d are stored", kills, answered, unanswered, done)
		require.NotZero(t, answered)
	})
}

// lanes is more work than a worker can do before it is killed: the lives of courses
// on three lanes, and sign-ins on one. Each names what it works on as its network.
func (w *world) lanes(round int) [][]killtest.Op {
	lanes := make([][]killtest.Op, 4)
	for i := range 300 {
		for lane := range 3 {
			n := fmt.Sprintf("course-%d-%d-%d", round, lane, i)
			for _, step := range life {
				lanes[lane] = append(lanes[lane], killtest.Op{Name: step.op, Args: map[string]string{
					"network": n, "slug": n, "key": n, "category": "category", "teacher": "anna",
				}})
			}
		}
		n := fmt.Sprintf("user-%d-%d", round, i)
		for _, op := range []string{"accounts.register", "accounts.login", "accounts.login"} {
			lanes[3] = append(lanes[3], killtest.Op{Name: op, Args: map[string]string{"network": n, "username": n, "password": password}})
		}
	}
	return lanes
}

// tally counts the calls with an answer, which is never a refusal, and those without.
func tally(t *testing.T, calls []killtest.Call) (ok, open int) {
	t.Helper()
	for _, call := range calls {
		require.Empty(t, call.Error, call.Op.Name)
		if call.Outcome == killtest.OK {
			ok++
		} else {
			open++
		}
	}
	require.LessOrEqual(t, open, 1)
	return ok, open
}

// steps counts the steps that are stored of a course or of a user, and checks that
// they fit together.
func (w *world) steps(t *testing.T, n, first string) int {
	t.Helper()
	if first == "accounts.register" {
		return w.count(t, "SELECT count(*) FROM ustat_sessions WHERE network = '"+n+"'")
	}
	stored := w.count(t, "SELECT count(*) FROM ustat_outbox AS o JOIN ustat_courses AS c ON o.subject = 'course/' || c.id WHERE c.slug = '"+n+"'")
	if stored > 0 {
		require.LessOrEqual(t, stored, len(life))
		require.Equal(t, []string{life[stored-1].status}, w.rows(t, "SELECT status FROM ustat_courses WHERE slug = '"+n+"'"), "after %d events", stored)
	}
	return stored
}

func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("USTAT_TEST_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err, "USTAT_TEST_SEED")
	}
	t.Logf("replay with USTAT_TEST_SEED=%d go test -run %s ./internal/killtest", seed, t.Name())
	return rand.New(rand.NewPCG(seed, 1))
}
