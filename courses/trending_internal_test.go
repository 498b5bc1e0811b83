package courses

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
)

func TestATrendOrdersAsTheDecayedSumsDo(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	o := TrendingOptions{}
	require.NoError(t, o.SetDefaults())
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	decayed := func() (trend int64, sum float64) {
		for range 1 + r.IntN(40) {
			age, weight := time.Duration(r.Int64N(int64(60*24*time.Hour))), []float64{0.1, 1, 2, 500}[r.IntN(4)]
			heat := o.heat(weight, now.Add(-age))
			trend = heat.On(trend)
			if r.IntN(4) == 0 {
				trend = heat.Back().On(trend)
				continue
			}
			sum += weight * math.Exp2(-age.Hours()/o.HalfLife.Hours())
		}
		return trend, sum
	}
	for range 2000 {
		a, sumA := decayed()
		b, sumB := decayed()
		if math.Abs(sumA-sumB) > 1e-3*(sumA+sumB) && min(sumA, sumB) > 0.01 {
			require.Equal(t, sumA > sumB, a > b, "%f %f", sumA, sumB)
		}
	}
}

func TestHeatHalvesWithEachHalfLifeAndNeitherOverflowsNorGoesBelowNothing(t *testing.T) {
	t.Parallel()
	for _, life := range []time.Duration{time.Hour, 7 * 24 * time.Hour, 3650 * 24 * time.Hour} {
		o := TrendingOptions{HalfLife: life}
		require.NoError(t, o.SetDefaults())
		at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
		require.InDelta(t, o.heat(2, at).Log, o.heat(1, at.Add(life)).Log, 1, "one of now is as much as two of a half-life ago")
		far := o.heat(1000, time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))
		require.Positive(t, far.Log)
		require.Greater(t, far.On(far.Log), far.Log)
		one := o.heat(1, at)
		require.Zero(t, one.Back().On(one.On(0)))
		require.Zero(t, far.Back().On(one.Log))
		require.InDelta(t, one.Log+693_147, one.On(one.Log), 1)
		require.Equal(t, one.Log, Heat{}.On(one.Log))
		require.Equal(t, Heat{}, Heat{}.Back())
		require.Zero(t, o.heat(1, time.Date(1950, 1, 1, 0, 0, 0, 0, time.UTC)))
	}
	for _, bad := range []TrendingOptions{{HalfLife: time.Minute}, {HalfLife: -1}, {ReviewWeight: 1001}, {EnrollmentWeight: math.NaN()}, {ReviewWeight: math.Inf(1)}} {
		require.ErrorIs(t, bad.SetDefaults(), core.ErrInvalid)
	}
}
