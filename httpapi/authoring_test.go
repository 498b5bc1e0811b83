package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/httpapi"
)

// answered decodes an answer that must have that status.
func answered(t *testing.T, w *httptest.ResponseRecorder, status int) map[string]any {
	t.Helper()
	require.Equal(t, status, w.Code, w.Body.String())
	return decode(t, w.Body)
}

func TestAStrangerBecomesATeacherAndPublishesACourse(t *testing.T) {
	t.Parallel()
	for engine, open := range engines() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, open)
			session := answered(t, w.ask("", "POST", "/auth/register/", object{"username": "Anna", "email": "anna@example.org", "password": password}), 201)
			assert.Equal(t, "Bearer", session["token_type"])
			w.tokens["anna"] = session["access_token"].(string)
			me := answered(t, w.ask("anna", "GET", "/accounts/users/me/", nil), 200)
			assert.Equal(t, "anna", me["username"])
			assert.Equal(t, "student", me["role"])
			refused(t, w.ask("anna", "POST", "/courses/", object{"title": "x"}), 403, "forbidden")

			answered(t, w.ask("admin", "PUT", "/accounts/users/anna/role/", object{"role": "teacher"}), 200)
			made := w.ask("anna", "POST", "/courses/", object{"title": "Звёздное небо", "description": "Как найти **созвездия**.", "format": "markdown", "category": "programming", "price": object{"amount_minor": 0, "currency": "KZT"}})
			c := answered(t, made, 201)
			assert.Equal(t, "zviozdnoe-nebo", c["slug"])
			assert.Equal(t, "/api/v1/courses/zviozdnoe-nebo/", made.Header().Get("Location"))
			assert.Equal(t, "<p>Как найти <strong>созвездия</strong>.</p>", c["description"])
			assert.Equal(t, "draft", c["status"])

			p := refused(t, w.ask("anna", "POST", "/courses/zviozdnoe-nebo/submit/", nil), 409, "courses.incomplete")
			assert.NotEmpty(t, p.Errors)
			module := answered(t, w.ask("anna", "POST", "/courses/zviozdnoe-nebo/modules/", object{"title": "Ночь"}), 201)
			lesson := w.ask("anna", "POST", "/courses/zviozdnoe-nebo/lessons/", object{"module": module["id"], "title": "Медведица", "kind": "text", "content": "<p onclick='x()'>Семь</p>"})
			assert.Equal(t, "<p>Семь</p>", answered(t, lesson, 201)["content"])
			answered(t, w.ask("anna", "POST", "/courses/zviozdnoe-nebo/submit/", nil), 200)
			answered(t, w.ask("admin", "POST", "/courses/zviozdnoe-nebo/reject/", object{"reason": "Мало"}), 200)
			assert.Equal(t, "Мало", answered(t, w.ask("anna", "GET", "/courses/zviozdnoe-nebo/", nil), 200)["rejection_reason"])
			answered(t, w.ask("anna", "POST", "/courses/zviozdnoe-nebo/submit/", nil), 200)
			assert.Empty(t, answered(t, w.ask("", "GET", "/courses/", nil), 200)["results"])
			answered(t, w.ask("admin", "POST", "/courses/zviozdnoe-nebo/publish/", nil), 200)
			assert.Len(t, answered(t, w.ask("", "GET", "/courses/", nil), 200)["results"], 1)
			assert.Len(t, answered(t, w.ask("", "GET", "/courses/search/?q=созвездие", nil), 200)["results"], 1)
			assert.Equal(t, "1", encode(t, answered(t, w.ask("", "GET", "/categories/programming/", nil), 200)["course_count"]))
		})
	}
}

func TestAnUpdateThatComesTooLateIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, engines()["sqlite"])
	s := w.course(courses.Published)
	for path, change := range map[string]object{
		"/courses/" + s.slug + "/":                              {"title": "Changed"},
		"/courses/" + s.slug + "/modules/" + s.modules[0] + "/": {"title": "Changed"},
		"/courses/" + s.slug + "/lessons/" + s.lessons[0] + "/": {"title": "Changed"},
		"/categories/programming/":                              {"name": "Changed"},
		"/tags/go/":                                             {"name": "Changed"},
		"/accounts/users/owner/":                                {"bio": "Changed"},
		"/accounts/profiles/owner/":                             {"links": []object{{"name": "A", "url": "https://a.example/"}}},
	} {
		tag := w.ask("admin", "GET", path, nil).Header().Get("ETag")
		require.Contains(t, tag, "-", path)
		answer := w.ask("admin", "PATCH", path, change, "If-Match", tag)
		require.Equal(t, 200, answer.Code, "%s: %s", path, answer.Body)
		next := answer.Header().Get("ETag")
		assert.NotEqual(t, tag, next)
		assert.Equal(t, next, w.ask("admin", "GET", path, nil).Header().Get("ETag"), "a write gives the tag of the next read")
		refused(t, w.ask("admin", "PATCH", path, change, "If-Match", tag), 412, "core.version_mismatch")
		refused(t, w.ask("admin", "PATCH", path, change, "If-Match", `"nonsense"`), 412, "core.version_mismatch")
		refused(t, w.ask("admin", "PATCH", path, change, "If-Match", "W/"+next), 412, "core.version_mismatch")
		require.Equal(t, 200, w.ask("admin", "PATCH", path, change, "If-Match", "*").Code, path)
	}
	tag := w.ask("admin", "GET", "/courses/"+s.slug+"/", nil).Header().Get("ETag")
	refused(t, w.ask("admin", "POST", "/courses/"+s.slug+"/archive/", nil, "If-Match", `"1-abc"`), 412, "core.version_mismatch")
	answered(t, w.ask("admin", "POST", "/courses/"+s.slug+"/archive/", nil, "If-Match", tag), 200)
}

func TestAReadThatIsStillGoodIsNotSentAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, engines()["sqlite"])
	s := w.course(courses.Published)
	for _, path := range []string{"/courses/", "/courses/" + s.slug + "/", "/courses/categories/", "/courses/" + s.slug + "/lessons/", "/courses/search/?q=course"} {
		first := w.ask("", "GET", path, nil)
		tag := first.Header().Get("ETag")
		require.NotEmpty(t, tag, path)
		again := w.ask("", "GET", path, nil, "If-None-Match", `"other", W/`+tag)
		assert.Equal(t, 304, again.Code, path)
		assert.Empty(t, again.Body.String())
		assert.Equal(t, tag, again.Header().Get("ETag"))
		assert.Equal(t, 200, w.ask("", "GET", path, nil, "If-None-Match", `"other"`).Code, path)
	}
	tag := w.ask("", "GET", "/courses/"+s.slug+"/lessons/", nil).Header().Get("ETag")
	assert.NotEqual(t, tag, w.ask("owner", "GET", "/courses/"+s.slug+"/lessons/", nil).Header().Get("ETag"), "who sees more has another tag")
}

func TestARenamedCourseIsFoundByItsOldSlug(t *testing.T) {
	t.Parallel()
	for engine, open := range engines() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, open)
			s := w.course(courses.Published)
			answered(t, w.ask("owner", "PATCH", "/courses/"+s.slug+"/", object{"slug": "renamed"}), 200)
			for _, form := range []string{"/courses/" + s.slug + "/", "/courses/" + s.slug} {
				moved := w.ask("", "GET", form, nil)
				assert.Equal(t, 301, moved.Code)
				assert.Equal(t, "/api/v1/courses/renamed/", moved.Header().Get("Location"))
			}
			assert.Equal(t, "/api/v1/courses/renamed/?lang=ru", w.ask("", "GET", "/courses/"+s.slug+"/?lang=ru", nil).Header().Get("Location"))
			assert.Len(t, answered(t, w.ask("", "GET", "/courses/"+s.slug+"/modules/", nil), 200)["results"], 2, "what is below it works at once")
			answered(t, w.ask("owner", "PATCH", "/courses/"+s.slug+"/", object{"title": "By the old name"}), 200)
			refused(t, w.ask("admin", "POST", "/courses/", object{"title": "Thief", "slug": s.slug}), 409, "courses.slug_taken")
			refused(t, w.ask("admin", "POST", "/courses/", object{"title": "Thief", "slug": "search"}), 422, "invalid")

			// The redirect stays below whatever the handler is mounted under.
			mounted := http.StripPrefix("/school", w.h)
			r := httptest.NewRequest("GET", "/school/api/v1/courses/"+s.slug+"/", nil)
			answer := httptest.NewRecorder()
			mounted.ServeHTTP(answer, r)
			assert.Equal(t, "/school/api/v1/courses/renamed/", answer.Header().Get("Location"))
		})
	}
}

func TestACreateWithAKeyHappensOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, engines()["sqlite"])
	body := object{"title": "Once", "price": object{"amount_minor": 5, "currency": "USD"}}
	first := w.ask("teacher", "POST", "/courses/", body, "Idempotency-Key", "k1")
	again := w.ask("teacher", "POST", "/courses/", body, "Idempotency-Key", "k1")
	require.Equal(t, 201, first.Code, first.Body)
	assert.Equal(t, first.Code, again.Code)
	assert.Equal(t, first.Body.String(), again.Body.String())
	refused(t, w.ask("teacher", "POST", "/courses/", object{"title": "Another"}, "Idempotency-Key", "k1"), 422, "core.idempotency_key_reused")
	assert.Equal(t, "once-2", answered(t, w.ask("owner", "POST", "/courses/", body, "Idempotency-Key", "k1"), 201)["slug"], "a key is its caller's")
	refused(t, w.ask("teacher", "POST", "/courses/", body, "Idempotency-Key", strings.Repeat("k", 256)), 422, "invalid")
}

func TestContentWithAKeyIsMadeOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, engines()["sqlite"])
	s := w.course(courses.Draft)
	for path, body := range map[string]object{
		"/courses/" + s.slug + "/modules/": {"title": "Once"}, "/courses/" + s.slug + "/lessons/": {"title": "Once", "kind": "text", "module": s.modules[0]},
	} {
		first := answered(t, w.ask("owner", "POST", path, body, "Idempotency-Key", "k"), 201)
		again := answered(t, w.ask("owner", "POST", path, body, "Idempotency-Key", "k"), 201)
		assert.Equal(t, first, again, path)
	}
}

func TestARenamedProfileIsFoundByItsOldSlug(t *testing.T) {
	t.Parallel()
	w := newWorld(t, engines()["sqlite"])
	me := answered(t, w.ask("owner", "GET", "/accounts/users/me/", nil), 200)
	old := me["profile"].(string)
	answered(t, w.ask("owner", "PATCH", "/accounts/profiles/"+old+"/", object{"slug": "another"}), 200)
	moved := w.ask("", "GET", "/accounts/profiles/"+old+"/", nil)
	assert.Equal(t, 301, moved.Code)
	assert.Equal(t, "/api/v1/accounts/profiles/another/", moved.Header().Get("Location"))
	refused(t, w.ask("teacher", "PATCH", "/accounts/profiles/teacher/", object{"slug": old}), 409, "accounts.slug_taken")
}

func TestTokensComeInOneHeader(t *testing.T) {
	t.Parallel()
	w := newWorld(t, engines()["sqlite"])
	token := w.tokens["student"]
	for _, header := range []string{"Basic " + token, "Bearer", "Bearer ", token, "Bearer " + token + "x", "Bearer " + strings.Repeat(".", 5000), "bearer\t" + token} {
		r := httptest.NewRequest("GET", "/api/v1/courses/", nil)
		r.Header.Set("Authorization", header)
		answer := httptest.NewRecorder()
		w.h.ServeHTTP(answer, r)
		assert.Equal(t, 401, answer.Code, header)
		assert.NotEmpty(t, answer.Header().Get("WWW-Authenticate"))
	}
	r := httptest.NewRequest("GET", "/api/v1/accounts/users/me/", nil)
	r.Header.Add("Authorization", "bearer "+token)
	answer := httptest.NewRecorder()
	w.h.ServeHTTP(answer, r)
	assert.Equal(t, 200, answer.Code, "the scheme has no case")
	r.Header.Add("Authorization", "Bearer "+token)
	answer = httptest.NewRecorder()
	w.h.ServeHTTP(answer, r)
	assert.Equal(t, 401, answer.Code, "two of them")
	assert.Equal(t, 401, w.ask("", "GET", "/accounts/users/me/?access_token="+token, nil).Code, "a token in a URL is none")
}

