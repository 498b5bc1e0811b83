package ustattest_test

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/internal/pgtest"
	"github.com/ustat/ustat/storage"
	"github.com/ustat/ustat/storage/postgres"
	"github.com/ustat/ustat/storage/sqlite"
	"github.com/ustat/ustat/transfer"
	"github.com/ustat/ustat/ustattest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// engine opens a copy of one filled database, and a handle beside it by which rows
// are broken.
type engine func(t *testing.T) (b *storage.Backend, beside *sql.DB)

func onSQLite(t *testing.T) engine {
	filled := filepath.Join(t.TempDir(), "filled.db")
	backend, err := sqlite.Open(t.Context(), filled, nil)
	require.NoError(t, err)
	fill(t, backend)
	file, err := os.ReadFile(filled)
	require.NoError(t, err)
	return func(t *testing.T) (*storage.Backend, *sql.DB) {
		path := filepath.Join(t.TempDir(), "ustat.db")
		require.NoError(t, os.WriteFile(path, file, 0o600))
		backend, err := sqlite.Open(t.Context(), path, nil)
		require.NoError(t, err)
		return opened(t, backend, "sqlite", "file:"+path+"?_pragma=busy_timeout(5000)")
	}
}

func onPostgres(*testing.T) engine {
	return func(t *testing.T) (*storage.Backend, *sql.DB) {
		dsn := pgtest.Template(t, "filled", func(dsn string) error {
			backend, err := postgres.Open(t.Context(), dsn, nil)
			if err == nil {
				fill(t, backend)
			}
			return err
		})
		backend, err := postgres.Open(t.Context(), dsn, nil)
		require.NoError(t, err)
		return opened(t, backend, "pgx", dsn)
	}
}

func opened(t *testing.T, backend *storage.Backend, driver, dsn string) (*storage.Backend, *sql.DB) {
	t.Helper()
	beside, err := sql.Open(driver, dsn)
	require.NoError(t, err)
	t.Cleanup(func() { _ = errors.Join(beside.Close(), backend.Close()) })
	return backend, beside
}

// fill makes a teacher, an admin, a student with a session, a published course that
// was renamed and a draft, and closes the backend.
func fill(t *testing.T, backend *storage.Backend) {
	t.Helper()
	ctx := t.Context()
	e := ustattest.New(t, ustattest.WithBackend(backend))
	defer func() { require.NoError(t, e.Stop(ctx)) }()
	for username, role := range map[string]core.Role{"anna": core.Teacher, "root": core.Admin} {
		_, err := e.Accounts.CreateUser(ctx, accounts.System, accounts.NewUser{Username: username, Email: username + "@example.org", Role: role})
		require.NoError(t, err)
	}
	_, err := e.Accounts.Register(ctx, accounts.Registration{Username: "student", Email: "s@example.org", Password: "a long enough secret"}, accounts.Client{})
	require.NoError(t, err)
	for _, slug := range []string{"above", "below"} {
		parent := map[string]string{"below": "above"}[slug]
		_, err := e.Courses.CreateCategory(ctx, accounts.System, courses.NewCategory{Name: slug, Slug: slug, Parent: parent})
		require.NoError(t, err)
	}
	_, err = e.Courses.CreateTag(ctx, accounts.System, courses.NewTag{Name: "tag", Slug: "tag"})
	require.NoError(t, err)
	for _, slug := range []string{"first", "draft"} {
		_, err := e.Courses.Create(ctx, accounts.System, courses.NewCourse{
			Title: slug, Slug: slug, Category: "below", Tags: []string{"tag"}, Teacher: "anna", Price: &core.Money{Currency: "EUR"},
		})
		require.NoError(t, err)
	}
	m, err := e.Courses.CreateModule(ctx, accounts.System, "first", courses.NewModule{Title: "Module"})
	require.NoError(t, err)
	_, err = e.Courses.CreateLesson(ctx, accounts.System, "first", m.ID, courses.NewLesson{Title: "Lesson", Kind: courses.Text})
	require.NoError(t, err)
	_, err = e.Courses.Submit(ctx, accounts.System, "first", 0)
	require.NoError(t, err)
	_, err = e.Courses.Publish(ctx, accounts.System, "first", 0)
	require.NoError(t, err)
	renamed := "renamed"
	_, err = e.Courses.Edit(ctx, accounts.System, "first", courses.CourseEdit{Slug: &renamed})
	require.NoError(t, err)
}

