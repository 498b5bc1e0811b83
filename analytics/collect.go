package analytics

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// The errors of what clients send.
var (
	// ErrServerOnly refuses an event of a type that only the services themselves report.
	ErrServerOnly = &core.Error{Kind: core.KindInvalid, Code: "analytics.server_only", Message: "events of this type are not taken from clients"}
	// ErrTooManyCalls is returned when somebody sends more often than they may.
	ErrTooManyCalls = &core.Error{Kind: core.KindRateLimited, Code: "analytics.too_many_calls", Message: "events are sent too often: send more of them at once"}
)

// How often clients may send events, in a minute: a user, and a network with all who are
// in it.
const (
	CallsPerUser    = 120
	CallsPerNetwork = 1200
)

// FromClient is an event as a client sends it, of who is signed in there.
type FromClient struct {
	Event        // without Course, User, Amount and ReceivedAt
	Slug  string // of the course; needed for what is not a search
}

// Collect takes up to MaxTrack events that a client has seen, of the types that clients
// may send, in the name of the actor, who may be nobody. Network is an opaque name of the
// client's network, by which calls are counted: ErrTooManyCalls says how long to wait.
//
// Refused events are in the Result alone, and fail nothing: of another type with
// ErrServerOnly, of a course that the actor does not see with courses.ErrCourseNotFound, of
// a lesson that the course does not have with courses.ErrLessonNotFound. Two statements for
// the courses, one for the lessons, one more for a producer and one for courses that are
// not published.
func (s *Service) Collect(ctx context.Context, by core.Actor, network string, events []FromClient) (Result, error) {
	ctx = core.WithOperation(ctx, "analytics.Collect")
	if err := s.tracks(); err != nil {
		return Result{}, err
	}
	if len(events) > MaxTrack {
		return Result{}, core.Invalid("events", "max", strconv.Itoa(MaxTrack), strconv.Itoa(len(events)), "too many events in one call")
	}
	if err := s.countCall(ctx, by, network); err != nil {
		return Result{}, err
	}
	ids, err := s.seen(ctx, by, events)
	if err != nil {
		return Result{}, err
	}
	lessons, err := s.c.Courses.LessonCourses(ctx, lessonsOf(events))
	if err != nil {
		return Result{}, err
	}
	var refused []Refused
	var taken []Event
	var at []int // of what is taken, in events
	for i, in := range events {
		e := in.Event
		e.User, e.Course, e.Amount = max(by.UserID, 0), ids[in.Slug], core.Money{}
		switch {
		case e.Type.Code() > 0 && !e.Type.FromClients():
			refused = append(refused, Refused{i, ErrServerOnly})
		case e.ID.Version() == 5: // by such the platform names what it has seen itself
			refused = append(refused, Refused{i, core.Invalid("id", "uuid", "", e.ID.String(), "a UUID of version 4 or 7 is expected")})
		case in.Slug != "" && e.Course == 0:
			refused = append(refused, Refused{i, courses.ErrCourseNotFound})
		case e.Lesson != 0 && lessons[e.Lesson] != e.Course:
			refused = append(refused, Refused{i, courses.ErrLessonNotFound})
		default:
			taken, at = append(taken, e), append(at, i)
		}
	}
	result, _ := s.c.Router.Track(ctx, Durable, taken...) // what is refused is in the result
	for _, r := range result.Refused {
		refused = append(refused, Refused{at[r.Index], r.Err})
	}
	result.Refused = refused
	return result, nil
}

// lessonsOf returns the lessons of events, each once.
func lessonsOf(events []FromClient) []courses.LessonID {
	known := map[courses.LessonID]bool{}
	for _, e := range events {
		if e.Lesson > 0 {
			known[e.Lesson] = true
		}
	}
	return slices.Collect(maps.Keys(known))
}

// countCall counts a call, or fails with ErrTooManyCalls.
func (s *Service) countCall(ctx context.Context, by core.Actor, network string) error {
	limits := []core.Limit{{Key: "analytics/network/" + network, Count: CallsPerNetwork, Per: time.Minute}}
	if !by.IsAnonymous() {
		limits = append(limits, core.Limit{Key: "analytics/user/" + strconv.FormatInt(int64(by.UserID), 10), Count: CallsPerUser, Per: time.Minute})
	}
	wait, err := s.c.Limiter.Take(ctx, limits...)
	if err == nil && wait > 0 {
		err = ErrTooManyCalls.After(wait)
	}
	return err
}

// seen returns the courses of events that the actor sees, by slug.
func (s *Service) seen(ctx context.Context, by core.Actor, events []FromClient) (map[string]courses.CourseID, error) {
	known := map[string]bool{}
	var slugs []string
	for _, e := range events {
		if core.IsSlug(e.Slug) && !known[e.Slug] {
			known[e.Slug] = true
			slugs = append(slugs, e.Slug)
		}
	}
	if len(slugs) == 0 {
		return nil, nil
	}
	ids, err := s.c.Courses.CourseIDs(ctx, slugs)
	if err != nil {
		return nil, err
	}
	refs, err := s.c.Courses.Refs(ctx, by, slices.Collect(maps.Values(ids)))
	maps.DeleteFunc(ids, func(_ string, id courses.CourseID) bool { return !refs[id].Visible })
	return ids, err
}
