package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/httpapi"
	"github.com/ustat/ustat/i18n"
	"github.com/ustat/ustat/storage/sqlite"
)

var (
	cyrillic = regexp.MustCompile(`\p{Cyrillic}`)
	// English words are lower case, and neither quoted nor part of a list of values or of
	// an identifier.
	english = regexp.MustCompile(`(?:^|[ (])(the|a|an|is|not|no|of|this|that|expected|there|must|such|to|and|or|be|with|it|already|course|user|has|have)(?:[ ,.:)]|$)`)
)

// assertRussian checks that nothing of an answer that is for people is in English.
func assertRussian(t *testing.T, answer *httptest.ResponseRecorder) {
	t.Helper()
	if answer.Code < http.StatusBadRequest {
		return
	}
	var p httpapi.Problem
	require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &p))
	assert.Equal(t, "ru", answer.Header().Get("Content-Language"))
	texts := []string{p.Title, p.Detail}
	for _, f := range p.Errors {
		texts = append(texts, f.Detail)
	}
	for _, text := range texts {
		assert.Regexp(t, cyrillic, text, "%s: %s", p.Code, answer.Body)
		assert.NotRegexp(t, english, text, "%s: %s", p.Code, answer.Body)
	}
}

func onMemory(t *testing.T, config *ustat.Config) *world {
	t.Helper()
	backend, err := sqlite.InMemory(t.Context(), nil)
	require.NoError(t, err)
	p, err := ustat.New(backend, config)
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, p.Stop(t.Context())) })
	h, err := httpapi.New(p, nil)
	require.NoError(t, err)
	return &world{t: t, p: p, b: backend, h: h, tokens: map[string]string{}}
}

func TestAnAnswerIsInTheReadersLanguage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, engines()["sqlite"])
	missing := func(who, query string, headers ...string) (string, string) {
		answer := w.ask(who, http.MethodGet, "/courses/missing/"+query, nil, headers...)
		assert.Equal(t, "Accept-Language, Authorization", answer.Header().Get("Vary"))
		return answer.Header().Get("Content-Language"), refused(t, answer, http.StatusNotFound, "courses.not_found").Detail
	}
	expect := func(want, who, query string, headers ...string) {
		t.Helper()
		lang, detail := missing(who, query, headers...)
		assert.Equal(t, want, lang)
		assert.Equal(t, map[string]string{"ru": "такого курса нет", "en": "there is no such course"}[want], detail)
	}
	expect("en", "anonymous", "")
	expect("ru", "anonymous", "", "Accept-Language", "ru-RU,ru;q=0.9")
	expect("en", "anonymous", "?lang=en", "Accept-Language", "ru")
	expect("ru", "anonymous", "?lang=ru-KZ", "Accept-Language", "en")
	expect("ru", "anonymous", "?lang=de", "Accept-Language", "ru")
	expect("en", "anonymous", "", "Accept-Language", "x")

	saved := w.ask("student", http.MethodPatch, "/accounts/users/me/", object{"language": "RU-kz"})
	require.Equal(t, http.StatusOK, saved.Code, saved.Body)
	assert.Equal(t, "ru-KZ", decode(t, saved.Body)["language"])
	expect("ru", "student", "", "Accept-Language", "en")
	expect("en", "student", "?lang=en", "Accept-Language", "ru")
	expect("en", "anonymous", "", "Accept-Language", "en")
	bad := w.ask("student", http.MethodPatch, "/accounts/users/me/", object{"language": "ru_RU", "phone": "8", "email": "?"}, "Accept-Language", "en")
	assertRussian(t, bad)
	assert.Len(t, refused(t, bad, http.StatusUnprocessableEntity, "invalid").Errors, 3)
	require.Equal(t, http.StatusOK, w.ask("student", http.MethodPatch, "/accounts/users/me/", object{"language": ""}).Code)
	expect("en", "student", "", "Accept-Language", "en")

	good := w.ask("student", http.MethodGet, "/accounts/achievements/", nil, "Accept-Language", "ru")
	assert.Equal(t, "ru", good.Header().Get("Content-Language"))
	assert.Contains(t, good.Body.String(), `"title":"Первый курс"`)
	two := httptest.NewRequest(http.MethodGet, "/api/v1/courses/missing/", nil)
	two.Header["Accept-Language"] = []string{"de", "ru"}
	answer := httptest.NewRecorder()
	w.h.ServeHTTP(answer, two)
	assert.Equal(t, "ru", answer.Header().Get("Content-Language"), "a header in two lines is one list")
}

func TestNamesAreToldInTheReadersLanguage(t *testing.T) {
	t.Parallel()
	w := onMemory(t, nil)
	told := read(t, w.h, "/api/v1/languages/?lang=ru")
	assert.Equal(t, "ru", told["language"])
	assert.Equal(t, []any{"en", "ru"}, told["languages"])
	names := told["names"].(map[string]any)
	assert.Equal(t, "Преподаватель", names["role.teacher"])
	assert.Equal(t, "На проверке", names["course.status.review"])
	assert.NotContains(t, names, "error.courses.not_found")
	assert.Equal(t, "In review", read(t, w.h, "/api/v1/languages/")["names"].(map[string]any)["course.status.review"])
}

