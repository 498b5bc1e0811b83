package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// SeatsForUpdate implements courses.LearningWriter. Where writers are many, the statement
// that locks the course has counted who waits before it was locked: where seats are scarce
// they are counted again.
func (t coursesTx) SeatsForUpdate(ctx context.Context, slug string) (courses.Seats, error) {
	if !core.ValidText(slug) {
		return courses.Seats{}, courses.ErrCourseNotFound
	}
	lock := t.Tx.db.dialect.ForUpdate
	if lock != "" {
		lock += " OF c, s" // and s for the trend, which others write too
	}
	found, err := readAll(ctx, t.Tx.session, selectSeats+"c.id = "+idBySlug+lock, []any{slug, slug}, scanSeats)
	if err == nil && lock != "" && len(found) > 0 && found[0].Capacity+found[0].Waiting > 0 {
		found, err = readAll(ctx, t.Tx.session, selectSeats+"c.id = ?", []any{found[0].Course}, scanSeats)
	}
	if err == nil && len(found) == 0 {
		err = courses.ErrCourseNotFound
	}
	if err != nil {
		return courses.Seats{}, err
	}
	return found[0], nil
}

// EnrollmentForUpdate implements courses.LearningWriter.
func (t coursesTx) EnrollmentForUpdate(ctx context.Context, id courses.EnrollmentID) (courses.Enrollment, error) {
	if lock := t.Tx.db.dialect.ForUpdate; lock != "" {
		if _, err := readAll(ctx, t.Tx.session, "SELECT id FROM ustat_enrollments WHERE id = ?"+lock, []any{id}, scanOne[courses.EnrollmentID]); err != nil {
			return courses.Enrollment{}, err
		}
	}
	return t.EnrollmentByID(ctx, id)
}

// InsertEnrollments implements courses.LearningWriter.
func (t coursesTx) InsertEnrollments(ctx context.Context, list []courses.Enrollment) ([]courses.Enrollment, error) {
	if err := checkEnrollments(list); err != nil || len(list) == 0 {
		return nil, err
	}
	out, change, err := t.insertEnrollments(ctx, list)
	if err != nil {
		return nil, err
	}
	return out, t.countSeats(ctx, change)
}

// AddEnrollment implements courses.LearningWriter. The course's numbers and its trend are
// written by one statement.
func (t coursesTx) AddEnrollment(ctx context.Context, e courses.Enrollment, trend int64) (courses.Enrollment, error) {
	list := []courses.Enrollment{e}
	if err := checkEnrollments(list); err != nil {
		return courses.Enrollment{}, err
	}
	out, change, err := t.insertEnrollments(ctx, list)
	if err != nil {
		return courses.Enrollment{}, err
	}
	by := change[e.Course]
	_, err = t.Tx.rawExec(ctx, "UPDATE ustat_course_stats SET students = students + ?, completions = completions + ?, trend = ? WHERE course_id = ?",
		by[0], by[1], trend, e.Course)
	return out[0], err
}

// insertEnrollments adds enrollments, and returns by how much that changes the numbers of
// their courses.
func (t coursesTx) insertEnrollments(ctx context.Context, list []courses.Enrollment) ([]courses.Enrollment, seatChange, error) {
	type key struct {
		CourseID courses.CourseID
		UserID   core.UserID
	}
	type added struct {
		ID       courses.EnrollmentID
		CourseID courses.CourseID
		UserID   core.UserID
	}
	got, ok, err := insert[enrollmentRow, added](ctx, t.Tx, "ustat_enrollments", enrollmentRows(list), "id, course_id, user_id")
	if err != nil {
		return nil, nil, err
	}
	if !ok {
		return nil, nil, courses.ErrEnrolled
	}
	ids := make(map[key]courses.EnrollmentID, len(got))
	for _, a := range got {
		ids[key{a.CourseID, a.UserID}] = a.ID
	}
	out, change := slices.Clone(list), seatChange{}
	for i := range out {
		out[i].ID, out[i].Version = ids[key{out[i].Course, out[i].User}], 1
		change.add(out[i].Course, out[i].Status, +1)
	}
	return out, change, nil
}

