package password_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/accounts/password"
	"github.com/ustat/ustat/core"
)

func hasher(t testing.TB, o password.Options) *password.Argon2id {
	t.Helper()
	h, err := password.New(o)
	require.NoError(t, err)
	return h
}

var cheap = password.Options{Memory: 8, Passes: 1, Slots: 4}

func TestAHashVerifiesItsPasswordAlone(t *testing.T) {
	t.Parallel()
	h := hasher(t, password.Options{})
	for _, pw := range []core.Secret{"correct horse", "пароль 🎓", "with\x00NUL", core.Secret(strings.Repeat("x", core.MaxPassword)), " "} {
		hash, err := h.Hash(t.Context(), pw)
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$"), hash)
		require.True(t, password.Known(hash))
		again, err := h.Hash(t.Context(), pw)
		require.NoError(t, err)
		require.NotEqual(t, hash, again, "each has a salt of its own")
		ok, outdated, err := h.Verify(t.Context(), hash, pw)
		require.NoError(t, err)
		require.True(t, ok)
		require.False(t, outdated)
		ok, _, err = h.Verify(t.Context(), hash, pw[:len(pw)-1]+"!")
		require.NoError(t, err)
		require.False(t, ok)
	}
	_, err := h.Hash(t.Context(), core.Secret(strings.Repeat("x", core.MaxPassword+1)))
	require.ErrorIs(t, err, core.ErrInvalid)
	_, _, err = h.Verify(t.Context(), "", core.Secret(strings.Repeat("x", core.MaxPassword+1)))
	require.ErrorIs(t, err, core.ErrInvalid)
}

// The hashes were made by others: that in the README of argon2's reference
// implementation, and that in the tests of Django 3.2.
func TestForeignHashesAreVerified(t *testing.T) {
	t.Parallel()
	h := hasher(t, cheap)
	const argon = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc" // "password", "somesalt"
	ok, outdated, err := h.Verify(t.Context(), argon, "password")
	require.NoError(t, err)
	require.True(t, ok)
	require.True(t, outdated, "with other costs than today's")
	ok, _, err = h.Verify(t.Context(), argon, "passwore")
	require.NoError(t, err)
	require.False(t, ok)

	const django = "pbkdf2_sha256$260000$seasalt$YlZ2Vggtqdc61YjArZuoApoBh9JNGYoDRBUGu6tcJQo="
	ok, outdated, err = h.Verify(t.Context(), django, "lètmein")
	require.NoError(t, err)
	require.True(t, ok)
	require.True(t, outdated)
	ok, _, err = h.Verify(t.Context(), django, "letmein")
	require.NoError(t, err)
	require.False(t, ok)
}

func TestHashesOutOfBoundsAreNobodys(t *testing.T) {
	t.Parallel()
	h := hasher(t, cheap)
	good, err := h.Hash(t.Context(), "secret")
	require.NoError(t, err)
	parts := strings.Split(good, "$")
	with := func(i int, s string) string {
		p := append([]string{}, parts...)
		p[i] = s
		return strings.Join(p, "$")
	}
	key := base64.StdEncoding.EncodeToString(make([]byte, 32))
	for _, bad := range []string{
		"", "x", "$", "$$$$$", "secret", with(1, "argon2i"), with(1, "argon2d"), with(2, "v=16"), with(2, "v=19 "),
		with(3, "m=262145,t=1,p=1"), with(3, "m=4294967304,t=1,p=1"), with(3, "m=8,t=11,p=1"), with(3, "m=128,t=1,p=9"), with(3, "m=8,t=1,p=8"), with(3, "m=8,t=0,p=1"), with(3, "m=-8,t=1,p=1"),
		with(3, "m=8,t=1"), with(3, "m=8,t=1,p=1,p=1"), with(3, "t=1,m=8,p=1"), with(3, "m=08,t=1,p=1"), with(3, "m=+8,t=1,p=1"),
		with(4, ""), with(4, "c2FsdA"), with(4, strings.Repeat("A", 96)), with(5, ""), with(5, "AAAA"), with(5, strings.Repeat("A", 100)), with(5, parts[5]+"="), with(5, parts[5][:10]+"\n"+parts[5][10:]),
		good + "$", good + strings.Repeat("x", 500),
		"pbkdf2_sha256$10000001$salt$" + key, "pbkdf2_sha256$0$salt$" + key, "pbkdf2_sha256$1$$" + key, "pbkdf2_sha256$1$salt$", "pbkdf2_sha256$1$salt$!", "pbkdf2_sha1$1$salt$" + key, "pbkdf2_sha256$1e3$salt$" + key,
	} {
		require.False(t, password.Known(bad), bad)
		ok, _, err := h.Verify(t.Context(), bad, "secret")
		require.NoError(t, err, bad)
		require.False(t, ok, bad)
	}
	require.True(t, password.Known(good))
}

// Nobody's hash takes as long as somebody's, at the cost that is usual. The best of
// many is compared, and loosely: the machine is shared.
func TestNobodysHashTakesAsLong(t *testing.T) { // not parallel: it looks at the clock
	h := hasher(t, password.Options{})
	stored, err := h.Hash(t.Context(), "secret")
	require.NoError(t, err)
	best := map[string]time.Duration{stored: time.Hour, "": time.Hour, "broken": time.Hour}
	for range 12 {
		for hash := range best {
			start := time.Now()
			_, _, err := h.Verify(t.Context(), hash, "guess")
			require.NoError(t, err)
			best[hash] = min(best[hash], time.Since(start))
		}
	}
	for _, none := range []string{"", "broken"} {
		require.Less(t, max(best[stored], best[none]), 2*min(best[stored], best[none]), "%v", best)
	}
}

func TestWithoutASlotItIsBusyAfterASecond(t *testing.T) {
	t.Parallel()
	h := hasher(t, password.Options{Memory: 64 << 10, Passes: 10, Slots: 1})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	busy, done, other := 0, 0, 0
	var mu sync.Mutex
	for range 12 {
		wg.Go(func() {
			_, err := h.Hash(ctx, "secret")
			mu.Lock()
			defer mu.Unlock()
			var e *core.Error
			switch {
			case err == nil:
				done++
			case core.KindOf(err) == core.KindUnavailable:
				require.ErrorIs(t, err, accounts.ErrPasswordsBusy)
				require.ErrorAs(t, err, &e)
				require.Equal(t, time.Second, e.RetryAfter)
				busy++
			default:
				other++
			}
		})
	}
	wg.Wait()
	require.Zero(t, other)
	require.Positive(t, done)
	require.Positive(t, busy, "12 hashes of half a second each do not fit")
	cancel()
	release := make(chan struct{})
	go func() { _, _ = h.Hash(context.Background(), "secret"); close(release) }()
	time.Sleep(20 * time.Millisecond)
	_, err := h.Hash(ctx, "secret")
	require.Error(t, err)
	<-release
}

func TestOptionsAreBounded(t *testing.T) {
	t.Parallel()
	for _, o := range []password.Options{{Memory: 7}, {Memory: 256<<10 + 1}, {Passes: 11}, {Slots: -1}} {
		_, err := password.New(o)
		require.ErrorIs(t, err, core.ErrInvalid, fmt.Sprint(o))
	}
}

func BenchmarkHash(b *testing.B) {
	h := hasher(b, password.Options{})
	for b.Loop() {
		if _, err := h.Hash(b.Context(), "correct horse"); err != nil {
			b.Fatal(err)
		}
	}
}
