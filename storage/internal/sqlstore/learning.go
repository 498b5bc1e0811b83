package sqlstore

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

type enrollmentRow struct {
	bun.BaseModel `bun:"table:ustat_enrollments"`
	ID            courses.EnrollmentID     `bun:"id,pk,autoincrement"`
	CourseID      courses.CourseID         `bun:"course_id"`
	UserID        core.UserID              `bun:"user_id"`
	Status        courses.EnrollmentStatus `bun:"status"`
	Source        courses.Source           `bun:"source"`
	PaidMinor     int64                    `bun:"paid_minor"`
	PaidCurrency  string                   `bun:"paid_currency"`
	EnrolledAt    time.Time                `bun:"enrolled_at"`
	StartedAt     bun.NullTime             `bun:"started_at"`
	CompletedAt   bun.NullTime             `bun:"completed_at"`
	EndedAt       bun.NullTime             `bun:"ended_at"`
	ResumeLesson  courses.LessonID         `bun:"resume_lesson_id"`
	ResumeSeconds int                      `bun:"resume_seconds"`
}

func enrollmentRows(list []courses.Enrollment) []enrollmentRow {
	rows := make([]enrollmentRow, len(list))
	for i, e := range list {
		rows[i] = enrollmentRow{
			ID: e.ID, CourseID: e.Course, UserID: e.User, Status: e.Status, Source: e.Source,
			PaidMinor: e.PricePaid.Minor, PaidCurrency: e.PricePaid.Currency, EnrolledAt: core.Time(e.EnrolledAt),
			StartedAt: nullTime(e.StartedAt), CompletedAt: nullTime(e.CompletedAt), EndedAt: nullTime(e.EndedAt),
			ResumeLesson: e.Resume.Lesson, ResumeSeconds: e.Resume.Seconds,
		}
	}
	return rows
}

// nullTime returns a time as it is stored: the zero one as NULL.
func nullTime(t time.Time) bun.NullTime {
	if t.IsZero() {
		return bun.NullTime{}
	}
	return bun.NullTime{Time: core.Time(t)}
}

// timeOf returns a stored time: NULL as the zero one.
func timeOf(t sql.NullTime) time.Time {
	if !t.Valid {
		return time.Time{}
	}
	return t.Time.UTC()
}

// lessonsOf and doneOf count what a course has, and what of it an enrollment e has
// completed; resumeOf is the lesson that it resumes in, or 0 where that is deleted.
const (
	lessonsOf = "(SELECT count(*) FROM ustat_lessons AS l WHERE l.course_id = e.course_id)"
	doneOf    = "(SELECT count(*) FROM ustat_progress AS p JOIN ustat_lessons AS l ON l.id = p.lesson_id AND l.course_id = e.course_id WHERE p.enrollment_id = e.id)"
	resumeOf  = "coalesce((SELECT l.id FROM ustat_lessons AS l WHERE l.id = e.resume_lesson_id AND l.course_id = e.course_id), 0)"
)

// enrollmentColumns returns the columns that scanEnrollment reads, with what counts
// lessons and those that are done.
func enrollmentColumns(lessons, done string) string {
	return "e.id, e.course_id, c.slug, c.title, e.user_id, e.status, e.source, e.paid_minor, e.paid_currency, " + lessons + ", " + done + "," +
		" e.enrolled_at, e.started_at, e.completed_at, e.ended_at, " + resumeOf + "," +
		" e.resume_seconds, e.version"
}

const fromEnrollments = " FROM ustat_enrollments AS e JOIN ustat_courses AS c ON c.id = e.course_id"

var (
	selectEnrollments = "SELECT " + enrollmentColumns(lessonsOf, doneOf) + fromEnrollments
	selectUncounted   = "SELECT " + enrollmentColumns("0", "0") + fromEnrollments
)

func scanEnrollment(rows *sql.Rows, e *courses.Enrollment) error {
	return scanEnrollmentAnd(rows, e)
}

