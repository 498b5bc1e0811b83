package reviews

import (
	"cmp"
	"context"
	"strconv"
	"time"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// Courses is what reviews ask courses for: what an actor may do to a course.
type Courses interface {
	// Ref returns a course by its slug, or an old one, or fails with
	// courses.ErrCourseNotFound where the actor does not see it.
	Ref(ctx context.Context, by core.Actor, slug string) (courses.Ref, error)
	// Refs returns those of the courses that exist, also what the actor does not see,
	// by one statement and one for a producer.
	Refs(ctx context.Context, by core.Actor, ids []courses.CourseID) (map[courses.CourseID]courses.Ref, error)
	// ReviewHeat returns what a published review does to the trend of its course.
	ReviewHeat(written time.Time) courses.Heat
	// ReviewNumbers returns the numbers that those of the courses that exist are listed
	// with, by one statement.
	ReviewNumbers(ctx context.Context, ids []courses.CourseID) (map[courses.CourseID]courses.ReviewNumbers, error)
}

// Users is what reviews ask accounts for: the people on a page, and since when who
// writes has had their account.
type Users interface {
	UsersByID(ctx context.Context, ids []core.UserID) ([]accounts.User, error)
	NamesByID(ctx context.Context, ids []core.UserID) ([]accounts.Name, error)
}

// Learner is what somebody is to a course.
type Learner struct {
	Enrolled bool // they have a seat now: taking the course, or done with it
	Percent  int  // how far they are, 0 to 100
}

// Learners is what reviews ask about who takes a course.
type Learners interface {
	Learner(ctx context.Context, course courses.CourseID, user core.UserID) (Learner, error)
}

// Config is what a Service is made of.
type Config struct {
	Store    Store
	Courses  Courses
	Users    Users
	Learners Learners // nil means that nobody is enrolled
	Cursors  *core.Cursors
	Validate *core.Validator // nil means a new one
	Clock    core.Clock      // nil means the machine's
	Limiter  core.Limiter    // nil means one in memory
	Options
}

// Options are what an embedder may set of reviews.
type Options struct {
	// Moderator looks at texts before they are published. Nil means a Filter with its
	// defaults.
	Moderator Moderator
	// PreModerate makes each new or changed review wait for an admin.
	PreModerate bool
	// MinPercent is how far one must be to review a course, 0 to 100.
	MinPercent int
	// ReportThreshold is how many reports of abuse make a published review pending, from
	// 1. Zero means 3.
	ReportThreshold int
	// PerHour is how many reviews, edits, comments, votes and reports in all one may
	// write in an hour, from 1. Zero means 120.
	PerHour int
}

// SetDefaults fills in what is not set, and fails with core.ErrInvalid naming what is
// out of its bounds.
func (o *Options) SetDefaults() error {
	o.ReportThreshold, o.PerHour = cmp.Or(o.ReportThreshold, 3), cmp.Or(o.PerHour, 120)
	if o.Moderator == nil {
		o.Moderator = Filter{}
	}
	switch {
	case o.MinPercent < 0 || o.MinPercent > 100:
		return core.Invalid("Reviews.MinPercent", "range", "0-100", strconv.Itoa(o.MinPercent), "a percentage is between 0 and 100")
	case o.ReportThreshold < 1:
		return core.Invalid("Reviews.ReportThreshold", "min", "1", strconv.Itoa(o.ReportThreshold), "at least one report is expected")
	case o.PerHour < 1:
		return core.Invalid("Reviews.PerHour", "min", "1", strconv.Itoa(o.PerHour), "at least one an hour is expected")
	}
	return nil
}

// Service holds the rules of reviews. It is safe for concurrent use.
//
// Courses are named by slug. One that the actor does not see is
// courses.ErrCourseNotFound, and a review that they do not see is ErrReviewNotFound, as
// if it were not there. What one sees but may not do is core.ErrForbidden, and
// core.ErrUnauthenticated when nobody is signed in.
//
// A change checks its whole input first and names every bad field in one
// core.ErrInvalid. With an IfVersion other than 0, one that is no longer stored is
// core.ErrVersion. A change that is refused changes nothing.
type Service struct{ c Config }

// NewService returns a Service. Store, Courses, Users and Cursors are required. It fails
// as Options.SetDefaults does.
func NewService(c Config) (*Service, error) {
	if c.Validate == nil {
		c.Validate = core.NewValidator()
	}
	if c.Clock == nil {
		c.Clock = core.SystemClock{}
	}
	if c.Limiter == nil {
		c.Limiter = core.NewMemoryLimiter(c.Clock)
	}
	if err := c.Options.SetDefaults(); err != nil {
		return nil, err
	}
	return &Service{c}, nil
}

// New is what Create takes.
type New struct {
	Rating int    `json:"rating" validate:"required,min=1,max=5"`
	Text   string `json:"text,omitempty" validate:"max=10000,text"` // plain text; may be empty
	Key    string `json:"-"`                                        // idempotency: the same Key, course and input give the same review
}

// Change is what Edit takes: what is nil stays.
type Change struct {
	Rating    *int    `json:"rating,omitempty" validate:"omitnil,min=1,max=5"`
	Text      *string `json:"text,omitempty" validate:"omitnil,max=10000,text"`
	IfVersion int64   `json:"-"`
}

// Decision is what an admin decides.
type Decision struct {
	Action    Action `json:"action" validate:"required,oneof=approve hide reject"`
	Reason    string `json:"reason,omitempty" validate:"required_unless=Action approve,max=2000,text"`
	IfVersion int64  `json:"-"`
}

// NewReport is what Report takes.
type NewReport struct {
	Reason AbuseReason `json:"reason" validate:"required,oneof=spam offensive off_topic fake private other"`
	Note   string      `json:"note,omitempty" validate:"max=2000,text"`
}

// NewText is what Comment and SetReply take.
type NewText struct {
	Text string `json:"text" validate:"required,text"`
	Key  string `json:"-"` // idempotency of a comment
}

// Page is one page of a list.
type Page[T any] = core.PageOf[T]
