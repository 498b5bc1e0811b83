package courses_test

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
)

// titles returns the titles of a course's modules, or lessons of a module, in order.
func (w *world) titles(t testing.TB, slug string, module courses.ModuleID) (titles []string) {
	t.Helper()
	if module == 0 {
		page, err := w.Modules(t.Context(), w.ann, slug, core.Page{Limit: 100})
		require.NoError(t, err)
		for _, m := range page.Items {
			titles = append(titles, m.Title)
		}
		return titles
	}
	page, err := w.Lessons(t.Context(), w.ann, slug, module, core.Page{Limit: 100})
	require.NoError(t, err)
	for _, l := range page.Items {
		titles = append(titles, l.Title)
	}
	return titles
}

func TestModulesAreWritten(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		c, err := w.Create(t.Context(), w.ann, courses.NewCourse{Title: "Go"})
		require.NoError(t, err)
		add := func(title string, position int) courses.Module {
			m, err := w.CreateModule(t.Context(), w.ann, c.Slug, courses.NewModule{Title: title, Position: position, Description: "*x*", Format: "markdown"})
			require.NoError(t, err)
			got, err := w.Module(t.Context(), w.ann, c.Slug, m.ID)
			require.NoError(t, err)
			require.Equal(t, m, got)
			return m
		}
		a, b, first := add("a", 0), add("b", 0), add("first", 1)
		middle := add("middle", 3)
		require.Equal(t, []string{"first", "a", "middle", "b"}, w.titles(t, c.Slug, 0))
		require.Equal(t, 3, middle.Position)
		require.Equal(t, "<p><em>x</em></p>", a.Description)
		_, err = w.CreateModule(t.Context(), w.ann, c.Slug, courses.NewModule{Title: "late", Position: 6})
		require.ErrorIs(t, err, core.ErrInvalid)
		require.Equal(t, []string{"position"}, fields(t, err))
		_, err = w.CreateModule(t.Context(), w.ann, c.Slug, courses.NewModule{Description: "\xff", Position: -1})
		require.ElementsMatch(t, []string{"title", "description", "position"}, fields(t, err))

		edited, err := w.EditModule(t.Context(), w.ann, c.Slug, first.ID, courses.ModuleEdit{Title: ptr("renamed"), IfVersion: first.Version})
		require.NoError(t, err)
		require.Equal(t, "<p><em>x</em></p>", edited.Description)
		require.Equal(t, first.Version+1, edited.Version)
		_, err = w.EditModule(t.Context(), w.ann, c.Slug, first.ID, courses.ModuleEdit{Title: ptr("lost"), IfVersion: first.Version})
		require.ErrorIs(t, err, core.ErrVersion)
		_, err = w.EditModule(t.Context(), w.ann, c.Slug, 404, courses.ModuleEdit{})
		require.ErrorIs(t, err, courses.ErrModuleNotFound)

		for field, ids := range map[string][]courses.ModuleID{
			"modules": {first.ID, a.ID, b.ID}, "modules[1]": {a.ID, a.ID, b.ID, first.ID},
		} {
			err := w.ReorderModules(t.Context(), w.ann, c.Slug, ids)
			require.ErrorIs(t, err, core.ErrInvalid)
			require.Equal(t, []string{field}, fields(t, err))
		}
		require.ErrorIs(t, w.ReorderModules(t.Context(), w.ann, c.Slug, []courses.ModuleID{first.ID, a.ID, b.ID, middle.ID, 404}), core.ErrInvalid)
		require.NoError(t, w.ReorderModules(t.Context(), w.ann, c.Slug, []courses.ModuleID{middle.ID, b.ID, a.ID, first.ID}))
		require.Equal(t, []string{"middle", "b", "a", "renamed"}, w.titles(t, c.Slug, 0))
		require.ErrorIs(t, w.DeleteModule(t.Context(), w.ann, c.Slug, b.ID, 77), core.ErrVersion)
		require.NoError(t, w.DeleteModule(t.Context(), w.ann, c.Slug, b.ID, 0))
		require.ErrorIs(t, w.DeleteModule(t.Context(), w.ann, c.Slug, b.ID, 0), courses.ErrModuleNotFound)
		add("second", 2)
		require.Equal(t, []string{"middle", "second", "a", "renamed"}, w.titles(t, c.Slug, 0))
	})
}