// scanEnrollmentAnd scans the columns of an enrollment, and those behind them into more.
func scanEnrollmentAnd(rows *sql.Rows, e *courses.Enrollment, more ...any) error {
	var times enrollmentScan
	err := rows.Scan(append(times.columns(e), more...)...)
	times.fill(e)
	return err
}

// enrollmentScan holds what of an enrollment is scanned into another type.
type enrollmentScan struct{ enrolled, started, completed, ended sql.NullTime }

func (s *enrollmentScan) columns(e *courses.Enrollment) []any {
	return []any{
		&e.ID, &e.Course, &e.Slug, &e.Title, &e.User, &e.Status, &e.Source, &e.PricePaid.Minor, &e.PricePaid.Currency, &e.Lessons, &e.Done,
		&s.enrolled, &s.started, &s.completed, &s.ended, &e.Resume.Lesson, &e.Resume.Seconds, &e.Version,
	}
}

func (s *enrollmentScan) fill(e *courses.Enrollment) {
	if e.Resume.Lesson == 0 { // it may be deleted
		e.Resume.Seconds = 0
	}
	e.EnrolledAt, e.StartedAt, e.CompletedAt, e.EndedAt = timeOf(s.enrolled), timeOf(s.started), timeOf(s.completed), timeOf(s.ended)
}

func (r coursesReader) enrollments(ctx context.Context, where string, args ...any) ([]courses.Enrollment, error) {
	return readAll(ctx, r.session, selectEnrollments+where, args, scanEnrollment)
}

// EnrollmentByID implements courses.LearningReader.
func (r coursesReader) EnrollmentByID(ctx context.Context, id courses.EnrollmentID) (courses.Enrollment, error) {
	found, err := r.enrollments(ctx, " WHERE e.id = ?", id)
	if err == nil && len(found) == 0 {
		err = courses.ErrEnrollmentNotFound
	}
	if err != nil {
		return courses.Enrollment{}, err
	}
	return found[0], nil
}

// Attendance implements courses.LearningReader.
func (r coursesReader) Attendance(ctx context.Context, id courses.EnrollmentID, lesson courses.LessonID) (courses.Attendance, error) {
	found, err := readAll(ctx, r.session, selectAttendance, []any{lesson, id}, scanAttendance)
	if err == nil && len(found) == 0 {
		err = courses.ErrEnrollmentNotFound
	}
	if err != nil {
		return courses.Attendance{}, err
	}
	return found[0], nil
}

// selectAttendance reads an enrollment, its course and a lesson, which may be missing.
var selectAttendance = "SELECT " + courseColumns + ", " + enrollmentColumns("0", "0") + "," +
	" coalesce(l.id, 0), coalesce(l.module_id, 0), coalesce(l.course_id, 0), coalesce(l.position, 0), coalesce(l.title, ''), coalesce(l.kind, ''), coalesce(l.content, '')," +
	" coalesce(l.duration_seconds, 0), coalesce(l.free_preview, FALSE), coalesce(l.text_policy, 0), l.opens_at, coalesce(l.opens_after_days, 0), coalesce(l.version, 0), coalesce(m.position, 0)" +
	fromCourses + " JOIN ustat_enrollments AS e ON e.course_id = c.id LEFT JOIN ustat_lessons AS l ON l.id = ? AND l.course_id = c.id" +
	" LEFT JOIN ustat_modules AS m ON m.id = l.module_id WHERE e.id = ?"

func scanAttendance(rows *sql.Rows, a *courses.Attendance) error {
	var row courseRow
	var times enrollmentScan
	err := scanLesson(rows, &a.Lesson, slices.Concat(row.columns(), times.columns(&a.Enrollment))...)
	a.Course = row.course()
	times.fill(&a.Enrollment)
	return err
}

