package sqlstore

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// What imports and exports of learning need: everything by the block.

// selectSeats reads Seats, and seatsOnly those whose lessons are not counted.
var (
	selectSeats = seatsWith("(SELECT count(*) FROM ustat_lessons AS l WHERE l.course_id = c.id)")
	seatsOnly   = seatsWith("0")
)

func seatsWith(lessons string) string {
	return "SELECT c.id, c.slug, c.title, " + lessons + ", c.status, c.teacher_id, c.price_minor, c.currency, c.capacity, s.students, s.trend," +
		" (SELECT count(*) FROM ustat_enrollments AS e WHERE e.course_id = c.id AND e.status = 'waiting')" +
		" FROM ustat_courses AS c JOIN ustat_course_stats AS s ON s.course_id = c.id WHERE "
}

func scanSeats(rows *sql.Rows, s *courses.Seats) error {
	return rows.Scan(&s.Course, &s.Slug, &s.Title, &s.Lessons, &s.Status, &s.Teacher, &s.Price.Minor, &s.Price.Currency, &s.Capacity, &s.Taken, &s.Trend, &s.Waiting)
}

// SeatsOf implements courses.LearningReader.
func (r coursesReader) SeatsOf(ctx context.Context, slugs []string) ([]courses.Seats, error) {
	if slugs = validOnly(slugs); len(slugs) == 0 {
		return nil, nil
	}
	where, args := in(r.db, "c.slug", slugs)
	return readAll(ctx, r.session, seatsOnly+where, args, scanSeats)
}

