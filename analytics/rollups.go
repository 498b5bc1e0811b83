package analytics

import (
	"time"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// Counters are what is counted of a course, in a stretch of time or in all.
type Counters struct {
	Views, LessonStarts, LessonCompletions, Bookmarks, Reviews, Purchases, Refunds int64 // events
	Enrollments, Starts, Completions                                               int64 // learners, when each did it first
}

// Add adds another's counts, times n.
func (c *Counters) Add(o Counters, n int64) {
	c.Views += n * o.Views
	c.LessonStarts += n * o.LessonStarts
	c.LessonCompletions += n * o.LessonCompletions
	c.Bookmarks += n * o.Bookmarks
	c.Reviews += n * o.Reviews
	c.Purchases += n * o.Purchases
	c.Refunds += n * o.Refunds
	c.Enrollments += n * o.Enrollments
	c.Starts += n * o.Starts
	c.Completions += n * o.Completions
}

// Revenue is the money of one currency, in minor units: what was paid, and what of it
// went back.
type Revenue struct {
	Currency    string
	Gross, Back int64
}

// Net returns what stays.
func (r Revenue) Net() core.Money { return core.Money{Minor: r.Gross - r.Back, Currency: r.Currency} }

// Grain is how long a stretch of a rollup is. Quarters of an hour add up to the days of
// every time zone since 2000, those of 23 and 25 hours too; days are those of UTC.
type Grain int

// The grains.
const (
	Quarter Grain = 900 // seconds
	Day     Grain = 86400
)

// Of returns the second, since 1970, that the stretch of a moment begins at.
func (g Grain) Of(at time.Time) int64 {
	unix := at.Unix()
	return unix - unix%int64(g) // times are after Earliest, so unix is positive
}

// Week is a week of UTC from Monday on, counted from the one of 1970-01-01.
type Week int32

// WeekOf returns the week of a moment.
func WeekOf(at time.Time) Week { return Week((at.Unix()/86400 + 3) / 7) }

// Start returns the moment at which the week begins.
func (w Week) Start() time.Time { return time.Unix((int64(w)*7-3)*86400, 0).UTC() }

// CourseTotals are the totals of a key. Those of a negative one count nothing.
type CourseTotals struct {
	Key           Key
	Events        int64 // of all types, searches included
	UniqueViewers int64 // estimated by a sketch, within about 2 %: users, and sessions of visitors
	Revenue       []Revenue
	FirstAt       time.Time // of its events, by OccurredAt
	UpdatedAt     time.Time // of the event that was taken last, by ReceivedAt
	Counters
}

// Merge adds what another counts of the key: events, counters, and when they happened and
// were taken. Viewers and revenue are rows of their own, and stay.
func (c *CourseTotals) Merge(o *CourseTotals) {
	c.Events += o.Events
	c.Add(o.Counters, 1)
	if c.FirstAt.IsZero() || !o.FirstAt.IsZero() && o.FirstAt.Before(c.FirstAt) {
		c.FirstAt = o.FirstAt
	}
	if o.UpdatedAt.After(c.UpdatedAt) {
		c.UpdatedAt = o.UpdatedAt
	}
}

// CompletionRate returns the share of enrolled learners that have completed the course,
// 0 to 1; 0 where nobody is enrolled.
func (c CourseTotals) CompletionRate() float64 { return float64(c.rate()) / rateUnits }

// rateUnits is what a rate is kept in: parts of a million, so that it can be sorted by.
const rateUnits = 1_000_000

func (c Counters) rate() int64 {
	if c.Enrollments == 0 {
		return 0
	}
	return min(c.Completions*rateUnits/c.Enrollments, rateUnits)
}

// Rate returns CompletionRate in parts of a million, rounded down, by which stores sort.
func (c Counters) Rate() int64 { return c.rate() }

// Learner is what a user has done in a course. All of it is the smallest, the greatest
// or the union of what events say, so their order does not matter.
type Learner struct {
	Key  Key
	User core.UserID
	// When it happened first; zero where it did not. Started is the first lesson started
	// or completed.
	Viewed, Enrolled, Started, Completed time.Time
	Weeks                                []Week // with an event, ascending; at most MaxWeeks, the first ones
	Lessons                              []LearnerLesson
}

// LearnerLesson is one lesson that a learner has started or completed.
type LearnerLesson struct {
	Lesson    courses.LessonID
	Completed bool
}

// The bounds of a Learner: of what exceeds them, the first weeks and the lessons with
// the smallest ids are kept.
const (
	MaxWeeks   = 520
	MaxLessons = 2000
)

// LessonCounts are the learners of one lesson.
type LessonCounts struct {
	Lesson             courses.LessonID
	Started, Completed int64
}

// CohortCount is how many learners that enrolled in Week were active Later weeks after
// it; Later 0 counts all that enrolled then.
type CohortCount struct {
	Week  Week
	Later int
	N     int64
}

// UserDay is what a user did with a key on a day of UTC.
type UserDay struct {
	Key               Key
	User              core.UserID
	Day               int64 // since 1970
	Events            int64
	LessonCompletions int64
	LastAt            time.Time
}

// Rollups are what a set of events adds to the stored rollups.
type Rollups struct {
	Totals   map[Key]*CourseTotals // without UniqueViewers and Revenue
	Spans    map[SpanKey]*Counters
	Revenue  map[RevenueKey]*Revenue
	Lessons  map[LessonKey]*LessonCounts
	Cohorts  map[CohortKey]int64
	UserDays map[UserDayKey]*UserDay
	Learners map[LearnerKey]*Learner // as they are now
	Viewers  map[Key][]uint64        // hashes for the sketch
}

// The keys of rollups. Every one begins with the Key.
type (
	// SpanKey is a stretch of time of a course.
	SpanKey struct {
		Key   Key
		Grain Grain
		At    int64 // seconds since 1970
	}
	// RevenueKey is a currency in a stretch of time; Grain 0 and At 0 are the total.
	RevenueKey struct {
		SpanKey
		Currency string
	}
	// LessonKey is a lesson of a course.
	LessonKey struct {
		Key    Key
		Lesson courses.LessonID
	}
	// CohortKey is a cohort of a course, some weeks later.
	CohortKey struct {
		Key   Key
		Week  Week
		Later int
	}
	// UserDayKey is a day of a user.
	UserDayKey struct {
		Key  Key
		User core.UserID
		Day  int64
	}
	// LearnerKey is a user in a course.
	LearnerKey struct {
		Key  Key
		User core.UserID
	}
)
