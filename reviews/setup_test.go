package reviews_test

import (
	"context"
	"fmt"
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
	"github.com/ustat/ustat/reviews"
	"github.com/ustat/ustat/storage"
	"github.com/ustat/ustat/storage/postgres"
	"github.com/ustat/ustat/storage/sqlite"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// onBoth runs a test on an empty world of each engine.
func onBoth(t *testing.T, options reviews.Options, test func(t *testing.T, w *world)) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		b, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "ustat.db"), nil)
		require.NoError(t, err)
		t.Cleanup(func() { _ = b.Close() })
		_, err = b.Schema.Migrate(t.Context())
		require.NoError(t, err)
		test(t, newWorld(t, b, options))
	})
	t.Run("postgresql", func(t *testing.T) {
		t.Parallel()
		dsn := pgtest.Template(t, "ustat-reviews", func(dsn string) error {
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
		test(t, newWorld(t, b, options))
	})
}

// world is reviews of courses with people. Pam is ann's producer; everybody else is a
// student.
type world struct {
	*reviews.Service
	courses              *courses.Service
	backend              *storage.Backend
	clock                *clock
	learners             *learners
	admin, ann, bob, pam core.Actor
	nobody               core.Actor
	context              context.Context // of a test with many hands
}

// clock stands still until it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

type links map[core.UserID][]core.UserID

func (l links) TeacherIDs(_ context.Context, producer core.UserID) ([]core.UserID, error) {
	return l[producer], nil
}

// learners are who takes which course, and how far they are.
type learners struct{ of sync.Map }

func (l *learners) Learner(_ context.Context, course courses.CourseID, user core.UserID) (reviews.Learner, error) {
	found, ok := l.of.Load(reviews.Pair{Course: course, User: user})
	if !ok {
		return reviews.Learner{}, nil
	}
	return found.(reviews.Learner), nil
}

func (l *learners) set(course courses.CourseID, user core.UserID, is reviews.Learner) {
	l.of.Store(reviews.Pair{Course: course, User: user}, is)
}

var begin = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

func newWorld(t *testing.T, b *storage.Backend, options reviews.Options) *world {
	t.Helper()
	w := &world{backend: b, clock: &clock{now: begin}, learners: new(learners)}
	cursors := new(core.Cursors)
	require.NoError(t, cursors.SetKey([]byte("0123456789abcdef0123456789abcdef")))
	producers := links{}
	w.courses = courses.NewService(courses.Config{Store: b.Courses, Users: b.Accounts, Producers: producers, Cursors: cursors, Clock: w.clock})
	w.admin, w.ann, w.bob = w.person(t, "root", core.Admin), w.person(t, "ann", core.Teacher), w.person(t, "bob", core.Teacher)
	w.pam = w.person(t, "pam", core.Producer)
	producers[w.pam.UserID] = []core.UserID{w.ann.UserID}
	if options.PerHour == 0 {
		options.PerHour = 1_000_000
	}
	var err error
	w.Service, err = reviews.NewService(reviews.Config{
		Store: b.Reviews, Courses: w.courses, Users: b.Accounts, Learners: w.learners, Cursors: cursors, Clock: w.clock, Options: options,
	})
	require.NoError(t, err)
	return w
}

func (w *world) person(t testing.TB, name string, role core.Role) core.Actor {
	t.Helper()
	var made []accounts.User
	require.NoError(t, w.backend.Accounts.Update(context.Background(), func(ctx context.Context, tx accounts.Tx) (err error) {
		made, err = tx.InsertUsers(ctx, []accounts.User{{
			Username: name, Email: name + "@example.org", Role: role, FullName: "Person " + name, Active: true, CreatedAt: begin, UpdatedAt: begin,
		}})
		return err
	}))
	return core.Actor{UserID: made[0].ID, Role: role}
}

// course adds a course of ann.
func (w *world) course(t testing.TB, slug string, status courses.Status) courses.Course {
	t.Helper()
	return w.courseOf(t, w.ann, slug, status)
}

func (w *world) courseOf(t testing.TB, teacher core.Actor, slug string, status courses.Status) courses.Course {
	t.Helper()
	var made []courses.Course
	require.NoError(t, w.backend.Courses.Update(context.Background(), func(ctx context.Context, tx courses.Tx) (err error) {
		made, err = tx.InsertCourses(ctx, []courses.Course{{
			Slug: slug, Title: slug, Status: status, Price: core.Money{Currency: "RUB"}, Teacher: courses.Teacher{ID: teacher.UserID}, CreatedAt: begin, UpdatedAt: begin,
		}})
		return err
	}))
	return made[0]
}

// students adds people who have done half of the courses.
func (w *world) students(t testing.TB, n int, of ...courses.Course) []core.Actor {
	t.Helper()
	list := make([]core.Actor, n)
	for i := range list {
		list[i] = w.person(t, fmt.Sprintf("student%d-%d", w.clock.Now().UnixNano(), i), core.Student)
		for _, c := range of {
			w.learners.set(c.ID, list[i].UserID, reviews.Learner{Enrolled: true, Percent: 50})
		}
	}
	w.clock.advance(time.Microsecond)
	return list
}

func (w *world) add(t testing.TB, by core.Actor, course string, rating int) reviews.Review {
	t.Helper()
	r, err := w.Create(t.Context(), by, course, reviews.New{Rating: rating, Text: fmt.Sprintf("It is worth %d of %s.", rating, course)})
	require.NoError(t, err)
	return r
}

// numbers asserts what a course's numbers are, here and among the courses.
func (w *world) numbers(t testing.TB, course string, histogram [5]int64) reviews.Stats {
	t.Helper()
	var count, sum int64
	for i, n := range histogram {
		count += n
		sum += int64(i+1) * n
	}
	got, err := w.Summary(t.Context(), w.admin, course)
	require.NoError(t, err)
	require.Equal(t, histogram, got.Histogram)
	require.Equal(t, [2]int64{count, sum}, [2]int64{got.Count, got.Sum})
	c, err := w.courses.Course(t.Context(), w.admin, course)
	require.NoError(t, err)
	require.Equal(t, [2]int64{count, sum}, [2]int64{c.Stats.ReviewCount, c.Stats.RatingSum})
	require.NoError(t, w.backend.Verify(t.Context()))
	return got
}

// events returns the types of the events that wait, oldest first, and takes them away.
func (w *world) events(t testing.TB) []string {
	t.Helper()
	pending, err := w.backend.Reviews.Pending(t.Context(), 1000)
	require.NoError(t, err)
	var types []string
	for _, e := range pending {
		types = append(types, e.Type)
		require.NoError(t, w.backend.Reviews.Done(t.Context(), e.ID))
	}
	return types
}

func ptr[T any](v T) *T { return &v }

// codes returns the codes of the violations of an error.
func codes(t testing.TB, err error) (list []string) {
	t.Helper()
	e, ok := err.(*core.Error)
	require.True(t, ok, "%v", err)
	for _, v := range e.Violations {
		list = append(list, v.Field+":"+v.Code)
	}
	return list
}

func random(t testing.TB) (uint64, *rand.Rand) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("USTAT_TEST_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("replay with USTAT_TEST_SEED=%d", seed)
	return seed, rand.New(rand.NewPCG(seed, 1))
}

// size returns full when USTAT_TEST_SCALE is set, and small otherwise.
func size(full, small int) int {
	if os.Getenv("USTAT_TEST_SCALE") != "" {
		return full
	}
	return small
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

// insert stores reviews past the service, and counts them.
func (w *world) insert(t testing.TB, list ...reviews.Review) (made []reviews.Review) {
	t.Helper()
	require.NoError(t, w.backend.Reviews.Update(t.Context(), func(ctx context.Context, tx reviews.Tx) (err error) {
		if made, err = tx.InsertReviews(ctx, list...); err != nil {
			return err
		}
		for _, r := range list {
			was, err := tx.StatsForUpdate(ctx, r.Course)
			if err != nil {
				return err
			}
			now, err := tx.CountRatings(ctx, r.Course)
			if err != nil {
				return err
			}
			now.Version = was.Version + 1
			if err := tx.UpdateStats(ctx, now, courses.Heat{}); err != nil {
				return err
			}
		}
		return nil
	}))
	return made
}
