package killtest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/internal/killtest"
)

// TestKillsBesideACapacity kills a worker again and again while learners come to a
// course of ten seats and leave it on several lanes. There are never eleven, nobody
// waits for a seat that is free, and each learner is where their last call with an
// answer has left them, or where the one without would have.
func TestKillsBesideACapacity(t *testing.T) {
	onEachEngine(t, func(t *testing.T, w *world) {
		random := seeded(t)
		const capacity, lanes, each = 10, 3, 6
		kills, latest := 4, 120*time.Millisecond
		if scale(t) > 1 {
			kills, latest = 10*scale(t), 400*time.Millisecond
		}
		w.published(t, "seats", capacity)
		for lane := range lanes {
			for i := range each {
				w.learner(t, fmt.Sprintf("learner-%d-%d", lane, i))
			}
		}
		ends := map[string][]string{"courses.enroll": {"active", "waiting"}, "courses.cancel": {"cancelled"}}
		answered := 0
		for range kills {
			work := make([][]killtest.Op, lanes)
			for lane := range work {
				for range 3000 {
					op := killtest.Op{Name: "courses.enroll", Args: map[string]string{"slug": "seats", "by": fmt.Sprintf("learner-%d-%d", lane, random.IntN(each))}}
					if random.IntN(3) == 0 {
						op.Name = "courses.cancel"
					}
					work[lane] = append(work[lane], op)
				}
			}
			ended := killtest.Run(t, w.work(work...), time.Duration(random.Int64N(int64(latest))))
			require.True(t, ended.Killed, "the work was too short")
			last := map[string]killtest.Call{}
			may := map[string][]string{}
			for _, call := range ended.Calls {
				who := call.Op.Args["by"]
				switch {
				case call.Outcome == killtest.OK:
					answered++
					last[who], may[who] = call, ends[call.Op.Name]
				case call.Error == "": // killed before its answer
					may[who] = append(append([]string{}, may[who]...), ends[call.Op.Name]...)
				default: // who never came has nothing to leave
					require.Equal(t, "courses.enrollment_not_found", call.Code, call.Error)
				}
			}
			for who := range last {
				stored := w.rows(t, "SELECT e.status FROM ustat_enrollments AS e JOIN ustat_users AS u ON u.id = e.user_id WHERE u.username = '"+who+"'")
				require.Len(t, stored, 1)
				require.Contains(t, may[who], stored[0], who)
			}
			require.LessOrEqual(t, w.count(t, "SELECT count(*) FROM ustat_enrollments WHERE status IN ('active', 'completed')"), capacity)
			w.check(t) // the statistics, the capacity, and that nobody waits for a free seat
		}
		t.Logf("%d kills, %d calls answered", kills, answered)
		require.NotZero(t, answered)
	})
}
