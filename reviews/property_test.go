package reviews_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/reviews"
)

// hand works with people of its own on the courses of all, and knows what the reviews of
// its people must be from what it was answered.
type hand struct {
	w        *world
	r        *rand.Rand
	courses  []courses.Course
	people   []core.Actor
	enrolled map[reviews.Pair]bool
	is       map[reviews.Pair]reviews.Review
}

// step does one random thing and returns an error when the answer is not what follows
// from those before.
func (h *hand) step(w *world) error {
	c, by := h.courses[h.r.IntN(len(h.courses))], h.people[h.r.IntN(len(h.people))]
	pair := reviews.Pair{Course: c.ID, User: by.UserID}
	was, there := h.is[pair]
	rating, ctx := 1+h.r.IntN(5), h.w.context
	answer := func(now reviews.Review, err, want error) error {
		if want == nil && err == nil {
			h.is[pair] = now
			return nil
		}
		if !errors.Is(err, want) {
			return fmt.Errorf("%w instead of %w", err, want)
		}
		return nil
	}
	switch kind := h.r.IntN(100); {
	case kind < 35 || !there:
		now, err := w.Create(ctx, by, c.Slug, reviews.New{Rating: rating})
		switch {
		case !h.enrolled[pair]:
			return answer(now, err, reviews.ErrNotEligible)
		case there:
			return answer(now, err, reviews.ErrReviewed)
		}
		return answer(now, err, nil)
	case kind < 55:
		now, err := w.Edit(ctx, by, was.ID, reviews.Change{Rating: &rating})
		if !h.enrolled[pair] {
			return answer(now, err, reviews.ErrNotEligible)
		}
		return answer(now, err, nil)
	case kind < 75:
		action := reviews.Hide
		if h.r.IntN(2) == 0 {
			action = reviews.Approve
		}
		now, err := w.Moderate(ctx, w.admin, was.ID, reviews.Decision{Action: action, Reason: "x"})
		if action == reviews.Hide && was.Status == reviews.Hidden || action == reviews.Approve && was.Status == reviews.Published {
			return answer(now, err, reviews.ErrTransition)
		}
		return answer(now, err, nil)
	case kind < 90:
		delete(h.is, pair)
		return w.Delete(ctx, by, was.ID, 0)
	case kind < 97: // a refund, or another purchase
		h.enrolled[pair] = !h.enrolled[pair]
		w.learners.set(c.ID, by.UserID, reviews.Learner{Enrolled: h.enrolled[pair]})
		return nil
	}
	for pair := range h.is {
		if pair.User == by.UserID {
			delete(h.is, pair)
		}
	}
	return w.EraseUser(ctx, by, by.UserID)
}

// Whatever many people do at once, the numbers are those of a recount in Go from what
// they were answered.
func TestNumbersAreThoseOfARecount(t *testing.T) {
	onBoth(t, reviews.Options{Moderator: reviews.Filter{PerHour: 1 << 30}}, func(t *testing.T, w *world) {
		w.context = t.Context()
		seed, _ := random(t)
		const hands = 8
		steps := size(10_000, 600) / hands
		var all []courses.Course
		for i := range 7 {
			teacher := w.ann
			if i%3 == 0 {
				teacher = w.bob
			}
			all = append(all, w.courseOf(t, teacher, fmt.Sprintf("c%d", i), courses.Published))
		}
		crew := make([]*hand, hands)
		for i := range crew {
			crew[i] = &hand{w: w, r: rand.New(rand.NewPCG(seed, uint64(i))), courses: all, people: w.students(t, 3), enrolled: map[reviews.Pair]bool{}, is: map[reviews.Pair]reviews.Review{}}
			for _, c := range all {
				for _, by := range crew[i].people {
					crew[i].enrolled[reviews.Pair{Course: c.ID, User: by.UserID}] = true
					w.learners.set(c.ID, by.UserID, reviews.Learner{Enrolled: true})
				}
			}
		}
		errs := make([]error, hands)
		var wg sync.WaitGroup
		for i, h := range crew {
			wg.Go(func() {
				for n := range steps {
					if err := h.step(w); err != nil {
						errs[i] = fmt.Errorf("hand %d, step %d: %w", i, n, err)
						return
					}
				}
			})
		}
		wg.Wait()
		require.NoError(t, errors.Join(errs...))

		w.recounted(t, crew, all)
		for _, h := range crew { // one of each crew takes their courses no longer, and one is gone
			refunded, gone := h.people[0], h.people[1]
			for _, c := range all {
				w.learners.set(c.ID, refunded.UserID, reviews.Learner{})
				delete(h.is, reviews.Pair{Course: c.ID, User: gone.UserID})
			}
			require.NoError(t, w.EraseUser(t.Context(), w.admin, gone.UserID))
		}
		w.recounted(t, crew, all)
	})
}

