package courses_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

func (w *world) category(t testing.TB, slug, parent string) courses.Category {
	t.Helper()
	c, err := w.CreateCategory(t.Context(), w.admin, courses.NewCategory{Name: "Category " + slug, Slug: slug, Parent: parent})
	require.NoError(t, err)
	require.Equal(t, parent, c.Parent)
	return c
}

func TestCategoriesAreWritten(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		made, err := w.CreateCategory(t.Context(), w.admin, courses.NewCategory{Name: "Базы данных"})
		require.NoError(t, err)
		require.Equal(t, "bazy-dannykh", made.Slug)
		w.category(t, "a", "")
		w.category(t, "b", "a")
		w.category(t, "c", "b")
		_, err = w.CreateCategory(t.Context(), w.admin, courses.NewCategory{Name: "x", Slug: "a"})
		require.ErrorIs(t, err, courses.ErrSlugTaken)
		_, err = w.CreateCategory(t.Context(), w.admin, courses.NewCategory{Name: "!!!", Parent: "nothing"})
		require.ElementsMatch(t, []string{"slug", "parent"}, fields(t, err))

		for _, below := range []string{"a", "b", "c"} {
			_, err = w.EditCategory(t.Context(), w.admin, "a", courses.CategoryEdit{Parent: ptr(below)})
			require.ErrorIs(t, err, courses.ErrCategoryCycle)
		}
		_, err = w.EditCategory(t.Context(), w.admin, "a", courses.CategoryEdit{Slug: ptr("b")})
		require.ErrorIs(t, err, courses.ErrSlugTaken)
		got, err := w.EditCategory(t.Context(), w.admin, "b", courses.CategoryEdit{Slug: ptr("bb"), Name: ptr("BB"), Parent: ptr(""), IfVersion: 1})
		require.NoError(t, err)
		read, err := w.Category(t.Context(), "bb")
		require.NoError(t, err)
		require.Equal(t, read, got)
		require.Empty(t, got.Parent)
		_, err = w.EditCategory(t.Context(), w.admin, "bb", courses.CategoryEdit{Name: ptr("lost"), IfVersion: 1})
		require.ErrorIs(t, err, core.ErrVersion)
		_, err = w.EditCategory(t.Context(), w.admin, "nothing", courses.CategoryEdit{})
		require.ErrorIs(t, err, courses.ErrCategoryNotFound)
		_, err = w.EditCategory(t.Context(), w.admin, "a", courses.CategoryEdit{Parent: ptr("bb")})
		require.NoError(t, err)
	})
}

func TestDeletingACategory(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		w.category(t, "below", "web")
		w.category(t, "other", "")
		c := w.in(t, w.course(t, "Go"), courses.Published)
		require.ErrorIs(t, w.DeleteCategory(t.Context(), w.admin, "nothing", ""), courses.ErrCategoryNotFound)
		require.ErrorIs(t, w.DeleteCategory(t.Context(), w.admin, "web", ""), courses.ErrCategoryInUse)
		for _, to := range []string{"web", "below", "nothing"} {
			require.ErrorIs(t, w.DeleteCategory(t.Context(), w.admin, "web", to), core.ErrInvalid, to)
		}
		require.NoError(t, w.DeleteCategory(t.Context(), w.admin, "web", "other"))
		got, err := w.Course(t.Context(), w.nobody, c.Slug)
		require.NoError(t, err)
		require.Equal(t, "other", got.Category.Slug)
		for slug, count := range map[string]int{"other": 1, "below": 0} {
			k, err := w.Category(t.Context(), slug)
			require.NoError(t, err)
			require.Equal(t, count, k.CourseCount)
		}
		require.NoError(t, w.DeleteCategory(t.Context(), w.admin, "below", ""))
	})
}

func TestTwoMovesAtOnceMakeNoCycle(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		for round := range 10 {
			a, b := fmt.Sprint("a-", round), fmt.Sprint("b-", round)
			w.category(t, a, "")
			w.category(t, b, "")
			errs := together(2, func(i int) error {
				slug, parent := a, b
				if i == 1 {
					slug, parent = b, a
				}
				_, err := w.EditCategory(context.Background(), w.admin, slug, courses.CategoryEdit{Parent: &parent})
				return err
			})
			require.True(t, (errs[0] == nil) != (errs[1] == nil), "%v", errs)
			require.ErrorIs(t, errors.Join(errs...), courses.ErrCategoryCycle)
		}
	})
}

func TestTagsAreWritten(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		c := w.in(t, w.course(t, "Course"), courses.Published)
		find := func(query string) int {
			n, err := w.Count(t.Context(), w.nobody, courses.Filter{Query: query})
			require.NoError(t, err)
			return n
		}
		require.Equal(t, 1, find("c++"))
		_, err := w.CreateTag(t.Context(), w.admin, courses.NewTag{Name: "go"})
		require.ErrorIs(t, err, courses.ErrSlugTaken)
		_, err = w.EditTag(t.Context(), w.admin, "nothing", courses.TagEdit{})
		require.ErrorIs(t, err, courses.ErrTagNotFound)
		_, err = w.EditTag(t.Context(), w.admin, "go", courses.TagEdit{Slug: ptr("c-plus-plus")})
		require.ErrorIs(t, err, courses.ErrSlugTaken)
		got, err := w.EditTag(t.Context(), w.admin, "c-plus-plus", courses.TagEdit{Name: ptr("Rust"), Slug: ptr("rust"), IfVersion: 1})
		require.NoError(t, err)
		read, err := w.Tag(t.Context(), "rust")
		require.NoError(t, err)
		require.Equal(t, read, got)
		require.Equal(t, []int{0, 1}, []int{find("c++"), find("rust")})
		_, err = w.EditTag(t.Context(), w.admin, "rust", courses.TagEdit{IfVersion: 1})
		require.ErrorIs(t, err, core.ErrVersion)
		require.NoError(t, w.DeleteTag(t.Context(), w.admin, "rust"))
		require.ErrorIs(t, w.DeleteTag(t.Context(), w.admin, "rust"), courses.ErrTagNotFound)
		require.Zero(t, find("rust"))
		after, err := w.Course(t.Context(), w.nobody, c.Slug)
		require.NoError(t, err)
		require.Len(t, after.Tags, 1)
	})
}
