package httpapi_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/httpapi"
)

func TestTheDocumentNeedsNoPlatform(t *testing.T) {
	t.Parallel()
	document, err := httpapi.OpenAPI("v1")
	require.NoError(t, err)
	w := send(transport(t, succeed, nil), "GET", "/api/v1/openapi.json")
	assert.Equal(t, "application/json", w.Header().Get("Content-Type"))
	assert.Equal(t, string(document), w.Body.String())
	_, err = httpapi.OpenAPI("v9")
	assert.ErrorIs(t, err, core.ErrInvalid)
}

func TestTheDocumentListsEveryRouteAndEveryRouteAnswers(t *testing.T) {
	t.Parallel()
	document, err := httpapi.OpenAPI("v1")
	require.NoError(t, err)
	doc := decode(t, bytes.NewReader(document))
	assert.Equal(t, "3.1.0", doc["openapi"])
	var paths []string
	for path := range doc["paths"].(map[string]any) {
		paths = append(paths, path)
	}
	assert.ElementsMatch(t, []string{
		"/api/v1/courses/", "/api/v1/courses/search/", "/api/v1/courses/top/", "/api/v1/courses/categories/",
		"/api/v1/categories/{slug}/", "/api/v1/courses/tags/", "/api/v1/courses/{slug}/", "/api/v1/courses/{slug}/modules/",
		"/api/v1/courses/{slug}/lessons/", "/healthz", "/readyz",
	}, paths)
	h := catalogue(t, nil)
	for _, path := range paths {
		slug := "go"
		if strings.Contains(path, "/categories/") {
			slug = "it"
		}
		target := strings.ReplaceAll(path, "{slug}", slug)
		if strings.Contains(path, "search") {
			target += "?q=go"
		}
		read(t, h, target)
		head, query, _ := strings.Cut(target, "?")
		read(t, h, strings.TrimSuffix(head, "/")+"?"+query)
	}
}

// at walks a decoded document.
func at(t *testing.T, v any, keys ...string) map[string]any {
	t.Helper()
	for _, key := range keys {
		m, ok := v.(map[string]any)
		require.True(t, ok, key)
		v = m[key]
	}
	m, ok := v.(map[string]any)
	require.True(t, ok, "%v", keys)
	return m
}

func TestTheDocumentHasTypesAndEnums(t *testing.T) {
	t.Parallel()
	document, err := httpapi.OpenAPI("v1")
	require.NoError(t, err)
	doc := decode(t, bytes.NewReader(document))
	assert.NotContains(t, string(document), "$schema")
	params := map[string]map[string]any{}
	for _, p := range at(t, doc, "paths", "/api/v1/courses/search/", "get")["parameters"].([]any) {
		m := p.(map[string]any)
		params[m["name"].(string)] = m
	}
	for _, name := range []string{"limit", "cursor", "sort", "q", "category", "tag", "teacher", "status", "language", "price_min", "price_max", "currency", "rating_min"} {
		require.Contains(t, params, name)
		assert.NotEmpty(t, params[name]["description"], name)
	}
	assert.Equal(t, true, params["q"]["required"])
	assert.Equal(t, "integer", at(t, params["limit"], "schema")["type"])
	assert.Equal(t, "number", at(t, params["rating_min"], "schema")["type"])
	assert.Len(t, at(t, params["sort"], "schema")["enum"], len(courses.Sorts))

	course := at(t, doc, "components", "schemas", "Course", "properties")
	var statuses []any
	for _, s := range courses.Statuses {
		statuses = append(statuses, string(s))
	}
	assert.Equal(t, statuses, at(t, course, "status")["enum"])
	assert.Equal(t, []any{"number", "null"}, at(t, course, "average_rating")["type"])
	assert.Equal(t, "array", at(t, course, "tags")["type"])
	found := at(t, doc, "components", "schemas", "ListCourseResult", "properties", "results", "items")["allOf"].([]any)
	assert.Equal(t, "#/components/schemas/Course", found[0].(map[string]any)["$ref"])
	assert.Contains(t, at(t, found[1], "properties"), "snippet")
	assert.Equal(t, []any{"object", "null"}, at(t, doc, "components", "schemas", "CategoryName")["type"])
	refs := regexp.MustCompile(`#/components/schemas/(\w+)`).FindAllStringSubmatch(string(document), -1)
	for _, ref := range refs {
		assert.Contains(t, at(t, doc, "components", "schemas"), ref[1])
	}
}

func TestTheDocsPageWorksOffline(t *testing.T) {
	t.Parallel()
	h := transport(t, succeed, nil)
	loads := regexp.MustCompile(`(?:src|href)="([^"]*)"`)
	for _, path := range []string{"/api/v1/docs/", "/api/v1/docs"} {
		w := send(h, "GET", path)
		require.Equal(t, http.StatusOK, w.Code)
		assert.Equal(t, "text/html; charset=utf-8", w.Header().Get("Content-Type"))
		policy := w.Header().Get("Content-Security-Policy")
		assert.Contains(t, policy, "script-src 'self' 'sha256-")
		assert.NotContains(t, policy, "http")
		found := loads.FindAllStringSubmatch(w.Body.String(), -1)
		require.GreaterOrEqual(t, len(found), 4)
		base := httptest.NewRequest("GET", path, nil).URL
		for _, link := range found {
			target, err := base.Parse(link[1])
			require.NoError(t, err)
			assert.NotRegexp(t, `^(https?:)?//`, link[1])
			w := send(h, "GET", target.Path)
			assert.Equal(t, http.StatusOK, w.Code, target.Path)
			assert.NotEmpty(t, w.Body.Bytes())
		}
	}
}
