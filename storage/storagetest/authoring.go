package storagetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage"
)

// writing returns the error of an Update of the catalogue.
func writing(t testing.TB, b *storage.Backend, fn func(ctx context.Context, tx courses.Tx) error) error {
	t.Helper()
	return b.Courses.Update(timeout(t), fn)
}

// atOnce runs n writers together and returns their errors.
func atOnce(b *storage.Backend, n int, fn func(ctx context.Context, tx courses.Tx, i int) error) []error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			errs[i] = b.Courses.Update(context.Background(), func(ctx context.Context, tx courses.Tx) error { return fn(ctx, tx, i) })
		})
	}
	wg.Wait()
	return errs
}

// want turns the wrong error into one that says so.
func want(err, wanted error) error {
	if !errors.Is(err, wanted) {
		return fmt.Errorf("want %s, got: %w", wanted.Error(), err)
	}
	return nil
}

func (s suite) authoring() {
	s.run("CourseForUpdate finds a course by its present and its old slugs, and a missing one is ErrCourseNotFound", func(t *testing.T, b *storage.Backend) {
		sh := newShelf(t, b)
		c := course("one", sh.teachers[0])
		c.Category, c.Tags = sh.categories[0], sh.tags[:2]
		c = insertCourses(t, b, c)[0]
		for _, slug := range []string{"two", "three"} {
			c.Slug = slug
			require.NoError(t, updateCourses(t, b, c))
		}
		want := bySlug(t, b, "three")
		for _, slug := range []string{"one", "two", "three"} {
			write(t, b, func(ctx context.Context, tx courses.Tx) error {
				got, err := tx.CourseForUpdate(ctx, slug)
				require.Equal(t, want, got)
				return err
			})
		}
		for _, slug := range []string{"nothing", "", "a\x00b"} {
			require.ErrorIs(t, writing(t, b, func(ctx context.Context, tx courses.Tx) error {
				_, err := tx.CourseForUpdate(ctx, slug)
				return err
			}), courses.ErrCourseNotFound)
		}
	})
	s.run("writers that take CourseForUpdate take turns, and each sees what the one before has committed", func(t *testing.T, b *storage.Backend) {
		sh := newShelf(t, b)
		c := course("one", sh.teachers[0])
		c.Price.Minor = 0
		insertCourses(t, b, c)
		const writers = 12
		require.NoError(t, errors.Join(atOnce(b, writers, func(ctx context.Context, tx courses.Tx, i int) error {
			got, err := tx.CourseForUpdate(ctx, "one")
			if err != nil {
				return err
			}
			got.Price.Minor++
			got.Category, got.Tags = sh.categories[i%3], sh.tags[:i%4]
			return tx.UpdateCourses(ctx, []courses.Course{got})
		})...))
		got := bySlug(t, b, "one")
		require.EqualValues(t, writers, got.Price.Minor)
		require.EqualValues(t, writers+1, got.Version)
	})
	s.run("a rename keeps the old slug for its course, which may take it back", func(t *testing.T, b *storage.Backend) {
		sh := newShelf(t, b)
		list := insertCourses(t, b, course("one", sh.teachers[0]), course("other", sh.teachers[0]))
		c, other := list[0], list[1]
		c.Slug = "two"
		require.NoError(t, updateCourses(t, b, c))
		present, err := b.Courses.CurrentSlug(timeout(t), "one")
		require.NoError(t, err)
		require.Equal(t, "two", present)
		_, err = b.Courses.CourseBySlug(timeout(t), "one")
		require.ErrorIs(t, err, courses.ErrCourseNotFound, "an old slug is no present one")
		taken, err := b.Courses.TakenSlugs(timeout(t), []string{"free", "one", "two", "other", "a\x00b", "one"})
		require.NoError(t, err)
		require.ElementsMatch(t, []string{"one", "two", "other"}, taken)
		taken, err = b.Courses.TakenSlugs(timeout(t), nil)
		require.NoError(t, err)
		require.Empty(t, taken)

		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			_, err := tx.InsertCourses(ctx, []courses.Course{course("new", sh.teachers[0]), course("one", sh.teachers[0])})
			other.Slug, other.Title = "one", "lost"
			if err := errors.Join(want(err, courses.ErrSlugTaken), want(tx.UpdateCourses(ctx, []courses.Course{other}), courses.ErrSlugTaken)); err != nil {
				return err
			}
			_, err = tx.InsertCourses(ctx, []courses.Course{course("kept", sh.teachers[0])})
			return err
		})
		require.Equal(t, "Course other", bySlug(t, b, "other").Title)
		ids, err := b.Courses.CourseIDs(timeout(t), []string{"new", "kept"})
		require.NoError(t, err)
		require.Len(t, ids, 1, "none of a refused list is written")

		c.Slug = "one"
		require.NoError(t, updateCourses(t, b, c), "it takes its old slug back")
		present, err = b.Courses.CurrentSlug(timeout(t), "two")
		require.NoError(t, err)
		require.Equal(t, "one", present)
		for _, never := range []string{"nothing", "other", "a\x00b"} {
			_, err = b.Courses.CurrentSlug(timeout(t), never)
			require.ErrorIs(t, err, courses.ErrCourseNotFound)
		}
	})
	s.run("a slug that is left and taken at the same time is never given to another course", func(t *testing.T, b *storage.Backend) {
		sh := newShelf(t, b)
		for round := range size(100, 15) {
			old := fmt.Sprint("old-", round)
			c := insertCourses(t, b, course(old, sh.teachers[0]))[0]
			other := insertCourses(t, b, course(fmt.Sprint("other-", round), sh.teachers[0]))[0]
			errs := atOnce(b, 3, func(ctx context.Context, tx courses.Tx, i int) error {
				switch i {
				case 0:
					c := c
					c.Slug = fmt.Sprint("new-", round)
					return tx.UpdateCourses(ctx, []courses.Course{c})
				case 1:
					_, err := tx.InsertCourses(ctx, []courses.Course{course(old, sh.teachers[0])})
					return err
				}
				other := other
				other.Slug = old
				return tx.UpdateCourses(ctx, []courses.Course{other})
			})
			require.NoError(t, errs[0], "the rename")
			require.ErrorIs(t, errs[1], courses.ErrSlugTaken, "the insert")
			require.ErrorIs(t, errs[2], courses.ErrSlugTaken, "the other rename")
		}
	})
	s.run("DeleteCourse removes a course with all that belongs to it, and a missing one is ErrCourseNotFound", func(t *testing.T, b *storage.Backend) {
		one, other, m := book(t, b)
		chapters(t, b, m)
		tag := ensureTags(t, b, courses.Tag{Slug: "tag", Name: "Tag"})[0]
		one.Title, one.Tags, one.Slug = "quantum", []courses.Tag{tag}, "renamed"
		require.NoError(t, updateCourses(t, b, one))
		require.Equal(t, []string{"renamed"}, find(t, b, "quantum"))
		write(t, b, func(ctx context.Context, tx courses.Tx) error { return tx.DeleteCourse(ctx, one.ID) })
		require.Empty(t, find(t, b, "quantum"))
		taken, err := b.Courses.TakenSlugs(timeout(t), []string{"one", "renamed"})
		require.NoError(t, err)
		require.Empty(t, taken)
		count, err := b.Courses.CountContent(timeout(t), one.ID)
		require.NoError(t, err)
		require.Zero(t, count)
		count, err = b.Courses.CountContent(timeout(t), other.ID)
		require.NoError(t, err)
		require.Equal(t, courses.ContentCount{Modules: 1, Lessons: 1, Filled: 1}, count, "another course")
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			return errors.Join(want(tx.DeleteCourse(ctx, one.ID), courses.ErrCourseNotFound), tx.DeleteTag(ctx, tag.ID))
		})
		insertCourses(t, b, course("one", one.Teacher.ID))
	})
	s.run("HasCourses tells of courses in any status", func(t *testing.T, b *storage.Backend) {
		sh := newShelf(t, b)
		c := course("one", sh.teachers[1])
		c.Status = courses.Archived
		insertCourses(t, b, c)
		for i, want := range []bool{false, true, false} {
			got, err := b.Courses.HasCourses(timeout(t), sh.teachers[i])
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
	})
	s.treeWriting()
	s.tagWriting()
	s.contentWriting()
}

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
				tx.MoveCategory(ctx, g["a1"].ID, g["b"].ID),
				tx.DeleteCategory(ctx, g["a1"].ID),
				tx.RecountCategories(ctx),
			)
		})
		got := bySlug(t, b, "one")
		require.Equal(t, courses.Category{ID: g["b"].ID, Slug: "b", Name: "Category b"}, got.Category)
		require.EqualValues(t, 2, got.Version)
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
			return errors.Join(tx.DeleteTag(ctx, tag.ID), want(tx.DeleteTag(ctx, tag.ID), courses.ErrTagNotFound))
		})
		require.Equal(t, []int{0, n}, []int{count("zebra"), count("plain")})
		got := bySlug(t, b, "course-1")
		require.Equal(t, sh.tags[:1], got.Tags)
		require.EqualValues(t, 2, got.Version)
		require.EqualValues(t, 1, bySlug(t, b, "course-0").Version, "a course without the tag")
	})
}

