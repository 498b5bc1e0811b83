package reviews_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/reviews"
	"github.com/ustat/ustat/storage"
)

// The fixture of the seed system's error: a join of reviews and enrollments that
// multiplied them.
func TestNumbersAreThoseOfTheFixture(t *testing.T) {
	onBoth(t, reviews.Options{}, func(t *testing.T, w *world) {
		a, b := w.course(t, "a", courses.Published), w.course(t, "b", courses.Published)
		w.course(t, "n", courses.Published)
		students := w.students(t, 4, a, b)
		var list []reviews.Review
		for i, rating := range []int{5, 5, 4, 1} {
			list = append(list, w.add(t, students[i], "a", rating))
		}
		w.add(t, students[0], "b", 5)
		w.learners.set(a.ID, students[2].UserID, reviews.Learner{}) // whose money went back
		stats := w.numbers(t, "a", [5]int64{1, 0, 0, 1, 2})
		average, rated := stats.Average()
		require.True(t, rated)
		require.Equal(t, 3.75, average)
		_, rated = w.numbers(t, "n", [5]int64{}).Average()
		require.False(t, rated)

		require.NoError(t, w.Delete(t.Context(), students[3], list[3].ID, 0))
		average, _ = w.numbers(t, "a", [5]int64{0, 0, 0, 1, 2}).Average()
		require.InDelta(t, 4.6667, average, 0.0001)
		require.EqualValues(t, 5, w.numbers(t, "a", [5]int64{0, 0, 0, 1, 2}).Version)

		top, err := w.courses.Top(t.Context(), 10)
		require.NoError(t, err)
		require.Len(t, top, 2, "what is not rated is not on top")
		require.Equal(t, []string{"a", "b"}, []string{top[0].Slug, top[1].Slug})
	})
}

func TestWhoMayReviewAndWhyNot(t *testing.T) {
	onBoth(t, reviews.Options{MinPercent: 40}, func(t *testing.T, w *world) {
		c := w.course(t, "a", courses.Published)
		w.course(t, "draft", courses.Draft)
		sam, tim := w.students(t, 1)[0], w.students(t, 1)[0]
		w.learners.set(c.ID, tim.UserID, reviews.Learner{Enrolled: true, Percent: 39})
		for _, by := range []core.Actor{w.ann, w.pam, w.bob, w.admin} {
			w.learners.set(c.ID, by.UserID, reviews.Learner{Enrolled: true, Percent: 100})
		}
		check := func(by core.Actor, want ...string) {
			t.Helper()
			e, err := w.Eligibility(t.Context(), by, "a")
			require.NoError(t, err)
			require.Equal(t, want, e.Reasons)
			require.Equal(t, len(want) == 0, e.Allowed)
			require.Equal(t, 40, e.MinPercent)
			if by.IsAnonymous() {
				return
			}
			_, err = w.Create(t.Context(), by, "a", reviews.New{Rating: 5})
			if len(want) == 0 {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, reviews.ErrNotEligible)
			require.ErrorIs(t, err, core.ErrForbidden)
			for i, code := range codes(t, err) {
				require.Equal(t, "course:"+want[i], code)
			}
		}
		check(w.nobody, reviews.ReasonSignedOut)
		check(sam, reviews.ReasonNotEnrolled)
		check(tim, reviews.ReasonProgress)
		check(w.ann, reviews.ReasonOwnCourse)
		check(w.pam, reviews.ReasonLinked)
		check(w.bob)
		check(w.admin)
		e, err := w.Eligibility(t.Context(), w.bob, "a")
		require.NoError(t, err)
		require.Equal(t, []string{reviews.ReasonReviewed}, e.Reasons)
		require.NotZero(t, e.Review)
		w.numbers(t, "a", [5]int64{4: 2})

		for _, slug := range []string{"none", "draft"} {
			_, err = w.Eligibility(t.Context(), sam, slug)
			require.ErrorIs(t, err, courses.ErrCourseNotFound)
			_, err = w.Create(t.Context(), sam, slug, reviews.New{Rating: 5})
			require.ErrorIs(t, err, courses.ErrCourseNotFound)
		}
		_, err = w.Create(t.Context(), w.nobody, "a", reviews.New{Rating: 5})
		require.ErrorIs(t, err, core.ErrUnauthenticated)
	})
}

