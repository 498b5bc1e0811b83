package bench

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

func newest(b *testing.B, p *ustat.Platform, cursor string) courses.Page[courses.Result] {
	b.Helper()
	page, err := p.Courses.List(b.Context(), core.Actor{}, courses.Filter{}, courses.Newest, core.Page{Cursor: cursor})
	require.NoError(b, err)
	return page
}

// BenchmarkDeepPage prints what page 360 of the newest courses costs beside page 1:
// the ratio of the medians of interleaved reads.
func BenchmarkDeepPage(b *testing.B) {
	const deep = 360
	for _, e := range engines(b) {
		b.Run(e.name, func(b *testing.B) {
			cursor := ""
			for range deep - 1 {
				cursor = newest(b, e.platform, cursor).Next
			}
			require.NotEmpty(b, cursor)
			first, last := []float64{}, []float64{}
			for range max(b.N, 400) {
				first = append(first, took(func() { newest(b, e.platform, "") }))
				last = append(last, took(func() { newest(b, e.platform, cursor) }))
			}
			b.ReportMetric(median(last)/median(first), "ratio")
			b.ReportMetric(median(first), "page1-µs")
			b.ReportMetric(median(last), "page360-µs")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func took(f func()) float64 {
	start := time.Now()
	f()
	return float64(time.Since(start)) / float64(time.Microsecond)
}
