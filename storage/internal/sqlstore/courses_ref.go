package sqlstore

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"strings"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

const selectRefs = "SELECT id, slug, title, status, teacher_id, coalesce(category_id, 0) FROM ustat_courses WHERE "

func scanRef(rows *sql.Rows, r *courses.Ref) error {
	return rows.Scan(&r.ID, &r.Slug, &r.Title, &r.Status, &r.Teacher, &r.Category)
}

// RefBySlug implements courses.CourseReader.
func (r coursesReader) RefBySlug(ctx context.Context, slug string) (courses.Ref, error) {
	if !core.ValidText(slug) {
		return courses.Ref{}, courses.ErrCourseNotFound
	}
	found, err := readAll(ctx, r.session, selectRefs+"slug = ?", []any{slug}, scanRef)
	if err == nil && len(found) == 0 {
		err = courses.ErrCourseNotFound
	}
	if err != nil {
		return courses.Ref{}, err
	}
	return found[0], nil
}

// RefsByID implements courses.CourseReader.
func (r coursesReader) RefsByID(ctx context.Context, ids []courses.CourseID) ([]courses.Ref, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	where, args := in(r.db, "id", ids)
	return readAll(ctx, r.session, selectRefs+where, args, scanRef)
}

// RefsByTeachers implements courses.CourseReader.
func (r coursesReader) RefsByTeachers(ctx context.Context, teachers []core.UserID, limit int) ([]courses.Ref, error) {
	if len(teachers) == 0 {
		return nil, nil
	}
	where, args := in(r.db, "teacher_id", teachers)
	return readAll(ctx, r.session, selectRefs+where+" ORDER BY id DESC LIMIT ?", append(args, limit), scanRef)
}

// LessonCourses implements courses.CourseReader.
func (r coursesReader) LessonCourses(ctx context.Context, ids []courses.LessonID) (map[courses.LessonID]courses.CourseID, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	type placed struct {
		lesson courses.LessonID
		course courses.CourseID
	}
	where, args := in(r.db, "id", ids)
	found, err := readAll(ctx, r.session, "SELECT id, course_id FROM ustat_lessons WHERE "+where, args,
		func(rows *sql.Rows, p *placed) error { return rows.Scan(&p.lesson, &p.course) })
	if err != nil {
		return nil, err
	}
	of := make(map[courses.LessonID]courses.CourseID, len(found))
	for _, p := range found {
		of[p.lesson] = p.course
	}
	return of, nil
}

// ReviewNumbers implements courses.CourseReader.
func (r coursesReader) ReviewNumbers(ctx context.Context, ids []courses.CourseID) (map[courses.CourseID]courses.ReviewNumbers, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	type listed struct {
		id courses.CourseID
		courses.ReviewNumbers
	}
	where, args := in(r.db, "course_id", ids)
	found, err := readAll(ctx, r.session, "SELECT course_id, review_count, rating_sum, rating_version FROM ustat_course_stats WHERE "+where, args,
		func(rows *sql.Rows, l *listed) error { return rows.Scan(&l.id, &l.Count, &l.Sum, &l.Version) })
	if err != nil {
		return nil, err
	}
	numbers := make(map[courses.CourseID]courses.ReviewNumbers, len(found))
	for _, l := range found {
		numbers[l.id] = l.ReviewNumbers
	}
	return numbers, nil
}

// TeacherNumbers implements courses.CourseReader.
func (r coursesReader) TeacherNumbers(ctx context.Context, teacher core.UserID) (n courses.ReviewNumbers, err error) {
	found, err := readAll(ctx, r.session, "SELECT CAST(coalesce(sum(review_count), 0) AS BIGINT), CAST(coalesce(sum(rating_sum), 0) AS BIGINT) FROM ustat_course_stats WHERE teacher_id = ?",
		[]any{teacher}, func(rows *sql.Rows, n *courses.ReviewNumbers) error { return rows.Scan(&n.Count, &n.Sum) })
	if err != nil {
		return n, err
	}
	return found[0], nil
}

// SetRating implements courses.CourseWriter.
func (t coursesTx) SetRating(ctx context.Context, id courses.CourseID, r courses.ReviewNumbers) error {
	return setRating(ctx, t.Tx, id, r)
}

// setRating shows the numbers of a course's reviews in the lists of courses, where they
// are newer than what is there, and adds to its trend.
func setRating(ctx context.Context, tx *Tx, id courses.CourseID, r courses.ReviewNumbers) error {
	rank := courses.Stats{ReviewCount: r.Count, RatingSum: r.Sum}.RatingRank()
	const set, where = "UPDATE ustat_course_stats SET review_count = ?, rating_sum = ?, rating_rank = ?, rating_version = ?", " WHERE course_id = ? AND rating_version < ?"
	if r.Heat == (courses.Heat{}) {
		_, err := tx.rawExec(ctx, set+where, r.Count, r.Sum, rank, r.Version, id, r.Version)
		return err
	}
	trend, err := readAll(ctx, tx.session, "SELECT trend FROM ustat_course_stats"+where+tx.db.dialect.ForUpdate, []any{id, r.Version}, scanOne[int64])
	if err != nil || len(trend) == 0 {
		return err
	}
	_, err = tx.rawExec(ctx, set+", trend = ?"+where, r.Count, r.Sum, rank, r.Version, r.Heat.On(trend[0]), id, r.Version)
	return err
}

// AddTrend implements courses.CourseWriter.
func (t coursesTx) AddTrend(ctx context.Context, heat map[courses.CourseID]courses.Heat) error {
	type row struct {
		id    courses.CourseID
		trend int64
	}
	for block := range slices.Chunk(slices.Sorted(maps.Keys(heat)), blockRows) {
		where, args := in(t.Tx.db, "course_id", block)
		stored, err := readAll(ctx, t.Tx.session, "SELECT course_id, trend FROM ustat_course_stats WHERE "+where+" ORDER BY course_id"+t.Tx.db.dialect.ForUpdate, args,
			func(rows *sql.Rows, r *row) error { return rows.Scan(&r.id, &r.trend) })
		if err != nil {
			return err
		}
		values := make([]any, 0, 2*len(stored))
		for _, r := range stored {
			if trend := heat[r.id].On(r.trend); trend != r.trend {
				values = append(values, r.id, trend)
			}
		}
		if len(values) == 0 {
			continue
		}
		const value = "(CAST(? AS BIGINT), CAST(? AS BIGINT))"
		if _, err := t.Tx.rawExec(ctx, "WITH v (id, trend) AS (VALUES "+value+strings.Repeat(", "+value, len(values)/2-1)+")"+
			" UPDATE ustat_course_stats SET trend = v.trend FROM v WHERE ustat_course_stats.course_id = v.id", values...); err != nil {
			return err
		}
	}
	return nil
}