func TestAReviewIsWrittenOnceChangedAndWrittenAgain(t *testing.T) {
	onBoth(t, reviews.Options{}, func(t *testing.T, w *world) {
		c := w.course(t, "a", courses.Published)
		sam := w.students(t, 1, c)[0]
		w.clock.advance(10 * 24 * time.Hour)
		made, err := w.Create(t.Context(), sam, "a", reviews.New{Rating: 2, Text: "  Well,\r\nso so. "})
		require.NoError(t, err)
		require.Equal(t, reviews.Review{
			ID: made.ID, Course: c.ID, Slug: "a", User: sam.UserID, Author: made.Author, Rating: 2, Text: "Well,\nso so.", Status: reviews.Published,
			CreatedAt: w.clock.Now(), UpdatedAt: w.clock.Now(), Version: 1,
		}, made)
		require.Equal(t, sam.UserID, made.Author.ID)
		require.True(t, strings.HasPrefix(made.Author.Name, "Person student"), made.Author)
		seen, err := w.Review(t.Context(), w.admin, made.ID)
		require.NoError(t, err)
		require.Equal(t, 25+10+20, seen.Trust, "half of 50 %%, ten days, no other review")
		require.Equal(t, []string{reviews.EventRated, reviews.EventCreated}, w.events(t))
		w.numbers(t, "a", [5]int64{0, 1})

		_, err = w.Create(t.Context(), sam, "a", reviews.New{Rating: 5})
		require.ErrorIs(t, err, reviews.ErrReviewed)
		require.Empty(t, w.events(t))

		w.clock.advance(time.Hour)
		_, err = w.Edit(t.Context(), sam, made.ID, reviews.Change{Rating: ptr(5), IfVersion: 2})
		require.ErrorIs(t, err, core.ErrVersion)
		now, err := w.Edit(t.Context(), sam, made.ID, reviews.Change{Rating: ptr(5), IfVersion: 1})
		require.NoError(t, err)
		require.Equal(t, []any{5, "Well,\nso so.", int64(2), w.clock.Now(), made.CreatedAt}, []any{now.Rating, now.Text, now.Version, now.UpdatedAt, now.CreatedAt})
		same, err := w.Edit(t.Context(), sam, made.ID, reviews.Change{Rating: ptr(5), Text: ptr("Well,\nso so.")})
		require.NoError(t, err)
		require.EqualValues(t, 2, same.Version)
		require.Equal(t, []string{reviews.EventRated, reviews.EventEdited}, w.events(t))
		w.numbers(t, "a", [5]int64{4: 1})
		now, err = w.Edit(t.Context(), sam, made.ID, reviews.Change{Text: ptr("")})
		require.NoError(t, err)
		require.Empty(t, now.Text, "a rating alone")
		require.Equal(t, []string{reviews.EventEdited}, w.events(t), "the numbers are as they were")

		w.learners.set(c.ID, sam.UserID, reviews.Learner{}) // refunded: what was written stands
		w.numbers(t, "a", [5]int64{4: 1})
		_, err = w.Edit(t.Context(), sam, made.ID, reviews.Change{Rating: ptr(1)})
		require.ErrorIs(t, err, reviews.ErrNotEligible)
		require.ErrorIs(t, w.Delete(t.Context(), sam, made.ID, 1), core.ErrVersion)
		require.NoError(t, w.Delete(t.Context(), sam, made.ID, 3))
		require.ErrorIs(t, w.Delete(t.Context(), sam, made.ID, 0), reviews.ErrReviewNotFound)
		w.numbers(t, "a", [5]int64{})
		w.learners.set(c.ID, sam.UserID, reviews.Learner{Enrolled: true})
		w.add(t, sam, "a", 4)
		w.numbers(t, "a", [5]int64{3: 1})

		history, err := w.History(t.Context(), w.admin, made.ID, core.Page{})
		require.NoError(t, err)
		require.Len(t, history.Items, 3)
		for i, want := range []struct {
			action reviews.Action
			rating int
		}{{reviews.Delete, 5}, {reviews.Edit, 5}, {reviews.Edit, 2}} {
			got := history.Items[i]
			require.Equal(t, want.action, got.Action)
			require.Equal(t, want.rating, got.Rating)
			require.Equal(t, sam.UserID, got.By.ID)
			require.NotEmpty(t, got.By.Username)
		}
	})
}

