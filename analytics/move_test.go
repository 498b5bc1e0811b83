package analytics_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/analytics"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/storage/sqlite"
)

var errKilled = errors.New("killed")

// killing fails the nth call of a move and all after it, as a process that is killed
// there; in turns before the call reaches the shard and after that.
type killing struct {
	mu    sync.Mutex
	n, at int // calls so far, and the one that fails; 0 fails none
	after bool
}

func (k *killing) arm(at int, after bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.n, k.at, k.after = 0, at, after
}

func (k *killing) calls() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.n
}

func (k *killing) call(fn func() error) error {
	k.mu.Lock()
	k.n++
	dead, last, after := k.at > 0 && k.n > k.at, k.n == k.at, k.after
	k.mu.Unlock()
	if dead || last && !after {
		return errKilled
	}
	err := fn()
	if last {
		return errKilled
	}
	return err
}

// mortal is a shard whose moves can be killed.
type mortal struct {
	analytics.Shard
	k *killing
}

func (m mortal) SetBucket(ctx context.Context, b analytics.Bucket, epoch int64, state analytics.BucketState) error {
	return m.k.call(func() error { return m.Shard.SetBucket(ctx, b, epoch, state) })
}

func (m mortal) CopyIn(ctx context.Context, b analytics.Bucket, epoch int64, events []analytics.Event) error {
	return m.k.call(func() error { return m.Shard.CopyIn(ctx, b, epoch, events) })
}

func (m mortal) ForgetLate(ctx context.Context, events []analytics.Event) error {
	return m.k.call(func() error { return m.Shard.ForgetLate(ctx, events) })
}

func (m mortal) RollupsIn(ctx context.Context, b analytics.Bucket, epoch int64, rollup string, rows [][]any) error {
	return m.k.call(func() error { return m.Shard.RollupsIn(ctx, b, epoch, rollup, rows) })
}

func (m mortal) DropBucket(ctx context.Context, b analytics.Bucket, epoch int64, limit int) (more bool, err error) {
	err = m.k.call(func() error {
		more, err = m.Shard.DropBucket(ctx, b, epoch, limit)
		return err
	})
	return more, err
}

// mortalStore is a directory whose changes can be killed.
type mortalStore struct {
	analytics.DirectoryStore
	k *killing
}

func (m mortalStore) Place(ctx context.Context, was, is analytics.Placement) error {
	return m.k.call(func() error { return m.DirectoryStore.Place(ctx, was, is) })
}

