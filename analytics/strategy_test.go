package analytics_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/analytics"
	"github.com/ustat/ustat/core"
)

const keys = 100_000

func names(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprint("shard", i+1)
	}
	return list
}

// spread returns where a strategy has the first keys.
func spread(s analytics.ShardStrategy) []string {
	at := make([]string, keys)
	for i := range at {
		at[i] = s.Locate(analytics.Key(i + 1))
	}
	return at
}

// moved returns the share of keys that two strategies have elsewhere, and how many of
// these are on a shard that both know.
func moved(a, b analytics.ShardStrategy, added string) (share float64, between int) {
	n := 0
	was, is := spread(a), spread(b)
	for i := range was {
		if was[i] != is[i] {
			n++
			if is[i] != added {
				between++
			}
		}
	}
	return float64(n) / keys, between
}

func equalWeights(n int) map[string]float64 {
	w := map[string]float64{}
	for _, name := range names(n) {
		w[name] = 1
	}
	return w
}

func made[S any](t *testing.T) func(s S, err error) S {
	return func(s S, err error) S {
		t.Helper()
		require.NoError(t, err)
		return s
	}
}

func TestStrategiesMoveWhatTheySay(t *testing.T) {
	t.Parallel()
	modulo, jump, rendezvous := made[*analytics.Modulo](t), made[*analytics.JumpHash](t), made[*analytics.Rendezvous](t)
	share, _ := moved(modulo(analytics.NewModulo(names(2)...)), modulo(analytics.NewModulo(names(3)...)), "")
	require.InDelta(t, 2.0/3, share, 0.01, "modulo")
	share, between := moved(jump(analytics.NewJumpHash(names(2)...)), jump(analytics.NewJumpHash(names(3)...)), "shard3")
	require.InDelta(t, 1.0/3, share, 0.01, "jump hash")
	require.Zero(t, between, "nothing moves between shards that stay")
	share, between = moved(rendezvous(analytics.NewRendezvous(equalWeights(2))), rendezvous(analytics.NewRendezvous(equalWeights(3))), "shard3")
	require.InDelta(t, 1.0/3, share, 0.01, "rendezvous")
	require.Zero(t, between, "nothing moves between shards that stay")
}

func TestRendezvousFollowsWeights(t *testing.T) {
	t.Parallel()
	r := made[*analytics.Rendezvous](t)(analytics.NewRendezvous(map[string]float64{"a": 1, "b": 3}))
	n := 0
	for _, at := range spread(r) {
		if at == "b" {
			n++
		}
	}
	require.InDelta(t, 0.75, float64(n)/keys, 0.01)
}

func TestStrategiesRefuseBadShards(t *testing.T) {
	t.Parallel()
	for _, bad := range [][]string{{}, {""}, {"a", "a"}, {"Ä"}} {
		_, err := analytics.NewModulo(bad...)
		require.ErrorIs(t, err, core.ErrInvalid, "%q", bad)
		_, err = analytics.NewJumpHash(bad...)
		require.ErrorIs(t, err, core.ErrInvalid, "%q", bad)
		_, err = analytics.NewDirectory(&placements{}, bad...)
		require.ErrorIs(t, err, core.ErrInvalid, "%q", bad)
	}
	_, err := analytics.NewRendezvous(map[string]float64{"a": 0})
	require.ErrorIs(t, err, core.ErrInvalid)
}

func TestNegativeKeysAreOnShardsToo(t *testing.T) {
	t.Parallel()
	modulo := made[*analytics.Modulo](t)(analytics.NewModulo(names(3)...))
	jump := made[*analytics.JumpHash](t)(analytics.NewJumpHash(names(3)...))
	seen := map[string]bool{}
	for b := range analytics.Buckets {
		key := analytics.Key(-1 - b)
		require.Equal(t, analytics.Bucket(b), key.Bucket())
		seen[modulo.Locate(key)], seen[jump.Locate(key)] = true, true
	}
	require.Len(t, seen, 3)
}

// TestKeysStayWhereTheyAre holds what stored rows depend on.
func TestKeysStayWhereTheyAre(t *testing.T) {
	t.Parallel()
	sum := 0
	for k := analytics.Key(1); k <= 1000; k++ {
		sum = (sum*31 + int(k.Bucket())) % 1_000_003
	}
	require.Equal(t, 37869, sum)
}

// placements is a DirectoryStore in memory.
type placements struct{ all []analytics.Placement }

func (p *placements) Placements(context.Context) ([]analytics.Placement, error) { return p.all, nil }

func (p *placements) PlaceAll(_ context.Context, first []analytics.Placement) ([]analytics.Placement, error) {
	if p.all == nil {
		p.all = first
	}
	return p.all, nil
}

func (p *placements) Place(context.Context, analytics.Placement, analytics.Placement) error {
	return errors.ErrUnsupported
}

func TestADirectoryKeepsItsMapWhenAShardIsAdded(t *testing.T) {
	t.Parallel()
	store := &placements{}
	d := made[*analytics.Directory](t)(analytics.NewDirectory(store, names(2)...))
	require.Empty(t, d.Locate(1), "it is not loaded")
	require.NoError(t, d.Load(t.Context()))
	d3 := made[*analytics.Directory](t)(analytics.NewDirectory(store, names(3)...))
	require.NoError(t, d3.Load(t.Context()))
	require.Equal(t, spread(d), spread(d3))
	count := map[string]int{}
	for _, at := range spread(d) {
		count[at]++
	}
	require.InDelta(t, 0.5, float64(count["shard1"])/keys, 0.02)
	d1 := made[*analytics.Directory](t)(analytics.NewDirectory(store, "shard1"))
	require.ErrorIs(t, d1.Load(t.Context()), core.ErrFailedPrecondition, "a shard with buckets is missing")
}
