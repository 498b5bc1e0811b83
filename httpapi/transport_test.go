package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/httpapi"
)

func succeed(context.Context) error { return nil }

func TestAnAnswerThatCannotBeEncodedIsAProblem(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	h, err := httpapi.Unencodable(&httpapi.Options{Logger: slog.New(slog.NewJSONHandler(&log, nil))})
	require.NoError(t, err)
	for range 3 { // what is kept between answers is not spoiled
		log.Reset()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/broken/", nil))
		require.Equal(t, 500, w.Code)
		require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
		var p struct{ Code, Detail string }
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p))
		require.Equal(t, "internal", p.Code)
		require.NotContains(t, w.Body.String(), "12000")
		require.Empty(t, w.Header().Get("ETag"))
		require.Contains(t, log.String(), "request failed")
		require.Contains(t, log.String(), "year outside of range")
		w = httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/healthz", nil))
		require.Equal(t, 200, w.Code)
		require.JSONEq(t, `{"status":"ok"}`, w.Body.String())
	}
}

func TestUnknownPathsAreProblems(t *testing.T) {
	t.Parallel()
	h := transport(t, succeed, nil)
	for _, path := range []string{
		"/", "/nope", "/api", "/api/v1", "/api/v1/", "/api/v1/courses/x/extra", "/api/v1/courses/x/extra/",
		"/api/v1//courses/", "/api/v1/courses//", "/api/v1/./courses/", "/api/v1/courses/../tags/", "/api/v1/docs/nope.js",
		"/api/v1/courses/x/modules/1/2/", "/api/v1/courses/top%2F",
	} {
		w := send(h, http.MethodGet, path)
		if path == "/api/v1/courses/top%2F" {
			continue // a slug; see the catalogue's tests
		}
		refused(t, w, http.StatusNotFound, "route_not_found")
		assert.Empty(t, w.Header().Get("Location"), path)
	}
}

func TestOtherMethodsAreRefusedWithAllow(t *testing.T) {
	t.Parallel()
	h := transport(t, succeed, nil)
	for path, allow := range map[string]string{
		"/healthz":             "GET, HEAD, OPTIONS",
		"/api/v1/openapi.json": "GET, HEAD, OPTIONS", "/api/v1/docs/": "GET, HEAD, OPTIONS",
		"/api/v1/courses/": "GET, HEAD, POST, OPTIONS", "/api/v1/courses": "GET, HEAD, POST, OPTIONS",
		"/api/v1/courses/go/": "DELETE, GET, HEAD, PATCH, PUT, OPTIONS", "/api/v1/courses/go/submit/": "POST, OPTIONS",
		"/api/v1/courses/go/modules": "GET, HEAD, POST, OPTIONS",
	} {
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"} {
			if strings.Contains(allow, method) {
				continue
			}
			w := send(h, method, path)
			p := refused(t, w, http.StatusMethodNotAllowed, "method_not_allowed")
			assert.Equal(t, allow, w.Header().Get("Allow"))
			assert.Equal(t, method, p.Errors[0].Got)
		}
		w := send(h, http.MethodOptions, path)
		assert.Equal(t, http.StatusNoContent, w.Code)
		assert.Equal(t, allow, w.Header().Get("Allow"))
	}
	refused(t, send(h, "POST", "/api/v1/nope/"), http.StatusNotFound, "route_not_found")
	refused(t, send(h, "OPTIONS", "/api/v1/nope/"), http.StatusNotFound, "route_not_found")
}

func TestBothFormsOfAPathAreServedWithoutRedirect(t *testing.T) {
	t.Parallel()
	h := transport(t, succeed, nil)
	for _, path := range []string{"/api/v1/courses/top", "/healthz", "/readyz", "/api/v1/docs", "/api/v1/openapi.json"} {
		for _, form := range []string{path, path + "/"} {
			w := send(h, http.MethodGet, form)
			assert.Equal(t, http.StatusOK, w.Code, form)
			assert.Empty(t, w.Header().Get("Location"), form)
		}
	}
}

func TestEveryAnswerHasSecureHeaders(t *testing.T) {
	t.Parallel()
	h := transport(t, succeed, nil)
	for _, path := range []string{"/healthz", "/nope", "/api/v1/docs/", "/api/v1/courses/top/", "/api/v1/courses/?limit=0", "/api/v1/docs/swagger-ui.css"} {
		header := send(h, http.MethodGet, path).Header()
		assert.Equal(t, "nosniff", header.Get("X-Content-Type-Options"), path)
		assert.Contains(t, header.Get("Content-Security-Policy"), "frame-ancestors 'none'", path)
		assert.Equal(t, "no-referrer", header.Get("Referrer-Policy"), path)
		assert.NotEmpty(t, header.Get("Cache-Control"), path)
	}
}

func TestHeadHasTheHeadersOfGet(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(transport(t, succeed, nil))
	defer server.Close()
	for path, status := range map[string]int{"/api/v1/courses/top/": 200, "/nope": 404, "/api/v1/openapi.json": 200, "/api/v1/docs/": 200, "/api/v1/courses/?limit=0": 422} {
		response, err := server.Client().Head(server.URL + path)
		require.NoError(t, err)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		assert.Equal(t, status, response.StatusCode, path)
		assert.Empty(t, body)
		assert.Positive(t, response.ContentLength, path)
	}
}