// TestTheTransportSpeaksRussian tries what never reaches a service.
func TestTheTransportSpeaksRussian(t *testing.T) {
	t.Parallel()
	w := newWorld(t, engines()["sqlite"])
	long := strings.Repeat("x", 9<<10)
	for _, q := range []struct {
		method, path string
		body         any
	}{
		{"GET", "/nothing/here/", nil},
		{"DELETE", "/courses/", nil},
		{"GET", "/courses/?q=" + long, nil},
		{"GET", "/courses/?limit=0&limit=x&cursor=&sort=up&rating_min=9&lang=?&no=1&price_min=-1&teacher=%ff", nil},
		{"GET", "/courses/?cursor=abc", nil},
		{"GET", "/courses/%00/", nil},
		{"GET", "/courses/a//b/", nil},
		{"POST", "/auth/login/", nil},
		{"POST", "/auth/login/", "{"},
		{"POST", "/auth/login/", `{"username": 1}`},
		{"POST", "/auth/login/", `{"username": null, "password": {}, "x": [], "username": "u"}`},
		{"POST", "/auth/login/", `{} {}`},
		{"POST", "/auth/login/", "\xff"},
		{"POST", "/auth/login/", strings.Repeat("[", 40)},
		{"POST", "/auth/login/", `"` + strings.Repeat("x", 70<<10) + `"`},
		{"POST", "/auth/login/", object{"username": "nobody", "password": "wrong password"}},
		{"POST", "/auth/register/", object{"username": "!", "password": "short", "email": "?"}},
		{"PUT", "/accounts/users/me/password/", object{"old_password": "x", "new_password": "y"}},
		{"POST", "/courses/", object{"title": strings.Repeat("x", 999), "slug": "API", "price": object{"amount_minor": -1, "currency": "XXX1"}, "language": "_", "tags": []string{"a", "a"}, "category": "?"}},
	} {
		for _, who := range []string{"anonymous", "owner"} {
			answer := w.ask(who, q.method, q.path, q.body, "Accept-Language", "ru")
			assert.GreaterOrEqual(t, answer.Code, http.StatusBadRequest, q)
			assertRussian(t, answer)
		}
	}
	assertRussian(t, w.ask("anonymous", http.MethodGet, "/accounts/users/me/", nil, "Accept-Language", "ru"))
	assertRussian(t, w.ask("anonymous", http.MethodPost, "/auth/login/", "{}", "Accept-Language", "ru", "Content-Type", "text/plain"))
	assertRussian(t, w.ask("anonymous", http.MethodGet, "/courses/", nil, "Accept-Language", "ru", "Authorization", "Basic x"))
	assertRussian(t, w.ask("owner", http.MethodPatch, "/accounts/users/me/", object{}, "Accept-Language", "ru", "If-Match", "x"))
}

// TestGoAndHTTPSayTheSame asks the service and the API alike for the same bad course.
func TestGoAndHTTPSayTheSame(t *testing.T) {
	t.Parallel()
	w := newWorld(t, engines()["sqlite"])
	for _, lang := range []string{"ru", "en"} {
		answer := w.ask("owner", http.MethodPost, "/courses/", object{"title": "", "price": object{"amount_minor": -5, "currency": "?"}}, "Accept-Language", lang)
		p := refused(t, answer, http.StatusUnprocessableEntity, "invalid")
		_, err := w.p.Courses.Create(t.Context(), w.actor("owner"), courses.NewCourse{Price: &core.Money{Minor: -5, Currency: "?"}})
		var e *core.Error
		require.ErrorAs(t, err, &e)
		said := w.p.Messages.Error(lang, e)
		assert.Equal(t, said.Message, p.Detail)
		require.Len(t, p.Errors, len(said.Violations))
		require.GreaterOrEqual(t, len(p.Errors), 3)
		for i, v := range said.Violations {
			assert.Equal(t, httpapi.FieldProblem{Field: v.Field, Code: v.Code, Limit: v.Limit, Got: v.Got, Detail: v.Message}, p.Errors[i])
		}
	}
}

// TestNoAnswerIsInAForeignLanguage has 50 readers of several languages at one platform.
func TestNoAnswerIsInAForeignLanguage(t *testing.T) {
	t.Parallel()
	kk := i18n.Messages{"error.courses.not_found": i18n.Text("мұндай курс жоқ")}
	messages, err := i18n.NewCatalog(&i18n.Options{Messages: map[string]i18n.Messages{"kk": kk}})
	require.NoError(t, err)
	w := onMemory(t, &ustat.Config{Messages: messages})
	want := map[string]string{"ru": "такого курса нет", "en": "there is no such course", "kk": "мұндай курс жоқ"}
	last := time.Second
	if os.Getenv("USTAT_TEST_SCALE") != "" {
		last = 10 * time.Second
	}
	end := time.Now().Add(last)
	var readers sync.WaitGroup
	var answers atomic.Int64
	for i := range 50 {
		lang := []string{"ru", "en", "kk"}[i%3]
		path, header := "/api/v1/courses/missing/", lang
		if i%2 == 0 {
			path, header = path+"?lang="+lang, "de"
		}
		readers.Go(func() {
			for time.Now().Before(end) {
				r := httptest.NewRequest(http.MethodGet, path, nil)
				r.Header.Set("Accept-Language", header)
				answer := httptest.NewRecorder()
				w.h.ServeHTTP(answer, r)
				if got := answer.Header().Get("Content-Language"); got != lang || !strings.Contains(answer.Body.String(), fmt.Sprintf("%q", want[lang])) {
					t.Errorf("%s was asked for, and %s answered: %s", lang, got, answer.Body)
					return
				}
				answers.Add(1)
			}
		})
	}
	readers.Wait()
	assert.Greater(t, answers.Load(), int64(50))
}
