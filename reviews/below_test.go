package reviews_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/reviews"
)

func TestTheCourseSideReplies(t *testing.T) {
	onBoth(t, reviews.Options{}, func(t *testing.T, w *world) {
		c := w.course(t, "a", courses.Published)
		people := w.students(t, 2, c)
		r := w.add(t, people[0], "a", 2)
		for by, want := range map[core.Actor]error{w.nobody: core.ErrUnauthenticated, people[0]: core.ErrForbidden, people[1]: core.ErrForbidden, w.bob: core.ErrForbidden} {
			_, err := w.SetReply(t.Context(), by, r.ID, reviews.NewText{Text: "Thanks"})
			require.ErrorIs(t, err, want)
			_, err = w.DeleteReply(t.Context(), by, r.ID)
			require.ErrorIs(t, err, want)
		}
		for bad, want := range map[string]string{" \n": "text:required", strings.Repeat("я", reviews.MaxText+1): "text:max"} {
			_, err := w.SetReply(t.Context(), w.ann, r.ID, reviews.NewText{Text: bad})
			require.Equal(t, []string{want}, codes(t, err))
		}
		for i, by := range []core.Actor{w.ann, w.pam, w.admin} {
			now, err := w.SetReply(t.Context(), by, r.ID, reviews.NewText{Text: fmt.Sprint("Thanks ", i)})
			require.NoError(t, err)
			require.Equal(t, []any{fmt.Sprint("Thanks ", i), by.UserID, w.clock.Now(), r.UpdatedAt}, []any{now.Reply.Text, now.Reply.By.ID, now.Reply.At, now.UpdatedAt})
			require.NotEmpty(t, now.Reply.By.Username)
		}
		seen, err := w.Review(t.Context(), w.nobody, r.ID)
		require.NoError(t, err)
		require.Equal(t, "Thanks 2", seen.Reply.Text)
		now, err := w.DeleteReply(t.Context(), w.ann, r.ID)
		require.NoError(t, err)
		require.Zero(t, now.Reply)
		_, err = w.DeleteReply(t.Context(), w.ann, r.ID)
		require.NoError(t, err, "there is none any more")
		_, err = w.Moderate(t.Context(), w.admin, r.ID, reviews.Decision{Action: reviews.Hide, Reason: "x"})
		require.NoError(t, err)
		_, err = w.SetReply(t.Context(), w.ann, r.ID, reviews.NewText{Text: "Hello?"})
		require.ErrorIs(t, err, reviews.ErrReviewNotFound)
		_, err = w.SetReply(t.Context(), w.admin, r.ID, reviews.NewText{Text: "Hello?"})
		require.ErrorIs(t, err, reviews.ErrNotShown)
	})
}

func TestVotesAreOneAUserAndNotOnOnesOwn(t *testing.T) {
	onBoth(t, reviews.Options{}, func(t *testing.T, w *world) {
		c := w.course(t, "a", courses.Published)
		people := w.students(t, 8, c)
		r := w.add(t, people[0], "a", 2)
		_, err := w.Vote(t.Context(), people[0], r.ID, true)
		require.ErrorIs(t, err, reviews.ErrOwnReview)
		_, err = w.Vote(t.Context(), w.nobody, r.ID, true)
		require.ErrorIs(t, err, core.ErrUnauthenticated)
		errs := together(40, func(i int) error {
			_, err := w.Vote(t.Context(), people[1+i%7], r.ID, true)
			return err
		})
		require.NoError(t, errors.Join(errs...))
		n, err := w.Vote(t.Context(), people[1], r.ID, false)
		require.NoError(t, err)
		require.Equal(t, 6, n)
		n, err = w.Vote(t.Context(), people[1], r.ID, false)
		require.NoError(t, err)
		require.Equal(t, 6, n)
		for i, by := range people[:3] {
			page, err := w.List(t.Context(), by, "a", "", core.Page{})
			require.NoError(t, err)
			require.Equal(t, []any{6, i == 2}, []any{page.Items[0].Helpful, page.Items[0].Voted})
		}
		require.NoError(t, w.backend.Verify(t.Context()))
	})
}

