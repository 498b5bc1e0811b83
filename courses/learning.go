package courses

import (
	"time"

	"github.com/ustat/ustat/core"
)

// EnrollmentID is the id of an enrollment. It grants nothing.
type EnrollmentID int64

// EnrollmentStatus is where an enrollment is in its life.
type EnrollmentStatus string

// The statuses of an enrollment. One that is active or completed holds a seat, gives
// access and is counted as a student of the course; the others do not.
const (
	Waiting   EnrollmentStatus = "waiting"   // for a seat of a course that is full
	Active    EnrollmentStatus = "active"    // taking the course
	Completed EnrollmentStatus = "completed" // every lesson of the time was done
	Cancelled EnrollmentStatus = "cancelled" // given up by the learner
	Refunded  EnrollmentStatus = "refunded"  // the money went back
)

// EnrollmentStatuses lists every status of an enrollment.
var EnrollmentStatuses = [...]EnrollmentStatus{Waiting, Active, Completed, Cancelled, Refunded}

// Seated reports whether an enrollment of this status holds a seat and gives access.
func (s EnrollmentStatus) Seated() bool { return s == Active || s == Completed }

// Source is why somebody takes a course.
type Source string

// The sources.
const (
	SourceFree     Source = "free"     // the course cost nothing
	SourcePurchase Source = "purchase" // of a paid order
	SourceGrant    Source = "grant"    // given by who may: a gift, a subscription, a cohort
	SourceImport   Source = "import"   // from another platform
)

// Sources lists every source.
var Sources = [...]Source{SourceFree, SourcePurchase, SourceGrant, SourceImport}

// Enrollment is one user in one course: there is at most one, whose status changes.
type Enrollment struct {
	ID        EnrollmentID
	Course    CourseID
	Slug      string // of the course, filled on reading
	Title     string // of the course, filled on reading
	User      core.UserID
	Username  string // a Store leaves it empty; the Service fills it
	Status    EnrollmentStatus
	Source    Source
	PricePaid core.Money // as of when the seat was given; 0 of the course's currency where nothing was paid

	Lessons int // how many the course has now, filled on reading
	Done    int // how many of those were completed, filled on reading

	EnrolledAt  time.Time // of the latest enrollment
	StartedAt   time.Time // of the first lesson opened or completed; zero before
	CompletedAt time.Time // of the first time that all lessons were done; it stays when lessons are added
	EndedAt     time.Time // of cancellation or refund; else zero

	Resume  Resume
	Version int64 // from 1, one more with each change; progress alone is none
}

// Percent returns the progress, min(100, Done × 100 / Lessons) rounded down: 0 to 100,
// and 0 of a course without lessons.
func (e *Enrollment) Percent() int {
	if e.Lessons <= 0 {
		return 0
	}
	return min(100, max(0, e.Done)*100/e.Lessons)
}

// Resume is where a learner was last.
type Resume struct {
	Lesson  LessonID // 0 is nowhere yet
	Seconds int      // into a video, from 0
}

// LessonProgress is a lesson that was completed. It stays when the lesson is moved.
type LessonProgress struct {
	Enrollment  EnrollmentID
	Lesson      LessonID
	CompletedAt time.Time
}

// Learner is what a user is to a course.
type Learner struct {
	User       core.UserID
	Enrollment Enrollment // zero where there is none
	Entitled   bool       // they may enroll without paying, for the right that they have
	Right      Entitlement
}

// Seats are the places of a course and what a seat costs.
type Seats struct {
	Course   CourseID
	Slug     string
	Title    string
	Lessons  int // how many there are
	Status   Status
	Teacher  core.UserID
	Price    core.Money
	Capacity int   // how many seats there are; 0 is no bound
	Taken    int   // Stats.Students
	Waiting  int   // enrollments that wait for a seat
	Trend    int64 // see Heat.On
}

// Full reports whether no seat is free.
func (s *Seats) Full() bool { return s.Capacity > 0 && s.Taken >= s.Capacity }

// Bookmark is a course that a user wants to find again.
type Bookmark struct {
	User   core.UserID
	Course CourseID
	At     time.Time
}

// The bounds of learning.
const (
	MaxCapacity      = 1_000_000 // seats
	MaxPrerequisites = 20        // of a course
	MaxDripDays      = 3650      // of a lesson after the enrollment
	MaxResume        = 7 * 24 * time.Hour
	MaxBookmarks     = 1000 // of a user
)
