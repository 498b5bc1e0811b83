package reviews_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/reviews"
	"github.com/ustat/ustat/storage"
)

// trending returns the slugs of what trends, by at most three statements.
func (w *world) trending(t testing.TB, q courses.TrendingQuery) (slugs []string, ranks []int) {
	t.Helper()
	ctx, queries := storage.CountQueries(t.Context())
	list, err := w.courses.Trending(ctx, q)
	require.NoError(t, err)
	require.LessOrEqual(t, queries.Count(), 3)
	for _, c := range list {
		require.Equal(t, "ann", c.Teacher.Username)
		slugs, ranks = append(slugs, c.Slug), append(ranks, c.Rank)
	}
	return slugs, ranks
}

func TestTrendingIsWhatIsNewAndShown(t *testing.T) {
	onBoth(t, reviews.Options{}, func(t *testing.T, w *world) {
		old, fresh, quiet := w.course(t, "old", courses.Published), w.course(t, "fresh", courses.Published), w.course(t, "quiet", courses.Published)
		draft := w.course(t, "draft", courses.Draft)
		people := w.students(t, 9, old, fresh, quiet, draft)
		any := courses.TrendingQuery{MinReviews: ptr(0)}
		slugs, _ := w.trending(t, any)
		require.Empty(t, slugs)
		for _, p := range people[:3] {
			w.add(t, p, "old", 5)
		}
		w.clock.advance(21 * 24 * time.Hour) // three half-lives: 3 × 2 count 0.75
		_, err := w.courses.Enroll(t.Context(), people[0], "fresh", "")
		require.NoError(t, err)
		slugs, ranks := w.trending(t, any)
		require.Equal(t, []string{"fresh", "old"}, slugs)
		require.Equal(t, []int{1, 2}, ranks)

		// Coming again counts once.
		mine := w.add(t, people[3], "old", 1) // 2.75
		for range 3 {
			_, err = w.courses.Cancel(t.Context(), people[0], "fresh", "")
			require.NoError(t, err)
			_, err = w.courses.Enroll(t.Context(), people[0], "fresh", "")
			require.NoError(t, err)
		}
		slugs, _ = w.trending(t, any)
		require.Equal(t, []string{"old", "fresh"}, slugs)
		_, err = w.Edit(t.Context(), people[3], mine.ID, reviews.Change{Rating: ptr(2)})
		require.NoError(t, err)
		slugs, _ = w.trending(t, any)
		require.Equal(t, []string{"old", "fresh"}, slugs)

		// What is hidden or removed no longer counts, and counts again when it is shown.
		for _, step := range []struct {
			action reviews.Action
			first  string
		}{{reviews.Hide, "fresh"}, {reviews.Approve, "old"}} {
			_, err = w.Moderate(t.Context(), w.admin, mine.ID, reviews.Decision{Action: step.action, Reason: "x"})
			require.NoError(t, err)
			slugs, _ = w.trending(t, any)
			require.Equal(t, step.first, slugs[0])
		}
		require.NoError(t, w.Delete(t.Context(), people[3], mine.ID, 0))
		slugs, _ = w.trending(t, any)
		require.Equal(t, []string{"fresh", "old"}, slugs)

		// Ten reviews at least, unless it is asked otherwise.
		slugs, _ = w.trending(t, courses.TrendingQuery{})
		require.Empty(t, slugs)
		slugs, _ = w.trending(t, courses.TrendingQuery{MinReviews: ptr(3)})
		require.Equal(t, []string{"old"}, slugs)
		_, err = w.courses.Trending(t.Context(), courses.TrendingQuery{MinReviews: ptr(-1)})
		require.ErrorIs(t, err, core.ErrInvalid)
		_, err = w.courses.Trending(t.Context(), courses.TrendingQuery{Limit: core.MaxLimit + 1})
		require.ErrorIs(t, err, core.ErrInvalid)
		require.NoError(t, w.backend.Verify(t.Context()))
	})
}

func TestTrendingOfAllTimeIsADenseRank(t *testing.T) {
	onBoth(t, reviews.Options{}, func(t *testing.T, w *world) {
		var shelf []courses.Course
		for _, slug := range []string{"a", "b", "c", "d"} {
			shelf = append(shelf, w.course(t, slug, courses.Published))
		}
		people := w.students(t, 3, shelf...)
		for i, p := range people {
			w.add(t, p, "a", 4)
			w.add(t, p, "b", 4)
			if i < 2 {
				w.add(t, p, "c", 5)
			}
		}
		slugs, ranks := w.trending(t, courses.TrendingQuery{AllTime: true, MinReviews: ptr(0)})
		require.Equal(t, []string{"b", "a", "c"}, slugs)
		require.Equal(t, []int{1, 1, 2}, ranks)
		slugs, _ = w.trending(t, courses.TrendingQuery{AllTime: true, MinReviews: ptr(0), Limit: 1})
		require.Equal(t, []string{"b"}, slugs)
	})
}