func TestBadInputIsNamedAndChangesNothing(t *testing.T) {
	onBoth(t, reviews.Options{}, func(t *testing.T, w *world) {
		c := w.course(t, "a", courses.Published)
		sam := w.students(t, 1, c)[0]
		long := strings.Repeat("я", reviews.MaxText+1)
		for want, in := range map[string]reviews.New{
			"rating:required": {},
			"rating:max":      {Rating: 6},
			"rating:min":      {Rating: -1},
			"text:max":        {Rating: 5, Text: long},
			"text:text":       {Rating: 5, Text: "a\x00b"},
		} {
			_, err := w.Create(t.Context(), sam, "a", in)
			require.ErrorIs(t, err, core.ErrInvalid)
			require.Equal(t, []string{want}, codes(t, err))
		}
		_, err := w.Create(t.Context(), sam, "a", reviews.New{Rating: 9, Text: long})
		require.Len(t, codes(t, err), 2)
		w.numbers(t, "a", [5]int64{})
		r, err := w.Create(t.Context(), sam, "a", reviews.New{Rating: 5, Text: long[2:]})
		require.NoError(t, err)
		_, err = w.Edit(t.Context(), sam, r.ID, reviews.Change{Rating: ptr(0), Text: ptr(long)})
		require.Equal(t, []string{"rating:min", "text:max"}, codes(t, err))
		w.numbers(t, "a", [5]int64{4: 1})
	})
}

func TestAKeyGivesTheSameReviewAgain(t *testing.T) {
	onBoth(t, reviews.Options{}, func(t *testing.T, w *world) {
		c := w.course(t, "a", courses.Published)
		sam := w.students(t, 1, c)[0]
		in := reviews.New{Rating: 5, Text: "Good", Key: "k"}
		first, err := w.Create(t.Context(), sam, "a", in)
		require.NoError(t, err)
		w.learners.set(c.ID, sam.UserID, reviews.Learner{}) // whatever has changed since
		again, err := w.Create(t.Context(), sam, "a", in)
		require.NoError(t, err)
		require.Equal(t, first, again)
		in.Rating = 4
		_, err = w.Create(t.Context(), sam, "a", in)
		require.ErrorIs(t, err, core.ErrKeyReused)
		in.Key = "another"
		_, err = w.Create(t.Context(), sam, "a", in)
		require.ErrorIs(t, err, reviews.ErrNotEligible)
		w.numbers(t, "a", [5]int64{4: 1})
	})
}

func TestOnlyTheAuthorChangesAReview(t *testing.T) {
	onBoth(t, reviews.Options{}, func(t *testing.T, w *world) {
		c := w.course(t, "a", courses.Published)
		people := w.students(t, 2, c)
		r := w.add(t, people[0], "a", 5)
		for _, by := range []core.Actor{people[1], w.ann, w.pam, w.admin} {
			_, err := w.Edit(t.Context(), by, r.ID, reviews.Change{Rating: ptr(1)})
			require.ErrorIs(t, err, core.ErrForbidden)
		}
		_, err := w.Edit(t.Context(), w.nobody, r.ID, reviews.Change{Rating: ptr(1)})
		require.ErrorIs(t, err, core.ErrUnauthenticated)
		for _, by := range []core.Actor{people[1], w.ann, w.pam} {
			require.ErrorIs(t, w.Delete(t.Context(), by, r.ID, 0), core.ErrForbidden)
		}
		require.ErrorIs(t, w.Delete(t.Context(), w.nobody, r.ID, 0), core.ErrUnauthenticated)
		w.numbers(t, "a", [5]int64{4: 1})
		require.NoError(t, w.Delete(t.Context(), w.admin, r.ID, 0))
		w.numbers(t, "a", [5]int64{})
	})
}

// TestAReviewOfACourseThatIsNotSeenAnyMore archives the course under its author.
func TestAReviewOfACourseThatIsNotSeenAnyMore(t *testing.T) {
	onBoth(t, reviews.Options{}, func(t *testing.T, w *world) {
		ctx := t.Context()
		c := w.course(t, "go", courses.Published)
		sam := w.students(t, 1, c)[0] // whom the learners go on to name, though they hold no seat
		r := w.add(t, sam, "go", 5)
		require.Equal(t, "go", r.Slug)
		_, err := w.courses.Archive(ctx, w.ann, "go", 0)
		require.NoError(t, err)
		for by, want := range map[core.Actor]string{sam: "", w.admin: "go"} {
			got, err := w.Review(ctx, by, r.ID)
			require.NoError(t, err)
			require.Equal(t, want, got.Slug)
		}
		own, err := w.Own(ctx, sam, reviews.Choice{}, core.Page{})
		require.NoError(t, err)
		require.Len(t, own.Items, 1)
		require.Empty(t, own.Items[0].Slug)
		rating := 1
		_, err = w.Edit(ctx, sam, r.ID, reviews.Change{Rating: &rating})
		require.ErrorIs(t, err, courses.ErrCourseNotFound)
		got, err := w.Review(ctx, sam, r.ID)
		require.NoError(t, err)
		require.Equal(t, 5, got.Rating)
		require.NoError(t, w.Delete(ctx, sam, r.ID, 0))
		_, err = w.Review(ctx, sam, r.ID)
		require.ErrorIs(t, err, reviews.ErrReviewNotFound)
	})
}

