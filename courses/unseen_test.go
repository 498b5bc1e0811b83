package courses_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// TestACourseThatIsNotSeenIsNotNamed looks for the slugs of courses where others lead to
// them: before another, on a certificate, and by filters and marks.
func TestACourseThatIsNotSeenIsNotNamed(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		w.shelf(t)
		before, other := w.free(t, "Before"), w.free(t, "Other")
		c := w.free(t, "Go")
		slugs := []string{before.Slug, other.Slug}
		_, err := w.Edit(ctx, w.ann, c.Slug, courses.CourseEdit{Prerequisites: &slugs})
		require.NoError(t, err)
		seated := w.person(t, "seated", core.Student)
		_, err = w.Enroll(ctx, seated, before.Slug, "")
		require.NoError(t, err)
		_, err = w.Archive(ctx, w.ann, before.Slug, 0)
		require.NoError(t, err)
		for by, want := range map[core.Actor][]string{w.sam: {other.Slug}, w.nobody: {other.Slug}, w.bob: {other.Slug}, seated: slugs, w.ann: slugs, w.pam: slugs, w.admin: slugs} {
			got, err := w.Course(ctx, by, c.Slug)
			require.NoError(t, err)
			require.Equal(t, want, got.Prerequisites)
			require.Equal(t, 2, got.PrerequisiteCount)
		}

		taken, e := w.taken(t, "Databases")
		w.complete(t, taken, e)
		issued, err := w.IssueCertificate(ctx, w.sam, e.ID)
		require.NoError(t, err)
		require.Equal(t, taken.Slug, issued.Slug)
		_, err = w.Archive(ctx, w.ann, taken.Slug, 0)
		require.NoError(t, err)
		verified, err := w.VerifyCertificate(ctx, issued.Code)
		require.NoError(t, err)
		require.Empty(t, verified.Slug, "anybody verifies it")
		require.Equal(t, "Databases", verified.Course, "which it says itself")

		unseen := w.course(t, "Secret")
		for _, slug := range []string{unseen.Slug, "nothing"} {
			_, err = w.Orders(ctx, w.sam, courses.OrderFilter{Course: slug}, core.Page{})
			require.ErrorIs(t, err, core.ErrInvalid, "as if it were not there")
			require.Equal(t, []string{"course"}, fields(t, err))
		}
		_, err = w.Orders(ctx, w.admin, courses.OrderFilter{Course: unseen.Slug}, core.Page{})
		require.NoError(t, err)

		// An old slug of a course that is not seen any more is as good as none.
		require.NoError(t, w.Bookmark(ctx, w.sam, other.Slug))
		_, err = w.Edit(ctx, w.ann, other.Slug, courses.CourseEdit{Slug: ptr("moved")})
		require.NoError(t, err)
		_, err = w.Archive(ctx, w.ann, "moved", 0)
		require.NoError(t, err)
		for _, slug := range []string{other.Slug, "moved", "nothing"} {
			require.ErrorIs(t, w.Unbookmark(ctx, seated, slug), courses.ErrCourseNotFound)
		}
		require.NoError(t, w.Unbookmark(ctx, w.sam, other.Slug), "their own mark they take away")
		require.ErrorIs(t, w.Unbookmark(ctx, w.sam, other.Slug), courses.ErrCourseNotFound)
	})
}
