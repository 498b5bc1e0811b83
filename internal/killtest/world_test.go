package killtest_test

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/blob"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/internal/killtest"
	"github.com/ustat/ustat/internal/pgtest"
	"github.com/ustat/ustat/reviews"
	"github.com/ustat/ustat/storage"
	"github.com/ustat/ustat/storage/postgres"
	"github.com/ustat/ustat/storage/sqlite"
	"github.com/ustat/ustat/ustattest"
)

func TestMain(m *testing.M) { killtest.Main(m) }

// world is a database that workers work on and the test looks at beside them.
type world struct {
	*ustattest.Platform
	engine, dsn string
	beside      *sql.DB
	payments    string // address of the workers' provider of payments; empty is none
}

// onEachEngine runs a test in a world of its own on SQLite and on PostgreSQL.
func onEachEngine(t *testing.T, test func(t *testing.T, w *world)) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "ustat.db")
		backend, err := sqlite.Open(t.Context(), path, nil)
		require.NoError(t, err)
		test(t, newWorld(t, backend, "sqlite", path, "sqlite", "file:"+path+"?_pragma=busy_timeout(5000)"))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		dsn := pgtest.DSN(t)
		backend, err := postgres.Open(t.Context(), dsn, nil)
		require.NoError(t, err)
		test(t, newWorld(t, backend, "postgres", dsn, "pgx", dsn))
	})
}

// config lets everybody review every course, as much as a test has to.
var config = ustat.Config{
	Learners: killtest.Everybody{},
	Reviews:  reviews.Options{Moderator: reviews.Filter{PerHour: math.MaxInt}, PerHour: math.MaxInt},
}

// newWorld has a teacher anna, an admin root and a category.
func newWorld(t *testing.T, backend *storage.Backend, engine, dsn, driver, besideDSN string) *world {
	t.Helper()
	ctx := t.Context()
	w := &world{Platform: ustattest.New(t, ustattest.WithBackend(backend), ustattest.WithConfig(config)), engine: engine, dsn: dsn}
	for username, role := range map[string]core.Role{"anna": core.Teacher, "root": core.Admin} {
		_, err := w.Accounts.CreateUser(ctx, accounts.System, accounts.NewUser{Username: username, Email: username + "@example.org", Role: role})
		require.NoError(t, err)
	}
	_, err := w.Courses.CreateCategory(ctx, accounts.System, courses.NewCategory{Name: "Category", Slug: "category"})
	require.NoError(t, err)
	w.beside, err = sql.Open(driver, besideDSN)
	require.NoError(t, err)
	t.Cleanup(func() { _ = w.beside.Close() })
	return w
}

// inReview makes a course that can be published.
func (w *world) inReview(t *testing.T, slug string) {
	t.Helper()
	ctx := t.Context()
	_, err := w.Courses.Create(ctx, accounts.System, courses.NewCourse{
		Title: slug, Slug: slug, Category: "category", Teacher: "anna", Price: &core.Money{Currency: "EUR"},
	})
	require.NoError(t, err)
	m, err := w.Courses.CreateModule(ctx, accounts.System, slug, courses.NewModule{Title: "Module"})
	require.NoError(t, err)
	_, err = w.Courses.CreateLesson(ctx, accounts.System, slug, m.ID, courses.NewLesson{Title: "Lesson", Kind: courses.Text})
	require.NoError(t, err)
	_, err = w.Courses.Submit(ctx, accounts.System, slug, 0)
	require.NoError(t, err)
}

// upload makes a course with a lesson that has a file, and another one uploaded, and
// returns what it takes to process that.
func (w *world) upload(t *testing.T, slug string) map[string]string {
	t.Helper()
	ctx, folder := t.Context(), t.TempDir()
	w.inReview(t, slug)
	files, err := blob.Dir(folder, nil)
	require.NoError(t, err)
	service := courses.NewService(courses.Config{Store: w.Backend.Courses, Users: w.Accounts, Cursors: new(core.Cursors), Files: files, Links: new(blob.Links), Queued: true})
	modules, err := w.Courses.Modules(ctx, accounts.System, slug, core.Page{})
	require.NoError(t, err)
	l, err := service.CreateLesson(ctx, accounts.System, slug, modules.Items[0].ID, courses.NewLesson{Title: "File", Kind: courses.File})
	require.NoError(t, err)
	var f courses.LessonFile
	for i := range 2 {
		f, err = service.Upload(ctx, accounts.System, slug, l.ID, courses.NewFile{Name: "a.txt", Body: strings.NewReader("text")})
		require.NoError(t, err)
		if i == 0 {
			require.NoError(t, service.ProcessLessonFile(ctx, f.ID))
		}
	}
	return map[string]string{"file": f.ID.String(), "folder": folder}
}

// published makes a course that learners come to; capacity 0 is no bound.
func (w *world) published(t *testing.T, slug string, capacity int) {
	t.Helper()
	w.inReview(t, slug)
	_, err := w.Courses.Publish(t.Context(), accounts.System, slug, 0)
	require.NoError(t, err)
	_, err = w.Courses.Edit(t.Context(), accounts.System, slug, courses.CourseEdit{Capacity: &capacity})
	require.NoError(t, err)
}

