package accounts_test

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/storage"
)

func TestRegisterMakesAStudentWhoIsSignedIn(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		tokens, err := w.Register(t.Context(), accounts.Registration{Username: " Anna ", Email: "anna@example.org", Password: secret, FullName: "Анна"}, home)
		require.NoError(t, err)
		require.Equal(t, 15*time.Minute, tokens.ExpiresIn)
		actor, err := w.Authenticate(t.Context(), string(tokens.Access))
		require.NoError(t, err)
		u := w.user(t, "anna")
		require.Equal(t, core.Actor{UserID: u.ID, Role: core.Student}, actor)
		require.Equal(t, w.clock.Now(), u.LastLogin)
		require.Equal(t, 1, w.events(t, "accounts.user_registered"))

		_, err = w.Register(t.Context(), accounts.Registration{Username: "ANNA", Email: "b@example.org", Password: secret}, home)
		require.ErrorIs(t, err, accounts.ErrUsernameTaken)
		_, err = w.Register(t.Context(), accounts.Registration{Username: "boris", Email: "Anna@Example.org", Password: secret}, home)
		require.ErrorIs(t, err, accounts.ErrEmailTaken)
		for range 17 {
			_, err = w.Register(t.Context(), accounts.Registration{Username: "anna", Email: "anna@example.org", Password: secret}, home)
			require.ErrorIs(t, err, core.ErrConflict)
		}
		_, err = w.Register(t.Context(), accounts.Registration{Username: "boris", Email: "b@example.org", Password: secret}, home)
		require.ErrorIs(t, err, accounts.ErrTooManyAttempts, "the 21st in an hour from one network")
		require.ErrorIs(t, err, core.ErrRateLimited)
		_, err = w.Register(t.Context(), accounts.Registration{Username: "boris", Email: "b@example.org", Password: secret}, accounts.Client{Network: "198.51.100.7"})
		require.NoError(t, err)
	})
}

func TestRegisterNamesEveryBadField(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "sqlite")
	_, err := w.Register(t.Context(), accounts.Registration{Username: "x", Email: "no", Password: "hunter2", FullName: "a\nb"}, home)
	var e *core.Error
	require.ErrorAs(t, err, &e)
	var fields []string
	for _, v := range e.Violations {
		fields = append(fields, v.Field)
		require.NotContains(t, v.Got, "hunter2")
	}
	require.Equal(t, []string{"username", "email", "password", "full_name"}, fields)
	for _, name := range []string{"admin", "Root", "system"} {
		_, err = w.Register(t.Context(), accounts.Registration{Username: name, Email: "x@example.org", Password: secret}, home)
		require.ErrorIs(t, err, core.ErrInvalid, name)
	}
	_, err = w.Register(t.Context(), accounts.Registration{Username: "anna", Email: "x@example.org", Password: secret}, accounts.Client{Network: strings.Repeat("n", 65)})
	require.ErrorIs(t, err, core.ErrInvalid)
	require.Zero(t, w.hasher.hashed.Load())
}

func TestAPasswordOfAMegabyteIsRefusedUnread(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "sqlite")
	w.add(t, "anna", core.Student)
	long := core.Secret(strings.Repeat("x", 1<<20))
	hashed := w.hasher.hashed.Load()
	ctx, queries := storage.CountQueries(t.Context())
	_, err := w.Login(ctx, accounts.Credentials{Login: "anna", Password: long}, home)
	require.ErrorIs(t, err, core.ErrInvalid)
	_, err = w.Register(ctx, accounts.Registration{Username: "boris", Email: "b@example.org", Password: long}, home)
	require.ErrorIs(t, err, core.ErrInvalid)
	require.NotContains(t, err.Error(), "xxxx")
	require.Zero(t, queries.Count())
	require.Equal(t, hashed, w.hasher.hashed.Load())
	require.Zero(t, w.hasher.verified.Load())
}