// LessonRefs implements courses.LearningReader.
func (r coursesReader) LessonRefs(ctx context.Context, places []courses.Place) ([]courses.Placed[courses.Lesson], error) {
	places = slices.DeleteFunc(slices.Clone(places), func(p courses.Place) bool { return !core.ValidText(p.Course) })
	var all []courses.Placed[courses.Lesson]
	for block := range slices.Chunk(places, blockRows) {
		const value = "(CAST(? AS TEXT), CAST(? AS BIGINT), CAST(? AS BIGINT))"
		n := roundUp(len(block))
		args := make([]any, 0, 3*n)
		for i := range n {
			p := block[min(i, len(block)-1)]
			args = append(args, p.Course, p.Module, p.Lesson)
		}
		join := r.db.dialect.JoinOrder
		found, err := readAll(ctx, r.session, "WITH v (slug, module, lesson) AS (VALUES "+value+strings.Repeat(", "+value, n-1)+")"+
			" SELECT DISTINCT c.slug, l.id, l.course_id, l.module_id, m.position, l.position FROM v"+join+"ustat_courses AS c"+join+"ustat_modules AS m"+join+"ustat_lessons AS l"+
			" WHERE c.slug = v.slug AND m.course_id = c.id AND m.position = v.module AND l.module_id = m.id AND l.position = v.lesson", args,
			func(rows *sql.Rows, p *courses.Placed[courses.Lesson]) error {
				return rows.Scan(&p.Course, &p.Item.ID, &p.Item.CourseID, &p.Item.ModuleID, &p.Item.ModulePosition, &p.Item.Position)
			})
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

func scanProgress(rows *sql.Rows, p *courses.LessonProgress) error {
	err := rows.Scan(&p.Enrollment, &p.Lesson, &p.CompletedAt)
	p.CompletedAt = p.CompletedAt.UTC()
	return err
}

// ProgressAt implements courses.LearningReader.
func (r coursesReader) ProgressAt(ctx context.Context, list []courses.LessonProgress) ([]courses.LessonProgress, error) {
	var all []courses.LessonProgress
	for block := range slices.Chunk(list, blockRows) {
		pairs, args := pairTable(len(block), func(i int) (any, any) { return block[i].Enrollment, block[i].Lesson })
		found, err := readAll(ctx, r.session, "SELECT enrollment_id, lesson_id, completed_at FROM ustat_progress WHERE (enrollment_id, lesson_id) IN "+pairs, args, scanProgress)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// LockEnrollments implements courses.LearningWriter.
func (t coursesTx) LockEnrollments(ctx context.Context, ids []courses.EnrollmentID) (map[courses.EnrollmentID]int64, error) {
	return versions(ctx, t.Tx.session, "ustat_enrollments", ids, t.Tx.db.dialect.ForUpdate)
}

// SetProgress implements courses.LearningWriter.
func (t coursesTx) SetProgress(ctx context.Context, list []courses.LessonProgress) error {
	for block := range slices.Chunk(list, blockRows) {
		rows := progressRows(block)
		conn, err := t.Tx.session.conn(ctx)
		if err != nil {
			return err
		}
		q := t.Tx.db.bun.NewInsert().Conn(conn).Model(&rows).On("CONFLICT (enrollment_id, lesson_id) DO UPDATE").Set("completed_at = EXCLUDED.completed_at").Returning("NULL")
		if _, err := t.Tx.exec(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

func progressRows(list []courses.LessonProgress) []progressRow {
	rows := make([]progressRow, len(list))
	for i, p := range list {
		rows[i] = progressRow{EnrollmentID: p.Enrollment, LessonID: p.Lesson, CompletedAt: core.Time(p.CompletedAt)}
	}
	return rows
}

// EnrollmentsAfter implements courses.WalkReader: the rest of the course that the place
// is in, and the courses behind it, each along an index.
func (r coursesReader) EnrollmentsAfter(ctx context.Context, after courses.EnrollmentPlace, limit int) ([]courses.Enrollment, error) {
	if err := checkPosition(after.Course); err != nil {
		return nil, err
	}
	var all []courses.Enrollment
	if after.ID != 0 {
		query, args := r.db.enrollmentsWithin(after, limit)
		var err error
		if all, err = readAll(ctx, r.session, query, args, scanEnrollment); err != nil || len(all) == limit {
			return all, err
		}
	}
	query, args := r.db.enrollmentsBehind(after.Course, limit-len(all))
	rest, err := readAll(ctx, r.session, query, args, scanEnrollment)
	return append(all, rest...), err
}

// enrollmentsWithin is the query of the enrollments of a course behind one. With the id as
// a constant, and no course before it, the index of the course's enrollments gives the
// order.
func (d *DB) enrollmentsWithin(after courses.EnrollmentPlace, limit int) (query string, args []any) {
	return selectUncounted + " WHERE e.course_id = (SELECT id FROM ustat_courses WHERE slug = ?) AND (e.enrolled_at, e.id) > (?, ?)" +
		" ORDER BY e.enrolled_at, e.id LIMIT ?", []any{after.Course, d.timeValue(after.At), after.ID, limit}
}

// enrollmentsBehind is the query of the enrollments of the courses behind one.
func (d *DB) enrollmentsBehind(course string, limit int) (query string, args []any) {
	return "SELECT " + enrollmentColumns("0", "0") + " FROM ustat_courses AS c" + d.dialect.JoinOrder + "ustat_enrollments AS e WHERE e.course_id = c.id AND c.slug > ? ORDER BY c.slug, e.enrolled_at, e.id LIMIT ?", []any{course, limit}
}

// ProgressOf implements courses.WalkReader.
func (r coursesReader) ProgressOf(ctx context.Context, ids []courses.EnrollmentID, visit func(at courses.Place, p courses.LessonProgress) error) error {
	if len(ids) == 0 {
		return nil
	}
	where, args := in(r.db, "e.id", ids)
	var refused error // by visit; it is no error of the database
	_, err := readAll(ctx, r.session, "SELECT c.slug, m.position, l.position, p.enrollment_id, p.lesson_id, p.completed_at FROM ustat_enrollments AS e"+
		" JOIN ustat_courses AS c ON c.id = e.course_id JOIN ustat_progress AS p ON p.enrollment_id = e.id"+
		" JOIN ustat_lessons AS l ON l.id = p.lesson_id AND l.course_id = e.course_id JOIN ustat_modules AS m ON m.id = l.module_id WHERE "+where+
		" ORDER BY c.slug, e.enrolled_at, e.id, m.position, l.position", args,
		func(rows *sql.Rows, _ *struct{}) error {
			var at courses.Place
			var p courses.LessonProgress
			var completed time.Time
			if err := rows.Scan(&at.Course, &at.Module, &at.Lesson, &p.Enrollment, &p.Lesson, &completed); err != nil {
				return err
			}
			p.CompletedAt = completed.UTC()
			if refused == nil {
				refused = visit(at, p)
			}
			return nil
		})
	if err != nil {
		return err
	}
	return refused
}
