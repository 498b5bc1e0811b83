package reviews

import (
	"context"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// sees reports whether a review is there for the actor at all. Whatever is read is asked
// of it: one review, lists and counts, of which those of a course have published reviews
// of a course that the actor sees, and one's own are one's own.
func sees(by core.Actor, r *Review, course courses.Ref) bool {
	return by.IsAdmin() || isAuthor(by, r) || r.Status == Published && course.Visible
}

func isAuthor(by core.Actor, r *Review) bool { return !by.IsAnonymous() && r.User == by.UserID }

// teaches reports whether a course is the actor's own.
func teaches(by core.Actor, course courses.Ref) bool {
	return !by.IsAnonymous() && course.Teacher == by.UserID
}

// linked reports whether the actor is a producer of who teaches a course.
func linked(by core.Actor, course courses.Ref) bool {
	return by.Role == core.Producer && course.Editable && !teaches(by, course)
}

// signedIn returns nil for who is signed in.
func signedIn(by core.Actor) error {
	if by.IsAnonymous() {
		return core.ErrUnauthenticated
	}
	return nil
}

// visible returns a review that the actor sees, and what they may do to its course. Two
// statements, one more for a producer.
func (s *Service) visible(ctx context.Context, by core.Actor, id ReviewID) (Review, courses.Ref, error) {
	r, err := s.c.Store.ReviewByID(ctx, id)
	if err != nil {
		return Review{}, courses.Ref{}, err
	}
	refs, err := s.c.Courses.Refs(ctx, by, []courses.CourseID{r.Course})
	if err != nil {
		return Review{}, courses.Ref{}, err
	}
	course := refs[r.Course]
	if !sees(by, &r, course) {
		return Review{}, courses.Ref{}, ErrReviewNotFound
	}
	return r, course, nil
}

// shown is visible for what is done to published reviews by who is signed in: the change
// looks at the status again.
func (s *Service) shown(ctx context.Context, by core.Actor, id ReviewID) (Review, courses.Ref, error) {
	r, course, err := s.visible(ctx, by, id)
	if err == nil {
		err = signedIn(by)
	}
	if err == nil {
		err = isShown(&r)
	}
	return r, course, err
}

func isShown(r *Review) error {
	if r.Status != Published {
		return ErrNotShown
	}
	return nil
}

// masked takes from a review what is not the actor's to see.
func masked(by core.Actor, r *Review) {
	if by.IsAdmin() {
		return
	}
	r.Trust, r.Reports = 0, 0
	if !isAuthor(by, r) {
		r.Reason = ""
	}
}

// obstacles returns why somebody may not write on a course, whatever they have written.
func (s *Service) obstacles(by core.Actor, course courses.Ref, l Learner) (reasons []string) {
	add := func(reason string, holds bool) {
		if holds {
			reasons = append(reasons, reason)
		}
	}
	add(ReasonOwnCourse, teaches(by, course))
	add(ReasonLinked, linked(by, course))
	add(ReasonNotEnrolled, !l.Enrolled)
	add(ReasonProgress, l.Enrolled && l.Percent < s.c.MinPercent)
	return reasons
}

// notEligible names the reasons.
func notEligible(reasons []string) error {
	bad := make([]core.Violation, len(reasons))
	for i, reason := range reasons {
		bad[i] = core.Violation{Field: "course", Code: reason, Message: messages[reason]}
	}
	return ErrNotEligible.With(bad...)
}

var messages = map[string]string{
	ReasonOwnCourse:   "this is a course of your own",
	ReasonLinked:      "this is a course of a teacher whom you work for",
	ReasonNotEnrolled: "only who takes the course reviews it",
	ReasonProgress:    "you are not far enough in the course yet",
}

func (s *Service) learner(ctx context.Context, course courses.CourseID, user core.UserID) (Learner, error) {
	if s.c.Learners == nil {
		return Learner{}, nil
	}
	return s.c.Learners.Learner(ctx, course, user)
}

// Eligibility says whether the actor may review a course, and if not, all that is in the
// way. For a visitor who is not signed in it is ReasonSignedOut.
func (s *Service) Eligibility(ctx context.Context, by core.Actor, course string) (Eligibility, error) {
	ctx = core.WithOperation(ctx, "reviews.Eligibility")
	ref, err := s.c.Courses.Ref(ctx, by, course)
	if err != nil {
		return Eligibility{}, err
	}
	if by.IsAnonymous() {
		return Eligibility{Reasons: []string{ReasonSignedOut}, MinPercent: s.c.MinPercent}, nil
	}
	l, err := s.learner(ctx, ref.ID, by.UserID)
	if err != nil {
		return Eligibility{}, err
	}
	e := Eligibility{Reasons: s.obstacles(by, ref, l), Percent: l.Percent, MinPercent: s.c.MinPercent}
	theirs, err := s.c.Store.ReviewOf(ctx, ref.ID, by.UserID)
	switch {
	case err == nil:
		e.Review = theirs.ID
		e.Reasons = append(e.Reasons, ReasonReviewed)
	case core.KindOf(err) != core.KindNotFound:
		return Eligibility{}, err
	}
	e.Allowed = len(e.Reasons) == 0
	return e, nil
}
