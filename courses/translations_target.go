package courses

import (
	"context"
	"errors"

	"github.com/ustat/ustat/core"
)

// target is what a Target names.
type target struct {
	object   Object
	texts    Texts  // as their author wrote them
	language string // in which that is; of categories and tags the platform's
	course   *Course
	module   ModuleID
	lesson   LessonID
	shelf    ShelfChanged // of a category or a tag
}

// mayTranslate refuses who may not change an object, before a transaction is begun.
func (s *Service) mayTranslate(ctx context.Context, by core.Actor, of Target) (scope, error) {
	if of.kind == CategoryObject || of.kind == TagObject {
		return scope{}, by.RequireAdmin()
	}
	return s.allowed(ctx, by, of.slug, toEdit)
}

// lockedTarget runs fn under the lock of what is translated, as its edits do.
func (s *Service) lockedTarget(ctx context.Context, by core.Actor, may scope, of Target, fn func(ctx context.Context, tx Tx, x target, t trail) error) error {
	switch of.kind {
	case CategoryObject:
		return s.changeTree(ctx, by, func(ctx context.Context, tx Tx, t tree, trail trail) error {
			c, ok := t[of.slug]
			if !ok {
				return ErrCategoryNotFound
			}
			return fn(ctx, tx, s.categoryTarget(c), trail)
		})
	case TagObject:
		t := s.trail(by)
		return s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
			tag, err := tx.TagForUpdate(ctx, of.slug)
			if err != nil {
				return err
			}
			return fn(ctx, tx, s.tagTarget(tag), t)
		})
	}
	return s.locked(ctx, by, may, toEdit, of.slug, func(ctx context.Context, tx Tx, c *Course, t trail) error {
		x, err := targetIn(ctx, tx, c, of)
		if err != nil {
			return err
		}
		return fn(ctx, tx, x, t)
	})
}

// seenTarget returns what the actor may read the translations of.
func (s *Service) seenTarget(ctx context.Context, by core.Actor, of Target) (target, error) {
	switch of.kind {
	case CategoryObject:
		c, err := s.categoryBySlug(ctx, of.slug)
		return s.categoryTarget(c), err
	case TagObject:
		t, err := s.tagBySlug(ctx, of.slug)
		return s.tagTarget(t), err
	}
	c, may, err := s.visibleCourse(ctx, by, of.slug)
	if err != nil {
		return target{}, err
	}
	if of.kind == LessonObject { // what its gates close is not read by the way
		if err := may.may(by, &c, toEdit); err != nil {
			return target{}, err
		}
	}
	return targetIn(ctx, s.store, &c, of)
}

// targetIn returns what a Target names in a course.
func targetIn(ctx context.Context, r Reader, c *Course, of Target) (target, error) {
	x := target{object: Object{of.kind, of.id}, language: c.Language, course: c}
	switch of.kind {
	case ModuleObject:
		m, err := r.ModuleByID(ctx, c.ID, ModuleID(of.id))
		if err != nil {
			return x, err
		}
		x.texts, x.module = Texts{Title: m.Title, Description: m.Description}, m.ID
	case LessonObject:
		l, err := r.LessonByID(ctx, c.ID, LessonID(of.id))
		if err != nil {
			return x, err
		}
		x.texts, x.module, x.lesson = Texts{Title: l.Title, Description: l.Content}, l.ModuleID, l.ID
	case CourseObject:
		x.object.ID, x.texts = int64(c.ID), Texts{c.Title, c.Description, c.Requirements}
	default:
		return x, core.ErrInternal.Because(errors.New("a target of no kind"))
	}
	return x, nil
}

func (s *Service) categoryTarget(c Category) target {
	return target{object: Object{CategoryObject, int64(c.ID)}, texts: Texts{Title: c.Name}, language: s.language, shelf: ShelfChanged{Slug: c.Slug, Parent: c.Parent}}
}

func (s *Service) tagTarget(t Tag) target {
	return target{object: Object{TagObject, int64(t.ID)}, texts: Texts{Title: t.Name}, language: s.language, shelf: ShelfChanged{Slug: t.Slug}}
}

// translated tells that a translation was changed.
func (t trail) translated(ctx context.Context, tx Tx, x target, language string) error {
	switch x.object.Kind {
	case CategoryObject:
		x.shelf.Language = language
		return t.shelf(ctx, tx, EventCategoryUpdated, categorySubject(Category{ID: CategoryID(x.object.ID)}), x.shelf)
	case TagObject:
		x.shelf.Language = language
		return t.shelf(ctx, tx, EventTagUpdated, tagSubject(Tag{ID: TagID(x.object.ID)}), x.shelf)
	}
	return t.changed(ctx, tx, EventTranslated, x.course, Changed{Module: x.module, Lesson: x.lesson, Language: language}, false)
}
