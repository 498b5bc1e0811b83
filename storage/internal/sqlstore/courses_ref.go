package sqlstore

import (
	"context"
	"database/sql"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

const selectRefs = "SELECT id, slug, title, status, teacher_id FROM ustat_courses WHERE "

func scanRef(rows *sql.Rows, r *courses.Ref) error {
	return rows.Scan(&r.ID, &r.Slug, &r.Title, &r.Status, &r.Teacher)
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
// are newer than what is there.
func setRating(ctx context.Context, tx *Tx, id courses.CourseID, r courses.ReviewNumbers) error {
	rank := courses.Stats{ReviewCount: r.Count, RatingSum: r.Sum}.RatingRank()
	_, err := tx.rawExec(ctx, "UPDATE ustat_course_stats SET review_count = ?, rating_sum = ?, rating_rank = ?, rating_version = ?"+
		" WHERE course_id = ? AND rating_version < ?", r.Count, r.Sum, rank, r.Version, id, r.Version)
	return err
}
