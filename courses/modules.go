package courses

import (
	"context"
	"slices"
	"strconv"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses/richtext"
)

// CreateModule adds a module to a course, at its end or at in.Position. More than
// MaxModules are ErrTooMany. With a Key, the same input again gives the module that
// the first call made, and another input is core.ErrKeyReused.
func (s *Service) CreateModule(ctx context.Context, by core.Actor, course string, in NewModule) (Module, error) {
	ctx = core.WithOperation(ctx, "courses.CreateModule")
	may, err := s.allowed(ctx, by, course, toEdit)
	if err != nil {
		return Module{}, err
	}
	in.Title = line(in.Title)
	bad := s.check(in)
	description := bad.rich("description", &in.Description, in.Format, MaxDescription)
	if err := bad.err(); err != nil {
		return Module{}, err
	}
	m := Module{Title: in.Title, Description: *description, TextPolicy: richtext.Version}
	var made Module
	err = s.locked(ctx, by, may, toEdit, course, func(ctx context.Context, tx Tx, c *Course, t trail) (err error) {
		made, err = core.Once(ctx, tx, s.key(by, "courses.create_module", c.ID, in.Key, in), func() (Module, error) {
			id, err := insertModule(ctx, tx, c, m, in.Position)
			if err != nil {
				return Module{}, err
			}
			return t.module(ctx, tx, c, id)
		})
		return err
	})
	if err != nil {
		return Module{}, err
	}
	return made, nil
}

// insertModule adds a module to a course at a position, of which 0 is the end.
func insertModule(ctx context.Context, tx Tx, c *Course, m Module, position int) (ModuleID, error) {
	ids, err := tx.ModuleIDs(ctx, c.ID)
	if err != nil {
		return 0, err
	}
	if len(ids) >= MaxModules {
		return 0, tooMany("modules", MaxModules, len(ids))
	}
	if err := checkPosition(position, len(ids)); err != nil {
		return 0, err
	}
	m.CourseID = c.ID
	if m.Position, err = afterLastModule(ctx, tx, c.ID, ids); err != nil {
		return 0, err
	}
	made, err := tx.InsertModules(ctx, []Module{m})
	if err != nil {
		return 0, err
	}
	m.ID = made[0].ID
	if position == 0 || position > len(ids) {
		return m.ID, nil
	}
	return m.ID, tx.PlaceModules(ctx, c.ID, slices.Insert(ids, position-1, m.ID))
}

// afterLastModule returns the position behind all that a course has.
func afterLastModule(ctx context.Context, tx Tx, course CourseID, ids []ModuleID) (int, error) {
	if len(ids) == 0 {
		return 1, nil
	}
	last, err := tx.ModuleByID(ctx, course, ids[len(ids)-1])
	return last.Position + 1, err
}

// checkPosition refuses a place that is not among n others or right behind them.
func checkPosition(position, n int) error {
	if position > n+1 {
		return core.Invalid("position", "max", strconv.Itoa(n+1), strconv.Itoa(position), "the position is behind the end")
	}
	return nil
}

// EditModule changes what is given of a module. One that is not of the course is
// ErrModuleNotFound.
func (s *Service) EditModule(ctx context.Context, by core.Actor, course string, id ModuleID, in ModuleEdit) (Module, error) {
	ctx = core.WithOperation(ctx, "courses.EditModule")
	may, err := s.allowed(ctx, by, course, toEdit)
	if err != nil {
		return Module{}, err
	}
	in.Title = linePtr(in.Title)
	bad := s.check(in)
	in.Description = bad.rich("description", in.Description, in.Format, MaxDescription)
	if err := bad.err(); err != nil {
		return Module{}, err
	}
	var edited Module
	err = s.locked(ctx, by, may, toEdit, course, func(ctx context.Context, tx Tx, c *Course, trail trail) error {
		m, err := tx.ModuleByID(ctx, c.ID, id)
		if err != nil {
			return err
		}
		if err := same(in.IfVersion, m.Version); err != nil {
			return err
		}
		before := m
		m.refresh()
		set(&m.Title, in.Title)
		set(&m.Description, in.Description)
		if m == before {
			edited = m
			edited.Language = c.Language
			return nil
		}
		if err := tx.UpdateModules(ctx, []Module{m}); err != nil {
			return err
		}
		edited, err = trail.module(ctx, tx, c, id)
		return err
	})
	if err != nil {
		return Module{}, err
	}
	return edited, nil
}

