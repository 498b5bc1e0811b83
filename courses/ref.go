package courses

import (
	"context"
	"errors"

	"github.com/ustat/ustat/core"
)

// Ref is a course as other domains know it, and what an actor may do to it.
type Ref struct {
	ID       CourseID
	Slug     string
	Title    string
	Status   Status
	Teacher  core.UserID
	Category CategoryID // 0 without one
	Visible  bool       // the actor sees it; a Store leaves it false
	Editable bool       // the actor may edit it; a Store leaves it false
}

// Ref returns a course by its slug, or an old one, or fails with ErrCourseNotFound where
// the actor does not see it. One statement, one more for a producer and for a course of
// somebody else that is not published.
func (s *Service) Ref(ctx context.Context, by core.Actor, slug string) (Ref, error) {
	if !core.ValidText(slug) {
		return Ref{}, ErrCourseNotFound
	}
	may, err := s.scope(ctx, by)
	if err != nil {
		return Ref{}, err
	}
	ref, err := s.store.RefBySlug(ctx, slug)
	if errors.Is(err, ErrCourseNotFound) {
		var present string
		if present, err = s.store.CurrentSlug(ctx, slug); err == nil {
			ref, err = s.store.RefBySlug(ctx, present)
		}
	}
	if err != nil {
		return Ref{}, err
	}
	list := []Ref{ref}
	if err := s.judge(ctx, by, may, list); err != nil {
		return Ref{}, err
	}
	if !list[0].Visible {
		return Ref{}, ErrCourseNotFound
	}
	return list[0], nil
}

// Refs returns those of the courses that exist, also what the actor does not see. One
// statement, one more for a producer and where there are courses of others that are not
// published; none for no ids.
func (s *Service) Refs(ctx context.Context, by core.Actor, ids []CourseID) (map[CourseID]Ref, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	may, err := s.scope(ctx, by)
	if err != nil {
		return nil, err
	}
	list, err := s.store.RefsByID(ctx, ids)
	if err != nil {
		return nil, err
	}
	if err := s.judge(ctx, by, may, list); err != nil {
		return nil, err
	}
	refs := make(map[CourseID]Ref, len(list))
	for _, ref := range list {
		refs[ref.ID] = ref
	}
	return refs, nil
}

// CourseIDs returns the ids of those of the slugs that exist, also of courses that nobody
// sees, by one statement. It is for the other domains.
func (s *Service) CourseIDs(ctx context.Context, slugs []string) (map[string]CourseID, error) {
	return s.store.CourseIDs(ctx, slugs)
}

// LessonCourses returns the courses of those of the lessons that exist, also of courses that
// nobody sees, by one statement, and none for no ids. It is for the other domains.
func (s *Service) LessonCourses(ctx context.Context, ids []LessonID) (map[LessonID]CourseID, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	return s.store.LessonCourses(ctx, ids)
}

// Taught returns up to limit courses whose analytics an actor may read, whatever their
// status, the youngest first: those of the teacher, where one is named, else of all whose
// courses the actor may edit. It fails with core.ErrForbidden for somebody else's, and for
// an admin who names nobody. One statement, one more for a producer.
func (s *Service) Taught(ctx context.Context, by core.Actor, teacher core.UserID, limit int) ([]Ref, error) {
	ctx = core.WithOperation(ctx, "courses.Taught")
	may, err := s.scope(ctx, by)
	if err != nil {
		return nil, err
	}
	teachers := may.teachers
	if teacher != 0 {
		teachers = []core.UserID{teacher}
	}
	switch {
	case by.IsAnonymous():
		return nil, core.ErrUnauthenticated
	case len(teachers) == 0, teacher != 0 && !may.edits(teacher):
		return nil, core.ErrForbidden
	}
	list, err := s.store.RefsByTeachers(ctx, teachers, limit)
	for i := range list {
		list[i].Visible, list[i].Editable = true, true
	}
	return list, err
}

// judge says of courses what the actor may. Whether they hold a seat in those that are not
// published is asked by one statement.
func (s *Service) judge(ctx context.Context, by core.Actor, may scope, list []Ref) error {
	var closed []CourseID
	var users []core.UserID
	for _, r := range list {
		if r.Status != Published && !by.IsAnonymous() && !may.edits(r.Teacher) {
			closed, users = append(closed, r.ID), append(users, by.UserID)
		}
	}
	seats := map[CourseID]Learner{}
	if len(closed) > 0 {
		enrollments, err := s.store.EnrollmentsOf(ctx, closed, users)
		if err != nil {
			return err
		}
		for _, e := range enrollments {
			seats[e.Course] = Learner{Enrollment: e}
		}
	}
	for i := range list {
		r := &list[i]
		c := Course{ID: r.ID, Status: r.Status, Teacher: Teacher{ID: r.Teacher}}
		r.Visible, r.Editable = may.with(seats[r.ID]).sees(&c), may.edits(r.Teacher)
	}
	return nil
}

// ReviewNumbers are the numbers of a course's published reviews, as reviews count them.
type ReviewNumbers struct {
	Count   int64
	Sum     int64 // of the ratings
	Version int64 // one more with each change of the others
	Heat    Heat  // what the change does to the trend; none when it is read
}

// SetRating takes over the numbers of a course's reviews where these are newer than what
// is there: the lists by rating follow reviews that are kept elsewhere. What is older, or
// of a course that there is not, is ignored.
func (s *Service) SetRating(ctx context.Context, id CourseID, r ReviewNumbers) error {
	ctx = core.WithOperation(ctx, "courses.SetRating")
	return s.store.Update(ctx, func(ctx context.Context, tx Tx) error { return tx.SetRating(ctx, id, r) })
}

// ReviewNumbers returns the numbers that courses are listed with. It is for reviews,
// which count them.
func (s *Service) ReviewNumbers(ctx context.Context, ids []CourseID) (map[CourseID]ReviewNumbers, error) {
	return s.store.ReviewNumbers(ctx, ids)
}

// TeacherRating returns what the courses of a teacher are rated together, in hundredths
// of a star: the Bayesian mean of Stats.RatingRank over all their reviews, and 0 without
// one.
func (s *Service) TeacherRating(ctx context.Context, teacher core.UserID) (int, error) {
	n, err := s.store.TeacherNumbers(core.WithOperation(ctx, "courses.TeacherRating"), teacher)
	const hundredth = 10_000 // in millionths
	return int((Stats{ReviewCount: n.Count, RatingSum: n.Sum}.RatingRank() + hundredth/2) / hundredth), err
}
