package main

import (
	"context"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestRiversInterfaceIsForAdmins(t *testing.T) {
	t.Parallel()
	for engine, db := range map[string]func(t *testing.T) string{
		"sqlite":   func(t *testing.T) string { return filepath.Join(t.TempDir(), "river.db") },
		"postgres": func(t *testing.T) string { return pgtest.DSN(t) },
	} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			riversInterface(t, db(t))
		})
	}
}

func riversInterface(t *testing.T, db string) {
	addr := freeAddr(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"--db", db, "--addr", addr, "--no-demo"}, strings.NewReader(""), io.Discard, io.Discard)
	}()
	defer func() {
		stop()
		require.Equal(t, statusOK, <-ended)
	}()
	waitFor(t, "http://"+addr+"/readyz")
	token := tokensIn(t, db)

	ask := func(method, path string, headers ...string) (int, string, []*http.Cookie) {
		t.Helper()
		r, err := http.NewRequestWithContext(ctx, method, "http://"+addr+path, nil)
		require.NoError(t, err)
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		response, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return response.StatusCode, string(body), response.Cookies()
	}
	status, _, _ := ask("GET", riverPath+"/")
	require.Equal(t, http.StatusUnauthorized, status)
	status, _, _ = ask("GET", riverPath+"/", "Authorization", "Bearer "+token["admin"])
	require.Equal(t, http.StatusUnauthorized, status, "a page takes the cookie alone")
	for who, want := range map[string]int{"student": http.StatusForbidden, "nobody": http.StatusUnauthorized} {
		status, _, cookies := ask("POST", riverSession, "Authorization", "Bearer "+token[who])
		require.Equal(t, want, status, who)
		require.Empty(t, cookies)
		status, _, _ = ask("GET", riverPath+"/api/jobs?state=completed", "Cookie", riverCookie+"="+token[who])
		require.Equal(t, want, status, who)
	}
	status, _, _ = ask("POST", riverSession, "Authorization", "Bearer "+token["admin"], "Sec-Fetch-Site", "cross-site")
	require.Equal(t, http.StatusForbidden, status)

	status, _, cookies := ask("POST", riverSession, "Authorization", "Bearer "+token["admin"])
	require.Equal(t, http.StatusNoContent, status)
	require.Len(t, cookies, 1)
	cookie := cookies[0]
	require.True(t, cookie.HttpOnly)
	require.Equal(t, riverPath+"/", cookie.Path)
	require.Equal(t, http.SameSiteStrictMode, cookie.SameSite)
	sent := cookie.Name + "=" + cookie.Value
	status, body, _ := ask("GET", riverPath+"/", "Cookie", sent)
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, "<html")
	status, body, _ = ask("GET", riverPath+"/api/jobs?state=completed&limit=20", "Cookie", sent)
	require.Equal(t, http.StatusOK, status, body)
	require.True(t, strings.HasPrefix(strings.TrimSpace(body), "{"), body)
	status, _, _ = ask("POST", riverPath+"/api/jobs/retry", "Cookie", sent, "Sec-Fetch-Site", "cross-site")
	require.Equal(t, http.StatusForbidden, status)
	status, _, _ = ask("GET", "/api/v1/admin/jobs/", "Cookie", sent)
	require.Equal(t, http.StatusUnauthorized, status, "the API does not take the cookie")
}

// tokensIn returns the access tokens of a new admin and a new student.
func tokensIn(t *testing.T, db string) map[string]string {
	t.Helper()
	p := &program{cli: &cli{DB: db}, log: newLogger("text", io.Discard)}
	platform, _, err := p.start(t.Context(), new(ustat.Config))
	require.NoError(t, err)
	defer func() { require.NoError(t, platform.Stop(context.Background())) }()
	tokens := map[string]string{"nobody": "x"}
	for _, role := range []core.Role{core.Admin, core.Student} {
		name := "the-" + string(role)
		_, err := platform.Accounts.CreateUser(t.Context(), accounts.System, accounts.NewUser{
			Username: name, Email: name + "@example.org", Role: role, Password: "correct horse battery",
		})
		require.NoError(t, err)
		given, err := platform.Accounts.Login(t.Context(), accounts.Credentials{Login: name, Password: "correct horse battery"}, accounts.Client{})
		require.NoError(t, err)
		tokens[string(role)] = string(given.Access)
	}
	return tokens
}
