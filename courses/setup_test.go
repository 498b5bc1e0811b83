package courses_test

import (
	"cmp"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/internal/pgtest"
	"github.com/ustat/ustat/storage"
	"github.com/ustat/ustat/storage/postgres"
	"github.com/ustat/ustat/storage/sqlite"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// onBoth runs a test on an empty world of each engine.
func onBoth(t *testing.T, test func(t *testing.T, w *world)) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "ustat.db")
		b, err := sqlite.Open(t.Context(), path, nil)
		require.NoError(t, err)
		t.Cleanup(func() { _ = b.Close() })
		_, err = b.Schema.Migrate(t.Context())
		require.NoError(t, err)
		test(t, newWorld(t, b, "sqlite", "file:"+path+"?_pragma=busy_timeout(10000)&_pragma=foreign_keys(1)"))
	})
	t.Run("postgresql", func(t *testing.T) {
		t.Parallel()
		dsn := pgtest.Template(t, "ustat-courses", func(dsn string) error {
			b, err := postgres.Open(context.Background(), dsn, nil)
			if err != nil {
				return err
			}
			defer b.Close()
			_, err = b.Schema.Migrate(context.Background())
			return err
		})
		b, err := postgres.Open(t.Context(), dsn, nil)
		require.NoError(t, err)
		t.Cleanup(func() { _ = b.Close() })
		test(t, newWorld(t, b, "pgx", dsn))
	})
}

// world is a platform with people, and the database beside it.
type world struct {
	*courses.Service
	backend                           *storage.Backend
	driver, dsn                       string
	clock                             *clock
	bank                              *bank
	producers                         links
	people                            map[string]core.Actor
	admin, ann, bob, pam, sam, nobody core.Actor // pam runs ann's courses; sam is a student
}

// clock gives a later time at each call.
type clock struct {
	mu   sync.Mutex
	now  time.Time
	step time.Duration // zero is a second
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(cmp.Or(c.step, time.Second))
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// links are the teachers of producers.
type links map[core.UserID][]core.UserID

func (l links) TeacherIDs(_ context.Context, producer core.UserID) ([]core.UserID, error) {
	return l[producer], nil
}

func newWorld(t *testing.T, b *storage.Backend, driver, dsn string) *world {
	t.Helper()
	w := &world{
		backend: b, driver: driver, dsn: dsn, clock: &clock{now: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}, producers: links{}, people: map[string]core.Actor{},
	}
	w.bank = newBank(t, "fake", w.clock)
	w.Service = w.service(t)
	w.admin, w.ann, w.bob = w.person(t, "root", core.Admin), w.person(t, "ann", core.Teacher), w.person(t, "bob", core.Teacher)
	w.pam, w.sam = w.person(t, "pam", core.Producer), w.person(t, "sam", core.Student)
	w.producers[w.pam.UserID] = []core.UserID{w.ann.UserID}
	return w
}

// service returns a service over the world, with gates of an embedder.
func (w *world) service(t testing.TB, gates ...courses.Gate) *courses.Service {
	t.Helper()
	return w.serviceWith(t, courses.Config{Gates: gates, Payments: []courses.Payments{w.bank, newBank(t, "other", w.clock)}})
}

// serviceWith returns a service over the world, with the rest of its configuration.
func (w *world) serviceWith(t testing.TB, c courses.Config) *courses.Service {
	t.Helper()
	c.Cursors = new(core.Cursors)
	require.NoError(t, c.Cursors.SetKey([]byte("0123456789abcdef0123456789abcdef")))
	c.Store, c.Users, c.Producers, c.Clock = w.backend.Courses, w.backend.Accounts, w.producers, w.clock
	return courses.NewService(c)
}

func (w *world) person(t testing.TB, name string, role core.Role) core.Actor {
	t.Helper()
	var made []accounts.User
	require.NoError(t, w.backend.Accounts.Update(context.Background(), func(ctx context.Context, tx accounts.Tx) (err error) {
		made, err = tx.InsertUsers(ctx, []accounts.User{{
			Username: name, Email: name + "@example.org", Role: role, FullName: "Person " + name, Active: true, CreatedAt: w.clock.Now(), UpdatedAt: w.clock.Now(),
		}})
		return err
	}))
	w.people[name] = core.Actor{UserID: made[0].ID, Role: role}
	return w.people[name]
}

// shelf makes a category and two tags.
func (w *world) shelf(t testing.TB) {
	t.Helper()
	_, err := w.CreateCategory(t.Context(), w.admin, courses.NewCategory{Name: "Web"})
	require.NoError(t, err)
	for _, name := range []string{"Go", "C++"} {
		_, err := w.CreateTag(t.Context(), w.admin, courses.NewTag{Name: name})
		require.NoError(t, err)
	}
}

func whole(title string) courses.NewCourse {
	return courses.NewCourse{
		Title: title, Description: "<p>About &amp; <b>more</b></p>", Requirements: "none", Language: "ru",
		Price: &core.Money{Minor: 199900, Currency: "RUB"}, Category: "web", Tags: []string{"go", "c-plus-plus"},
	}
}

// course makes a complete draft of ann with one lesson.
func (w *world) course(t testing.TB, title string) courses.Course {
	t.Helper()
	return w.filled(t, whole(title))
}

// filled makes a draft of ann with one lesson.
func (w *world) filled(t testing.TB, in courses.NewCourse) courses.Course {
	t.Helper()
	c, err := w.Create(t.Context(), w.ann, in)
	require.NoError(t, err)
	m, err := w.CreateModule(t.Context(), w.ann, c.Slug, courses.NewModule{Title: "One"})
	require.NoError(t, err)
	_, err = w.CreateLesson(t.Context(), w.ann, c.Slug, m.ID, courses.NewLesson{Title: "First", Kind: courses.Text, Content: "Hello"})
	require.NoError(t, err)
	return c
}

// in brings a draft to a status.
func (w *world) in(t testing.TB, c courses.Course, status courses.Status) courses.Course {
	t.Helper()
	var err error
	if status != courses.Draft {
		c, err = w.Submit(t.Context(), w.ann, c.Slug, 0)
		require.NoError(t, err)
	}
	if status == courses.Published || status == courses.Archived {
		c, err = w.Publish(t.Context(), w.admin, c.Slug, 0)
		require.NoError(t, err)
	}
	if status == courses.Archived {
		c, err = w.Archive(t.Context(), w.ann, c.Slug, 0)
		require.NoError(t, err)
	}
	require.Equal(t, status, c.Status)
	return c
}

// fields returns the fields that an error names.
func fields(t testing.TB, err error) []string {
	t.Helper()
	e, ok := err.(*core.Error)
	require.True(t, ok, "%v", err)
	var names []string
	for _, v := range e.Violations {
		names = append(names, v.Field)
	}
	return names
}

// events returns the types of the events that wait, oldest first.
func (w *world) events(t testing.TB) []string {
	t.Helper()
	pending, err := w.backend.Courses.Pending(t.Context(), 1000)
	require.NoError(t, err)
	var types []string
	for _, e := range pending {
		types = append(types, e.Type)
		require.NoError(t, w.backend.Courses.Done(t.Context(), e.ID))
	}
	return types
}

func ptr[T any](v T) *T { return &v }

func random(t testing.TB) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("USTAT_TEST_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("replay with USTAT_TEST_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

// together runs n calls at once and returns their errors.
func together(n int, call func(i int) error) []error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = call(i) })
	}
	wg.Wait()
	return errs
}
