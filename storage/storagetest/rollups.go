package storagetest

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/reviews"
	"github.com/ustat/ustat/storage"
)

// rollups are the cases of what is counted of courses beside what they are listed with.
func (s suite) rollups() {
	s.run("RefreshRollups counts each side of a course by itself, and Rollups shows what is listed otherwise", func(t *testing.T, b *storage.Backend) {
		list := s.counted(t, b)
		want := map[courses.CourseID]courses.Totals{list[0].ID: {Students: 3, Completions: 1, Reviews: 4, RatingSum: 13}}
		if s.limits.ReviewsApart {
			want[list[0].ID] = courses.Totals{Students: 3, Completions: 1}
		}
		require.Empty(t, rollups(t, b, true))
		refreshRollups(t, b)
		got := rollups(t, b, false)
		require.Len(t, got, len(list))
		for i, r := range got {
			require.Equal(t, courses.Rollup{Course: list[i].ID, Counted: want[list[i].ID], Listed: want[list[i].ID]}, r)
		}
		require.Empty(t, rollups(t, b, true))
		if s.limits.SetStats == nil {
			return
		}
		odd, last := courses.Totals{Students: 9, Completions: 8, Reviews: 7, RatingSum: 28}, len(list)-1
		for _, c := range []courses.Course{list[0], list[last]} {
			s.limits.SetStats(t, b, c.ID, courses.Stats{Students: 9, Completions: 8, ReviewCount: 7, RatingSum: 28})
		}
		require.Empty(t, rollups(t, b, true), "until they are refreshed")
		refreshRollups(t, b)
		nothing := courses.Totals{Reviews: 7, RatingSum: 28} // no reviews are kept of the last one
		if s.limits.ReviewsApart {
			want[list[0].ID] = courses.Totals{Students: 3, Completions: 1, Reviews: 7, RatingSum: 28}
		}
		require.Equal(t, []courses.Rollup{{Course: list[0].ID, Counted: want[list[0].ID], Listed: odd}, {Course: list[last].ID, Counted: nothing, Listed: odd}}, rollups(t, b, true))
	})
}

// counted makes more courses than one block has; the first has students and reviews of
// every status, more of each than one.
func (s suite) counted(t *testing.T, b *storage.Backend) []courses.Course {
	t.Helper()
	sh := newShelf(t, b)
	var list []courses.Course
	for i := range 450 {
		list = append(list, course(fmt.Sprintf("c%03d", i), sh.teachers[0]))
	}
	list = insertCourses(t, b, list...)
	one := list[0].ID
	enroll(t, b, enrolled(one, 1, courses.Active), enrolled(one, 2, courses.Active), enrolled(one, 3, courses.Completed), enrolled(one, 4, courses.Cancelled), enrolled(one, 5, courses.Refunded))
	if s.limits.ReviewsApart {
		return list
	}
	var said []reviews.Review
	for user, rating := range []int{5, 4, 3, 1, 2} {
		said = append(said, newReview(one, core.UserID(user+1), rating))
	}
	said[4].Status = reviews.Hidden
	addReviews(t, b, said...)
	inReviews(t, b, func(ctx context.Context, tx reviews.Tx) error {
		was, err := tx.StatsForUpdate(ctx, one)
		if err != nil {
			return err
		}
		now, err := tx.CountRatings(ctx, one)
		if err != nil {
			return err
		}
		now.Version = was.Version + 1
		return tx.UpdateStats(ctx, now, courses.Heat{})
	})
	return list
}

func refreshRollups(t testing.TB, b *storage.Backend) {
	t.Helper()
	for after, rounds := courses.CourseID(0), 0; ; rounds++ {
		before := after
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			counter, queries := storage.CountQueries(ctx)
			last, err := tx.RefreshRollups(counter, before)
			require.LessOrEqual(t, queries.Count(), 3)
			after = last
			return err
		})
		if after == 0 {
			return
		}
		require.Greater(t, after, before)
		require.Less(t, rounds, 1000)
	}
}

// rollups reads them in small pages.
func rollups(t testing.TB, b *storage.Backend, wrong bool) (all []courses.Rollup) {
	t.Helper()
	for after := courses.CourseID(0); ; after = all[len(all)-1].Course {
		page, err := b.Courses.Rollups(timeout(t), after, 100, wrong)
		require.NoError(t, err)
		all = append(all, page...)
		if len(page) < 100 {
			return all
		}
	}
}