func TestLessonsAreWritten(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		c := w.in(t, w.course(t, "Go"), courses.Published)
		one, err := w.CreateModule(t.Context(), w.ann, c.Slug, courses.NewModule{Title: "Lessons"})
		require.NoError(t, err)
		two, err := w.CreateModule(t.Context(), w.ann, c.Slug, courses.NewModule{Title: "More"})
		require.NoError(t, err)
		add := func(module courses.ModuleID, title string, position int) courses.Lesson {
			l, err := w.CreateLesson(t.Context(), w.ann, c.Slug, module, courses.NewLesson{
				Title: title, Kind: courses.Text, Content: "<p>c</p><script>x</script>", DurationSeconds: 61, Position: position,
			})
			require.NoError(t, err)
			require.Equal(t, "<p>c</p>", l.Content)
			require.Equal(t, 61*time.Second, l.Duration)
			return l
		}
		a, b, first := add(one.ID, "a", 0), add(one.ID, "b", 0), add(one.ID, "first", 1)
		other := add(two.ID, "other", 0)
		require.Equal(t, []string{"first", "a", "b"}, w.titles(t, c.Slug, one.ID))
		_, err = w.CreateLesson(t.Context(), w.ann, c.Slug, 404, courses.NewLesson{Title: "x", Kind: courses.Text})
		require.ErrorIs(t, err, courses.ErrModuleNotFound)
		_, err = w.CreateLesson(t.Context(), w.ann, c.Slug, one.ID, courses.NewLesson{Kind: "quiz", DurationSeconds: -1, Content: strings.Repeat("&", 300_000)})
		require.ElementsMatch(t, []string{"title", "kind", "duration_seconds", "content"}, fields(t, err))

		edited, err := w.EditLesson(t.Context(), w.ann, c.Slug, a.ID, courses.LessonEdit{Kind: ptr(courses.Video), DurationSeconds: ptr(int64(5)), FreePreview: ptr(true), IfVersion: a.Version + 1})
		require.NoError(t, err)
		require.Equal(t, "<p>c</p>", edited.Content)
		require.Equal(t, courses.Video, edited.Kind)
		_, err = w.EditLesson(t.Context(), w.ann, c.Slug, a.ID, courses.LessonEdit{IfVersion: 1})
		require.ErrorIs(t, err, core.ErrVersion)

		err = w.ReorderLessons(t.Context(), w.ann, c.Slug, one.ID, []courses.LessonID{a.ID, b.ID})
		require.Equal(t, []string{"lessons"}, fields(t, err))
		require.ErrorIs(t, w.ReorderLessons(t.Context(), w.ann, c.Slug, one.ID, []courses.LessonID{a.ID, b.ID, first.ID, 404}), courses.ErrLessonNotFound)
		require.ErrorIs(t, w.ReorderLessons(t.Context(), w.ann, c.Slug, 404, nil), courses.ErrModuleNotFound)
		require.NoError(t, w.ReorderLessons(t.Context(), w.ann, c.Slug, one.ID, []courses.LessonID{b.ID, other.ID, first.ID, a.ID}))
		require.Equal(t, []string{"b", "other", "first", "a"}, w.titles(t, c.Slug, one.ID))
		require.Empty(t, w.titles(t, c.Slug, two.ID))

		for _, by := range []core.Actor{w.nobody, w.sam, w.bob} {
			l, err := w.Lesson(t.Context(), by, c.Slug, b.ID)
			require.NoError(t, err)
			require.True(t, l.Locked)
			require.Empty(t, l.Content)
			l, err = w.Lesson(t.Context(), by, c.Slug, a.ID)
			require.NoError(t, err)
			require.False(t, l.Locked, "a free preview")
			require.Equal(t, "<p>c</p>", l.Content)
		}
		l, err := w.Lesson(t.Context(), w.pam, c.Slug, b.ID)
		require.NoError(t, err)
		require.False(t, l.Locked)
		_, err = w.Lesson(t.Context(), w.ann, c.Slug, 404)
		require.ErrorIs(t, err, courses.ErrLessonNotFound)
		require.NoError(t, w.DeleteLesson(t.Context(), w.ann, c.Slug, b.ID, 0))
		require.Equal(t, []string{"other", "first", "a"}, w.titles(t, c.Slug, one.ID))
	})
}

