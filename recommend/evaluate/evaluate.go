package evaluate

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/recommend"
)

// Options of Run. The zero value is right.
type Options struct {
	Split Split  // LeaveLastOut by default; Unseen whatever it says where Data has Unseen
	K     int    // length of the lists, 1 to 1,000, by default 10
	Seed  uint64 // of Unseen
	// Progress, where it is set, is told how far the work is, on Run's goroutine.
	Progress func(strategy string, p recommend.Progress)
}

// Result are the figures of one strategy. All but the last three are of lists of K courses.
type Result struct {
	Strategy   string  `json:"strategy"`
	NDCG       float64 `json:"ndcg"`        // 1/log2(1+rank) of the course taken next, 0 beyond K, on average
	Recall     float64 `json:"recall"`      // share of learners whose next course is in the list
	MRR        float64 `json:"mrr"`         // 1/rank, on average
	Coverage   float64 `json:"coverage"`    // share of all courses that are in some list
	Novelty    float64 `json:"novelty"`     // bits of surprise of a recommended course: -log2 of its share of learners
	NDCGError  float64 `json:"ndcg_stderr"` // standard error of NDCG
	Users      int     `json:"users"`       // learners tested
	FitSeconds float64 `json:"fit_seconds"` // of training
	P50        float64 `json:"p50_us"`      // microseconds of a request, half of them
	P99        float64 `json:"p99_us"`      // and 99 of 100
	ndcg       []float64
}

// Difference compares the NDCG of two strategies over the same learners. It is sure to about two
// StdErr.
type Difference struct {
	Strategy string  `json:"strategy"`
	Against  string  `json:"against"`
	NDCG     float64 `json:"ndcg"` // of Strategy less that of Against
	StdErr   float64 `json:"stderr"`
}

// Report is what Run measured.
type Report struct {
	Split       Split        `json:"split"`
	K           int          `json:"k"`
	Results     []Result     `json:"results"`     // in the order of the strategies
	Differences []Difference `json:"differences"` // of the first strategy to each other one
}

// Run measures strategies on data. It returns core.ErrInvalid for options out of range, an error that
// wraps a strategy's own, and that of ctx.
func Run(ctx context.Context, data *Data, strategies []recommend.Strategy, o *Options) (*Report, error) {
	options := Options{}
	if o != nil {
		options = *o
	}
	if options.Split == "" {
		options.Split = LeaveLastOut
	}
	if data.Unseen != nil {
		options.Split = Unseen
	}
	if options.K == 0 {
		options.K = 10
	}
	if options.K < 1 || options.K > recommend.MaxK {
		return nil, core.Invalid("k", "range", "1 to "+strconv.Itoa(recommend.MaxK), strconv.Itoa(options.K), "is out of range")
	}
	d, err := divide(data, options)
	if err != nil {
		return nil, err
	}
	report := &Report{Split: options.Split, K: options.K}
	for _, s := range strategies {
		result, err := measure(ctx, d, s, options)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.Name(), err)
		}
		report.Results = append(report.Results, *result)
	}
	for _, r := range report.Results[min(1, len(report.Results)):] {
		first := report.Results[0]
		mean, stderr := paired(first.ndcg, r.ndcg)
		report.Differences = append(report.Differences, Difference{first.Strategy, r.Strategy, mean, stderr})
	}
	return report, nil
}

func measure(ctx context.Context, d *divided, s recommend.Strategy, o Options) (*Result, error) {
	report := func(p recommend.Progress) {
		if o.Progress != nil {
			o.Progress(s.Name(), p)
		}
	}
	began := time.Now()
	model, err := s.Train(ctx, d, report)
	if err != nil {
		return nil, err
	}
	r := &Result{Strategy: s.Name(), Users: len(d.cases), FitSeconds: time.Since(began).Seconds()}
	taken := map[courses.CourseID]float64{}
	for _, l := range d.train {
		for _, e := range l.Entries {
			taken[e.Course]++
		}
	}
	covered := map[courses.CourseID]bool{}
	took := make([]time.Duration, 0, len(d.cases))
	surprise, listed := 0.0, 0
	for i, c := range d.cases {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		before := time.Now()
		list, err := model.Recommend(ctx, c.request)
		took = append(took, time.Since(before))
		if err != nil {
			return nil, err
		}
		if err := checkList(list, c.request); err != nil {
			return nil, err
		}
		gain := 0.0
		for at, item := range list {
			covered[item.Course] = true
			surprise -= math.Log2((taken[item.Course] + 1) / float64(len(d.train)+1))
			listed++
			if item.Course == c.target {
				gain = 1 / math.Log2(float64(at)+2)
				r.Recall++
				r.MRR += 1 / float64(at+1)
			}
		}
		r.ndcg = append(r.ndcg, gain)
		if i%1000 == 0 {
			report(recommend.Progress{Stage: "test", Done: i, Total: len(d.cases)})
		}
	}
	if n := float64(len(d.cases)); n > 0 {
		r.NDCG, r.NDCGError = paired(r.ndcg, make([]float64, len(r.ndcg)))
		r.Recall, r.MRR = r.Recall/n, r.MRR/n
		slices.Sort(took)
		r.P50, r.P99 = micros(took[len(took)/2]), micros(took[len(took)*99/100])
	}
	if len(d.items) > 0 {
		r.Coverage = float64(len(covered)) / float64(len(d.items))
	}
	if listed > 0 {
		r.Novelty = surprise / float64(listed)
	}
	return r, nil
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// checkList refuses lists that would flatter a strategy.
func checkList(list []recommend.Scored, r recommend.Request) error {
	if len(list) > r.K {
		return fmt.Errorf("a list has %d courses where %d were asked for", len(list), r.K)
	}
	taken := make(map[courses.CourseID]bool, len(r.History)+len(list))
	for _, in := range r.History {
		taken[in.Course] = true
	}
	for _, id := range r.Exclude {
		taken[id] = true
	}
	for _, item := range list {
		if taken[item.Course] {
			return fmt.Errorf("course %d is in a list twice, or was taken before", item.Course)
		}
		taken[item.Course] = true
	}
	return nil
}

// paired returns the mean of a less b, and its standard error.
func paired(a, b []float64) (mean, stderr float64) {
	n := float64(len(a))
	if n == 0 {
		return 0, 0
	}
	for i := range a {
		mean += (a[i] - b[i]) / n
	}
	for i := range a {
		stderr += (a[i] - b[i] - mean) * (a[i] - b[i] - mean)
	}
	if n > 1 {
		stderr = math.Sqrt(stderr / (n - 1) / n)
	}
	return mean, stderr
}
