package bench

import (
	"cmp"
	"encoding/csv"
	"os"
	"path/filepath"
	"slices"
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

const deep = 360

// BenchmarkDeepPage prints what page 360 of the newest courses costs beside page 1.
// In the real catalogue the two differ in what they hold: page 360 has nine times
// the bytes of text and twice the tags. So it is read beside its mirror, in which the
// first 360 pages stand in the opposite order: page 1 of each has the very courses of
// the other's page 360. The ratio is of the sums of the medians of interleaved reads;
// beside it stands the one of the catalogue alone, contents and all.
func BenchmarkDeepPage(b *testing.B) {
	mirror := engines(b, mirrored(b))
	for i, e := range engines(b, catalog(b)) {
		b.Run(e.name, func(b *testing.B) {
			p, m := newPages(b, e.platform), newPages(b, mirror[i].platform)
			require.ElementsMatch(b, slugs(p.first()), slugs(m.last()))
			require.ElementsMatch(b, slugs(p.last()), slugs(m.first()))
			for range max(b.N, 400) {
				p.read()
				m.read()
			}
			first, last := median(p.firsts)+median(m.firsts), median(p.lasts)+median(m.lasts)
			b.ReportMetric(last/first, "ratio")
			b.ReportMetric(first/2, "page1-µs")
			b.ReportMetric(last/2, "page360-µs")
			b.ReportMetric(median(p.lasts)/median(p.firsts), "unmirrored-ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// pages reads page 1 and page 360 of a platform.
type pages struct {
	b             *testing.B
	platform      *ustat.Platform
	cursor        string    // of page 360
	firsts, lasts []float64 // µs
}

func newPages(b *testing.B, p *ustat.Platform) *pages {
	cursor := ""
	for range deep - 1 {
		cursor = newest(b, p, cursor).Next
	}
	require.NotEmpty(b, cursor)
	return &pages{b: b, platform: p, cursor: cursor}
}

func (p *pages) first() courses.Page[courses.Result] { return newest(p.b, p.platform, "") }
func (p *pages) last() courses.Page[courses.Result]  { return newest(p.b, p.platform, p.cursor) }

func (p *pages) read() {
	p.firsts = append(p.firsts, took(func() { p.first() }))
	p.lasts = append(p.lasts, took(func() { p.last() }))
}

func took(f func()) float64 {
	start := time.Now()
	f()
	return float64(time.Since(start)) / float64(time.Microsecond)
}

func slugs(page courses.Page[courses.Result]) []string {
	names := make([]string, len(page.Items))
	for i, c := range page.Items {
		names[i] = c.Slug
	}
	return names
}

// mirrored returns a copy of the catalogue in which the newest 360 pages of courses
// have each other's times, in the opposite order.
func mirrored(b *testing.B) string {
	dir := filepath.Join(b.TempDir(), "mirrored")
	require.NoError(b, os.CopyFS(dir, os.DirFS(catalog(b))))
	path := filepath.Join(dir, "courses.csv")
	f, err := os.Open(path)
	require.NoError(b, err)
	records, err := csv.NewReader(f).ReadAll()
	require.NoError(b, err)
	require.NoError(b, f.Close())

	created := slices.Index(records[0], "created_at")
	byTime := slices.Clone(records[1:])
	slices.SortFunc(byTime, func(x, y []string) int { return cmp.Compare(y[created], x[created]) })
	for i, j := 0, deep*core.DefaultLimit-1; i < j; i, j = i+1, j-1 {
		byTime[i][created], byTime[j][created] = byTime[j][created], byTime[i][created]
	}
	require.NoError(b, os.Remove(path)) // the copy may be read-only
	f, err = os.Create(path)
	require.NoError(b, err)
	require.NoError(b, csv.NewWriter(f).WriteAll(records))
	require.NoError(b, f.Close())
	return dir
}