func TestTheLastLessonStays(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		for _, status := range courses.Statuses {
			c := w.in(t, w.course(t, "Go "+string(status)), status)
			modules, err := w.backend.Courses.ModuleIDs(t.Context(), c.ID)
			require.NoError(t, err)
			lessons, err := w.backend.Courses.LessonIDs(t.Context(), c.ID, modules[0])
			require.NoError(t, err)
			if status == courses.Published || status == courses.InReview {
				require.ErrorIs(t, w.DeleteLesson(t.Context(), w.ann, c.Slug, lessons[0], 0), courses.ErrLastLesson)
				require.ErrorIs(t, w.DeleteModule(t.Context(), w.ann, c.Slug, modules[0], 0), courses.ErrLastLesson)
				require.Equal(t, []string{"First"}, w.titles(t, c.Slug, modules[0]))
				// Of two that are left, two at once take one.
				other, err := w.CreateLesson(t.Context(), w.ann, c.Slug, modules[0], courses.NewLesson{Title: "Second", Kind: courses.Text})
				require.NoError(t, err)
				errs := together(2, func(i int) error {
					return w.DeleteLesson(context.Background(), w.ann, c.Slug, []courses.LessonID{lessons[0], other.ID}[i], 0)
				})
				require.True(t, (errs[0] == nil) != (errs[1] == nil), "%v", errs)
				require.ErrorIs(t, errors.Join(errs...), courses.ErrLastLesson)
				continue
			}
			require.NoError(t, w.DeleteLesson(t.Context(), w.ann, c.Slug, lessons[0], 0))
		}
	})
}

func TestChangesOfContentAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		c, err := w.Create(t.Context(), w.ann, courses.NewCourse{Title: "Go"})
		require.NoError(t, err)
		const n = 12
		made := make([]courses.Module, n)
		require.NoError(t, errors.Join(together(n, func(i int) (err error) {
			made[i], err = w.CreateModule(context.Background(), w.ann, c.Slug, courses.NewModule{Title: fmt.Sprint(i), Position: i % 2})
			return err
		})...))
		var ids []courses.ModuleID
		for _, m := range made {
			ids = append(ids, m.ID)
		}
		reversed := slices.Clone(ids)
		slices.Reverse(reversed)
		require.NoError(t, errors.Join(together(8, func(i int) error {
			return w.ReorderModules(context.Background(), w.ann, c.Slug, [][]courses.ModuleID{ids, reversed}[i%2])
		})...))
		got, err := w.backend.Courses.ModuleIDs(t.Context(), c.ID)
		require.NoError(t, err)
		require.Contains(t, [][]courses.ModuleID{ids, reversed}, got)
	})
}

func TestThereIsRoomForSoMany(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		c, err := w.Create(t.Context(), w.ann, courses.NewCourse{Title: "Go"})
		require.NoError(t, err)
		modules := make([]courses.Module, courses.MaxModules)
		for i := range modules {
			modules[i] = courses.Module{CourseID: c.ID, Title: "m", Position: i + 1}
		}
		require.NoError(t, w.backend.Courses.Update(t.Context(), func(ctx context.Context, tx courses.Tx) (err error) {
			if modules, err = tx.InsertModules(ctx, modules); err != nil {
				return err
			}
			lessons := make([]courses.Lesson, courses.MaxLessons)
			for i := range lessons {
				lessons[i] = courses.Lesson{CourseID: c.ID, ModuleID: modules[0].ID, Title: "l", Kind: courses.Text, Position: i + 1}
			}
			_, err = tx.InsertLessons(ctx, lessons)
			return err
		}))
		_, err = w.CreateModule(t.Context(), w.ann, c.Slug, courses.NewModule{Title: "x"})
		require.ErrorIs(t, err, courses.ErrTooMany)
		require.Equal(t, []string{"modules"}, fields(t, err))
		_, err = w.CreateLesson(t.Context(), w.ann, c.Slug, modules[0].ID, courses.NewLesson{Title: "x", Kind: courses.Text})
		require.ErrorIs(t, err, courses.ErrTooMany)
		e := err.(*core.Error)
		require.Equal(t, "500", e.Violations[0].Limit)
		require.Equal(t, "501", e.Violations[0].Got)
	})
}