func TestGuessingIsThrottled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, engines()["sqlite"])
	wrong := object{"username": "owner", "password": "a wrong password"}
	for range 10 {
		refused(t, w.ask("", "POST", "/auth/login/", wrong), 401, "accounts.bad_credentials")
	}
	answer := w.ask("", "POST", "/auth/login/", wrong, "X-Forwarded-For", "203.0.113.9", "Forwarded", "for=203.0.113.9", "X-Real-IP", "203.0.113.9")
	refused(t, answer, 429, "accounts.too_many_attempts")
	assert.NotEmpty(t, answer.Header().Get("Retry-After"))
	assert.NotContains(t, answer.Body.String(), "wrong password")

	// The owner comes from elsewhere.
	r := httptest.NewRequest("POST", "/api/v1/auth/login/", strings.NewReader(encode(t, object{"username": "owner", "password": password})))
	r.Header.Set("Content-Type", "application/json")
	r.RemoteAddr = "[2001:db8::1]:1234"
	elsewhere := httptest.NewRecorder()
	w.h.ServeHTTP(elsewhere, r)
	assert.Equal(t, 200, elsewhere.Code, elsewhere.Body)
}

func TestSessionsAreRefreshedAndEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, engines()["sqlite"])
	session := answered(t, w.ask("", "POST", "/auth/login/", object{"username": "student@example.org", "password": password}), 200)
	assert.Equal(t, "900", encode(t, session["expires_in"]))
	next := answered(t, w.ask("", "POST", "/auth/refresh/", object{"refresh_token": session["refresh_token"]}), 200)
	same := answered(t, w.ask("", "POST", "/auth/refresh/", object{"refresh_token": session["refresh_token"]}), 200)
	assert.Equal(t, next["refresh_token"], same["refresh_token"], "a lost answer is given again")
	require.Equal(t, 204, w.ask("", "POST", "/auth/logout/", object{"refresh_token": next["refresh_token"]}).Code)
	refused(t, w.ask("", "POST", "/auth/refresh/", object{"refresh_token": next["refresh_token"]}), 401, "accounts.bad_token")
	w.tokens["ended"] = next["access_token"].(string)
	refused(t, w.ask("ended", "GET", "/accounts/users/me/", nil), 401, "accounts.bad_token")
}

func asAdmin(*http.Request) (core.Actor, error) { return accounts.System, nil }

func TestWhatWouldNotBeKeptIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, engines()["sqlite"])
	s := w.course(courses.Published)
	refused(t, w.ask("admin", "PUT", "/courses/"+s.slug+"/teacher/", object{"teacher": "teacher"}, "If-Match", `"1-a"`), 412, "core.version_mismatch")
	refused(t, w.ask("admin", "POST", "/courses/categories/", object{"name": "X"}, "Idempotency-Key", "k"), 422, "invalid")
	refused(t, w.ask("admin", "PATCH", "/courses/"+s.slug+"/", object{"title": "X"}, "If-Match", `"1-a`), 412, "core.version_mismatch")
}

func TestInputsOfTheTransportAreChecked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, engines()["sqlite"])
	s := w.course(courses.Draft)
	for path, body := range map[string]object{
		"/auth/refresh/": {}, "/auth/logout/": {}, "/courses/" + s.slug + "/reject/": {},
		"/courses/" + s.slug + "/modules/reorder/": {}, "/courses/" + s.slug + "/lessons/reorder/": {"module": "1"},
	} {
		p := refused(t, w.ask("admin", "POST", path, body), 422, "invalid")
		assert.Equal(t, "required", p.Errors[0].Code, path)
	}
	p := refused(t, w.ask("admin", "POST", "/courses/"+s.slug+"/lessons/", object{"kind": "text"}), 422, "invalid")
	var fields []string
	for _, e := range p.Errors {
		fields = append(fields, e.Field)
	}
	assert.ElementsMatch(t, []string{"module", "title"}, fields, "all bad fields at once, by their names in the body")
	session := w.ask("", "POST", "/auth/login/", object{"username": "student", "password": password})
	assert.Equal(t, "no-store", session.Header().Get("Cache-Control"))
	assert.Empty(t, session.Header().Get("ETag"))
}

// TestAnEmbeddersOwnActorsReplaceTokens is for programs with sessions of their own.
func TestAnEmbeddersOwnActorsReplaceTokens(t *testing.T) {
	t.Parallel()
	b, _ := engines()["sqlite"](t)
	p, err := ustat.New(b, nil)
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context()))
	h, err := httpapi.New(p, &httpapi.Options{Actor: asAdmin})
	require.NoError(t, err)
	r := httptest.NewRequest("POST", "/api/v1/courses/categories/", strings.NewReader(`{"name":"Own"}`))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	assert.Equal(t, 201, w.Code, w.Body)
}