// breaks is what each rule of CheckInvariants finds, by the statements that break it.
var breaks = []struct {
	found string
	with  []string
}{
	{`the category "above" counts 7 courses and has 1`, []string{"UPDATE ustat_categories SET course_count = 7 WHERE slug = 'above'"}},
	{`the published course "renamed" has no lesson`, []string{"DELETE FROM ustat_lessons"}},
	{`the published course "renamed" has no teacher`, []string{"UPDATE ustat_users SET role = 'student' WHERE username = 'anna'"}},
	{"no active admin is left", []string{"UPDATE ustat_users SET active = FALSE WHERE username = 'root'"}},
	{"no active admin is left: [", []string{
		"UPDATE ustat_users SET role = 'student' WHERE username = 'root'",
		`INSERT INTO ustat_audit (at, actor_id, action, subject, detail) VALUES ('2028-01-01 00:00:00+00:00', 0, 'accounts.role_changed', 'user/root', '{"from":"admin","to":"student"}')`,
	}},
	{`a course without statistics: ["draft"]`, []string{"DELETE FROM ustat_course_stats WHERE status = 'draft'"}},
	{`statistics that list a course elsewhere than it is: ["renamed"]`, []string{"UPDATE ustat_course_stats SET status = 'draft'"}},
	{`a tag that lists a course elsewhere than it is: ["renamed"]`, []string{"UPDATE ustat_course_tags SET price_minor = 7 WHERE status = 'published'"}},
	{`a slug of one course that another had before: ["draft"]`, []string{"UPDATE ustat_course_slugs SET slug = 'draft'"}},
	{"a lesson in a module of another course", []string{"UPDATE ustat_lessons SET course_id = (SELECT id FROM ustat_courses WHERE slug = 'draft')"}},
	{`a user without a profile: ["student"]`, []string{"DELETE FROM ustat_profiles WHERE slug = 'student'"}},
	{"a living session whose refresh tokens are all used", []string{"UPDATE ustat_refresh_tokens SET used_at = created_at"}},
	{"a revoked session with an unused refresh token", []string{"UPDATE ustat_sessions SET revoked_at = created_at"}},
	{"a session with two unused refresh tokens", []string{
		"DROP INDEX ustat_refresh_tokens_unused",
		"INSERT INTO ustat_refresh_tokens (hash, session_id, created_at, expires_at) SELECT CAST('00000000000000000000000000000000' AS %BYTES%), session_id, created_at, expires_at FROM ustat_refresh_tokens",
	}},
	{`the event 00000000-0000-4000-8000-000000000000 of courses, "x" about "y", is not whole`, []string{
		"INSERT INTO ustat_outbox (id, store, type, version, subject, actor_id, at, payload) VALUES ('00000000-0000-4000-8000-000000000000', 'courses', 'x', 1, 'y', 0, '2028-01-01 00:00:00+00:00', '{}')",
	}},
	{"numbers of a course that are not those of its published reviews", []string{review("'published'", "0, 0, 0")}},
	{"a course that is listed with other numbers than its reviews have", []string{"INSERT INTO ustat_review_stats (course_id, version) SELECT id, 1 FROM ustat_courses"}},
	{"a review that counts other votes than it has", []string{review("'pending'", "1, 0, 0")}},
	{"a review that counts other comments than it has", []string{review("'pending'", "0, 1, 0")}},
	{"a review that counts other reports than wait", []string{review("'pending'", "0, 0, 1")}},
	{"a certificate of a course that was not completed", []string{enrollment("active", "free"), certificate}},
	{"a seat that was bought without a right to the course for that sum", []string{enrollment("waiting", "purchase"), order("paid", "FALSE", "NULL")}},
	{"an order that holds a use of a coupon which its user has not taken", []string{coupon, order("pending", "TRUE", "'TEN'")}},
	{"an order that waits for its provider and is not watched", []string{order("pending", "FALSE", "NULL")}},
	{"an order that waits for its provider and is not watched", []string{order("refunding", "FALSE", "NULL")}},
	{"a bought right to a course without an enrollment", []string{order("paid", "FALSE", "NULL"), right}},
	{`a course that comes before itself: ["renamed" "draft"]`, []string{
		"INSERT INTO ustat_prerequisites (course_id, before_id) SELECT a.id, b.id FROM ustat_courses AS a JOIN ustat_courses AS b ON a.id <> b.id",
	}},
	{"a file of a lesson of another course", []string{
		"INSERT INTO ustat_lesson_files (id, course_id, lesson_id, kind, name, uploaded_by, state, code, raw_key, clean_key, type, size, created_at)" +
			" SELECT '01980000-0000-7000-8000-000000000000', c.id, l.id, 'file', 'a', 1, 'ready', '', '', '', '', 0, c.created_at FROM ustat_courses AS c JOIN ustat_lessons AS l ON l.course_id <> c.id",
	}},
	{"an event without a store, a type, a version or a subject", []string{"UPDATE ustat_outbox SET version = 0, done_at = at"}},
}

// sound is what looks like a contradiction and is none, by the statements that lead there.
var sound = map[string][]string{
	"one who completed a course, cancelled and waits again keeps the certificate": {enrollment("waiting", "free"), certificate},
	"a seat bought elsewhere beside an order that was not paid in time":           {enrollment("waiting", "purchase"), order("expired", "FALSE", "NULL")},
	"a seat bought elsewhere beside an order that waits for its money":            {enrollment("waiting", "purchase"), order("pending", "TRUE", "NULL")},
	"a chain of prerequisites": {
		"INSERT INTO ustat_prerequisites (course_id, before_id) SELECT a.id, b.id FROM ustat_courses AS a JOIN ustat_courses AS b ON a.slug = 'draft' AND b.slug = 'renamed'",
		"UPDATE ustat_courses SET prerequisite_count = 1 WHERE slug = 'draft'",
	},
}

