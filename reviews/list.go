package reviews

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// Review returns a review that the actor sees. Three statements, one more for who is
// signed in and one for a producer.
func (s *Service) Review(ctx context.Context, by core.Actor, id ReviewID) (Review, error) {
	ctx = core.WithOperation(ctx, "reviews.Review")
	r, course, err := s.visible(ctx, by, id)
	if err != nil {
		return Review{}, err
	}
	if course.Visible {
		r.Slug = course.Slug
	}
	list := []Review{r}
	if err := s.votes(ctx, by, list); err != nil {
		return Review{}, err
	}
	err = s.present(ctx, by, list)
	return list[0], err
}

// List returns a page of the published reviews of a course in the order of sort (zero:
// Recent). Three statements, one more for who is signed in and one for a producer. It
// fails with core.ErrInvalid for "sort" and with core.ErrCursor.
func (s *Service) List(ctx context.Context, by core.Actor, course string, sort Sort, page core.Page) (Page[Review], error) {
	ctx = core.WithOperation(ctx, "reviews.List")
	if sort == "" {
		sort = Recent
	}
	ref, err := s.c.Courses.Ref(ctx, by, course)
	if err != nil {
		return Page[Review]{}, err
	}
	if !slices.Contains(Sorts[:], sort) {
		return Page[Review]{}, core.Invalid("sort", "oneof", fmt.Sprint(Sorts), string(sort), "there is no such sort")
	}
	found, err := s.page(ctx, Query{Course: ref.ID, Status: Published, Sort: sort}, page)
	if err != nil {
		return Page[Review]{}, err
	}
	for i := range found.Items {
		found.Items[i].Slug = ref.Slug
	}
	if err := s.votes(ctx, by, found.Items); err != nil {
		return Page[Review]{}, err
	}
	return found, s.present(ctx, by, found.Items)
}

// Choice is which reviews of many courses are listed. Zero fields do not filter.
type Choice struct{ Status Status }

// Own returns a page of the actor's reviews, whatever their status, the newest first.
// Three statements.
func (s *Service) Own(ctx context.Context, by core.Actor, filter Choice, page core.Page) (Page[Review], error) {
	ctx = core.WithOperation(ctx, "reviews.Own")
	if err := signedIn(by); err != nil {
		return Page[Review]{}, err
	}
	return s.all(ctx, by, Query{User: by.UserID, Status: filter.Status}, page)
}

// All returns a page of all reviews, the newest first. Only an admin may. Three
// statements.
func (s *Service) All(ctx context.Context, by core.Actor, filter Choice, page core.Page) (Page[Review], error) {
	ctx = core.WithOperation(ctx, "reviews.All")
	if err := by.RequireAdmin(); err != nil {
		return Page[Review]{}, err
	}
	return s.all(ctx, by, Query{Status: filter.Status}, page)
}

// Queue returns a page of the reviews that wait for an admin, the oldest first. Only an
// admin may. Three statements.
func (s *Service) Queue(ctx context.Context, by core.Actor, page core.Page) (Page[Review], error) {
	ctx = core.WithOperation(ctx, "reviews.Queue")
	if err := by.RequireAdmin(); err != nil {
		return Page[Review]{}, err
	}
	return s.all(ctx, by, Query{Status: Pending, OldestFirst: true}, page)
}

func (s *Service) all(ctx context.Context, by core.Actor, q Query, page core.Page) (Page[Review], error) {
	q.Sort = Recent
	if q.Status != "" && !slices.Contains(Statuses[:], q.Status) {
		return Page[Review]{}, core.Invalid("status", "oneof", fmt.Sprint(Statuses), string(q.Status), "there is no such status")
	}
	found, err := s.page(ctx, q, page)
	if err != nil {
		return Page[Review]{}, err
	}
	return found, s.present(ctx, by, found.Items)
}

// page reads a page of a query. Its cursor is bound to the query, and so to whose
// reviews these are.
func (s *Service) page(ctx context.Context, q Query, page core.Page) (Page[Review], error) {
	list, err := json.Marshal([]any{"reviews", q})
	if err != nil {
		return Page[Review]{}, core.ErrInternal.Because(err)
	}
	return core.ReadPage(s.c.Cursors, string(list), page, func(after *Position, limit int) ([]Review, error) {
		q.After, q.Limit = after, limit
		return s.c.Store.Reviews(ctx, q)
	}, func(r Review) *Position {
		at := PositionOf(&r, q.Sort)
		return &at
	})
}

// Summary returns the numbers of a course's published reviews. Two statements, one more
// for a producer.
func (s *Service) Summary(ctx context.Context, by core.Actor, course string) (Stats, error) {
	ctx = core.WithOperation(ctx, "reviews.Summary")
	ref, err := s.c.Courses.Ref(ctx, by, course)
	if err != nil {
		return Stats{}, err
	}
	found, err := s.c.Store.StatsOf(ctx, []courses.CourseID{ref.ID})
	if err != nil || len(found) == 0 {
		return Stats{Course: ref.ID}, err
	}
	return found[0], nil
}

// votes fills which of the reviews the actor has found helpful, by one statement.
func (s *Service) votes(ctx context.Context, by core.Actor, list []Review) error {
	if by.IsAnonymous() || len(list) == 0 {
		return nil
	}
	ids := make([]ReviewID, len(list))
	for i := range list {
		ids[i] = list[i].ID
	}
	voted, err := s.c.Store.Voted(ctx, by.UserID, ids)
	if err != nil {
		return err
	}
	for i := range list {
		list[i].Voted = slices.Contains(voted, list[i].ID)
	}
	return nil
}

// present fills the people of reviews by one statement, and by another the courses of
// those whose Slug is empty, where the actor sees them; and takes away what is not the actor's to see.
func (s *Service) present(ctx context.Context, by core.Actor, list []Review) error {
	var people []*Person
	var of []courses.CourseID
	for i := range list {
		r := &list[i]
		masked(by, r)
		r.Author.ID = r.User
		people = append(people, &r.Author)
		if r.Reply.By.ID != 0 {
			people = append(people, &r.Reply.By)
		}
		if r.Slug == "" {
			of = append(of, r.Course)
		}
	}
	if len(of) > 0 {
		refs, err := s.c.Courses.Refs(ctx, by, of)
		if err != nil {
			return err
		}
		for i := range list {
			if list[i].Slug == "" && refs[list[i].Course].Visible {
				list[i].Slug = refs[list[i].Course].Slug
			}
		}
	}
	return s.name(ctx, people)
}

// name fills the names of people by one statement.
func (s *Service) name(ctx context.Context, people []*Person) error {
	var ids []core.UserID
	for _, p := range people {
		if p.ID > 0 && !slices.Contains(ids, p.ID) {
			ids = append(ids, p.ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	names, err := s.c.Users.NamesByID(ctx, ids)
	if err != nil {
		return err
	}
	for _, p := range people {
		for _, n := range names {
			if n.ID == p.ID {
				p.Username, p.Name = n.Username, n.Name
			}
		}
	}
	return nil
}
