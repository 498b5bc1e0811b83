package bench

import (
	"cmp"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/reviews"
)

// userHeader names the user to the hand-written handlers, which check nothing.
const userHeader = "X-User"

// quiet is the Config of a platform that only answers requests: its own limits are out
// of the way, and nothing is delivered beside them.
func quiet() *ustat.Config {
	return &ustat.Config{
		Hasher: anyPassword{}, NoRelay: true, TaskConcurrency: -1,
		Reviews: reviews.Options{PerHour: 1 << 30, Moderator: reviews.Filter{PerHour: 1 << 30}},
	}
}

// scenario is a request, the n-th of its kind, and what it is answered with.
type scenario struct {
	name   string
	ours   func(f *filled, n int) *http.Request
	hand   func(f *filled, n int) *http.Request
	status int
}

// both is a scenario whose requests are the same for both.
func both(name string, path func(f *filled, n int) string) scenario {
	request := func(f *filled, n int) *http.Request {
		return httptest.NewRequest(http.MethodGet, "/api/v1/courses/"+path(f, n), nil)
	}
	return scenario{name, request, request, http.StatusOK}
}

// adding is a scenario that writes a review, which the hand-written handler of a name
// does too.
func adding(name, hand string) scenario {
	request := func(f *filled, n int, path string) *http.Request {
		a := f.adds[n]
		body := fmt.Sprintf(`{"rating": %d, "text": "Review %d of somebody who has looked at it in some depth, and has something of their own to say about it."}`, 1+n%5, n)
		r := httptest.NewRequest(http.MethodPost, "/api/v1/courses/"+a.slug+"/reviews/"+path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+a.token)
		r.Header.Set(userHeader, strconv.FormatInt(int64(a.user), 10))
		return r
	}
	return scenario{
		name,
		func(f *filled, n int) *http.Request { return request(f, n, "") },
		func(f *filled, n int) *http.Request { return request(f, n, hand+"/") },
		http.StatusCreated,
	}
}

// fullPages is how many courses have 20 reviews and more at 20,000 in all, so that their
// pages are the same size however many there are.
const fullPages = 100

var (
	addReview    = adding("add-review", "add")
	recordReview = adding("add-review-with-events", "record")
	reviewsPage  = both("reviews-page", func(f *filled, n int) string { return f.slugs[n*37%fullPages] + "/reviews/" })
	detail       = both("detail", func(f *filled, n int) string { return f.slugs[n*37%reviewed] + "/" })
	top          = both("top", func(*filled, int) string { return "?sort=rating" })
	trending     = both("trending", func(*filled, int) string { return "trending/" })
)

// round asks n times by callers at once, and returns the requests a second and the
// median of their times in ms. From says which request of its kind is the first.
func (f *filled) round(b *testing.B, h http.Handler, request func(*filled, int) *http.Request, status int, from *atomic.Int64, n int) (rate, p50 float64) {
	b.Helper()
	const callers = 16
	took := make([][]float64, callers)
	bad := make([]string, callers)
	var wait sync.WaitGroup
	start := time.Now()
	for i := range callers {
		wait.Go(func() {
			for range n / callers {
				r := request(f, int(from.Add(1)-1))
				w := &answer{discard: discard{http.Header{}}}
				began := time.Now()
				h.ServeHTTP(w, r)
				took[i] = append(took[i], float64(time.Since(began))/float64(time.Millisecond))
				if w.status != status {
					bad[i] = fmt.Sprintf("%s %s: %d", r.Method, r.URL, w.status)
				}
			}
		})
	}
	wait.Wait()
	rate = float64(n/callers*callers) / time.Since(start).Seconds()
	require.Empty(b, strings.Join(bad, ""))
	return rate, median(slices.Concat(took...))
}

// answer keeps the status of what it discards.
type answer struct {
	discard
	status int
}

func (a *answer) WriteHeader(status int) { a.status = cmp.Or(a.status, status) }

