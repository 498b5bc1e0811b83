package reviews_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/reviews"
)

func TestWhatWasTakenAwayDoesNotComeBackByDeletingIt(t *testing.T) {
	onBoth(t, reviews.Options{Moderator: reviews.Filter{PerHour: 100}}, func(t *testing.T, w *world) {
		c := w.course(t, "a", courses.Published)
		people := w.students(t, 3, c)
		again := func(r reviews.Review) reviews.Review {
			t.Helper()
			require.NoError(t, w.Delete(t.Context(), people[0], r.ID, 0))
			return w.add(t, people[0], "a", 1)
		}
		waits := func(r reviews.Review) {
			t.Helper()
			require.Equal(t, []any{reviews.Pending, reviews.HeldAgain}, []any{r.Status, r.Reason})
			w.numbers(t, "a", [5]int64{})
		}
		approved := func(r reviews.Review) reviews.Review {
			t.Helper()
			r, err := w.Moderate(t.Context(), w.admin, r.ID, reviews.Decision{Action: reviews.Approve})
			require.NoError(t, err)
			return r
		}
		r := again(w.add(t, people[0], "a", 1))
		require.Equal(t, reviews.Published, r.Status, "nobody has objected")
		r, err := w.Moderate(t.Context(), w.admin, r.ID, reviews.Decision{Action: reviews.Hide, Reason: "insult"})
		require.NoError(t, err)
		r = again(r)
		waits(r)
		r = again(r)
		waits(r)
		r = again(approved(r))
		require.Equal(t, reviews.Published, r.Status, "an admin has let the last one be")
		require.NoError(t, w.Report(t.Context(), people[1], r.ID, reviews.NewReport{Reason: reviews.Spam}))
		r = again(r)
		waits(r)
		require.NoError(t, w.Delete(t.Context(), w.admin, approved(r).ID, 0))
		waits(w.add(t, people[0], "a", 1))
		require.Equal(t, reviews.Published, w.add(t, people[2], "a", 5).Status, "others are not meant")
	})
}

func TestTheFilterCountsWhatWasDeleted(t *testing.T) {
	onBoth(t, reviews.Options{Moderator: reviews.Filter{PerHour: 2}}, func(t *testing.T, w *world) {
		var list []courses.Course
		for _, slug := range []string{"a", "b", "c", "d"} {
			list = append(list, w.course(t, slug, courses.Published))
		}
		sam := w.students(t, 1, list...)[0]
		write := func(course, text string) []any {
			t.Helper()
			r, err := w.Create(t.Context(), sam, course, reviews.New{Rating: 1, Text: text})
			require.NoError(t, err)
			require.NoError(t, w.Delete(t.Context(), sam, r.ID, 0))
			w.clock.advance(time.Minute)
			return []any{r.Status, r.Reason}
		}
		const text = "The same again and again."
		require.Equal(t, []any{reviews.Published, ""}, write("a", text))
		require.Equal(t, []any{reviews.Pending, reviews.HeldRepeated}, write("b", text))
		require.Equal(t, []any{reviews.Pending, reviews.HeldBurst}, write("c", "short"))
		w.clock.advance(time.Hour)
		require.Equal(t, []any{reviews.Published, ""}, write("d", "short"))
	})
}