func TestCommentsOnAReview(t *testing.T) {
	onBoth(t, reviews.Options{Moderator: reviews.Filter{Words: []string{"bad"}}}, func(t *testing.T, w *world) {
		c := w.course(t, "a", courses.Published)
		people := w.students(t, 3, c)
		r, other := w.add(t, people[0], "a", 2), w.add(t, people[1], "a", 2)
		_, err := w.Comment(t.Context(), w.nobody, r.ID, reviews.NewText{Text: "Hm"})
		require.ErrorIs(t, err, core.ErrUnauthenticated)
		_, err = w.Comment(t.Context(), people[1], r.ID, reviews.NewText{Text: "A BAD word"})
		require.ErrorIs(t, err, reviews.ErrRefused)
		require.Equal(t, []string{"text:word"}, codes(t, err))
		_, err = w.Comment(t.Context(), people[1], r.ID, reviews.NewText{Text: strings.Repeat("я", reviews.MaxComment+1)})
		require.Equal(t, []string{"text:max"}, codes(t, err))
		var want []reviews.Comment
		for i := range 5 {
			in := reviews.NewText{Text: fmt.Sprint("Comment ", i), Key: fmt.Sprint(i)}
			made, err := w.Comment(t.Context(), people[i%3], r.ID, in)
			require.NoError(t, err)
			again, err := w.Comment(t.Context(), people[i%3], r.ID, in)
			require.NoError(t, err)
			require.Equal(t, made, again)
			want = append(want, made)
		}
		var got []reviews.Comment
		for page := (core.Page{Limit: 2}); ; {
			found, err := w.Comments(t.Context(), w.nobody, r.ID, page)
			require.NoError(t, err)
			got = append(got, found.Items...)
			if page.Cursor = found.Next; page.Cursor == "" {
				break
			}
			_, err = w.Comments(t.Context(), w.nobody, other.ID, page)
			require.ErrorIs(t, err, core.ErrCursor, "the cursor of another review")
		}
		require.Equal(t, want, got)
		require.ErrorIs(t, w.DeleteComment(t.Context(), w.nobody, r.ID, want[1].ID), core.ErrUnauthenticated)
		require.ErrorIs(t, w.DeleteComment(t.Context(), people[0], r.ID, want[1].ID), core.ErrForbidden)
		require.ErrorIs(t, w.DeleteComment(t.Context(), people[1], other.ID, want[1].ID), reviews.ErrCommentNotFound)
		require.NoError(t, w.DeleteComment(t.Context(), people[1], r.ID, want[1].ID))
		require.ErrorIs(t, w.DeleteComment(t.Context(), people[1], r.ID, want[1].ID), reviews.ErrCommentNotFound)
		require.NoError(t, w.DeleteComment(t.Context(), w.admin, r.ID, want[2].ID))
		seen, err := w.Review(t.Context(), w.nobody, r.ID)
		require.NoError(t, err)
		require.Equal(t, 3, seen.Comments)
		_, err = w.Moderate(t.Context(), w.admin, r.ID, reviews.Decision{Action: reviews.Hide, Reason: "x"})
		require.NoError(t, err)
		_, err = w.Comments(t.Context(), people[1], r.ID, core.Page{})
		require.ErrorIs(t, err, reviews.ErrReviewNotFound)
		_, err = w.Comment(t.Context(), people[0], r.ID, reviews.NewText{Text: "On my own"})
		require.ErrorIs(t, err, reviews.ErrNotShown)
	})
}

// Whoever teaches a course, or works for who does, does not judge what is said of it.
func TestTheCourseSideNeitherVotesNorReports(t *testing.T) {
	onBoth(t, reviews.Options{}, func(t *testing.T, w *world) {
		c := w.course(t, "a", courses.Published)
		people := w.students(t, 2, c)
		r := w.add(t, people[0], "a", 2)
		for by, want := range map[core.Actor]error{w.ann: reviews.ErrOwnCourse, w.pam: reviews.ErrOwnCourse, w.bob: nil, w.admin: nil} {
			_, err := w.Vote(t.Context(), by, r.ID, true)
			require.ErrorIs(t, err, want)
			require.ErrorIs(t, w.Report(t.Context(), by, r.ID, reviews.NewReport{Reason: reviews.Spam}), want)
		}
		seen, err := w.Review(t.Context(), w.admin, r.ID)
		require.NoError(t, err)
		require.Equal(t, []int{2, 2}, []int{seen.Helpful, seen.Reports})
	})
}

