package storagetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/reviews"
	"github.com/ustat/ustat/storage"
)

// ratings are the cases of the numbers of courses.
func (s suite) ratings() {
	s.run("StatsForUpdate of a course that has none are all 0, and UpdateStats writes them", func(t *testing.T, b *storage.Backend) {
		want := reviews.Stats{Course: 3, Count: 15, Sum: 55, Histogram: [5]int64{1, 2, 3, 4, 5}, Version: 8}
		inReviews(t, b, func(ctx context.Context, tx reviews.Tx) error {
			got, err := tx.StatsForUpdate(ctx, 3)
			if err != nil || got != (reviews.Stats{Course: 3}) {
				return fmt.Errorf("%+v: %w", got, err)
			}
			if err := tx.UpdateStats(ctx, want, courses.Heat{}); err != nil {
				return err
			}
			if got, err = tx.StatsForUpdate(ctx, 3); err != nil || got != want {
				return fmt.Errorf("%+v: %w", got, err)
			}
			return nil
		})
		got, err := b.Reviews.StatsOf(timeout(t), []courses.CourseID{3, 4, 3})
		require.NoError(t, err)
		require.Equal(t, []reviews.Stats{want}, got)
	})
	s.run("StatsForUpdate keeps others from the numbers until the end of the transaction, also the first time", func(t *testing.T, b *storage.Backend) {
		const workers = 6
		each := size(30, 8)
		counted(t, workers, each, func() error {
			return b.Reviews.Update(context.Background(), func(ctx context.Context, tx reviews.Tx) error {
				now, err := tx.StatsForUpdate(ctx, 3)
				if err != nil {
					return err
				}
				now.Count, now.Sum, now.Histogram[3], now.Version = now.Count+1, now.Sum+4, now.Histogram[3]+1, now.Version+1
				return tx.UpdateStats(ctx, now, courses.Heat{})
			})
		})
		got, err := b.Reviews.StatsOf(timeout(t), []courses.CourseID{3})
		require.NoError(t, err)
		const n = workers
		require.Equal(t, []reviews.Stats{{Course: 3, Count: int64(n * each), Sum: int64(4 * n * each), Histogram: [5]int64{3: int64(n * each)}, Version: int64(n * each)}}, got)
	})
	s.run("CountRatings counts the published reviews of a course, and has the stored version", func(t *testing.T, b *storage.Backend) {
		want := reviews.Stats{Course: 1}
		var list []reviews.Review
		for i := range 40 {
			r := newReview(courses.CourseID(1+i%2), core.UserID(i+1), 1+i%5)
			r.Status = reviews.Statuses[i/2%4]
			list = append(list, r)
			if r.Course == 1 && r.Status == reviews.Published {
				want.Count++
				want.Sum += int64(r.Rating)
				want.Histogram[r.Rating-1]++
			}
		}
		addReviews(t, b, list...)
		want.Version = 5
		inReviews(t, b, func(ctx context.Context, tx reviews.Tx) error {
			if _, err := tx.StatsForUpdate(ctx, 1); err != nil {
				return err
			}
			if err := tx.UpdateStats(ctx, reviews.Stats{Course: 1, Version: 5}, courses.Heat{}); err != nil {
				return err
			}
			got, err := tx.CountRatings(ctx, 1)
			if err != nil || got != want {
				return fmt.Errorf("%+v instead of %+v: %w", got, want, err)
			}
			none, err := tx.CountRatings(ctx, 9)
			if err != nil || none != (reviews.Stats{Course: 9}) {
				return fmt.Errorf("%+v: %w", none, err)
			}
			return nil
		})
	})
	s.run("RatedCourses returns the courses that have reviews or numbers, in order, behind an id", func(t *testing.T, b *storage.Backend) {
		var list []reviews.Review
		for _, course := range []courses.CourseID{8, 2, 5, 3} {
			for user := range 3 {
				list = append(list, newReview(course, core.UserID(user+1), 5))
			}
		}
		addReviews(t, b, list...)
		inReviews(t, b, func(ctx context.Context, tx reviews.Tx) error {
			for _, course := range []courses.CourseID{4, 5, 9} {
				if _, err := tx.StatsForUpdate(ctx, course); err != nil {
					return err
				}
			}
			return nil
		})
		want := []courses.CourseID{2, 3, 4, 5, 8, 9}
		for limit := 1; limit < 8; limit++ {
			var got []courses.CourseID
			for after := courses.CourseID(0); ; after = got[len(got)-1] {
				page, err := b.Reviews.RatedCourses(timeout(t), after, limit)
				require.NoError(t, err)
				require.LessOrEqual(t, len(page), limit)
				if got = append(got, page...); len(page) < limit {
					break
				}
			}
			require.Equal(t, want, got)
		}
	})
	if s.limits.ReviewsApart {
		return
	}
	s.run("UpdateStats shows the numbers in the courses that are kept beside the reviews", func(t *testing.T, b *storage.Backend) {
		sh := newShelf(t, b)
		list := insertCourses(t, b, course("one", sh.teachers[0]), course("two", sh.teachers[0]), course("three", sh.teachers[0]))
		inReviews(t, b, func(ctx context.Context, tx reviews.Tx) error {
			for i, s := range []reviews.Stats{
				{Course: list[0].ID, Count: 1, Sum: 1, Histogram: [5]int64{1}, Version: 1},
				{Course: list[2].ID, Count: 2, Sum: 10, Histogram: [5]int64{4: 2}, Version: 1},
			} {
				if _, err := tx.StatsForUpdate(ctx, s.Course); err != nil {
					return fmt.Errorf("%d: %w", i, err)
				}
				if err := tx.UpdateStats(ctx, s, courses.Heat{}); err != nil {
					return err
				}
			}
			return nil
		})
		hits, err := b.Courses.ListCourses(timeout(t), courses.ListQuery{Status: courses.Published, Sort: courses.Rating, Limit: 10})
		require.NoError(t, err)
		require.Len(t, hits, 3)
		require.Equal(t, []string{"three", "one", "two"}, []string{hits[0].Course.Slug, hits[1].Course.Slug, hits[2].Course.Slug})
		require.Equal(t, courses.Stats{ReviewCount: 2, RatingSum: 10}, hits[0].Course.Stats)
	})
}

