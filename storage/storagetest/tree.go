package storagetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage"
)

// write commits what fn does to the catalogue.
func write(t testing.TB, b *storage.Backend, fn func(ctx context.Context, tx courses.Tx) error) {
	t.Helper()
	require.NoError(t, b.Courses.Update(timeout(t), fn))
}

func insertCategories(t testing.TB, b *storage.Backend, list ...courses.Category) (out []courses.Category) {
	t.Helper()
	write(t, b, func(ctx context.Context, tx courses.Tx) (err error) {
		out, err = tx.InsertCategories(ctx, list)
		return err
	})
	require.Len(t, out, len(list))
	return out
}

func ensureTags(t testing.TB, b *storage.Backend, list ...courses.Tag) (out []courses.Tag) {
	t.Helper()
	write(t, b, func(ctx context.Context, tx courses.Tx) (err error) {
		out, err = tx.EnsureTags(ctx, list)
		return err
	})
	slices.SortFunc(out, func(a, b courses.Tag) int { return strings.Compare(a.Slug, b.Slug) })
	return out
}

// grove is two trees: a (a1 (a11), a2) and b.
func grove(t testing.TB, b *storage.Backend) map[string]courses.Category {
	t.Helper()
	out := map[string]courses.Category{}
	for _, level := range [][]string{{"a", "b"}, {"a1", "a2"}, {"a11"}} {
		var list []courses.Category
		for _, slug := range level {
			parent := out[slug[:len(slug)-1]]
			list = append(list, courses.Category{Slug: slug, Name: "Category " + slug, ParentID: parent.ID})
		}
		for _, c := range insertCategories(t, b, list...) {
			out[c.Slug] = c
		}
	}
	return out
}

