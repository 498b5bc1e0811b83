// Package storagetest proves that a storage keeps what the Store interfaces of
// Ustat promise. Every sentence in their comments has a case here that is named
// after it, so that a failure reads as the promise that was broken.
//
// A storage of your own runs it in a test:
//
//	func TestConformance(t *testing.T) {
//		storagetest.Run(t, openTemp, storagetest.Limits{})
//	}
//
// Random cases print their seed; USTAT_TEST_SEED runs one again. They are small
// without USTAT_TEST_SCALE.
package storagetest

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage"
)

// Limits says what a storage cannot do and what the suite may look at beside the
// interfaces.
type Limits struct {
	// SingleWriter says that writing transactions never overlap; the cases that
	// hold two of them open are skipped.
	SingleWriter bool
	// CoursesApart says that the courses are not kept beside the accounts, so that
	// WithCourses knows of nobody's.
	CoursesApart bool
	// ReviewsApart says that the reviews are not kept beside the courses, so that their
	// numbers come there by events alone.
	ReviewsApart bool
	// AuditRows counts the rows of the audit log, which no interface reads. Where
	// it is nil, the audit log is not looked at.
	AuditRows func(t testing.TB, b *storage.Backend) int
	// SetStats sets the numbers of a course, for which no interface exists yet.
	// Where it is nil, the orders by rating and students are tried on ties alone.
	SetStats func(t testing.TB, b *storage.Backend, id courses.CourseID, stats courses.Stats)
}

// Open returns an empty, migrated backend and closes it in t.Cleanup.
type Open = func(t *testing.T) *storage.Backend

// Run runs every case of every store.
func Run(t *testing.T, open Open, limits Limits) {
	t.Run("accounts", func(t *testing.T) { RunAccounts(t, open, limits) })
	t.Run("courses", func(t *testing.T) { RunCourses(t, open, limits) })
	t.Run("recommend", func(t *testing.T) { RunRecommend(t, open, limits) })
	t.Run("reports", func(t *testing.T) { RunReports(t, open, limits) })
	t.Run("reviews", func(t *testing.T) { RunReviews(t, open, limits) })
	t.Run("keys", func(t *testing.T) { RunKeys(t, open, limits) })
}

// RunAccounts runs the cases of accounts.Store. The backend must be whole: the cases
// of the outbox also look that the events of courses do not come out of accounts.
func RunAccounts(t *testing.T, open Open, limits Limits) {
	s := suite{t, open, limits}
	s.updates(accountsDomain, coursesDomain)
	s.outbox(accountsDomain, coursesDomain)
	s.idempotency(accountsDomain)
	s.forgetting(accountsDomain, coursesDomain)
	s.users()
	s.userLists()
	s.userLocks()
	s.profiles()
	s.profileRatings()
	s.teachers()
	s.sessions()
	s.sessionsForgotten()
	s.longAccounts()
	s.awards()
}

// RunCourses runs the cases of courses.Store, in a whole backend as RunAccounts.
func RunCourses(t *testing.T, open Open, limits Limits) {
	s := suite{t, open, limits}
	s.updates(coursesDomain, accountsDomain)
	s.outbox(coursesDomain, accountsDomain)
	s.idempotency(coursesDomain)
	s.forgetting(coursesDomain, accountsDomain)
	s.tree()
	s.courses()
	s.content()
	s.translations()
	s.lists()
	s.search()
	s.authoring()
	s.longCourses()
	s.walks()
	s.refs()
	s.trends()
	s.orders()
	s.coupons()
	s.facts()
	s.learningTransfer()
	s.rollups()
	s.audience()
	s.files()
	s.certificates()
	s.learning()
	s.besides()
}

// RunKeys runs the cases of storage.Keys.
func RunKeys(t *testing.T, open Open, limits Limits) {
	suite{t, open, limits}.keys()
}

type suite struct {
	t      *testing.T
	open   Open
	limits Limits
}

// run runs one case on a backend of its own, beside the others.
func (s suite) run(name string, test func(t *testing.T, b *storage.Backend)) {
	s.t.Run(name, func(t *testing.T) {
		t.Parallel()
		test(t, s.open(t))
	})
}

// soon is how long a call may take that must fail or answer at once.
const soon = 2 * time.Second

// patience is how long anything may take.
const patience = time.Minute

// within fails the test when f takes longer than d. F runs on a goroutine of its
// own, so it returns errors instead of failing the test.
func within(t testing.TB, d time.Duration, f func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-time.After(d):
		t.Fatalf("it hangs: no answer after %s", d)
		return nil
	}
}

// errBoom is the closure's own error.
var errBoom = errors.New("boom")

func random(t testing.TB) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("USTAT_TEST_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err, "USTAT_TEST_SEED")
	}
	t.Logf("replay with USTAT_TEST_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

// size returns full when USTAT_TEST_SCALE is set, and small otherwise.
func size(full, small int) int {
	if os.Getenv("USTAT_TEST_SCALE") != "" {
		return full
	}
	return small
}

func timeout(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// zoned is a time as a caller may have it: elsewhere, and finer than is kept.
func zoned(at time.Time) time.Time {
	return at.Add(789 * time.Nanosecond).In(time.FixedZone("UTC+5:45", 5*3600+45*60))
}

// day is a fixed time with microseconds.
var day = time.Date(2026, 2, 28, 23, 59, 58, 123456000, time.UTC)

// utc asserts that a time is the one given, in UTC, cut to microseconds.
func utc(t testing.TB, want, got time.Time) {
	t.Helper()
	require.Equal(t, time.UTC, got.Location(), "a time comes back in UTC")
	require.Equal(t, want.UTC().Truncate(time.Microsecond), got, "a time comes back to the microsecond")
}

// awkward is text that engines, drivers and escapes get wrong.
var awkward = []string{
	"emoji 🎓👩‍🏫 and 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 beyond the plane", `quotes ' '' " "" and back\slashes \' \\ \n`,
	"Ёлка, Ёж и «кавычки»", "100% _under_ ?score ?0 $1 :name @x", "line\nbreak\ttab\r", "é and é", "'; DROP TABLE ustat_users; --", "",
}
