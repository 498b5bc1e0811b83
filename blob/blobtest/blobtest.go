// Package blobtest proves that a store of files keeps what blob.Store promises. Each
// case is named after a sentence of its comments.
package blobtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/blob"
)

// Limit is the largest file that the stores under test take: more than any part in
// which a store may send it.
const Limit = 20 << 20

// Run runs every case on a store that takes files of up to Limit bytes.
func Run(t *testing.T, open func(t *testing.T) blob.Store) {
	run := func(name string, test func(t *testing.T, s blob.Store)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
	run("a file comes back as it was put, from anywhere in it", comesBack)
	run("Put takes the place of what was there", func(t *testing.T, s blob.Store) {
		key := put(t, s, blob.NewKey(blob.CSV), "a longer one")
		put(t, s, key, "new")
		require.Equal(t, "new", read(t, s, key))
	})
	run("where r fails or ctx ends, what was there stays", stays)
	run("the file is seen when it is whole, and never before", whole)
	run("one of more bytes than the store takes is ErrTooLarge", func(t *testing.T, s blob.Store) {
		key := blob.NewKey(blob.CSV)
		_, err := s.Put(t.Context(), key, io.LimitReader(zeros{}, Limit+1))
		require.ErrorIs(t, err, blob.ErrTooLarge)
		missing(t, s, key)
		size, err := s.Put(t.Context(), key, io.LimitReader(zeros{}, Limit))
		require.NoError(t, err)
		require.EqualValues(t, Limit, size)
		f, err := s.Open(t.Context(), key)
		require.NoError(t, err)
		require.EqualValues(t, Limit, f.Size)
		require.NoError(t, f.Close())
	})
	run("a key that NewKey has not made is ErrKey", func(t *testing.T, s blob.Store) {
		good := string(blob.NewKey(blob.CSV))
		for _, key := range []string{"", ".", "..", "../" + good, "/" + good, good + "/x", good + "\x00", strings.ToUpper(good), "a.csv", strings.TrimSuffix(good, "csv") + "html", good + ".csv", "..." + good[3:], "unfinished-" + good} {
			_, err := s.Put(t.Context(), blob.Key(key), strings.NewReader("x"))
			require.ErrorIs(t, err, blob.ErrKey, "%q", key)
			_, err = s.Open(t.Context(), blob.Key(key))
			require.ErrorIs(t, err, blob.ErrKey, "%q", key)
			require.ErrorIs(t, s.Delete(t.Context(), blob.Key(key)), blob.ErrKey, "%q", key)
		}
	})
	run("Delete removes a file, and one that is not there is no error", func(t *testing.T, s blob.Store) {
		gone, kept := put(t, s, blob.NewKey(blob.CSV), "gone"), put(t, s, blob.NewKey(blob.CSV), "kept")
		require.NoError(t, s.Delete(t.Context(), gone))
		missing(t, s, gone)
		require.NoError(t, s.Delete(t.Context(), gone))
		require.NoError(t, s.Delete(t.Context(), blob.NewKey(blob.XLSX)))
		require.Equal(t, "kept", read(t, s, kept))
	})
	run("of Puts at once under one key, one is kept whole", func(t *testing.T, s blob.Store) {
		key := blob.NewKey(blob.CSV)
		var wg sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			wg.Go(func() {
				_, errs[i] = s.Put(t.Context(), key, strings.NewReader(strings.Repeat(string(rune('a'+i)), 100_000)))
			})
		}
		wg.Wait()
		require.NoError(t, errors.Join(errs...))
		text := read(t, s, key)
		require.Equal(t, strings.Repeat(text[:1], 100_000), text)
	})
}

func comesBack(t *testing.T, s blob.Store) {
	for _, size := range []int{0, 1, 70_000, 17 << 20} {
		want := make([]byte, size)
		for i := range want {
			want[i] = byte(i * i >> 3)
		}
		key := blob.NewKey(blob.XLSX)
		n, err := s.Put(t.Context(), key, iotest.HalfReader(bytes.NewReader(want)))
		require.NoError(t, err)
		require.EqualValues(t, size, n)
		f, err := s.Open(t.Context(), key)
		require.NoError(t, err)
		require.EqualValues(t, size, f.Size)
		require.WithinDuration(t, time.Now(), f.ModTime, time.Minute)
		require.Equal(t, time.UTC, f.ModTime.Location())
		got, err := io.ReadAll(f)
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, got), "%d bytes differ", size)
		for _, seek := range []struct {
			offset int64
			whence int
			at     int64
		}{{0, io.SeekStart, 0}, {int64(size) / 2, io.SeekStart, int64(size) / 2}, {0, io.SeekEnd, int64(size)}, {-int64(size) / 3, io.SeekEnd, int64(size) - int64(size)/3}} {
			at, err := f.Seek(seek.offset, seek.whence)
			require.NoError(t, err)
			require.Equal(t, seek.at, at)
			got, err := io.ReadAll(io.LimitReader(f, 1000))
			require.NoError(t, err)
			require.Equal(t, want[at:min(at+1000, int64(size))], append([]byte{}, got...))
		}
		require.NoError(t, f.Close())
	}
}

func stays(t *testing.T, s blob.Store) {
	errBroken := errors.New("broken")
	kept, fresh := put(t, s, blob.NewKey(blob.CSV), "kept"), blob.NewKey(blob.CSV)
	for _, length := range []int{0, 100, 18 << 20} {
		for _, key := range []blob.Key{kept, fresh} {
			_, err := s.Put(t.Context(), key, io.MultiReader(strings.NewReader(strings.Repeat("x", length)), iotest.ErrReader(errBroken)))
			require.ErrorIs(t, err, errBroken)
			ctx, cancel := context.WithCancel(t.Context())
			_, err = s.Put(ctx, key, io.MultiReader(strings.NewReader(strings.Repeat("x", length)), ending(cancel)))
			require.ErrorIs(t, err, context.Canceled)
		}
	}
	require.Equal(t, "kept", read(t, s, kept))
	missing(t, s, fresh)
}

// ending is a reader that cancels and ends well.
func ending(cancel func()) io.Reader {
	return readerFunc(func([]byte) (int, error) {
		cancel()
		return 0, io.EOF
	})
}

func whole(t *testing.T, s blob.Store) {
	key := blob.NewKey(blob.CSV)
	pipe, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		_, err := s.Put(t.Context(), key, pipe)
		done <- err
	}()
	_, err := w.Write([]byte(strings.Repeat("first ", 10_000)))
	require.NoError(t, err)
	missing(t, s, key)
	_, err = w.Write([]byte("second"))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.NoError(t, <-done)
	require.Equal(t, strings.Repeat("first ", 10_000)+"second", read(t, s, key))
}

func put(t *testing.T, s blob.Store, key blob.Key, text string) blob.Key {
	t.Helper()
	size, err := s.Put(t.Context(), key, strings.NewReader(text))
	require.NoError(t, err)
	require.EqualValues(t, len(text), size)
	return key
}

func read(t *testing.T, s blob.Store, key blob.Key) string {
	t.Helper()
	f, err := s.Open(t.Context(), key)
	require.NoError(t, err)
	text, err := io.ReadAll(f)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	return string(text)
}

func missing(t *testing.T, s blob.Store, key blob.Key) {
	t.Helper()
	_, err := s.Open(t.Context(), key)
	require.ErrorIs(t, err, blob.ErrNotFound)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
