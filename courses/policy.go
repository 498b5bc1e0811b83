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
}

// scope returns what the actor may change: an admin everything, who has at least the
// role of a teacher their own courses, a producer also those of the teachers linked
// to them (for which a producer costs one statement).
func (s *Service) scope(ctx context.Context, by core.Actor) (scope, error) {
	switch {
	case by.IsAdmin():
		return scope{all: true}, nil
	case by.IsAnonymous() || by.Role.Rank() < core.Teacher.Rank():
		return scope{}, nil
	case by.Role != core.Producer || s.producers == nil:
		return scope{teachers: []core.UserID{by.UserID}}, nil
	}
	linked, err := s.producers.TeacherIDs(ctx, by.UserID)
	if err != nil {
		return scope{}, err
	}
	teachers := append(slices.Clone(linked), by.UserID)
	slices.Sort(teachers) // a cursor is bound to them
	return scope{teachers: slices.Compact(teachers)}, nil
}

// edits reports whether the courses of a teacher may be changed.
func (s scope) edits(teacher core.UserID) bool {
	return s.all || slices.Contains(s.teachers, teacher)
}

// sees reports whether a course is there for the actor at all.
func (s scope) sees(c *Course) bool {
	return c.Status == Published || s.edits(c.Teacher.ID)
}

// teachersOf returns whose courses of a status are seen, or may be changed: nil is
// everyone's, an empty list is nobody's. It is sees, or edits, said as a filter.
func (s scope) teachersOf(status Status, editable bool) []core.UserID {
	if s.all || status == Published && !editable {
		return nil
	}
	return append([]core.UserID{}, s.teachers...)
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

// adminsOnly is the right to categories and tags.
func adminsOnly(by core.Actor) error {
	switch {
	case by.IsAnonymous():
		return core.ErrUnauthenticated
	case !by.IsAdmin():
		return core.ErrForbidden
	}
	return nil
}

// audited reports whether a change by the actor leaves a row in the audit log even
// where the operation itself is not a privileged one.
func audited(by core.Actor, c *Course) bool { return by.UserID != c.Teacher.ID }