// TestAMoveUnderLoadIsKilledAtEveryStep moves a bucket to and fro while events come,
// kills the move at each of its writes and goes on, and looks each time that what was
// accepted is there once, on one shard, and counted.
func TestAMoveUnderLoadIsKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	main, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "main.db"), nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, main.Close()) })
	_, err = main.Schema.Migrate(t.Context())
	require.NoError(t, err)
	k := &killing{}
	raw := map[string]analytics.Shard{"shard1": engines["SQLite"](t), "shard2": engines["SQLite"](t)}
	shards := map[string]analytics.Shard{}
	for name, shard := range raw {
		shards[name] = mortal{shard, k}
	}
	directory, err := analytics.NewDirectory(mortalStore{main.Shards, k}, names(2)...)
	require.NoError(t, err)
	router := newRouter(t, shards, directory, analytics.RouterOptions{LoadEvery: 10 * time.Millisecond})
	mover, err := analytics.NewMover(router)
	require.NoError(t, err)

	const course = 42
	key := analytics.Key(course)
	r := random(t)
	var accepted []string
	var mu sync.Mutex
	stop := make(chan struct{})
	var load sync.WaitGroup
	var loadErr error
	own := rand.New(rand.NewPCG(r.Uint64(), r.Uint64()))
	load.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			e := oneEvent(own, 1, 20)
			e.Course = course
			prepared, err := analytics.Prepare(e, now)
			if err != nil {
				loadErr = err
				return
			}
			result, err := router.Track(context.Background(), analytics.Durable, prepared)
			if err != nil && !errors.Is(err, analytics.ErrMoved) { // a fence that stays until the move goes on
				loadErr = errors.Join(loadErr, err)
				return
			}
			if result.Accepted == 1 {
				mu.Lock()
				accepted = append(accepted, prepared.ID.String())
				mu.Unlock()
			}
		}
	})
	to := func() string {
		if directory.Placement(key.Bucket()).Shard == "shard1" {
			return "shard2"
		}
		return "shard1"
	}
	k.arm(0, false)
	require.NoError(t, mover.Move(t.Context(), key.Bucket(), to(), nil))
	steps := k.calls()
	require.Greater(t, steps, 15)
	every := size(1, 3) // in small, each third step, another one each time
	kills := 0
	for at := 1 + r.IntN(every); at <= steps; at += every {
		k.arm(at, kills%2 == 1)
		kills++
		target := to()
		err := mover.Move(t.Context(), key.Bucket(), target, nil)
		k.arm(0, false)
		if err != nil { // with more or fewer late events there are other calls
			require.ErrorIs(t, err, errKilled)
			if kills%5 == 0 && directory.Placement(key.Bucket()).MovingTo != "" {
				require.NoError(t, mover.Abort(t.Context(), key.Bucket()))
			}
			require.NoError(t, mover.Move(t.Context(), key.Bucket(), target, nil))
		}
	}
	close(stop)
	load.Wait()
	require.NoError(t, loadErr)
	t.Logf("%d kills in moves of %d writes, %d events accepted meanwhile", kills, steps, len(accepted))

	owner := directory.Placement(key.Bucket()).Shard
	for name, shard := range raw {
		keys, err := shard.BucketKeys(t.Context(), key.Bucket(), -analytics.Buckets-1, 10)
		require.NoError(t, err)
		if name != owner {
			require.Empty(t, keys, "one shard has the bucket")
			continue
		}
		var stored []string
		var after *analytics.EventPosition
		for {
			page, err := shard.CopyOut(t.Context(), key, after, 1000)
			require.NoError(t, err)
			for _, e := range page {
				stored = append(stored, e.ID.String())
			}
			if len(page) < 1000 {
				break
			}
			after = &analytics.EventPosition{At: page[999].OccurredAt, ID: page[999].ID}
		}
		slices.Sort(stored)
		slices.Sort(accepted)
		require.Equal(t, accepted, slices.Compact(slices.Clone(stored)), "what was accepted is stored")
		require.Len(t, stored, len(accepted), "once")
		found, err := shard.Recount(t.Context(), key, false)
		require.NoError(t, err)
		require.Zero(t, found.Differing, "%v", found.Differences)
	}
}

func TestAPlanEvensOutTheShards(t *testing.T) {
	t.Parallel()
	store := &placements{}
	two := map[string]analytics.Shard{"shard1": engines["SQLite"](t), "shard2": engines["SQLite"](t)}
	router := newRouter(t, two, made[*analytics.Directory](t)(analytics.NewDirectory(store, names(2)...)), analytics.RouterOptions{})
	track(t, router, manyEvents(t, random(t), 2000, 300, 50))
	three := map[string]analytics.Shard{"shard1": two["shard1"], "shard2": two["shard2"], "shard3": engines["SQLite"](t)}
	router = newRouter(t, three, made[*analytics.Directory](t)(analytics.NewDirectory(store, names(3)...)), analytics.RouterOptions{})
	mover, err := analytics.NewMover(router)
	require.NoError(t, err)
	plan, err := mover.Plan(t.Context())
	require.NoError(t, err)
	require.Empty(t, plan.Unfinished)
	require.NotEmpty(t, plan.Moves)
	total := int64(0)
	for _, s := range plan.Shards {
		total += s.Events
	}
	require.Equal(t, int64(2000), total)
	for _, s := range plan.Shards {
		require.InDelta(t, 2000.0/3, s.PlannedEvents, 150, "%v", s)
	}
	require.Less(t, len(plan.Moves), analytics.Buckets/3+30, "about a third moves")
	for _, m := range plan.Moves {
		require.NotEqual(t, "shard3", m.From)
	}
}

func TestMovesAreRefused(t *testing.T) {
	t.Parallel()
	router := oneShard(t, engines["SQLite"](t), analytics.RouterOptions{})
	_, err := analytics.NewMover(router)
	require.ErrorIs(t, err, core.ErrFailedPrecondition)
	shards := map[string]analytics.Shard{"shard1": engines["SQLite"](t), "shard2": engines["SQLite"](t)}
	router = newRouter(t, shards, strategies["directory"](t, names(2)), analytics.RouterOptions{})
	mover, err := analytics.NewMover(router)
	require.NoError(t, err)
	require.ErrorIs(t, mover.Move(t.Context(), analytics.Buckets, "shard1", nil), core.ErrInvalid)
	require.ErrorIs(t, mover.Move(t.Context(), 1, "shard9", nil), core.ErrInvalid)
	require.ErrorIs(t, mover.Abort(t.Context(), 1), core.ErrFailedPrecondition)
}
