package storagetest

import (
	"cmp"
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/reviews"
	"github.com/ustat/ustat/storage"
)

// reviewLists are the cases of Reviews and ReviewsOf.
func (s suite) reviewLists() {
	s.run("Reviews returns up to q.Limit reviews behind q.After in the order of the sort, by one statement", func(t *testing.T, b *storage.Backend) {
		r := random(t)
		var list []reviews.Review
		for course := range 3 {
			for user := range size(150, 40) {
				v := newReview(courses.CourseID(course+1), core.UserID(user+1), 1+r.IntN(5))
				v.Status = reviews.Statuses[max(0, r.IntN(6)-2)]
				v.CreatedAt = day.Add(time.Duration(r.IntN(20)) * time.Microsecond)
				list = append(list, v)
			}
		}
		r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		list = addReviews(t, b, list...)
		inReviews(t, b, func(ctx context.Context, tx reviews.Tx) error {
			for i := range list {
				for range r.IntN(4) {
					on, err := tx.SetVote(ctx, list[i].ID, core.UserID(1000+r.IntN(9)), true, day)
					if err != nil {
						return err
					}
					if on {
						list[i].Helpful++
					}
				}
			}
			return nil
		})
		for _, q := range []reviews.Query{
			{},
			{Status: reviews.Pending, OldestFirst: true},
			{Status: reviews.Hidden},
			{User: 3},
			{User: 3, Status: reviews.Published},
			{Course: 2},
			{Course: 2, Status: reviews.Published},
			{Course: 2, Status: reviews.Published, Sort: reviews.Helpful},
			{Course: 2, Status: reviews.Published, Sort: reviews.Rating},
			{Course: 9, Status: reviews.Published},
			{Status: "odd"},
		} {
			want := inOrder(list, q)
			var got []reviews.Review
			for q.Limit = 7; ; {
				ctx, queries := storage.CountQueries(timeout(t))
				page, err := b.Reviews.Reviews(ctx, q)
				require.NoError(t, err)
				require.LessOrEqual(t, queries.Count(), 1)
				require.LessOrEqual(t, len(page), q.Limit)
				if got = append(got, page...); len(page) < q.Limit {
					break
				}
				after := reviews.PositionOf(&page[len(page)-1], q.Sort)
				q.After = &after
			}
			require.Equal(t, len(want), len(got), "%+v", q)
			for i := range want {
				require.Equal(t, want[i], got[i], "%+v", q)
			}
		}
	})
	s.run("ReviewsOf returns those of the reviews that exist, by one statement", func(t *testing.T, b *storage.Backend) {
		list := addReviews(t, b, newReview(1, 1, 5), newReview(1, 2, 4), newReview(2, 1, 3), newReview(2, 2, 2))
		for n := range 4 {
			pairs := []reviews.Pair{{Course: 2, User: 1}, {Course: 1, User: 2}, {Course: 3, User: 1}, {Course: 2, User: 1}}[:n]
			ctx, queries := storage.CountQueries(timeout(t))
			got, err := b.Reviews.ReviewsOf(ctx, pairs)
			require.NoError(t, err)
			require.ElementsMatch(t, []reviews.Review{list[2], list[1]}[:min(n, 2)], got)
			require.LessOrEqual(t, queries.Count(), 1)
		}
	})
}

// inOrder returns what a query must find.
func inOrder(list []reviews.Review, q reviews.Query) (want []reviews.Review) {
	for _, r := range list {
		if (q.Course == 0 || r.Course == q.Course) && (q.User == 0 || r.User == q.User) && (q.Status == "" || r.Status == q.Status) {
			want = append(want, r)
		}
	}
	slices.SortFunc(want, func(a, b reviews.Review) int {
		x, y := reviews.PositionOf(&a, q.Sort), reviews.PositionOf(&b, q.Sort)
		order := cmp.Or(cmp.Compare(x.Key, y.Key), cmp.Compare(x.ID, y.ID))
		if q.OldestFirst {
			return order
		}
		return -order
	})
	return want
}
