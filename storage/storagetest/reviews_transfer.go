package storagetest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/reviews"
	"github.com/ustat/ustat/storage"
)

// reviewTransfer are the cases of what imports and exports of reviews need.
func (s suite) reviewTransfer() {
	s.run("ReviewsAfter returns reviews in the order of the ids, of one course by status, time and id, by at most two statements", func(t *testing.T, b *storage.Backend) {
		r := random(t)
		var list []reviews.Review
		for course := range 7 {
			for user := range size(60, 25) {
				v := newReview(courses.CourseID(course+1), core.UserID(user+1), 1+r.IntN(5))
				v.Status = reviews.Statuses[r.IntN(4)]
				v.CreatedAt = day.Add(time.Duration(r.IntN(5)) * time.Microsecond)
				list = append(list, v)
			}
		}
		list = addReviews(t, b, list...)
		ids := []courses.CourseID{5, 404404, 1, 7, 3}
		var want []reviews.Review
		for _, id := range ids {
			var of []reviews.Review
			for _, v := range list {
				if v.Course == id {
					of = append(of, v)
				}
			}
			slices.SortFunc(of, func(a, b reviews.Review) int {
				return cmp.Or(cmp.Compare(a.Status, b.Status), a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
			})
			want = append(want, of...)
		}
		for _, limit := range []int{1, 7, 25, 1000} {
			var got []reviews.Review
			rest, after := ids, reviews.Place{}
			for {
				ctx, queries := storage.CountQueries(timeout(t))
				page, err := b.Reviews.ReviewsAfter(ctx, rest, after, limit)
				require.NoError(t, err)
				require.LessOrEqual(t, len(page), limit)
				require.LessOrEqual(t, queries.Count(), 2)
				if got = append(got, page...); len(page) < limit {
					break
				}
				last := page[len(page)-1]
				rest, after = ids[slices.Index(ids, last.Course):], reviews.PlaceOf(&last)
			}
			require.Equal(t, want, got)
		}
		none, err := b.Reviews.ReviewsAfter(timeout(t), nil, reviews.Place{}, 10)
		require.NoError(t, err)
		require.Empty(t, none)
	})
	s.run("UpdateReviews writes a list and leaves the rest, and a missing one is ErrReviewNotFound", func(t *testing.T, b *storage.Backend) {
		list := addReviews(t, b, newReview(1, 1, 5), newReview(1, 2, 5), newReview(2, 1, 5))
		given := slices.Clone(list[:2])
		for i := range given {
			g := &given[i]
			g.Rating, g.Text, g.Status, g.Reason = 1+i, awkward[i], reviews.Hidden, awkward[i+1]
			g.CreatedAt, g.UpdatedAt = day.Add(time.Hour), day.Add(2*time.Hour)
		}
		want := slices.Clone(given)
		for i := range given {
			want[i].Version = 2
			given[i].Course, given[i].User, given[i].Trust, given[i].Helpful, given[i].Comments, given[i].Version = 9, 9, 9, 9, 9, 77
			given[i].Reply = reviews.Reply{Text: "no", At: day}
		}
		inReviews(t, b, func(ctx context.Context, tx reviews.Tx) error { return tx.UpdateReviews(ctx, given) })
		for i, w := range append(want, list[2]) {
			require.Equal(t, w, reviewNow(t, b, list[i].ID))
		}
		err := b.Reviews.Update(timeout(t), func(ctx context.Context, tx reviews.Tx) error {
			given[1].ID = 404404
			return tx.UpdateReviews(ctx, given)
		})
		require.ErrorIs(t, err, reviews.ErrReviewNotFound)
		require.Equal(t, want[0], reviewNow(t, b, list[0].ID))
	})
	s.run("RecountStats writes the numbers that differ with the next version and returns them by id", func(t *testing.T, b *storage.Backend) {
		var list []reviews.Review
		want := map[courses.CourseID]reviews.Stats{}
		r := random(t)
		for course := range courses.CourseID(9) {
			stats := reviews.Stats{Course: course + 1, Version: 1}
			for user := range core.UserID(6) {
				v := newReview(course+1, user+1, 1+r.IntN(5))
				if v.Status = reviews.Statuses[r.IntN(4)]; v.Status == reviews.Published {
					stats.Count, stats.Sum = stats.Count+1, stats.Sum+int64(v.Rating)
					stats.Histogram[v.Rating-1]++
				}
				list = append(list, v)
			}
			if stats.Count > 0 {
				want[stats.Course] = stats
			}
		}
		addReviews(t, b, list...)
		ids := []courses.CourseID{9, 2, 404404, 4, 2}
		recount := func(want []reviews.Stats) {
			inReviews(t, b, func(ctx context.Context, tx reviews.Tx) error {
				if err := tx.LockStats(ctx, ids); err != nil {
					return err
				}
				counted, queries := storage.CountQueries(ctx)
				got, err := tx.RecountStats(counted, ids)
				if err == nil && (!slices.Equal(got, want) || queries.Count() > 4) {
					err = fmt.Errorf("%d statements: %+v, not %+v", queries.Count(), got, want)
				}
				return err
			})
		}
		var changed []reviews.Stats
		for _, id := range []courses.CourseID{2, 4, 9} {
			if stats, there := want[id]; there {
				changed = append(changed, stats)
			}
		}
		recount(changed)
		recount(nil)
		got, err := b.Reviews.StatsOf(timeout(t), []courses.CourseID{1, 2, 3, 4, 9, 404404})
		require.NoError(t, err)
		got = slices.DeleteFunc(got, func(s reviews.Stats) bool { return s.Version == 0 })
		require.ElementsMatch(t, changed, got)
	})
}
