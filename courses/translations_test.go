package courses_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/i18n"
	"github.com/ustat/ustat/storage"
)

func translation(title string) courses.NewTranslation {
	return courses.NewTranslation{Title: title, Description: "<p>" + title + "</p>"}
}

// reading is a context of who reads in these languages.
func reading(t testing.TB, wishes ...string) context.Context {
	return i18n.With(t.Context(), i18n.Reader{Wishes: wishes})
}

// translate says something in a language as an admin.
func (w *world) translate(t testing.TB, of courses.Target, language, title string) {
	t.Helper()
	in := translation(title)
	if of == courses.OfCategory("web") || of == courses.OfTag("go") {
		in.Description = ""
	}
	_, err := w.Translate(t.Context(), w.admin, of, language, in)
	require.NoError(t, err)
}

func TestAReaderGetsTheFirstWishThatIsThere(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		c := w.in(t, w.course(t, "Курс"), courses.Published)
		for _, language := range []string{"pt", "kk", "en"} {
			w.translate(t, courses.OfCourse(c.Slug), language, "Course in "+language)
		}
		for _, test := range []struct{ wishes, language, title string }{
			{"", "ru", "Курс"},
			{"kk", "kk", "Course in kk"},
			{"pt-BR", "pt", "Course in pt"}, // its parent
			{"ru", "ru", "Курс"},            // the author's own
			{"ru-KZ kk", "ru", "Курс"},
			{"de", "en", "Course in en"}, // the platform's default
			{"de kk ru", "kk", "Course in kk"},
			{"de ru kk", "ru", "Курс"},
			{"\xff", "en", "Course in en"},
		} {
			got, err := w.Course(reading(t, strings.Fields(test.wishes)...), w.nobody, c.Slug)
			require.NoError(t, err)
			assert.Equal(t, [3]string{test.language, test.title, "ru"}, [3]string{got.Language, got.Title, got.BaseLanguage}, test.wishes)
			assert.NotEmpty(t, got.Requirements, "what is not translated stays")
			if test.language != "ru" {
				assert.Equal(t, "<p>"+test.title+"</p>", got.Description)
			}
		}
		require.NoError(t, w.DeleteTranslation(t.Context(), w.ann, courses.OfCourse(c.Slug), "EN", 0))
		got, err := w.Course(reading(t, "de"), w.nobody, c.Slug)
		require.NoError(t, err)
		assert.Equal(t, "Курс", got.Title, "nothing is left without a title")
		err = w.DeleteTranslation(t.Context(), w.ann, courses.OfCourse(c.Slug), "en", 0)
		assert.ErrorIs(t, err, courses.ErrTranslationNotFound)
	})
}

func TestAPageInALanguageIsOneStatementMore(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		for i := range 20 {
			c := w.in(t, w.course(t, fmt.Sprintf("Курс %d", i)), courses.Published)
			w.translate(t, courses.OfCourse(c.Slug), "kk", fmt.Sprintf("Course %d", i))
		}
		w.translate(t, courses.OfCategory("web"), "kk", "Shelf")
		w.translate(t, courses.OfTag("go"), "kk", "Label")
		slug := "kurs-0"
		first, err := w.Modules(t.Context(), w.ann, slug, core.Page{})
		require.NoError(t, err)
		lessons, err := w.Lessons(t.Context(), w.ann, slug, 0, core.Page{})
		require.NoError(t, err)
		w.translate(t, courses.OfModule(slug, first.Items[0].ID), "kk", "Module")
		w.translate(t, courses.OfLesson(slug, lessons.Items[0].ID), "kk", "Lesson")

		reads := map[string]func(ctx context.Context) (shown, language string, err error){
			"a list": func(ctx context.Context) (string, string, error) {
				page, err := w.List(ctx, w.nobody, courses.Filter{}, courses.Newest, core.Page{Limit: 20})
				if err != nil || len(page.Items) != 20 {
					return "", "", fmt.Errorf("%d courses: %w", len(page.Items), err)
				}
				c := page.Items[19]
				return fmt.Sprint(c.Title, "|", c.Category.Name, "|", c.Tags[len(c.Tags)-1].Name), c.Language, nil
			},
			"a course": func(ctx context.Context) (string, string, error) {
				c, err := w.Course(ctx, w.nobody, slug)
				return fmt.Sprint(c.Title, "|", c.Category.Name, "|", c.Tags[len(c.Tags)-1].Name), c.Language, err
			},
			"modules": func(ctx context.Context) (string, string, error) {
				page, err := w.Modules(ctx, w.nobody, slug, core.Page{})
				return page.Items[0].Title, page.Items[0].Language, err
			},
			"a module": func(ctx context.Context) (string, string, error) {
				m, err := w.Module(ctx, w.nobody, slug, first.Items[0].ID)
				return m.Title, m.Language, err
			},
			"lessons": func(ctx context.Context) (string, string, error) {
				page, err := w.Lessons(ctx, w.nobody, slug, 0, core.Page{})
				return page.Items[0].Title + page.Items[0].Content, page.Items[0].Language, err
			},
			"a lesson": func(ctx context.Context) (string, string, error) {
				l, err := w.Lesson(ctx, w.nobody, slug, lessons.Items[0].ID)
				return l.Title + l.Content, l.Language, err
			},
			"categories": func(ctx context.Context) (string, string, error) {
				page, err := w.Categories(ctx, core.Page{})
				return page.Items[0].Name, page.Items[0].Language, err
			},
			"a tag": func(ctx context.Context) (string, string, error) {
				tag, err := w.Tag(ctx, "go")
				return tag.Name, tag.Language, err
			},
		}
		want := map[string][2]string{
			"a list": {"Курс 0|Web|Go", "Course 0|Shelf|Label"}, "a course": {"Курс 0|Web|Go", "Course 0|Shelf|Label"},
			"modules": {"One", "Module"}, "a module": {"One", "Module"}, "lessons": {"First", "Lesson"}, "a lesson": {"First", "Lesson"},
			"categories": {"Web", "Shelf"}, "a tag": {"Go", "Label"},
		}
		for name, read := range reads {
			ctx, plain := storage.CountQueries(t.Context())
			shown, _, err := read(ctx)
			require.NoError(t, err, name)
			assert.Equal(t, want[name][0], shown, name)
			ctx, more := storage.CountQueries(reading(t, "kk-KZ", "de"))
			shown, language, err := read(ctx)
			require.NoError(t, err, name)
			assert.Equal(t, want[name][1], shown, "%s: a closed lesson has no content in any language", name)
			assert.Equal(t, "kk", language, name)
			assert.Equal(t, plain.Count()+1, more.Count(), name)
		}
		mine, err := w.Lesson(reading(t, "kk"), w.ann, slug, lessons.Items[0].ID)
		require.NoError(t, err)
		assert.Equal(t, "<p>Lesson</p>", mine.Content, "who may read it does so in their language")
	})
}

