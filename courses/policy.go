package courses

import (
	"context"
	"slices"

	"github.com/ustat/ustat/core"
)

// scope is whose courses an actor may change, and so see whatever their status.
// All that is seen is asked of it: one course, lists, counts, search.
type scope struct {
	all      bool
	teachers []core.UserID // in order; not looked at when all is set
	user     core.UserID
	seat     CourseID // the course that was asked for, where the user holds a seat in it
}

// scope returns what the actor may change: an admin everything, who has at least the
// role of a teacher their own courses, a producer also those of the teachers linked
// to them (for which a producer costs one statement).
func (s *Service) scope(ctx context.Context, by core.Actor) (scope, error) {
	switch {
	case by.IsAdmin():
		return scope{all: true, user: by.UserID}, nil
	case by.IsAnonymous() || by.Role.Rank() < core.Teacher.Rank():
		return scope{user: by.UserID}, nil
	case by.Role != core.Producer || s.producers == nil:
		return scope{teachers: []core.UserID{by.UserID}, user: by.UserID}, nil
	}
	linked, err := s.producers.TeacherIDs(ctx, by.UserID)
	if err != nil {
		return scope{}, err
	}
	teachers := append(slices.Clone(linked), by.UserID)
	slices.Sort(teachers) // a cursor is bound to them
	return scope{teachers: slices.Compact(teachers), user: by.UserID}, nil
}

// edits reports whether the courses of a teacher may be changed.
func (s scope) edits(teacher core.UserID) bool {
	return s.all || slices.Contains(s.teachers, teacher)
}

// sees reports whether a course is there for the actor at all: a published one, one
// that they may change, and one in which they hold a seat: it was published once, and
// stays open to its learners when it is archived, or made a draft again.
func (s scope) sees(c *Course) bool {
	return c.Status == Published || s.edits(c.Teacher.ID) || s.seat == c.ID
}

// shown brings the texts of a course that is seen under the present policy, and takes
// away what is for its editors alone.
func (s scope) shown(c *Course) {
	if c.refresh(); !s.edits(c.Teacher.ID) {
		c.Rejection = ""
	}
}

// with returns the scope of somebody who is a learner of a course.
func (s scope) with(l Learner) scope {
	if s.seat = 0; l.Enrollment.Status.Seated() {
		s.seat = l.Enrollment.Course
	}
	return s
}

// teachersOf returns whose courses of a status are seen, or may be changed: nil is
// everyone's, an empty list is nobody's. To them come the courses in which the user
// seated holds a seat. It is sees, or edits, said as a filter.
func (s scope) teachersOf(status Status, editable bool) (teachers []core.UserID, seated core.UserID) {
	if s.all || status == Published && !editable {
		return nil, 0
	}
	if !editable {
		seated = s.user
	}
	return append([]core.UserID{}, s.teachers...), seated
}

// owns reports whether a user runs the courses of a teacher, in which they do not
// enroll: their own, and as a producer those of linked teachers.
func (s scope) owns(teacher core.UserID) bool {
	return s.user == teacher || !s.all && s.edits(teacher)
}

// right is what an operation on a course asks for, beyond seeing it.
type right uint8

const (
	toEdit   right = iota // the teacher, their producers, admins
	toReview              // admins
)

// may returns nil when the actor has a right on a course. A course that is not seen
// is ErrCourseNotFound; one that is, core.ErrUnauthenticated for nobody signed in
// and core.ErrForbidden for others.
func (s scope) may(by core.Actor, c *Course, want right) error {
	switch {
	case !s.sees(c):
		return ErrCourseNotFound
	case by.IsAnonymous():
		return core.ErrUnauthenticated
	case want == toReview && !by.IsAdmin(), !s.edits(c.Teacher.ID):
		return core.ErrForbidden
	}
	return nil
}

// audited reports whether a change by the actor leaves a row in the audit log even
// where the operation itself is not a privileged one.
func audited(by core.Actor, c *Course) bool { return by.UserID != c.Teacher.ID }
