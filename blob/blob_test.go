package blob_test

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/blob"
	"github.com/ustat/ustat/blob/blobtest"
	"github.com/ustat/ustat/core"
)

func TestDirConforms(t *testing.T) {
	t.Parallel()
	blobtest.Run(t, func(t *testing.T) blob.Store {
		path := filepath.Join(t.TempDir(), "a [new] folder")
		d, err := blob.Dir(path, &blob.Options{MaxSize: blobtest.Limit})
		require.NoError(t, err)
		t.Cleanup(func() {
			left, err := os.ReadDir(path)
			require.NoError(t, err)
			for _, entry := range left {
				require.NoError(t, blob.Key(entry.Name()).Check(), "nothing unfinished is left")
				info, err := entry.Info()
				require.NoError(t, err)
				require.EqualValues(t, 0o600, info.Mode().Perm())
			}
		})
		return d
	})
}

func TestDirRemovesWhatADeadProcessHasLeft(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "[files]")
	require.NoError(t, os.Mkdir(path, 0o700))
	old, fresh, other := filepath.Join(path, "unfinished-OLD"), filepath.Join(path, "unfinished-FRESH"), filepath.Join(path, "notes.txt")
	for _, name := range []string{old, fresh, other} {
		require.NoError(t, os.WriteFile(name, []byte("x"), 0o600))
	}
	for _, name := range []string{old, other} {
		require.NoError(t, os.Chtimes(name, time.Now(), time.Now().Add(-25*time.Hour)))
	}
	_, err := blob.Dir(path, nil)
	require.NoError(t, err)
	require.NoFileExists(t, old)
	require.FileExists(t, fresh)
	require.FileExists(t, other)
}

func TestDirRefusesWhatItCannotUse(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := blob.Dir(file, nil)
	require.ErrorIs(t, err, core.ErrUnavailable)
	_, err = blob.Dir("", nil)
	require.ErrorIs(t, err, core.ErrInvalid)
	_, err = blob.Dir(t.TempDir(), &blob.Options{MaxSize: -1})
	require.ErrorIs(t, err, core.ErrInvalid)
}

func TestKeysAreFreshAndTyped(t *testing.T) {
	t.Parallel()
	seen := map[blob.Key]bool{}
	for range 1000 {
		key := blob.NewKey(blob.CSV)
		require.NoError(t, key.Check())
		require.Equal(t, blob.CSV, key.Type())
		require.False(t, seen[key])
		seen[key] = true
	}
	require.Panics(t, func() { blob.NewKey("html") })
	require.Equal(t, "application/octet-stream", blob.Type("html").MediaType())
}

var now = time.Date(2026, 2, 28, 23, 59, 58, 0, time.UTC)

func newLinks(t testing.TB, key string) *blob.Links {
	l := new(blob.Links)
	require.NoError(t, l.SetKey([]byte(key)))
	return l
}

func TestALinkGrantsOneFileUntilItExpires(t *testing.T) {
	t.Parallel()
	l := newLinks(t, "0123456789abcdef0123456789abcdef")
	want := blob.Link{Key: blob.NewKey(blob.XLSX), Name: "courses-2026-02-28.xlsx", Expires: now.Add(time.Minute)}
	token, err := l.Sign(want)
	require.NoError(t, err)
	require.Regexp(t, `^[A-Za-z0-9_-]+$`, token)
	got, err := l.Open(token, now)
	require.NoError(t, err)
	require.Equal(t, want, got)
	_, err = l.Open(token, want.Expires.Add(-time.Nanosecond))
	require.NoError(t, err)
	_, err = l.Open(token, want.Expires)
	require.ErrorIs(t, err, blob.ErrExpired)
	_, err = newLinks(t, "another 0123456789abcdef0123456789").Open(token, now)
	require.ErrorIs(t, err, blob.ErrLink)
}

func TestALinkThatWasAlteredIsRefused(t *testing.T) {
	t.Parallel()
	l := newLinks(t, "0123456789abcdef0123456789abcdef")
	token, err := l.Sign(blob.Link{Key: blob.NewKey(blob.CSV), Name: "a.csv", Expires: now.Add(time.Minute)})
	require.NoError(t, err)
	raw, err := base64.RawURLEncoding.DecodeString(token)
	require.NoError(t, err)
	for i := range raw {
		for bit := range 8 {
			altered := append([]byte{}, raw...)
			altered[i] ^= 1 << bit
			_, err := l.Open(base64.RawURLEncoding.EncodeToString(altered), now)
			require.ErrorIs(t, err, blob.ErrLink)
		}
	}
	for _, bad := range []string{"", "x", token[:len(token)-2], token + "AA", token + "=", strings.Repeat("A", 100_000)} {
		_, err := l.Open(bad, now)
		require.ErrorIs(t, err, blob.ErrLink, "%.80q", bad)
	}
	// A cursor's key and body, even with the same secret, make no link.
	var cursors core.Cursors
	require.NoError(t, cursors.SetKey([]byte("0123456789abcdef0123456789abcdef")))
	cursor, err := cursors.Seal("ustat file link 1\n", map[string]any{"k": blob.NewKey(blob.CSV), "n": "a.csv", "e": now.Unix() + 60})
	require.NoError(t, err)
	_, err = l.Open(cursor, now)
	require.ErrorIs(t, err, blob.ErrLink)
}

func TestLinksRefuseBadNamesKeysAndSecrets(t *testing.T) {
	t.Parallel()
	var l blob.Links
	good := blob.Link{Key: blob.NewKey(blob.CSV), Name: "a.csv", Expires: now}
	_, err := l.Sign(good)
	require.ErrorIs(t, err, core.ErrUnavailable)
	require.ErrorIs(t, l.SetKey([]byte("short")), core.ErrInvalid)
	require.ErrorIs(t, l.SetKey(make([]byte, 64)), core.ErrInvalid)
	for _, name := range []string{"", ".csv", "a b.csv", "a\"b.csv", "a/b", "имя.csv", "a\r\nX: y", strings.Repeat("a", 101)} {
		bad := good
		bad.Name = name
		_, err := l.Sign(bad)
		require.ErrorIs(t, err, core.ErrInvalid, "%q", name)
	}
	good.Key = "../secrets.csv"
	_, err = l.Sign(good)
	require.ErrorIs(t, err, blob.ErrKey)
}

func FuzzLinks(f *testing.F) {
	l := newLinks(f, "0123456789abcdef0123456789abcdef")
	token, err := l.Sign(blob.Link{Key: blob.NewKey(blob.CSV), Name: "a.csv", Expires: now.Add(time.Minute)})
	require.NoError(f, err)
	f.Add(token[:20])
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := l.Open(text, now); err == nil && text != token {
			t.Fatalf("%q was taken", text)
		}
	})
}
