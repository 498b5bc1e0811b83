package storagetest

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage"
)

// trends are the cases of what Trending is read from.
func (s suite) trends() {
	slugsOf := func(t *testing.T, b *storage.Backend, sort courses.Sort, least, limit int) (slugs []string) {
		ctx, queries := storage.CountQueries(timeout(t))
		hits, err := b.Courses.ListCourses(ctx, courses.ListQuery{Status: courses.Published, Sort: sort, ReviewsMin: least, Limit: limit})
		require.NoError(t, err)
		require.LessOrEqual(t, queries.Count(), 2)
		for _, h := range hits {
			slugs = append(slugs, h.Course.Slug)
		}
		return slugs
	}
	s.run("AddTrend adds to the trends of the courses that exist, by which Trending orders, and AddEnrollment writes one", func(t *testing.T, b *storage.Backend) {
		sh := newShelf(t, b)
		draft := course("draft", sh.teachers[0])
		draft.Status = courses.Draft
		list := insertCourses(t, b, course("a", sh.teachers[0]), course("b", sh.teachers[0]), course("c", sh.teachers[0]), course("d", sh.teachers[0]), draft)
		add := func(heat map[courses.CourseID]courses.Heat) {
			t.Helper()
			write(t, b, func(ctx context.Context, tx courses.Tx) error {
				counted, queries := storage.CountQueries(ctx)
				if err := tx.AddTrend(counted, heat); err != nil {
					return err
				}
				require.LessOrEqual(t, queries.Count(), 2)
				return nil
			})
		}
		a, bID, c := list[0].ID, list[1].ID, list[2].ID
		require.Empty(t, slugsOf(t, b, courses.Trending, 0, 9))
		add(map[courses.CourseID]courses.Heat{a: {Log: 5_000_000}, bID: {Log: 5_000_000}, c: {Log: 5_500_000}, list[4].ID: {Log: 9_000_000}, 404404: {Log: 1}})
		require.Equal(t, []string{"c", "b", "a"}, slugsOf(t, b, courses.Trending, 0, 9), "ties by id, the greatest first")
		add(map[courses.CourseID]courses.Heat{a: {Log: 5_000_000}})
		require.Equal(t, []string{"a", "c"}, slugsOf(t, b, courses.Trending, 0, 2), "twice e to the 5 is more than e to the 5.5")
		add(map[courses.CourseID]courses.Heat{a: {Log: 5_000_000, Taken: true}, bID: {}, c: {Log: 5_500_000, Taken: true}})
		require.Equal(t, []string{"b", "a"}, slugsOf(t, b, courses.Trending, 0, 9))
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			seats, err := tx.SeatsForUpdate(ctx, "a")
			if err != nil {
				return err
			}
			require.InDelta(t, 5_000_000, seats.Trend, 2)
			e, err := tx.AddEnrollment(ctx, enrolled(a, 77, courses.Active), 7_000_000)
			if err != nil || e.ID == 0 || e.Version != 1 {
				return fmt.Errorf("AddEnrollment returned %+v: %w", e, err)
			}
			_, err = tx.AddEnrollment(ctx, enrolled(bID, 77, courses.Waiting), 1_000_000)
			return err
		})
		require.ErrorIs(t, writing(t, b, func(ctx context.Context, tx courses.Tx) error {
			_, err := tx.AddEnrollment(ctx, enrolled(a, 77, courses.Active), 0)
			return err
		}), courses.ErrEnrolled)
		for slug, students := range map[string]int64{"a": 1, "b": 0} {
			got, err := b.Courses.CourseBySlug(timeout(t), slug)
			require.NoError(t, err)
			require.EqualValues(t, students, got.Stats.Students)
		}
		require.Equal(t, []string{"a", "b"}, slugsOf(t, b, courses.Trending, 0, 9))
		require.Empty(t, slugsOf(t, b, courses.Trending, 1, 9), "reviews")
	})
	s.run("SetRating adds heat with newer numbers alone, and MostReviewed orders by count, sum and id", func(t *testing.T, b *storage.Backend) {
		sh := newShelf(t, b)
		var named []courses.Course
		for _, slug := range []string{"a", "b", "c", "d", "e"} {
			named = append(named, course(slug, sh.teachers[0]))
		}
		list := insertCourses(t, b, named...)
		set := func(i int, r courses.ReviewNumbers) {
			write(t, b, func(ctx context.Context, tx courses.Tx) error { return tx.SetRating(ctx, list[i].ID, r) })
		}
		for i, n := range [][2]int64{{3, 9}, {3, 12}, {7, 7}, {3, 9}} {
			set(i, courses.ReviewNumbers{Count: n[0], Sum: n[1], Version: 2, Heat: courses.Heat{Log: 4_000_000 + int64(i)}})
		}
		require.Equal(t, []string{"c", "b", "d", "a"}, slugsOf(t, b, courses.MostReviewed, 1, 9))
		require.Equal(t, []string{"c", "b"}, slugsOf(t, b, courses.MostReviewed, 1, 2))
		require.Equal(t, []string{"c"}, slugsOf(t, b, courses.MostReviewed, 4, 9))
		recent := slugsOf(t, b, courses.Trending, 0, 9)
		require.Equal(t, []string{"d", "c", "b", "a"}, recent)
		set(0, courses.ReviewNumbers{Count: 3, Sum: 9, Version: 2, Heat: courses.Heat{Log: 9_000_000}})
		require.True(t, slices.Equal(recent, slugsOf(t, b, courses.Trending, 0, 9)), "what came before changes nothing")
		set(0, courses.ReviewNumbers{Count: 4, Sum: 14, Version: 3, Heat: courses.Heat{Log: 9_000_000}})
		require.Equal(t, []string{"a"}, slugsOf(t, b, courses.Trending, 0, 1))
	})
}