func TestEachLoginHashesOnceAndSaysTheSame(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		w.add(t, "admin-anna", core.Admin)
		w.add(t, "anna", core.Student)
		w.add(t, "disabled", core.Student)
		_, err := w.SetActive(t.Context(), accounts.System, "disabled", false)
		require.NoError(t, err)
		_, err = w.CreateUser(t.Context(), accounts.System, accounts.NewUser{Username: "nopass", Email: "n@example.org", Role: core.Student})
		require.NoError(t, err)

		statements := map[string]int{}
		try := func(class, login string, pw core.Secret) error {
			t.Helper()
			before, hashed := w.hasher.verified.Load(), w.hasher.hashed.Load()
			ctx, queries := storage.CountQueries(t.Context())
			_, err := w.Login(ctx, accounts.Credentials{Login: login, Password: pw}, home)
			statements[class] = queries.Count()
			require.EqualValues(t, 1, w.hasher.verified.Load()-before, class)
			require.Equal(t, hashed, w.hasher.hashed.Load(), class)
			return err
		}
		var refused []string
		for class, c := range map[string][2]string{
			"unknown": {"nobody", string(secret)}, "wrong": {"anna", "wrong horse"}, "disabled": {"disabled", string(secret)},
			"no password": {"nopass", string(secret)}, "empty hash and a guess": {"nopass", "x"},
		} {
			err := try(class, c[0], core.Secret(c[1]))
			require.ErrorIs(t, err, accounts.ErrBadCredentials, class)
			require.ErrorIs(t, err, core.ErrUnauthenticated, class)
			refused = append(refused, err.Error())
			require.Equal(t, refused[0], err.Error(), "one answer")
			require.Equal(t, 2, statements[class], class)
		}
		require.NoError(t, try("right", "anna", secret))
		require.NoError(t, try("right, by e-mail", " Anna@Example.org ", secret))
		require.Equal(t, statements["right"], statements["right, by e-mail"])
		require.LessOrEqual(t, statements["right"], 9, "a sign-in is a fixed number of statements")

		var throttled error
		for range 30 {
			before := w.hasher.verified.Load()
			if _, throttled = w.Login(t.Context(), accounts.Credentials{Login: "nobody", Password: secret}, home); w.hasher.verified.Load() == before {
				break
			}
		}
		require.ErrorIs(t, throttled, accounts.ErrTooManyAttempts)
		var e *core.Error
		require.ErrorAs(t, throttled, &e)
		require.Positive(t, e.RetryAfter)
		require.LessOrEqual(t, e.RetryAfter, 10*time.Minute)
		w.clock.step(e.RetryAfter)
		_, err = w.Login(t.Context(), accounts.Credentials{Login: "nobody", Password: secret}, home)
		require.ErrorIs(t, err, accounts.ErrBadCredentials, "after the wait it may be tried again")
	})
}

func TestSuccessesAreNotCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "sqlite")
	w.add(t, "anna", core.Student)
	for range 40 {
		w.login(t, "anna", home)
	}
}

// A hundred thousand guesses at one account cost at most as many hashes as the
// limits say, and the owner still gets in from another network.
func TestGuessesAreThrottledAndTheOwnerIsNotLockedOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "sqlite")
	w.add(t, "anna", core.Student)
	owner := accounts.Client{Network: "203.0.113.9"}
	w.login(t, "anna", owner)
	w.hasher.verified.Store(0)
	attempts := scaled(100_000, 3000)
	for i := range attempts {
		login := []string{"anna", "ANNA", "anna@example.org", " anna "}[i%4] // spellings share a bucket
		_, err := w.Login(t.Context(), accounts.Credentials{Login: login, Password: core.Secret(fmt.Sprint("guess ", i))}, home)
		require.ErrorIs(t, err, []error{accounts.ErrTooManyAttempts, accounts.ErrBadCredentials}[min(i/10, 1)^1])
	}
	require.EqualValues(t, 10, w.hasher.verified.Load(), "from one network")

	for network := range attempts / 10 { // a botnet
		_, err := w.Login(t.Context(), accounts.Credentials{Login: "anna", Password: "guess"}, accounts.Client{Network: fmt.Sprint("bot-", network)})
		require.Error(t, err)
	}
	require.LessOrEqual(t, w.hasher.verified.Load(), int64(100), "an account in an hour")
	_, err := w.Login(t.Context(), accounts.Credentials{Login: "anna", Password: secret}, accounts.Client{Network: "unknown"})
	require.ErrorIs(t, err, accounts.ErrTooManyAttempts)
	w.login(t, "anna", owner)
	for i := range 400 { // one network at many accounts
		_, err = w.Login(t.Context(), accounts.Credentials{Login: fmt.Sprint("user-", i), Password: "guess"}, accounts.Client{Network: "scanner"})
	}
	require.ErrorIs(t, err, accounts.ErrTooManyAttempts)
	require.LessOrEqual(t, w.hasher.verified.Load(), int64(100+300+1))
}

// djangoHash is what Django's PBKDF2PasswordHasher makes.
func djangoHash(t testing.TB, pw core.Secret, salt string, iterations int) string {
	key, err := pbkdf2.Key(sha256.New, string(pw), []byte(salt), iterations, 32)
	require.NoError(t, err)
	return fmt.Sprintf("pbkdf2_sha256$%d$%s$%s", iterations, salt, base64.StdEncoding.EncodeToString(key))
}

