package httpapi_test

import (
	"database/sql"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage"
)

// translatable is a kind of objects that has translations.
type translatable struct {
	path func(s subject) string
	of   func(t testing.TB, s subject) courses.Target
}

func id(t testing.TB, text string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(text, 10, 64)
	require.NoError(t, err)
	return n
}

var translatables = map[string]translatable{
	"courses": {func(s subject) string { return "/courses/" + s.slug }, func(_ testing.TB, s subject) courses.Target { return courses.OfCourse(s.slug) }},
	"modules": {
		func(s subject) string { return "/courses/" + s.slug + "/modules/" + s.modules[0] },
		func(t testing.TB, s subject) courses.Target {
			return courses.OfModule(s.slug, courses.ModuleID(id(t, s.modules[0])))
		},
	},
	"lessons": {
		func(s subject) string { return "/courses/" + s.slug + "/lessons/" + s.lessons[0] },
		func(t testing.TB, s subject) courses.Target {
			return courses.OfLesson(s.slug, courses.LessonID(id(t, s.lessons[0])))
		},
	},
	"categories": {func(subject) string { return "/categories/programming" }, func(testing.TB, subject) courses.Target { return courses.OfCategory("programming") }},
	"tags":       {func(subject) string { return "/tags/go" }, func(testing.TB, subject) courses.Target { return courses.OfTag("go") }},
}

func init() {
	requests["courses-coverage"] = of("/coverage/", nil)
	for kind, x := range translatables {
		// of a translation that is there
		there := func(behind string, body any) func(*world, subject) request {
			return func(w *world, s subject) request {
				if s.slug != "x" { // which stands for no course
					_, err := w.p.Courses.Translate(w.t.Context(), accounts.System, x.of(w.t, s), "kk", courses.NewTranslation{Title: w.name()})
					require.NoError(w.t, err)
				}
				return request{x.path(s) + "/translations/" + behind, body}
			}
		}
		requests[kind+"-translations"] = there("", nil)
		requests[kind+"-translation"] = there("kk/", nil)
		requests[kind+"-translate"] = there("kk/", object{"title": "Аударма"})
		requests[kind+"-untranslate"] = there("kk/", nil)
	}
}

func TestShapesOfTranslations(t *testing.T) {
	t.Parallel()
	for name, open := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testTranslations(t, open)
		})
	}
}

func testTranslations(t *testing.T, open func(t *testing.T) (*storage.Backend, *sql.DB)) {
	w := newWorld(t, open)
	s := w.course(courses.Published)
	put := w.ask("owner", http.MethodPut, "/courses/"+s.slug+"/translations/PT-br/", object{"title": "Curso", "description": "**b**", "requirements": "", "format": "markdown"})
	require.Equal(t, http.StatusOK, put.Code, put.Body)
	made := decode(t, put.Body)
	assert.NotEmpty(t, made["updated_at"])
	delete(made, "updated_at")
	assert.Equal(t, map[string]any{
		"language": "pt-BR", "title": "Curso", "description": "<p><strong>b</strong></p>", "requirements": "", "stale": []any{}, "missing": made["missing"],
	}, made)
	tag := put.Header().Get("ETag")
	require.NotEmpty(t, tag)
	assert.Equal(t, http.StatusPreconditionFailed, w.ask("owner", http.MethodPut, "/courses/"+s.slug+"/translations/pt-BR/", object{"title": "x"}, "If-Match", `"9-x"`).Code)

	course := w.ask("anonymous", http.MethodGet, "/courses/"+s.slug+"/?lang=pt-BR", nil)
	require.Equal(t, http.StatusOK, course.Code)
	assert.Equal(t, "pt-BR", course.Header().Get("Content-Language"), "of one object it is the language of its texts")
	shown := decode(t, course.Body)
	assert.Equal(t, "Curso", shown["title"])
	assert.Equal(t, "pt-BR", shown["language"])
	base := decode(t, w.ask("anonymous", http.MethodGet, "/courses/"+s.slug+"/", nil).Body)
	assert.Equal(t, base["language"], shown["base_language"])
	assert.Equal(t, base["language"], base["base_language"])
	list := decode(t, w.ask("anonymous", http.MethodGet, "/courses/", nil, "Accept-Language", "pt-BR,pt;q=0.9").Body)
	assert.Equal(t, "Curso", list["results"].([]any)[0].(map[string]any)["title"])

	all := decode(t, w.ask("anonymous", http.MethodGet, "/courses/"+s.slug+"/translations/", nil).Body)
	assert.Len(t, all["results"], 1)
	coverage := decode(t, w.ask("owner", http.MethodGet, "/courses/"+s.slug+"/coverage/", nil).Body)["results"].([]any)
	require.Len(t, coverage, 1)
	first := coverage[0].(map[string]any)
	assert.Equal(t, "pt-BR", first["language"])
	require.NotEmpty(t, first["behind"])
	assert.Contains(t, []string{"module", "lesson", "course"}, first["behind"].([]any)[0].(map[string]any)["object"])

	refused(t, w.ask("owner", http.MethodPut, "/courses/"+s.slug+"/translations/en_US/", object{"title": ""}), http.StatusUnprocessableEntity, "invalid")
	assert.Equal(t, http.StatusNoContent, w.ask("owner", http.MethodDelete, "/courses/"+s.slug+"/translations/pt-BR/", nil).Code)
	refused(t, w.ask("owner", http.MethodGet, "/courses/"+s.slug+"/translations/pt-BR/", nil), http.StatusNotFound, "courses.translation_not_found")
}

// TestAPageOfTheAPIInALanguageIsOneStatementMore asks for pages of 20 courses.
func TestAPageOfTheAPIInALanguageIsOneStatementMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, engines()["sqlite"])
	for i := range 20 {
		s := w.course(courses.Published)
		_, err := w.p.Courses.Translate(t.Context(), accounts.System, courses.OfCourse(s.slug), "kk", courses.NewTranslation{Title: fmt.Sprintf("Курс %d", i)})
		require.NoError(t, err)
	}
	statements := func(query string) int {
		ctx, counter := storage.CountQueries(t.Context())
		answer := httptest.NewRecorder()
		w.h.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/api/v1/courses/?limit=20"+query, nil).WithContext(ctx))
		require.Equal(t, http.StatusOK, answer.Code)
		results := decode(t, answer.Body)["results"].([]any)
		require.Len(t, results, 20)
		if query != "" {
			assert.Equal(t, "kk", results[0].(map[string]any)["language"])
		}
		return counter.Count()
	}
	assert.Equal(t, statements("")+1, statements("&lang=kk"))
}
