package killtest_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/internal/fault"
	"github.com/ustat/ustat/internal/killtest"
	"github.com/ustat/ustat/reviews"
)

// toErase makes a student who has left something wherever reviews take it, and returns the
// operation that erases them.
func (w *world) toErase(t *testing.T, name string) killtest.Op {
	t.Helper()
	ctx := t.Context()
	w.review(t, "", name+"-other", "")
	by := w.student(t, name)
	_, err := w.Reviews.Create(ctx, by, name, reviews.New{Rating: 5, Key: "key"})
	require.NoError(t, err)
	other, err := w.Reviews.List(ctx, core.Actor{}, name+"-other", "", core.Page{})
	require.NoError(t, err)
	id := other.Items[0].ID
	_, err = w.Reviews.Vote(ctx, by, id, true)
	require.NoError(t, err)
	_, err = w.Reviews.Comment(ctx, by, id, reviews.NewText{Text: "Hm", Key: "key"})
	require.NoError(t, err)
	require.NoError(t, w.Reviews.Report(ctx, by, id, reviews.NewReport{Reason: reviews.Spam}))
	return killtest.Op{Name: "reviews.erase", Args: map[string]string{"username": name}}
}

// left counts the rows that reviews have of a user.
func (w *world) left(t *testing.T, name string) (n int) {
	t.Helper()
	u, err := w.Accounts.UserByUsername(t.Context(), name)
	require.NoError(t, err)
	for _, table := range []string{"reviews", "review_votes", "review_comments", "review_reports", "review_history"} {
		n += w.count(t, fmt.Sprintf("SELECT count(*) FROM ustat_%s WHERE user_id = %d", table, u.ID))
	}
	return n + w.count(t, fmt.Sprintf("SELECT count(*) FROM ustat_idempotency WHERE scope LIKE 'reviews.%%/%d/%%'", u.ID))
}

// TestErasingIsKilled kills a process at each point of erasing a user, of which there are
// several transactions, and asks again: what is stored is right in between, and nothing of
// the user is left in the end. Without USTAT_TEST_SCALE it is each fifth point.
func TestErasingIsKilled(t *testing.T) {
	onEachEngine(t, func(t *testing.T, w *world) {
		dry := w.toErase(t, "dry")
		require.Equal(t, 6, w.left(t, "dry"))
		hits := w.one(t, dry).Hits
		require.Zero(t, w.left(t, "dry"))
		require.Contains(t, hits, "reviews.forget.after_rows")
		times, kills := map[string]int{}, 0
		for i, point := range hits {
			times[point]++
			if scale(t) == 1 && i%5 != 0 {
				continue
			}
			name := fmt.Sprintf("erased-%d", i)
			op := w.toErase(t, name)
			op.Fault = fault.Plan{Point: point, Mode: fault.Kill, Nth: times[point]}
			require.True(t, w.run(t, op).Killed, op.Fault)
			w.check(t)
			op.Fault = fault.Plan{}
			w.one(t, op)
			require.Zero(t, w.left(t, name), "after a kill at %s, %d", point, times[point])
			kills++
		}
		w.check(t)
		t.Logf("%d of %d points", kills, len(hits))
	})
}