func TestADjangoHashIsUpgradedAtLogin(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		require.NoError(t, w.backend.Accounts.Update(t.Context(), func(ctx context.Context, tx accounts.Tx) error {
			_, err := tx.InsertUsers(ctx, []accounts.User{{
				Username: "django", Email: "d@example.org", Role: core.Teacher, Active: true, PasswordHash: djangoHash(t, secret, "kLmN0pQr", 1000),
				CreatedAt: w.clock.Now(), UpdatedAt: w.clock.Now(),
			}})
			return err
		}))
		_, err := w.Login(t.Context(), accounts.Credentials{Login: "django", Password: "wrong"}, home)
		require.ErrorIs(t, err, accounts.ErrBadCredentials)
		require.True(t, strings.HasPrefix(w.user(t, "django").PasswordHash, "pbkdf2_sha256$"))
		w.clock.step(time.Second)
		w.login(t, "django", home)
		u := w.user(t, "django")
		require.True(t, strings.HasPrefix(u.PasswordHash, "$argon2id$v=19$"), u.PasswordHash)
		require.Equal(t, w.clock.Now(), u.LastLogin)
		hashed := w.hasher.hashed.Load()
		w.login(t, "django", home)
		require.Equal(t, hashed, w.hasher.hashed.Load(), "once")
	})
}

func TestChangingThePasswordEndsAllSessions(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		anna := w.add(t, "anna", core.Teacher)
		boris := w.add(t, "boris", core.Teacher)
		kept := w.login(t, "boris", home)
		var devices []accounts.Tokens
		for i := range 5 {
			devices = append(devices, w.login(t, "anna", accounts.Client{Network: fmt.Sprint("device-", i)}))
		}
		const next = core.Secret("battery staple")
		require.ErrorIs(t, w.ChangePassword(t.Context(), core.Actor{}, accounts.PasswordChange{Old: secret, New: next}, home), core.ErrUnauthenticated)
		require.ErrorIs(t, w.ChangePassword(t.Context(), boris, accounts.PasswordChange{Old: "wrong", New: next}, home), accounts.ErrWrongPassword)
		require.ErrorIs(t, w.ChangePassword(t.Context(), anna, accounts.PasswordChange{Old: secret, New: "short"}, home), core.ErrInvalid)
		require.Zero(t, w.audits(t, "accounts.password_changed"))
		require.NoError(t, w.ChangePassword(t.Context(), anna, accounts.PasswordChange{Old: secret, New: next}, home))
		require.Equal(t, 1, w.audits(t, "accounts.password_changed"))
		for _, d := range devices {
			_, err := w.Authenticate(t.Context(), string(d.Access))
			require.ErrorIs(t, err, accounts.ErrBadToken)
			_, err = w.Refresh(t.Context(), d.Refresh, home)
			require.ErrorIs(t, err, accounts.ErrBadToken)
		}
		_, err := w.Authenticate(t.Context(), string(kept.Access))
		require.NoError(t, err, "another user's")
		_, err = w.Login(t.Context(), accounts.Credentials{Login: "anna", Password: secret}, home)
		require.ErrorIs(t, err, accounts.ErrBadCredentials)
		_, err = w.Login(t.Context(), accounts.Credentials{Login: "anna", Password: next}, home)
		require.NoError(t, err)

		for range 30 { // guessing the old one is guessing
			err = w.ChangePassword(t.Context(), boris, accounts.PasswordChange{Old: "guess", New: next}, accounts.Client{Network: "cafe"})
		}
		require.ErrorIs(t, err, accounts.ErrTooManyAttempts)
	})
}

func TestASignInThatMeetsAPasswordChangeIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "sqlite")
	anna := w.add(t, "anna", core.Student)
	w.hasher.Hasher = meanwhile{w.hasher.Hasher, func() {
		u := w.user(t, "anna")
		require.NoError(t, w.backend.Accounts.Update(t.Context(), func(ctx context.Context, tx accounts.Tx) error {
			u.AuthVersion++
			return tx.UpdateUsers(ctx, u)
		}))
	}}
	_, err := w.Login(t.Context(), accounts.Credentials{Login: "anna", Password: secret}, home)
	require.ErrorIs(t, err, accounts.ErrBadCredentials)
	require.ErrorIs(t, w.ChangePassword(t.Context(), anna, accounts.PasswordChange{Old: secret, New: "battery staple"}, home), accounts.ErrWrongPassword)
}

func TestALoginIsNoEdit(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		anna := w.add(t, "anna", core.Student)
		before := w.user(t, "anna")
		w.clock.step(time.Hour)
		w.login(t, "anna", home)
		after := w.user(t, "anna")
		require.Equal(t, w.clock.Now(), after.LastLogin)
		after.LastLogin = before.LastLogin
		require.Equal(t, before, after)
		_, err := w.UpdateUser(t.Context(), anna, "anna", accounts.UserEdit{Bio: ptr("x"), IfVersion: before.Version})
		require.NoError(t, err)
	})
}

// meanwhile is a Hasher during whose work something happens.
type meanwhile struct {
	accounts.Hasher
	happens func()
}

func (m meanwhile) Verify(ctx context.Context, hash string, pw core.Secret) (ok, outdated bool, err error) {
	ok, outdated, err = m.Hasher.Verify(ctx, hash, pw)
	m.happens()
	return ok, outdated, err
}