func checkEnrollments(list []courses.Enrollment) error {
	return checkText(len(list), func(i int) []string {
		return []string{string(list[i].Status), string(list[i].Source), list[i].PricePaid.Currency}
	})
}

// seatChange is by how much the students and completions of courses change.
type seatChange map[courses.CourseID][2]int

func (c seatChange) add(course courses.CourseID, status courses.EnrollmentStatus, by int) {
	n := c[course]
	if status.Seated() {
		n[0] += by
	}
	if status == courses.Completed {
		n[1] += by
	}
	c[course] = n
}

// countSeats changes the statistics of courses, by one statement a block. It never
// makes one of them negative.
func (t coursesTx) countSeats(ctx context.Context, change seatChange) error {
	maps.DeleteFunc(change, func(_ courses.CourseID, n [2]int) bool { return n == [2]int{} })
	ids := slices.Sorted(maps.Keys(change))
	for block := range slices.Chunk(ids, blockRows) {
		args := make([]any, 0, 3*len(block))
		for _, id := range block {
			args = append(args, id, change[id][0], change[id][1])
		}
		exec := t.Tx.rawExec
		if len(block) == 1 { // the one course of most writes: the plan is kept
			exec = t.Tx.keptExec
		}
		const value = "(CAST(? AS BIGINT), CAST(? AS BIGINT), CAST(? AS BIGINT))"
		n, err := exec(ctx, "WITH v (id, students, completions) AS (VALUES "+value+strings.Repeat(", "+value, len(block)-1)+")"+
			" UPDATE ustat_course_stats SET students = ustat_course_stats.students + v.students, completions = ustat_course_stats.completions + v.completions"+
			" FROM v WHERE ustat_course_stats.course_id = v.id AND ustat_course_stats.students + v.students >= 0 AND ustat_course_stats.completions + v.completions >= 0", args...)
		if err != nil {
			return err
		}
		if int(n) < len(block) {
			return core.ErrInternal.Withf("the statistics of a course and its enrollments contradict each other")
		}
	}
	return nil
}

// UpdateEnrollments implements courses.LearningWriter.
func (t coursesTx) UpdateEnrollments(ctx context.Context, list []courses.Enrollment) error {
	if err := checkEnrollments(list); err != nil || len(list) == 0 {
		return err
	}
	type stored struct {
		id     courses.EnrollmentID
		course courses.CourseID
		status courses.EnrollmentStatus
	}
	next := make(map[courses.EnrollmentID]courses.EnrollmentStatus, len(list))
	for _, e := range list {
		next[e.ID] = e.Status
	}
	change := seatChange{}
	for block := range slices.Chunk(slices.Sorted(maps.Keys(next)), blockRows) {
		where, args := in(t.Tx.db, "id", block)
		rows, err := readAll(ctx, t.Tx.session, "SELECT id, course_id, status FROM ustat_enrollments WHERE "+where+" ORDER BY id"+t.Tx.db.dialect.ForUpdate, args,
			func(rows *sql.Rows, s *stored) error { return rows.Scan(&s.id, &s.course, &s.status) })
		if err != nil {
			return err
		}
		for _, was := range rows {
			change.add(was.course, was.status, -1)
			change.add(was.course, next[was.id], +1)
		}
	}
	update := func() error {
		return updateRows(ctx, t.Tx, enrollmentRows(list), courses.ErrEnrollmentNotFound, "status", "source", "paid_minor", "paid_currency",
			"enrolled_at", "started_at", "completed_at", "ended_at", "resume_lesson_id", "resume_seconds")
	}
	if len(list) > 1 { // one that is missing has changed nothing
		whole := update
		update = func() error { return t.Tx.atomically(ctx, whole) }
	}
	if err := update(); err != nil {
		return err
	}
	return t.countSeats(ctx, change)
}

