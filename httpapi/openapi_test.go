package httpapi_test

import (
	"bytes"
	"fmt"
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

func TestTheDocumentListsEveryRoute(t *testing.T) {
	t.Parallel()
	document, err := httpapi.OpenAPI("v1")
	require.NoError(t, err)
	doc := decode(t, bytes.NewReader(document))
	assert.Equal(t, "3.1.0", doc["openapi"])
	var listed, routed []string
	for path := range at(t, doc, "paths") {
		for method := range at(t, doc, "paths", path) {
			listed = append(listed, strings.ToUpper(method)+" "+path)
		}
	}
	for _, op := range httpapi.Operations() {
		routed = append(routed, op.Method+" "+op.Path)
	}
	assert.ElementsMatch(t, routed, listed)
}

func TestEveryReadAnswersInBothForms(t *testing.T) {
	t.Parallel()
	w := newWorld(t, engines()["sqlite"])
	s := w.course(courses.Published)
	for _, op := range httpapi.Operations() {
		build := requests[op.ID]
		if op.Method != http.MethodGet || build == nil {
			continue
		}
		slash := build(w, s).path
		path, query, _ := strings.Cut(slash, "?")
		bare := strings.TrimSuffix(path, "/")
		if query != "" {
			bare += "?" + query
		}
		for _, form := range []string{slash, bare} {
			answer := w.ask("admin", http.MethodGet, form, nil)
			assert.Equal(t, http.StatusOK, answer.Code, "%s: %s", form, answer.Body)
		}
	}
}

func TestTheDocumentHasTheBoundsThatServicesCheck(t *testing.T) {
	t.Parallel()
	document, err := httpapi.OpenAPI("v1")
	require.NoError(t, err)
	schemas := at(t, decode(t, bytes.NewReader(document)), "components", "schemas")
	course := at(t, schemas, "NewCourse")
	assert.Equal(t, []any{"title"}, course["required"])
	assert.Equal(t, false, course["additionalProperties"])
	properties := at(t, course, "properties")
	assert.Equal(t, "200", fmt.Sprint(at(t, properties, "title")["maxLength"]))
	assert.Equal(t, "32", fmt.Sprint(at(t, properties, "tags")["maxItems"]))
	assert.Equal(t, []any{"html", "markdown"}, at(t, properties, "format")["enum"])
	assert.NotContains(t, properties, "Key")
	assert.Equal(t, "string", at(t, schemas, "Registration", "properties", "password")["type"])
	assert.ElementsMatch(t, []any{"username", "email", "password"}, at(t, schemas, "Registration")["required"])
	for schema, fields := range map[string][]string{"CourseEdit": {"category", "language"}, "CategoryEdit": {"parent"}, "NewCourse": {"slug", "category"}} {
		for _, field := range fields {
			property := at(t, schemas, schema, "properties", field)
			assert.NotContains(t, property, "minLength", "%s.%s takes a value, and an empty one", schema, field)
			assert.NotEqual(t, "0", fmt.Sprint(property["maxLength"]))
		}
	}
	for _, path := range []string{"/api/v1/auth/login/", "/api/v1/auth/register/"} {
		assert.Contains(t, at(t, decode(t, bytes.NewReader(document)), "paths", path, "post", "responses"), "429")
	}
	lesson := at(t, schemas, "LessonInput")
	assert.ElementsMatch(t, []any{"module", "title", "kind"}, lesson["required"], "fields of an embedded struct are there")
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
