package transfer_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/transfer"
)

// fullScale is the rows from which on the ratio alone counts: USTAT_TEST_SCALE=10.
const fullScale = 50_000

func TestMemoryDoesNotGrowWithTheRows(t *testing.T) { // not parallel: it looks at the heap of the process
	if testing.Short() {
		t.Skip("55,000 rows take a while under -race; run without -short")
	}
	rows := 5000
	if scale, err := strconv.ParseFloat(os.Getenv("USTAT_TEST_SCALE"), 64); err == nil && scale > 0 {
		rows = int(float64(rows) * scale)
	}
	// With the collector close on the heels of what is made, live means in use.
	defer debug.SetGCPercent(debug.SetGCPercent(10))
	small := peakOfImport(t, rows)
	large := peakOfImport(t, 10*rows)
	t.Logf("peak heap: %d rows %.1f MiB, %d rows %.1f MiB", rows, float64(small)/(1<<20), 10*rows, float64(large)/(1<<20))
	limit := 1.2 * float64(small)
	if rows < fullScale {
		limit += 2 << 20 // what is in the making when the collector looks; seldom seen in so short a run
	}
	require.LessOrEqual(t, float64(large), limit, "ten times the rows may take a fifth more")
}

// peakOfImport imports generated users and lessons and returns the most bytes that
// were live on the heap.
func peakOfImport(t *testing.T, rows int) uint64 {
	dir := t.TempDir()
	generate(t, filepath.Join(dir, "users.csv"), usersHeader, rows/2, writeUser)
	generate(t, filepath.Join(dir, "categories.csv"), "slug,name,parent\nit,IT,\n", 0, nil)
	generate(t, filepath.Join(dir, "courses.csv"), coursesHeader, rows/10, func(w io.Writer, i int) {
		fmt.Fprintf(w, "course-%d,Course %d,About,en,it,user-0,1,USD,published,a;b,2024-01-01T00:00:00Z\n", i, i)
	})
	generate(t, filepath.Join(dir, "modules.csv"), modulesHeader, rows/10, func(w io.Writer, i int) {
		fmt.Fprintf(w, "course-%d,1,Module\n", i)
	})
	generate(t, filepath.Join(dir, "lessons.csv"), lessonsHeader, rows*3/10, func(w io.Writer, i int) {
		fmt.Fprintf(w, "course-%d,1,%d,Lesson,text,%01000d,60\n", i/3, i%3+1, i)
	})
	backend := open(t)
	debug.FreeOSMemory()
	stop, peak := make(chan struct{}), make(chan uint64)
	go func() { peak <- watchHeap(stop) }()
	report, err := transfer.Import(t.Context(), backend, os.DirFS(dir), &transfer.Options{Refused: func(r transfer.Refusal) { t.Error(r) }})
	close(stop)
	largest := <-peak
	require.NoError(t, err)
	require.Equal(t, rows/2+1+rows/10+rows/10+rows*3/10, report.Total().Inserted)
	runtime.KeepAlive(backend)
	return largest
}

func watchHeap(stop <-chan struct{}) (peak uint64) {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		metrics.Read(sample)
		peak = max(peak, sample[0].Value.Uint64())
		select {
		case <-stop:
			return peak
		case <-tick.C:
		}
	}
}

func generate(t *testing.T, path, header string, rows int, write func(io.Writer, int)) {
	t.Helper()
	f, err := os.Create(path)
	require.NoError(t, err)
	w := bufio.NewWriter(f)
	_, _ = w.WriteString(header)
	for i := range rows {
		write(w, i)
	}
	require.NoError(t, w.Flush())
	require.NoError(t, f.Close())
}

func writeUser(w io.Writer, i int) {
	fmt.Fprintf(w, "user-%d,user-%d@example.org,teacher,User %d,,\n", i, i, i)
}
