package storagetest

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage"
)

func (s suite) audience() {
	s.run("CoursesByID and CategoriesByID return those that exist, whole", func(t *testing.T, b *storage.Backend) {
		cl := newClass(t, b)
		got, err := b.Courses.CoursesByID(timeout(t), []courses.CourseID{cl.courses[1].ID, 1 << 40, cl.courses[0].ID})
		require.NoError(t, err)
		slices.SortFunc(got, func(a, b courses.Course) int { return cmp.Compare(a.ID, b.ID) })
		require.Equal(t, []courses.Course{bySlug(t, b, "one"), bySlug(t, b, "two")}, got)
		none, err := b.Courses.CoursesByID(timeout(t), nil)
		require.NoError(t, err)
		require.Empty(t, none)
		want, err := b.Courses.CategoriesBySlug(timeout(t), []string{"cat-2"})
		require.NoError(t, err)
		categories, err := b.Courses.CategoriesByID(timeout(t), []courses.CategoryID{1 << 40, cl.categories[1].ID})
		require.NoError(t, err)
		require.Equal(t, want, categories)
		categories, err = b.Courses.CategoriesByID(timeout(t), nil)
		require.NoError(t, err)
		require.Empty(t, categories)
	})
	s.run("TakenBy returns a user's enrollments, the newest first, and TakenAfter walks through those of all", func(t *testing.T, b *storage.Backend) {
		cl := newClass(t, b)
		var list []courses.Enrollment
		for user := core.UserID(101); user <= 103; user++ {
			for i, c := range cl.courses {
				e := enrollment(c, user)
				e.EnrolledAt = day.Add(time.Duration(-i) * time.Hour)
				if i == 1 {
					e.Status, e.CompletedAt = courses.Completed, day.Add(time.Hour)
				}
				list = append(list, e)
			}
		}
		list = enroll(t, b, list...)
		all := make([]courses.Taken, len(list))
		for i, e := range list {
			all[i] = courses.Taken{Enrollment: e.ID, User: e.User, Course: e.Course, Status: e.Status, EnrolledAt: e.EnrolledAt, CompletedAt: e.CompletedAt}
		}
		slices.SortFunc(all, func(a, b courses.Taken) int {
			return cmp.Or(cmp.Compare(a.User, b.User), a.EnrolledAt.Compare(b.EnrolledAt), cmp.Compare(a.Enrollment, b.Enrollment))
		})
		got, err := b.Courses.TakenBy(timeout(t), 102, 10)
		require.NoError(t, err)
		require.Equal(t, []courses.Taken{all[3], all[2]}, got)
		utc(t, day, got[0].EnrolledAt)
		got, err = b.Courses.TakenBy(timeout(t), 102, 1)
		require.NoError(t, err)
		require.Equal(t, all[3:4], got)
		for _, limit := range []int{1, 4, 100} {
			require.Equal(t, all, walked(t, limit, func(last *courses.Taken) ([]courses.Taken, error) {
				var after courses.Taken
				if last != nil {
					after = *last
				}
				return b.Courses.TakenAfter(timeout(t), after, limit)
			}))
		}
	})
	s.run("TaughtBy returns the courses of teachers, the greatest id first", func(t *testing.T, b *storage.Backend) {
		cl := newClass(t, b)
		for _, c := range []struct {
			teachers []core.UserID
			limit    int
			want     []courses.CourseID
		}{
			{cl.teachers, 10, []courses.CourseID{cl.courses[1].ID, cl.courses[0].ID}},
			{cl.teachers, 1, []courses.CourseID{cl.courses[1].ID}},
			{cl.teachers[:1], 10, []courses.CourseID{cl.courses[0].ID}},
			{cl.teachers[2:], 10, nil},
			{nil, 10, nil},
		} {
			got, err := b.Courses.TaughtBy(timeout(t), c.teachers, c.limit)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		}
	})
}
