package courses

import (
	"context"
	"time"

	"github.com/ustat/ustat/core"
)

// lock says of lessons of one course when they open to a visitor, and takes away the
// content of those that are closed to them, with the reasons. Who may edit the course
// reads all, and all read the free previews. It needs no statement, and one where the
// course has prerequisites, besides those of Config.Gates.
func (s *Service) lock(ctx context.Context, may scope, v Visit, lessons []Lesson) error {
	edits := may.edits(v.Course.Teacher.ID)
	var gated []Lesson
	var places []int
	for i := range lessons {
		l := &lessons[i]
		l.refresh()
		if l.Opens = l.OpensAt; edits {
			continue
		}
		l.Opens = l.opensTo(&v.Learner)
		if !l.FreePreview {
			gated, places = append(gated, *l), append(places, i)
		}
	}
	if len(gated) == 0 {
		return nil
	}
	for _, gate := range s.gates {
		closed, err := gate.Closed(ctx, v, gated)
		if err != nil {
			return err
		}
		if len(closed) != len(gated) {
			return core.ErrInternal.Withf("a gate was asked about %d lessons and answered for %d", len(gated), len(closed))
		}
		for i, reasons := range closed {
			lessons[places[i]].Reasons = append(lessons[places[i]].Reasons, reasons...)
		}
	}
	for _, i := range places {
		if l := &lessons[i]; len(l.Reasons) > 0 {
			l.Content, l.Locked = "", true
		}
	}
	return nil
}

// opensTo returns when a lesson opens to a learner, as far as that is known, at most
// core.LastTime.
func (l *Lesson) opensTo(learner *Learner) time.Time {
	at := l.OpensAt
	if e := learner.Enrollment; l.OpensAfterDays > 0 && e.Status.Seated() {
		if later := e.EnrolledAt.Add(time.Duration(l.OpensAfterDays) * 24 * time.Hour); later.After(at) {
			at = later
		}
	}
	if at.After(core.LastTime) {
		at = core.LastTime
	}
	return at
}

// all returns the same reasons for every lesson.
func all(lessons []Lesson, reasons ...string) [][]string {
	closed := make([][]string, len(lessons))
	for i := range closed {
		closed[i] = reasons
	}
	return closed
}

// enrollmentGate is open to those who hold a seat.
type enrollmentGate struct{}

// Closed implements Gate.
func (enrollmentGate) Closed(_ context.Context, v Visit, lessons []Lesson) ([][]string, error) {
	switch {
	case v.Learner.Enrollment.Status.Seated():
		return all(lessons), nil
	case v.Course.Price.Minor > 0 && !v.Learner.Entitled:
		return all(lessons, ReasonEnrollment, ReasonPayment), nil
	}
	return all(lessons, ReasonEnrollment), nil
}

// dripGate keeps a lesson closed until it opens.
type dripGate struct{ clock core.Clock }

// Closed implements Gate.
func (g dripGate) Closed(_ context.Context, _ Visit, lessons []Lesson) ([][]string, error) {
	closed, now := all(lessons), g.clock.Now()
	for i := range lessons {
		if lessons[i].Opens.After(now) {
			closed[i] = []string{ReasonNotYet}
		}
	}
	return closed, nil
}

// prerequisiteGate is open to those who have completed what comes before a course.
type prerequisiteGate struct{ store Store }

// Closed implements Gate.
func (g prerequisiteGate) Closed(ctx context.Context, v Visit, lessons []Lesson) ([][]string, error) {
	if v.Course.PrerequisiteCount == 0 {
		return all(lessons), nil
	}
	if v.Learner.User != 0 {
		unmet, err := g.store.Unmet(ctx, v.Course.ID, v.Learner.User)
		if err != nil {
			return nil, err
		}
		if len(unmet) == 0 {
			return all(lessons), nil
		}
	}
	return all(lessons, ReasonPrerequisites), nil
}
