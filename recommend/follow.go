package recommend

import (
	"context"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// FollowEnrollment makes Start and Complete of a learner and a course what their enrollment
// says now, whatever event made somebody call it, and in whatever order: they count when it
// holds a seat, and one that was cancelled or refunded takes all back that the learner did
// with the course. It looks once more after it has written: of two at once the one that wrote
// last has not read first.
func (s *Service) FollowEnrollment(ctx context.Context, user core.UserID, course courses.CourseID) error {
	ctx = core.WithOperation(ctx, "recommend.FollowEnrollment")
	if s.c.Store == nil {
		return nil
	}
	const looks = 10
	var done courses.Enrollment
	for n := range looks {
		l, err := s.c.Courses.Learner(ctx, course, user)
		if err != nil {
			return err
		}
		now := l.Enrollment
		if n > 0 && now.Status == done.Status && now.EnrolledAt.Equal(done.EnrolledAt) && now.CompletedAt.Equal(done.CompletedAt) {
			return nil
		}
		switch {
		case now.Status.Seated():
			err = s.enrolled(ctx, now)
		case now.Status == courses.Cancelled || now.Status == courses.Refunded:
			err = s.withdrawn(ctx, user, course)
		}
		if err != nil {
			return err
		}
		done = now
	}
	return core.ErrUnavailable.Withf("the enrollment changes faster than it can be followed")
}

// enrolled records what an enrollment says.
func (s *Service) enrolled(ctx context.Context, e courses.Enrollment) error {
	refs, err := s.c.Courses.Refs(ctx, accounts.System, []courses.CourseID{e.Course})
	if err != nil {
		return err
	}
	list := []Record{s.derived(e, Start, Moment(e.EnrolledAt), refs[e.Course].Category)}
	if !e.CompletedAt.IsZero() {
		list = append(list, s.derived(e, Complete, Moment(e.CompletedAt), refs[e.Course].Category))
	}
	_, err = s.record(ctx, list...)
	return err
}

// derived returns the record of what an enrollment says, with an id that is made of it.
func (s *Service) derived(e courses.Enrollment, kind Kind, at time.Time, category courses.CategoryID) Record {
	return Record{
		ID:          uuid.NewSHA1(interactions, []byte("enrollment/"+strconv.FormatInt(int64(e.ID), 10)+"/"+kind.String())),
		Interaction: Interaction{User: e.User, Course: e.Course, Kind: kind, At: core.Time(at)},
		Category:    category, Variant: s.Variant(e.User),
	}
}

// withdrawn takes back what a learner did with a course.
func (s *Service) withdrawn(ctx context.Context, user core.UserID, course courses.CourseID) error {
	now := core.Time(s.c.Clock.Now())
	err := s.c.Store.Update(ctx, func(ctx context.Context, tx Tx) error {
		removed, err := tx.RemoveRecords(ctx, user, course)
		if err != nil {
			return err
		}
		if err := tx.Grow(ctx, summed(removed, true)); err != nil {
			return err
		}
		return tx.AddRemoval(ctx, Removal{User: user, Course: course, At: now})
	})
	if err != nil {
		return err
	}
	for _, a := range s.told() {
		a.live.Withdraw(user, course)
	}
	return nil
}

// FollowBookmark records that a learner has marked a course. The id is that of the event
// that tells of it.
func (s *Service) FollowBookmark(ctx context.Context, id uuid.UUID, user core.UserID, course courses.CourseID, at time.Time) error {
	ctx = core.WithOperation(ctx, "recommend.FollowBookmark")
	if s.c.Store == nil {
		return nil
	}
	refs, err := s.c.Courses.Refs(ctx, accounts.System, []courses.CourseID{course})
	if err != nil {
		return err
	}
	ref, there := refs[course]
	if !there {
		return nil // it is deleted
	}
	_, err = s.record(ctx, Record{
		ID: id, Interaction: Interaction{User: user, Course: course, Kind: Bookmark, At: core.Time(at)}, Category: ref.Category, Variant: s.Variant(user),
	})
	return err
}

// FollowCourse tells the models of this process what a course is now.
func (s *Service) FollowCourse(ctx context.Context, id courses.CourseID) error {
	ctx = core.WithOperation(ctx, "recommend.FollowCourse")
	item, there, err := s.c.Catalogue.Item(ctx, id)
	if err != nil {
		return err
	}
	for _, a := range s.told() {
		if !there {
			a.live.Remove(id)
		} else if err := a.live.Put(item); err != nil {
			return err
		}
	}
	return nil
}
