package courses

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"github.com/ustat/ustat/core"
)

// Enroll gives the actor a place in a published course: a seat, or on the waiting
// list where the course is full. Who has one already gets it as it is, so that doing
// it twice is doing it once; who had given it up begins again where they were.
//
// Nobody signed in is core.ErrUnauthenticated; a course of one's own, or as a producer
// of a linked teacher's, is ErrOwnCourse; one that is seen and not published is
// ErrNotOpen to who has no seat in it; one with a price is ErrPaymentRequired without a right to it. With a
// key, the same call again gives what the first one gave.
func (s *Service) Enroll(ctx context.Context, by core.Actor, slug, key string) (Enrollment, error) {
	ctx = core.WithOperation(ctx, "courses.Enroll")
	switch {
	case by.IsAnonymous():
		return Enrollment{}, core.ErrUnauthenticated
	case by.UserID < 0: // the operator is nobody who learns
		return Enrollment{}, core.ErrForbidden
	}
	may, err := s.scope(ctx, by)
	if err != nil {
		return Enrollment{}, err
	}
	var enrolled Enrollment
	err = s.withSeats(ctx, by, slug, func(ctx context.Context, tx Tx, seats *Seats, t trail) (err error) {
		enrolled, err = core.Once(ctx, tx, s.key(by, "courses.enroll", seats.Course, key, nil), func() (Enrollment, error) {
			return s.enroll(ctx, tx, t, may, seats)
		})
		return err
	})
	if err != nil {
		return Enrollment{}, err
	}
	return s.answerEnrollment(ctx, enrolled)
}

func (s *Service) enroll(ctx context.Context, tx Tx, t trail, may scope, seats *Seats) (Enrollment, error) {
	if may.owns(seats.Teacher) {
		return Enrollment{}, ErrOwnCourse
	}
	learner, err := tx.LearnerOf(ctx, seats.Course, t.by.UserID)
	if err != nil {
		return Enrollment{}, err
	}
	e := learner.Enrollment
	switch {
	case !may.with(learner).sees(seats.course()):
		return Enrollment{}, ErrCourseNotFound
	case e.Status.Seated():
		return e, nil
	case seats.Status != Published:
		return Enrollment{}, ErrNotOpen
	case e.Status == Waiting:
		return e, nil
	case seats.Price.Minor > 0 && !learner.Entitled:
		return Enrollment{}, ErrPaymentRequired
	}
	source, paid := SourceFree, core.Money{Currency: seats.Price.Currency}
	if learner.Entitled {
		source, paid = learner.Right.Source, learner.Right.PricePaid
	}
	return s.place(ctx, tx, t, seats, learner, source, paid)
}

// Cancel ends the actor's enrollment in a course, or an admin that of the user named,
// and gives the seat to who has waited longest. The progress is kept, and so is the right
// to the course of who has one: whoever cancels, it shuts nobody out, and the learner may
// enroll again. RefundOrder and Revoke take a right away. Who has paid and still waits for a seat gets the money back: the enrollment is Refunded. One that has
// ended is returned as it is; where there is none it is ErrEnrollmentNotFound, and for
// who may not name another, core.ErrForbidden.
func (s *Service) Cancel(ctx context.Context, by core.Actor, slug, username string) (Enrollment, error) {
	ctx = core.WithOperation(ctx, "courses.Cancel")
	if by.IsAnonymous() {
		return Enrollment{}, core.ErrUnauthenticated
	}
	may, err := s.scope(ctx, by)
	if err != nil {
		return Enrollment{}, err
	}
	user, err := s.learnerNamed(ctx, by, username)
	if err != nil {
		return Enrollment{}, err
	}
	if user != by.UserID && !by.IsAdmin() {
		return Enrollment{}, core.ErrForbidden
	}
	return s.end(ctx, by, may, slug, user, nil)
}