func TestARefusedReplyIsNotWritten(t *testing.T) {
	onBoth(t, reviews.Options{Moderator: reviews.Filter{Words: []string{"bad"}}}, func(t *testing.T, w *world) {
		c := w.course(t, "a", courses.Published)
		r := w.add(t, w.students(t, 1, c)[0], "a", 2)
		_, err := w.SetReply(t.Context(), w.ann, r.ID, reviews.NewText{Text: "You are BAD"})
		require.ErrorIs(t, err, reviews.ErrRefused)
		require.Equal(t, []string{"text:word"}, codes(t, err))
		seen, err := w.Review(t.Context(), w.ann, r.ID)
		require.NoError(t, err)
		require.Zero(t, seen.Reply)
	})
}

// Whoever has left something below a review takes it back also when they see it no longer.
func TestOnesOwnBelowAHiddenReview(t *testing.T) {
	onBoth(t, reviews.Options{}, func(t *testing.T, w *world) {
		c := w.course(t, "a", courses.Published)
		people := w.students(t, 3, c)
		r := w.add(t, people[0], "a", 2)
		comment, err := w.Comment(t.Context(), people[1], r.ID, reviews.NewText{Text: "Hm"})
		require.NoError(t, err)
		n, err := w.Vote(t.Context(), people[1], r.ID, true)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		_, err = w.Moderate(t.Context(), w.admin, r.ID, reviews.Decision{Action: reviews.Hide, Reason: "x"})
		require.NoError(t, err)
		_, err = w.Vote(t.Context(), people[2], r.ID, false)
		require.ErrorIs(t, err, reviews.ErrReviewNotFound, "who has not voted does not learn that it is there")
		_, err = w.Vote(t.Context(), w.nobody, r.ID, false)
		require.ErrorIs(t, err, reviews.ErrReviewNotFound)
		require.ErrorIs(t, w.DeleteComment(t.Context(), people[2], r.ID, comment.ID), reviews.ErrReviewNotFound)
		require.ErrorIs(t, w.DeleteComment(t.Context(), w.nobody, r.ID, comment.ID), reviews.ErrReviewNotFound)
		for _, by := range people[:2] {
			_, err = w.Vote(t.Context(), by, r.ID, true)
			require.Error(t, err)
		}
		n, err = w.Vote(t.Context(), people[1], r.ID, false)
		require.NoError(t, err)
		require.Zero(t, n)
		require.NoError(t, w.DeleteComment(t.Context(), people[1], r.ID, comment.ID))
		seen, err := w.Review(t.Context(), w.admin, r.ID)
		require.NoError(t, err)
		require.Equal(t, []int{0, 0}, []int{seen.Helpful, seen.Comments})
		require.NoError(t, w.backend.Verify(t.Context()))
	})
}

