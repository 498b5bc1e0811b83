package courses

import (
	"context"
	"time"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/internal/fault"
)

// What is in this file runs in an Update that holds the course's lock, which
// SeatsForUpdate takes, so that those who come for a seat take turns.

// seat gives a user a place in a course: a seat, or where none is free one on the
// waiting list. An enrollment that is seated is returned as it is; one that waits
// keeps its place, for what it is paid now; one that had ended begins again, with its
// progress. Whether the user may, and whether the course is open, is the caller's to
// know.
func (s *Service) seat(ctx context.Context, tx Tx, t trail, seats *Seats, user core.UserID, source Source, paid core.Money) (Enrollment, error) {
	learner, err := tx.LearnerOf(ctx, seats.Course, user)
	if err != nil {
		return Enrollment{}, err
	}
	return s.place(ctx, tx, t, seats, learner, source, paid)
}

// place is seat for who has read what the user is to the course.
func (s *Service) place(ctx context.Context, tx Tx, t trail, seats *Seats, learner Learner, source Source, paid core.Money) (Enrollment, error) {
	e := learner.Enrollment
	waits := e.Status == Waiting
	if e.Status.Seated() || waits && e.Source == source && e.PricePaid == paid {
		return e, nil
	}
	e.Course, e.User, e.Source, e.PricePaid = seats.Course, learner.User, source, paid
	event := EventEnrolled
	if !waits {
		e.Status, e.EnrolledAt, e.EndedAt = seatedStatus(&e), t.at, time.Time{}
		if seats.Full() {
			e.Status, event = Waiting, EventWaitlisted
		}
	}
	if e.ID == 0 { // not who leaves and comes again
		seats.Trend = s.trending.heat(s.trending.EnrollmentWeight, t.at).On(seats.Trend)
	}
	e, err := put(ctx, tx, seats, e)
	switch {
	case err != nil:
		return e, err
	case waits: // a seat may be free that only who has a right is given
		seats.Waiting = max(seats.Waiting, 1)
		if err := s.promote(ctx, tx, t, seats); err != nil {
			return e, err
		}
		return tx.EnrollmentByID(ctx, e.ID)
	}
	if e.Status == Waiting {
		seats.Waiting++
	} else {
		seats.Taken++
	}
	return e, tx.Emit(ctx, t.learned(event, seats.Teacher, &e, 0))
}

// seatedStatus returns the status of an enrollment that has a seat.
func seatedStatus(e *Enrollment) EnrollmentStatus {
	if e.CompletedAt.IsZero() {
		return Active
	}
	return Completed
}

// put adds or writes an enrollment and returns it as it is stored.
func put(ctx context.Context, tx Tx, seats *Seats, e Enrollment) (Enrollment, error) {
	added := e.ID == 0
	if added { // then nothing is done yet, and all else is known
		var err error
		if e, err = tx.AddEnrollment(ctx, e, seats.Trend); err != nil {
			return e, err
		}
		e.Slug, e.Title, e.Lessons = seats.Slug, seats.Title, seats.Lessons
	} else if err := tx.UpdateEnrollments(ctx, []Enrollment{e}); err != nil {
		return e, err
	}
	if err := fault.Hit("courses.seat.after_write"); err != nil || added {
		return e, err
	}
	return tx.EnrollmentByID(ctx, e.ID)
}

// unseat ends an enrollment, with the status Cancelled or Refunded, and gives the seat
// to who has waited longest. One that has ended only changes its status.
func (s *Service) unseat(ctx context.Context, tx Tx, t trail, seats *Seats, e *Enrollment, status EnrollmentStatus) error {
	if e.Status == status {
		return nil
	}
	was := e.Status
	if e.Status = status; e.EndedAt.IsZero() {
		e.EndedAt = t.at
	}
	if err := tx.UpdateEnrollments(ctx, []Enrollment{*e}); err != nil {
		return err
	}
	e.Version++
	if err := fault.Hit("courses.unseat.after_write"); err != nil {
		return err
	}
	event := EventCancelled
	if status == Refunded {
		event = EventRefunded
	}
	if err := tx.Emit(ctx, t.learned(event, seats.Teacher, e, 0)); err != nil {
		return err
	}
	switch {
	case was == Waiting:
		seats.Waiting--
	case was.Seated():
		seats.Taken--
		return s.promote(ctx, tx, t, seats)
	}
	return nil
}

// promote gives the free seats of a published course to those who wait for one. Who came
// while it cost nothing, and has no right to it now that it does, keeps waiting.
func (s *Service) promote(ctx context.Context, tx Tx, t trail, seats *Seats) error {
	n := seats.Waiting
	if seats.Capacity > 0 {
		n = min(n, seats.Capacity-seats.Taken)
	}
	if n <= 0 || seats.Status != Published {
		return nil
	}
	promoted, err := tx.Promote(ctx, seats.Course, n, seats.Price.Minor > 0, t.at)
	if err != nil {
		return err
	}
	if err := fault.Hit("courses.promote.after_write"); err != nil {
		return err
	}
	seats.Taken, seats.Waiting = seats.Taken+len(promoted), seats.Waiting-len(promoted)
	events := make([]core.Event, len(promoted))
	for i := range promoted {
		events[i] = t.learned(EventPromoted, seats.Teacher, &promoted[i], 0)
	}
	return tx.Emit(ctx, events...)
}

// fill gives the free seats of a course that is about to be written, with its status,
// capacity and price, to those who wait for one. The slug is the one that is stored.
func (s *Service) fill(ctx context.Context, tx Tx, t trail, slug string, c *Course) error {
	seats, err := tx.SeatsForUpdate(ctx, slug)
	if err != nil {
		return err
	}
	seats.Status, seats.Capacity, seats.Price = c.Status, c.Capacity, c.Price
	return s.promote(ctx, tx, t, &seats)
}

// course returns as much of the course as decides who sees it.
func (s *Seats) course() *Course {
	return &Course{ID: s.Course, Status: s.Status, Teacher: Teacher{ID: s.Teacher}}
}

// withSeats runs fn under the lock of a course.
func (s *Service) withSeats(ctx context.Context, by core.Actor, slug string, fn func(ctx context.Context, tx Tx, seats *Seats, t trail) error) error {
	return s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		seats, err := tx.SeatsForUpdate(ctx, slug)
		if err != nil {
			return err
		}
		// The time is of when the lock is held, so that the waiting list is in the order
		// in which they came to it.
		return fn(ctx, tx, &seats, s.trail(by))
	})
}
