package recommend_test

import (
	"bytes"
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/recommend"
	"github.com/ustat/ustat/recommend/internal/made"
)

// TestCosts measures a model of the hybrid at 10,000 courses and, by USTAT_TEST_SCALE,
// up to 10 million interactions, on one core. It fails where a request or an event is far from what
// docs/recommendations.md says; the figures themselves are in its log.
func TestCosts(t *testing.T) {
	sizes := []int{10_000}
	if scale, _ := strconv.ParseFloat(os.Getenv("USTAT_TEST_SCALE"), 64); scale >= 1 {
		sizes = []int{100_000, 1_000_000, 10_000_000}
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	}
	for _, size := range sizes {
		costs(t, made.Platform{Seed: 1, Courses: min(10_000, size), Learners: size / 10, Mean: 10})
	}
}

func costs(t *testing.T, p made.Platform) {
	before := heap()
	began := time.Now()
	var tuned time.Time
	trained, err := recommend.NewHybrid(nil).Train(t.Context(), p, func(at recommend.Progress) {
		if at.Stage == "count" && tuned.IsZero() {
			tuned = time.Now()
		}
	})
	require.NoError(t, err)
	rebuild, count := time.Since(began), time.Since(tuned)
	m := trained.(model)
	memory := heap() - before

	var requests, events []time.Duration
	for user := range 2_000 {
		// Learners of after the training: unseen histories, one event each, and the request after it.
		history := p.History(p.Learners + 1 + user)
		for at, in := range history {
			began := time.Now()
			_, err := m.Observe(in)
			events = append(events, time.Since(began))
			require.NoError(t, err)
			if at == len(history)-1 {
				began = time.Now()
				list, err := m.Recommend(t.Context(), recommend.Request{K: 10, History: history})
				requests = append(requests, time.Since(began))
				require.NoError(t, err)
				require.Len(t, list, 10)
			}
		}
	}
	began = time.Now()
	require.True(t, m.Forget(core.UserID(p.Learners+1)))
	forget := time.Since(began)
	var kept bytes.Buffer
	require.NoError(t, m.Save(&kept))
	began = time.Now()
	_, err = recommend.NewHybrid(nil).Load(bytes.NewReader(kept.Bytes()))
	require.NoError(t, err)
	load := time.Since(began)
	slices.Sort(requests)
	slices.Sort(events)
	t.Logf("%d courses, %d learners: rebuild %.1fs (count %.1fs), memory %d MB, kept %d MB, load %.2fs, request p50 %v p99 %v, event p50 %v p99 %v mean %v, forget %v",
		p.Courses, p.Learners, rebuild.Seconds(), count.Seconds(), memory>>20, kept.Len()>>20, load.Seconds(),
		quantile(requests, 50), quantile(requests, 99), quantile(events, 50), quantile(events, 99), mean(events), forget)
	require.Less(t, quantile(requests, 50), 20*time.Millisecond)
	require.Less(t, quantile(events, 50), 2*time.Millisecond)
}

func quantile(sorted []time.Duration, percent int) time.Duration {
	return sorted[len(sorted)*percent/100]
}

func mean(all []time.Duration) time.Duration {
	sum := time.Duration(0)
	for _, d := range all {
		sum += d
	}
	return sum / time.Duration(len(all))
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