// refs are the cases of what other domains ask of courses.
func (s suite) refs() {
	s.run("RefBySlug and RefsByID return what other domains know of a course by one statement", func(t *testing.T, b *storage.Backend) {
		sh := newShelf(t, b)
		draft := course("draft", sh.teachers[1])
		draft.Status = courses.Draft
		list := insertCourses(t, b, course("one", sh.teachers[0]), draft)
		want := make([]courses.Ref, len(list))
		for i, c := range list {
			want[i] = courses.Ref{ID: c.ID, Slug: c.Slug, Title: c.Title, Status: c.Status, Teacher: c.Teacher.ID, Category: c.Category.ID}
			ctx, queries := storage.CountQueries(timeout(t))
			got, err := b.Courses.RefBySlug(ctx, c.Slug)
			require.NoError(t, err)
			require.Equal(t, want[i], got)
			require.Equal(t, 1, queries.Count())
		}
		ctx, queries := storage.CountQueries(timeout(t))
		got, err := b.Courses.RefsByID(ctx, []courses.CourseID{list[1].ID, 404404, list[0].ID})
		require.NoError(t, err)
		require.ElementsMatch(t, want, got)
		require.Equal(t, 1, queries.Count())
		for _, slug := range []string{"none", "", "a\x00b"} {
			_, err := b.Courses.RefBySlug(timeout(t), slug)
			require.ErrorIs(t, err, courses.ErrCourseNotFound)
		}
	})
	s.run("RefsByTeachers returns the courses of teachers, whatever their status, the youngest first", func(t *testing.T, b *storage.Backend) {
		sh := newShelf(t, b)
		draft := course("draft", sh.teachers[1])
		draft.Status = courses.Draft
		list := insertCourses(t, b, course("one", sh.teachers[0]), draft, course("three", sh.teachers[0]))
		slugs := func(limit int, teachers ...core.UserID) (slugs []string) {
			ctx, queries := storage.CountQueries(timeout(t))
			got, err := b.Courses.RefsByTeachers(ctx, teachers, limit)
			require.NoError(t, err)
			require.LessOrEqual(t, queries.Count(), 1)
			for _, ref := range got {
				slugs = append(slugs, ref.Slug)
			}
			return slugs
		}
		one, two := list[0].Teacher.ID, list[1].Teacher.ID
		require.Equal(t, []string{"three", "one"}, slugs(10, one))
		require.Equal(t, []string{"three", "draft", "one"}, slugs(10, two, one))
		require.Equal(t, []string{"three", "draft"}, slugs(2, two, one))
		require.Empty(t, slugs(10))
		require.Empty(t, slugs(10, 404404))
	})
	s.run("SetRating writes the numbers of reviews unless those that are there are as new, and nothing else, and ReviewNumbers and TeacherNumbers read them", func(t *testing.T, b *storage.Backend) {
		sh := newShelf(t, b)
		list := insertCourses(t, b, course("one", sh.teachers[0]), course("two", sh.teachers[0]))
		set := func(id courses.CourseID, r courses.ReviewNumbers) {
			write(t, b, func(ctx context.Context, tx courses.Tx) error { return tx.SetRating(ctx, id, r) })
		}
		set(list[0].ID, courses.ReviewNumbers{Count: 3, Sum: 12, Version: 5})
		set(list[0].ID, courses.ReviewNumbers{Count: 9, Sum: 9, Version: 5})
		set(list[0].ID, courses.ReviewNumbers{Count: 9, Sum: 9, Version: 4})
		set(404404, courses.ReviewNumbers{Count: 9, Sum: 9, Version: 9})
		ctx, queries := storage.CountQueries(timeout(t))
		numbers, err := b.Courses.ReviewNumbers(ctx, []courses.CourseID{list[1].ID, 404404, list[0].ID})
		require.NoError(t, err)
		require.Equal(t, map[courses.CourseID]courses.ReviewNumbers{list[0].ID: {Count: 3, Sum: 12, Version: 5}, list[1].ID: {}}, numbers)
		require.Equal(t, 1, queries.Count())
		want := list[0]
		want.Stats = courses.Stats{ReviewCount: 3, RatingSum: 12}
		got, err := b.Courses.CourseBySlug(timeout(t), "one")
		require.NoError(t, err)
		require.Equal(t, want.Stats, got.Stats)
		require.Equal(t, [2]any{want.Version, want.UpdatedAt}, [2]any{got.Version, got.UpdatedAt})
		set(list[1].ID, courses.ReviewNumbers{Count: 2, Sum: 3, Version: 1})
		for i, want := range []courses.ReviewNumbers{{Count: 5, Sum: 15}, {}} {
			got, err := b.Courses.TeacherNumbers(timeout(t), sh.teachers[i])
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
		set(list[0].ID, courses.ReviewNumbers{Version: 6})
		got, err = b.Courses.CourseBySlug(timeout(t), "one")
		require.NoError(t, err)
		require.Zero(t, got.Stats)
	})
}

// belowReviews are the cases of votes, comments, reports of abuse and of forgetting.
func (s suite) belowReviews() {
	s.run("SetVote adds a vote or takes it away, once, and Voted returns those of a user by one statement", func(t *testing.T, b *storage.Backend) {
		list := addReviews(t, b, newReview(1, 1, 5), newReview(1, 2, 5), newReview(1, 3, 5))
		vote := func(r int, user core.UserID, on, want bool) {
			t.Helper()
			inReviews(t, b, func(ctx context.Context, tx reviews.Tx) error {
				changed, err := tx.SetVote(ctx, list[r].ID, user, on, day)
				if err == nil && changed != want {
					err = fmt.Errorf("changed: %t", changed)
				}
				return err
			})
		}
		vote(0, 7, false, false)
		vote(0, 7, true, true)
		vote(0, 7, true, false)
		vote(0, 8, true, true)
		vote(1, 7, true, true)
		vote(2, 7, true, true)
		vote(2, 7, false, true)
		for i, want := range []int{2, 1, 0} {
			got := reviewNow(t, b, list[i].ID)
			require.Equal(t, want, got.Helpful)
			require.EqualValues(t, 1, got.Version)
		}
		ctx, queries := storage.CountQueries(timeout(t))
		voted, err := b.Reviews.Voted(ctx, 7, []reviews.ReviewID{list[2].ID, list[0].ID, list[1].ID})
		require.NoError(t, err)
		require.ElementsMatch(t, []reviews.ReviewID{list[0].ID, list[1].ID}, voted)
		require.Equal(t, 1, queries.Count())
	})
	s.run("comments are added and removed with their count, and come by id", func(t *testing.T, b *storage.Backend) {
		list := addReviews(t, b, newReview(1, 1, 5), newReview(1, 2, 5))
		var want []reviews.Comment
		inReviews(t, b, func(ctx context.Context, tx reviews.Tx) error {
			for i, text := range awkward[:5] {
				for _, r := range list {
					c, err := tx.InsertComment(ctx, reviews.Comment{Review: r.ID, User: core.UserID(i), Text: text, CreatedAt: zoned(day)})
					if err != nil {
						return err
					}
					if r.ID == list[0].ID {
						want = append(want, c)
					}
				}
			}
			return errors.Join(
				expect(tx.DeleteComment(ctx, list[1].ID, want[1].ID), reviews.ErrCommentNotFound),
				tx.DeleteComment(ctx, list[0].ID, want[1].ID),
				expect(tx.DeleteComment(ctx, list[0].ID, want[1].ID), reviews.ErrCommentNotFound),
			)
		})
		_, err := b.Reviews.CommentByID(timeout(t), want[1].ID)
		require.ErrorIs(t, err, reviews.ErrCommentNotFound)
		want = append(want[:1], want[2:]...)
		var got []reviews.Comment
		for after := reviews.CommentID(0); ; after = got[len(got)-1].ID {
			page, err := b.Reviews.Comments(timeout(t), list[0].ID, after, 2)
			require.NoError(t, err)
			if got = append(got, page...); len(page) < 2 {
				break
			}
		}
		require.Equal(t, want, got)
		utc(t, day, got[0].CreatedAt)
		one, err := b.Reviews.CommentByID(timeout(t), want[2].ID)
		require.NoError(t, err)
		require.Equal(t, want[2], one)
		require.Equal(t, []int{4, 5}, []int{reviewNow(t, b, list[0].ID).Comments, reviewNow(t, b, list[1].ID).Comments})
	})
	s.run("InsertReport adds one a user and review, and HandleReports marks all of a review", func(t *testing.T, b *storage.Backend) {
		list := addReviews(t, b, newReview(1, 1, 5), newReview(1, 2, 5))
		report := func(r reviews.Report, want bool) {
			t.Helper()
			inReviews(t, b, func(ctx context.Context, tx reviews.Tx) error {
				added, err := tx.InsertReport(ctx, r)
				if err == nil && added != want {
					err = fmt.Errorf("added: %t", added)
				}
				return err
			})
		}
		first := reviews.Report{Review: list[0].ID, User: 9, Reason: reviews.Fake, Note: awkward[1], At: zoned(day)}
		report(first, true)
		report(reviews.Report{Review: list[0].ID, User: 9, Reason: reviews.Spam, At: day}, false)
		report(reviews.Report{Review: list[0].ID, User: 8, Reason: reviews.Spam, At: day}, true)
		report(reviews.Report{Review: list[1].ID, User: 9, Reason: reviews.Spam, At: day}, true)
		inReviews(t, b, func(ctx context.Context, tx reviews.Tx) error { return tx.HandleReports(ctx, list[0].ID) })
		report(reviews.Report{Review: list[0].ID, User: 9, Reason: reviews.Spam, At: day}, false)
		report(reviews.Report{Review: list[0].ID, User: 10, Reason: reviews.Spam, At: day.Add(-time.Hour)}, true) // by user, not by time
		require.Equal(t, []int{1, 1}, []int{reviewNow(t, b, list[0].ID).Reports, reviewNow(t, b, list[1].ID).Reports})
		got, err := b.Reviews.Reports(timeout(t), list[0].ID, 8, 2)
		require.NoError(t, err)
		require.Len(t, got, 2)
		utc(t, day, got[0].At)
		first.At, first.Handled = got[0].At, true
		require.Equal(t, first, got[0])
		require.False(t, got[1].Handled)
		verified(t, b, list[0].ID)
		others, err := b.Reviews.Reports(timeout(t), list[1].ID, 0, 2)
		require.NoError(t, err)
		require.Len(t, others, 1)
		require.False(t, others[0].Handled, "of another review")
	})
	s.run("ForgetUser removes what a user left on the reviews of others, with their numbers, and their own history", func(t *testing.T, b *storage.Backend) {
		var list []reviews.Review
		for i := range 7 {
			list = append(list, newReview(1, core.UserID(i+1), 5))
		}
		list = addReviews(t, b, list...)
		inReviews(t, b, func(ctx context.Context, tx reviews.Tx) error {
			var errs []error
			for i, r := range list {
				r.Reply = reviews.Reply{Text: "Thanks", By: reviews.Person{ID: core.UserID(90 + i%2)}, At: day}
				errs = append(errs, tx.UpdateReview(ctx, r))
				for user := core.UserID(90); user < 92; user++ {
					_, voteErr := tx.SetVote(ctx, r.ID, user, true, day)
					_, oneErr := tx.InsertComment(ctx, reviews.Comment{Review: r.ID, User: user, Text: "One", CreatedAt: day})
					_, twoErr := tx.InsertComment(ctx, reviews.Comment{Review: r.ID, User: user, Text: "Two", CreatedAt: day})
					_, reportErr := tx.InsertReport(ctx, reviews.Report{Review: r.ID, User: user, Reason: reviews.Spam, At: day})
					errs = append(errs, voteErr, oneErr, twoErr, reportErr, tx.AddRevision(ctx, reviews.Revision{Review: r.ID, Course: 1, User: user, Action: reviews.Edit, At: day}))
				}
				errs = append(errs, tx.AddRevision(ctx, reviews.Revision{Review: r.ID, Course: 1, User: 91, By: reviews.Person{ID: 90}, Action: reviews.Edit, At: day}))
				if i == 2 {
					errs = append(errs, tx.HandleReports(ctx, r.ID))
				}
			}
			return errors.Join(errs...)
		})
		total, rounds := 0, 0
		for n := 1; n > 0; rounds++ {
			inReviews(t, b, func(ctx context.Context, tx reviews.Tx) (err error) {
				n, err = tx.ForgetUser(ctx, 90, 3)
				return err
			})
			total += n
			require.Less(t, rounds, 50)
		}
		require.Equal(t, 7*5+4, total)
		require.Greater(t, rounds, 2, "more than limit at once")
		for i, r := range list {
			now := reviewNow(t, b, r.ID)
			reports := 1
			if i == 2 {
				reports = 0
			}
			require.Equal(t, []int{1, 2, reports}, []int{now.Helpful, now.Comments, now.Reports})
			if i%2 == 0 {
				require.Equal(t, []any{reviews.Reply{}, int64(3)}, []any{now.Reply, now.Version})
			} else {
				require.Equal(t, []any{"Thanks", core.UserID(91), int64(2)}, []any{now.Reply.Text, now.Reply.By.ID, now.Version})
			}
			verified(t, b, r.ID)
			history, err := b.Reviews.History(timeout(t), r.ID, 0, 10)
			require.NoError(t, err)
			require.Len(t, history, 2, "what was done to the texts of others stays")
			require.Equal(t, []core.UserID{91, 91}, []core.UserID{history[0].User, history[1].User})
		}
		voted, err := b.Reviews.Voted(timeout(t), 90, []reviews.ReviewID{list[0].ID})
		require.NoError(t, err)
		require.Empty(t, voted)
	})
}