// recounted compares what is stored with what people were answered: reviews, the numbers
// of each course, the order of the top and what teachers are rated.
func (w *world) recounted(t *testing.T, crew []*hand, all []courses.Course) {
	t.Helper()
	numbers := map[courses.CourseID]*[5]int64{}
	for _, c := range all {
		numbers[c.ID] = new([5]int64)
	}
	for _, h := range crew {
		for pair, want := range h.is {
			got, err := w.backend.Reviews.ReviewOf(t.Context(), pair.Course, pair.User)
			require.NoError(t, err)
			require.Equal(t, []any{want.ID, want.Rating, want.Status, want.Version}, []any{got.ID, got.Rating, got.Status, got.Version})
			if want.Status == reviews.Published {
				numbers[pair.Course][want.Rating-1]++
			}
		}
		for _, by := range h.people {
			own, err := w.Own(t.Context(), by, reviews.Choice{}, core.Page{})
			require.NoError(t, err)
			for _, r := range own.Items {
				require.Contains(t, h.is, reviews.Pair{Course: r.Course, User: r.User})
			}
		}
	}
	together := map[core.UserID]*[5]int64{w.ann.UserID: new([5]int64), w.bob.UserID: new([5]int64)}
	for _, c := range all {
		w.numbers(t, c.Slug, *numbers[c.ID])
		for i, n := range numbers[c.ID] {
			together[c.Teacher.ID][i] += n
		}
	}
	for teacher, histogram := range together {
		got, err := w.courses.TeacherRating(t.Context(), teacher)
		require.NoError(t, err)
		require.Equal(t, damped(*histogram), got, "of %v", *histogram)
	}
	top, err := w.courses.Top(t.Context(), 100)
	require.NoError(t, err)
	want := slices.DeleteFunc(slices.Clone(all), func(c courses.Course) bool { return *numbers[c.ID] == [5]int64{} })
	slices.SortFunc(want, func(a, b courses.Course) int { return bayes(*numbers[b.ID], b.ID) - bayes(*numbers[a.ID], a.ID) })
	require.Len(t, top, len(want))
	for i := range want {
		require.Equal(t, want[i].Slug, top[i].Slug)
	}
}

// damped is what a teacher is rated by all reviews of their courses, in hundredths of a
// star: their mean with ten reviews of 4 before the first real one, and 0 without one.
func damped(histogram [5]int64) int {
	sum, count := 40, 10
	for i, n := range histogram {
		sum += int(n) * (i + 1)
		count += int(n)
	}
	if count == 10 {
		return 0
	}
	return (200*sum + count) / (2 * count) // rounded, halves up
}

// bayes is the key of the order by rating: ten reviews of 4 before the first real one, in
// millionths of a star; of two alike the later course comes first.
func bayes(histogram [5]int64, id courses.CourseID) int {
	sum, count := int64(40), int64(10)
	for i, n := range histogram {
		sum += n * int64(i+1)
		count += n
	}
	return int(sum*1_000_000/count)*1000 + int(id)
}