// hasRight is of who waits in e and need not pay to be let in.
const hasRight = "(e.source <> 'free' OR EXISTS (SELECT 1 FROM ustat_entitlements AS r WHERE r.course_id = e.course_id AND r.user_id = e.user_id))"

// Promote implements courses.LearningWriter.
func (t coursesTx) Promote(ctx context.Context, course courses.CourseID, n int, paid bool, at time.Time) ([]courses.Enrollment, error) {
	right := ""
	if paid {
		right = " AND " + hasRight
	}
	ids, err := readAll(ctx, t.Tx.session, "SELECT e.id FROM ustat_enrollments AS e WHERE e.course_id = ? AND e.status = 'waiting'"+right+
		" ORDER BY e.enrolled_at, e.id LIMIT ?"+t.Tx.db.dialect.ForUpdate,
		[]any{course, n}, scanOne[courses.EnrollmentID])
	if err != nil {
		return nil, err
	}
	promoted, change := make([]courses.Enrollment, 0, len(ids)), seatChange{}
	for block := range slices.Chunk(ids, blockRows) {
		if _, err := t.Tx.rawExec(ctx, "UPDATE ustat_enrollments SET status = CASE WHEN completed_at IS NULL THEN 'active' ELSE 'completed' END, enrolled_at = ?, version = version + 1"+
			" WHERE id IN (?)", core.Time(at), bun.List(block)); err != nil {
			return nil, err
		}
		where, args := in(t.Tx.db, "e.id", block)
		found, err := t.enrollments(ctx, " WHERE "+where, args...)
		if err != nil {
			return nil, err
		}
		slices.SortFunc(found, func(a, b courses.Enrollment) int { return slices.Index(block, a.ID) - slices.Index(block, b.ID) })
		promoted = append(promoted, found...)
	}
	for _, e := range promoted {
		change.add(course, e.Status, +1)
	}
	return promoted, t.countSeats(ctx, change)
}

type progressRow struct {
	bun.BaseModel `bun:"table:ustat_progress"`
	EnrollmentID  courses.EnrollmentID `bun:"enrollment_id"`
	LessonID      courses.LessonID     `bun:"lesson_id"`
	CompletedAt   time.Time            `bun:"completed_at"`
}

// CompleteLesson implements courses.LearningWriter. It locks the enrollment and adds the
// lesson by one statement.
func (t coursesTx) CompleteLesson(ctx context.Context, p courses.LessonProgress) (bool, error) {
	n, err := t.Tx.rawExec(ctx, "INSERT INTO ustat_progress (enrollment_id, lesson_id, completed_at)"+
		" SELECT e.id, CAST(? AS BIGINT), ? FROM (SELECT id FROM ustat_enrollments WHERE id = ?"+t.Tx.db.dialect.ForUpdate+") AS e"+
		" WHERE TRUE ON CONFLICT DO NOTHING", p.Lesson, core.Time(p.CompletedAt), p.Enrollment)
	return n > 0, err
}

// SetPrerequisites implements courses.LearningWriter.
func (t coursesTx) SetPrerequisites(ctx context.Context, course courses.CourseID, before []courses.CourseID) error {
	return t.Tx.atomically(ctx, func() error {
		if _, err := t.Tx.rawExec(ctx, "DELETE FROM ustat_prerequisites WHERE course_id = ?", course); err != nil {
			return err
		}
		if len(before) > 0 {
			args := make([]any, 0, 2*len(before))
			for _, id := range before {
				args = append(args, course, id)
			}
			if _, err := t.Tx.rawExec(ctx, "INSERT INTO ustat_prerequisites (course_id, before_id) VALUES (?, ?)"+strings.Repeat(", (?, ?)", len(before)-1), args...); err != nil {
				return err
			}
			var round []int
			if err := t.Tx.rawScan(ctx, &round, "WITH RECURSIVE up (id) AS (SELECT before_id FROM ustat_prerequisites WHERE course_id = ?"+
				" UNION SELECT p.before_id FROM ustat_prerequisites AS p JOIN up ON p.course_id = up.id) SELECT 1 FROM up WHERE id = ?", course, course); err != nil {
				return err
			}
			if len(round) > 0 {
				return courses.ErrPrerequisiteCycle
			}
		}
		n, err := t.Tx.rawExec(ctx, "UPDATE ustat_courses SET prerequisite_count = ? WHERE id = ?", len(before), course)
		if err == nil && n == 0 {
			err = courses.ErrCourseNotFound
		}
		return err
	})
}

