package storagetest

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/reviews"
	"github.com/ustat/ustat/storage"
)

var reviewsDomain = domain{
	name:   "reviews",
	outbox: func(b *storage.Backend) core.Outbox { return b.Reviews },
	update: func(ctx context.Context, b *storage.Backend, fn func(ctx context.Context, tx rows) error) error {
		return b.Reviews.Update(ctx, func(ctx context.Context, tx reviews.Tx) error {
			return fn(ctx, rows{
				Tx: tx,
				add: func(ctx context.Context, names ...string) error {
					list := make([]reviews.Review, len(names))
					for i, name := range names {
						list[i] = namedReview(name)
					}
					_, err := tx.InsertReviews(ctx, list...)
					return err
				},
				has: func(ctx context.Context, name string) (bool, error) { return hasReview(ctx, tx, name) },
				fault: func(ctx context.Context) error {
					r := namedReview("nothing")
					r.Rating = 6
					_, err := tx.InsertReviews(ctx, r)
					return err
				},
			})
		})
	},
	has: func(ctx context.Context, b *storage.Backend, name string) (bool, error) {
		return hasReview(ctx, b.Reviews, name)
	},
}

func hasReview(ctx context.Context, r reviews.Reader, name string) (bool, error) {
	want := namedReview(name)
	_, err := r.ReviewOf(ctx, want.Course, want.User)
	if errors.Is(err, reviews.ErrReviewNotFound) {
		return false, nil
	}
	return err == nil, err
}

// namedReview returns a review by a user whose id is made of a name.
func namedReview(name string) reviews.Review {
	h := fnv.New32()
	_, _ = h.Write([]byte(name))
	r := newReview(1, core.UserID(h.Sum32()), 5)
	r.Text = name
	return r
}

func newReview(course courses.CourseID, user core.UserID, rating int) reviews.Review {
	return reviews.Review{
		Course: course, User: user, Rating: rating, Text: "Good.", Status: reviews.Published, Trust: 50, CreatedAt: day, UpdatedAt: day, Version: 1,
	}
}

func inReviews(t testing.TB, b *storage.Backend, fn func(ctx context.Context, tx reviews.Tx) error) {
	t.Helper()
	require.NoError(t, b.Reviews.Update(timeout(t), fn))
}

func addReviews(t testing.TB, b *storage.Backend, list ...reviews.Review) (out []reviews.Review) {
	t.Helper()
	inReviews(t, b, func(ctx context.Context, tx reviews.Tx) (err error) {
		out, err = tx.InsertReviews(ctx, list...)
		return err
	})
	require.Len(t, out, len(list))
	return out
}

func reviewNow(t testing.TB, b *storage.Backend, id reviews.ReviewID) reviews.Review {
	t.Helper()
	r, err := b.Reviews.ReviewByID(timeout(t), id)
	require.NoError(t, err)
	return r
}

// RunReviews runs the cases of reviews.Store, in a whole backend as RunAccounts.
func RunReviews(t *testing.T, open Open, limits Limits) {
	s := suite{t, open, limits}
	s.updates(reviewsDomain, accountsDomain)
	s.outbox(reviewsDomain, accountsDomain)
	s.idempotency(reviewsDomain)
	s.forgetting(reviewsDomain, accountsDomain)
	s.reviews()
	s.ratings()
	s.reviewLists()
	s.reviewTransfer()
	s.belowReviews()
}

