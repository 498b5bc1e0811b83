package httpapi_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/httpapi"
	"github.com/ustat/ustat/storage"
	"github.com/ustat/ustat/storage/sqlite"
)

var created = time.Date(2026, 3, 1, 10, 0, 0, 123000, time.UTC)

// rated gives the course go its numbers, which otherwise come with reviews and
// enrollments.
type rated struct{ courses.Store }

func rate(c *courses.Course) {
	if c.Slug == "go" {
		c.Stats = courses.Stats{ReviewCount: 2, RatingSum: 9, Students: 7}
	}
}

func (s rated) CourseBySlug(ctx context.Context, slug string) (courses.Course, error) {
	c, err := s.Store.CourseBySlug(ctx, slug)
	rate(&c)
	return c, err
}

func (s rated) ListCourses(ctx context.Context, q courses.ListQuery) ([]courses.Hit, error) {
	hits, err := s.Store.ListCourses(ctx, q)
	for i := range hits {
		rate(&hits[i].Course)
	}
	return hits, err
}

// seeded returns a started platform in a new SQLite file: the course go in full,
// the draft sketch, bare without what is optional, and c00 to c24.
func seeded(t testing.TB) *ustat.Platform {
	t.Helper()
	ctx := context.Background()
	backend, err := sqlite.Open(ctx, filepath.Join(t.TempDir(), "ustat.db"), nil)
	require.NoError(t, err)
	store := backend.Courses
	backend.Courses = rated{store}
	platform, err := ustat.New(backend, nil)
	require.NoError(t, err)
	require.NoError(t, platform.Start(ctx))
	t.Cleanup(func() { assert.NoError(t, platform.Stop(ctx)) })
	anna, err := platform.Accounts.CreateUser(ctx, accounts.System, accounts.NewUser{
		Username: "anna", Email: "anna@example.org", Role: core.Teacher, FullName: "Anna Ivanova",
	})
	require.NoError(t, err)
	require.NoError(t, store.Update(ctx, func(ctx context.Context, tx courses.Tx) error {
		return seed(ctx, tx, anna.ID)
	}))
	return platform
}

func seed(ctx context.Context, tx courses.Tx, anna core.UserID) error {
	top, err := tx.InsertCategories(ctx, []courses.Category{{Slug: "it", Name: "IT"}})
	if err != nil {
		return err
	}
	below, err := tx.InsertCategories(ctx, []courses.Category{{Slug: "backend", Name: "Backend", ParentID: top[0].ID}})
	if err != nil {
		return err
	}
	tags, err := tx.EnsureTags(ctx, []courses.Tag{{Slug: "db", Name: "Databases"}, {Slug: "golang", Name: "Go"}})
	if err != nil {
		return err
	}
	price := core.Money{Minor: 199900, Currency: "RUB"}
	full := courses.Course{
		Slug: "go", Title: "Go & databases", Description: "<p>About indexes in depth</p>", Requirements: "None", Language: "en",
		Price: price, Status: courses.Published, Teacher: courses.Teacher{ID: anna}, Category: below[0], Tags: tags,
		CreatedAt: created, UpdatedAt: created.Add(time.Hour), PublishedAt: created.Add(2 * time.Hour),
	}
	sketch := full
	sketch.Slug, sketch.Status, sketch.PublishedAt = "sketch", courses.Draft, time.Time{}
	bare := courses.Course{
		Slug: "bare", Title: "Bare", Price: price, Status: courses.Published, Teacher: courses.Teacher{ID: anna},
		CreatedAt: created.Add(-time.Hour), UpdatedAt: created, PublishedAt: created,
	}
	many := []courses.Course{full, sketch, bare}
	for i := range 25 {
		c := bare
		c.Slug, c.CreatedAt = fmt.Sprintf("c%02d", i), created.Add(-24*time.Hour)
		many = append(many, c)
	}
	many, err = tx.InsertCourses(ctx, many)
	if err != nil {
		return err
	}
	modules, err := tx.InsertModules(ctx, []courses.Module{
		{CourseID: many[0].ID, Title: "Start", Description: "First steps", Position: 1},
		{CourseID: many[0].ID, Title: "More", Position: 2},
	})
	if err != nil {
		return err
	}
	_, err = tx.InsertLessons(ctx, []courses.Lesson{
		{CourseID: many[0].ID, ModuleID: modules[0].ID, Title: "Hello", Kind: courses.Text, Content: "<p>Hi</p>", Duration: 90 * time.Second, FreePreview: true, Position: 1},
		{CourseID: many[0].ID, ModuleID: modules[1].ID, Title: "Deep", Kind: courses.Video, Content: "secret", Duration: time.Minute, Position: 1},
	})
	if err != nil {
		return err
	}
	return tx.RecountCategories(ctx)
}

