package courses

import (
	"context"
	"slices"
	"time"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses/richtext"
)

// CreateLesson adds a lesson to a module, at its end or at in.Position. A module
// that is not of the course is ErrModuleNotFound, and more than MaxLessons are
// ErrTooMany.
func (s *Service) CreateLesson(ctx context.Context, by core.Actor, course string, module ModuleID, in NewLesson) (Lesson, error) {
	ctx = core.WithOperation(ctx, "courses.CreateLesson")
	may, err := s.allowed(ctx, by, course, toEdit)
	if err != nil {
		return Lesson{}, err
	}
	in.Title = line(in.Title)
	bad := s.check(in)
	content := bad.rich("content", &in.Content, in.Format, MaxContent)
	if err := bad.err(); err != nil {
		return Lesson{}, err
	}
	l := Lesson{
		ModuleID: module, Title: in.Title, Kind: in.Kind, Content: *content, TextPolicy: richtext.Version,
		Duration: time.Duration(in.DurationSeconds) * time.Second, FreePreview: in.FreePreview,
	}
	return s.changeLesson(ctx, by, may, course, func(ctx context.Context, tx Tx, c *Course) (Lesson, error) {
		if _, err := tx.ModuleByID(ctx, c.ID, module); err != nil {
			return Lesson{}, err
		}
		ids, err := tx.LessonIDs(ctx, c.ID, module)
		if err != nil {
			return Lesson{}, err
		}
		if len(ids) >= MaxLessons {
			return Lesson{}, tooMany("lessons", MaxLessons, len(ids))
		}
		if err := checkPosition(in.Position, len(ids)); err != nil {
			return Lesson{}, err
		}
		l := l
		l.CourseID = c.ID
		if l.Position, err = afterLastLesson(ctx, tx, c.ID, ids); err != nil {
			return Lesson{}, err
		}
		made, err := tx.InsertLessons(ctx, []Lesson{l})
		if err != nil {
			return Lesson{}, err
		}
		l.ID = made[0].ID
		if in.Position == 0 || in.Position > len(ids) {
			return l, nil
		}
		return l, tx.PlaceLessons(ctx, c.ID, module, slices.Insert(ids, in.Position-1, l.ID))
	})
}

// afterLastLesson returns the position behind all that a module has.
func afterLastLesson(ctx context.Context, tx Tx, course CourseID, ids []LessonID) (int, error) {
	if len(ids) == 0 {
		return 1, nil
	}
	last, err := tx.LessonByID(ctx, course, ids[len(ids)-1])
	return last.Position + 1, err
}

// EditLesson changes what is given of a lesson. One that is not of the course is
// ErrLessonNotFound.
func (s *Service) EditLesson(ctx context.Context, by core.Actor, course string, id LessonID, in LessonEdit) (Lesson, error) {
	ctx = core.WithOperation(ctx, "courses.EditLesson")
	may, err := s.allowed(ctx, by, course, toEdit)
	if err != nil {
		return Lesson{}, err
	}
	in.Title = linePtr(in.Title)
	bad := s.check(in)
	in.Content = bad.rich("content", in.Content, in.Format, MaxContent)
	if err := bad.err(); err != nil {
		return Lesson{}, err
	}
	return s.changeLesson(ctx, by, may, course, func(ctx context.Context, tx Tx, c *Course) (Lesson, error) {
		l, err := tx.LessonByID(ctx, c.ID, id)
		if err != nil {
			return Lesson{}, err
		}
		if err := same(in.IfVersion, l.Version); err != nil {
			return Lesson{}, err
		}
		l.refresh()
		set(&l.Title, in.Title)
		set(&l.Kind, in.Kind)
		set(&l.Content, in.Content)
		set(&l.FreePreview, in.FreePreview)
		if in.DurationSeconds != nil {
			l.Duration = time.Duration(*in.DurationSeconds) * time.Second
		}
		return l, tx.UpdateLessons(ctx, []Lesson{l})
	})
}

// changeLesson runs fn under the course's lock and returns its lesson as it is
// stored then.
func (s *Service) changeLesson(ctx context.Context, by core.Actor, may scope, course string,
	fn func(ctx context.Context, tx Tx, c *Course) (Lesson, error),
) (Lesson, error) {
	var changed Lesson
	err := s.locked(ctx, by, may, toEdit, course, func(ctx context.Context, tx Tx, c *Course, t trail) error {
		l, err := fn(ctx, tx, c)
		if err != nil {
			return err
		}
		if changed, err = tx.LessonByID(ctx, c.ID, l.ID); err != nil {
			return err
		}
		return t.changed(ctx, tx, EventContent, c, Changed{Module: changed.ModuleID, Lesson: l.ID}, false)
	})
	if err != nil {
		return Lesson{}, err
	}
	return changed, nil
}

// DeleteLesson removes a lesson. A course that is published or in review keeps at
// least one: else it is ErrLastLesson.
func (s *Service) DeleteLesson(ctx context.Context, by core.Actor, course string, id LessonID, ifVersion int64) error {
	ctx = core.WithOperation(ctx, "courses.DeleteLesson")
	may, err := s.allowed(ctx, by, course, toEdit)
	if err != nil {
		return err
	}
	return s.locked(ctx, by, may, toEdit, course, func(ctx context.Context, tx Tx, c *Course, t trail) error {
		l, err := tx.LessonByID(ctx, c.ID, id)
		if err != nil {
			return err
		}
		if err := same(ifVersion, l.Version); err != nil {
			return err
		}
		if err := tx.DeleteLesson(ctx, c.ID, id); err != nil {
			return err
		}
		if err := keepsLesson(ctx, tx, c); err != nil {
			return err
		}
		return t.changed(ctx, tx, EventContent, c, Changed{Module: l.ModuleID, Lesson: id}, false)
	})
}

// ReorderLessons puts lessons into a module in the order of ids. It names each
// lesson of the module once, else it is a core.ErrInvalid naming "lessons", and may
// name lessons of other modules of the course, which move here. One that the course
// does not have is ErrLessonNotFound.
func (s *Service) ReorderLessons(ctx context.Context, by core.Actor, course string, module ModuleID, ids []LessonID) error {
	ctx = core.WithOperation(ctx, "courses.ReorderLessons")
	may, err := s.allowed(ctx, by, course, toEdit)
	if err != nil {
		return err
	}
	return s.locked(ctx, by, may, toEdit, course, func(ctx context.Context, tx Tx, c *Course, t trail) error {
		if _, err := tx.ModuleByID(ctx, c.ID, module); err != nil {
			return err
		}
		stored, err := tx.LessonIDs(ctx, c.ID, module)
		if err != nil {
			return err
		}
		if err := covers(ids, stored, "lessons", max(MaxLessons, len(stored))); err != nil {
			return err
		}
		if err := tx.PlaceLessons(ctx, c.ID, module, ids); err != nil {
			return err
		}
		return t.changed(ctx, tx, EventContent, c, Changed{Module: module}, false)
	})
}
