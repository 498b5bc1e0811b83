package courses

import (
	"context"

	"github.com/ustat/ustat/core"
)

// Learner returns what a user is to a course, by one statement. It is for other
// domains, which have asked whether the user may know.
func (s *Service) Learner(ctx context.Context, course CourseID, user core.UserID) (Learner, error) {
	return s.store.LearnerOf(ctx, course, user)
}

// Reconcile counts the students and completions of all courses anew, repairs what
// differs and returns the ids of those courses, by a fixed number of statements and
// one more a block of what differs.
func (s *Service) Reconcile(ctx context.Context) (changed []CourseID, err error) {
	ctx = core.WithOperation(ctx, "courses.Reconcile")
	err = s.store.Update(ctx, func(ctx context.Context, tx Tx) (err error) {
		changed, err = tx.RecountLearning(ctx, nil)
		return err
	})
	return changed, err
}
