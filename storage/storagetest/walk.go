package storagetest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage"
)

// walked reads pages of limit until one is short.
func walked[T any](t testing.TB, limit int, page func(last *T) ([]T, error)) (all []T) {
	t.Helper()
	for {
		var last *T
		if len(all) > 0 {
			last = &all[len(all)-1]
		}
		got, err := page(last)
		require.NoError(t, err)
		require.LessOrEqual(t, len(got), limit)
		all = append(all, got...)
		if len(got) < limit {
			return all
		}
	}
}

func comparePlaces(a, b courses.Place) int {
	return cmp.Or(strings.Compare(a.Course, b.Course), cmp.Compare(a.Module, b.Module), cmp.Compare(a.Lesson, b.Lesson))
}

func moduleAt(p courses.Placed[courses.Module]) courses.Place {
	return courses.Place{Course: p.Course, Module: p.Item.Position}
}

func lessonAt(p courses.Placed[courses.Lesson]) courses.Place {
	return courses.Place{Course: p.Course, Module: p.Item.ModulePosition, Lesson: p.Item.Position}
}

func (s suite) walks() {
	s.run("everything is walked through in the order of places, a page of any size after another", func(t *testing.T, b *storage.Backend) {
		r := random(t)
		ctx := timeout(t)
		teacher := insertUsers(t, b, person("teacher"))[0].ID
		var list []courses.Course
		for _, i := range r.Perm(9) {
			list = append(list, course(fmt.Sprintf("c-%d", i), teacher))
		}
		list = insertCourses(t, b, append(list, course("c", teacher), course("c-1-z", teacher))...)
		slugs := map[courses.CourseID]string{}
		var modules []courses.Module
		for _, c := range list {
			slugs[c.ID] = c.Slug
			for _, at := range r.Perm(12)[:r.IntN(5)] {
				modules = append(modules, courses.Module{CourseID: c.ID, Title: "M", Description: awkward[at%len(awkward)], Position: at + 1, Version: 1})
			}
		}
		modules = insertModules(t, b, modules...)
		var lessons []courses.Lesson
		for _, m := range modules {
			for _, at := range r.Perm(12)[:r.IntN(5)] {
				lessons = append(lessons, courses.Lesson{CourseID: m.CourseID, ModuleID: m.ID, ModulePosition: m.Position, Title: "L", Kind: courses.Text, Content: awkward[at%len(awkward)], Position: at + 1, Version: 1})
			}
		}
		lessons = insertLessons(t, b, lessons...)

		slices.SortFunc(list, func(a, b courses.Course) int { return strings.Compare(a.Slug, b.Slug) })
		var placedModules []courses.Placed[courses.Module]
		for _, m := range modules {
			placedModules = append(placedModules, courses.Placed[courses.Module]{Course: slugs[m.CourseID], Item: m})
		}
		slices.SortFunc(placedModules, func(a, b courses.Placed[courses.Module]) int { return comparePlaces(moduleAt(a), moduleAt(b)) })
		var placedLessons []courses.Placed[courses.Lesson]
		for _, l := range lessons {
			placedLessons = append(placedLessons, courses.Placed[courses.Lesson]{Course: slugs[l.CourseID], Item: l})
		}
		slices.SortFunc(placedLessons, func(a, b courses.Placed[courses.Lesson]) int { return comparePlaces(lessonAt(a), lessonAt(b)) })
		for _, limit := range []int{1, 2, 7, 1000} {
			require.Equal(t, list, walked(t, limit, func(last *courses.Course) ([]courses.Course, error) {
				if last == nil {
					return b.Courses.CoursesAfter(ctx, "", limit)
				}
				return b.Courses.CoursesAfter(ctx, last.Slug, limit)
			}))
			require.Equal(t, placedModules, walked(t, limit, func(last *courses.Placed[courses.Module]) ([]courses.Placed[courses.Module], error) {
				var after courses.Place
				if last != nil {
					after = moduleAt(*last)
				}
				return b.Courses.ModulesAfter(ctx, after, limit)
			}))
			require.Equal(t, placedLessons, walked(t, limit, func(last *courses.Placed[courses.Lesson]) ([]courses.Placed[courses.Lesson], error) {
				var after courses.Place
				if last != nil {
					after = lessonAt(*last)
				}
				return b.Courses.LessonsAfter(ctx, after, limit)
			}))
		}
	})
	s.run("a page of a walk is one statement, of courses two, and a place that is no text is core.ErrInvalid", func(t *testing.T, b *storage.Backend) {
		book(t, b)
		for what, c := range map[string]struct {
			statements int
			page       func(ctx context.Context, after string) error
		}{
			"courses": {2, func(ctx context.Context, after string) error {
				_, err := b.Courses.CoursesAfter(ctx, after, 10)
				return err
			}},
			"modules": {1, func(ctx context.Context, after string) error {
				_, err := b.Courses.ModulesAfter(ctx, courses.Place{Course: after}, 10)
				return err
			}},
			"lessons": {1, func(ctx context.Context, after string) error {
				_, err := b.Courses.LessonsAfter(ctx, courses.Place{Course: after}, 10)
				return err
			}},
		} {
			ctx, counter := storage.CountQueries(timeout(t))
			require.NoError(t, c.page(ctx, "a"), what)
			require.LessOrEqual(t, counter.Count(), c.statements, what)
			require.ErrorIs(t, c.page(timeout(t), "a\x00"), core.ErrInvalid, what)
		}
	})
}