// enrollment is the statement that enrolls the first user, who completed it, in the draft.
func enrollment(status, source string) string {
	return "INSERT INTO ustat_enrollments (course_id, user_id, status, source, paid_minor, paid_currency, enrolled_at, completed_at)" +
		" SELECT id, 1, '" + status + "', '" + source + "', 5, 'RUB', created_at, created_at FROM ustat_courses WHERE slug = 'draft'"
}

// order is the statement that adds an order of the draft by the first user.
func order(status, watched, coupon string) string {
	return "INSERT INTO ustat_orders (id, course_id, user_id, price_minor, total_minor, currency, coupon, status, provider, payment, pay_url, code, created_at, expires_at, watched, looked_at)" +
		" SELECT '01980000-0000-7000-8000-000000000000', id, 1, 5, 5, 'RUB', " + coupon + ", '" + status + "', '', '', '', '', created_at, created_at, " + watched + ", created_at" +
		" FROM ustat_courses WHERE slug = 'draft'"
}

const (
	certificate = "INSERT INTO ustat_certificates (enrollment_id, code, name, course_title, teacher_name, language, completed_at, issued_at)" +
		" SELECT id, 'CODE', 'S', 'C', 'T', 'en', enrolled_at, enrolled_at FROM ustat_enrollments"
	coupon = "INSERT INTO ustat_coupons (code_folded, code, percent, amount_minor, currency, use_limit, per_user, used, active, created_at)" +
		" SELECT 'ten', 'TEN', 10, 0, '', 0, 0, 1, TRUE, created_at FROM ustat_courses WHERE slug = 'draft'"
	right = "INSERT INTO ustat_entitlements (course_id, user_id, source, order_id, paid_minor, currency, granted_by, at)" +
		" SELECT course_id, user_id, 'purchase', id, total_minor, currency, 0, created_at FROM ustat_orders"
)

// review is the statement that adds a review with these votes, comments and reports.
func review(status, numbers string) string {
	return "INSERT INTO ustat_reviews (course_id, user_id, rating, text, status, reason, trust, reply_text, reply_by, created_at, updated_at, helpful, comments, reports)" +
		" SELECT id, 1, 5, '', " + status + ", '', 0, '', 0, created_at, created_at, " + numbers + " FROM ustat_courses WHERE slug = 'renamed'"
}

func TestCheckInvariantsFindsWhatIsBroken(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(*testing.T) engine{"sqlite": onSQLite, "postgres": onPostgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			engine := open(t)
			backend, _ := engine(t)
			require.NoError(t, ustattest.CheckInvariants(t.Context(), backend))
			bytes := map[string]string{"sqlite": "BLOB", "postgres": "BYTEA"}[name]
			for _, broken := range breaks {
				t.Run(broken.found, func(t *testing.T) {
					backend, beside := engine(t)
					for _, statement := range broken.with {
						_, err := beside.ExecContext(t.Context(), strings.ReplaceAll(statement, "%BYTES%", bytes))
						require.NoError(t, err, statement)
					}
					require.ErrorContains(t, ustattest.CheckInvariants(t.Context(), backend), broken.found)
				})
			}
			for name, with := range sound {
				t.Run(name, func(t *testing.T) {
					backend, beside := engine(t)
					for _, statement := range with {
						_, err := beside.ExecContext(t.Context(), statement)
						require.NoError(t, err, statement)
					}
					require.NoError(t, ustattest.CheckInvariants(t.Context(), backend))
				})
			}
		})
	}
}

func TestWhatIsImportedHoldsTheInvariants(t *testing.T) {
	t.Parallel()
	p := ustattest.New(t)
	_, err := transfer.Import(t.Context(), p.Backend, os.DirFS("../examples/server/demo"), nil)
	require.NoError(t, err)
	require.NoError(t, ustattest.CheckInvariants(t.Context(), p.Backend))
}

func TestAPlatformOfATestIsItsOwn(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	one := ustattest.New(t, ustattest.WithConfig(ustat.Config{Issuer: "one", AccessTTL: time.Minute}))
	other := ustattest.New(t)
	tokens, err := one.Accounts.Register(ctx, accounts.Registration{Username: "student", Email: "s@example.org", Password: "a long enough secret"}, accounts.Client{})
	require.NoError(t, err)
	require.Len(t, one.Events(t), 1)
	require.Len(t, one.Events(t, "accounts.user_registered"), 1)
	require.Empty(t, one.Events(t, "courses.created"))
	require.Empty(t, other.Events(t))
	require.Equal(t, ustattest.Epoch, one.Events(t)[0].At)

	_, err = one.Accounts.Authenticate(ctx, string(tokens.Access))
	require.NoError(t, err)
	one.Clock.Advance(2 * time.Minute)
	_, err = one.Accounts.Authenticate(ctx, string(tokens.Access))
	require.ErrorIs(t, err, accounts.ErrBadToken)
	require.Equal(t, ustattest.Epoch, other.Clock.Now())
}
