package analytics

import (
	"context"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// Courses is what analytics ask courses for.
type Courses interface {
	// Ref returns a course by its slug, or an old one, or fails with
	// courses.ErrCourseNotFound where the actor does not see it.
	Ref(ctx context.Context, by core.Actor, slug string) (courses.Ref, error)
	// Refs returns those of the courses that exist, also what the actor does not see.
	Refs(ctx context.Context, by core.Actor, ids []courses.CourseID) (map[courses.CourseID]courses.Ref, error)
	// Taught returns up to limit courses whose analytics an actor may read.
	Taught(ctx context.Context, by core.Actor, teacher core.UserID, limit int) ([]courses.Ref, error)
	// CourseIDs returns the ids of those of the slugs that exist.
	CourseIDs(ctx context.Context, slugs []string) (map[string]courses.CourseID, error)
	// LessonCourses returns the courses of those of the lessons that exist.
	LessonCourses(ctx context.Context, ids []courses.LessonID) (map[courses.LessonID]courses.CourseID, error)
	// ReviewNumbers returns the numbers that courses are listed with.
	ReviewNumbers(ctx context.Context, ids []courses.CourseID) (map[courses.CourseID]courses.ReviewNumbers, error)
}

// Users is what analytics ask accounts for.
type Users interface {
	// User returns a user for the user and for admins, and fails for others.
	User(ctx context.Context, by core.Actor, username string) (accounts.User, error)
	// UserByUsername returns a user by username, or fails with accounts.ErrUserNotFound.
	UserByUsername(ctx context.Context, username string) (accounts.User, error)
}

// Config is what a Service is made of.
type Config struct {
	// Router is nil where the platform has no shard: every call fails with ErrNotSetUp.
	Router *Router
	// Joined says that the service is inside a transaction of the main database, in which
	// nothing is tracked: Track and Collect fail with core.ErrCannotJoin.
	Joined  bool
	Courses Courses
	Users   Users
	Cursors *core.Cursors
	// Limiter counts the calls of clients.
	Limiter core.Limiter
	Painter Painter    // nil means no charts
	Clock   core.Clock // nil means the machine's
}

// Service holds the rules of analytics. It is safe for concurrent use.
//
// The analytics of a course are for its teacher, for producers linked to them and for
// admins; those of a user for the user and for admins. A course that the actor does not
// see is courses.ErrCourseNotFound, as if it were not there; one that they see but may
// not edit is core.ErrForbidden, and core.ErrUnauthenticated when nobody is signed in.
// What needs a shard that is away is core.ErrUnavailable.
type Service struct{ c Config }

// ErrNotSetUp is returned by every call where the platform has no shard.
var ErrNotSetUp = &core.Error{Kind: core.KindUnavailable, Code: "analytics.not_set_up", Message: "this platform keeps no analytics: it has no shard for them"}

// NewService returns a Service. Courses, Users, Cursors and Limiter are required.
func NewService(c Config) *Service {
	if c.Clock == nil {
		c.Clock = core.SystemClock{}
	}
	return &Service{c}
}

// Router returns what the service reads from, for who asks nobody's rights: subscribers,
// and what an embedder does by itself. It is nil where the platform has no shard.
func (s *Service) Router() *Router { return s.c.Router }

// Track is Router.Track. It is for the platform itself, and asks nobody's rights.
func (s *Service) Track(ctx context.Context, mode Mode, events ...Event) (Result, error) {
	if err := s.tracks(); err != nil {
		return Result{}, err
	}
	return s.c.Router.Track(ctx, mode, events...)
}

// tracks returns nil where events can be tracked.
func (s *Service) tracks() error {
	switch {
	case s.c.Router == nil:
		return ErrNotSetUp
	case s.c.Joined:
		return core.ErrCannotJoin.Withf("events are tracked after the transaction: analytics is a database of its own")
	}
	return nil
}

// course returns a course whose analytics the actor may read. One statement, one more for
// a producer.
func (s *Service) course(ctx context.Context, by core.Actor, slug string) (courses.Ref, error) {
	if s.c.Router == nil {
		return courses.Ref{}, ErrNotSetUp
	}
	ref, err := s.c.Courses.Ref(ctx, by, slug)
	switch {
	case err != nil:
		return courses.Ref{}, err
	case by.IsAnonymous():
		return courses.Ref{}, core.ErrUnauthenticated
	case !ref.Editable:
		return courses.Ref{}, core.ErrForbidden
	}
	return ref, nil
}
