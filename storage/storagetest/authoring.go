package storagetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
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
	s.run("the slug that a course leaves is free unless it was published, and more than MaxOldSlugs of a course are ErrTooMany", func(t *testing.T, b *storage.Backend) {
		sh := newShelf(t, b)
		draft, archived := course("draft", sh.teachers[0]), course("archived", sh.teachers[0])
		draft.Status, draft.PublishedAt = courses.Draft, time.Time{}
		archived.Status = courses.Archived
		list := insertCourses(t, b, draft, archived)
		for i := range list {
			list[i].Slug += "-2"
		}
		require.NoError(t, updateCourses(t, b, list...))
		taken, err := b.Courses.TakenSlugs(timeout(t), []string{"draft", "archived"})
		require.NoError(t, err)
		require.Equal(t, []string{"archived"}, taken)
		insertCourses(t, b, course("draft", sh.teachers[0]))

		c := bySlug(t, b, "archived-2")
		for i := 1; i < courses.MaxOldSlugs; i++ {
			c.Slug = fmt.Sprint("other-", i)
			require.NoError(t, updateCourses(t, b, c))
		}
		c.Slug = "archived"
		require.NoError(t, updateCourses(t, b, c), "one that it had")
		before := bySlug(t, b, "archived")
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			c.Slug = "one-more"
			return errors.Join(want(tx.UpdateCourses(ctx, []courses.Course{c}), courses.ErrTooMany), tx.LockTree(ctx))
		})
		require.Equal(t, before, bySlug(t, b, "archived"))
	})
	s.run("LockTeachers returns role and activity, and keeps them until the end of the transaction, by one statement", func(t *testing.T, b *storage.Backend) {
		off := person("off")
		off.Active, off.Role = false, core.Student
		users := insertUsers(t, b, person("teacher"), off)
		ids := []core.UserID{users[0].ID}
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			counted, queries := storage.CountQueries(ctx)
			got, err := tx.LockTeachers(counted, []core.UserID{users[1].ID, 404, users[0].ID, users[1].ID}) // another store may hold 404
			require.Equal(t, map[core.UserID]courses.Standing{
				users[0].ID: {Role: core.Teacher, Active: true}, users[1].ID: {Role: core.Student}, 404: {Role: core.Teacher, Active: true},
			}, got)
			require.LessOrEqual(t, queries.Count(), 1)
			none, nothing := tx.LockTeachers(ctx, nil)
			require.Empty(t, none)
			return errors.Join(err, nothing)
		})
		locked, demoted := make(chan bool), make(chan error, 1)
		go func() {
			<-locked
			demoted <- b.Accounts.Update(context.Background(), func(ctx context.Context, tx accounts.Tx) error {
				list, err := tx.UsersForUpdate(ctx, "teacher")
				if err != nil {
					return err
				}
				list[0].Role = core.Student
				return tx.UpdateUsers(ctx, list[0])
			})
		}()
		first := true // of the runs of the closure
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			if _, err := tx.LockTeachers(ctx, ids[:1]); err != nil {
				return err
			}
			if first {
				first = false
				close(locked)
			}
			select {
			case err := <-demoted:
				return fmt.Errorf("the role was changed under the lock: %w", err)
			case <-time.After(200 * time.Millisecond):
			}
			got, err := tx.LockTeachers(ctx, ids[:1])
			require.Equal(t, courses.Standing{Role: core.Teacher, Active: true}, got[ids[0]])
			return err
		})
		require.NoError(t, <-demoted)
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			got, err := tx.LockTeachers(ctx, ids[:1])
			require.Equal(t, core.Student, got[ids[0]].Role)
			return err
		})
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
			return errors.Join(want(tx.DeleteCourse(ctx, one.ID), courses.ErrCourseNotFound), tx.DeleteTag(ctx, tag.ID, day))
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