func catalogue(t testing.TB, options *httpapi.Options) http.Handler {
	t.Helper()
	h, err := httpapi.New(seeded(t), options)
	require.NoError(t, err)
	return h
}

const goCourse = `{"slug":"go","title":"Go & databases","description":"<p>About indexes in depth</p>","requirements":"None","language":"en","base_language":"en",` +
	`"price":{"amount_minor":199900,"currency":"RUB"},"status":"published","teacher":{"username":"anna","name":"Anna Ivanova"},` +
	`"category":{"slug":"backend","name":"Backend"},"tags":[{"slug":"db","name":"Databases"},{"slug":"golang","name":"Go"}],` +
	`"average_rating":4.5,"review_count":2,"student_count":7,"created_at":"2026-03-01T10:00:00.000123Z",` +
	`"updated_at":"2026-03-01T11:00:00.000123Z","published_at":"2026-03-01T12:00:00.000123Z","capacity":null`

func TestShapesOfV1(t *testing.T) {
	t.Parallel()
	h := catalogue(t, nil)
	for path, want := range map[string]string{
		"/courses/go/":            goCourse + `,"prerequisites":[]}` + "\n",
		"/courses/top/?limit=100": `{"results":[` + goCourse + "}],\"next\":null}\n",
		"/courses/?tag=db":        `{"results":[` + goCourse + "}],\"next\":null}\n",
		"/categories/it/":         `{"slug":"it","name":"IT","parent":null,"course_count":1}` + "\n",
		"/courses/?q=absent":      `{"results":[],"next":null}` + "\n",
		"/courses/categories/": `{"results":[{"slug":"backend","name":"Backend","parent":"it","course_count":1},` +
			`{"slug":"it","name":"IT","parent":null,"course_count":1}],"next":null}` + "\n",
		"/courses/tags/":                `{"results":[{"slug":"db","name":"Databases"},{"slug":"golang","name":"Go"}],"next":null}` + "\n",
		"/courses/bare/modules/":        `{"results":[],"next":null}` + "\n",
		"/courses/go/modules/":          `{"results":[{"id":"1","title":"Start","description":"First steps","position":1,"language":"en"},{"id":"2","title":"More","description":"","position":2,"language":"en"}],"next":null}` + "\n",
		"/courses/go/lessons/":          `{"results":[` + hello + "," + deep + "],\"next\":null}\n",
		"/courses/go/lessons/?module=2": `{"results":[` + deep + "],\"next\":null}\n",
	} {
		w := send(h, "GET", httpapi.Prefix+path)
		require.Equal(t, http.StatusOK, w.Code, "%s: %s", path, w.Body)
		assert.Equal(t, want, w.Body.String(), path)
	}
}

const (
	hello = `{"id":"1","module":"1","title":"Hello","language":"en","kind":"text","content":"<p>Hi</p>","duration_seconds":90,"free_preview":true,"position":1,"opens_at":null,"opens_after_days":0,"locked":false,"reasons":[],"file":null}`
	deep  = `{"id":"2","module":"2","title":"Deep","language":"en","kind":"video","content":"","duration_seconds":60,"free_preview":false,"position":1,"opens_at":null,"opens_after_days":0,"locked":true,"reasons":["enrollment_required","payment_required"],"file":null}`
)

func TestAbsentValuesAreNullOrEmpty(t *testing.T) {
	t.Parallel()
	got := read(t, catalogue(t, nil), "/api/v1/courses/bare")
	assert.Nil(t, got["average_rating"])
	assert.Nil(t, got["category"])
	assert.Equal(t, []any{}, got["tags"])
	assert.Equal(t, "", got["language"])
	for _, key := range []string{"average_rating", "category", "published_at"} {
		assert.Contains(t, got, key)
	}
}

func TestSearchResultsCarryASnippet(t *testing.T) {
	t.Parallel()
	h := catalogue(t, nil)
	for _, path := range []string{"/api/v1/courses/search/?q=indexes", "/api/v1/courses?q=indexes"} {
		results := read(t, h, path)["results"].([]any)
		require.Len(t, results, 1)
		assert.Contains(t, results[0].(map[string]any)["snippet"], "indexes")
	}
	for _, r := range read(t, h, "/api/v1/courses/")["results"].([]any) {
		assert.NotContains(t, r, "snippet")
	}
}

