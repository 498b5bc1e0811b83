package recommend_test

import (
	"bytes"
	"os"
	"runtime"
	"slices"
	"strconv"
	"syscall"
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
	began := cpu()
	var tuned time.Duration
	trained, err := recommend.NewHybrid(nil).Train(t.Context(), p, func(at recommend.Progress) {
		if at.Stage == "count" && tuned == 0 {
			tuned = cpu()
		}
	})
	require.NoError(t, err)
	rebuild, count := cpu()-began, cpu()-tuned
	m := trained.(model)
	memory := heap() - before

	var requests, events []time.Duration
	var requestCPU, eventCPU time.Duration
	for user := range 2_000 {
		// Learners of after the training: unseen histories, one event each, and the request after it.
		history := p.History(p.Learners + 1 + user)
		used := cpu()
		for _, in := range history {
			began := time.Now()
			_, err := m.Observe(in)
			events = append(events, time.Since(began))
			require.NoError(t, err)
		}
		eventCPU, used = eventCPU+cpu()-used, cpu()
		began := time.Now()
		list, err := m.Recommend(t.Context(), recommend.Request{K: 10, History: history})
		requests = append(requests, time.Since(began))
		requestCPU += cpu() - used
		require.NoError(t, err)
		require.Len(t, list, 10)
	}
	began = cpu()
	require.True(t, m.Forget(core.UserID(p.Learners+1)))
	forget := cpu() - began
	var kept bytes.Buffer
	require.NoError(t, m.Save(&kept))
	began = cpu()
	_, err = recommend.NewHybrid(nil).Load(bytes.NewReader(kept.Bytes()))
	require.NoError(t, err)
	load := cpu() - began
	slices.Sort(requests)
	slices.Sort(events)
	t.Logf("%d courses, %d learners; seconds of a processor: rebuild %.1f, of it counting %.1f, load %.2f; memory %d MB, kept %d MB; "+
		"request p50 %v p99 %v, of a processor %v; event p50 %v p99 %v, of a processor %v; forget %v",
		p.Courses, p.Learners, rebuild.Seconds(), count.Seconds(), load.Seconds(), memory>>20, kept.Len()>>20,
		quantile(requests, 50), quantile(requests, 99), requestCPU/time.Duration(len(requests)),
		quantile(events, 50), quantile(events, 99), eventCPU/time.Duration(len(events)), forget)
	require.Less(t, quantile(requests, 50), 20*time.Millisecond)
	require.Less(t, quantile(events, 50), 2*time.Millisecond)
}

func quantile(sorted []time.Duration, percent int) time.Duration {
	return sorted[len(sorted)*percent/100]
}

// cpu returns the time of processors that this process has used: unlike the clock it does not
// count what other processes take.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
