package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/csv"
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

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/accounts/password"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/storage/sqlite"
)

// command runs the program and returns its status and what it printed.
func command(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	return commandWith(t, "", args...)
}

// commandWith is command with something on standard input.
func commandWith(t *testing.T, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = run(t.Context(), args, strings.NewReader(stdin), &out, &errs)
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
		{"recommend", "eval"},
		{"recommend", "eval", "--interactions", filepath.Join(dir, "nothing.csv")},
		{"recommend", "eval", "--interactions", "main.go"},
		{"recommend", "eval", "--interactions", "main.go", "--strategy", "dice"},
		{"recommend", "eval", "--interactions", "main.go", "--split", "odd"},
		{"serve", "--db", filepath.Join(dir, "a.db"), "--addr", "nowhere:99999"},
		{"serve", "--db", filepath.Join(dir, "a.db"), "--worker", "--tasks=-1"},
		{"serve", "--db", filepath.Join(dir, "a.db"), "--addr", "127.0.0.1:0", "--files", "main.go"},
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

func TestExportWritesWhatImportReads(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	require.NoError(t, os.Mkdir(in, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(in, "users.csv"), []byte("username,email,role\nanna,anna@example.org,admin\n"), 0o600))
	status, _, _ := command(t, "import", "--db", filepath.Join(dir, "a.db"), "--dir", in)
	require.Equal(t, statusOK, status)
	status, stdout, _ := command(t, "export", "--db", filepath.Join(dir, "a.db"), "--dir", out)
	require.Equal(t, statusOK, status)
	require.Contains(t, stdout, "users.csv: 1 rows\n")
	text, err := os.ReadFile(filepath.Join(out, "users.csv"))
	require.NoError(t, err)
	require.Equal(t, "username,email,role,full_name,bio,active\nanna,anna@example.org,admin,,,true\n", string(text))
	status, _, stderr := command(t, "export", "--db", filepath.Join(dir, "a.db"), "--dir", out)
	require.Equal(t, statusUsage, status)
	require.Contains(t, stderr, "categories.csv is there already")
	status, stdout, _ = command(t, "import", "--db", filepath.Join(dir, "b.db"), "--dir", out)
	require.Equal(t, statusOK, status)
	require.Contains(t, stdout, "users.csv: 1 inserted")
	status, _, _ = command(t, "export", "--db", filepath.Join(dir, "b.db"), "--dir", filepath.Join(dir, "secret"), "--with-passwords")
	require.Equal(t, statusOK, status)
	text, err = os.ReadFile(filepath.Join(dir, "secret", "users.csv"))
	require.NoError(t, err)
	require.Contains(t, string(text), "active,password_hash\n")
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

func TestUsersGetPasswordsAndRoles(t *testing.T) {
	t.Parallel()
	db := filepath.Join(t.TempDir(), "u.db")
	create := func(stdin, name string, more ...string) (status int, stderr string) {
		t.Helper()
		args := append([]string{"user", "create", "--db", db, "--username", name, "--email", name + "@example.org", "--role", "admin"}, more...)
		status, _, stderr = commandWith(t, stdin, args...)
		return status, stderr
	}
	for _, c := range []struct {
		stdin, name string
		more        []string
		password    core.Secret // empty: nobody's
	}{
		{"", "flag", []string{"--password", "correct horse"}, "correct horse"},
		{"battery staple\r\nnot this\n", "piped", nil, "battery staple"},
		{"", "nobody", nil, ""},
	} {
		status, stderr := create(c.stdin, c.name, c.more...)
		require.Equal(t, statusOK, status, stderr)
		hash := storedUser(t, db, c.name).PasswordHash
		require.Equal(t, c.password == "", hash == "")
		if c.password != "" {
			hasher, err := password.New(password.Options{})
			require.NoError(t, err)
			ok, _, err := hasher.Verify(t.Context(), hash, c.password)
			require.NoError(t, err)
			require.True(t, ok)
		}
	}
	for _, stdin := range []string{"short\n", strings.Repeat("x", 1<<20)} {
		status, stderr := create(stdin, "refused")
		require.Equal(t, statusUsage, status)
		require.NotContains(t, stderr, "short\n")
		require.NotContains(t, stderr, "xxx")
	}
	status, stdout, _ := command(t, "user", "role", "--db", db, "--username", "piped", "--role", "teacher")
	require.Equal(t, statusOK, status)
	require.Equal(t, "piped is teacher\n", stdout)
	require.Equal(t, core.Teacher, storedUser(t, db, "piped").Role)
	status, _, _ = command(t, "user", "role", "--db", db, "--username", "flag", "--role", "student")
	require.Equal(t, statusOK, status)
	status, _, stderr := command(t, "user", "role", "--db", db, "--username", "nobody", "--role", "student")
	require.Equal(t, statusError, status)
	require.Contains(t, stderr, "last active admin")
	status, _, _ = command(t, "user", "role", "--db", db, "--username", "stranger", "--role", "student")
	require.Equal(t, statusError, status)
}

func storedUser(t *testing.T, db, username string) accounts.User {
	t.Helper()
	backend, err := sqlite.Open(t.Context(), db, nil)
	require.NoError(t, err)
	defer backend.Close()
	u, err := backend.Accounts.UserByUsername(t.Context(), username)
	require.NoError(t, err)
	return u
}

func TestTheDemoPasswordIsThatOfTheDemoUsers(t *testing.T) {
	t.Parallel()
	file, err := demoFiles.Open("demo/users.csv")
	require.NoError(t, err)
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	require.NoError(t, err)
	hasher, err := password.New(password.Options{})
	require.NoError(t, err)
	roles := map[string]bool{}
	for _, row := range rows[1:] {
		if row[5] == "" {
			continue
		}
		ok, outdated, err := hasher.Verify(t.Context(), row[5], demoPassword)
		require.NoError(t, err)
		require.True(t, ok, row[0])
		require.False(t, outdated, row[0])
		roles[row[2]] = true
	}
	require.Len(t, roles, len(core.Roles))
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
		go func() { ended <- run(ctx, []string{"--db", db, "--addr", addr}, strings.NewReader(""), &out, &errs) }()
		body := waitFor(t, "http://"+addr+"/api/v1/courses/")
		var page struct{ Results []json.RawMessage }
		require.NoError(t, json.Unmarshal(body, &page))
		require.Len(t, page.Results, 20, start)
		stop()
		require.Equal(t, statusOK, <-ended)
		require.Equal(t, start == "first", strings.Contains(errs.String(), "demo data"), errs.String())
		for _, login := range []string{"anna-admin / demo (admin)", "pavel-producer / demo (producer)", "dmitry-orlov / demo (teacher)", "masha-k / demo (student)"} {
			require.Contains(t, out.String(), login)
		}
	}
}

func TestAReportIsWrittenAndFetched(t *testing.T) {
	t.Parallel()
	dir, addr := t.TempDir(), freeAddr(t)
	ctx, stop := context.WithCancel(t.Context())
	var out, errs bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"--db", filepath.Join(dir, "r.db"), "--addr", addr}, strings.NewReader(""), &out, &errs)
	}()
	waitFor(t, "http://"+addr+"/readyz")
	token := ""
	ask := func(method, path, body string) (answer map[string]any) {
		t.Helper()
		r, err := http.NewRequestWithContext(ctx, method, "http://"+addr+path, strings.NewReader(body))
		require.NoError(t, err)
		if body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		response, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer response.Body.Close()
		require.NoError(t, json.NewDecoder(response.Body).Decode(&answer))
		return answer
	}
	token = ask(http.MethodPost, "/api/v1/auth/login/", `{"username":"dmitry-orlov","password":"demo"}`)["access_token"].(string)
	id := ask(http.MethodPost, "/api/v1/analytics/reports/", `{"kind":"courses","format":"csv"}`)["id"].(string)
	var report map[string]any
	require.Eventually(t, func() bool {
		report = ask(http.MethodGet, "/api/v1/analytics/reports/"+id+"/", "")
		return report["state"] == "done"
	}, 30*time.Second, 50*time.Millisecond, "%v %s", report, &errs)
	file := waitFor(t, "http://"+addr+report["file"].(map[string]any)["url"].(string))
	rows, err := csv.NewReader(bytes.NewReader(file)).ReadAll()
	require.NoError(t, err)
	require.Greater(t, len(rows), 1)
	for _, row := range rows[1:] {
		require.Equal(t, "dmitry-orlov", row[2])
	}
	kept, err := os.ReadDir(filepath.Join(dir, "ustat-files"))
	require.NoError(t, err)
	require.Len(t, kept, 1)
	stop()
	require.Equal(t, statusOK, <-ended, errs.String())
}

