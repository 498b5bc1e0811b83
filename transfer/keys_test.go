package transfer

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
)

// repeats gives keys to s in two passes and returns the places of those refused.
func repeats(t *testing.T, s *keySet, keys []moduleKey) (places []int) {
	t.Helper()
	s.begin()
	for _, k := range keys {
		require.True(t, addKey(s, k), "the first pass refuses nothing")
	}
	require.NoError(t, s.checked())
	for i, k := range keys {
		if !addKey(s, k) {
			places = append(places, i)
		}
	}
	return places
}

func TestAKeyIsNewOnce(t *testing.T) {
	t.Parallel()
	keys := make([]moduleKey, 100_000)
	for i := range keys {
		keys[i] = moduleKey{"course", i}
	}
	s := newKeySet()
	require.Empty(t, repeats(t, s, keys))
	require.Less(t, len(s.suspects), 100, "of a filter with 670 bits a key")

	keys[40_000], keys[99_999], keys[70_000] = keys[7], keys[7], keys[69_999]
	require.Equal(t, []int{40_000, 70_000, 99_999}, repeats(t, s, keys))
}

func TestAFilterThatSuspectsEveryKeyRefusesNone(t *testing.T) {
	t.Parallel()
	s := newKeySet()
	s.filter = make([]uint64, 1)
	keys := make([]moduleKey, 10_000)
	for i := range keys {
		keys[i] = moduleKey{"course", i}
	}
	keys[9000] = keys[1]
	require.Equal(t, []int{9000}, repeats(t, s, keys))
	require.Greater(t, len(s.suspects), 9000)
}

func TestSuspectsAreBounded(t *testing.T) {
	t.Parallel()
	s := newKeySet()
	s.filter = make([]uint64, 1)
	s.begin()
	for i := range maxRepeated + 1000 {
		addKey(s, i)
	}
	require.Len(t, s.suspects, maxRepeated+1)
	require.ErrorIs(t, s.checked(), core.ErrInvalid)
}

func TestACycleAmongManyCategoriesIsFoundInOneGo(t *testing.T) {
	t.Parallel()
	tree := newTree()
	name := func(i int) string { return string(rune('a'+i%26)) + string(rune(0x4e00+i)) }
	for i := range 10_000 { // a chain under one that is unknown
		tree.propose(name(i), name(i+1))
	}
	tree.propose("x", "y")
	tree.propose("y", "x")
	tree.propose("z", "y")
	tree.judge()
	require.NotEmpty(t, tree.refusal(name(0), name(1)))
	require.Contains(t, tree.refusal("x", "y"), "cycles")
	require.Contains(t, tree.refusal("z", "y"), "no category")
}
