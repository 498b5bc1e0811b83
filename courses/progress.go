package courses

import (
	"context"
	"fmt"
	"strconv"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/internal/fault"
)

// Progress is how far a learner is in a course.
type Progress struct {
	Enrollment Enrollment
	Completed  Page[LessonProgress] // the lessons of the course that are done, by id
	Next       LessonID             // the first one that is not, 0 where there is none
}

// Progress returns how far an enrollment is, with a page of the lessons that are done.
// It is seen by whom Enrollment is seen by. Four statements, and those of Enrollment
// for another's.
func (s *Service) Progress(ctx context.Context, by core.Actor, id EnrollmentID, page core.Page) (Progress, error) {
	ctx = core.WithOperation(ctx, "courses.Progress")
	e, err := s.enrollment(ctx, by, id)
	if err != nil {
		return Progress{}, err
	}
	p := Progress{}
	p.Completed, err = core.ReadPage(s.cursors, fmt.Sprintf("progress/%d", id), page,
		func(after LessonID, limit int) ([]LessonProgress, error) {
			return s.store.CompletedLessons(ctx, id, after, limit)
		},
		func(l LessonProgress) LessonID { return l.Lesson })
	if err != nil {
		return Progress{}, err
	}
	if p.Next, err = s.store.NextLesson(ctx, id); err != nil {
		return Progress{}, err
	}
	list := []Enrollment{e}
	err = s.nameLearners(ctx, list)
	p.Enrollment = list[0]
	return p, err
}

// CompleteLesson says that the actor has done a lesson of a course in which they hold
// a seat, and returns their enrollment. Doing it twice is doing it once. The one that
// leaves no lesson of the course undone completes the enrollment, once and for good.
//
// Another's enrollment is core.ErrForbidden for who may see it, and else
// ErrEnrollmentNotFound. One without a seat is ErrNotSeated, a lesson that the course
// does not have ErrLessonNotFound, and one that is closed to the learner
// ErrLessonLocked, whose violations name the reasons.
func (s *Service) CompleteLesson(ctx context.Context, by core.Actor, id EnrollmentID, lesson LessonID) (Enrollment, error) {
	ctx = core.WithOperation(ctx, "courses.CompleteLesson")
	c, err := s.attend(ctx, by, id, lesson)
	if err != nil {
		return Enrollment{}, err
	}
	return s.learn(ctx, by, id, func(ctx context.Context, tx Tx, t trail, e *Enrollment) error {
		added, err := tx.AddProgress(ctx, []LessonProgress{{Enrollment: id, Lesson: lesson, CompletedAt: t.at}})
		if err != nil {
			return err
		}
		if err := fault.Hit("courses.complete.after_progress"); err != nil {
			return err
		}
		if added > 0 {
			if *e, err = tx.EnrollmentByID(ctx, id); err != nil { // with what is done now
				return err
			}
			if err := tx.Emit(ctx, t.learned(EventLessonCompleted, c.Teacher.ID, e, lesson)); err != nil {
				return err
			}
		}
		return s.graduate(ctx, tx, t, c.Teacher.ID, e)
	})
}

// graduate completes an enrollment, which its caller has locked and counted, where it
// has a seat and no lesson of the course is left undone.
func (s *Service) graduate(ctx context.Context, tx Tx, t trail, teacher core.UserID, e *Enrollment) error {
	completes := e.Status == Active && e.Lessons > 0 && e.Done >= e.Lessons
	if !completes && !e.StartedAt.IsZero() {
		return nil
	}
	if e.StartedAt.IsZero() {
		e.StartedAt = t.at
	}
	if completes {
		e.Status, e.CompletedAt = Completed, t.at
	}
	if err := tx.UpdateEnrollments(ctx, []Enrollment{*e}); err != nil {
		return err
	}
	e.Version++
	if err := fault.Hit("courses.complete.after_update"); err != nil || !completes {
		return err
	}
	return tx.Emit(ctx, t.learned(EventCompleted, teacher, e, 0))
}