func TestHealthDoesNotDependOnThePlatform(t *testing.T) {
	t.Parallel()
	denied := &httpapi.Options{Actor: func(*http.Request) (core.Actor, error) { return core.Actor{}, core.ErrUnauthenticated }}
	h := transport(t, succeed, denied)
	assert.Equal(t, http.StatusOK, send(h, "GET", "/healthz").Code)
	assert.Equal(t, http.StatusOK, send(h, "GET", "/readyz").Code)
	w := send(h, "GET", "/api/v1/courses/")
	refused(t, w, http.StatusUnauthorized, "unauthenticated")
	assert.Equal(t, `Bearer realm="ustat"`, w.Header().Get("WWW-Authenticate"))
}

func TestUnfitRequestsAreRefused(t *testing.T) {
	t.Parallel()
	h := transport(t, succeed, &httpapi.Options{MaxBody: 10})

	refused(t, send(h, "GET", "/api/v1/courses/?q="+strings.Repeat("a", 9000)), http.StatusRequestURITooLong, "query_too_long")
	refused(t, send(h, "GET", "/api/v1/courses/%00/"), http.StatusBadRequest, "bad_path")
	refused(t, send(h, "GET", "/api/v1/courses/%ff/"), http.StatusBadRequest, "bad_path")

	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("POST", "/api/v1/auth/login/", strings.NewReader("0123456789+")))
	p := refused(t, w, http.StatusRequestEntityTooLarge, "body_too_large")
	assert.Equal(t, "10", p.Errors[0].Limit)
}

func TestKindsOfErrorsHaveTheirStatus(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err    error
		status int
		code   string
	}{
		{core.ErrInvalid, 422, "invalid"},
		{core.ErrUnauthenticated, 401, "unauthenticated"},
		{core.ErrForbidden, 403, "forbidden"},
		{core.ErrNotFound, 404, "not_found"},
		{core.ErrConflict, 409, "conflict"},
		{core.ErrFailedPrecondition, 409, "failed_precondition"},
		{core.ErrRateLimited, 429, "rate_limited"},
		{core.ErrBusy, 503, "core.busy"},
		{core.ErrOutcomeUnknown, 500, "outcome_unknown"},
		{core.ErrKeyReused, 422, "core.idempotency_key_reused"},
		{core.ErrNested, 500, "internal"},
		{errors.New("no such table: secrets"), 500, "internal"},
		{context.DeadlineExceeded, 503, "timeout"},
		{fmt.Errorf("list: %w", core.ErrNotFound.Because(errors.New("no such table: secrets"))), 404, "not_found"},
	} {
		var log bytes.Buffer
		h := transport(t, func(context.Context) error { return c.err }, &httpapi.Options{Logger: logTo(&log)})
		w := send(h, "GET", "/api/v1/courses/")
		p := refused(t, w, c.status, c.code)
		assert.NotContains(t, w.Body.String(), "secrets")
		if c.status >= 500 {
			assert.Contains(t, log.String(), c.err.Error())
		} else {
			assert.Empty(t, log.String())
		}
		if c.status == 503 {
			assert.Equal(t, "1", w.Header().Get("Retry-After"))
		}
		if c.status == 500 {
			assert.Contains(t, log.String(), p.Instance)
			assert.NotEmpty(t, p.Instance)
		}
	}
}

func TestARequestEndsAtItsDeadline(t *testing.T) {
	t.Parallel()
	wait := func(ctx context.Context) error {
		<-ctx.Done()
		return errors.New("interrupted (9)")
	}
	h := transport(t, wait, &httpapi.Options{Timeout: time.Millisecond})
	w := send(h, "GET", "/api/v1/courses/")
	refused(t, w, http.StatusServiceUnavailable, "timeout")
	assert.Equal(t, "1", w.Header().Get("Retry-After"))
}

func TestAClientThatGoesAwayIsNotLogged(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	leave := func(ctx context.Context) error {
		cancel()
		return fmt.Errorf("list: %w", ctx.Err())
	}
	h := transport(t, leave, &httpapi.Options{Logger: logTo(&log)})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/api/v1/courses/", nil).WithContext(ctx))
	refused(t, w, 499, "client_closed_request")
	assert.Empty(t, log.String())
}

func TestPanicsAreAnswered(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	h := transport(t, func(context.Context) error { panic("secret") }, &httpapi.Options{Logger: logTo(&log)})
	w := send(h, "GET", "/api/v1/courses/")
	p := refused(t, w, http.StatusInternalServerError, "internal")
	assert.NotContains(t, w.Body.String(), "secret")
	assert.Contains(t, log.String(), "secret")
	assert.Contains(t, log.String(), p.Instance)

	h = transport(t, func(context.Context) error { panic(http.ErrAbortHandler) }, nil)
	assert.PanicsWithValue(t, http.ErrAbortHandler, func() { send(h, "GET", "/api/v1/courses/") })
}

func TestWrongOptionsAreRefused(t *testing.T) {
	t.Parallel()
	_, err := httpapi.New(nil, nil)
	require.ErrorIs(t, err, core.ErrInvalid)
	assert.Positive(t, httpapi.Server(":0", nil).ReadHeaderTimeout)
}