func TestOfTranslatorsAtOnceOneTextIsWhole(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		c := w.course(t, "Курс")
		errs := together(50, func(i int) error {
			_, err := w.Translate(t.Context(), w.ann, courses.OfCourse(c.Slug), "en", translation(fmt.Sprintf("Title %d", i)))
			return err
		})
		for _, err := range errs {
			require.NoError(t, err)
		}
		all, err := w.Translations(t.Context(), w.ann, courses.OfCourse(c.Slug))
		require.NoError(t, err)
		require.Len(t, all, 1)
		assert.Equal(t, "<p>"+all[0].Title+"</p>", all[0].Description)
		assert.EqualValues(t, 50, all[0].Version)
	})
}

func TestATranslationKnowsWhetherItIsFresh(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		c := w.course(t, "Курс")
		of := courses.OfCourse(c.Slug)
		made, err := w.Translate(t.Context(), w.ann, of, "EN-us", translation("Course"))
		require.NoError(t, err)
		assert.Equal(t, "en-US", made.Language)
		assert.Equal(t, map[string]courses.FieldState{"title": courses.Fresh, "description": courses.Fresh, "requirements": courses.Missing}, made.States)
		_, err = w.Edit(t.Context(), w.ann, c.Slug, courses.CourseEdit{Description: ptr("<p>Другое</p>")})
		require.NoError(t, err)
		made, err = w.Translation(t.Context(), w.ann, of, "en-us")
		require.NoError(t, err)
		assert.Equal(t, map[string]courses.FieldState{"title": courses.Fresh, "description": courses.Stale, "requirements": courses.Missing}, made.States)

		coverage, err := w.Coverage(t.Context(), w.ann, c.Slug)
		require.NoError(t, err)
		require.Len(t, coverage, 1)
		// The course's three texts, the module's title, and the lesson's title and content.
		assert.Equal(t, [4]int{1, 1, 4, 16}, [4]int{coverage[0].Fresh, coverage[0].Stale, coverage[0].Missing, coverage[0].Percent()})
		require.Len(t, coverage[0].Behind, 5)
		assert.Equal(t, courses.Behind{Object: made.Object, Field: "description", State: courses.Stale}, coverage[0].Behind[0])
		assert.Equal(t, courses.LessonObject, coverage[0].Behind[4].Object.Kind)

		again, err := w.Translate(t.Context(), w.ann, of, "en-US", courses.NewTranslation{Title: "Course", Description: "<p>Another</p>", Requirements: "none", IfVersion: 1})
		require.NoError(t, err)
		assert.EqualValues(t, 2, again.Version)
		assert.NotContains(t, again.States, courses.Stale)
		same, err := w.Translate(t.Context(), w.ann, of, "en-US", courses.NewTranslation{Title: "Course", Description: "<p>Another</p>", Requirements: "none"})
		require.NoError(t, err)
		assert.EqualValues(t, 2, same.Version, "the same again changes nothing")
		_, err = w.Translate(t.Context(), w.ann, of, "en-US", courses.NewTranslation{Title: "x", IfVersion: 1})
		assert.ErrorIs(t, err, core.ErrVersion)
		_, err = w.Translate(t.Context(), w.ann, of, "fr", courses.NewTranslation{Title: "x", IfVersion: 1})
		assert.ErrorIs(t, err, core.ErrVersion)
	})
}