func (s suite) tree() {
	s.run("InsertCategories returns them with ids, in order, and a taken slug is ErrSlugTaken", func(t *testing.T, b *storage.Backend) {
		g := grove(t, b)
		require.Positive(t, g["a11"].ID)
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			_, err := tx.InsertCategories(ctx, []courses.Category{{Slug: "c", Name: "C"}, {Slug: "a", Name: "A"}})
			if !errors.Is(err, courses.ErrSlugTaken) || !errors.Is(err, core.ErrConflict) {
				return fmt.Errorf("want ErrSlugTaken, got: %w", err)
			}
			return nil
		})
		list := make([]courses.Category, 1200)
		for i := range list {
			list[i] = courses.Category{Slug: fmt.Sprintf("many-%d", (i*7919)%len(list)), Name: "N"}
		}
		for i, c := range insertCategories(t, b, list...) {
			require.Equal(t, list[i].Slug, c.Slug)
			require.Positive(t, c.ID)
		}
		require.Empty(t, insertCategories(t, b))
	})
	s.run("Categories are a keyset by slug in the order of bytes, each with its parent", func(t *testing.T, b *storage.Backend) {
		g := grove(t, b)
		insertCategories(t, b, courses.Category{Slug: "a-2", Name: awkward[0]}, courses.Category{Slug: "z", Name: "Z"}, courses.Category{Slug: "a_2", Name: "_"}, courses.Category{Slug: "B", Name: "capital"})
		var slugs []string
		after := ""
		for {
			page, err := b.Courses.Categories(timeout(t), after, 2)
			require.NoError(t, err)
			if len(page) == 0 {
				break
			}
			require.LessOrEqual(t, len(page), 2)
			for _, c := range page {
				slugs = append(slugs, c.Slug)
				if parent, ok := g[c.Slug[:len(c.Slug)-1]]; ok {
					require.Equal(t, parent.ID, c.ParentID)
					require.Equal(t, parent.Slug, c.Parent)
				} else {
					require.Zero(t, c.ParentID)
					require.Empty(t, c.Parent)
				}
			}
			after = slugs[len(slugs)-1]
		}
		require.Equal(t, []string{"B", "a", "a-2", "a1", "a11", "a2", "a_2", "b", "z"}, slugs)
		found, err := b.Courses.CategoriesBySlug(timeout(t), []string{"a-2", "nothing", "a11", "a-2"})
		require.NoError(t, err)
		require.Len(t, found, 2)
		for _, c := range found {
			if c.Slug == "a-2" {
				require.Equal(t, awkward[0], c.Name)
				continue
			}
			require.Equal(t, courses.Category{ID: g["a11"].ID, Slug: "a11", Name: "Category a11", ParentID: g["a1"].ID, Parent: "a1", Version: 1}, c)
		}
	})
	s.run("Subtree has a category and all below it, and an unknown slug is ErrCategoryNotFound", func(t *testing.T, b *storage.Backend) {
		g := grove(t, b)
		for slug, want := range map[string][]string{"a": {"a", "a1", "a11", "a2"}, "a1": {"a1", "a11"}, "a11": {"a11"}, "b": {"b"}} {
			ids, err := b.Courses.Subtree(timeout(t), slug)
			require.NoError(t, err)
			var wanted []courses.CategoryID
			for _, s := range want {
				wanted = append(wanted, g[s].ID)
			}
			require.ElementsMatch(t, wanted, ids, slug)
		}
		_, err := b.Courses.Subtree(timeout(t), "nothing")
		require.ErrorIs(t, err, courses.ErrCategoryNotFound)
		require.ErrorIs(t, err, core.ErrNotFound)
	})
	s.run("UpdateCategory writes slug, name and parent, and a missing one is ErrCategoryNotFound", func(t *testing.T, b *storage.Backend) {
		g := grove(t, b)
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			c := g["a1"]
			c.Name, c.ParentID = "Moved", g["b"].ID
			if err := tx.UpdateCategory(ctx, c); err != nil {
				return err
			}
			c = g["a2"]
			c.Slug, c.ParentID = "a3", 0
			return tx.UpdateCategory(ctx, c)
		})
		found, err := b.Courses.CategoriesBySlug(timeout(t), []string{"a1", "a2", "a3"})
		require.NoError(t, err)
		require.ElementsMatch(t, []courses.Category{
			{ID: g["a1"].ID, Slug: "a1", Name: "Moved", ParentID: g["b"].ID, Parent: "b", Version: 2},
			{ID: g["a2"].ID, Slug: "a3", Name: "Category a2", Version: 2},
		}, found)
		ids, err := b.Courses.Subtree(timeout(t), "b")
		require.NoError(t, err)
		require.ElementsMatch(t, []courses.CategoryID{g["b"].ID, g["a1"].ID, g["a11"].ID}, ids)
		err = b.Courses.Update(timeout(t), func(ctx context.Context, tx courses.Tx) error {
			return tx.UpdateCategory(ctx, courses.Category{ID: 404, Slug: "x", Name: "x"})
		})
		require.ErrorIs(t, err, courses.ErrCategoryNotFound)
	})
	s.run("RecountCategories counts the published courses in and below each category", func(t *testing.T, b *storage.Backend) {
		g := grove(t, b)
		teacher := insertUsers(t, b, person("teacher"))[0]
		var list []courses.Course
		for i, slug := range []string{"a11", "a11", "a1", "a", "a2", "a2"} {
			c := course(fmt.Sprint("course-", i), teacher.ID)
			c.Category.ID = g[slug].ID
			if i == 5 {
				c.Status = courses.Draft
			}
			list = append(list, c)
		}
		list = append(list, course("loose", teacher.ID))
		list = insertCourses(t, b, list...)
		counts := func() map[string]int {
			write(t, b, func(ctx context.Context, tx courses.Tx) error { return tx.RecountCategories(ctx) })
			all, err := b.Courses.Categories(timeout(t), "", 10)
			require.NoError(t, err)
			out := map[string]int{}
			for _, c := range all {
				out[c.Slug] = c.CourseCount
			}
			return out
		}
		require.Equal(t, map[string]int{"a": 5, "a1": 3, "a11": 2, "a2": 1, "b": 0}, counts())
		list[0].Category.ID = g["b"].ID
		list[1].Status = courses.Archived
		write(t, b, func(ctx context.Context, tx courses.Tx) error { return tx.UpdateCourses(ctx, list[:2]) })
		require.Equal(t, map[string]int{"a": 3, "a1": 1, "a11": 0, "a2": 1, "b": 1}, counts())
	})
	s.run("RecountCategories is quick for the most categories, however deep they are", func(t *testing.T, b *storage.Backend) {
		teacher := insertUsers(t, b, person("teacher"))[0]
		var parent courses.CategoryID
		depth := 1200
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			parent = 0
			for i := range depth {
				made, err := tx.InsertCategories(ctx, []courses.Category{{Slug: fmt.Sprint("deep-", i), Name: "Deep", ParentID: parent}})
				if err != nil {
					return err
				}
				parent = made[0].ID
			}
			return nil
		})
		wide := make([]courses.Category, courses.MaxCategories-depth)
		for i := range wide {
			wide[i] = courses.Category{Slug: fmt.Sprint("wide-", i), Name: "Wide"}
		}
		insertCategories(t, b, wide...)
		c := course("one", teacher.ID)
		c.Category.ID = parent
		insertCourses(t, b, c)
		write(t, b, func(ctx context.Context, tx courses.Tx) error { return tx.RecountCategories(ctx) })
		found, err := b.Courses.CategoriesBySlug(timeout(t), []string{"deep-0", "wide-7"})
		require.NoError(t, err)
		counts := map[string]int{found[0].Slug: found[0].CourseCount, found[1].Slug: found[1].CourseCount}
		require.Equal(t, map[string]int{"deep-0": 1, "wide-7": 0}, counts)
		start := time.Now()
		for range 3 {
			write(t, b, func(ctx context.Context, tx courses.Tx) error { return tx.RecountCategories(ctx) })
		}
		t.Logf("a count of %d categories: %s", courses.MaxCategories, time.Since(start)/3)
		require.Less(t, time.Since(start), 3*time.Second, "a count that grows with the square of the depth takes seconds each time")
	})
	s.tags()
}

