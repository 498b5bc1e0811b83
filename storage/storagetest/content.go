package storagetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage"
)

func insertModules(t testing.TB, b *storage.Backend, list ...courses.Module) (out []courses.Module) {
	t.Helper()
	write(t, b, func(ctx context.Context, tx courses.Tx) (err error) {
		out, err = tx.InsertModules(ctx, list)
		return err
	})
	require.Len(t, out, len(list))
	return out
}

func insertLessons(t testing.TB, b *storage.Backend, list ...courses.Lesson) (out []courses.Lesson) {
	t.Helper()
	write(t, b, func(ctx context.Context, tx courses.Tx) (err error) {
		out, err = tx.InsertLessons(ctx, list)
		return err
	})
	require.Len(t, out, len(list))
	return out
}

// book is two courses: one with modules at 5, 2 and 9, and another.
func book(t testing.TB, b *storage.Backend) (one, other courses.Course, modules []courses.Module) {
	t.Helper()
	teacher := insertUsers(t, b, person("teacher"))[0].ID
	list := insertCourses(t, b, course("one", teacher), course("other", teacher))
	one, other = list[0], list[1]
	for i, position := range []int{5, 2, 9} {
		modules = append(modules, courses.Module{CourseID: one.ID, Title: awkward[i], Description: awkward[i+1], TextPolicy: i, Position: position, Version: 1})
	}
	modules = append(modules, courses.Module{CourseID: other.ID, Title: "Other", Position: 5, Version: 1})
	for i, m := range insertModules(t, b, modules...) {
		require.Positive(t, m.ID)
		modules[i].ID = m.ID
		require.Equal(t, modules[i], m, "InsertModules returns them with ids, in order")
	}
	return one, other, modules
}

