package courses

import (
	"context"
	"math"
	"strconv"
	"time"

	"github.com/ustat/ustat/core"
)

// TrendingOptions are what an embedder may set of Trending.
type TrendingOptions struct {
	// HalfLife is after how long something counts half, 1 hour to 3,650 days. Zero means
	// 7 days. What is stored keeps the meaning of the old one when it is changed, and fades.
	HalfLife time.Duration
	// EnrollmentWeight and ReviewWeight are what a first enrollment and a published review
	// count, up to 1,000. Zero means 1 and 2; less than zero is nothing.
	EnrollmentWeight, ReviewWeight float64
}

// SetDefaults fills in what is not set, and fails with core.ErrInvalid naming what is out
// of its bounds.
func (o *TrendingOptions) SetDefaults() error {
	if o.HalfLife == 0 {
		o.HalfLife = 7 * 24 * time.Hour
	}
	if o.HalfLife < time.Hour || o.HalfLife > 3650*24*time.Hour {
		return core.Invalid("Trending.HalfLife", "range", "1h-3650d", o.HalfLife.String(), "1 hour to 3,650 days are expected")
	}
	for _, w := range []struct {
		name     string
		value    *float64
		standard float64
	}{{"EnrollmentWeight", &o.EnrollmentWeight, 1}, {"ReviewWeight", &o.ReviewWeight, 2}} {
		if *w.value == 0 {
			*w.value = w.standard
		}
		if !(*w.value <= 1000) { // nor what is no number
			return core.Invalid("Trending."+w.name, "max", "1000", strconv.FormatFloat(*w.value, 'g', -1, 64), "a weight of at most 1,000 is expected")
		}
	}
	return nil
}

// Heat is what something that happened does to the trend of its course. The zero Heat does
// nothing.
//
// Of a weight w at a time t, in seconds since 1970, Log is ln(w) + t ln(2) / half-life, in
// millionths. That is forward decay (Cormode, Shkapenyuk, Srivastava, Xu, "Forward Decay: A
// Practical Time Decay Model for Streaming Systems", ICDE 2009), whose exponential kind
// orders sums alike at every later moment: nothing needs to be counted anew as time goes
// by. Kept as logarithms, sums neither overflow nor need a landmark that moves.
type Heat struct {
	Log   int64 `json:"log,omitempty"`
	Taken bool  `json:"taken,omitempty"` // it no longer counts: it is taken back
}

const millionths = 1e6

// heat returns that of a weight at a time. Less than a second of weight at the epoch, and
// no weight, are nothing.
func (o *TrendingOptions) heat(weight float64, at time.Time) Heat {
	if weight <= 0 {
		return Heat{}
	}
	seconds := float64(at.UnixMicro()) / millionths
	return Heat{Log: max(0, int64(math.Round((math.Log(weight)+seconds*math.Ln2/o.HalfLife.Seconds())*millionths)))}
}

// Back returns what takes h back.
func (h Heat) Back() Heat {
	h.Taken = h.Log != 0
	return h
}

// On returns a trend with h: the logarithm, in millionths, of the sum of all that it is
// made of, and 0 where that is nothing. Whoever writes a trend holds its lock and adds by
// this, so that every store orders alike.
func (h Heat) On(trend int64) int64 {
	switch {
	case h.Log == 0:
		return trend
	case h.Taken && h.Log >= trend:
		return 0
	case trend == 0:
		return h.Log
	}
	ratio := math.Exp(-math.Abs(float64(trend-h.Log)) / millionths)
	if h.Taken {
		ratio = -ratio
	}
	return max(0, max(trend, h.Log)+int64(math.Round(math.Log1p(ratio)*millionths)))
}

// ReviewHeat returns what a published review does to the trend of its course, by when it
// was written.
func (s *Service) ReviewHeat(written time.Time) Heat {
	return s.trending.heat(s.trending.ReviewWeight, written)
}

// TrendingReviews is how many reviews a course has at least to be trending, unless it is
// asked otherwise.
const TrendingReviews = 10

// TrendingQuery says which trending courses are asked for.
type TrendingQuery struct {
	// AllTime asks for those with the most reviews ever, then the best mean, instead of
	// those with the most that is new.
	AllTime bool
	// MinReviews is how many published reviews a course has at least, from 0. Nil means
	// TrendingReviews.
	MinReviews *int
	// Limit is 1 to core.MaxLimit. Zero means core.DefaultLimit.
	Limit int
}

// Ranked is a course with its place from 1.
type Ranked struct {
	Course
	Rank int // with AllTime the same for courses with as many reviews and the same mean
}

// Trending returns published courses, those that trend most first: each enrollment, the
// first of its learner, and each published review count less the older they are, half
// after TrendingOptions.HalfLife. One with nothing of that is not among them. Ties are
// broken by id, the greatest first. Imports leave trends alone. Three statements.
//
// It fails with core.ErrInvalid for a MinReviews or a Limit out of its bounds.
func (s *Service) Trending(ctx context.Context, q TrendingQuery) ([]Ranked, error) {
	ctx = core.WithOperation(ctx, "courses.Trending")
	limit, err := core.Page{Limit: q.Limit}.Size()
	if err != nil {
		return nil, err
	}
	least := TrendingReviews
	if q.MinReviews != nil {
		least = *q.MinReviews
	}
	if least < 0 {
		return nil, core.Invalid("min_reviews", "min", "0", strconv.Itoa(least), "a number of reviews is not negative")
	}
	sort := Trending
	if q.AllTime {
		sort, least = MostReviewed, max(1, least)
	}
	hits, err := s.store.ListCourses(ctx, ListQuery{Status: Published, Sort: sort, ReviewsMin: least, Limit: limit})
	if err != nil {
		return nil, err
	}
	list := make([]Course, len(hits))
	for i := range hits {
		list[i] = hits[i].Course
		list[i].refresh()
	}
	if err := s.nameTeachers(ctx, list); err != nil {
		return nil, err
	}
	if err := s.speakCourses(ctx, list); err != nil {
		return nil, err
	}
	ranked := make([]Ranked, len(list))
	for i, c := range list {
		ranked[i] = Ranked{c, i + 1}
		if i > 0 && q.AllTime {
			before := &ranked[i-1]
			ranked[i].Rank = before.Rank
			if c.Stats.ReviewCount != before.Stats.ReviewCount || c.Stats.RatingSum != before.Stats.RatingSum {
				ranked[i].Rank++
			}
		}
	}
	return ranked, nil
}