// What somebody does not see is in none of the ways to read, and whoever sees a review
// sees it in all.
func TestEachWayToReadShowsTheSameReviews(t *testing.T) {
	onBoth(t, reviews.Options{}, func(t *testing.T, w *world) {
		_, r := random(t)
		all := []courses.Course{w.course(t, "a", courses.Published), w.course(t, "b", courses.Published), w.course(t, "c", courses.Archived), w.course(t, "d", courses.Draft)}
		people := w.students(t, 6, all...)
		var list []reviews.Review
		for _, c := range all {
			for _, by := range people {
				w.clock.advance(time.Duration(r.IntN(2)) * time.Hour)
				list = append(list, w.insert(t, reviews.Review{ // written while the course was published
					Course: c.ID, User: by.UserID, Rating: 1 + r.IntN(5), Status: reviews.Statuses[r.IntN(4)], CreatedAt: w.clock.Now(), UpdatedAt: w.clock.Now(),
				})[0])
			}
		}
		for _, by := range append([]core.Actor{w.nobody, w.ann, w.pam, w.bob, w.admin}, people[:2]...) {
			for _, c := range all {
				visible := c.Status == courses.Published || by == w.ann || by == w.pam || by == w.admin
				var want []reviews.ReviewID
				var sum int64
				for _, v := range list {
					if v.Course != c.ID {
						continue
					}
					published := visible && v.Status == reviews.Published
					_, err := w.Review(t.Context(), by, v.ID)
					if published || by == w.admin || v.User == by.UserID {
						require.NoError(t, err)
					} else {
						require.ErrorIs(t, err, reviews.ErrReviewNotFound)
						_, err = w.Comments(t.Context(), by, v.ID, core.Page{})
						require.ErrorIs(t, err, reviews.ErrReviewNotFound)
						_, err = w.Vote(t.Context(), by, v.ID, true)
						require.ErrorIs(t, err, reviews.ErrReviewNotFound)
					}
					if published {
						want = append(want, v.ID)
						sum += int64(v.Rating)
					}
				}
				slices.Sort(want)
				for _, sort := range reviews.Sorts {
					ids, err := w.pages(t, true, func(p core.Page) (reviews.Page[reviews.Review], error) {
						return w.List(t.Context(), by, c.Slug, sort, p)
					})
					if !visible {
						require.ErrorIs(t, err, courses.ErrCourseNotFound)
						_, err = w.Summary(t.Context(), by, c.Slug)
						require.ErrorIs(t, err, courses.ErrCourseNotFound)
						continue
					}
					require.NoError(t, err)
					slices.Sort(ids)
					require.Equal(t, want, ids)
					stats, err := w.Summary(t.Context(), by, c.Slug)
					require.NoError(t, err)
					require.Equal(t, [2]int64{int64(len(want)), sum}, [2]int64{stats.Count, stats.Sum})
				}
			}
			if by.IsAnonymous() {
				continue
			}
			ids, err := w.pages(t, false, func(p core.Page) (reviews.Page[reviews.Review], error) {
				return w.Own(t.Context(), by, reviews.Choice{}, p)
			})
			require.NoError(t, err)
			n := 0
			for _, v := range list {
				if v.User == by.UserID {
					n++
					require.Contains(t, ids, v.ID)
				}
			}
			require.Len(t, ids, n)
		}
		ids, err := w.pages(t, true, func(p core.Page) (reviews.Page[reviews.Review], error) {
			return w.All(t.Context(), w.admin, reviews.Choice{}, p)
		})
		require.NoError(t, err)
		require.Len(t, ids, len(list))
	})
}

// pages reads a list to its end, in which courses are named unless the actor may not see
// them.
func (w *world) pages(t testing.TB, named bool, read func(p core.Page) (reviews.Page[reviews.Review], error)) (ids []reviews.ReviewID, err error) {
	t.Helper()
	for page := (core.Page{Limit: 2}); ; {
		found, err := read(page)
		if err != nil {
			return nil, err
		}
		for _, r := range found.Items {
			require.True(t, r.Slug != "" || !named)
			require.NotEmpty(t, r.Author.Username)
			require.NotContains(t, ids, r.ID)
			ids = append(ids, r.ID)
		}
		if page.Cursor = found.Next; page.Cursor == "" {
			return ids, nil
		}
	}
}

func TestACursorIsOfItsListAlone(t *testing.T) {
	onBoth(t, reviews.Options{}, func(t *testing.T, w *world) {
		a, b := w.course(t, "a", courses.Published), w.course(t, "b", courses.Published)
		for _, by := range w.students(t, 3, a, b) {
			w.add(t, by, "a", 5)
			w.add(t, by, "b", 5)
		}
		page, err := w.List(t.Context(), w.nobody, "a", reviews.Recent, core.Page{Limit: 1})
		require.NoError(t, err)
		require.NotEmpty(t, page.Next)
		next := core.Page{Limit: 1, Cursor: page.Next}
		_, err = w.List(t.Context(), w.nobody, "b", reviews.Recent, next)
		require.ErrorIs(t, err, core.ErrCursor)
		_, err = w.List(t.Context(), w.nobody, "a", reviews.Rating, next)
		require.ErrorIs(t, err, core.ErrCursor)
		_, err = w.All(t.Context(), w.admin, reviews.Choice{}, next)
		require.ErrorIs(t, err, core.ErrCursor)
		_, err = w.List(t.Context(), w.nobody, "a", "odd", core.Page{})
		require.ErrorIs(t, err, core.ErrInvalid)
		_, err = w.All(t.Context(), w.admin, reviews.Choice{Status: "odd"}, core.Page{})
		require.ErrorIs(t, err, core.ErrInvalid)
	})
}
