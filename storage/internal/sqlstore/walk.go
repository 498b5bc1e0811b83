package sqlstore

import (
	"context"
	"database/sql"
	"strings"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// checkPosition refuses a slug that is no text.
func checkPosition(slug string) error {
	if !core.ValidText(slug) {
		return core.Invalid("after", "text", "", "", "valid UTF-8 without NUL is expected")
	}
	return nil
}

// CoursesAfter implements courses.WalkReader.
func (r coursesReader) CoursesAfter(ctx context.Context, after string, limit int) ([]courses.Course, error) {
	if err := checkPosition(after); err != nil {
		return nil, err
	}
	return r.coursesWhere(ctx, "c.slug > ? ORDER BY c.slug LIMIT ?", []any{after, limit})
}

// ModulesAfter implements courses.WalkReader.
func (r coursesReader) ModulesAfter(ctx context.Context, after courses.Place, limit int) ([]courses.Placed[courses.Module], error) {
	if err := checkPosition(after.Course); err != nil {
		return nil, err
	}
	columns := "c.slug, m." + strings.ReplaceAll(moduleColumns, ", ", ", m.")
	return readAll(ctx, r.session, "SELECT "+columns+" FROM ustat_courses AS c"+r.db.dialect.JoinOrder+"ustat_modules AS m WHERE m.course_id = c.id"+
		" AND c.slug >= ? AND (c.slug > ? OR m.position > ?) ORDER BY c.slug, m.position LIMIT ?",
		[]any{after.Course, after.Course, after.Module, limit},
		func(rows *sql.Rows, p *courses.Placed[courses.Module]) error {
			return scanModule(rows, &p.Item, &p.Course)
		})
}

// LessonsAfter implements courses.WalkReader.
func (r coursesReader) LessonsAfter(ctx context.Context, after courses.Place, limit int) ([]courses.Placed[courses.Lesson], error) {
	if err := checkPosition(after.Course); err != nil {
		return nil, err
	}
	return readAll(ctx, r.session, "SELECT c.slug, "+lessonColumns+" FROM ustat_courses AS c"+r.db.dialect.JoinOrder+"ustat_modules AS m"+
		r.db.dialect.JoinOrder+"ustat_lessons AS l WHERE m.course_id = c.id AND l.module_id = m.id"+
		" AND c.slug >= ? AND (c.slug > ? OR m.position > ? OR m.position = ? AND l.position > ?) ORDER BY c.slug, m.position, l.position LIMIT ?",
		[]any{after.Course, after.Course, after.Module, after.Module, after.Lesson, limit},
		func(rows *sql.Rows, p *courses.Placed[courses.Lesson]) error {
			return scanLesson(rows, &p.Item, &p.Course)
		})
}