// selectLearner reads an enrollment and an entitlement, of which either may be missing.
const selectLearner = "SELECT coalesce(e.id, 0), coalesce(e.course_id, 0), coalesce(c.slug, ''), coalesce(c.title, ''), coalesce(e.user_id, 0), coalesce(e.status, '')," +
	" coalesce(e.source, ''), coalesce(e.paid_minor, 0), coalesce(e.paid_currency, ''), " + lessonsOf + ", " + doneOf + "," +
	" e.enrolled_at, e.started_at, e.completed_at, e.ended_at, " + resumeOf + ", coalesce(e.resume_seconds, 0), coalesce(e.version, 0)," +
	" r.source, CAST(r.order_id AS TEXT), r.paid_minor, r.currency, r.granted_by, r.at" +
	" FROM (SELECT CAST(? AS BIGINT) AS course_id, CAST(? AS BIGINT) AS user_id) AS w" +
	" LEFT JOIN ustat_enrollments AS e ON e.course_id = w.course_id AND e.user_id = w.user_id LEFT JOIN ustat_courses AS c ON c.id = e.course_id" +
	" LEFT JOIN ustat_entitlements AS r ON r.course_id = w.course_id AND r.user_id = w.user_id"

func scanLearner(rows *sql.Rows, l *courses.Learner) error {
	var source, order, currency sql.NullString
	var paid, by sql.NullInt64
	var at sql.NullTime
	if err := scanEnrollmentAnd(rows, &l.Enrollment, &source, &order, &paid, &currency, &by, &at); err != nil || !source.Valid {
		return err
	}
	l.Entitled, l.Right = true, courses.Entitlement{
		Source: courses.Source(source.String), PricePaid: core.Money{Minor: paid.Int64, Currency: currency.String}, By: core.UserID(by.Int64), At: timeOf(at),
	}
	if !order.Valid {
		return nil
	}
	return l.Right.Order.UnmarshalText([]byte(order.String))
}

// LearnerOf implements courses.LearningReader.
func (r coursesReader) LearnerOf(ctx context.Context, course courses.CourseID, user core.UserID) (courses.Learner, error) {
	found, err := readAll(ctx, r.session, selectLearner, []any{course, user}, scanLearner)
	if err != nil {
		return courses.Learner{}, err
	}
	l := found[0]
	if l.User = user; l.Entitled {
		l.Right.Course, l.Right.User = course, user
	}
	return l, nil
}

// Enrollments implements courses.LearningReader.
func (r coursesReader) Enrollments(ctx context.Context, q courses.EnrollmentQuery) ([]courses.Enrollment, error) {
	var s statement
	if q.User != 0 {
		s.and("e.user_id = ?", q.User)
	}
	if q.Course != 0 {
		s.and("e.course_id = ?", q.Course)
	}
	if len(s.where) == 0 {
		return nil, core.Invalid("query", "required", "", "", "a user or a course is needed")
	}
	if q.Status != "" {
		s.and("e.status = ?", q.Status)
	}
	order, than := " DESC", " < "
	if q.Course != 0 && q.Status == courses.Waiting {
		order, than = "", " > "
	}
	if q.After != nil && len(q.After.Keys) == 1 {
		s.and("(e.enrolled_at, e.id)"+than+"(?, ?)", r.db.timeValue(time.UnixMicro(q.After.Keys[0]).UTC()), q.After.ID)
	}
	return r.enrollments(ctx, " WHERE "+strings.Join(s.where, " AND ")+" ORDER BY e.enrolled_at"+order+", e.id"+order+" LIMIT ?", append(s.args, q.Limit)...)
}

