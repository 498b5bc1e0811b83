package sqlstore

import (
	"context"
	"database/sql"

	"github.com/ustat/ustat/courses"
)

// selectRollups are what the rollups of a range of courses are made of where there is no
// materialized view. Each side is counted by itself before it is joined, so that neither
// multiplies the other. The view of PostgreSQL is the same, of all courses.
const selectRollups = "SELECT course_id, students, completions, review_count, rating_sum, CAST(rating_sum AS REAL) / nullif(review_count, 0)," +
	" listed_students, listed_completions, listed_review_count, listed_rating_sum FROM (" +
	"SELECT s.course_id, coalesce(e.students, 0) AS students, coalesce(e.completions, 0) AS completions," +
	" CASE WHEN r.course_id IS NULL AND n.course_id IS NULL THEN s.review_count ELSE coalesce(r.review_count, 0) END AS review_count," +
	" CASE WHEN r.course_id IS NULL AND n.course_id IS NULL THEN s.rating_sum ELSE coalesce(r.rating_sum, 0) END AS rating_sum," +
	" s.students AS listed_students, s.completions AS listed_completions, s.review_count AS listed_review_count, s.rating_sum AS listed_rating_sum" +
	" FROM ustat_course_stats AS s" +
	" LEFT JOIN (SELECT course_id, count(CASE WHEN status IN ('active', 'completed') THEN 1 END) AS students, count(CASE WHEN status = 'completed' THEN 1 END) AS completions" +
	" FROM ustat_enrollments WHERE course_id > ? AND course_id <= ? GROUP BY course_id) AS e ON e.course_id = s.course_id" +
	" LEFT JOIN (SELECT course_id, count(CASE WHEN status = 'published' THEN 1 END) AS review_count, coalesce(sum(CASE WHEN status = 'published' THEN rating END), 0) AS rating_sum" +
	" FROM ustat_reviews WHERE course_id > ? AND course_id <= ? GROUP BY course_id) AS r ON r.course_id = s.course_id" +
	" LEFT JOIN ustat_review_stats AS n ON n.course_id = s.course_id WHERE s.course_id > ? AND s.course_id <= ?) AS counted"

// rollupBlock is how many courses are counted in one transaction.
const rollupBlock = 200

// RefreshRollups implements courses.RollupWriter.
func (t coursesTx) RefreshRollups(ctx context.Context, after courses.CourseID) (courses.CourseID, error) {
	if refresh := t.Tx.db.dialect.RefreshRollups; refresh != "" {
		_, err := t.Tx.rawExec(ctx, refresh)
		return 0, err
	}
	ids, err := readAll(ctx, t.Tx.session, "SELECT course_id FROM ustat_course_stats WHERE course_id > ? ORDER BY course_id LIMIT ?", []any{after, rollupBlock}, scanOne[courses.CourseID])
	if err != nil {
		return 0, err
	}
	last := courses.CourseID(1<<63 - 1) // also what is left of courses that are gone
	if len(ids) == rollupBlock {
		last = ids[len(ids)-1]
	}
	if _, err := t.Tx.rawExec(ctx, "DELETE FROM ustat_course_stats_mv WHERE course_id > ? AND course_id <= ?", after, last); err != nil {
		return 0, err
	}
	if _, err := t.Tx.rawExec(ctx, "INSERT INTO ustat_course_stats_mv ("+rollupColumns+") "+selectRollups, after, last, after, last, after, last); err != nil {
		return 0, err
	}
	if len(ids) < rollupBlock {
		return 0, nil
	}
	return last, nil
}

const rollupColumns = "course_id, students, completions, review_count, rating_sum, average_rating," +
	" listed_students, listed_completions, listed_review_count, listed_rating_sum"

// Rollups implements courses.RollupReader.
func (r coursesReader) Rollups(ctx context.Context, after courses.CourseID, limit int, wrong bool) ([]courses.Rollup, error) {
	query := "SELECT course_id, students, completions, review_count, rating_sum, listed_students, listed_completions, listed_review_count, listed_rating_sum" +
		" FROM ustat_course_stats_mv WHERE course_id > ?"
	if wrong {
		query += " AND (students <> listed_students OR completions <> listed_completions OR review_count <> listed_review_count OR rating_sum <> listed_rating_sum)"
	}
	return readAll(ctx, r.session, query+" ORDER BY course_id LIMIT ?", []any{after, limit}, func(rows *sql.Rows, x *courses.Rollup) error {
		return rows.Scan(&x.Course, &x.Counted.Students, &x.Counted.Completions, &x.Counted.Reviews, &x.Counted.RatingSum,
			&x.Listed.Students, &x.Listed.Completions, &x.Listed.Reviews, &x.Listed.RatingSum)
	})
}
