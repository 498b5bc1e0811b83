package courses_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// TestNeverMoreThanTheCapacity sends callers at a course of ten seats, round after
// round: they come, give up, are thrown out and given seats, many at once, and callers
// go away in the middle. The seats are counted after each round, and the events of all
// of it are played over a list in memory, which says who must be let in next.
func TestNeverMoreThanTheCapacity(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		r := random(t)
		w.shelf(t)
		const capacity = 10
		callers, rounds := 60, 4
		if scale() > 1 {
			callers, rounds = 1000, 50*scale()
		}
		people := w.students(t, callers)
		c := w.free(t, "Ten seats")
		w.capacity(t, c, capacity)
		w.told(t)
		db := w.beside(t)
		list := waitingList{}
		for round := range rounds {
			order := r.Perm(callers)
			does := make([]int, callers)
			for i := range does {
				does[i] = r.IntN(10)
			}
			at := make(chan struct{}, 40) // at once: PostgreSQL has so many connections
			errs := together(callers, func(i int) error {
				at <- struct{}{}
				defer func() { <-at }()
				who := people[order[i]]
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				switch does[i] {
				case 0, 1:
					_, err := w.Cancel(ctx, who, c.Slug, "")
					return ignore(err, courses.ErrEnrollmentNotFound)
				case 2:
					_, err := w.Cancel(ctx, w.admin, c.Slug, fmt.Sprintf("learner-%d", order[i]))
					return ignore(err, courses.ErrEnrollmentNotFound)
				case 3:
					_, err := w.Grant(ctx, w.ann, c.Slug, fmt.Sprintf("learner-%d", order[i]))
					return err
				case 4:
					go cancel() // somewhere in the middle, or before, or after
				}
				_, err := w.Enroll(ctx, who, c.Slug, "")
				return ignore(err, context.Canceled)
			})
			require.NoError(t, errors.Join(errs...))
			var seated, waiting int
			require.NoError(t, db.QueryRow("SELECT coalesce(sum(CASE WHEN status IN ('active', 'completed') THEN 1 ELSE 0 END), 0),"+
				" coalesce(sum(CASE WHEN status = 'waiting' THEN 1 ELSE 0 END), 0) FROM ustat_enrollments WHERE course_id = $1", int64(c.ID)).Scan(&seated, &waiting))
			require.LessOrEqual(t, seated, capacity)
			require.True(t, seated == capacity || waiting == 0, "%d wait and %d are seated", waiting, seated)
			list.play(t, w.told(t))
			require.Equal(t, []int{seated, waiting}, []int{len(list.seated), len(list.waiting)}, "after round %d", round)
			require.NoError(t, w.backend.Verify(t.Context()))
		}
		t.Logf("%d callers, %d rounds: %d effects, %d were let in from the waiting list", callers, rounds, list.events, list.promoted)
		require.NotZero(t, list.promoted)
	})
}

func ignore(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}

// told returns the events that wait, in the order in which they happened: each is of
// a time of its own, taken under the course's lock.
func (w *world) told(t testing.TB) []core.Event {
	t.Helper()
	var all []core.Event
	for {
		pending, err := w.backend.Courses.Pending(t.Context(), 1000)
		require.NoError(t, err)
		for _, e := range pending {
			require.NoError(t, w.backend.Courses.Done(t.Context(), e.ID))
		}
		if all = append(all, pending...); len(pending) < 1000 {
			break
		}
	}
	slices.SortStableFunc(all, func(a, b core.Event) int { return a.At.Compare(b.At) })
	return all
}

// waitingList is what a course's seats must be after its events.
type waitingList struct {
	seated, waiting  []courses.EnrollmentID
	events, promoted int
}

func (l *waitingList) play(t testing.TB, events []core.Event) {
	t.Helper()
	for _, event := range events {
		var e courses.LearningChanged
		require.NoError(t, json.Unmarshal(event.Payload, &e))
		l.events++
		switch event.Type {
		case courses.EventEnrolled:
			require.Empty(t, l.waiting, "somebody came in before those who wait")
			l.seated = append(l.seated, e.Enrollment)
		case courses.EventWaitlisted:
			l.waiting = append(l.waiting, e.Enrollment)
		case courses.EventPromoted:
			require.Equal(t, l.waiting[0], e.Enrollment, "who has waited longest is the first")
			l.waiting, l.seated = l.waiting[1:], append(l.seated, e.Enrollment)
			l.promoted++
		case courses.EventCancelled:
			gone := func(id courses.EnrollmentID) bool { return id == e.Enrollment }
			require.True(t, slices.ContainsFunc(l.seated, gone) || slices.ContainsFunc(l.waiting, gone))
			l.seated, l.waiting = slices.DeleteFunc(l.seated, gone), slices.DeleteFunc(l.waiting, gone)
		default:
			t.Fatalf("%s is no event of this test", event.Type)
		}
	}
}

