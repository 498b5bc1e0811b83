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
	Visible  bool // the actor sees it; a Store leaves it false
	Editable bool // the actor may edit it; a Store leaves it false
}

// Ref returns a course by its slug, or an old one, or fails with ErrCourseNotFound where
// the actor does not see it. One statement, one more for a producer.
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
	if ref = may.ref(ref); !ref.Visible {
		return Ref{}, ErrCourseNotFound
	}
	return ref, nil
}

// Refs returns those of the courses that exist, also what the actor does not see. One
// statement, one more for a producer; none for no ids.
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
	refs := make(map[CourseID]Ref, len(list))
	for _, ref := range list {
		refs[ref.ID] = may.ref(ref)
	}
	return refs, nil
}

// ref says what the scope may do to a course.
func (s scope) ref(r Ref) Ref {
	c := Course{Status: r.Status, Teacher: Teacher{ID: r.Teacher}}
	r.Visible, r.Editable = s.sees(&c), s.edits(r.Teacher)
	return r
}

// ReviewNumbers are the numbers of a course's published reviews, as reviews count them.
type ReviewNumbers struct {
	Count   int64
	Sum     int64 // of the ratings
	Version int64 // one more with each change of the others
}

// SetRating takes over the numbers of a course's reviews where these are newer than what
// is there: the lists by rating follow reviews that are kept elsewhere. What is older, or
// of a course that there is not, is ignored.
func (s *Service) SetRating(ctx context.Context, id CourseID, r ReviewNumbers) error {
	ctx = core.WithOperation(ctx, "courses.SetRating")
	return s.store.Update(ctx, func(ctx context.Context, tx Tx) error { return tx.SetRating(ctx, id, r) })
}