func (s suite) contentWriting() {
	s.run("a module or lesson is not found in another course", func(t *testing.T, b *storage.Backend) {
		one, other, m := book(t, b)
		l := chapters(t, b, m)
		gotModule, err := b.Courses.ModuleByID(timeout(t), one.ID, m[0].ID)
		require.NoError(t, err)
		require.Equal(t, m[0], gotModule)
		gotLesson, err := b.Courses.LessonByID(timeout(t), one.ID, l[3].ID)
		require.NoError(t, err)
		require.Equal(t, l[3], gotLesson)
		_, err = b.Courses.ModuleByID(timeout(t), other.ID, m[0].ID)
		require.ErrorIs(t, err, courses.ErrModuleNotFound)
		_, err = b.Courses.LessonByID(timeout(t), other.ID, l[3].ID)
		require.ErrorIs(t, err, courses.ErrLessonNotFound)
		modules, err := b.Courses.ModuleIDs(timeout(t), one.ID)
		require.NoError(t, err)
		require.Equal(t, []courses.ModuleID{m[1].ID, m[0].ID, m[2].ID}, modules)
		lessons, err := b.Courses.LessonIDs(timeout(t), one.ID, m[0].ID)
		require.NoError(t, err)
		require.Equal(t, []courses.LessonID{l[1].ID, l[2].ID, l[0].ID}, lessons)
		lessons, err = b.Courses.LessonIDs(timeout(t), other.ID, m[0].ID)
		require.NoError(t, err)
		require.Empty(t, lessons)
		require.NoError(t, writing(t, b, func(ctx context.Context, tx courses.Tx) error {
			return errors.Join(
				want(tx.DeleteModule(ctx, other.ID, m[0].ID), courses.ErrModuleNotFound), want(tx.DeleteLesson(ctx, other.ID, l[0].ID), courses.ErrLessonNotFound),
				want(tx.PlaceModules(ctx, other.ID, []courses.ModuleID{m[3].ID, m[0].ID}), courses.ErrModuleNotFound),
				want(tx.PlaceLessons(ctx, one.ID, m[0].ID, []courses.LessonID{l[0].ID, l[6].ID}), courses.ErrLessonNotFound),
			)
		}))
		count, err := b.Courses.CountContent(timeout(t), one.ID)
		require.NoError(t, err)
		require.Equal(t, courses.ContentCount{Modules: 3, Lessons: 6, Filled: 3}, count)
		again, err := b.Courses.LessonIDs(timeout(t), one.ID, m[0].ID)
		require.NoError(t, err)
		require.Equal(t, []courses.LessonID{l[1].ID, l[2].ID, l[0].ID}, again, "a refused order changes nothing")
	})
	s.run("DeleteModule takes its lessons along, and the positions of the others stay", func(t *testing.T, b *storage.Backend) {
		one, _, m := book(t, b)
		l := chapters(t, b, m)
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			return errors.Join(tx.DeleteModule(ctx, one.ID, m[0].ID), tx.DeleteLesson(ctx, one.ID, l[3].ID))
		})
		modules, err := b.Courses.Modules(timeout(t), one.ID, 0, 10)
		require.NoError(t, err)
		require.Equal(t, []courses.Module{m[1], m[2]}, modules)
		lessons, err := b.Courses.Lessons(timeout(t), one.ID, 0, [2]int{}, 10)
		require.NoError(t, err)
		require.Equal(t, []courses.Lesson{l[4], l[5]}, lessons)
		require.ErrorIs(t, writing(t, b, func(ctx context.Context, tx courses.Tx) error { return tx.DeleteModule(ctx, one.ID, m[0].ID) }), courses.ErrModuleNotFound)
	})
	s.run("PlaceModules and PlaceLessons give the positions from 1 by a fixed number of statements", func(t *testing.T, b *storage.Backend) {
		teacher := insertUsers(t, b, person("teacher"))[0].ID
		one := insertCourses(t, b, course("one", teacher))[0]
		r := random(t)
		statements := map[int]bool{}
		for _, n := range []int{1, 2, size(500, 60)} {
			stored, err := b.Courses.ModuleIDs(timeout(t), one.ID)
			require.NoError(t, err)
			var list []courses.Module
			for i := len(stored); i < n; i++ {
				list = append(list, courses.Module{CourseID: one.ID, Title: fmt.Sprint("module ", i), Position: i*3 + 2})
			}
			ids := slices.Clone(stored)
			for _, m := range insertModules(t, b, list...) {
				ids = append(ids, m.ID)
			}
			r.Shuffle(n, func(i, k int) { ids[i], ids[k] = ids[k], ids[i] })
			ctx, queries := storage.CountQueries(timeout(t))
			require.NoError(t, b.Courses.Update(ctx, func(ctx context.Context, tx courses.Tx) error { return tx.PlaceModules(ctx, one.ID, ids) }))
			statements[queries.Count()] = true
			got, err := b.Courses.Modules(timeout(t), one.ID, 0, n+1)
			require.NoError(t, err)
			for i, m := range got {
				require.Equal(t, ids[i], m.ID)
				require.Equal(t, i+1, m.Position)
			}
		}
		require.Len(t, statements, 1, "statements whatever the number of modules")
	})
	s.run("PlaceLessons takes in lessons of other modules, and the versions of those that move grow", func(t *testing.T, b *storage.Backend) {
		one, _, m := book(t, b)
		l := chapters(t, b, m)
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			return errors.Join(
				tx.PlaceLessons(ctx, one.ID, m[0].ID, []courses.LessonID{l[1].ID, l[4].ID, l[0].ID, l[2].ID, l[5].ID}),
				tx.PlaceModules(ctx, one.ID, []courses.ModuleID{m[2].ID, m[1].ID, m[0].ID}),
			)
		})
		got, err := b.Courses.Lessons(timeout(t), one.ID, 0, [2]int{}, 10)
		require.NoError(t, err)
		type place struct {
			lesson                   courses.LessonID
			module                   courses.ModuleID
			modulePosition, position int
			version                  int64
		}
		var places []place
		for _, l := range got {
			places = append(places, place{l.ID, l.ModuleID, l.ModulePosition, l.Position, l.Version})
		}
		require.Equal(t, []place{
			{l[3].ID, m[1].ID, 2, 8, 1},
			{l[1].ID, m[0].ID, 3, 1, 1},
			{l[4].ID, m[0].ID, 3, 2, 2},
			{l[0].ID, m[0].ID, 3, 3, 1},
			{l[2].ID, m[0].ID, 3, 4, 2},
			{l[5].ID, m[0].ID, 3, 5, 2},
		}, places)
		modules, err := b.Courses.Modules(timeout(t), one.ID, 0, 10)
		require.NoError(t, err)
		require.Equal(t, []int64{2, 1, 2}, []int64{modules[0].Version, modules[1].Version, modules[2].Version}, "the second was at 2 already")
	})
	s.run("orders at once end in one of them", func(t *testing.T, b *storage.Backend) {
		one, _, m := book(t, b)
		ids := []courses.ModuleID{m[0].ID, m[1].ID, m[2].ID}
		reversed := slices.Clone(ids)
		slices.Reverse(reversed)
		require.NoError(t, errors.Join(atOnce(b, 8, func(ctx context.Context, tx courses.Tx, i int) error {
			if _, err := tx.CourseForUpdate(ctx, "one"); err != nil {
				return err
			}
			return tx.PlaceModules(ctx, one.ID, [][]courses.ModuleID{ids, reversed}[i%2])
		})...))
		got, err := b.Courses.ModuleIDs(timeout(t), one.ID)
		require.NoError(t, err)
		require.Contains(t, [][]courses.ModuleID{ids, reversed}, got)
	})
}
