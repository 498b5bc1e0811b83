package courses_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

func TestEveryMoveFromEveryStatus(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		moves := map[string]struct {
			from, to courses.Status
			event    string
			do       func(by core.Actor, slug string, version int64) (courses.Course, error)
		}{
			"submit": {courses.Draft, courses.InReview, courses.EventSubmitted, func(by core.Actor, slug string, v int64) (courses.Course, error) {
				return w.Submit(t.Context(), by, slug, v)
			}},
			"publish": {courses.InReview, courses.Published, courses.EventPublished, func(by core.Actor, slug string, v int64) (courses.Course, error) {
				return w.Publish(t.Context(), by, slug, v)
			}},
			"reject": {courses.InReview, courses.Draft, courses.EventRejected, func(by core.Actor, slug string, v int64) (courses.Course, error) {
				return w.Reject(t.Context(), by, slug, "too short", v)
			}},
			"archive": {courses.Published, courses.Archived, courses.EventArchived, func(by core.Actor, slug string, v int64) (courses.Course, error) {
				return w.Archive(t.Context(), by, slug, v)
			}},
			"restore": {courses.Archived, courses.Draft, courses.EventRestored, func(by core.Actor, slug string, v int64) (courses.Course, error) {
				return w.Restore(t.Context(), by, slug, v)
			}},
		}
		for name, m := range moves {
			for _, status := range courses.Statuses {
				c := w.in(t, w.course(t, name+" "+string(status)), status)
				w.events(t)
				got, err := m.do(w.admin, c.Slug, 0)
				if status != m.from {
					require.ErrorIs(t, err, courses.ErrTransition, "%s of %s", name, status)
					require.ErrorIs(t, err, core.ErrFailedPrecondition)
					require.Contains(t, err.Error(), string(status))
					require.Empty(t, w.events(t))
					continue
				}
				require.NoError(t, err, "%s of %s", name, status)
				require.Equal(t, m.to, got.Status)
				require.Equal(t, c.Version+1, got.Version)
				require.Equal(t, []string{m.event}, w.events(t))
				_, err = m.do(w.admin, c.Slug, c.Version)
				require.ErrorIs(t, err, core.ErrVersion, "a version that is gone comes before the status")
			}
		}
	})
}

func TestWhatACourseNeedsToBeRead(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		c, err := w.Create(t.Context(), w.ann, courses.NewCourse{Title: "Bare"})
		require.NoError(t, err)
		submit := func() []string {
			_, err := w.Submit(t.Context(), w.ann, c.Slug, 0)
			require.ErrorIs(t, err, courses.ErrIncomplete)
			require.ErrorIs(t, err, core.ErrFailedPrecondition)
			return fields(t, err)
		}
		require.Equal(t, []string{"category", "price", "modules"}, submit())
		_, err = w.Edit(t.Context(), w.ann, c.Slug, courses.CourseEdit{Category: ptr("web"), Price: &core.Money{Currency: "RUB"}})
		require.NoError(t, err)
		m, err := w.CreateModule(t.Context(), w.ann, c.Slug, courses.NewModule{Title: "Empty"})
		require.NoError(t, err)
		require.Equal(t, []string{"modules"}, submit())
		_, err = w.CreateLesson(t.Context(), w.ann, c.Slug, m.ID, courses.NewLesson{Title: "x", Kind: courses.Video})
		require.NoError(t, err)
		_, err = w.Submit(t.Context(), w.ann, c.Slug, 0)
		require.NoError(t, err)
	})
}

func TestRejectionsAndTheFirstPublication(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		c := w.in(t, w.course(t, "Go"), courses.InReview)
		for _, reason := range []string{"", " \t\n\u00a0", strings.Repeat("я", courses.MaxReason+1), "a\x00b"} {
			_, err := w.Reject(t.Context(), w.admin, c.Slug, reason, 0)
			require.ErrorIs(t, err, core.ErrInvalid)
			require.Equal(t, []string{"reason"}, fields(t, err))
		}
		c, err := w.Reject(t.Context(), w.admin, c.Slug, strings.Repeat("я", courses.MaxReason), 0)
		require.NoError(t, err)
		require.Equal(t, strings.Repeat("я", courses.MaxReason), c.Rejection)
		c, err = w.Submit(t.Context(), w.pam, c.Slug, 0)
		require.NoError(t, err)
		require.Empty(t, c.Rejection)
		require.True(t, c.PublishedAt.IsZero())
		c, err = w.Publish(t.Context(), w.admin, c.Slug, 0)
		require.NoError(t, err)
		first := c.PublishedAt
		require.False(t, first.IsZero())
		web, err := w.Category(t.Context(), "web")
		require.NoError(t, err)
		require.Equal(t, 1, web.CourseCount)
		c, err = w.Archive(t.Context(), w.ann, c.Slug, 0)
		require.NoError(t, err)
		web, err = w.Category(t.Context(), "web")
		require.NoError(t, err)
		require.Equal(t, 0, web.CourseCount)
		c, err = w.Restore(t.Context(), w.ann, c.Slug, 0)
		require.NoError(t, err)
		c = w.in(t, c, courses.Published)
		require.Equal(t, first, c.PublishedAt)
	})
}