// end cancels the enrollment of a user, after first, where it is given, which may refuse.
func (s *Service) end(ctx context.Context, by core.Actor, may scope, slug string, user core.UserID,
	first func(ctx context.Context, tx Tx, seats *Seats, l *Learner) error,
) (Enrollment, error) {
	var ended Enrollment
	err := s.withSeats(ctx, by, slug, func(ctx context.Context, tx Tx, seats *Seats, t trail) error {
		learner, err := tx.LearnerOf(ctx, seats.Course, user)
		if err != nil {
			return err
		}
		e := learner.Enrollment
		switch {
		case e.ID == 0 && !may.sees(seats.course()):
			return ErrCourseNotFound
		case e.ID == 0:
			return ErrEnrollmentNotFound
		}
		if first != nil {
			if err := first(ctx, tx, seats, &learner); err != nil {
				return err
			}
		}
		if ended = e; e.Status == Cancelled || e.Status == Refunded {
			return nil
		}
		if e.Status == Waiting && learner.Right.Order != uuid.Nil {
			if ended, err = s.giveBack(ctx, tx, t, seats, learner); err != nil || user == by.UserID || seats.Teacher == by.UserID {
				return err
			}
			return t.auditLearning(ctx, tx, EventRefunded, seats.Teacher, &ended)
		}
		// Its lesson may just be completed, which is not under the course's lock.
		if e, err = tx.EnrollmentForUpdate(ctx, e.ID); err != nil {
			return err
		}
		if err := s.unseat(ctx, tx, t, seats, &e, Cancelled); err != nil {
			return err
		}
		if user != by.UserID && seats.Teacher != by.UserID {
			if err := t.auditLearning(ctx, tx, EventCancelled, seats.Teacher, &e); err != nil {
				return err
			}
		}
		ended = e
		return nil
	})
	if err != nil {
		return Enrollment{}, err
	}
	return s.answerEnrollment(ctx, ended)
}

// Grant gives a user a place in a published course whatever its price, as Enroll does.
// Those who may edit the course may. A user who is not there or not active is a
// core.ErrInvalid naming "user", and one who runs the course ErrOwnCourse.
func (s *Service) Grant(ctx context.Context, by core.Actor, slug, username string) (Enrollment, error) {
	ctx = core.WithOperation(ctx, "courses.Grant")
	may, err := s.allowed(ctx, by, slug, toEdit)
	if err != nil {
		return Enrollment{}, err
	}
	bad := new(checks)
	u, err := s.users.UserByUsername(ctx, username)
	switch {
	case core.KindOf(err) == core.KindNotFound:
		bad.unknown("user", username, "user")
	case err != nil:
		return Enrollment{}, err
	case !u.Active:
		bad.add("user", "active", "", username, "this user is not active")
	}
	if err := bad.err(); err != nil {
		return Enrollment{}, err
	}
	theirs, err := s.scope(ctx, core.Actor{UserID: u.ID, Role: u.Role})
	if err != nil {
		return Enrollment{}, err
	}
	var granted Enrollment
	err = s.withSeats(ctx, by, slug, func(ctx context.Context, tx Tx, seats *Seats, t trail) error {
		switch {
		case !may.edits(seats.Teacher): // since it was asked
			return core.ErrForbidden
		case seats.Status != Published:
			return ErrNotOpen
		case theirs.owns(seats.Teacher):
			return ErrOwnCourse
		}
		granted, err = s.grant(ctx, tx, t, seats, u.ID)
		if err == nil && by.UserID != seats.Teacher {
			err = t.auditLearning(ctx, tx, "courses.granted", seats.Teacher, &granted)
		}
		return err
	})
	if err != nil {
		return Enrollment{}, err
	}
	return s.answerEnrollment(ctx, granted)
}

