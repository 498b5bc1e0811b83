package accounts_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/accounts/password"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/internal/pgtest"
	"github.com/ustat/ustat/storage"
	"github.com/ustat/ustat/storage/postgres"
	"github.com/ustat/ustat/storage/sqlite"
)

// litter are the folders of background.
var litter []string

func TestMain(m *testing.M) {
	code := m.Run()
	pgtest.Stop()
	for _, dir := range litter {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// clock moves when it is told to.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) step(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// counting is a cheap Hasher that counts.
type counting struct {
	accounts.Hasher
	hashed, verified atomic.Int64
}

func (c *counting) Hash(ctx context.Context, pw core.Secret) (string, error) {
	c.hashed.Add(1)
	return c.Hasher.Hash(ctx, pw)
}

func (c *counting) Verify(ctx context.Context, hash string, pw core.Secret) (ok, outdated bool, err error) {
	c.verified.Add(1)
	return c.Hasher.Verify(ctx, hash, pw)
}

func cheapHasher(t testing.TB) *counting {
	h, err := password.New(password.Options{Memory: 8, Passes: 1, Slots: 64})
	require.NoError(t, err)
	return &counting{Hasher: h}
}

// world is a started platform with everything in hand.
type world struct {
	*accounts.Service
	platform *ustat.Platform
	backend  *storage.Backend
	clock    *clock
	hasher   *counting
	key      ed25519.PrivateKey
	driver   string
	dsn      string
}

// tokenKey is a key for tests; refreshKey too.
var (
	tokenKey   = ed25519.NewKeyFromSeed([]byte("0f1e2d3c4b5a69788796a5b4c3d2e1f0"))
	refreshKey = bytes.Repeat([]byte("a key! "), 5)
)

func newWorld(t testing.TB, engine string) *world {
	t.Helper()
	w := &world{clock: &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}, hasher: cheapHasher(t), key: tokenKey}
	var err error
	if engine == "postgres" {
		w.driver, w.dsn = "pgx", pgtest.DSN(t)
		w.backend, err = postgres.Open(t.Context(), w.dsn, nil)
	} else {
		path := filepath.Join(t.TempDir(), "accounts.db")
		w.driver, w.dsn = "sqlite", "file:"+path+"?_pragma=busy_timeout(10000)"
		w.backend, err = sqlite.Open(t.Context(), path, nil)
	}
	require.NoError(t, err)
	w.platform, err = ustat.New(w.backend, &ustat.Config{
		Clock: w.clock, Hasher: w.hasher, TokenKeys: []ed25519.PrivateKey{w.key}, RefreshKey: refreshKey,
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = w.platform.Stop(context.Background()) })
	require.NoError(t, w.platform.Start(t.Context()))
	w.Service = w.platform.Accounts
	return w
}

// onBoth runs a test on each engine.
func onBoth(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			test(t, newWorld(t, engine))
		})
	}
}

const secret = core.Secret("correct horse")

var home = accounts.Client{Network: "192.0.2.1"}

// add creates a user with the password secret and returns the actor.
func (w *world) add(t testing.TB, username string, role core.Role) core.Actor {
	t.Helper()
	u, err := w.CreateUser(context.Background(), accounts.System, accounts.NewUser{
		Username: username, Email: username + "@example.org", Role: role, Password: secret,
	})
	require.NoError(t, err)
	return core.Actor{UserID: u.ID, Role: u.Role}
}

func (w *world) login(t testing.TB, username string, from accounts.Client) accounts.Tokens {
	t.Helper()
	tokens, err := w.Login(context.Background(), accounts.Credentials{Login: username, Password: secret}, from)
	require.NoError(t, err)
	return tokens
}

func (w *world) user(t testing.TB, username string) accounts.User {
	t.Helper()
	u, err := w.UserByUsername(context.Background(), username)
	require.NoError(t, err)
	return u
}

// audits counts the audit rows of an action.
func (w *world) audits(t testing.TB, action string) (n int) {
	t.Helper()
	db, err := sql.Open(w.driver, w.dsn)
	require.NoError(t, err)
	defer db.Close()
	require.NoError(t, db.QueryRow("SELECT count(*) FROM ustat_audit WHERE action = $1", action).Scan(&n))
	return n
}

// events counts the events of a type that are not delivered yet.
func (w *world) events(t testing.TB, typ string) (n int) {
	t.Helper()
	pending, err := w.backend.Accounts.Pending(context.Background(), 10_000)
	require.NoError(t, err)
	for _, e := range pending {
		if e.Type == typ {
			n++
		}
	}
	return n
}

// scaled returns full when USTAT_TEST_SCALE is set, and small otherwise.
func scaled(full, small int) int {
	if scale, err := strconv.ParseFloat(os.Getenv("USTAT_TEST_SCALE"), 64); err == nil && scale > 0 {
		return full
	}
	return small
}

// background is a testing.TB for what outlives a test: a failure ends the process.
type background struct{ testing.TB }

func (b *background) Helper()                  {}
func (b *background) Cleanup(func())           {}
func (b *background) Context() context.Context { return context.Background() }
func (b *background) Errorf(format string, args ...any) {
	panic(fmt.Sprintf(format, args...))
}
func (b *background) FailNow() { panic("failed") }
func (b *background) TempDir() string {
	dir, err := os.MkdirTemp("", "ustat-accounts-")
	if err != nil {
		panic(err)
	}
	litter = append(litter, dir)
	return dir
}