func TestACourseOfTheDemonstrationIsBought(t *testing.T) {
	t.Parallel()
	addr := freeAddr(t)
	ctx, stop := context.WithCancel(t.Context())
	var out, errs bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"--db", filepath.Join(t.TempDir(), "p.db"), "--addr", addr}, strings.NewReader(""), &out, &errs)
	}()
	var list struct {
		Results []struct {
			Slug  string
			Price struct {
				Amount int `json:"amount_minor"`
			}
		}
	}
	require.NoError(t, json.Unmarshal(waitFor(t, "http://"+addr+"/api/v1/courses/"), &list))
	send := func(method, url, kind, token, body string) (text []byte) {
		t.Helper()
		r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
		require.NoError(t, err)
		r.Header.Set("Content-Type", kind)
		r.Header.Set("Authorization", "Bearer "+token)
		response, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer response.Body.Close()
		text, err = io.ReadAll(response.Body)
		require.NoError(t, err)
		require.Less(t, response.StatusCode, 300, "%s", text)
		return text
	}
	var session struct {
		Token string `json:"access_token"`
	}
	require.NoError(t, json.Unmarshal(send("POST", "http://"+addr+"/api/v1/auth/login/", "application/json", "", `{"username":"masha-k","password":"demo"}`), &session))
	bought := false
	for _, c := range list.Results {
		if c.Price.Amount == 0 {
			continue
		}
		var order struct {
			ID, Status string
			PayURL     string `json:"pay_url"`
		}
		require.NoError(t, json.Unmarshal(send("POST", "http://"+addr+"/api/v1/orders/", "application/json", session.Token, `{"course":"`+c.Slug+`"}`), &order))
		require.Contains(t, string(send("GET", order.PayURL, "", "", "")), "no money is moved")
		require.Contains(t, string(send("POST", order.PayURL, "application/x-www-form-urlencoded", "", "do=pay")), "The payment is paid")
		require.NoError(t, json.Unmarshal(send("GET", "http://"+addr+"/api/v1/orders/"+order.ID+"/", "", session.Token, ""), &order))
		require.Equal(t, "paid", order.Status)
		bought = true
		break
	}
	require.True(t, bought, "no course of the demonstration has a price")
	stop()
	require.Equal(t, statusOK, <-ended, errs.String())
}

// A process that only serves, and a worker beside it that delivers its events.
func TestAWorkerServesItsHealthAndDoesTheWork(t *testing.T) {
	t.Parallel()
	db := filepath.Join(t.TempDir(), "w.db")
	addr := freeAddr(t)
	ctx, stop := context.WithCancel(t.Context())
	var out, errs bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"--db", db, "--addr", addr, "--worker"}, strings.NewReader(""), &out, &errs)
	}()
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
