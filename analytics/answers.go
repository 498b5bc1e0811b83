package analytics

import (
	"time"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// Result is what became of events that were given to Track.
type Result struct {
	// Accepted is how many were counted, Duplicates how many had been before. Events that
	// only wait (see Mode) are neither.
	Accepted, Duplicates, Waiting int
	Refused                       []Refused
}

// Refused is an event that was not taken.
type Refused struct {
	Index int   // in what was given
	Err   error // core.ErrInvalid, core.ErrUnavailable, …; retry what is unavailable with the same id
}

// Mode is what an answer of Track promises.
type Mode int

// The modes.
const (
	// Durable: accepted events are on the disk of their shard.
	Durable Mode = iota
	// BestEffort: events wait in memory and are counted soon. What waits is lost when the
	// process dies, RouterOptions.MaxWaiting events a shard at most, and with it what its
	// shard refuses.
	BestEffort
)

// CourseReport is the overview of a course.
type CourseReport struct {
	Course  courses.Ref
	Ratings courses.ReviewNumbers
	CourseTotals
}

// RevenueReport is what a teacher has earned.
type RevenueReport struct {
	Teacher string // username
	Total   []Revenue
	Courses []CourseReport
	Missing []string // the shards that did not answer, whose courses are zero
}

// Step is one of a funnel.
type Step struct {
	Name string // "view", "enroll", "start", "complete"
	// People is how many have taken it, each once: viewers, among them visitors, by a
	// sketch; the others are learners.
	People int64
}

// Unit is how long a point of a series is.
type Unit string

// The units. A week begins on Monday.
const (
	ByHour  Unit = "hour"
	ByDay   Unit = "day"
	ByWeek  Unit = "week"
	ByMonth Unit = "month"
)

// MaxPoints is how many points a series has at most.
const MaxPoints = 1000

// Point is one of a series.
type Point struct {
	Period
	PeriodCounts
}

// Cohort is the learners that enrolled in one week.
type Cohort struct {
	Week   time.Time // its Monday, in UTC
	Size   int64
	Active []int64 // in the weeks after, from the first on, up to the present one
}

// MaxCohorts is how many weeks a report of retention covers at most.
const MaxCohorts = 53

// TopPage is a page of the best courses.
type TopPage struct {
	core.PageOf[CourseReport]
	// Missing are the shards that did not answer, whose courses are not in the page.
	Missing []string
}

// UserReport is what a user has done.
type UserReport struct {
	UserTotals
	Missing []string // the shards that did not answer
}

// UserActivity is a user's days.
type UserActivity struct {
	Days    []UserDay // without Key, by day ascending
	Missing []string
}