func (s suite) content() {
	s.run("Modules come by position after the given one, of their course only", func(t *testing.T, b *storage.Backend) {
		one, other, m := book(t, b)
		for _, c := range []struct {
			course       courses.CourseID
			after, limit int
			want         []courses.Module
		}{
			{one.ID, 0, 10, []courses.Module{m[1], m[0], m[2]}},
			{one.ID, 0, 2, []courses.Module{m[1], m[0]}},
			{one.ID, 2, 10, []courses.Module{m[0], m[2]}},
			{one.ID, 9, 10, nil},
			{other.ID, 0, 10, m[3:]},
			{404, 0, 10, nil},
		} {
			got, err := b.Courses.Modules(timeout(t), c.course, c.after, c.limit)
			require.NoError(t, err)
			require.Equal(t, len(c.want), len(got))
			if len(got) > 0 {
				require.Equal(t, c.want, got)
			}
		}
		all, err := b.Courses.ModulesOf(timeout(t), []courses.CourseID{other.ID, one.ID, 404})
		require.NoError(t, err)
		require.ElementsMatch(t, m, all)
		all, err = b.Courses.ModulesOf(timeout(t), nil)
		require.NoError(t, err)
		require.Empty(t, all)
	})
	s.run("LessonCourses returns the courses of the lessons that exist, by one statement", func(t *testing.T, b *storage.Backend) {
		one, other, m := book(t, b)
		made := insertLessons(t, b,
			courses.Lesson{CourseID: one.ID, ModuleID: m[0].ID, Title: "1", Kind: courses.Text, Position: 1, Version: 1},
			courses.Lesson{CourseID: other.ID, ModuleID: m[3].ID, Title: "2", Kind: courses.Text, Position: 1, Version: 1},
		)
		ctx, queries := storage.CountQueries(timeout(t))
		got, err := b.Courses.LessonCourses(ctx, []courses.LessonID{made[1].ID, made[0].ID, 404404, made[0].ID})
		require.NoError(t, err)
		require.Equal(t, map[courses.LessonID]courses.CourseID{made[0].ID: one.ID, made[1].ID: other.ID}, got)
		require.Equal(t, 1, queries.Count())
		none, err := b.Courses.LessonCourses(timeout(t), nil)
		require.NoError(t, err)
		require.Empty(t, none)
	})
	s.run("a taken position of a module is ErrPositionTaken, adds none and leaves the Tx usable", func(t *testing.T, b *storage.Backend) {
		one, other, _ := book(t, b)
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			for _, bad := range [][]courses.Module{
				{{CourseID: one.ID, Title: "new", Position: 1}, {CourseID: one.ID, Title: "taken", Position: 5}},
				{{CourseID: one.ID, Title: "new", Position: 1}, {CourseID: one.ID, Title: "twin", Position: 1}},
			} {
				if _, err := tx.InsertModules(ctx, bad); !errors.Is(err, courses.ErrPositionTaken) || !errors.Is(err, core.ErrConflict) {
					return fmt.Errorf("want ErrPositionTaken, got: %w", err)
				}
			}
			_, err := tx.InsertModules(ctx, []courses.Module{{CourseID: other.ID, Title: "kept", Position: 2}})
			return err
		})
		for id, want := range map[courses.CourseID]int{one.ID: 3, other.ID: 2} {
			got, err := b.Courses.Modules(timeout(t), id, 0, 10)
			require.NoError(t, err)
			require.Len(t, got, want)
		}
	})
	s.run("of concurrent writers of one position a single one wins and the others are ErrPositionTaken", func(t *testing.T, b *storage.Backend) {
		one, _, _ := book(t, b)
		const writers = 6
		errs := make(chan error, writers)
		for range writers {
			go func() {
				errs <- b.Courses.Update(context.Background(), func(ctx context.Context, tx courses.Tx) error {
					_, err := tx.InsertModules(ctx, []courses.Module{{CourseID: one.ID, Title: "seat", Position: 1}})
					return err
				})
			}()
		}
		won := 0
		for range writers {
			if err := <-errs; err == nil {
				won++
			} else {
				require.ErrorIs(t, err, courses.ErrPositionTaken)
			}
		}
		require.Equal(t, 1, won)
	})
	s.run("UpdateModules writes title, description and text policy, and a missing one is ErrModuleNotFound", func(t *testing.T, b *storage.Backend) {
		one, _, m := book(t, b)
		changed := m[0]
		changed.Title, changed.Description, changed.Position, changed.TextPolicy, changed.Version = "Новое", "'d'", 77, 9, 50
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			return tx.UpdateModules(ctx, []courses.Module{changed})
		})
		changed.Position, changed.Version = m[0].Position, 2
		got, err := b.Courses.Modules(timeout(t), one.ID, 0, 10)
		require.NoError(t, err)
		require.Equal(t, []courses.Module{m[1], changed, m[2]}, got)
		err = b.Courses.Update(timeout(t), func(ctx context.Context, tx courses.Tx) error {
			return tx.UpdateModules(ctx, []courses.Module{{ID: m[1].ID, Title: "lost"}, {ID: 404, Title: "x"}})
		})
		require.ErrorIs(t, err, courses.ErrModuleNotFound)
		require.ErrorIs(t, err, core.ErrNotFound)
		again, err := b.Courses.Modules(timeout(t), one.ID, 0, 10)
		require.NoError(t, err)
		require.Equal(t, got, again)
	})
	s.lessons()
}

// chapters puts lessons into the modules of book; the first three are of m[0].
func chapters(t testing.TB, b *storage.Backend, m []courses.Module) []courses.Lesson {
	t.Helper()
	var list []courses.Lesson
	for i, at := range [][2]int{{0, 3}, {0, 1}, {0, 2}, {1, 8}, {1, 7}, {2, 1}, {3, 1}} {
		module := m[at[0]]
		list = append(list, courses.Lesson{
			CourseID: module.CourseID, ModuleID: module.ID, ModulePosition: module.Position, Position: at[1],
			Title: awkward[i], Content: "<p>" + awkward[i+1] + "</p>", Kind: []courses.Kind{courses.Text, courses.Video, courses.File}[i%3],
			Duration: time.Duration(i) * 61 * time.Second, FreePreview: i%2 == 0, TextPolicy: i, Version: 1,
		})
	}
	for i, l := range insertLessons(t, b, list...) {
		require.Positive(t, l.ID)
		require.Equal(t, list[i].Title, l.Title, "InsertLessons returns them in order")
		list[i].ID = l.ID
	}
	return list
}

