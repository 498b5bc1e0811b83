package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/httpapi"
)

func TestParametersAreStrict(t *testing.T) {
	t.Parallel()
	h := transport(t, succeed, nil)
	for query, want := range map[string]httpapi.FieldProblem{
		"limit=abc":                 {Field: "limit", Code: "integer", Limit: "1-100", Got: "abc"},
		"limit=0":                   {Field: "limit", Code: "range", Limit: "1-100", Got: "0"},
		"limit=-1":                  {Field: "limit", Code: "range", Limit: "1-100", Got: "-1"},
		"limit=101":                 {Field: "limit", Code: "range", Limit: "1-100", Got: "101"},
		"limit=1e9":                 {Field: "limit", Code: "integer", Limit: "1-100", Got: "1e9"},
		"limit=2147483648":          {Field: "limit", Code: "range", Limit: "1-100", Got: "2147483648"},
		"limit=9223372036854775808": {Field: "limit", Code: "range", Limit: "1-100", Got: "9223372036854775808"},
		"limit=1.5":                 {Field: "limit", Code: "integer", Limit: "1-100", Got: "1.5"},
		"limit=%2B5":                {Field: "limit", Code: "integer", Limit: "1-100", Got: "+5"},
		"limit=":                    {Field: "limit", Code: "empty"},
		"limit=1&limit=2":           {Field: "limit", Code: "repeated", Limit: "1", Got: "2"},
		"cursor=":                   {Field: "cursor", Code: "empty"},
		"cursor=nope":               {Field: "cursor", Code: "core.bad_cursor"},
		"offset=5":                  {Field: "offset", Code: "unknown_parameter", Got: "5"},
		"sort=best":                 {Field: "sort", Code: "oneof", Limit: "newest, rating, price, -price, popular, relevance", Got: "best"},
		"sort=relevance":            {Field: "sort", Code: "needs_query", Got: "relevance"},
		"status=gone":               {Field: "status", Code: "oneof", Limit: "draft, review, published, archived", Got: "gone"},
		"price_min=-1":              {Field: "price_min", Code: "range", Limit: "0-9223372036854775807", Got: "-1"},
		"price_min=2&price_max=1":   {Field: "price_min", Code: "max", Limit: "1", Got: "2"},
		"currency=rub":              {Field: "currency", Code: "iso4217", Got: "rub"},
		"currency=123":              {Field: "currency", Code: "iso4217", Got: "123"},
		"currency=R-B":              {Field: "currency", Code: "iso4217", Got: "R-B"},
		"rating_min=5.01":           {Field: "rating_min", Code: "range", Limit: "1-5", Got: "5.01"},
		"rating_min=NaN":            {Field: "rating_min", Code: "range", Limit: "1-5", Got: "NaN"},
		"rating_min=4.":             {Field: "rating_min", Code: "range", Limit: "1-5", Got: "4."},
		"lang=!":                    {Field: "lang", Code: "bcp47_language_tag", Got: "!"},
		"q=%00":                     {Field: "query", Code: "encoding", Got: "q=%00"},
		"q=%ff":                     {Field: "query", Code: "encoding", Got: "q=%ff"},
		"q=%zz":                     {Field: "query", Code: "encoding", Got: "q=%zz"},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/api/v1/courses/", nil)
		r.URL.RawQuery = query
		h.ServeHTTP(w, r)
		code := "invalid"
		if want.Code == "core.bad_cursor" {
			code = want.Code
		}
		p := refused(t, w, http.StatusUnprocessableEntity, code)
		require.Len(t, p.Errors, 1, query)
		assert.NotEmpty(t, p.Errors[0].Detail, query)
		p.Errors[0].Detail = ""
		assert.Equal(t, want, p.Errors[0], query)
	}
	refused(t, send(h, "GET", "/api/v1/courses/search/"), http.StatusUnprocessableEntity, "invalid")
	refused(t, send(h, "GET", "/api/v1/courses/search/?q="), http.StatusUnprocessableEntity, "invalid")
	refused(t, send(h, "GET", "/api/v1/courses/x/?limit=5"), http.StatusUnprocessableEntity, "invalid")
}

func TestAllFaultsOfAQueryComeTogether(t *testing.T) {
	t.Parallel()
	h := transport(t, succeed, nil)
	p := refused(t, send(h, "GET", "/api/v1/courses/?limit=0&sort=best&nope=1"), http.StatusUnprocessableEntity, "invalid")
	assert.Len(t, p.Errors, 3)
	p = refused(t, send(h, "GET", "/api/v1/courses/?"+strings.Repeat("x&", 2000)), http.StatusUnprocessableEntity, "invalid")
	assert.Len(t, p.Errors, 20)
}

func TestLangIsTakenEverywhere(t *testing.T) {
	t.Parallel()
	h := transport(t, succeed, nil)
	for _, path := range []string{"/api/v1/courses/top/", "/healthz", "/readyz"} {
		assert.Equal(t, http.StatusOK, send(h, "GET", path+"?lang=ru-RU").Code)
	}
}

func FuzzQueryNeverFailsTheServer(f *testing.F) {
	platform := seeded(f)
	// Slowness counts as failure: it becomes a 503.
	h, err := httpapi.New(platform, &httpapi.Options{Timeout: 3 * time.Second})
	require.NoError(f, err)
	for _, seed := range [][3]string{
		{"go", "", "5"},
		{"\"базы данных\"*", "x", "-1"},
		{"a OR b) --", "AAAA", "1e9"},
		{"NEAR(a b)", "%", "0x1"},
		{"\x00", "\xff", " "},
		{strings.Repeat("слово ", 80), strings.Repeat("A", 2000), "99999999999999999999"},
	} {
		f.Add(seed[0], seed[1], seed[2], true)
		f.Add(seed[0], seed[1], seed[2], false)
	}
	f.Fuzz(func(t *testing.T, q, cursor, limit string, raw bool) {
		values := url.Values{"q": {q}, "cursor": {cursor}, "limit": {limit}}
		queries := []string{values.Encode(), url.Values{"q": {q}}.Encode(), url.Values{"q": {q}, "cursor": {cursor}}.Encode()}
		if raw {
			queries = []string{"q=" + q, "q=a&cursor=" + cursor, "q=a&limit=" + limit}
		}
		for _, path := range []string{"/api/v1/courses/search/", "/api/v1/courses/", "/api/v1/courses/tags/"} {
			for _, query := range queries {
				r := httptest.NewRequest("GET", path, nil)
				r.URL.RawQuery = query
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				if w.Code >= 500 {
					t.Fatalf("%s?%s: %d %s", path, query, w.Code, w.Body)
				}
			}
		}
	})
}
