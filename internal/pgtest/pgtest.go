// Package pgtest finds a PostgreSQL for tests and gives each its own database.
//
// The first of these that is there is used, once a process:
//
//  1. the server that USTAT_TEST_POSTGRES_DSN names (it fails where that is away);
//  2. a throw-away cluster made with locally installed server programs, found on
//     PATH or in /usr/lib/postgresql, which goes with the process;
//  3. a container, where Docker answers;
//  4. otherwise the test is skipped, or fails when USTAT_TEST_REQUIRE holds
//     "postgres".
package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/ustat/ustat/internal/pgtest/pgcontainer"
)

// server is the PostgreSQL of this process.
type server struct {
	dsn    string // of a database in which databases can be created
	source string // for people
	stop   func()
	// copyFiles says that the server knows STRATEGY file_copy (15 and later).
	copyFiles bool
}

var (
	mu        sync.Mutex
	running   *server
	failed    error
	templates = map[string]*template{}
)

type template struct {
	once sync.Once
	db   string
	err  error
}

const (
	dsnEnv = "USTAT_TEST_POSTGRES_DSN"
	prefix = "ustat_test_"
)

// DSN returns the DSN of a fresh, empty database for this test. It is dropped when
// the test ends.
func DSN(t testing.TB) string {
	t.Helper()
	s := get(t)
	return s.fresh(t, "template0", " ENCODING 'UTF8'")
}

// Template returns the DSN of a database that is a copy of the one that prepare
// filled, which it does once a process for each name. Prepare closes its
// connections. The copy is dropped when the test ends.
func Template(t testing.TB, name string, prepare func(dsn string) error) string {
	t.Helper()
	s := get(t)
	mu.Lock()
	tmpl := templates[name]
	if tmpl == nil {
		tmpl = new(template)
		templates[name] = tmpl
	}
	mu.Unlock()
	tmpl.once.Do(func() { tmpl.db, tmpl.err = s.prepare(prepare) })
	if tmpl.err != nil {
		t.Fatalf("pgtest: template %s: %v", name, tmpl.err)
	}
	return s.fresh(t, tmpl.db, "")
}

// Source returns what gives PostgreSQL to this process's tests, for people, or
// ends the test as DSN does.
func Source(t testing.TB) string {
	t.Helper()
	return get(t).source
}

// Main runs the tests of a package, drops what they left on a server that stays,
// and stops one that was started for them. A package that uses pgtest can do
// without it: a local cluster goes with the process anyway, a container by
// Docker's reaper, and templates on a given server within a day, by a later run.
func Main(m *testing.M) {
	code := m.Run()
	Stop()
	os.Exit(code)
}

// Stop drops the templates and stops a server that was started for the tests. It
// is for a package with a TestMain of its own, after m.Run.
func Stop() {
	mu.Lock()
	defer mu.Unlock()
	if running == nil {
		return
	}
	for _, tmpl := range templates {
		if tmpl.db != "" {
			_ = running.admin(running.dropSQL(tmpl.db))
		}
	}
	clear(templates)
	running.stop()
	running = nil
}

// Required reports whether USTAT_TEST_REQUIRE names the service.
func Required(service string) bool {
	return slices.ContainsFunc(strings.Split(os.Getenv("USTAT_TEST_REQUIRE"), ","), func(s string) bool {
		return strings.TrimSpace(s) == service
	})
}

func get(t testing.TB) *server {
	t.Helper()
	mu.Lock()
	defer mu.Unlock()
	if running == nil && failed == nil {
		running, failed = find()
		if running != nil {
			fmt.Fprintln(os.Stderr, "pgtest: PostgreSQL from "+running.source)
		}
	}
	if failed != nil {
		if os.Getenv(dsnEnv) != "" {
			t.Fatalf("pgtest: %s: %v", dsnEnv, failed)
		}
		line := "pgtest: no PostgreSQL: set USTAT_TEST_POSTGRES_DSN, or install the server (apt install postgresql), or start Docker: " + failed.Error()
		if Required("postgres") {
			t.Fatal(line)
		}
		t.Skip(line)
	}
	return running
}