func (s suite) lessons() {
	s.run("Lessons come by module position and position after the pair, of their course or module only", func(t *testing.T, b *storage.Backend) {
		one, other, m := book(t, b)
		l := chapters(t, b, m)
		order := []courses.Lesson{l[4], l[3], l[1], l[2], l[0], l[5]}
		for _, c := range []struct {
			course courses.CourseID
			module courses.ModuleID
			want   []courses.Lesson
		}{{one.ID, 0, order}, {one.ID, m[0].ID, order[2:5]}, {one.ID, m[1].ID, order[:2]}, {other.ID, 0, l[6:]}, {other.ID, m[0].ID, nil}} {
			for size := 1; size <= 7; size++ {
				var got []courses.Lesson
				after := [2]int{}
				for {
					page, err := b.Courses.Lessons(timeout(t), c.course, c.module, after, size)
					require.NoError(t, err)
					require.LessOrEqual(t, len(page), size)
					if len(page) == 0 {
						break
					}
					got = append(got, page...)
					last := page[len(page)-1]
					after = [2]int{last.ModulePosition, last.Position}
					require.LessOrEqual(t, len(got), len(l), "the walk does not end")
				}
				require.Equal(t, c.want, got, "pages of %d", size)
			}
		}
		all, err := b.Courses.LessonsOf(timeout(t), []courses.ModuleID{m[0].ID, m[3].ID, 404})
		require.NoError(t, err)
		require.ElementsMatch(t, []courses.Lesson{l[0], l[1], l[2], l[6]}, all)
		var at []courses.LessonPlace
		for range 600 { // more than a store may ask for at once
			at = append(at, courses.LessonPlace{Module: m[0].ID, Position: l[0].Position}, courses.LessonPlace{Module: 404, Position: 1})
		}
		var visited []courses.Lesson
		for _, places := range [][]courses.LessonPlace{nil, at[:3], {{Module: m[3].ID, Position: l[6].Position}, {Module: m[3].ID, Position: 404}}} {
			require.NoError(t, b.Courses.LessonsAt(timeout(t), places, func(l courses.Lesson) { visited = append(visited, l) }))
		}
		require.Equal(t, []courses.Lesson{l[0], l[6]}, visited)
		require.NoError(t, b.Courses.LessonsAt(timeout(t), at, func(l courses.Lesson) { visited = append(visited, l) }))
		require.Equal(t, []courses.Lesson{l[0], l[6], l[0]}, visited)
		versions, err := b.Courses.LessonVersions(timeout(t), []courses.LessonID{l[0].ID, l[6].ID, 1 << 40, l[0].ID})
		require.NoError(t, err)
		require.Equal(t, map[courses.LessonID]int64{l[0].ID: 1, l[6].ID: 1}, versions)
		ofModules, err := b.Courses.ModuleVersions(timeout(t), []courses.ModuleID{m[0].ID, 1 << 40})
		require.NoError(t, err)
		require.Equal(t, map[courses.ModuleID]int64{m[0].ID: 1}, ofModules)
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			locked, err := tx.LockCourses(ctx, []courses.CourseID{m[0].CourseID, 1 << 40})
			if err == nil && (len(locked) != 1 || locked[m[0].CourseID] != 1) {
				err = fmt.Errorf("LockCourses gives %v", locked)
			}
			return err
		})
		all, err = b.Courses.LessonsOf(timeout(t), nil)
		require.NoError(t, err)
		require.Empty(t, all)
	})
	s.run("a taken position of a lesson is ErrPositionTaken, adds none and leaves the Tx usable", func(t *testing.T, b *storage.Backend) {
		one, _, m := book(t, b)
		l := chapters(t, b, m)
		lesson := func(module, position int) courses.Lesson {
			return courses.Lesson{CourseID: m[module].CourseID, ModuleID: m[module].ID, Title: "new", Kind: courses.Text, Position: position}
		}
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			for _, bad := range [][]courses.Lesson{{lesson(0, 9), lesson(0, 2)}, {lesson(0, 9), lesson(0, 9)}} {
				if _, err := tx.InsertLessons(ctx, bad); !errors.Is(err, courses.ErrPositionTaken) || !errors.Is(err, core.ErrConflict) {
					return fmt.Errorf("want ErrPositionTaken, got: %w", err)
				}
			}
			_, err := tx.InsertLessons(ctx, []courses.Lesson{lesson(2, 2)})
			return err
		})
		got, err := b.Courses.Lessons(timeout(t), one.ID, 0, [2]int{}, 100)
		require.NoError(t, err)
		require.Len(t, got, len(l)) // one course has all but one of them, and the new one
	})
	s.run("UpdateLessons writes title, kind, content, text policy, duration and preview, and a missing one is ErrLessonNotFound", func(t *testing.T, b *storage.Backend) {
		one, _, m := book(t, b)
		l := chapters(t, b, m)
		changed := l[1]
		changed.Title, changed.Kind, changed.Content, changed.Duration, changed.FreePreview = "Новое", courses.File, "c", time.Hour, !changed.FreePreview
		changed.TextPolicy = 9
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			return tx.UpdateLessons(ctx, []courses.Lesson{changed})
		})
		changed.Version = 2
		got, err := b.Courses.Lessons(timeout(t), one.ID, m[0].ID, [2]int{}, 10)
		require.NoError(t, err)
		require.Equal(t, []courses.Lesson{changed, l[2], l[0]}, got)
		missing := changed
		missing.ID = 404
		other := l[2]
		other.Title = "lost"
		err = b.Courses.Update(timeout(t), func(ctx context.Context, tx courses.Tx) error {
			return tx.UpdateLessons(ctx, []courses.Lesson{other, missing})
		})
		require.ErrorIs(t, err, courses.ErrLessonNotFound)
		again, err := b.Courses.Lessons(timeout(t), one.ID, m[0].ID, [2]int{}, 10)
		require.NoError(t, err)
		require.Equal(t, got, again)
	})
	s.run("many modules and lessons are written in order", func(t *testing.T, b *storage.Backend) {
		teacher := insertUsers(t, b, person("teacher"))[0].ID
		one := insertCourses(t, b, course("one", teacher))[0]
		n := size(2000, 600)
		modules := make([]courses.Module, n)
		for i := range modules {
			modules[i] = courses.Module{CourseID: one.ID, Title: fmt.Sprint("module ", i), Position: (i*7919)%n + 1}
		}
		lessons := make([]courses.Lesson, n)
		for i, m := range insertModules(t, b, modules...) {
			require.Equal(t, modules[i].Position, m.Position)
			lessons[i] = courses.Lesson{CourseID: one.ID, ModuleID: m.ID, Title: m.Title, Kind: courses.Text, Position: 1}
		}
		for i, l := range insertLessons(t, b, lessons...) {
			require.Equal(t, lessons[i].Title, l.Title)
			require.Equal(t, lessons[i].ModuleID, l.ModuleID)
		}
		got, err := b.Courses.Lessons(timeout(t), one.ID, 0, [2]int{}, n+1)
		require.NoError(t, err)
		require.Len(t, got, n)
		for i, l := range got {
			require.Equal(t, i+1, l.ModulePosition)
		}
	})
}