func TestAHundredAtOnceLeaveOneReview(t *testing.T) {
	onBoth(t, reviews.Options{}, func(t *testing.T, w *world) {
		c := w.course(t, "a", courses.Published)
		sam := w.students(t, 1, c)[0]
		const n = 100
		errs := together(n, func(i int) error {
			switch i % 4 {
			case 0, 1:
				_, err := w.Create(t.Context(), sam, "a", reviews.New{Rating: 1 + i%5, Text: "So"})
				if errors.Is(err, reviews.ErrReviewed) {
					return nil
				}
				return err
			case 2:
				e, err := w.Eligibility(t.Context(), sam, "a")
				if err != nil || e.Review == 0 {
					return err
				}
				_, err = w.Edit(t.Context(), sam, e.Review, reviews.Change{Rating: ptr(1 + i%5)})
				if errors.Is(err, reviews.ErrReviewNotFound) {
					return nil
				}
				return err
			}
			e, err := w.Eligibility(t.Context(), sam, "a")
			if err != nil || e.Review == 0 {
				return err
			}
			if err := w.Delete(t.Context(), sam, e.Review, 0); !errors.Is(err, reviews.ErrReviewNotFound) {
				return err
			}
			return nil
		})
		require.NoError(t, errors.Join(errs...))
		own, err := w.Own(t.Context(), sam, reviews.Choice{}, core.Page{})
		require.NoError(t, err)
		require.LessOrEqual(t, len(own.Items), 1)
		var want [5]int64
		for _, r := range own.Items {
			want[r.Rating-1]++
		}
		w.numbers(t, "a", want)
	})
}

func TestAWriteIsAFixedNumberOfStatements(t *testing.T) {
	onBoth(t, reviews.Options{}, func(t *testing.T, w *world) {
		c := w.course(t, "a", courses.Published)
		people := w.students(t, 30, c)
		for i, by := range people {
			ctx, queries := storage.CountQueries(t.Context())
			_, err := w.Create(ctx, by, "a", reviews.New{Rating: 5})
			require.NoError(t, err)
			if i > 0 { // the first makes the course's row of numbers
				require.Equal(t, 11, queries.Count()) // one of them is the trend
			}
		}
		for _, limit := range []int{3, 30} {
			ctx, queries := storage.CountQueries(t.Context())
			page, err := w.List(ctx, w.nobody, "a", reviews.Helpful, core.Page{Limit: limit})
			require.NoError(t, err)
			require.Len(t, page.Items, limit)
			require.Equal(t, 3, queries.Count())
			ctx, queries = storage.CountQueries(t.Context())
			_, err = w.All(ctx, w.admin, reviews.Choice{}, core.Page{Limit: limit})
			require.NoError(t, err)
			require.Equal(t, 3, queries.Count())
		}
	})
}

func TestTooMuchIsRefusedForAWhile(t *testing.T) {
	onBoth(t, reviews.Options{PerHour: 2}, func(t *testing.T, w *world) {
		c := w.course(t, "a", courses.Published)
		sam := w.students(t, 1, c)[0]
		r := w.add(t, sam, "a", 5)
		_, err := w.Edit(t.Context(), sam, r.ID, reviews.Change{Rating: ptr(4)})
		require.NoError(t, err)
		_, err = w.Edit(t.Context(), sam, r.ID, reviews.Change{Rating: ptr(3)})
		require.ErrorIs(t, err, reviews.ErrTooMany)
		w.numbers(t, "a", [5]int64{3: 1})
		w.clock.advance(time.Hour)
		_, err = w.Edit(t.Context(), sam, r.ID, reviews.Change{Rating: ptr(3)})
		require.NoError(t, err)
	})
}
