package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/httpapi"
	"github.com/ustat/ustat/internal/pgtest"
	"github.com/ustat/ustat/storage"
	"github.com/ustat/ustat/storage/postgres"
	"github.com/ustat/ustat/storage/sqlite"
	"github.com/ustat/ustat/transfer"
)

const catalogueSize = 7246

// served is the real catalogue on one engine, over HTTP.
type served struct {
	backend *storage.Backend
	handler http.Handler
}

func serveCatalogue(t *testing.T, backend *storage.Backend) served {
	t.Helper()
	data := os.Getenv("USTAT_TEST_DATA")
	if data == "" {
		t.Skip("USTAT_TEST_DATA is not set: it names the folder with import/catalog")
	}
	p, err := ustat.New(backend, nil)
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, p.Stop(context.Background())) })
	report, err := transfer.Import(t.Context(), backend, os.DirFS(filepath.Join(data, "import", "catalog")), nil)
	require.NoError(t, err)
	require.Zero(t, report.Total().Refused)
	h, err := httpapi.New(p, nil)
	require.NoError(t, err)
	return served{backend, h}
}

func onSQLite(t *testing.T) served {
	t.Helper()
	backend, err := sqlite.InMemory(t.Context(), nil)
	require.NoError(t, err)
	return serveCatalogue(t, backend)
}

func onPostgres(t *testing.T) served {
	t.Helper()
	backend, err := postgres.Open(t.Context(), pgtest.DSN(t), nil)
	require.NoError(t, err)
	return serveCatalogue(t, backend)
}

type listBody struct {
	Results []struct{ Slug, Title string }
	Next    *string
}

func (s served) get(t *testing.T, path string) (int, listBody) {
	t.Helper()
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	var body listBody
	if w.Code == http.StatusOK {
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body))
	}
	return w.Code, body
}

// walk returns the slugs of every page, in order, and calls between after each.
func (s served) walk(t *testing.T, path string, between func()) []string {
	t.Helper()
	var slugs []string
	for cursor := ""; ; {
		at := path
		if cursor != "" {
			at += "&cursor=" + cursor
		}
		code, page := s.get(t, at)
		require.Equal(t, http.StatusOK, code, at)
		for _, r := range page.Results {
			slugs = append(slugs, r.Slug)
		}
		if page.Next == nil {
			return slugs
		}
		cursor = *page.Next
		if between != nil {
			between()
		}
	}
}

func TestBothEnginesFindTheSame(t *testing.T) {
	t.Parallel()
	lite, pg := onSQLite(t), onPostgres(t)
	for _, query := range []string{
		"программирования", "databases", "C++", "C#", ".net", "python для анализа данных", "машинное обучение", "web design",
		"ёлка", "курс", "guitar", "management of projects", "数据", "français", "финансы", "introduction to", "the", "🎸", `" OR 1=1 --`, "NEAR(a b)",
	} {
		path := "/api/v1/courses/search/?limit=100&q=" + url.QueryEscape(query)
		a, b := lite.walk(t, path, nil), pg.walk(t, path, nil)
		require.Equal(t, a[:min(10, len(a))], b[:min(10, len(b))], "the first ten of %q", query)
		slices.Sort(a)
		slices.Sort(b)
		require.Equal(t, a, b, "what %q finds", query)
		require.Equal(t, len(a), len(slices.Compact(a)), "no course twice for %q", query)
	}
}

func TestSearchFindsFormsOfAWord(t *testing.T) {
	t.Parallel()
	s := onSQLite(t)
	found := func(query string) listBody {
		code, body := s.get(t, "/api/v1/courses/search/?limit=100&q="+url.QueryEscape(query))
		require.Equal(t, http.StatusOK, code)
		require.NotEmpty(t, body.Results, query)
		return body
	}
	has := func(body listBody, part string) bool {
		return slices.ContainsFunc(body.Results, func(r struct{ Slug, Title string }) bool { return strings.Contains(r.Title, part) })
	}
	require.True(t, has(found("программирования"), "Программирование"))
	require.True(t, has(found("databases"), "Database"))
	plus, sharp := found("C++"), found("C#")
	require.True(t, has(plus, "C++"))
	require.True(t, has(sharp, "C#"))
	require.NotEqual(t, plus.Results, sharp.Results)
}

func TestAWalkVisitsEachCourseOnceWhileRowsAreInserted(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(*testing.T) served{"sqlite": onSQLite, "postgres": onPostgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			model, err := s.backend.Courses.ListCourses(t.Context(), courses.ListQuery{Status: courses.Published, Sort: courses.Newest, Limit: 1})
			require.NoError(t, err)
			n := 0
			slugs := s.walk(t, "/api/v1/courses/?limit=20", func() { // one in front of and one behind the place of the walk
				n++
				added := make([]courses.Course, 2)
				for i, at := range []time.Time{time.Now(), time.Date(1990, 1, 1, 0, 0, n, 0, time.UTC)} {
					added[i] = courses.Course{
						Slug: fmt.Sprintf("inserted-%d-%d", n, i), Title: "Inserted", Status: courses.Published, Teacher: model[0].Course.Teacher,
						Price: core.Money{Currency: "USD"}, CreatedAt: at, UpdatedAt: at,
					}
				}
				require.NoError(t, s.backend.Courses.Update(t.Context(), func(ctx context.Context, tx courses.Tx) error {
					_, err := tx.InsertCourses(ctx, added)
					return err
				}))
				if n > 450 { // those behind are walked too: the walk must end
					t.Fatal("the walk does not end")
				}
			})
			old := 0
			seen := map[string]bool{}
			for _, slug := range slugs {
				require.False(t, seen[slug], "%s comes twice", slug)
				seen[slug] = true
				if !strings.HasPrefix(slug, "inserted-") {
					old++
				}
			}
			require.Equal(t, catalogueSize, old)
		})
	}
}
