package courses

import (
	"context"
	"reflect"
	"slices"
	"time"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses/richtext"
)

// CreateLesson adds a lesson to a module, at its end or at in.Position. A module
// that is not of the course is ErrModuleNotFound, and more than MaxLessons are
// ErrTooMany. With a Key, the same input again gives the lesson that the first call
// made, and another input or module is core.ErrKeyReused.
func (s *Service) CreateLesson(ctx context.Context, by core.Actor, course string, module ModuleID, in NewLesson) (Lesson, error) {
	ctx = core.WithOperation(ctx, "courses.CreateLesson")
	may, err := s.allowed(ctx, by, course, toEdit)
	if err != nil {
		return Lesson{}, err
	}
	in.Title = line(in.Title)
	bad := s.check(in)
	content := bad.rich("content", &in.Content, in.Format, MaxContent)
	bad.opening(in.OpensAt)
	if err := bad.err(); err != nil {
		return Lesson{}, err
	}
	l := Lesson{
		ModuleID: module, Title: in.Title, Kind: in.Kind, Content: *content, TextPolicy: richtext.Version,
		Duration: time.Duration(in.DurationSeconds) * time.Second, FreePreview: in.FreePreview,
		OpensAt: openingTime(in.OpensAt), OpensAfterDays: in.OpensAfterDays,
	}
	var made Lesson
	err = s.locked(ctx, by, may, toEdit, course, func(ctx context.Context, tx Tx, c *Course, t trail) (err error) {
		made, err = core.Once(ctx, tx, s.key(by, "courses.create_lesson", c.ID, in.Key, keyed{module, in}), func() (Lesson, error) {
			id, err := insertLesson(ctx, tx, c, l, in.Position)
			if err != nil {
				return Lesson{}, err
			}
			return t.lesson(ctx, tx, c, id)
		})
		return err
	})
	if err != nil {
		return Lesson{}, err
	}
	return made, nil
}

// insertLesson adds a lesson to a course at a position, of which 0 is the end.
func insertLesson(ctx context.Context, tx Tx, c *Course, l Lesson, position int) (LessonID, error) {
	if _, err := tx.ModuleByID(ctx, c.ID, l.ModuleID); err != nil {
		return 0, err
	}
	ids, err := tx.LessonIDs(ctx, c.ID, l.ModuleID)
	if err != nil {
		return 0, err
	}
	if len(ids) >= MaxLessons {
		return 0, tooMany("lessons", MaxLessons, len(ids))
	}
	if err := checkPosition(position, len(ids)); err != nil {
		return 0, err
	}
	l.CourseID = c.ID
	if l.Position, err = afterLastLesson(ctx, tx, c.ID, ids); err != nil {
		return 0, err
	}
	made, err := tx.InsertLessons(ctx, []Lesson{l})
	if err != nil {
		return 0, err
	}
	l.ID = made[0].ID
	if position == 0 || position > len(ids) {
		return l.ID, nil
	}
	return l.ID, tx.PlaceLessons(ctx, c.ID, l.ModuleID, slices.Insert(ids, position-1, l.ID))
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
	bad.opening(in.OpensAt)
	if err := bad.err(); err != nil {
		return Lesson{}, err
	}
	var edited Lesson
	err = s.locked(ctx, by, may, toEdit, course, func(ctx context.Context, tx Tx, c *Course, trail trail) error {
		l, err := tx.LessonByID(ctx, c.ID, id)
		if err != nil {
			return err
		}
		if err := same(in.IfVersion, l.Version); err != nil {
			return err
		}
		before := l
		l.refresh()
		set(&l.Title, in.Title)
		set(&l.Kind, in.Kind)
		set(&l.Content, in.Content)
		set(&l.FreePreview, in.FreePreview)
		set(&l.OpensAfterDays, in.OpensAfterDays)
		if in.OpensAt != nil {
			l.OpensAt = openingTime(in.OpensAt)
		}
		if in.DurationSeconds != nil {
			l.Duration = time.Duration(*in.DurationSeconds) * time.Second
		}
		if l.equal(&before) {
			edited = l.toEditor(c)
			return showFile(ctx, tx, &edited, true)
		}
		if err := tx.UpdateLessons(ctx, []Lesson{l}); err != nil {
			return err
		}
		edited, err = trail.lesson(ctx, tx, c, id)
		return err
	})
	if err != nil {
		return Lesson{}, err
	}
	return edited, nil
}

// keyed is what a key of CreateLesson stands for.
type keyed struct {
	Module ModuleID
	NewLesson
}

// equal reports whether two lessons, as they are stored, differ in nothing.
func (l *Lesson) equal(o *Lesson) bool { return reflect.DeepEqual(l, o) }

// lesson reads a lesson of a course as it is stored after a change, and tells of it.
func (t trail) lesson(ctx context.Context, tx Tx, c *Course, id LessonID) (Lesson, error) {
	changed, err := tx.LessonByID(ctx, c.ID, id)
	if err != nil {
		return Lesson{}, err
	}
	changed = changed.toEditor(c)
	if err := showFile(ctx, tx, &changed, true); err != nil {
		return Lesson{}, err
	}
	return changed, t.changed(ctx, tx, EventContent, c, Changed{Module: changed.ModuleID, Lesson: id}, false)
}

// toEditor returns a lesson of a course as it is shown to who may edit it.
func (l Lesson) toEditor(c *Course) Lesson {
	l.Opens, l.Language = l.OpensAt, c.Language
	return l
}

// openingTime returns a time as it is kept: nil, and the year 1, are none.
func openingTime(t *time.Time) time.Time {
	if t == nil || t.IsZero() {
		return time.Time{}
	}
	return core.Time(*t)
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
		if slices.Equal(ids, stored) {
			return nil
		}
		if err := tx.PlaceLessons(ctx, c.ID, module, ids); err != nil {
			return err
		}
		return t.changed(ctx, tx, EventContent, c, Changed{Module: module}, false)
	})
}