func (s suite) tags() {
	s.run("EnsureTags adds what is missing, returns all and keeps the names that are there", func(t *testing.T, b *storage.Backend) {
		first := ensureTags(t, b, courses.Tag{Slug: "go", Name: "Go"}, courses.Tag{Slug: "sql", Name: awkward[1]})
		require.Len(t, first, 2)
		require.Positive(t, first[0].ID)
		second := ensureTags(t, b, courses.Tag{Slug: "sql", Name: "changed"}, courses.Tag{Slug: "css", Name: "CSS"}, courses.Tag{Slug: "go", Name: "changed"})
		require.Len(t, second, 3)
		require.Equal(t, first, second[1:])
		require.Equal(t, "CSS", second[0].Name)
		found, err := b.Courses.TagsBySlug(timeout(t), []string{"go", "nothing", "sql", "go"})
		require.NoError(t, err)
		require.ElementsMatch(t, first, found)
		require.Empty(t, ensureTags(t, b))
	})
	s.run("Tags are a keyset by slug in the order of bytes", func(t *testing.T, b *storage.Backend) {
		want := []string{"B", "a", "a-b", "a0", "a_b", "ab", "b", "z"}
		var list []courses.Tag
		for _, slug := range want {
			list = append(list, courses.Tag{Slug: slug, Name: "name of " + slug})
		}
		ensureTags(t, b, list...)
		var slugs []string
		for after := ""; ; after = slugs[len(slugs)-1] {
			page, err := b.Courses.Tags(timeout(t), after, 3)
			require.NoError(t, err)
			if len(page) == 0 {
				break
			}
			require.LessOrEqual(t, len(page), 3)
			for _, tag := range page {
				require.Equal(t, "name of "+tag.Slug, tag.Name)
				slugs = append(slugs, tag.Slug)
			}
		}
		require.Equal(t, want, slugs)
	})
	s.run("concurrent EnsureTags of the same tags agree", func(t *testing.T, b *storage.Backend) {
		const workers = 6
		type answer struct {
			tags []courses.Tag
			err  error
		}
		answers := make(chan answer, workers)
		for w := range workers {
			go func() {
				var a answer
				a.err = b.Courses.Update(context.Background(), func(ctx context.Context, tx courses.Tx) (err error) {
					list := []courses.Tag{{Slug: "x", Name: "X"}, {Slug: "y", Name: "Y"}, {Slug: "z", Name: "Z"}}
					if w%2 == 1 {
						slices.Reverse(list)
					}
					a.tags, err = tx.EnsureTags(ctx, list)
					return err
				})
				answers <- a
			}()
		}
		stored, err := []courses.Tag(nil), error(nil)
		for range workers {
			a := <-answers
			require.NoError(t, a.err)
			if stored == nil {
				stored, err = b.Courses.Tags(timeout(t), "", 10)
				require.NoError(t, err)
				require.Len(t, stored, 3)
			}
			require.ElementsMatch(t, stored, a.tags)
		}
	})
}
