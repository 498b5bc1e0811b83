package storagetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/storage"
)

func emit(t testing.TB, b *storage.Backend, d domain, events ...core.Event) {
	t.Helper()
	require.NoError(t, d.update(timeout(t), b, func(ctx context.Context, tx rows) error { return tx.Emit(ctx, events...) }))
}

func pending(t testing.TB, b *storage.Backend, d domain, limit int) []uuid.UUID {
	t.Helper()
	events, err := d.outbox(b).Pending(timeout(t), limit)
	require.NoError(t, err)
	ids := make([]uuid.UUID, len(events))
	for i, e := range events {
		ids[i] = e.ID
	}
	return ids
}

func events(n int) ([]core.Event, []uuid.UUID) {
	list, ids := make([]core.Event, n), make([]uuid.UUID, n)
	for i := range list {
		list[i] = core.NewEvent("test.happened", fmt.Sprintf("row/%d", i), core.Actor{UserID: 7}, day, i)
		ids[i] = list[i].ID
	}
	return list, ids
}

func (s suite) outbox(d, other domain) {
	s.run("events appear after the commit, oldest first, up to the limit", func(t *testing.T, b *storage.Backend) {
		list, ids := events(5)
		err := d.update(timeout(t), b, func(ctx context.Context, tx rows) error {
			// In two calls, and the later ones first.
			if err := errors.Join(tx.Emit(ctx, list[3:]...), tx.Emit(ctx, list[:3]...), tx.Emit(ctx)); err != nil {
				return err
			}
			seen := make(chan error, 1)
			go func() {
				early, err := d.outbox(b).Pending(context.Background(), 10)
				if len(early) > 0 {
					err = errors.New("an event is pending before its commit")
				}
				seen <- err
			}()
			return <-seen
		})
		require.NoError(t, err)
		require.Equal(t, ids, pending(t, b, d, 10))
		require.Equal(t, ids[:2], pending(t, b, d, 2))
	})
	s.run("events come back as they were emitted", func(t *testing.T, b *storage.Backend) {
		for i, text := range awkward {
			e := core.NewEvent("test.text", "row/"+text, core.Actor{UserID: 1 << 40}, day, map[string]any{"text": text, "n": i})
			e.Version, e.At = 3, zoned(day)
			emit(t, b, d, e)
			got, err := d.outbox(b).Pending(timeout(t), 10)
			require.NoError(t, err)
			require.Len(t, got, 1)
			utc(t, day, got[0].At)
			require.JSONEq(t, string(e.Payload), string(got[0].Payload))
			require.True(t, json.Valid(got[0].Payload))
			got[0].At, got[0].Payload = e.At, e.Payload
			require.Equal(t, e, got[0])
			require.NoError(t, d.outbox(b).Done(timeout(t), e.ID))
		}
	})
	s.run("Done takes events away and ignores unknown and done ids", func(t *testing.T, b *storage.Backend) {
		list, ids := events(4)
		emit(t, b, d, list...)
		require.NoError(t, d.outbox(b).Done(timeout(t)))
		require.NoError(t, d.outbox(b).Done(timeout(t), ids[1], uuid.New()))
		require.NoError(t, d.outbox(b).Done(timeout(t), ids[1], ids[2]))
		require.Equal(t, []uuid.UUID{ids[0], ids[3]}, pending(t, b, d, 10))
	})
	s.run("Pending has the events of its own store only", func(t *testing.T, b *storage.Backend) {
		list, ids := events(2)
		emit(t, b, d, list[0])
		emit(t, b, other, list[1])
		require.Equal(t, ids[:1], pending(t, b, d, 10))
		require.Equal(t, ids[1:], pending(t, b, other, 10))
		require.NoError(t, d.outbox(b).Done(timeout(t), ids...))
		require.Equal(t, ids[1:], pending(t, b, other, 10), "one store's Done takes no event of another")
	})
	s.run("Pending never skips a late commit", func(t *testing.T, b *storage.Backend) {
		list, ids := events(3)
		emit(t, b, d, list[1])
		require.Equal(t, ids[1:2], pending(t, b, d, 10))
		emit(t, b, d, list[0])
		require.Equal(t, ids[:2], pending(t, b, d, 10))
		require.NoError(t, d.outbox(b).Done(timeout(t), ids[1]))
		require.Equal(t, ids[:1], pending(t, b, d, 10))
		emit(t, b, d, list[2])
		require.NoError(t, d.outbox(b).Done(timeout(t), ids[2]))
		require.Equal(t, ids[:1], pending(t, b, d, 10))
	})
	s.run("OnCommit is told of commits that left events of this store, and of nothing else", func(t *testing.T, b *storage.Backend) {
		store, ok := d.outbox(b).(core.Notifier)
		if !ok {
			t.Skip("this store does not tell of its commits")
		}
		told := 0
		store.OnCommit(func() { told++ })
		list, ids := events(3)
		emit(t, b, other, list[2])
		require.Zero(t, told, "a commit of another store")
		require.NoError(t, d.update(timeout(t), b, func(ctx context.Context, tx rows) error { return tx.add(ctx, "quiet") }))
		require.ErrorIs(t, d.update(timeout(t), b, func(ctx context.Context, tx rows) error { return errors.Join(tx.Emit(ctx, list[0]), errBoom) }), errBoom)
		require.Zero(t, told, "a commit without events, and a rollback")
		emit(t, b, d, list[0])
		require.Equal(t, 1, told)
		require.NoError(t, d.outbox(b).Done(timeout(t), ids[0]))
		require.Equal(t, 1, told)
	})
	s.run("a payload longer than MaxPayload is ErrInvalid", func(t *testing.T, b *storage.Backend) {
		fits := core.NewEvent("test", "x", core.Actor{}, day, strings.Repeat("x", core.MaxPayload-2))
		long := fits
		long.ID, long.Payload = uuid.New(), append([]byte(" "), fits.Payload...)
		err := d.update(timeout(t), b, func(ctx context.Context, tx rows) error { return tx.Emit(ctx, long) })
		require.ErrorIs(t, err, core.ErrInvalid)
		emit(t, b, d, fits)
		require.Len(t, pending(t, b, d, 10), 1)
	})
	s.run("thousands of events of one Update are all kept", func(t *testing.T, b *storage.Backend) {
		list, ids := events(size(5000, 1000))
		emit(t, b, d, list...)
		require.Equal(t, ids, pending(t, b, d, len(list)+1))
		require.NoError(t, d.outbox(b).Done(timeout(t), ids...))
		require.Empty(t, pending(t, b, d, 1))
	})
	s.run("NUL bytes in events and audit entries are refused with ErrInvalid", func(t *testing.T, b *storage.Backend) {
		for name, write := range map[string]func(ctx context.Context, tx rows) error{
			"an event's subject": func(ctx context.Context, tx rows) error {
				return tx.Emit(ctx, core.NewEvent("test", "a\x00b", core.Actor{}, day, 1))
			},
			"an event's payload": func(ctx context.Context, tx rows) error {
				return tx.Emit(ctx, core.NewEvent("test", "x", core.Actor{}, day, "a\x00b"))
			},
			"an audit entry's subject": func(ctx context.Context, tx rows) error {
				return tx.Audit(ctx, core.AuditEntry{Action: "a", Subject: "a\x00b", At: day})
			},
			"an audit entry's detail": func(ctx context.Context, tx rows) error {
				return tx.Audit(ctx, core.AuditEntry{Action: "a", Subject: "x", Detail: json.RawMessage(`"a\u0000b"`), At: day})
			},
		} {
			assert.ErrorIs(t, d.update(timeout(t), b, write), core.ErrInvalid, name)
		}
		list, err := d.outbox(b).Pending(timeout(t), 10)
		require.NoError(t, err)
		require.Empty(t, list)
	})
	s.run("a payload with the text of an escaped NUL comes back as it was", func(t *testing.T, b *storage.Backend) {
		// A backslash before u0000 is text, not NUL.
		e := core.NewEvent("test", "x", core.Actor{}, day, `a\u0000b \\u0000 \`)
		emit(t, b, d, e)
		list, err := d.outbox(b).Pending(timeout(t), 10)
		require.NoError(t, err)
		require.Len(t, list, 1)
		require.JSONEq(t, string(e.Payload), string(list[0].Payload))
	})
	s.run("Audit keeps one row a call", func(t *testing.T, b *storage.Backend) {
		err := d.update(timeout(t), b, func(ctx context.Context, tx rows) error {
			for i, text := range awkward {
				detail, _ := json.Marshal(map[string]string{"text": text})
				if i == 0 {
					detail = nil
				}
				if err := tx.Audit(ctx, core.AuditEntry{Actor: 7, Action: "test", Subject: text, Detail: detail, At: zoned(day)}); err != nil {
					return err
				}
			}
			return nil
		})
		require.NoError(t, err)
		if s.limits.AuditRows != nil {
			require.Equal(t, len(awkward), s.limits.AuditRows(t, b))
		}
	})
}

func (s suite) idempotency(d domain) {
	key := core.IdempotencyKey{Scope: "test.add/1", Key: "🔑 'one'", Request: core.RequestHash("request"), At: day}
	claim := func(t *testing.T, b *storage.Backend, key core.IdempotencyKey) (answer []byte, done bool, err error) {
		err = d.update(timeout(t), b, func(ctx context.Context, tx rows) (err error) {
			answer, done, err = tx.Claim(ctx, key)
			return errors.Join(err, errBoom)
		})
		if errors.Is(err, core.ErrKeyReused) {
			return answer, done, err
		}
		require.ErrorIs(t, err, errBoom)
		return answer, done, nil
	}
	s.run("a key claimed by the same request gives its answer, and by another is ErrKeyReused", func(t *testing.T, b *storage.Backend) {
		saved := []byte("{\"text\": \"🎓 \x00\xff is any bytes\"}")
		require.NoError(t, d.update(timeout(t), b, func(ctx context.Context, tx rows) error {
			answer, done, err := tx.Claim(ctx, key)
			if err != nil || done || len(answer) > 0 {
				return fmt.Errorf("a new key: %q, %v, %w", answer, done, err)
			}
			return tx.SaveAnswer(ctx, key, saved)
		}))
		again := key
		again.At = day.Add(time.Hour)
		answer, done, err := claim(t, b, again)
		require.NoError(t, err)
		require.True(t, done)
		require.Equal(t, saved, answer)

		changed := key
		changed.Request = core.RequestHash("another")
		_, _, err = claim(t, b, changed)
		require.ErrorIs(t, err, core.ErrKeyReused, "the same key with another request")

		foreign := changed
		foreign.Scope = "test.add/2"
		_, done, err = claim(t, b, foreign)
		require.NoError(t, err)
		require.False(t, done, "a key of another caller is another key")
	})
	s.run("Once runs once for a key and keeps nothing of a failure", func(t *testing.T, b *storage.Backend) {
		type result struct{ Name string }
		try := func(name string, fail error) (r result, err error) {
			err = d.update(timeout(t), b, func(ctx context.Context, tx rows) (err error) {
				r, err = core.Once(ctx, tx, key, func() (result, error) {
					return result{name}, errors.Join(tx.add(ctx, name), fail)
				})
				return err
			})
			return r, err
		}
		_, err := try("failed", errBoom)
		require.ErrorIs(t, err, errBoom)
		first, err := try("first", nil)
		require.NoError(t, err)
		require.Equal(t, result{"first"}, first)
		second, err := try("second", nil)
		require.NoError(t, err)
		require.Equal(t, first, second)
		stored(t, b, d, "failed", false)
		stored(t, b, d, "first", true)
		stored(t, b, d, "second", false)
	})
	s.run("a key claimed again before its answer is ErrKeyInUse, and Once runs once", func(t *testing.T, b *storage.Backend) {
		runs := 0
		once := func(ctx context.Context, tx rows, do func() error) error {
			_, err := core.Once(ctx, tx, key, func() (int, error) {
				runs++
				return runs, do()
			})
			return err
		}
		err := d.update(timeout(t), b, func(ctx context.Context, tx rows) error {
			return once(ctx, tx, func() error {
				return errors.Join(tx.add(ctx, "outer"), once(ctx, tx, func() error { return tx.add(ctx, "inner") }))
			})
		})
		require.ErrorIs(t, err, core.ErrKeyInUse)
		require.ErrorIs(t, err, core.ErrFailedPrecondition)
		require.Equal(t, 1, runs)
		stored(t, b, d, "outer", false)

		runs = 0
		err = d.update(timeout(t), b, func(ctx context.Context, tx rows) error {
			if _, _, err := tx.Claim(ctx, key); err != nil {
				return err
			}
			if err := once(ctx, tx, func() error { return nil }); !errors.Is(err, core.ErrKeyInUse) {
				return fmt.Errorf("claimed again: %w", err)
			}
			if err := errors.Join(tx.add(ctx, "usable"), tx.SaveAnswer(ctx, key, []byte("7"))); err != nil {
				return err
			}
			return once(ctx, tx, func() error { return nil })
		})
		require.NoError(t, err, "the Tx is usable, and the key has an answer")
		require.Zero(t, runs)
		stored(t, b, d, "usable", true)
	})
	s.run("of concurrent twins one takes effect and all get its answer", func(t *testing.T, b *storage.Backend) {
		for round := range size(5, 2) {
			const twins = 6
			answers, errs := make([]string, twins), make([]error, twins)
			var wg sync.WaitGroup
			for i := range twins {
				wg.Go(func() {
					name := fmt.Sprintf("twin-%d-%d", round, i)
					key := core.IdempotencyKey{Scope: "twins", Key: fmt.Sprint(round), Request: key.Request, At: day}
					errs[i] = d.update(context.Background(), b, func(ctx context.Context, tx rows) (err error) {
						answers[i], err = core.Once(ctx, tx, key, func() (string, error) { return name, tx.add(ctx, name) })
						return err
					})
				})
			}
			wg.Wait()
			require.NoError(t, errors.Join(errs...))
			for i := range twins {
				require.Equal(t, answers[0], answers[i])
				name := fmt.Sprintf("twin-%d-%d", round, i)
				stored(t, b, d, name, name == answers[0])
			}
		}
	})
	s.run("a twin waits for the first and takes the key when that rolls back", func(t *testing.T, b *storage.Backend) {
		claimed, failed := make(chan struct{}), make(chan error, 1)
		var once sync.Once
		go func() {
			failed <- d.update(context.Background(), b, func(ctx context.Context, tx rows) error {
				_, _, err := tx.Claim(ctx, key)
				once.Do(func() { close(claimed) })
				time.Sleep(100 * time.Millisecond)
				return errors.Join(err, tx.add(ctx, "first"), errBoom)
			})
		}()
		<-claimed
		var done bool
		err := within(t, patience, func() error {
			return d.update(context.Background(), b, func(ctx context.Context, tx rows) (err error) {
				_, done, err = tx.Claim(ctx, key)
				return errors.Join(err, tx.add(ctx, "second"), tx.SaveAnswer(ctx, key, []byte("2")))
			})
		})
		require.NoError(t, err)
		require.ErrorIs(t, <-failed, errBoom)
		require.False(t, done)
		stored(t, b, d, "first", false)
		stored(t, b, d, "second", true)
	})
}
