package bench

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/accounts/password"
	"github.com/ustat/ustat/transfer"
)

// BenchmarkListBesideLogins prints the p99 of a page of courses under the usual load
// of 16 callers, alone and beside 500 callers who sign in again and again: medians of
// interleaved rounds of one run.
func BenchmarkListBesideLogins(b *testing.B) {
	const rounds, callers, logins, length = 5, 16, 500, 2 * time.Second
	for _, e := range engines(b, catalog(b)) {
		b.Run(e.name, func(b *testing.B) {
			addUsers(b, e, logins)
			const path = "/api/v1/courses/"
			var alone, beside []float64
			for range rounds {
				alone = append(alone, p99(e.ours, path, callers, length))
				stop := make(chan struct{})
				var wait sync.WaitGroup
				for i := range logins {
					wait.Go(func() { signIn(e.ours, i, stop) })
				}
				beside = append(beside, p99(e.ours, path, callers, length))
				close(stop)
				wait.Wait()
			}
			b.ReportMetric(median(alone), "alone-p99-ms")
			b.ReportMetric(median(beside), "beside-p99-ms")
			b.ReportMetric(median(beside)/median(alone), "ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// addUsers adds user-0 and so on, who share a password.
func addUsers(b *testing.B, e engine, n int) {
	hasher, err := password.New(password.Options{})
	require.NoError(b, err)
	hash, err := hasher.Hash(b.Context(), "correct horse battery")
	require.NoError(b, err)
	var file strings.Builder
	file.WriteString("username,email,role,full_name,bio,password_hash\n")
	for i := range n {
		fmt.Fprintf(&file, "user-%d,user-%d@example.org,student,,,%q\n", i, i, hash)
	}
	report, err := transfer.Import(b.Context(), e.backend, fstest.MapFS{"users.csv": {Data: []byte(file.String())}}, nil)
	require.NoError(b, err)
	require.Equal(b, n, report.Total().Inserted)
}

// p99 asks for a path by callers at once, each as soon as it is answered, and
// returns the 99th percentile in milliseconds.
func p99(h http.Handler, path string, callers int, length time.Duration) float64 {
	ctx, cancel := context.WithTimeout(context.Background(), length)
	defer cancel()
	all := make([][]float64, callers)
	var wait sync.WaitGroup
	for i := range callers {
		wait.Go(func() {
			for ctx.Err() == nil {
				start := time.Now()
				h.ServeHTTP(&discard{header: http.Header{}}, httptest.NewRequest(http.MethodGet, path, nil))
				all[i] = append(all[i], float64(time.Since(start))/float64(time.Millisecond))
			}
		})
	}
	wait.Wait()
	took := slices.Concat(all...)
	slices.Sort(took)
	return took[len(took)*99/100]
}

// signIn signs a user in from a network of its own until it is stopped.
func signIn(h http.Handler, i int, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		r := httptest.NewRequest(http.MethodPost, "/api/v1/auth/login/", strings.NewReader(fmt.Sprintf(`{"username":"user-%d","password":"correct horse battery"}`, i)))
		r.Header.Set("Content-Type", "application/json")
		r.RemoteAddr = fmt.Sprintf("10.%d.%d.1:1000", i/256, i%256)
		h.ServeHTTP(&discard{header: http.Header{}}, r)
	}
}