// grant gives a user a place, and where they have none the right to it.
func (s *Service) grant(ctx context.Context, tx Tx, t trail, seats *Seats, user core.UserID) (Enrollment, error) {
	learner, err := tx.LearnerOf(ctx, seats.Course, user)
	if err != nil {
		return Enrollment{}, err
	}
	right := learner.Right
	if !learner.Entitled {
		right = Entitlement{
			Course: seats.Course, User: user, Source: SourceGrant, PricePaid: core.Money{Currency: seats.Price.Currency}, By: t.by.UserID, At: t.at,
		}
		if learner.Enrollment.Status.Seated() {
			return learner.Enrollment, nil
		}
		if err := tx.SetEntitlement(ctx, right); err != nil {
			return Enrollment{}, err
		}
	}
	return s.place(ctx, tx, t, seats, learner, right.Source, right.PricePaid)
}

// Revoke takes back what Grant gave, as Cancel does. Those who may edit the course
// may. An enrollment of another source is ErrEnrollmentNotFound.
func (s *Service) Revoke(ctx context.Context, by core.Actor, slug, username string) (Enrollment, error) {
	ctx = core.WithOperation(ctx, "courses.Revoke")
	may, err := s.allowed(ctx, by, slug, toEdit)
	if err != nil {
		return Enrollment{}, err
	}
	u, err := s.users.UserByUsername(ctx, username)
	if core.KindOf(err) == core.KindNotFound {
		err = ErrEnrollmentNotFound
	}
	if err != nil {
		return Enrollment{}, err
	}
	return s.end(ctx, by, may, slug, u.ID, func(ctx context.Context, tx Tx, seats *Seats, l *Learner) error {
		switch {
		case !may.edits(seats.Teacher):
			return core.ErrForbidden
		case l.Enrollment.Source != SourceGrant:
			return ErrEnrollmentNotFound
		case l.Right.Source != SourceGrant:
			return nil
		}
		_, err := tx.DeleteEntitlement(ctx, seats.Course, l.User)
		return err
	})
}

// learnerNamed returns the user of a name; an empty one is the actor.
func (s *Service) learnerNamed(ctx context.Context, by core.Actor, username string) (core.UserID, error) {
	if username == "" {
		return by.UserID, nil
	}
	u, err := s.users.UserByUsername(ctx, username)
	if core.KindOf(err) == core.KindNotFound {
		if !by.IsAdmin() { // who is not even told whether there is one
			return 0, core.ErrForbidden
		}
		return 0, core.Invalid("user", "unknown", "", username, "there is no such user")
	}
	return u.ID, err
}

// answerEnrollment names the learner of an enrollment that has just been committed, as
// answer does the teacher of a course.
func (s *Service) answerEnrollment(ctx context.Context, e Enrollment) (Enrollment, error) {
	list := []Enrollment{e}
	if err := s.nameLearners(context.WithoutCancel(ctx), list); err != nil {
		return Enrollment{}, core.ErrOutcomeUnknown.Because(err)
	}
	return list[0], nil
}

// nameLearners fills the usernames of enrollments by one statement.
func (s *Service) nameLearners(ctx context.Context, list []Enrollment) error {
	return nameUsers(ctx, s, list, func(e *Enrollment) (core.UserID, *string) { return e.User, &e.Username })
}

// nameUsers fills the username that belongs to each of a list by one statement.
func nameUsers[T any](ctx context.Context, s *Service, list []T, of func(*T) (core.UserID, *string)) error {
	ids := make([]core.UserID, len(list))
	for i := range list {
		ids[i], _ = of(&list[i])
	}
	names, err := s.usernames(ctx, ids)
	if err != nil {
		return err
	}
	for i := range list {
		id, name := of(&list[i])
		*name = names[id]
	}
	return nil
}

// usernames returns the usernames of users, in any order and repeated, by one statement.
func (s *Service) usernames(ctx context.Context, ids []core.UserID) (map[core.UserID]string, error) {
	slices.Sort(ids)
	found, err := s.users.NamesByID(ctx, slices.Compact(ids))
	names := make(map[core.UserID]string, len(found))
	for _, u := range found {
		names[u.ID] = u.Username
	}
	return names, err
}
