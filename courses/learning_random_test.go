package courses_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

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
