package reviews_test

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/reviews"
)

func TestEraseUserRemovesAllThatAUserHasWritten(t *testing.T) {
	onBoth(t, reviews.Options{}, func(t *testing.T, w *world) {
		var all []courses.Course
		for i := range 3 {
			all = append(all, w.course(t, fmt.Sprint("c", i), courses.Published))
		}
		people := w.students(t, 3, all...)
		var theirs, others []reviews.Review
		for _, c := range all {
			theirs = append(theirs, w.add(t, people[0], c.Slug, 1))
			others = append(others, w.add(t, people[1], c.Slug, 5))
		}
		_, err := w.Edit(t.Context(), people[0], theirs[0].ID, reviews.Change{Text: ptr("My address is …")})
		require.NoError(t, err)
		for _, by := range people {
			for _, r := range append(theirs, others...) {
				if r.User != by.UserID {
					_, err := w.Vote(t.Context(), by, r.ID, true)
					require.NoError(t, err)
				}
				_, err := w.Comment(t.Context(), by, r.ID, reviews.NewText{Text: "Hm"})
				require.NoError(t, err)
			}
		}
		require.NoError(t, w.Report(t.Context(), people[0], others[0].ID, reviews.NewReport{Reason: reviews.Spam}))
		for range 2 { // the second finds nothing
			require.NoError(t, w.EraseUser(t.Context(), people[0], people[0].UserID))
			for i, c := range all {
				w.numbers(t, c.Slug, [5]int64{4: 1})
				r, err := w.Review(t.Context(), w.admin, others[i].ID)
				require.NoError(t, err)
				require.Equal(t, []int{1, 2, 0}, []int{r.Helpful, r.Comments, r.Reports})
				history, err := w.History(t.Context(), w.admin, theirs[i].ID, core.Page{})
				require.NoError(t, err)
				require.Empty(t, history.Items)
			}
		}
	})
}

// A text that a teacher who also learns has left wherever reviews take one is in no table
// after they are erased, and the same text of somebody else is where it was.
func TestNothingOfAnErasedUserIsInTheDatabase(t *testing.T) {
	onBoth(t, reviews.Options{}, func(t *testing.T, w *world) {
		const mark = "erase-me-please"
		own, bobs := w.course(t, "own", courses.Published), w.courseOf(t, w.bob, "bobs", courses.Published)
		people := w.students(t, 2, own, bobs)
		w.learners.set(bobs.ID, w.ann.UserID, reviews.Learner{Enrolled: true})
		ctx := t.Context()
		leave := func(by core.Actor) {
			r, err := w.Create(ctx, by, "bobs", reviews.New{Rating: 4, Text: mark, Key: mark})
			require.NoError(t, err)
			_, err = w.Edit(ctx, by, r.ID, reviews.Change{Text: ptr(mark + " once more")})
			require.NoError(t, err)
			_, err = w.Edit(ctx, by, r.ID, reviews.Change{Text: ptr(mark + " again")})
			require.NoError(t, err)
		}
		leave(w.ann)
		leave(people[1])
		of := w.add(t, people[0], "own", 2)
		about := w.add(t, people[0], "bobs", 2)
		_, err := w.SetReply(ctx, w.ann, of.ID, reviews.NewText{Text: mark})
		require.NoError(t, err)
		_, err = w.SetReply(ctx, w.bob, about.ID, reviews.NewText{Text: "Thanks"})
		require.NoError(t, err)
		for _, by := range []core.Actor{w.ann, people[1]} {
			_, err = w.Comment(ctx, by, about.ID, reviews.NewText{Text: mark, Key: "k"})
			require.NoError(t, err)
			require.NoError(t, w.Report(ctx, by, about.ID, reviews.NewReport{Reason: reviews.Other, Note: mark}))
		}
		require.Equal(t, 15, w.marks(t, mark), "2 × (review, 2 of its history, its answer with its key, comment, its answer, report), and a reply")

		require.NoError(t, w.EraseUser(ctx, w.admin, w.ann.UserID))
		require.Equal(t, 7, w.marks(t, mark))
		seen, err := w.Review(ctx, w.admin, of.ID)
		require.NoError(t, err)
		require.Zero(t, seen.Reply)
		seen, err = w.Review(ctx, w.admin, about.ID)
		require.NoError(t, err)
		require.Equal(t, []any{"Thanks", 1, 1}, []any{seen.Reply.Text, seen.Comments, seen.Reports})
		require.NoError(t, w.backend.Verify(ctx))
	})
}

// marks counts the rows that have a text in any column, of all tables that reviews write.
func (w *world) marks(t testing.TB, text string) (n int) {
	t.Helper()
	require.NoError(t, w.backend.Atomic(t.Context(), func(tx *sql.Tx) error {
		for _, table := range []string{"reviews", "review_comments", "review_reports", "review_history", "idempotency", "outbox", "audit"} {
			rows, err := tx.Query("SELECT * FROM ustat_" + table)
			require.NoError(t, err)
			columns, err := rows.Columns()
			require.NoError(t, err)
			for rows.Next() {
				values, places := make([]any, len(columns)), make([]any, len(columns))
				for i := range values {
					places[i] = &values[i]
				}
				require.NoError(t, rows.Scan(places...))
				var row strings.Builder
				for _, v := range values {
					if bytes, ok := v.([]byte); ok {
						v = string(bytes)
					}
					fmt.Fprintln(&row, v)
				}
				if strings.Contains(row.String(), text) {
					n++
				}
			}
			require.NoError(t, rows.Err())
			require.NoError(t, rows.Close())
		}
		return nil
	}))
	return n
}
