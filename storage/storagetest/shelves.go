package storagetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage"
)

func (s suite) treeWriting() {
	s.run("CategoriesForUpdate has the whole tree, and of two moves at once the second sees the first", func(t *testing.T, b *storage.Backend) {
		g := grove(t, b)
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			all, err := tx.CategoriesForUpdate(ctx)
			require.Len(t, all, len(g))
			for _, c := range all {
				require.Equal(t, g[c.Slug].ID, c.ID)
				require.Equal(t, g[c.Slug].ParentID, c.ParentID)
				require.EqualValues(t, 1, c.Version)
			}
			return err
		})
		errCycle := errors.New("it would be a cycle")
		for range size(50, 10) {
			errs := atOnce(b, 2, func(ctx context.Context, tx courses.Tx, i int) error {
				all, err := tx.CategoriesForUpdate(ctx)
				if err != nil {
					return err
				}
				tree := map[courses.CategoryID]courses.Category{}
				for _, c := range all {
					tree[c.ID] = c
				}
				child, parent := tree[g["a"].ID], tree[g["b"].ID]
				if i == 1 {
					child, parent = parent, child
				}
				if parent.ParentID == child.ID {
					return errCycle
				}
				child.ParentID = parent.ID
				return tx.UpdateCategory(ctx, child)
			})
			require.True(t, (errs[0] == nil) != (errs[1] == nil), "one of them: %v", errs)
			require.ErrorIs(t, errors.Join(errs...), errCycle)
			write(t, b, func(ctx context.Context, tx courses.Tx) error {
				return errors.Join(tx.UpdateCategory(ctx, courses.Category{ID: g["a"].ID, Slug: "a", Name: "A"}), tx.UpdateCategory(ctx, courses.Category{ID: g["b"].ID, Slug: "b", Name: "B"}))
			})
		}
	})
	s.run("UpdateCategory to a taken slug is ErrSlugTaken and leaves the Tx usable", func(t *testing.T, b *storage.Backend) {
		g := grove(t, b)
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			c := g["a"]
			c.Slug, c.Name = "b", "lost"
			if err := want(tx.UpdateCategory(ctx, c), courses.ErrSlugTaken); err != nil {
				return err
			}
			c = g["b"]
			c.Name = "kept"
			return tx.UpdateCategory(ctx, c)
		})
		found, err := b.Courses.CategoriesBySlug(timeout(t), []string{"a", "b"})
		require.NoError(t, err)
		require.ElementsMatch(t, []string{"Category a", "kept"}, []string{found[0].Name, found[1].Name})
	})
	s.run("MoveCategory gives courses and children to another, and DeleteCategory refuses one in use with ErrCategoryInUse", func(t *testing.T, b *storage.Backend) {
		g := grove(t, b)
		teacher := insertUsers(t, b, person("teacher"))[0]
		c := course("one", teacher.ID)
		c.Category.ID = g["a1"].ID
		insertCourses(t, b, c)
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			return errors.Join(
				want(tx.DeleteCategory(ctx, g["a"].ID), courses.ErrCategoryInUse),
				want(tx.DeleteCategory(ctx, g["a1"].ID), courses.ErrCategoryInUse),
				want(tx.DeleteCategory(ctx, 404), courses.ErrCategoryNotFound),
				tx.MoveCategory(ctx, g["a1"].ID, g["b"].ID, day.Add(time.Hour)),
				tx.DeleteCategory(ctx, g["a1"].ID),
				tx.RecountCategories(ctx),
			)
		})
		got := bySlug(t, b, "one")
		require.Equal(t, courses.Category{ID: g["b"].ID, Slug: "b", Name: "Category b"}, got.Category)
		require.EqualValues(t, 2, got.Version)
		require.Equal(t, day.Add(time.Hour), got.UpdatedAt)
		hits, err := b.Courses.ListCourses(timeout(t), courses.ListQuery{Status: courses.Published, Categories: []courses.CategoryID{g["b"].ID}, Sort: courses.Rating, Limit: 5})
		require.NoError(t, err)
		require.Len(t, hits, 1)
		all, err := b.Courses.Categories(timeout(t), "", 10)
		require.NoError(t, err)
		require.Len(t, all, 4)
		counts := map[string]int{}
		for _, k := range all {
			counts[k.Slug] = k.CourseCount
			if k.Slug == "a11" {
				require.Equal(t, "b", k.Parent)
				require.EqualValues(t, 2, k.Version)
			}
		}
		require.Equal(t, map[string]int{"a": 0, "a11": 0, "a2": 0, "b": 1}, counts)
	})
	s.run("a course may come into a category while the tree is changed, but not into one that goes", func(t *testing.T, b *storage.Backend) {
		g := grove(t, b)
		teacher := insertUsers(t, b, person("teacher"))[0]
		for round := range size(20, 6) {
			gone := insertCategories(t, b, courses.Category{Slug: fmt.Sprint("gone-", round), Name: "Gone"})[0]
			errs := atOnce(b, 4, func(ctx context.Context, tx courses.Tx, i int) error {
				switch i {
				case 0:
					if _, err := tx.CategoriesForUpdate(ctx); err != nil {
						return err
					}
					return errors.Join(tx.MoveCategory(ctx, gone.ID, g["b"].ID, day), tx.DeleteCategory(ctx, gone.ID), tx.RecountCategories(ctx))
				case 1:
					all, err := tx.CategoriesForUpdate(ctx)
					require.GreaterOrEqual(t, len(all), len(g))
					return err
				}
				c := course(fmt.Sprintf("course-%d-%d", round, i), teacher.ID)
				c.Category.ID = gone.ID
				_, err := tx.InsertCourses(ctx, []courses.Course{c})
				return err
			})
			require.NoError(t, errors.Join(errs[:2]...))
			for i := 2; i < 4; i++ {
				if errs[i] == nil {
					require.Equal(t, g["b"].ID, bySlug(t, b, fmt.Sprintf("course-%d-%d", round, i)).Category.ID)
				}
			}
		}
	})
	s.run("of counts at once none loses what another has counted", func(t *testing.T, b *storage.Backend) {
		g := grove(t, b)
		teacher := insertUsers(t, b, person("teacher"))[0]
		const writers = 10
		require.NoError(t, errors.Join(atOnce(b, writers, func(ctx context.Context, tx courses.Tx, i int) error {
			c := course(fmt.Sprint("course-", i), teacher.ID)
			c.Category.ID = g[[]string{"a1", "a11", "a2"}[i%3]].ID
			if _, err := tx.InsertCourses(ctx, []courses.Course{c}); err != nil {
				return err
			}
			return tx.RecountCategories(ctx)
		})...))
		found, err := b.Courses.CategoriesBySlug(timeout(t), []string{"a"})
		require.NoError(t, err)
		require.Equal(t, writers, found[0].CourseCount)
	})
}