// module reads a module of a course as it is stored after a change, and tells of it.
func (t trail) module(ctx context.Context, tx Tx, c *Course, id ModuleID) (Module, error) {
	changed, err := tx.ModuleByID(ctx, c.ID, id)
	if err != nil {
		return Module{}, err
	}
	changed.Language = c.Language
	return changed, t.changed(ctx, tx, EventContent, c, Changed{Module: id}, false)
}

// DeleteModule removes a module with its lessons. A course that is published or in
// review keeps at least one lesson: else it is ErrLastLesson.
func (s *Service) DeleteModule(ctx context.Context, by core.Actor, course string, id ModuleID, ifVersion int64) error {
	ctx = core.WithOperation(ctx, "courses.DeleteModule")
	may, err := s.allowed(ctx, by, course, toEdit)
	if err != nil {
		return err
	}
	return s.locked(ctx, by, may, toEdit, course, func(ctx context.Context, tx Tx, c *Course, t trail) error {
		m, err := tx.ModuleByID(ctx, c.ID, id)
		if err != nil {
			return err
		}
		if err := same(ifVersion, m.Version); err != nil {
			return err
		}
		if err := tx.DeleteModule(ctx, c.ID, id); err != nil {
			return err
		}
		if err := keepsLesson(ctx, tx, c); err != nil {
			return err
		}
		return t.changed(ctx, tx, EventContent, c, Changed{Module: id}, false)
	})
}

// keepsLesson returns ErrLastLesson when a course that others read, or soon will,
// has no lesson left.
func keepsLesson(ctx context.Context, tx Tx, c *Course) error {
	if c.Status != Published && c.Status != InReview {
		return nil
	}
	content, err := tx.CountContent(ctx, c.ID)
	if err == nil && content.Lessons == 0 {
		err = ErrLastLesson
	}
	return err
}

// ReorderModules puts the modules of a course into the order of ids, which names
// each of them once: else it is a core.ErrInvalid naming "modules".
func (s *Service) ReorderModules(ctx context.Context, by core.Actor, course string, ids []ModuleID) error {
	ctx = core.WithOperation(ctx, "courses.ReorderModules")
	may, err := s.allowed(ctx, by, course, toEdit)
	if err != nil {
		return err
	}
	return s.locked(ctx, by, may, toEdit, course, func(ctx context.Context, tx Tx, c *Course, t trail) error {
		stored, err := tx.ModuleIDs(ctx, c.ID)
		if err != nil {
			return err
		}
		if err := covers(ids, stored, "modules", len(stored)); err != nil {
			return err
		}
		if slices.Equal(ids, stored) {
			return nil
		}
		if err := tx.PlaceModules(ctx, c.ID, ids); err != nil {
			return err
		}
		return t.changed(ctx, tx, EventContent, c, Changed{}, false)
	})
}

// covers refuses ids that name one twice, leave one of stored out, or are more than
// most.
func covers[ID ~int64](ids, stored []ID, field string, most int) error {
	if len(ids) > most {
		return core.Invalid(field, "max", strconv.Itoa(most), strconv.Itoa(len(ids)), "there are too many")
	}
	seen := make(map[ID]bool, len(ids))
	for i, id := range ids {
		if seen[id] {
			return core.Invalid(field+"["+strconv.Itoa(i)+"]", "unique", "", strconv.FormatInt(int64(id), 10), "it is named twice")
		}
		seen[id] = true
	}
	for _, id := range stored {
		if !seen[id] {
			return core.Invalid(field, "complete", strconv.Itoa(len(stored)), strconv.FormatInt(int64(id), 10), "each must be named: this one is missing")
		}
	}
	return nil
}
