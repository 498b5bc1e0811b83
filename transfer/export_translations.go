package transfer

import (
	"context"
	"fmt"
	"strconv"

	"github.com/ustat/ustat/courses"
)

// exportTranslations writes the translations of courses, then of modules, of lessons, of
// categories and of tags, each by key and language: a page of objects and its translations
// after the other.
func exportTranslations(ctx context.Context, e *exporter, out *sheet) error {
	if err := out.header("object", "key", "language", "title", "description", "requirements", "sources"); err != nil {
		return err
	}
	store := e.backend.Courses
	err := e.courses(ctx, translated(ctx, e, out, courses.CourseObject, func(c *courses.Course) (int64, string) { return int64(c.ID), c.Slug }))
	if err != nil {
		return err
	}
	err = pages(ctx, exportTexts, func(ctx context.Context, last *courses.Placed[courses.Module], limit int) ([]courses.Placed[courses.Module], error) {
		var after courses.Place
		if last != nil {
			after = courses.Place{Course: last.Course, Module: last.Item.Position}
		}
		return store.ModulesAfter(ctx, after, limit)
	}, translated(ctx, e, out, courses.ModuleObject, func(m *courses.Placed[courses.Module]) (int64, string) {
		return int64(m.Item.ID), m.Course + "/" + strconv.Itoa(m.Item.Position)
	}))
	if err != nil {
		return err
	}
	err = pages(ctx, exportContents, func(ctx context.Context, last *courses.Placed[courses.Lesson], limit int) ([]courses.Placed[courses.Lesson], error) {
		var after courses.Place
		if last != nil {
			after = courses.Place{Course: last.Course, Module: last.Item.ModulePosition, Lesson: last.Item.Position}
		}
		return store.LessonsAfter(ctx, after, limit)
	}, translated(ctx, e, out, courses.LessonObject, func(l *courses.Placed[courses.Lesson]) (int64, string) {
		return int64(l.Item.ID), fmt.Sprintf("%s/%d/%d", l.Course, l.Item.ModulePosition, l.Item.Position)
	}))
	if err != nil {
		return err
	}
	err = pages(ctx, exportPage, func(ctx context.Context, last *courses.Category, limit int) ([]courses.Category, error) {
		after := ""
		if last != nil {
			after = last.Slug
		}
		return store.Categories(ctx, after, limit)
	}, translated(ctx, e, out, courses.CategoryObject, func(c *courses.Category) (int64, string) { return int64(c.ID), c.Slug }))
	if err != nil {
		return err
	}
	return pages(ctx, exportPage, func(ctx context.Context, last *courses.Tag, limit int) ([]courses.Tag, error) {
		after := ""
		if last != nil {
			after = last.Slug
		}
		return store.Tags(ctx, after, limit)
	}, translated(ctx, e, out, courses.TagObject, func(t *courses.Tag) (int64, string) { return int64(t.ID), t.Slug }))
}

// translated returns what writes the translations of a page of objects of one kind, which
// it reads by one statement.
func translated[T any](ctx context.Context, e *exporter, out *sheet, kind courses.ObjectKind, named func(*T) (id int64, key string)) func([]T) error {
	return func(page []T) error {
		objects, keys := make([]courses.Object, len(page)), map[courses.Object]string{}
		for i := range page {
			id, key := named(&page[i])
			objects[i] = courses.Object{Kind: kind, ID: id}
			keys[objects[i]] = key
		}
		found, err := e.backend.Courses.Translations(ctx, objects, nil)
		if err != nil {
			return err
		}
		of := map[courses.Object][]courses.Translation{}
		for _, x := range found {
			of[x.Object] = append(of[x.Object], x)
		}
		for _, o := range objects {
			for _, x := range of[o] {
				err := out.row(string(kind), keys[o], x.Language, x.Title, shown(x.Description, x.TextPolicy), shown(x.Requirements, x.TextPolicy), sourcesCell(x.Sources))
				if err != nil {
					return err
				}
			}
		}
		return nil
	}
}