// errAway is returned by a source that is not there, as opposed to broken.
var errAway = errors.New("not there")

func find() (*server, error) {
	if dsn := os.Getenv(dsnEnv); dsn != "" {
		s := &server{dsn: dsn, source: dsnEnv, stop: func() {}}
		if err := s.begin(); err != nil {
			return nil, err
		}
		return s, nil
	}
	s, err := startLocal()
	if err != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		dsn, stop, containerErr := pgcontainer.Start(ctx)
		if containerErr != nil {
			return nil, fmt.Errorf("local binaries: %w; container: %w", err, containerErr)
		}
		s = &server{dsn: dsn, source: "a container", stop: stop}
	}
	if err := s.begin(); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// begin asks what the server can do and drops what dead runs left on it.
func (s *server) begin() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var version string
	if err := conn.QueryRow(ctx, "SHOW server_version_num").Scan(&version); err != nil {
		return err
	}
	number, _ := strconv.Atoi(version)
	s.copyFiles = number >= 150000
	s.source += fmt.Sprintf(" (version %d)", number/10000)

	rows, err := conn.Query(ctx, "SELECT datname FROM pg_database WHERE datname LIKE $1", prefix+"%")
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, name := range names {
		made, _, _ := strings.Cut(strings.TrimPrefix(name, prefix), "_")
		if at, err := strconv.ParseInt(made, 10, 64); err == nil && time.Since(time.Unix(at, 0)) > 24*time.Hour {
			// Another run may be dropping it as well.
			_, _ = conn.Exec(ctx, s.dropSQL(name))
		}
	}
	return nil
}

func (s *server) connect(ctx context.Context) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(s.dsn)
	if err != nil {
		return nil, err
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	return pgx.ConnectConfig(ctx, config)
}

func (s *server) admin(sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for try := 0; ; try++ {
		_, err := conn.Exec(ctx, sql)
		if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == "55006" && try < 20 {
			// object_in_use: a connection to the template is just going away.
			time.Sleep(50 * time.Millisecond)
			continue
		}
		return err
	}
}

// create makes a database from another and returns its name.
func (s *server) create(from, options string) (string, error) {
	name := prefix + strconv.FormatInt(time.Now().Unix(), 10) + "_" + strings.ToLower(rand.Text()[:16])
	sql := "CREATE DATABASE " + name + " TEMPLATE " + from + options
	if s.copyFiles {
		sql += " STRATEGY file_copy"
	}
	return name, s.admin(sql)
}

func (s *server) dropSQL(name string) string {
	return "DROP DATABASE IF EXISTS " + name + " WITH (FORCE)"
}

func (s *server) fresh(t testing.TB, from, options string) string {
	t.Helper()
	name, err := s.create(from, options)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		if err := s.admin(s.dropSQL(name)); err != nil {
			t.Errorf("pgtest: %v", err)
		}
	})
	return withDatabase(s.dsn, name)
}

func (s *server) prepare(prepare func(dsn string) error) (string, error) {
	name, err := s.create("template0", " ENCODING 'UTF8'")
	if err != nil {
		return "", err
	}
	if err := prepare(withDatabase(s.dsn, name)); err != nil {
		return "", errors.Join(err, s.admin(s.dropSQL(name)))
	}
	return name, s.admin("ALTER DATABASE " + name + " ALLOW_CONNECTIONS false")
}

// withDatabase returns dsn, a URL or a list of keywords, with another database.
func withDatabase(dsn, name string) string {
	u, err := url.Parse(dsn)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		return dsn + " dbname=" + name
	}
	u.Path = "/" + name
	query := u.Query()
	query.Del("dbname")
	query.Del("database")
	u.RawQuery = query.Encode()
	return u.String()
}
