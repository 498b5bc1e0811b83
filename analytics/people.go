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

// User returns what a user has done, for the user and for admins.
func (s *Service) User(ctx context.Context, by core.Actor, username string) (UserReport, error) {
	ctx = core.WithOperation(ctx, "analytics.User")
	user, err := s.user(ctx, by, username)
	if err != nil {
		return UserReport{}, err
	}
	return s.c.Router.User(ctx, user)
}

// MaxDays is how many days of a user are returned at once.
const MaxDays = 366

// Activity returns the days of UTC on which a user has done something, from the one with
// from in it to the last that begins before to, for the user and for admins. It fails with
// core.ErrInvalid for more than MaxDays.
func (s *Service) Activity(ctx context.Context, by core.Actor, username string, from, to time.Time) (UserActivity, error) {
	ctx = core.WithOperation(ctx, "analytics.Activity")
	if err := checkSpan(from, to, s.c.Clock.Now()); err != nil {
		return UserActivity{}, err
	}
	first, last := from.Unix()/86400, to.Add(-time.Microsecond).Unix()/86400
	if last-first >= MaxDays {
		return UserActivity{}, core.Invalid("to", "max", strconv.Itoa(MaxDays)+" days", to.UTC().Format(time.RFC3339), "the span is too long")
	}
	user, err := s.user(ctx, by, username)
	if err != nil {
		return UserActivity{}, err
	}
	return s.c.Router.UserDays(ctx, user, first, last)
}

func (s *Service) user(ctx context.Context, by core.Actor, username string) (core.UserID, error) {
	if s.c.Router == nil {
		return 0, ErrNotSetUp
	}
	u, err := s.c.Users.User(ctx, by, username)
	return u.ID, err
}

// Events returns a page of the raw events of a course, the latest first, for admins.
func (s *Service) Events(ctx context.Context, by core.Actor, slug string, page core.Page) (core.PageOf[Event], error) {
	ctx = core.WithOperation(ctx, "analytics.Events")
	if err := by.RequireAdmin(); err != nil {
		return core.PageOf[Event]{}, err
	}
	ref, err := s.course(ctx, by, slug)
	if err != nil {
		return core.PageOf[Event]{}, err
	}
	key := Key(ref.ID)
	return core.ReadPage(s.c.Cursors, "analytics.Events/"+strconv.FormatInt(int64(key), 10), page,
		func(before *EventPosition, limit int) ([]Event, error) {
			return s.c.Router.Events(ctx, key, before, limit)
		},
		func(e Event) *EventPosition { return &EventPosition{e.OccurredAt, e.ID} })
}

// ErrServerOnly refuses an event of a type that only the services themselves report.
var ErrServerOnly = &core.Error{Kind: core.KindInvalid, Code: "analytics.server_only", Message: "events of this type are not taken from clients"}

// FromClient is an event as a client sends it, of who is signed in there.
type FromClient struct {
	Event        // without Course, User, Amount and ReceivedAt
	Slug  string // of the course; needed for what is not a search
}

// Collect takes up to MaxTrack events that a client has seen, of the types that clients
// may send, in the name of the actor, who may be nobody. Refused ones are in the Result
// alone, and fail nothing: of another type with ErrServerOnly, of a course that there is
// not with courses.ErrCourseNotFound. Two
// statements for the courses, one more for a producer.
func (s *Service) Collect(ctx context.Context, by core.Actor, events []FromClient) (Result, error) {
	ctx = core.WithOperation(ctx, "analytics.Collect")
	if err := s.tracks(); err != nil {
		return Result{}, err
	}
	if len(events) > MaxTrack {
		return Result{}, core.Invalid("events", "max", strconv.Itoa(MaxTrack), strconv.Itoa(len(events)), "too many events in one call")
	}
	ids, err := s.seen(ctx, by, events)
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
		case in.Slug != "" && e.Course == 0:
			refused = append(refused, Refused{i, courses.ErrCourseNotFound})
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

// Recount counts a course anew and returns what differed; with repair it is replaced. For
// admins. See ShardWriter.Recount.
func (s *Service) Recount(ctx context.Context, by core.Actor, slug string, repair bool) (Recounted, error) {
	ctx = core.WithOperation(ctx, "analytics.Recount")
	if err := by.RequireAdmin(); err != nil {
		return Recounted{}, err
	}
	ref, err := s.course(ctx, by, slug)
	if err != nil {
		return Recounted{}, err
	}
	return s.c.Router.Recount(ctx, Key(ref.ID), repair)
}