func TestFiltersReachTheService(t *testing.T) {
	t.Parallel()
	h := catalogue(t, nil)
	for query, want := range map[string]int{
		"category=it": 1, "tag=golang": 1, "teacher=anna&limit=100": 27, "status=draft": 0, "language=en": 1,
		"price_min=199900&price_max=199900&limit=100": 27, "price_max=1": 0, "currency=USD": 0,
		"rating_min=4.5": 0, "sort=-price&limit=100": 27, "sort=popular&limit=1": 1,
	} {
		assert.Len(t, read(t, h, "/api/v1/courses/?"+query)["results"], want, query)
	}
	for _, field := range []string{"category", "tag", "teacher"} {
		p := refused(t, send(h, "GET", "/api/v1/courses/?"+field+"=nobody"), http.StatusUnprocessableEntity, "invalid")
		assert.Equal(t, field, p.Errors[0].Field)
		assert.Equal(t, "nobody", p.Errors[0].Got)
	}
}

func TestCursorsWalkAListOnce(t *testing.T) {
	t.Parallel()
	h := catalogue(t, nil)
	for _, query := range []string{"?limit=4", "?limit=4&sort=rating", "?limit=9&sort=price", "?limit=27"} {
		seen := map[string]bool{}
		target := "/api/v1/courses/" + query
		for {
			page := read(t, h, target)
			for _, r := range page["results"].([]any) {
				slug := r.(map[string]any)["slug"].(string)
				assert.False(t, seen[slug], slug)
				seen[slug] = true
			}
			next, more := page["next"].(string)
			if !more {
				break
			}
			target = "/api/v1/courses/" + query + "&cursor=" + url.QueryEscape(next)
		}
		assert.Len(t, seen, 27, query)
	}
	assert.Len(t, read(t, h, "/api/v1/courses/")["results"], core.DefaultLimit)
	next := read(t, h, "/api/v1/courses/?limit=4")["next"].(string)
	refused(t, send(h, "GET", "/api/v1/courses/?sort=rating&cursor="+next), http.StatusUnprocessableEntity, "core.bad_cursor")
}

func TestMissingThingsAreNotFound(t *testing.T) {
	t.Parallel()
	h := catalogue(t, nil)
	for path, code := range map[string]string{
		"/courses/nope/": "courses.not_found", "/courses/sketch/": "courses.not_found", "/courses/nope/modules/": "courses.not_found",
		"/courses/sketch/lessons": "courses.not_found", "/categories/nope/": "courses.category_not_found",
		"/courses/go%2F": "courses.not_found", "/courses/a%2Fb/": "courses.not_found", "/courses/go%2Fmodules": "courses.not_found",
	} {
		refused(t, send(h, "GET", httpapi.Prefix+path), http.StatusNotFound, code)
	}
	p := refused(t, send(h, "GET", "/api/v1/courses/go/lessons/?module=x"), http.StatusUnprocessableEntity, "invalid")
	assert.Equal(t, "module", p.Errors[0].Field)
}

func TestTheActorDecidesWhatIsSeen(t *testing.T) {
	t.Parallel()
	h := catalogue(t, &httpapi.Options{Actor: func(*http.Request) (core.Actor, error) {
		return core.Actor{UserID: 99, Role: core.Admin}, nil
	}})
	got := read(t, h, "/api/v1/courses/sketch/")
	assert.Equal(t, "draft", got["status"])
	assert.Nil(t, got["published_at"])
	lessons := read(t, h, "/api/v1/courses/go/lessons/")["results"].([]any)
	assert.Equal(t, "secret", lessons[1].(map[string]any)["content"])
}

func TestHowManyStatementsARequestTakes(t *testing.T) {
	t.Parallel()
	h := catalogue(t, nil)
	for path, most := range map[string]int{
		"/courses/": 3, "/courses/?limit=100": 3, "/courses/search/?q=indexes": 3, "/courses/go/": 3, "/courses/top/?limit=100": 3, "/courses/trending/?window=all&min_reviews=0": 1, /* nothing is reviewed */
		"/courses/categories/": 1, "/courses/tags/": 1, "/categories/it/": 1,
	} {
		ctx, counter := storage.CountQueries(t.Context())
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", httpapi.Prefix+path, nil).WithContext(ctx))
		require.Equal(t, http.StatusOK, w.Code)
		assert.Equal(t, most, counter.Count(), path)
	}
}

func TestReadyFollowsThePlatform(t *testing.T) {
	t.Parallel()
	platform := seeded(t)
	h, err := httpapi.New(platform, nil)
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, send(h, "GET", "/readyz").Code)
	require.NoError(t, platform.Stop(t.Context()))
	refused(t, send(h, "GET", "/readyz"), http.StatusServiceUnavailable, "unavailable")
	refused(t, send(h, "GET", "/api/v1/courses/"), http.StatusServiceUnavailable, "core.closed")
	assert.Equal(t, http.StatusOK, send(h, "GET", "/healthz").Code)
}

func BenchmarkHandler(b *testing.B) {
	h := catalogue(b, nil)
	for _, path := range []string{"/healthz", "/api/v1/courses/", "/api/v1/courses/go/", "/api/v1/courses/search/?q=indexes"} {
		b.Run(path, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
			}
		})
	}
}
