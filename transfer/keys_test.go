package transfer

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAKeyIsNewOnce(t *testing.T) {
	t.Parallel()
	s := newKeySet()
	for i := range 100_000 {
		if !addKey(s, moduleKey{"course", i}) {
			t.Fatalf("key %d was taken for another", i)
		}
	}
	for i := range 100_000 {
		if addKey(s, moduleKey{"course", i}) {
			t.Fatalf("key %d was forgotten", i)
		}
	}
	var slots int
	for i := range s.shards {
		slots += len(s.shards[i].slots)
	}
	require.Less(t, slots, 220_000, "at most some 17 bytes a key")
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
