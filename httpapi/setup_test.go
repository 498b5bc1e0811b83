package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
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
	"github.com/ustat/ustat/internal/pgtest"
	"github.com/ustat/ustat/reviews"
	"github.com/ustat/ustat/storage"
)

// brokenCourses is a store whose lists end as the test says.
type brokenCourses struct {
	courses.Store
	list func(ctx context.Context) error
}

func (b brokenCourses) ListCourses(ctx context.Context, _ courses.ListQuery) ([]courses.Hit, error) {
	return nil, b.list(ctx)
}

type noAccounts struct{ accounts.Store }

func (noAccounts) UsersByID(context.Context, []core.UserID) ([]accounts.User, error) { return nil, nil }

func (noAccounts) NamesByID(context.Context, []core.UserID) ([]accounts.Name, error) { return nil, nil }

type noReviews struct{ reviews.Store }

// freshKeys keeps no key.
type freshKeys struct{}

func (freshKeys) Key(_ context.Context, _ string, fresh func() []byte) ([]byte, error) {
	return fresh(), nil
}

// transport returns a handler over a platform without a database.
func transport(t *testing.T, list func(ctx context.Context) error, options *httpapi.Options) http.Handler {
	t.Helper()
	backend := &storage.Backend{Accounts: noAccounts{}, Courses: brokenCourses{list: list}, Reviews: noReviews{}, Keys: freshKeys{}}
	platform, err := ustat.New(backend, nil)
	require.NoError(t, err)
	require.NoError(t, platform.Start(t.Context()))
	handler, err := httpapi.New(platform, options)
	require.NoError(t, err)
	return handler
}

// logTo returns a logger that writes lines into the buffer.
func logTo(b *bytes.Buffer) *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }

func send(h http.Handler, method, target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, target, nil))
	return w
}

// read answers a GET that must succeed.
func read(t *testing.T, h http.Handler, target string) map[string]any {
	t.Helper()
	w := send(h, http.MethodGet, target)
	require.Equal(t, http.StatusOK, w.Code, "%s: %s", target, w.Body)
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	return decode(t, w.Body)
}

func decode(t *testing.T, r io.Reader) map[string]any {
	t.Helper()
	var out map[string]any
	decoder := json.NewDecoder(r)
	decoder.UseNumber()
	require.NoError(t, decoder.Decode(&out))
	return out
}

// refused checks that an answer is a well-formed problem and returns it.
func refused(t *testing.T, w *httptest.ResponseRecorder, status int, code string) httpapi.Problem {
	t.Helper()
	require.Equal(t, status, w.Code, w.Body.String())
	assert.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
	assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	var p httpapi.Problem
	decoder := json.NewDecoder(strings.NewReader(w.Body.String()))
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(&p))
	assert.Equal(t, "about:blank", p.Type)
	assert.Equal(t, status, p.Status)
	assert.Equal(t, code, p.Code)
	assert.NotEmpty(t, p.Title)
	assert.NotEmpty(t, p.Detail)
	return p
}

func TestMain(m *testing.M) { pgtest.Main(m) }