// TestProgressAfterAnything plays random sequences of what learners and authors do,
// and looks after each step: progress is within 0 and 100 and what a count says,
// a completion never changes or goes away, and the statistics are those of the rows.
func TestProgressAfterAnything(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		r := random(t)
		w.shelf(t)
		for range 2 * scale() {
			c := w.free(t, "Random")
			_, err := w.CreateModule(t.Context(), w.ann, c.Slug, courses.NewModule{Title: "Two"})
			require.NoError(t, err)
			p := &playing{world: w, r: r, slug: c.Slug, course: c.ID, done: map[core.UserID]map[courses.LessonID]bool{}, completed: map[core.UserID]courses.Enrollment{}}
			for i := range 3 {
				p.people = append(p.people, w.person(t, fmt.Sprintf("%s-%d", c.Slug, i), core.Student))
				p.done[p.people[i].UserID] = map[courses.LessonID]bool{}
			}
			for range 60 {
				p.step(t)
				p.look(t)
			}
			require.NoError(t, w.backend.Verify(t.Context()))
		}
	})
}

// playing is a course that things happen to, and what must be so.
type playing struct {
	*world
	r         *rand.Rand
	slug      string
	course    courses.CourseID
	people    []core.Actor
	done      map[core.UserID]map[courses.LessonID]bool // also of lessons that are gone
	completed map[core.UserID]courses.Enrollment        // as they were first seen
}

func (p *playing) step(t *testing.T) {
	t.Helper()
	ctx, who := t.Context(), p.people[p.r.IntN(len(p.people))]
	ids := p.lessons(t, p.slug)
	lesson := ids[p.r.IntN(len(ids))]
	learner, err := p.Learner(ctx, p.course, who.UserID)
	require.NoError(t, err)
	e := learner.Enrollment
	switch p.r.IntN(10) {
	case 0, 1:
		_, err = p.Enroll(ctx, who, p.slug, "")
		err = ignore(ignore(err, courses.ErrNotOpen), courses.ErrCourseNotFound)
	case 2, 3, 4, 5:
		if e.ID == 0 {
			return
		}
		if _, err = p.CompleteLesson(ctx, who, e.ID, lesson); err == nil {
			p.done[who.UserID][lesson] = true
		} else if !e.Status.Seated() {
			err = ignore(ignore(err, courses.ErrNotSeated), courses.ErrCourseNotFound)
		}
	case 6:
		p.lesson(t, p.slug, courses.NewLesson{})
	case 7:
		err = ignore(p.DeleteLesson(ctx, p.ann, p.slug, lesson, 0), courses.ErrLastLesson)
		if remaining := len(p.lessons(t, p.slug)); remaining == 0 { // of an archived course
			p.lesson(t, p.slug, courses.NewLesson{})
		}
	case 8:
		modules, listErr := p.Modules(ctx, p.ann, p.slug, core.Page{})
		require.NoError(t, listErr)
		to := modules.Items[p.r.IntN(2)].ID
		stored, listErr := p.backend.Courses.LessonIDs(ctx, p.course, to)
		require.NoError(t, listErr)
		if !slices.Contains(stored, lesson) {
			stored = append(stored, lesson)
		}
		p.r.Shuffle(len(stored), func(i, j int) { stored[i], stored[j] = stored[j], stored[i] })
		err = p.ReorderLessons(ctx, p.ann, p.slug, to, stored)
	case 9:
		err = p.rare(ctx, who, e)
	}
	require.NoError(t, err)
}

// rare archives the course or brings it back, or ends an enrollment.
func (p *playing) rare(ctx context.Context, who core.Actor, e courses.Enrollment) error {
	c, err := p.Course(ctx, p.ann, p.slug)
	if err != nil {
		return err
	}
	switch {
	case p.r.IntN(2) == 0:
		_, err = p.Cancel(ctx, who, p.slug, "")
		return ignore(ignore(err, courses.ErrEnrollmentNotFound), courses.ErrCourseNotFound)
	case c.Status == courses.Published:
		_, err = p.Archive(ctx, p.ann, p.slug, 0)
		return err
	}
	for _, move := range []func() error{
		func() error { _, err := p.Restore(ctx, p.ann, p.slug, 0); return err },
		func() error { _, err := p.Submit(ctx, p.ann, p.slug, 0); return err },
		func() error { _, err := p.Publish(ctx, p.admin, p.slug, 0); return err },
	} {
		if err := move(); err != nil {
			return err
		}
	}
	return nil
}

func (p *playing) look(t *testing.T) {
	t.Helper()
	ids := p.lessons(t, p.slug)
	var stats courses.Stats
	for _, who := range p.people {
		learner, err := p.Learner(t.Context(), p.course, who.UserID)
		require.NoError(t, err)
		e := learner.Enrollment
		if e.ID == 0 {
			continue
		}
		done := 0
		for _, id := range ids {
			if p.done[who.UserID][id] {
				done++
			}
		}
		require.Equal(t, []int{len(ids), done, done * 100 / len(ids)}, []int{e.Lessons, e.Done, e.Percent()})
		require.True(t, 0 <= e.Percent() && e.Percent() <= 100)
		if was, ok := p.completed[who.UserID]; ok {
			require.Equal(t, was.CompletedAt, e.CompletedAt, "a completion has changed")
		} else if !e.CompletedAt.IsZero() {
			require.Equal(t, len(ids), done, "it is completed with something left to do")
			require.Equal(t, courses.Completed, e.Status)
			p.completed[who.UserID] = e
		}
		require.Equal(t, e.Status == courses.Completed, e.Status.Seated() && !e.CompletedAt.IsZero())
		if e.Status.Seated() {
			stats.Students++
		}
		if e.Status == courses.Completed {
			stats.Completions++
		}
	}
	require.Equal(t, stats, p.stats(t, p.slug))
}
