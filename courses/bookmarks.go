package courses

import (
	"context"
	"strconv"

	"github.com/ustat/ustat/core"
)

// Bookmark marks a course that the actor sees, so that they find it again. Doing it
// twice is doing it once. More than MaxBookmarks are ErrTooMany; calls at the same
// time may each add one more.
func (s *Service) Bookmark(ctx context.Context, by core.Actor, slug string) error {
	return s.bookmark(core.WithOperation(ctx, "courses.Bookmark"), by, slug, true)
}

// Unbookmark takes a mark away. Where there is none it does nothing; a course that the
// actor neither has marked nor sees is ErrCourseNotFound.
func (s *Service) Unbookmark(ctx context.Context, by core.Actor, slug string) error {
	return s.bookmark(core.WithOperation(ctx, "courses.Unbookmark"), by, slug, false)
}

func (s *Service) bookmark(ctx context.Context, by core.Actor, slug string, on bool) error {
	switch {
	case by.IsAnonymous():
		return core.ErrUnauthenticated
	case by.UserID < 0: // the operator is nobody who looks for courses
		return core.ErrForbidden
	}
	c, _, invisible := s.visibleCourse(ctx, by, slug)
	if invisible != nil {
		if on || core.KindOf(invisible) != core.KindNotFound || !core.ValidText(slug) {
			return invisible
		}
		var err error
		if c, err = s.courseBySlug(ctx, slug); err != nil {
			return err
		}
	}
	t := s.trail(by)
	return s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		changed, err := tx.SetBookmark(ctx, Bookmark{User: by.UserID, Course: c.ID, At: t.at}, on)
		if err != nil {
			return err
		}
		if !changed {
			return invisible
		}
		event := EventUnbookmarked
		if on {
			event = EventBookmarked
			n, err := tx.CountBookmarks(ctx, by.UserID)
			if err != nil {
				return err
			}
			if n > MaxBookmarks {
				return tooMany("bookmarks", MaxBookmarks, n-1)
			}
		}
		return tx.Emit(ctx, core.NewEvent(event, "course/"+strconv.FormatInt(int64(c.ID), 10), by, t.at,
			LearningChanged{Course: c.ID, Slug: c.Slug, Teacher: c.Teacher.ID, User: by.UserID, Price: c.Price, At: core.Time(t.at)}))
	})
}

// Bookmarks returns a page of the courses that the actor has marked and sees, the
// latest mark first. Three statements, one more for a producer.
func (s *Service) Bookmarks(ctx context.Context, by core.Actor, page core.Page) (Page[Course], error) {
	ctx = core.WithOperation(ctx, "courses.Bookmarks")
	if by.IsAnonymous() {
		return Page[Course]{}, core.ErrUnauthenticated
	}
	may, err := s.scope(ctx, by)
	if err != nil {
		return Page[Course]{}, err
	}
	q := BookmarkQuery{User: by.UserID}
	if !may.all {
		q.Teachers = append([]core.UserID{}, may.teachers...)
	}
	hits, err := core.ReadPage(s.cursors, "bookmarks/"+strconv.FormatInt(int64(by.UserID), 10), page,
		func(after *Position, limit int) ([]Hit, error) {
			q.After, q.Limit = after, limit
			return s.store.Bookmarked(ctx, q)
		},
		func(h Hit) *Position { return &h.Position })
	if err != nil {
		return Page[Course]{}, err
	}
	marked := Page[Course]{Items: make([]Course, len(hits.Items)), Next: hits.Next}
	for i, h := range hits.Items {
		marked.Items[i] = h.Course
		may.shown(&marked.Items[i])
	}
	return marked, s.nameTeachers(ctx, marked.Items)
}