func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return len(p), nil
}

// BenchmarkReviews prints for reviews what BenchmarkHandlers does for courses, with 200,000
// reviews at full scale.
func BenchmarkReviews(b *testing.B) {
	const rounds = 7
	n := max(160, scaled(b, 800))
	for _, e := range enginesWith(b, catalog(b), quiet()) {
		f := fill(b, e, scaled(b, 200_000), 2*2*(rounds+1)*n)
		f.signIn(b)
		var writes atomic.Int64
		for _, s := range []scenario{addReview, recordReview, reviewsPage} {
			figures(b, e.name+"/"+s.name, func(b *testing.B) map[string]float64 {
				var reads atomic.Int64
				from := &reads
				if s.status == http.StatusCreated {
					from = &writes
				}
				var ours, hand []float64
				for i := range rounds + 1 {
					o, _ := f.round(b, e.ours, s.ours, s.status, from, n)
					h, _ := f.round(b, e.hand, s.hand, s.status, from, n)
					if i > 0 { // the first warms up
						ours, hand = append(ours, o), append(hand, h)
					}
				}
				return map[string]float64{"ratio": median(ours) / median(hand), "ours/s": median(ours), "hand/s": median(hand)}
			})
		}
	}
}

// figures is a benchmark that takes its figures once, whatever its time.
func figures(b *testing.B, name string, take func(b *testing.B) map[string]float64) {
	var taken map[string]float64
	b.Run(name, func(b *testing.B) {
		if taken == nil {
			taken = take(b)
		}
		for unit, figure := range taken {
			b.ReportMetric(figure, unit)
		}
		b.ReportMetric(0, "ns/op")
	})
}

// BenchmarkGrowth prints what requests cost with 20,000, 200,000 and 2,000,000 reviews
// (at full scale): medians of interleaved rounds of one run of the p50 in ms, of ours and
// of the hand-written handlers, and how many times the first the last one is.
func BenchmarkGrowth(b *testing.B) {
	const rounds = 5
	n := max(160, scaled(b, 800))
	sizes := []int{scaled(b, 20_000), scaled(b, 200_000), scaled(b, 2_000_000)}
	all := map[string][]*filled{}
	for _, size := range sizes {
		for _, e := range enginesWith(b, catalog(b), quiet()) {
			start := time.Now()
			f := fill(b, e, size, 2*(rounds+1)*n)
			b.Logf("%s: %d reviews filled in %s", e.name, size, time.Since(start).Round(time.Millisecond))
			all[e.name] = append(all[e.name], f)
		}
	}
	for _, engine := range []string{"sqlite", "postgres"} {
		for _, f := range all[engine] {
			f.signIn(b)
		}
		for _, s := range []scenario{addReview, reviewsPage, detail, top, trending} {
			figures(b, engine+"/"+s.name, func(b *testing.B) map[string]float64 { return grow(b, all[engine], s, rounds, n) })
		}
	}
}

func grow(b *testing.B, all []*filled, s scenario, rounds, n int) map[string]float64 {
	ours, hand := make([][]float64, len(all)), make([][]float64, len(all))
	from := make([]atomic.Int64, len(all))
	for i := range rounds + 1 {
		for k, f := range all {
			_, o := f.round(b, f.ours, s.ours, s.status, &from[k], n)
			_, h := f.round(b, f.hand, s.hand, s.status, &from[k], n)
			if i > 0 { // the first warms up
				ours[k], hand[k] = append(ours[k], o), append(hand[k], h)
			}
		}
	}
	out := map[string]float64{}
	for k, size := range []string{"small", "middle", "large"} {
		out[size+"-ms"], out[size+"-hand-ms"] = median(ours[k]), median(hand[k])
	}
	out["growth-ratio"] = out["large-ms"] / out["small-ms"]
	out["hand-growth-ratio"] = out["large-hand-ms"] / out["small-hand-ms"]
	return out
}
