package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/courses/fulltext"
	"github.com/ustat/ustat/storage"
	"github.com/ustat/ustat/storage/internal/sqlstore"
)

// raw opens a database without a store.
func (e engine) raw(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	if e.sql == "sqlite" {
		dsn = "file:" + dsn + "?_pragma=foreign_keys(1)"
	}
	db, err := sql.Open(e.sql, dsn)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// statements counts the statements of the migrations with the names.
func (e engine) statements(t *testing.T, names func(name string) bool) (n int) {
	t.Helper()
	files, err := filepath.Glob("../../" + e.name + "/migrations/*.sql")
	require.NoError(t, err)
	for _, file := range files {
		if names(filepath.Base(file)) {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			n += strings.Count(string(text), "--bun:split") + 1
		}
	}
	return n
}

// migrateBefore applies the migrations that come before the one whose name begins
// with number.
func (e engine) migrateBefore(t *testing.T, dsn, number string) {
	t.Helper()
	left := 1 + e.statements(t, func(name string) bool { return name < number })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	backend, err := open(ctx, dsn)
	require.NoError(t, err)
	defer func() { require.NoError(t, backend.Close()) }()
	_, err = backend.Schema.Migrate(sqlstore.WithAfterStatement(ctx, func(int) {
		if left--; left == 0 {
			cancel()
		}
	}))
	require.ErrorIs(t, err, context.Canceled)
}

// An old database with a course, as versions before 0006 wrote it.
var oldRows = []string{
	"INSERT INTO ustat_users (id, username, username_folded, email, email_folded, role, full_name, bio, password_hash, active, created_at, updated_at)" +
		" VALUES (7, 'ann', 'ann', 'a@example.org', 'a@example.org', 'teacher', '', '', '', TRUE, '2026-01-02 03:04:05.000000+00:00', '2026-01-02 03:04:05.000000+00:00')",
	"INSERT INTO ustat_profiles (user_id, slug) VALUES (7, 'ann')",
	"INSERT INTO ustat_courses (id, slug, title, description, requirements, language, lang, price_minor, currency, status, teacher_id, title_words, created_at, updated_at)" +
		" VALUES (9, 'go', 'Go', '<script>alert</script> goroutines', '', 'en', 'en', 0, 'USD', 'draft', 7, 1, '2026-01-02 03:04:05.000000+00:00', '2026-01-02 03:04:05.000000+00:00')",
	"INSERT INTO ustat_course_stats (course_id, status, teacher_id, lang) VALUES (9, 'draft', 7, 'en')",
}

func TestACourseKeepsItsTeacherWhenTheSchemaGrows(t *testing.T) {
	t.Parallel()
	for _, e := range engines() {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			dsn := e.fresh(t)
			e.migrateBefore(t, dsn, "0006")
			for _, statement := range oldRows {
				_, err := e.raw(t, dsn).ExecContext(t.Context(), statement)
				require.NoError(t, err)
			}
			migrate(t, dsn)
			backend, err := open(t.Context(), dsn)
			require.NoError(t, err)
			defer func() { require.NoError(t, backend.Close()) }()
			c, err := backend.Courses.CourseBySlug(t.Context(), "go")
			require.NoError(t, err)
			require.EqualValues(t, 7, c.Teacher.ID)
			require.NoError(t, backend.Verify(t.Context()))
		})
	}
}

func TestCoursesOfOldDatabasesAreIndexedAnew(t *testing.T) {
	t.Parallel()
	const n = 250 // more than a block
	for _, e := range engines() {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			dsn := e.fresh(t)
			e.migrateBefore(t, dsn, "0008")
			db := e.raw(t, dsn)
			for _, statement := range oldRows {
				_, err := db.ExecContext(t.Context(), statement)
				require.NoError(t, err)
			}
			for i := range n {
				for _, table := range []string{
					"ustat_courses (id, slug, title, description, requirements, language, lang, price_minor, currency, status, teacher_id, title_words, created_at, updated_at) SELECT %d, 'go-%[1]d', title, description, requirements, language, lang, price_minor, currency, status, teacher_id, title_words, created_at, updated_at FROM ustat_courses WHERE id = 9",
					"ustat_course_stats (course_id, status, teacher_id, lang) VALUES (%d, 'draft', 7, 'en')",
				} {
					_, err := db.ExecContext(t.Context(), fmt.Sprintf("INSERT INTO "+table, 10+i))
					require.NoError(t, err)
				}
			}
			index := "UPDATE ustat_courses SET fts = 'script:3C'::tsvector"
			if e.sql == "sqlite" {
				index = "INSERT INTO ustat_course_fts (rowid, title, tags, body) SELECT id, 'go', '', 'script' FROM ustat_courses"
			}
			_, err := db.ExecContext(t.Context(), index)
			require.NoError(t, err)

			backend, err := open(t.Context(), dsn)
			require.NoError(t, err)
			defer func() { require.NoError(t, backend.Close()) }()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			left := e.statements(t, func(name string) bool { return name >= "0008" }) + 1 // and a block
			_, err = backend.Schema.Migrate(sqlstore.WithAfterStatement(ctx, func(int) {
				if left--; left == 0 {
					cancel()
				}
			}))
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorIs(t, backend.Schema.Check(t.Context()), storage.ErrSchemaOld)
			_, err = backend.Schema.Migrate(t.Context())
			require.NoError(t, err)
			require.NoError(t, backend.Schema.Check(t.Context()))
			for term, want := range map[string]int{"script": 0, fulltext.Query("goroutines")[0]: n + 1} {
				found, err := backend.Courses.CountCourses(t.Context(), courses.ListQuery{Status: courses.Draft, Terms: []string{term}})
				require.NoError(t, err)
				require.Equal(t, want, found, term)
			}
		})
	}
}

// plan returns how SQLite would run a query.
func plan(t *testing.T, query string) string {
	t.Helper()
	e := engines()[0]
	dsn := e.fresh(t)
	migrate(t, dsn)
	rows, err := e.raw(t, dsn).QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query)
	require.NoError(t, err)
	defer rows.Close()
	var steps []string
	for rows.Next() {
		var id, parent, unused int
		var step string
		require.NoError(t, rows.Scan(&id, &parent, &unused, &step))
		steps = append(steps, step)
	}
	require.NoError(t, rows.Err())
	return strings.Join(steps, "\n")
}

func TestQueriesUseTheirIndexes(t *testing.T) {
	t.Parallel()
	require.Contains(t, plan(t, "SELECT id FROM ustat_sessions WHERE user_id = 1"), "ustat_sessions_user")
	require.NotContains(t, plan(t, strings.ReplaceAll(sqlstore.ProfilesOf(" CROSS JOIN "), "?", "1")), "TEMP B-TREE")
	require.NotContains(t, plan(t, "SELECT l.id FROM ustat_modules AS m JOIN ustat_lessons AS l ON l.module_id = m.id"+
		" WHERE (l.module_id, l.position) IN (VALUES (CAST(1 AS BIGINT), CAST(1 AS BIGINT)), (CAST(2 AS BIGINT), CAST(1 AS BIGINT)))"), "SCAN m")
	require.Contains(t, plan(t, "SELECT 1 FROM ustat_courses WHERE teacher_id = 1 LIMIT 1"), "ustat_courses_teacher")
}
