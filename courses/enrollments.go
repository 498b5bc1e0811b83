package courses

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/ustat/ustat/core"
)

// Learner returns what a user is to a course, by one statement. It is for other
// domains, which have asked whether the user may know.
func (s *Service) Learner(ctx context.Context, course CourseID, user core.UserID) (Learner, error) {
	return s.store.LearnerOf(ctx, course, user)
}

// Enrollment returns an enrollment to its learner, to who may edit its course, and to
// admins; for all others it is ErrEnrollmentNotFound. Two statements, and up to three
// more for another's.
func (s *Service) Enrollment(ctx context.Context, by core.Actor, id EnrollmentID) (Enrollment, error) {
	ctx = core.WithOperation(ctx, "courses.Enrollment")
	e, err := s.enrollment(ctx, by, id)
	if err != nil {
		return Enrollment{}, err
	}
	list := []Enrollment{e}
	err = s.nameLearners(ctx, list)
	return list[0], err
}

// enrollment is Enrollment without the username.
func (s *Service) enrollment(ctx context.Context, by core.Actor, id EnrollmentID) (Enrollment, error) {
	if by.IsAnonymous() {
		return Enrollment{}, core.ErrUnauthenticated
	}
	e, err := s.store.EnrollmentByID(ctx, id)
	if err != nil || e.User == by.UserID || by.IsAdmin() {
		return e, err
	}
	may, err := s.scope(ctx, by)
	if err != nil {
		return Enrollment{}, err
	}
	if len(may.teachers) == 0 {
		return Enrollment{}, ErrEnrollmentNotFound
	}
	c, err := s.store.CourseBySlug(ctx, e.Slug)
	if err == nil && !may.edits(c.Teacher.ID) {
		err = ErrEnrollmentNotFound
	}
	return e, err
}

// EnrollmentFilter chooses enrollments. Zero fields do not filter.
type EnrollmentFilter struct {
	// User is a username; empty is the actor, and with a Course that the actor may edit
	// everybody. Admins may name anybody, and who may edit the Course too.
	User   string
	Course string // slug
	Status EnrollmentStatus
}

// Enrollments returns a page of enrollments, the newest first, or those who wait for a
// seat of a Course, who have waited longest first. Two statements, and up to three for
// each of user and course that must be looked up. It fails with core.ErrInvalid naming
// the field for what is not there, core.ErrForbidden for another's, and
// core.ErrCursor.
func (s *Service) Enrollments(ctx context.Context, by core.Actor, f EnrollmentFilter, page core.Page) (Page[Enrollment], error) {
	ctx = core.WithOperation(ctx, "courses.Enrollments")
	q, err := s.planEnrollments(ctx, by, f)
	if err != nil {
		return Page[Enrollment]{}, err
	}
	bound, err := json.Marshal([]any{"enrollments", q.User, q.Course, q.Status})
	if err != nil {
		return Page[Enrollment]{}, core.ErrInternal.Because(err)
	}
	list, err := core.ReadPage(s.cursors, string(bound), page,
		func(after *Position, limit int) ([]Enrollment, error) {
			q.After, q.Limit = after, limit
			return s.store.Enrollments(ctx, q)
		},
		func(e Enrollment) *Position {
			return &Position{Keys: []int64{e.EnrolledAt.UnixMicro()}, ID: int64(e.ID)}
		})
	if err != nil {
		return Page[Enrollment]{}, err
	}
	return list, s.nameLearners(ctx, list.Items)
}

// planEnrollments checks a filter and looks up its names.
func (s *Service) planEnrollments(ctx context.Context, by core.Actor, f EnrollmentFilter) (EnrollmentQuery, error) {
	q := EnrollmentQuery{User: by.UserID, Status: f.Status}
	if by.IsAnonymous() {
		return q, core.ErrUnauthenticated
	}
	if f.Status != "" && !slices.Contains(EnrollmentStatuses[:], f.Status) {
		return q, core.Invalid("status", "oneof", fmt.Sprint(EnrollmentStatuses), string(f.Status), "there is no such status")
	}
	others := by.IsAdmin()
	if f.Course != "" {
		c, may, err := s.visibleCourse(ctx, by, f.Course)
		if core.KindOf(err) == core.KindNotFound {
			err = core.Invalid("course", "unknown", "", f.Course, "there is no such course")
		}
		if err != nil {
			return q, err
		}
		if q.Course = c.ID; may.edits(c.Teacher.ID) {
			q.User, others = 0, true
		}
	}
	if f.User == "" {
		return q, nil
	}
	u, err := s.users.UserByUsername(ctx, f.User)
	switch {
	case core.KindOf(err) == core.KindNotFound && !others:
		return q, core.ErrForbidden // who is not even told whether there is one
	case core.KindOf(err) == core.KindNotFound:
		return q, core.Invalid("user", "unknown", "", f.User, "there is no such user")
	case err != nil:
		return q, err
	case u.ID != by.UserID && !others:
		return q, core.ErrForbidden
	}
	q.User = u.ID
	return q, nil
}

// Reconcile counts the students and completions of all courses anew, repairs what
// differs and returns the ids of those courses, by a fixed number of statements and
// three more a block of what differs.
func (s *Service) Reconcile(ctx context.Context) (changed []CourseID, err error) {
	ctx = core.WithOperation(ctx, "courses.Reconcile")
	err = s.store.Update(ctx, func(ctx context.Context, tx Tx) (err error) {
		changed, err = tx.RecountLearning(ctx, nil)
		return err
	})
	return changed, err
}
