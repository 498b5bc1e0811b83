package courses_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/courses/richtext"
	"github.com/ustat/ustat/internal/xsstest"
)

// Every rich field is harmless whatever comes in, and stays as it is when it comes in
// again.
func TestPayloadsInEveryRichField(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		c := w.course(t, "Go")
		modules, err := w.backend.Courses.ModuleIDs(t.Context(), c.ID)
		require.NoError(t, err)
		lessons, err := w.backend.Courses.LessonIDs(t.Context(), c.ID, modules[0])
		require.NoError(t, err)
		// write brings texts into every rich field and returns what is stored there.
		write := func(texts [4]string, format richtext.Format) [4]string {
			c, err := w.Edit(t.Context(), w.ann, c.Slug, courses.CourseEdit{Description: &texts[0], Requirements: &texts[1], Format: format})
			require.NoError(t, err)
			m, err := w.EditModule(t.Context(), w.ann, c.Slug, modules[0], courses.ModuleEdit{Description: &texts[2], Format: format})
			require.NoError(t, err)
			l, err := w.EditLesson(t.Context(), w.ann, c.Slug, lessons[0], courses.LessonEdit{Content: &texts[3], Format: format})
			require.NoError(t, err)
			require.Equal(t, []int{richtext.Version, richtext.Version, richtext.Version}, []int{c.TextPolicy, m.TextPolicy, l.TextPolicy})
			return [4]string{c.Description, c.Requirements, m.Description, l.Content}
		}
		all := xsstest.Payloads()
		many := 600 // of them, spread; each in every field at once
		if os.Getenv("USTAT_TEST_SCALE") == "" {
			many = 100
		}
		var some []string
		for i := 0; i < len(all); i += len(all)/many + 1 {
			some = append(some, all[i])
		}
		require.GreaterOrEqual(t, len(some), many*5/6)
		for i, payload := range some {
			format := []richtext.Format{richtext.PlainHTML, richtext.Markdown}[i%2]
			once := write([4]string{payload, payload, payload, payload}, format)
			for _, text := range once {
				require.NoError(t, xsstest.Harmless(text), "of %q", payload)
			}
			if i%10 == 0 {
				require.Equal(t, once, write(once, ""), "of %q", payload)
			}
		}
	})
}

// Titles and names are text: they are kept as they are given, and have no control
// characters.
func TestPlainFieldsAreKeptAsTheyAre(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		c := w.course(t, "Go")
		for i, title := range []string{"<script>alert(1)</script>", "a < b && c > d", `"'`, "&amp;", "𝔘 🎓", "{{7*7}}", "'; DROP TABLE ustat_courses; --"} {
			got, err := w.Edit(t.Context(), w.ann, c.Slug, courses.CourseEdit{Title: &title})
			require.NoError(t, err)
			require.Equal(t, title, got.Title)
			m, err := w.CreateModule(t.Context(), w.ann, c.Slug, courses.NewModule{Title: title})
			require.NoError(t, err)
			require.Equal(t, title, m.Title)
			l, err := w.CreateLesson(t.Context(), w.ann, c.Slug, m.ID, courses.NewLesson{Title: title, Kind: courses.Text})
			require.NoError(t, err)
			require.Equal(t, title, l.Title)
			k, err := w.CreateCategory(t.Context(), w.admin, courses.NewCategory{Name: title, Slug: fmt.Sprint("k-", i)})
			require.NoError(t, err)
			require.Equal(t, title, k.Name)
			tag, err := w.CreateTag(t.Context(), w.admin, courses.NewTag{Name: title, Slug: fmt.Sprint("t-", i)})
			require.NoError(t, err)
			require.Equal(t, title, tag.Name)
		}
		got, err := w.Edit(t.Context(), w.ann, c.Slug, courses.CourseEdit{Title: ptr("e\u0301te\u0301")})
		require.NoError(t, err)
		require.Equal(t, "été", got.Title, "in the form NFC")
		for _, title := range []string{"a\x00b", "a\nb", "a\tb", "a\x7fb", "a\u2028b", "a\xffb", " a", "a "} {
			_, err := w.Edit(t.Context(), w.ann, c.Slug, courses.CourseEdit{Title: &title})
			require.ErrorIs(t, err, core.ErrInvalid, "%q", title)
			_, err = w.CreateModule(t.Context(), w.ann, c.Slug, courses.NewModule{Title: title})
			require.ErrorIs(t, err, core.ErrInvalid)
			_, err = w.CreateTag(t.Context(), w.admin, courses.NewTag{Name: title})
			require.ErrorIs(t, err, core.ErrInvalid)
		}
	})
}

