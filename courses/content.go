package courses

import (
	"context"
	"fmt"

	"github.com/ustat/ustat/core"
)

// Categories returns a page of all categories by slug. One statement.
func (s *Service) Categories(ctx context.Context, page core.Page) (Page[Category], error) {
	ctx = core.WithOperation(ctx, "courses.Categories")
	found, err := core.ReadPage(s.cursors, "categories", page,
		func(after string, limit int) ([]Category, error) { return s.store.Categories(ctx, after, limit) },
		func(c Category) string { return c.Slug })
	if err != nil {
		return Page[Category]{}, err
	}
	p := s.speaker(ctx)
	for i := range found.Items {
		s.addCategory(p, &found.Items[i])
	}
	return found, s.speak(ctx, p)
}

// Category returns a category by slug, or ErrCategoryNotFound.
func (s *Service) Category(ctx context.Context, slug string) (Category, error) {
	ctx = core.WithOperation(ctx, "courses.Category")
	c, err := s.categoryBySlug(ctx, slug)
	if err != nil {
		return Category{}, err
	}
	p := s.speaker(ctx)
	s.addCategory(p, &c)
	err = s.speak(ctx, p)
	return c, err
}

func (s *Service) categoryBySlug(ctx context.Context, slug string) (Category, error) {
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
	found, err := core.ReadPage(s.cursors, "tags", page,
		func(after string, limit int) ([]Tag, error) { return s.store.Tags(ctx, after, limit) },
		func(t Tag) string { return t.Slug })
	if err != nil {
		return Page[Tag]{}, err
	}
	p := s.speaker(ctx)
	for i := range found.Items {
		s.addTag(p, &found.Items[i])
	}
	return found, s.speak(ctx, p)
}

// Modules returns a page of a course's modules by position. A course that the
// actor may not see is ErrCourseNotFound.
func (s *Service) Modules(ctx context.Context, by core.Actor, course string, page core.Page) (Page[Module], error) {
	ctx = core.WithOperation(ctx, "courses.Modules")
	c, _, err := s.visibleCourse(ctx, by, course)
	if err != nil {
		return Page[Module]{}, err
	}
	modules, err := core.ReadPage(s.cursors, fmt.Sprintf("modules/%d", c.ID), page,
		func(after, limit int) ([]Module, error) { return s.store.Modules(ctx, c.ID, after, limit) },
		func(m Module) int { return m.Position })
	if err != nil {
		return Page[Module]{}, err
	}
	for i := range modules.Items {
		modules.Items[i].refresh()
	}
	return modules, s.speakModules(ctx, c.Language, modules.Items)
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
	lessons, err := core.ReadPage(s.cursors, fmt.Sprintf("lessons/%d/%d", c.ID, module), page,
		func(after [2]int, limit int) ([]Lesson, error) {
			return s.store.Lessons(ctx, c.ID, module, after, limit)
		},
		func(l Lesson) [2]int { return [2]int{l.ModulePosition, l.Position} })
	if err != nil {
		return Page[Lesson]{}, err
	}
	if err := s.lock(ctx, may, Visit{Learner: learner, Course: &c}, lessons.Items); err != nil {
		return Page[Lesson]{}, err
	}
	if err := s.speakLessons(ctx, c.Language, lessons.Items); err != nil {
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
	if err != nil {
		return Module{}, err
	}
	m.refresh()
	modules := []Module{m}
	err = s.speakModules(ctx, c.Language, modules)
	return modules[0], err
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
	if err := s.speakLessons(ctx, c.Language, lessons); err != nil {
		return Lesson{}, err
	}
	return lessons[0], showFile(ctx, s.store, &lessons[0], may.edits(c.Teacher.ID))
}
