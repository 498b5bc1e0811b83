package courses

import (
	"context"
	"fmt"

	"github.com/ustat/ustat/core"
)

// Categories returns a page of all categories by slug. One statement.
func (s *Service) Categories(ctx context.Context, page core.Page) (Page[Category], error) {
	ctx = core.WithOperation(ctx, "courses.Categories")
	return pageBySlug(ctx, s.cursors, "categories", page, s.store.Categories, func(c Category) string { return c.Slug })
}

// Category returns a category by slug, or ErrCategoryNotFound.
func (s *Service) Category(ctx context.Context, slug string) (Category, error) {
	ctx = core.WithOperation(ctx, "courses.Category")
	if !core.ValidText(slug) {
		return Category{}, ErrCategoryNotFound
	}
	found, err := s.store.CategoriesBySlug(ctx, []string{slug})
	if err != nil {
		return Category{}, err
	}
	if len(found) == 0 {
		return Category{}, ErrCategoryNotFound
	}
	return found[0], nil
}

// Tags returns a page of all tags by slug. One statement.
func (s *Service) Tags(ctx context.Context, page core.Page) (Page[Tag], error) {
	ctx = core.WithOperation(ctx, "courses.Tags")
	return pageBySlug(ctx, s.cursors, "tags", page, s.store.Tags, func(t Tag) string { return t.Slug })
}

func pageBySlug[T any](ctx context.Context, cursors *core.Cursors, list string, page core.Page,
	read func(ctx context.Context, after string, limit int) ([]T, error), slug func(T) string,
) (Page[T], error) {
	var after string
	return pageOf(cursors, list, page, &after,
		func(limit int) ([]T, error) { return read(ctx, after, limit) },
		func(last T) any { return slug(last) })
}

// pageOf opens the cursor into after, reads one row more than asked, and seals the
// position of the last row that is given.
func pageOf[T any](cursors *core.Cursors, list string, page core.Page, after any,
	read func(limit int) ([]T, error), position func(last T) any,
) (Page[T], error) {
	limit, err := page.Size()
	if err != nil {
		return Page[T]{}, err
	}
	if page.Cursor != "" {
		if err := cursors.Open(list, page.Cursor, after); err != nil {
			return Page[T]{}, err
		}
	}
	rows, err := read(limit + 1)
	if err != nil {
		return Page[T]{}, err
	}
	var out Page[T]
	if len(rows) > limit {
		rows = rows[:limit]
		if out.Next, err = cursors.Seal(list, position(rows[limit-1])); err != nil {
			return Page[T]{}, err
		}
	}
	out.Items = rows
	return out, nil
}

// Modules returns a page of a course's modules by position. A course that the
// actor may not see is ErrCourseNotFound.
func (s *Service) Modules(ctx context.Context, by core.Actor, course string, page core.Page) (Page[Module], error) {
	ctx = core.WithOperation(ctx, "courses.Modules")
	c, _, err := s.visibleCourse(ctx, by, course)
	if err != nil {
		return Page[Module]{}, err
	}
	var after int
	modules, err := pageOf(s.cursors, fmt.Sprintf("modules/%d", c.ID), page, &after,
		func(limit int) ([]Module, error) { return s.store.Modules(ctx, c.ID, after, limit) },
		func(m Module) any { return m.Position })
	for i := range modules.Items {
		modules.Items[i].refresh()
	}
	return modules, err
}

// Lessons returns a page of a course's lessons by module and position; module 0
// is all of them. Those that a Gate closes to the actor come locked and without their
// content. A course that the actor may not see is ErrCourseNotFound.
func (s *Service) Lessons(ctx context.Context, by core.Actor, course string, module ModuleID, page core.Page) (Page[Lesson], error) {
	ctx = core.WithOperation(ctx, "courses.Lessons")
	c, may, learner, err := s.visit(ctx, by, course, true)
	if err != nil {
		return Page[Lesson]{}, err
	}
	var after [2]int
	lessons, err := pageOf(s.cursors, fmt.Sprintf("lessons/%d/%d", c.ID, module), page, &after,
		func(limit int) ([]Lesson, error) { return s.store.Lessons(ctx, c.ID, module, after, limit) },
		func(l Lesson) any { return [2]int{l.ModulePosition, l.Position} })
	if err != nil {
		return Page[Lesson]{}, err
	}
	if err := s.lock(ctx, may, Visit{Learner: learner, Course: &c}, lessons.Items); err != nil {
		return Page[Lesson]{}, err
	}
	return lessons, showFiles(ctx, s.store, lessons.Items, may.edits(c.Teacher.ID))
}

// Module returns a module of a course, or fails with ErrModuleNotFound.
func (s *Service) Module(ctx context.Context, by core.Actor, course string, id ModuleID) (Module, error) {
	ctx = core.WithOperation(ctx, "courses.Module")
	c, _, err := s.visibleCourse(ctx, by, course)
	if err != nil {
		return Module{}, err
	}
	m, err := s.store.ModuleByID(ctx, c.ID, id)
	m.refresh()
	return m, err
}

// Lesson returns a lesson of a course, locked as Lessons has it, or fails with
// ErrLessonNotFound.
func (s *Service) Lesson(ctx context.Context, by core.Actor, course string, id LessonID) (Lesson, error) {
	ctx = core.WithOperation(ctx, "courses.Lesson")
	c, may, learner, err := s.visit(ctx, by, course, true)
	if err != nil {
		return Lesson{}, err
	}
	l, err := s.store.LessonByID(ctx, c.ID, id)
	if err != nil {
		return Lesson{}, err
	}
	lessons := []Lesson{l}
	if err := s.lock(ctx, may, Visit{Learner: learner, Course: &c}, lessons); err != nil {
		return Lesson{}, err
	}
	return lessons[0], showFile(ctx, s.store, &lessons[0], may.edits(c.Teacher.ID))
}
