package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// command runs the program and returns its status and what it printed.
func command(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = run(t.Context(), args, &out, &errs)
	return status, out.String(), errs.String()
}

func TestBadConfigurationIsOneLineAndStatus2(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, args := range [][]string{
		{"--no-such-flag"},
		{"dance"},
		{"migrate", "--db", "mysql://localhost/x"},
		{"migrate", "--db", filepath.Join(dir, "no", "such", "folder.db")},
		{"migrate", "--db", "postgres://localhost:1/none?connect_timeout=2"},
		{"import", "--db", filepath.Join(dir, "a.db")},
		{"import", "--db", filepath.Join(dir, "a.db"), "--dir", filepath.Join(dir, "nothing")},
		{"user", "create", "--db", filepath.Join(dir, "a.db"), "--username", "x", "--email", "no", "--role", "admin"},
		{"user", "create", "--db", filepath.Join(dir, "a.db"), "--username", "bob", "--email", "b@example.org", "--role", "king"},
		{"openapi", "--version", "v9"},
		{"serve", "--db", filepath.Join(dir, "a.db"), "--addr", "nowhere:99999"},
		{"serve", "--db", filepath.Join(dir, "a.db"), "--worker", "--tasks=-1"},
		{"serve", "--db", filepath.Join(dir, "a.db"), "--addr", "127.0.0.1:0", "--tasks", "5000"},
	} {
		status, _, stderr := command(t, args...)
		require.Equal(t, statusUsage, status, "%v: %s", args, stderr)
		line := strings.TrimSpace(stderr)
		require.Contains(t, line, "server: ", "%v", args)
		require.NotContains(t, line[strings.Index(line, "server: "):], "\n", "%v", args)
	}
}

func TestImportNamesWhatItRefusedAndEndsWith1(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := filepath.Join(dir, "import.db")
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	write("categories.csv", "slug,name,parent\nart,Art,\nbad slug,Bad,\n")
	status, stdout, stderr := command(t, "import", "--db", db, "--dir", dir)
	require.Equal(t, statusError, status)
	require.Contains(t, stderr, "categories.csv:3:slug: ")
	require.Contains(t, stdout, "1 inserted")

	write("categories.csv", "slug,name,parent\nart,Art,\n")
	status, stdout, _ = command(t, "import", "--db", db, "--dir", dir)
	require.Equal(t, statusOK, status)
	require.Contains(t, stdout, "0 inserted, 0 updated, 1 unchanged")
}

func TestUserCreateAndMigrate(t *testing.T) {
	t.Parallel()
	db := filepath.Join(t.TempDir(), "u.db")
	status, stdout, _ := command(t, "migrate", "--db", db)
	require.Equal(t, statusOK, status)
	require.Contains(t, stdout, "applied 0001_catalogue")
	status, stdout, _ = command(t, "migrate", "--db", db)
	require.Equal(t, statusOK, status)
	require.Contains(t, stdout, "nothing to apply")
	create := []string{"user", "create", "--db", db, "--username", "anna", "--email", "anna@example.org", "--role", "admin"}
	status, stdout, _ = command(t, create...)
	require.Equal(t, statusOK, status)
	require.Equal(t, "created admin anna\n", stdout)
	status, _, stderr := command(t, create...)
	require.Equal(t, statusError, status)
	require.Contains(t, stderr, "taken")
}

func TestOpenAPINeedsNoDatabase(t *testing.T) {
	t.Parallel()
	status, stdout, _ := command(t, "openapi", "--version", "v1")
	require.Equal(t, statusOK, status)
	var document struct{ OpenAPI string }
	require.NoError(t, json.Unmarshal([]byte(stdout), &document))
	require.True(t, strings.HasPrefix(document.OpenAPI, "3.1"))
}

func TestServeAnswersStopsAndKeepsItsData(t *testing.T) {
	t.Parallel()
	db := filepath.Join(t.TempDir(), "s.db")
	for _, start := range []string{"first", "second"} {
		addr := freeAddr(t)
		ctx, stop := context.WithCancel(t.Context())
		var out, errs bytes.Buffer
		ended := make(chan int, 1)
		go func() { ended <- run(ctx, []string{"--db", db, "--addr", addr}, &out, &errs) }()
		body := waitFor(t, "http://"+addr+"/api/v1/courses/")
		var page struct{ Results []json.RawMessage }
		require.NoError(t, json.Unmarshal(body, &page))
		require.Len(t, page.Results, 20, start)
		stop()
		require.Equal(t, statusOK, <-ended)
		require.Equal(t, start == "first", strings.Contains(errs.String(), "demo data"), errs.String())
	}
}

// A process that only serves, and a worker beside it that delivers its events.
func TestAWorkerServesItsHealthAndDoesTheWork(t *testing.T) {
	t.Parallel()
	db := filepath.Join(t.TempDir(), "w.db")
	addr := freeAddr(t)
	ctx, stop := context.WithCancel(t.Context())
	var out, errs bytes.Buffer
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, []string{"--db", db, "--addr", addr, "--worker"}, &out, &errs) }()
	waitFor(t, "http://"+addr+"/readyz")
	response, err := http.Get("http://" + addr + "/api/v1/courses/")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusNotFound, response.StatusCode)
	status, _, stderr := command(t, "user", "create", "--db", db, "--username", "anna", "--email", "anna@example.org", "--role", "admin")
	require.Equal(t, statusOK, status, stderr)
	handle, err := sql.Open("sqlite", "file:"+db+"?_pragma=busy_timeout(5000)")
	require.NoError(t, err)
	defer handle.Close()
	require.Eventually(t, func() bool {
		var events, left int
		err := handle.QueryRow("SELECT count(*), count(*) - count(done_at) FROM ustat_outbox").Scan(&events, &left)
		return err == nil && events > 0 && left == 0
	}, 20*time.Second, 20*time.Millisecond, "the worker takes the events over")
	stop()
	require.Equal(t, statusOK, <-ended, errs.String())
}

func freeAddr(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return listener.Addr().String()
}

func waitFor(t *testing.T, url string) []byte {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		response, err := http.Get(url)
		if err != nil {
			continue
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err == nil && response.StatusCode == http.StatusOK {
			return body
		}
	}
	t.Fatal("the server does not answer")
	return nil
}
