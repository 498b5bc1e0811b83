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
	teacher, err := s.attend(ctx, by, id, lesson)
	if err != nil {
		return Enrollment{}, err
	}
	var done Enrollment
	err = s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		t := s.trail(by)
		added, err := tx.CompleteLesson(ctx, LessonProgress{Enrollment: id, Lesson: lesson, CompletedAt: t.at})
		if err != nil {
			return err
		}
		if err := fault.Hit("courses.complete.after_progress"); err != nil {
			return err
		}
		if done, err = tx.EnrollmentByID(ctx, id); err != nil { // under its lock, with what is done now
			return err
		}
		if !done.Status.Seated() {
			return ErrNotSeated
		}
		if added {
			if err := tx.Emit(ctx, t.learned(EventLessonCompleted, teacher, &done, lesson)); err != nil {
				return err
			}
		}
		return s.graduate(ctx, tx, t, teacher, &done)
	})
	if err != nil {
		return Enrollment{}, err
	}
	return s.answerEnrollment(ctx, done)
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
	var left Enrollment
	err := s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		e, err := tx.EnrollmentForUpdate(ctx, id)
		if err != nil {
			return err
		}
		if left = e; !e.Status.Seated() {
			return ErrNotSeated
		}
		if e.Resume == at && !e.StartedAt.IsZero() {
			return nil
		}
		if left.Resume = at; e.StartedAt.IsZero() {
			left.StartedAt = s.trail(by).at
		}
		if err := tx.UpdateEnrollments(ctx, []Enrollment{left}); err != nil {
			return err
		}
		left.Version++
		return nil
	})
	if err != nil {
		return Enrollment{}, err
	}
	return s.answerEnrollment(ctx, left)
}

// attend looks, before a transaction is begun, whether the actor is before an open
// lesson, and returns the course's teacher. The course that gates are told has no Tags.
func (s *Service) attend(ctx context.Context, by core.Actor, id EnrollmentID, lesson LessonID) (teacher core.UserID, err error) {
	if by.IsAnonymous() {
		return 0, core.ErrUnauthenticated
	}
	a, err := s.store.Attendance(ctx, id, lesson)
	if err != nil {
		return 0, err
	}
	e, c := a.Enrollment, a.Course
	if e.User != by.UserID {
		if _, err := s.enrollment(ctx, by, id); err != nil {
			return 0, err
		}
		return 0, core.ErrForbidden
	}
	may, err := s.scope(ctx, by)
	if err != nil {
		return 0, err
	}
	switch {
	case !may.with(Learner{Enrollment: e}).sees(&c):
		return 0, ErrCourseNotFound
	case !e.Status.Seated():
		return 0, ErrNotSeated
	case a.Lesson.ID == 0:
		return 0, ErrLessonNotFound
	}
	lessons := []Lesson{a.Lesson}
	if err := s.lock(ctx, may, Visit{Learner: Learner{User: by.UserID, Enrollment: e}, Course: &c}, lessons); err != nil {
		return 0, err
	}
	if reasons := lessons[0].Reasons; len(reasons) > 0 {
		return 0, lockedBecause(reasons)
	}
	return c.Teacher.ID, nil
}
