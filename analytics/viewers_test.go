package analytics_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/analytics"
)

func TestEqualViewersHaveEqualSketches(t *testing.T) {
	t.Parallel()
	r := random(t)
	for _, n := range []int{1, 100, 1500, 2500, 6000, 10_000, 100_000} {
		hashes := make([]uint64, n)
		for i := range hashes {
			hashes[i] = r.Uint64()
		}
		var whole analytics.Viewers
		require.NoError(t, whole.Add(hashes...))
		want, err := whole.MarshalBinary()
		require.NoError(t, err)
		require.InDelta(t, 1, float64(whole.Count())/float64(n), 0.05, "%d viewers", n) // of 0.8 % standard error
		r.Shuffle(n, func(i, j int) { hashes[i], hashes[j] = hashes[j], hashes[i] })
		var parts analytics.Viewers
		for rest := hashes; len(rest) > 0; {
			k := min(len(rest), 1+r.IntN(max(1, n/20)))
			require.NoError(t, parts.Add(rest[:k]...))
			require.NoError(t, parts.Add(rest[0])) // again
			rest = rest[k:]
			body, err := parts.MarshalBinary() // and through storage
			require.NoError(t, err)
			require.NoError(t, parts.UnmarshalBinary(body))
		}
		got, err := parts.MarshalBinary()
		require.NoError(t, err)
		require.Equal(t, want, got, "%d viewers", n)
		require.LessOrEqual(t, len(got), 16<<10+8)
		require.Equal(t, whole.Count(), parts.Count())
	}
}