func (s suite) tagWriting() {
	s.run("InsertTag gives an id, and a taken slug is ErrSlugTaken and leaves the Tx usable", func(t *testing.T, b *storage.Backend) {
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			tag, err := tx.InsertTag(ctx, courses.Tag{Slug: "go", Name: awkward[0]})
			require.Positive(t, tag.ID)
			require.EqualValues(t, 1, tag.Version)
			_, again := tx.InsertTag(ctx, courses.Tag{Slug: "go", Name: "again"})
			got, missing := tx.TagForUpdate(ctx, "go")
			require.Equal(t, tag, got)
			_, none := tx.TagForUpdate(ctx, "nothing")
			return errors.Join(err, want(again, courses.ErrSlugTaken), missing, want(none, courses.ErrTagNotFound))
		})
	})
	s.run("UpdateTag and DeleteTag index the courses of the tag anew", func(t *testing.T, b *storage.Backend) {
		sh := newShelf(t, b)
		n := size(1200, 130)
		list := make([]courses.Course, n)
		for i := range list {
			list[i] = course(fmt.Sprint("course-", i), sh.teachers[0])
			list[i].Title, list[i].Description = "plain", "<p>body &amp; soul</p>"
			list[i].Tags = sh.tags[:1+i%2]
		}
		insertCourses(t, b, list...)
		count := func(query string) int {
			n, err := b.Courses.CountCourses(timeout(t), courses.ListQuery{Status: courses.Published, Terms: []string{query}})
			require.NoError(t, err)
			return n
		}
		require.Equal(t, n, count("plain"))
		require.Equal(t, n/2, count("backend"))
		tag := sh.tags[1]
		tag.Slug, tag.Name = "renamed", "zebra"
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			taken, missing := tag, tag
			taken.Slug, missing.ID = "tag-1", 404
			missing.Slug = "missing"
			return errors.Join(want(tx.UpdateTag(ctx, taken), courses.ErrSlugTaken), want(tx.UpdateTag(ctx, missing), courses.ErrTagNotFound), tx.UpdateTag(ctx, tag))
		})
		require.Equal(t, []int{0, n / 2, n, n}, []int{count("backend"), count("zebra"), count("plain"), count("soul")})
		require.Zero(t, count("amp"), "what is indexed is the words, not the markup")
		found, err := b.Courses.TagsBySlug(timeout(t), []string{"renamed", "tag-2"})
		require.NoError(t, err)
		tag.Version = 2
		require.Equal(t, []courses.Tag{tag}, found)
		require.EqualValues(t, 1, bySlug(t, b, "course-1").Version, "a name of a tag is none of the course's own")

		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			return errors.Join(tx.DeleteTag(ctx, tag.ID, day.Add(time.Hour)), want(tx.DeleteTag(ctx, tag.ID, day), courses.ErrTagNotFound))
		})
		require.Equal(t, []int{0, n}, []int{count("zebra"), count("plain")})
		got := bySlug(t, b, "course-1")
		require.Equal(t, sh.tags[:1], got.Tags)
		require.EqualValues(t, 2, got.Version)
		require.Equal(t, day.Add(time.Hour), got.UpdatedAt)
		require.EqualValues(t, 1, bySlug(t, b, "course-0").Version, "a course without the tag")
		require.Equal(t, day, bySlug(t, b, "course-0").UpdatedAt)
	})
	s.run("of two tags of a course that are renamed at once, and of a tag and its course, none leaves its old words in the index", func(t *testing.T, b *storage.Backend) {
		sh := newShelf(t, b)
		c := course("one", sh.teachers[0])
		c.Title, c.Description, c.Tags = "plain", "alpha", sh.tags[:2]
		c = insertCourses(t, b, c)[0]
		renamed := func(tag courses.Tag, name string) func(ctx context.Context, tx courses.Tx) error {
			tag.Name = name
			return func(ctx context.Context, tx courses.Tx) error { return tx.UpdateTag(ctx, tag) }
		}
		beside(t, b, renamed(sh.tags[0], "zebra"), renamed(sh.tags[1], "giraffe"))
		require.Equal(t, []string{"one"}, find(t, b, "zebra giraffe plain alpha"))
		beside(t, b, renamed(sh.tags[1], "okapi"), func(ctx context.Context, tx courses.Tx) error { return tx.DeleteTag(ctx, sh.tags[0].ID, day) })
		require.Equal(t, []string{"one"}, find(t, b, "okapi plain alpha"))
		require.Empty(t, find(t, b, "zebra"))
		require.Empty(t, find(t, b, "giraffe"))
		beside(t, b, func(ctx context.Context, tx courses.Tx) error { // an edit that takes the tag off
			c.Description, c.Tags = "omega", nil
			return tx.UpdateCourses(ctx, []courses.Course{c})
		}, renamed(sh.tags[1], "lemur"))
		require.Equal(t, []string{"one"}, find(t, b, "plain omega"))
		require.Empty(t, find(t, b, "lemur"))
	})
}
