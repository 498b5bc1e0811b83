package analytics_test

import (
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/analytics"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

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

// dice is a source of random numbers.
type dice interface {
	IntN(n int) int
	Int64N(n int64) int64
}

// randomEvents returns events of few people in few courses over half a year.
func randomEvents(t testing.TB, r dice, n int) []analytics.Event {
	t.Helper()
	return manyEvents(t, r, n, 4, 10)
}

func coursesID(n int) courses.CourseID { return courses.CourseID(n) }

// oneEvent returns an event of someone, half a year ago at most.
func oneEvent(r dice, courseCount, users int) analytics.Event {
	e := analytics.Event{
		ID: uuid.New(), Type: analytics.Types[r.IntN(len(analytics.Types))], Course: courses.CourseID(1 + r.IntN(courseCount)), User: core.UserID(1 + r.IntN(users)),
		OccurredAt: now.Add(-time.Duration(r.Int64N(int64(180 * 24 * time.Hour)))),
	}
	switch e.Type {
	case analytics.LessonStart, analytics.LessonComplete:
		e.Lesson = courses.LessonID(1 + r.IntN(5))
	case analytics.Purchase, analytics.Refund:
		e.Amount = core.Money{Minor: r.Int64N(1000), Currency: []string{"EUR", "RUB"}[r.IntN(2)]}
	case analytics.Search:
		e.Course = 0
	case analytics.View:
		if r.IntN(2) == 0 {
			e.User, e.Session = 0, strconv.Itoa(r.IntN(2*users))
		}
	}
	return e
}

// stored is rollups as a store keeps them.
type stored struct{ *analytics.Rollups }

func newStored() stored { return stored{analytics.Fold(nil, nil)} }

func (s stored) add(events []analytics.Event) {
	var known []analytics.Learner
	for _, key := range analytics.LearnerKeys(events) {
		if l, ok := s.Learners[key]; ok {
			known = append(known, *l)
		}
	}
	s.Merge(analytics.Fold(events, known))
	for _, hashes := range s.Viewers {
		slices.Sort(hashes) // a set
	}
}

func TestRollupsDependOnTheSetOfEventsAlone(t *testing.T) {
	t.Parallel()
	r := random(t)
	events := randomEvents(t, r, 2000)
	whole := newStored()
	whole.add(events)
	require.NotEmpty(t, whole.Cohorts)
	for range 5 {
		r.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
		parts := newStored()
		for rest := events; len(rest) > 0; {
			n := min(len(rest), 1+r.IntN(100))
			parts.add(rest[:n])
			rest = rest[n:]
		}
		require.Equal(t, whole.Rollups, parts.Rollups)
	}
}

// TestACohortFollowsALateEnrollment counts by hand what a fold does.
func TestACohortFollowsALateEnrollment(t *testing.T) {
	t.Parallel()
	monday := time.Date(2024, 2, 26, 0, 0, 0, 0, time.UTC) // its Thursday is a leap day
	require.Equal(t, monday, analytics.WeekOf(monday.Add(7*24*time.Hour-time.Microsecond)).Start())
	event := func(typ analytics.Type, days int) analytics.Event {
		e, err := analytics.Prepare(analytics.Event{Type: typ, Course: 7, User: 1, OccurredAt: monday.AddDate(0, 0, days)}, now)
		require.NoError(t, err)
		return e
	}
	s := newStored()
	week := analytics.WeekOf(monday)
	s.add([]analytics.Event{event(analytics.Enroll, 7), event(analytics.View, 21)})
	require.Equal(t, map[analytics.CohortKey]int64{{Key: 7, Week: week + 1}: 1, {Key: 7, Week: week + 1, Later: 2}: 1}, s.Cohorts)
	s.add([]analytics.Event{event(analytics.Enroll, 0)}) // an earlier one comes late
	require.Equal(t, map[analytics.CohortKey]int64{{Key: 7, Week: week}: 1, {Key: 7, Week: week, Later: 1}: 1, {Key: 7, Week: week, Later: 3}: 1}, s.Cohorts)
	day := func(days int) analytics.SpanKey {
		return analytics.SpanKey{Key: 7, Grain: analytics.Day, At: monday.AddDate(0, 0, days).Unix()}
	}
	require.Equal(t, int64(1), s.Spans[day(0)].Enrollments)
	require.NotContains(t, s.Spans, day(7), "the learner counts once")
	require.Equal(t, int64(1), s.Totals[7].Enrollments)
}