// Search and snippets know the words of a description, not its markup.
func TestSearchSeesTheWords(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		c := w.course(t, "Go")
		_, err := w.Edit(t.Context(), w.ann, c.Slug, courses.CourseEdit{Description: ptr(`<p>quan<b>tum</b> <a href="https://hidden.example">link</a> R&amp;D</p><p>next</p>`)})
		require.NoError(t, err)
		w.in(t, c, courses.Published)
		for query, want := range map[string]int{"quantum": 1, "next": 1, "hidden": 0, "href": 0, "amp": 0} {
			got, err := w.List(t.Context(), w.nobody, courses.Filter{Query: query}, "", core.Page{})
			require.NoError(t, err)
			require.Len(t, got.Items, want, query)
			if want > 0 {
				require.Equal(t, "quantum link R&D next", got.Items[0].Snippet)
			}
		}
	})
}

// What was stored before there was a policy is shown under the present one.
func TestOlderTextIsShownSafe(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		c := w.in(t, w.course(t, "Go"), courses.Published)
		const old = `<script>x</script><b onclick="x">bold</b>`
		var module courses.Module
		var lesson courses.Lesson
		require.NoError(t, w.backend.Courses.Update(t.Context(), func(ctx context.Context, tx courses.Tx) error {
			modules, err := tx.ModulesOf(ctx, []courses.CourseID{c.ID})
			require.NoError(t, err)
			lessons, err := tx.LessonsOf(ctx, []courses.ModuleID{modules[0].ID})
			require.NoError(t, err)
			module, lesson = modules[0], lessons[0]
			c.Description, c.Requirements, c.TextPolicy = old, old, 0
			module.Description, module.TextPolicy, lesson.Content, lesson.TextPolicy = old, 0, old, 0
			return errors.Join(tx.UpdateCourses(ctx, []courses.Course{c}), tx.UpdateModules(ctx, []courses.Module{module}), tx.UpdateLessons(ctx, []courses.Lesson{lesson}))
		}))
		got, err := w.Course(t.Context(), w.nobody, c.Slug)
		require.NoError(t, err)
		list, err := w.List(t.Context(), w.nobody, courses.Filter{}, "", core.Page{})
		require.NoError(t, err)
		modules, err := w.Modules(t.Context(), w.nobody, c.Slug, core.Page{})
		require.NoError(t, err)
		m, err := w.Module(t.Context(), w.nobody, c.Slug, module.ID)
		require.NoError(t, err)
		l, err := w.Lesson(t.Context(), w.ann, c.Slug, lesson.ID)
		require.NoError(t, err)
		edited, err := w.Edit(t.Context(), w.ann, c.Slug, courses.CourseEdit{Title: ptr("New")})
		require.NoError(t, err)
		for _, text := range []string{
			got.Description, got.Requirements, list.Items[0].Description, modules.Items[0].Description, m.Description, l.Content, edited.Requirements,
		} {
			require.Equal(t, "<b>bold</b>", text)
		}
		stored, err := w.backend.Courses.CourseBySlug(t.Context(), c.Slug)
		require.NoError(t, err)
		require.Equal(t, edited.Requirements, stored.Requirements, "an edit writes it under the present policy")
		require.Equal(t, richtext.Version, stored.TextPolicy)
	})
}