// SetBookmark implements courses.LearningWriter.
func (t coursesTx) SetBookmark(ctx context.Context, b courses.Bookmark, on bool) (bool, error) {
	if !on {
		n, err := t.Tx.rawExec(ctx, "DELETE FROM ustat_bookmarks WHERE user_id = ? AND course_id = ?", b.User, b.Course)
		return n > 0, err
	}
	n, err := t.Tx.rawExec(ctx, "INSERT INTO ustat_bookmarks (user_id, course_id, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", b.User, b.Course, core.Time(b.At))
	if errors.Is(err, core.ErrInvalid) { // there is one foreign key
		err = courses.ErrCourseNotFound.Because(err)
	}
	return n > 0, err
}

// CountBookmarks implements courses.LearningWriter.
func (t coursesTx) CountBookmarks(ctx context.Context, user core.UserID) (int, error) {
	var n int
	err := t.Tx.rawScan(ctx, &n, "SELECT count(*) FROM ustat_bookmarks WHERE user_id = ?", user)
	return n, err
}

// seatsCounted is what the statistics of courses s must be, and miscounted that they
// are not.
const (
	studentsCounted    = "(SELECT count(*) FROM ustat_enrollments AS e WHERE e.course_id = ustat_course_stats.course_id AND e.status IN ('active', 'completed'))"
	completionsCounted = "(SELECT count(*) FROM ustat_enrollments AS e WHERE e.course_id = ustat_course_stats.course_id AND e.status = 'completed')"
	miscounted         = "(students <> " + studentsCounted + " OR completions <> " + completionsCounted + ")"
)

// RecountLearning implements courses.LearningWriter. What differs is locked and then
// counted anew by a statement of its own, which sees all that was written under the
// lock; whoever enrolls meanwhile adds to it afterwards.
func (t coursesTx) RecountLearning(ctx context.Context, ids []courses.CourseID) ([]courses.CourseID, error) {
	differ := func(where string, args ...any) ([]courses.CourseID, error) {
		return readAll(ctx, t.Tx.session, "SELECT course_id FROM ustat_course_stats WHERE "+where, args, scanOne[courses.CourseID])
	}
	var suspects []courses.CourseID
	if len(ids) == 0 {
		var err error
		if suspects, err = differ(miscounted); err != nil {
			return nil, err
		}
	}
	for block := range slices.Chunk(ids, blockRows) {
		where, args := in(t.Tx.db, "course_id", block)
		found, err := differ(where+" AND "+miscounted, args...)
		if err != nil {
			return nil, err
		}
		suspects = append(suspects, found...)
	}
	slices.Sort(suspects)
	var changed []courses.CourseID
	for block := range slices.Chunk(slices.Compact(suspects), blockRows) {
		where, args := in(t.Tx.db, "course_id", block)
		if _, err := differ(where+" ORDER BY course_id"+t.Tx.db.dialect.ForUpdate, args...); err != nil {
			return nil, err
		}
		found, err := differ(where+" AND "+miscounted+" ORDER BY course_id", args...)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			continue
		}
		if _, err := t.Tx.rawExec(ctx, "UPDATE ustat_course_stats SET students = "+studentsCounted+", completions = "+completionsCounted+" WHERE course_id IN (?)", bun.List(found)); err != nil {
			return nil, err
		}
		changed = append(changed, found...)
	}
	return changed, nil
}