func TestWhoTranslates(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		c := w.in(t, w.course(t, "Курс"), courses.Published)
		modules, err := w.Modules(t.Context(), w.ann, c.Slug, core.Page{})
		require.NoError(t, err)
		lessons, err := w.Lessons(t.Context(), w.ann, c.Slug, 0, core.Page{})
		require.NoError(t, err)
		for _, test := range []struct {
			of                        courses.Target
			nobody, sam, ann, pam, by error // of translating
			read                      error // by sam
		}{
			{courses.OfCourse(c.Slug), core.ErrUnauthenticated, core.ErrForbidden, nil, nil, nil, nil},
			{courses.OfModule(c.Slug, modules.Items[0].ID), core.ErrUnauthenticated, core.ErrForbidden, nil, nil, nil, nil},
			{courses.OfLesson(c.Slug, lessons.Items[0].ID), core.ErrUnauthenticated, core.ErrForbidden, nil, nil, nil, core.ErrForbidden},
			{courses.OfCategory("web"), core.ErrUnauthenticated, core.ErrForbidden, core.ErrForbidden, core.ErrForbidden, nil, nil},
			{courses.OfTag("go"), core.ErrUnauthenticated, core.ErrForbidden, core.ErrForbidden, core.ErrForbidden, nil, nil},
		} {
			for _, who := range []struct {
				by   core.Actor
				want error
			}{{w.nobody, test.nobody}, {w.sam, test.sam}, {w.bob, test.sam}, {w.ann, test.ann}, {w.pam, test.pam}, {w.admin, test.by}} {
				_, err := w.Translate(t.Context(), who.by, test.of, "en", courses.NewTranslation{Title: "x"})
				assert.ErrorIs(t, err, who.want, "%+v by %+v", test.of, who.by)
			}
			_, err := w.Translation(t.Context(), w.sam, test.of, "en")
			assert.ErrorIs(t, err, test.read, test.of)
			assert.ErrorIs(t, w.DeleteTranslation(t.Context(), w.sam, test.of, "en", 0), core.ErrForbidden)
			_, err = w.Translation(t.Context(), w.admin, test.of, "fr")
			assert.ErrorIs(t, err, courses.ErrTranslationNotFound)
		}
		for _, missing := range []struct {
			of   courses.Target
			want error
		}{
			{courses.OfCourse("x"), courses.ErrCourseNotFound},
			{courses.OfModule(c.Slug, 404), courses.ErrModuleNotFound},
			{courses.OfLesson(c.Slug, 404), courses.ErrLessonNotFound},
			{courses.OfCategory("x"), courses.ErrCategoryNotFound},
			{courses.OfTag("x"), courses.ErrTagNotFound},
		} {
			_, err := w.Translate(t.Context(), w.admin, missing.of, "en", courses.NewTranslation{Title: "x"})
			assert.ErrorIs(t, err, missing.want)
			_, err = w.Translations(t.Context(), w.admin, missing.of)
			assert.ErrorIs(t, err, missing.want)
		}
		_, err = w.Coverage(t.Context(), w.sam, c.Slug)
		assert.ErrorIs(t, err, core.ErrForbidden)
	})
}

func TestABadTranslationNamesEveryField(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		c := w.course(t, "Курс")
		w.events(t)
		bad := courses.NewTranslation{Title: "a\nb", Description: strings.Repeat("x", courses.MaxRichInput+1), Requirements: "\xff", Format: "rtf"}
		_, err := w.Translate(t.Context(), w.ann, courses.OfCourse(c.Slug), "en_US", bad)
		assert.ElementsMatch(t, []string{"title", "requirements", "format", "language", "description"}, fields(t, err))
		_, err = w.Translate(t.Context(), w.admin, courses.OfTag("go"), "en", courses.NewTranslation{Title: "x", Description: "y", Requirements: "z"})
		assert.ElementsMatch(t, []string{"description", "requirements"}, fields(t, err))
		_, err = w.Translate(t.Context(), w.ann, courses.OfCourse(c.Slug), "RU", courses.NewTranslation{Title: "x"})
		assert.Equal(t, []string{"language"}, fields(t, err))
		assert.Empty(t, w.events(t))
		made, err := w.Translate(t.Context(), w.ann, courses.OfCourse(c.Slug), "en", courses.NewTranslation{Title: "x", Description: "**b**\n\n<script>alert(1)</script>", Format: "markdown"})
		require.NoError(t, err)
		assert.Equal(t, "<p><strong>b</strong></p>", strings.TrimSpace(made.Description))
		assert.Equal(t, []string{courses.EventTranslated}, w.events(t))
		for i := range courses.MaxTranslations - 1 {
			w.translate(t, courses.OfCourse(c.Slug), fmt.Sprintf("q%c%c", 'a'+i/26, 'a'+i%26), "x")
		}
		_, err = w.Translate(t.Context(), w.ann, courses.OfCourse(c.Slug), "de", courses.NewTranslation{Title: "x"})
		assert.ErrorIs(t, err, courses.ErrTooMany)
	})
}
