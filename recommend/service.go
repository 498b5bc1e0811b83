package recommend

import (
	"cmp"
	"context"
	"hash/fnv"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// Courses is what recommendations ask courses for.
type Courses interface {
	// Ref returns a course by its slug, or an old one, or fails with
	// courses.ErrCourseNotFound where the actor does not see it.
	Ref(ctx context.Context, by core.Actor, slug string) (courses.Ref, error)
	// Refs returns those of the courses that exist.
	Refs(ctx context.Context, by core.Actor, ids []courses.CourseID) (map[courses.CourseID]courses.Ref, error)
	// ByID returns those of the courses that exist, as the actor sees them.
	ByID(ctx context.Context, by core.Actor, ids []courses.CourseID) (map[courses.CourseID]courses.Seen, error)
	// CategoriesByID returns those of the categories that exist.
	CategoriesByID(ctx context.Context, ids []courses.CategoryID) (map[courses.CategoryID]courses.Category, error)
	// Audience returns what the actor takes and teaches.
	Audience(ctx context.Context, by core.Actor) (courses.Audience, error)
	// Learner returns what a user is to a course.
	Learner(ctx context.Context, course courses.CourseID, user core.UserID) (courses.Learner, error)
	// List returns a page of courses; popular ones are served while there is no model.
	List(ctx context.Context, by core.Actor, filter courses.Filter, sort courses.Sort, page core.Page) (courses.Page[courses.Result], error)
}

// Catalogue is what models are told of courses.
type Catalogue interface {
	Source
	// Item returns a course, and false where it is not there or was never published.
	Item(ctx context.Context, id courses.CourseID) (Item, bool, error)
	// Newest returns the latest courses that are published, at most core.MaxLimit.
	Newest(ctx context.Context) ([]Item, error)
}

// Config is what a Service is made of.
type Config struct {
	Store     Store // nil means that nothing is recorded and trained, and popular courses are recommended
	Courses   Courses
	Catalogue Catalogue
	Limiter   core.Limiter
	Clock     core.Clock
	Options
}

// Options are what an embedder may set of recommendations.
type Options struct {
	// Strategies serve, of which the first is everybody's, or with two of them an A/B test: each learner
	// is always served by the same one. Their names differ. Nil means NewHybrid.
	Strategies []Strategy
	// Share is the percentage of learners who are served by the second of two strategies, 1 to 99.
	// Zero means 50.
	Share int
	// TrainEvery is how often models are trained anew, 1 minute to 30 days. Zero means 6 h.
	TrainEvery time.Duration
	// Diversity is Request.Diversity of what is served, 0 to 1.
	Diversity float64
	// Explore is Request.Explore of what is served.
	Explore bool
	// PerHour is how many interactions and dismissals one may send in an hour, from 1. Zero means 1,000.
	PerHour int
}

// SetDefaults fills in what is not set, and fails with core.ErrInvalid naming what is
// out of its bounds.
func (o *Options) SetDefaults() error {
	o.Share, o.TrainEvery, o.PerHour = cmp.Or(o.Share, 50), cmp.Or(o.TrainEvery, 6*time.Hour), cmp.Or(o.PerHour, 1000)
	if len(o.Strategies) == 0 {
		o.Strategies = []Strategy{NewHybrid(nil)}
	}
	switch {
	case len(o.Strategies) > 2:
		return core.Invalid("Recommend.Strategies", "max", "2", strconv.Itoa(len(o.Strategies)), "at most two strategies are compared")
	case len(o.Strategies) == 2 && o.Strategies[0].Name() == o.Strategies[1].Name():
		return core.Invalid("Recommend.Strategies", "unique", "", o.Strategies[0].Name(), "two strategies have one name")
	case o.Share < 1 || o.Share > 99:
		return core.Invalid("Recommend.Share", "range", "1-99", strconv.Itoa(o.Share), "a share is between 1 and 99 percent")
	case o.TrainEvery < time.Minute || o.TrainEvery > 30*24*time.Hour:
		return core.Invalid("Recommend.TrainEvery", "range", "1m-30d", o.TrainEvery.String(), "1 minute to 30 days are expected")
	case !(o.Diversity >= 0 && o.Diversity <= 1): // nor what is no number
		return core.Invalid("Recommend.Diversity", "range", "0-1", strconv.FormatFloat(o.Diversity, 'g', -1, 64), "a number from 0 to 1 is expected")
	case o.PerHour < 1:
		return core.Invalid("Recommend.PerHour", "min", "1", strconv.Itoa(o.PerHour), "at least one an hour is expected")
	}
	return nil
}

// Bounds of what is looked at of one learner, the latest first.
const (
	MaxHistoryRead = 1000 // records of interactions
	MaxDismissed   = 1000 // courses
)

// EventTraining is the type of the event by which an admin asks for a training.
const EventTraining = "recommend.training_requested"

// Errors of the Service.
var (
	// ErrNotSetUp says that the platform keeps no interactions.
	ErrNotSetUp = &core.Error{Kind: core.KindUnavailable, Code: "recommend.not_set_up", Message: "this platform records no interactions"}
	// ErrTooMany is returned for more interactions than Options.PerHour.
	ErrTooMany = &core.Error{Kind: core.KindRateLimited, Code: "recommend.too_many", Message: "too many interactions: come back later"}
	// ErrTooManyDismissed is returned for one more than MaxDismissed.
	ErrTooManyDismissed = &core.Error{Kind: core.KindFailedPrecondition, Code: "recommend.too_many_dismissed", Message: "there is no room for one more dismissed course"}
)

// arm is a strategy with its model.
type arm struct {
	strategy Strategy
	live     Live
	kept     uuid.UUID // the kept model that was read last, or that was refused
	began    time.Time // when the training of the model that serves began
}

// Service serves recommendations and keeps what learners do. It is safe for concurrent use.
//
// Courses are named by slug. One that the actor does not see is courses.ErrCourseNotFound.
// Who must be signed in and is not gets core.ErrUnauthenticated.
type Service struct {
	c    Config
	arms []*arm
	// joined is set inside a host's transaction, which may be rolled back: models are told of nothing there.
	joined bool

	mu        sync.Mutex // of Refresh, and of kept and began of the arms
	refreshed time.Time
}

// NewService returns a Service. Courses, Catalogue, Limiter and Clock are required. It fails
// as Options.SetDefaults does.
func NewService(c Config) (*Service, error) {
	if err := c.SetDefaults(); err != nil {
		return nil, err
	}
	s := &Service{c: c}
	for _, strategy := range c.Strategies {
		s.arms = append(s.arms, &arm{strategy: strategy})
	}
	return s, nil
}

// In returns the service over another store and other courses, with the same models: for
// calls inside a transaction. The models are told of nothing; the next training knows.
func (s *Service) In(store Store, in Courses) *Service {
	c := s.c
	c.Store, c.Courses = store, in
	return &Service{c: c, arms: s.arms, joined: true}
}

// armOf returns what serves a learner: always the same, whatever the machine.
func (s *Service) armOf(user core.UserID) *arm {
	if len(s.arms) == 1 || user == 0 {
		return s.arms[0]
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(s.arms[0].strategy.Name() + "/" + s.arms[1].strategy.Name() + "/" + strconv.FormatInt(int64(user), 10)))
	if int(h.Sum32()%100) < s.c.Share {
		return s.arms[1]
	}
	return s.arms[0]
}

// Variant returns the name of the strategy that serves a learner.
func (s *Service) Variant(user core.UserID) string { return s.armOf(user).strategy.Name() }

// signedIn refuses nobody, and the operator, who learns nothing.
func signedIn(by core.Actor) error {
	switch {
	case by.IsAnonymous():
		return core.ErrUnauthenticated
	case by.UserID < 0:
		return core.ErrForbidden
	}
	return nil
}