// learner makes a student.
func (w *world) learner(t *testing.T, username string) core.Actor {
	t.Helper()
	u, err := w.Accounts.CreateUser(t.Context(), accounts.System, accounts.NewUser{Username: username, Email: username + "@example.org", Role: core.Student})
	require.NoError(t, err)
	return core.Actor{UserID: u.ID, Role: u.Role}
}

// enrolled makes a student who takes a course, or waits for a seat of it.
func (w *world) enrolled(t *testing.T, slug, username string) courses.Enrollment {
	t.Helper()
	e, err := w.Courses.Enroll(t.Context(), w.learner(t, username), slug, "")
	require.NoError(t, err)
	return e
}

// completed makes a student who has completed a course, and returns the id of their
// enrollment.
func (w *world) completed(t *testing.T, slug, username string) string {
	t.Helper()
	e := w.enrolled(t, slug, username)
	by := core.Actor{UserID: e.User, Role: core.Student}
	lessons, err := w.Courses.Lessons(t.Context(), by, slug, 0, core.Page{})
	require.NoError(t, err)
	for _, l := range lessons.Items {
		_, err := w.Courses.CompleteLesson(t.Context(), by, e.ID, l.ID)
		require.NoError(t, err)
	}
	return strconv.FormatInt(int64(e.ID), 10)
}

// student signs somebody up and makes a published course of the same name.
func (w *world) student(t *testing.T, name string) core.Actor {
	t.Helper()
	w.register(t, name)
	w.published(t, name, 0)
	u, err := w.Accounts.UserByUsername(t.Context(), name)
	require.NoError(t, err)
	return core.Actor{UserID: u.ID, Role: u.Role}
}

// review is an operation on a review of a student with a name, on the course of that name.
func (w *world) review(t *testing.T, operation, name, by string) killtest.Op {
	t.Helper()
	made, err := w.Reviews.Create(t.Context(), w.student(t, name), name, reviews.New{Rating: 5})
	require.NoError(t, err)
	return killtest.Op{Name: operation, Args: map[string]string{"review": fmt.Sprint(made.ID), "by": by, "key": name}}
}

// run has a worker do one operation after the other.
func (w *world) run(t *testing.T, ops ...killtest.Op) killtest.Ended {
	t.Helper()
	return killtest.Run(t, w.work(ops), killtest.NoKill)
}

func (w *world) work(lanes ...[]killtest.Op) killtest.Work {
	return killtest.Work{Engine: w.engine, DSN: w.dsn, Lanes: lanes, Payments: w.payments}
}

// one is run for a single operation that must succeed.
func (w *world) one(t *testing.T, op killtest.Op) killtest.Call {
	t.Helper()
	call := w.run(t, op).Calls[0]
	require.Equal(t, killtest.OK, call.Outcome, "%s: %s", op.Name, call.Error)
	return call
}

// rows returns the rows of a query as text, in order.
func (w *world) rows(t *testing.T, query string) []string {
	t.Helper()
	found, err := w.beside.QueryContext(t.Context(), query)
	require.NoError(t, err)
	defer found.Close()
	columns, err := found.Columns()
	require.NoError(t, err)
	var rows []string
	for found.Next() {
		values, places := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			places[i] = &values[i]
		}
		require.NoError(t, found.Scan(places...))
		rows = append(rows, fmt.Sprint(values...))
	}
	require.NoError(t, found.Err())
	slices.Sort(rows)
	return rows
}

// tables are what an operation may change; their rows together are the state.
var tables = []string{
	"ustat_users", "ustat_profiles", "ustat_sessions", "ustat_refresh_tokens", "ustat_producer_teachers", "ustat_courses", "ustat_course_stats",
	"ustat_course_slugs", "ustat_modules", "ustat_categories", "ustat_outbox", "ustat_audit", "ustat_idempotency", "ustat_enrollments", "ustat_progress",
	"ustat_orders", "ustat_coupons", "ustat_coupon_uses", "ustat_payment_events", "ustat_entitlements",
	"ustat_reviews", "ustat_review_stats", "ustat_review_history", "ustat_review_votes", "ustat_review_comments", "ustat_review_reports",
}

// state returns all rows of all tables.
func (w *world) state(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, table := range tables {
		fmt.Fprintln(&all, table)
		for _, row := range w.rows(t, "SELECT * FROM "+table) {
			fmt.Fprintln(&all, " ", row)
		}
	}
	return all.String()
}

func (w *world) check(t *testing.T) {
	t.Helper()
	require.NoError(t, ustattest.CheckInvariants(context.WithoutCancel(t.Context()), w.Backend))
}

// scale returns how much larger than usual a test is to be.
func scale(t testing.TB) int {
	n, err := strconv.Atoi(cmp.Or(os.Getenv("USTAT_TEST_SCALE"), "1"))
	require.NoError(t, err, "USTAT_TEST_SCALE")
	return n
}

// count returns the one number of a query.
func (w *world) count(t *testing.T, query string) (n int) {
	t.Helper()
	require.NoError(t, w.beside.QueryRowContext(t.Context(), query).Scan(&n), query)
	return n
}

const password = "a long enough secret"

// register signs a student up and returns their refresh token.
func (w *world) register(t *testing.T, username string) string {
	t.Helper()
	tokens, err := w.Accounts.Register(t.Context(), accounts.Registration{
		Username: username, Email: username + "@example.org", Password: password,
	}, accounts.Client{Network: username})
	require.NoError(t, err)
	return string(tokens.Refresh)
}