func (s suite) reviews() {
	s.run("InsertReviews adds reviews and returns them with their ids, and each is found by it and by course and user", func(t *testing.T, b *storage.Backend) {
		var want []reviews.Review
		for i, text := range awkward {
			given := newReview(7, core.UserID(i+1), 1+i%5)
			given.Text, given.Reason, given.Status, given.Trust = text, text, reviews.Statuses[i%4], i*10
			given.CreatedAt, given.UpdatedAt = zoned(day), zoned(day.Add(time.Hour))
			given.Version, given.Helpful, given.Comments, given.Reports = 9, 9, 9, 9 // which an insert does not take
			if i%2 == 1 {
				given.Reply = reviews.Reply{Text: text, By: reviews.Person{ID: 44}, At: zoned(day.Add(2 * time.Hour))}
			}
			got := addReviews(t, b, given)[0]
			require.NotZero(t, got.ID)
			utc(t, day, got.CreatedAt)
			utc(t, day.Add(time.Hour), got.UpdatedAt)
			given.ID, given.CreatedAt, given.UpdatedAt, given.Reply.At = got.ID, got.CreatedAt, got.UpdatedAt, got.Reply.At
			given.Version, given.Helpful, given.Comments, given.Reports = 1, 0, 0, 0
			require.Equal(t, given, got)
			want = append(want, got)
		}
		for _, r := range want {
			require.Equal(t, r, reviewNow(t, b, r.ID))
			got, err := b.Reviews.ReviewOf(timeout(t), 7, r.User)
			require.NoError(t, err)
			require.Equal(t, r, got)
		}
		_, err := b.Reviews.ReviewByID(timeout(t), 404404)
		require.ErrorIs(t, err, reviews.ErrReviewNotFound)
		_, err = b.Reviews.ReviewOf(timeout(t), 8, 1)
		require.ErrorIs(t, err, reviews.ErrReviewNotFound)
	})
	s.run("InsertReviews of a user who has one of the course is ErrReviewed, adds none of the list and leaves the Tx usable", func(t *testing.T, b *storage.Backend) {
		first := addReviews(t, b, newReview(1, 1, 5))[0]
		inReviews(t, b, func(ctx context.Context, tx reviews.Tx) error {
			_, err := tx.InsertReviews(ctx, newReview(1, 1, 2))
			if err := expect(err, reviews.ErrReviewed); err != nil {
				return err
			}
			for _, list := range [][]reviews.Review{{newReview(3, 1, 2), newReview(1, 1, 2)}, {newReview(3, 1, 2), newReview(3, 1, 3)}} {
				if _, err = tx.InsertReviews(ctx, list...); !errors.Is(err, reviews.ErrReviewed) {
					return fmt.Errorf("a list with a conflict: %w", err)
				}
			}
			_, err = tx.InsertReviews(ctx, newReview(2, 1, 2))
			return err
		})
		require.Equal(t, first, reviewNow(t, b, first.ID))
		_, err := b.Reviews.ReviewOf(timeout(t), 2, 1)
		require.NoError(t, err)
		_, err = b.Reviews.ReviewOf(timeout(t), 3, 1)
		require.ErrorIs(t, err, reviews.ErrReviewNotFound)
	})
	s.run("UpdateReview writes what is said of it, makes the version one more and leaves the rest", func(t *testing.T, b *storage.Backend) {
		list := addReviews(t, b, newReview(1, 1, 5), newReview(1, 2, 5))
		want := list[0]
		want.Rating, want.Text, want.Status, want.Reason, want.Trust = 1, awkward[0], reviews.Hidden, awkward[1], 99
		want.Reply = reviews.Reply{Text: awkward[2], By: reviews.Person{ID: 5}, At: day.Add(time.Hour)}
		want.UpdatedAt = day.Add(2 * time.Hour)
		given := want
		given.Course, given.User, given.Helpful, given.Comments, given.Reports, given.Version, given.CreatedAt = 9, 9, 9, 9, 9, 77, day.Add(time.Hour)
		inReviews(t, b, func(ctx context.Context, tx reviews.Tx) error {
			if err := expect(tx.UpdateReview(ctx, reviews.Review{ID: 404404, Rating: 1, Status: reviews.Pending}), reviews.ErrReviewNotFound); err != nil {
				return err
			}
			return tx.UpdateReview(ctx, given)
		})
		want.Version = 2
		require.Equal(t, want, reviewNow(t, b, want.ID))
		require.Equal(t, list[1], reviewNow(t, b, list[1].ID), "another review")
		err := b.Reviews.Update(timeout(t), func(ctx context.Context, tx reviews.Tx) error {
			given.Text = "a\x00b"
			return tx.UpdateReview(ctx, given)
		})
		require.ErrorIs(t, err, core.ErrInvalid)
	})
	s.run("DeleteReview removes a review with all below it, its history stays, and its user may write again", func(t *testing.T, b *storage.Backend) {
		list := addReviews(t, b, newReview(1, 1, 5), newReview(1, 2, 4))
		inReviews(t, b, func(ctx context.Context, tx reviews.Tx) error {
			var errs []error
			for _, r := range list {
				_, voteErr := tx.SetVote(ctx, r.ID, 3, true, day)
				_, commentErr := tx.InsertComment(ctx, reviews.Comment{Review: r.ID, User: 3, Text: "Yes", CreatedAt: day})
				_, reportErr := tx.InsertReport(ctx, reviews.Report{Review: r.ID, User: 3, Reason: reviews.Spam, At: day})
				errs = append(errs, voteErr, commentErr, reportErr, tx.AddRevision(ctx, reviews.Revision{Review: r.ID, Course: 1, User: r.User, Action: reviews.Edit, Rating: 1, At: day}))
			}
			errs = append(errs, tx.DeleteReview(ctx, list[0].ID), expect(tx.DeleteReview(ctx, list[0].ID), reviews.ErrReviewNotFound))
			return errors.Join(errs...)
		})
		for i, left := range []int{0, 1} {
			comments, err := b.Reviews.Comments(timeout(t), list[i].ID, 0, 10)
			require.NoError(t, err)
			require.Len(t, comments, left)
			reports, err := b.Reviews.Reports(timeout(t), list[i].ID, 0, 10)
			require.NoError(t, err)
			require.Len(t, reports, left)
			voted, err := b.Reviews.Voted(timeout(t), 3, []reviews.ReviewID{list[i].ID})
			require.NoError(t, err)
			require.Len(t, voted, left)
			history, err := b.Reviews.History(timeout(t), list[i].ID, 0, 10)
			require.NoError(t, err)
			require.Len(t, history, 1)
		}
		again := addReviews(t, b, newReview(1, 1, 3))[0]
		require.NotEqual(t, list[0].ID, again.ID, "an id is not given twice: the history is of the first")
		verified(t, b, list[1].ID)
	})
	s.run("ReviewForUpdate keeps others from changing a review until the end of the transaction", func(t *testing.T, b *storage.Backend) {
		r := addReviews(t, b, newReview(1, 1, 5))[0]
		const workers = 6
		each := size(30, 8)
		counted(t, workers, each, func() error {
			return b.Reviews.Update(context.Background(), func(ctx context.Context, tx reviews.Tx) error {
				now, err := tx.ReviewForUpdate(ctx, r.ID)
				if err != nil {
					return err
				}
				now.Text += "x"
				return tx.UpdateReview(ctx, now)
			})
		})
		got := reviewNow(t, b, r.ID)
		require.Len(t, got.Text, len(r.Text)+workers*each, "an update was lost")
		require.EqualValues(t, 1+workers*each, got.Version)
	})
	s.run("Deleted returns what a user has deleted, of one course or of any, the newest first", func(t *testing.T, b *storage.Backend) {
		inReviews(t, b, func(ctx context.Context, tx reviews.Tx) error {
			for i, r := range []reviews.Revision{
				{Course: 3, User: 4, Action: reviews.Delete},
				{Course: 3, User: 4, Action: reviews.Edit},
				{Course: 5, User: 4, Action: reviews.Delete},
				{Course: 3, User: 6, Action: reviews.Delete},
				{Course: 3, User: 4, Action: reviews.Delete},
			} {
				r.Review, r.Rating, r.Status, r.At = reviews.ReviewID(i+1), 1, reviews.Hidden, day
				if err := tx.AddRevision(ctx, r); err != nil {
					return err
				}
			}
			return nil
		})
		for _, c := range []struct {
			course courses.CourseID
			limit  int
			want   []reviews.ReviewID
		}{{0, 9, []reviews.ReviewID{5, 3, 1}}, {3, 9, []reviews.ReviewID{5, 1}}, {3, 1, []reviews.ReviewID{5}}, {7, 9, nil}} {
			found, err := b.Reviews.Deleted(timeout(t), 4, c.course, c.limit)
			require.NoError(t, err)
			var got []reviews.ReviewID
			for _, r := range found {
				require.Equal(t, reviews.Hidden, r.Status)
				got = append(got, r.Review)
			}
			require.Equal(t, c.want, got)
		}
	})
	s.run("History returns the revisions of a review, the newest first, behind an id", func(t *testing.T, b *storage.Backend) {
		inReviews(t, b, func(ctx context.Context, tx reviews.Tx) error {
			for i := range 5 {
				for review := range 2 {
					if err := tx.AddRevision(ctx, reviews.Revision{
						Review: reviews.ReviewID(review + 1), Course: 3, User: 4, Action: reviews.Hide, Rating: i + 1, Text: awkward[i], Status: reviews.Pending,
						Reason: awkward[i+1], By: reviews.Person{ID: 5}, At: zoned(day.Add(time.Duration(i) * time.Hour)),
					}); err != nil {
						return err
					}
				}
			}
			return nil
		})
		var got []reviews.Revision
		for before := int64(0); ; before = got[len(got)-1].ID {
			page, err := b.Reviews.History(timeout(t), 2, before, 2)
			require.NoError(t, err)
			if got = append(got, page...); len(page) < 2 {
				break
			}
		}
		require.Len(t, got, 5)
		for i, r := range got {
			i = 4 - i
			utc(t, day.Add(time.Duration(i)*time.Hour), r.At)
			require.NotZero(t, r.ID)
			r.ID, r.At = 0, time.Time{}
			require.Equal(t, reviews.Revision{
				Review: 2, Course: 3, User: 4, Action: reviews.Hide, Rating: i + 1, Text: awkward[i], Status: reviews.Pending, Reason: awkward[i+1], By: reviews.Person{ID: 5},
			}, r)
		}
	})
}

// verified fails the test when the backend's own rules find something, but for the
// numbers of courses, which these cases leave alone.
func verified(t testing.TB, b *storage.Backend, id reviews.ReviewID) {
	t.Helper()
	r := reviewNow(t, b, id)
	ctx := timeout(t)
	comments, err := b.Reviews.Comments(ctx, id, 0, 1000)
	require.NoError(t, err)
	require.Len(t, comments, r.Comments)
	reports, err := b.Reviews.Reports(ctx, id, 0, 1000)
	require.NoError(t, err)
	open := 0
	for _, p := range reports {
		if !p.Handled {
			open++
		}
	}
	require.Equal(t, open, r.Reports, fmt.Sprint(reports))
}
