package analytics

import (
	"context"
	"strconv"
	"time"

	"github.com/ustat/ustat/core"
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
// from in it to the last that begins before to, for the user and for admins. A zero to
// is now, a zero from 30 days before to. It fails with core.ErrInvalid for more than
// MaxDays.
func (s *Service) Activity(ctx context.Context, by core.Actor, username string, from, to time.Time) (UserActivity, error) {
	ctx = core.WithOperation(ctx, "analytics.Activity")
	from, to = s.span(from, to, standardDays*day)
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