// SetResume keeps where the actor is: in a lesson of a course in which they hold a
// seat, and how far into it, 0 to MaxResume. It fails as CompleteLesson does, and with
// core.ErrInvalid naming "seconds".
func (s *Service) SetResume(ctx context.Context, by core.Actor, id EnrollmentID, at Resume) (Enrollment, error) {
	ctx = core.WithOperation(ctx, "courses.SetResume")
	if most := int(MaxResume.Seconds()); at.Seconds < 0 || at.Seconds > most {
		return Enrollment{}, core.Invalid("seconds", "range", "0-"+strconv.Itoa(most), strconv.Itoa(at.Seconds), "no lesson has such a place")
	}
	if _, err := s.attend(ctx, by, id, at.Lesson); err != nil {
		return Enrollment{}, err
	}
	return s.learn(ctx, by, id, func(ctx context.Context, tx Tx, t trail, e *Enrollment) error {
		if e.Resume == at && !e.StartedAt.IsZero() {
			return nil
		}
		if e.Resume = at; e.StartedAt.IsZero() {
			e.StartedAt = t.at
		}
		if err := tx.UpdateEnrollments(ctx, []Enrollment{*e}); err != nil {
			return err
		}
		e.Version++
		return nil
	})
}

// attend looks, before a transaction is begun, whether the actor is before an open
// lesson, and returns its course.
func (s *Service) attend(ctx context.Context, by core.Actor, id EnrollmentID, lesson LessonID) (Course, error) {
	e, err := s.enrollment(ctx, by, id)
	if err != nil {
		return Course{}, err
	}
	if e.User != by.UserID {
		return Course{}, core.ErrForbidden
	}
	c, may, err := s.courseOf(ctx, by, e)
	if err != nil {
		return Course{}, err
	}
	if !e.Status.Seated() {
		return Course{}, ErrNotSeated
	}
	l, err := s.store.LessonByID(ctx, c.ID, lesson)
	if err != nil {
		return Course{}, err
	}
	learner := Learner{User: by.UserID, Enrollment: e}
	if s.ownGates { // of which some may ask for the right
		if learner, err = s.store.LearnerOf(ctx, c.ID, by.UserID); err != nil {
			return Course{}, err
		}
	}
	lessons := []Lesson{l}
	if err := s.lock(ctx, may, Visit{Learner: learner, Course: &c}, lessons); err != nil {
		return Course{}, err
	}
	if reasons := lessons[0].Reasons; len(reasons) > 0 {
		return Course{}, lockedBecause(reasons)
	}
	return c, nil
}

// courseOf returns the course of the actor's own enrollment, where they still see it.
func (s *Service) courseOf(ctx context.Context, by core.Actor, e Enrollment) (Course, scope, error) {
	may, err := s.scope(ctx, by)
	if err != nil {
		return Course{}, scope{}, err
	}
	c, err := s.store.CourseBySlug(ctx, e.Slug)
	if err == nil && !may.with(Learner{Enrollment: e}).sees(&c) {
		err = ErrCourseNotFound
	}
	return c, may, err
}

// learn runs fn under the lock of an enrollment that holds a seat, and returns what it
// leaves of it.
func (s *Service) learn(ctx context.Context, by core.Actor, id EnrollmentID, fn func(ctx context.Context, tx Tx, t trail, e *Enrollment) error) (Enrollment, error) {
	var left Enrollment
	err := s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		e, err := tx.EnrollmentForUpdate(ctx, id)
		if err != nil {
			return err
		}
		if !e.Status.Seated() {
			return ErrNotSeated
		}
		if err := fn(ctx, tx, s.trail(by), &e); err != nil {
			return err
		}
		left = e
		return nil
	})
	if err != nil {
		return Enrollment{}, err
	}
	return s.answerEnrollment(ctx, left)
}