// EnrollmentsOf implements courses.LearningReader.
func (r coursesReader) EnrollmentsOf(ctx context.Context, list []courses.CourseID, users []core.UserID) ([]courses.Enrollment, error) {
	var all []courses.Enrollment
	for start := 0; start < len(list); start += blockRows {
		block := list[start:min(start+blockRows, len(list))]
		pairs, args := pairTable(len(block), func(i int) (any, any) { return block[i], users[start+i] })
		found, err := readAll(ctx, r.session, selectUncounted+" WHERE (e.course_id, e.user_id) IN "+pairs, args, scanEnrollment)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// CompletedLessons implements courses.LearningReader.
func (r coursesReader) CompletedLessons(ctx context.Context, id courses.EnrollmentID, after courses.LessonID, limit int) ([]courses.LessonProgress, error) {
	return readAll(ctx, r.session, "SELECT p.enrollment_id, p.lesson_id, p.completed_at FROM ustat_progress AS p JOIN ustat_enrollments AS e ON e.id = p.enrollment_id"+
		" JOIN ustat_lessons AS l ON l.id = p.lesson_id AND l.course_id = e.course_id WHERE p.enrollment_id = ? AND p.lesson_id > ? ORDER BY p.lesson_id LIMIT ?",
		[]any{id, after, limit}, scanProgress)
}

// NextLesson implements courses.LearningReader.
func (r coursesReader) NextLesson(ctx context.Context, id courses.EnrollmentID) (courses.LessonID, error) {
	found, err := readAll(ctx, r.session, "SELECT l.id FROM ustat_enrollments AS e JOIN ustat_modules AS m ON m.course_id = e.course_id JOIN ustat_lessons AS l ON l.module_id = m.id"+
		" WHERE e.id = ? AND NOT EXISTS (SELECT 1 FROM ustat_progress AS p WHERE p.enrollment_id = e.id AND p.lesson_id = l.id) ORDER BY m.position, l.position LIMIT 1",
		[]any{id}, scanOne[courses.LessonID])
	if err != nil || len(found) == 0 {
		return 0, err
	}
	return found[0], nil
}

// Prerequisites implements courses.LearningReader.
func (r coursesReader) Prerequisites(ctx context.Context, course courses.CourseID) ([]courses.Ref, error) {
	return readAll(ctx, r.session, selectRefs+"id IN (SELECT before_id FROM ustat_prerequisites WHERE course_id = ?) ORDER BY id", []any{course}, scanRef)
}

// Unmet implements courses.LearningReader.
func (r coursesReader) Unmet(ctx context.Context, course courses.CourseID, user core.UserID) ([]courses.CourseID, error) {
	return readAll(ctx, r.session, "SELECT p.before_id FROM ustat_prerequisites AS p WHERE p.course_id = ? AND NOT EXISTS"+
		" (SELECT 1 FROM ustat_enrollments AS e WHERE e.course_id = p.before_id AND e.user_id = ? AND e.completed_at IS NOT NULL AND e.status <> 'refunded') ORDER BY p.before_id",
		[]any{course, user}, scanOne[courses.CourseID])
}

// seatedIn is the condition that a user holds a seat in a course c.
const seatedIn = "c.id IN (SELECT course_id FROM ustat_enrollments WHERE user_id = ? AND status IN ('active', 'completed'))"

// Bookmarked implements courses.LearningReader.
func (r coursesReader) Bookmarked(ctx context.Context, q courses.BookmarkQuery) ([]courses.Hit, error) {
	var s statement
	s.and("b.user_id = ?", q.User)
	if q.Teachers != nil {
		seen, args := "c.status = 'published' OR "+seatedIn, []any{q.User}
		if len(q.Teachers) > 0 {
			theirs, more := in(r.db, "c.teacher_id", q.Teachers)
			seen, args = seen+" OR "+theirs, append(args, more...)
		}
		s.and("("+seen+")", args...)
	}
	if q.After != nil && len(q.After.Keys) == 1 {
		s.and("(b.at, b.course_id) < (?, ?)", r.db.timeValue(time.UnixMicro(q.After.Keys[0]).UTC()), q.After.ID)
	}
	type marked struct {
		courseRow
		at time.Time
	}
	rows, err := readAll(ctx, r.session, "SELECT "+courseColumns+", 0, b.at"+fromCourses+" JOIN ustat_bookmarks AS b ON b.course_id = c.id WHERE "+strings.Join(s.where, " AND ")+
		" ORDER BY b.at DESC, b.course_id DESC LIMIT ?", append(s.args, q.Limit), func(rows *sql.Rows, m *marked) error {
		return rows.Scan(append(m.columns(), &m.Field, &m.at)...)
	})
	if err != nil {
		return nil, err
	}
	return hits(ctx, r, rows, func(m *marked) (*courseRow, []int64) { return &m.courseRow, []int64{m.at.UnixMicro()} })
}
