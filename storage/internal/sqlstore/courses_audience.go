package sqlstore

import (
	"context"
	"database/sql"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// CoursesByID implements courses.AudienceReader.
func (r coursesReader) CoursesByID(ctx context.Context, ids []courses.CourseID) ([]courses.Course, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	where, args := in(r.db, "c.id", ids)
	return r.coursesWhere(ctx, where, args)
}

const selectTaken = "SELECT id, user_id, course_id, status, enrolled_at, completed_at FROM ustat_enrollments WHERE "

func scanTaken(rows *sql.Rows, t *courses.Taken) error {
	var completed sql.NullTime
	err := rows.Scan(&t.Enrollment, &t.User, &t.Course, &t.Status, &t.EnrolledAt, &completed)
	t.EnrolledAt, t.CompletedAt = t.EnrolledAt.UTC(), timeOf(completed)
	return err
}

// TakenBy implements courses.AudienceReader.
func (r coursesReader) TakenBy(ctx context.Context, user core.UserID, limit int) ([]courses.Taken, error) {
	return readAll(ctx, r.session, selectTaken+"user_id = ? ORDER BY enrolled_at DESC, id DESC LIMIT ?", []any{user, limit}, scanTaken)
}

// TakenAfter implements courses.AudienceReader.
func (r coursesReader) TakenAfter(ctx context.Context, after courses.Taken, limit int) ([]courses.Taken, error) {
	return readAll(ctx, r.session, selectTaken+"(user_id, enrolled_at, id) > (?, ?, ?) ORDER BY user_id, enrolled_at, id LIMIT ?",
		[]any{after.User, r.db.timeValue(core.Time(after.EnrolledAt)), after.Enrollment, limit}, scanTaken)
}

// TaughtBy implements courses.AudienceReader.
func (r coursesReader) TaughtBy(ctx context.Context, teachers []core.UserID, limit int) ([]courses.CourseID, error) {
	if len(teachers) == 0 {
		return nil, nil
	}
	where, args := in(r.db, "teacher_id", teachers)
	return readAll(ctx, r.session, "SELECT id FROM ustat_courses WHERE "+where+" ORDER BY id DESC LIMIT ?", append(args, limit), scanOne[courses.CourseID])
}

// CategoriesByID implements courses.AudienceReader.
func (r coursesReader) CategoriesByID(ctx context.Context, ids []courses.CategoryID) ([]courses.Category, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	where, args := in(r.db, "k.id", ids)
	return readAll(ctx, r.session, selectCategories+" WHERE "+where, args, scanCategory)
}
