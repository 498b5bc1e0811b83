package sqlstore

import (
	"context"
	"database/sql"

	"github.com/ustat/ustat/core"
)

// CompletedCourses implements courses.FactReader.
func (r coursesReader) CompletedCourses(ctx context.Context, users []core.UserID) (map[core.UserID]int, error) {
	return r.counted(ctx, users, "e.user_id", "SELECT e.user_id, count(*) FROM ustat_enrollments AS e WHERE ", " AND e.status = 'completed' GROUP BY e.user_id")
}

// LongestStreaks implements courses.FactReader. Days on end less their number among
// the user's days are one number.
func (r coursesReader) LongestStreaks(ctx context.Context, users []core.UserID) (map[core.UserID]int, error) {
	return r.counted(ctx, users, "e.user_id",
		"SELECT user_id, max(days) FROM (SELECT user_id, count(*) AS days FROM"+
			" (SELECT user_id, d - row_number() OVER (PARTITION BY user_id ORDER BY d) AS streak FROM"+
			" (SELECT DISTINCT e.user_id, "+r.db.dialect.Day("p.completed_at")+" AS d FROM ustat_enrollments AS e JOIN ustat_progress AS p ON p.enrollment_id = e.id WHERE ",
		") AS active) AS numbered GROUP BY user_id, streak) AS streaks GROUP BY user_id")
}

// StudentsTaught implements courses.FactReader.
func (r coursesReader) StudentsTaught(ctx context.Context, teachers []core.UserID) (map[core.UserID]int, error) {
	return r.counted(ctx, teachers, "teacher_id", "SELECT teacher_id, CAST(sum(students) AS BIGINT) FROM ustat_course_stats WHERE ", " AND students > 0 GROUP BY teacher_id")
}

// counted reads a number for each of the users that a query has one for.
func (r coursesReader) counted(ctx context.Context, users []core.UserID, column, before, after string) (map[core.UserID]int, error) {
	if len(users) == 0 {
		return nil, nil
	}
	type row struct {
		user core.UserID
		n    int
	}
	where, args := in(r.db, column, users)
	rows, err := readAll(ctx, r.session, before+where+after, args, func(rows *sql.Rows, x *row) error { return rows.Scan(&x.user, &x.n) })
	counts := make(map[core.UserID]int, len(rows))
	for _, x := range rows {
		counts[x.user] = x.n
	}
	return counts, err
}
