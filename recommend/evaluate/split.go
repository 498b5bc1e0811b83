package evaluate

import (
	"context"
	"hash/fnv"
	"iter"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/recommend"
)

// Split says which part of the data is held back.
type Split string

// The splits. Learners with less than three courses are trained on and not tested.
const (
	// LeaveLastOut tests the newest course of every learner, and trains on the others.
	LeaveLastOut Split = "leave-last-out"
	// Temporal trains on what was before one moment for all, that of nine tenths of the
	// interactions, and tests the first course after it of learners who have one before it.
	Temporal Split = "temporal"
	// NewestOnly is LeaveLastOut, where the request knows only the newest course of those trained on.
	NewestOnly Split = "newest-only"
	// Unseen leaves every fifth learner, by a hash of seed and user, out of training, and tests
	// their newest course.
	Unseen Split = "unseen"
)

// Splits are all splits.
var Splits = []Split{LeaveLastOut, Temporal, NewestOnly, Unseen}

// fewest is how many courses a learner has who is tested.
const fewest = 3

// testCase is one question: who has this history, what is the next course?
type testCase struct {
	request recommend.Request
	target  courses.CourseID
}

// divided is data after a split.
type divided struct {
	train []Learner
	items []recommend.Item
	cases []testCase
}

func divide(data *Data, o Options) (*divided, error) {
	d, split := &divided{items: data.Items}, o.Split
	switch {
	case data.Unseen != nil:
		d.train = data.Learners
		for _, l := range data.Unseen {
			d.test(l, len(l.Entries)-1, o.K)
		}
	case split == LeaveLastOut || split == NewestOnly:
		for _, l := range data.Learners {
			d.leaveLast(l, o.K)
		}
		if split == NewestOnly {
			for i := range d.cases {
				r := &d.cases[i].request
				for _, in := range r.History[:len(r.History)-1] {
					r.Exclude = append(r.Exclude, in.Course)
				}
				r.History = r.History[len(r.History)-1:]
			}
		}
	case split == Temporal:
		d.divideAt(data.Learners, o.K)
	case split == Unseen:
		for _, l := range data.Learners {
			if leftOut(o.Seed, l.User) {
				d.test(l, len(l.Entries)-1, o.K)
			} else {
				d.train = append(d.train, l)
			}
		}
	default:
		return nil, core.Invalid("split", "oneof", "leave-last-out, temporal, newest-only, unseen", string(split), "is no split")
	}
	d.rate()
	return d, nil
}

// leaveLast trains on all but the newest course, and tests that.
func (d *divided) leaveLast(l Learner, k int) {
	if len(l.Entries) < fewest {
		d.train = append(d.train, l)
		return
	}
	last := len(l.Entries) - 1
	d.train = append(d.train, Learner{l.User, l.Entries[:last]})
	d.test(l, last, k)
}

// test asks for the course at a place of a history. The moment of the question is that of the newest course known,
// not that of the one to be found.
func (d *divided) test(l Learner, at, k int) {
	if len(l.Entries) < fewest {
		return
	}
	r := recommend.Request{K: k, User: l.User, At: l.Entries[at-1].At}
	for _, e := range l.Entries[:at] {
		r.History = append(r.History, interaction(l.User, e))
	}
	d.cases = append(d.cases, testCase{r, l.Entries[at].Course})
}

func interaction(user core.UserID, e Entry) recommend.Interaction {
	return recommend.Interaction{User: user, Course: e.Course, Kind: recommend.Start, At: e.At}
}

func (d *divided) divideAt(learners []Learner, k int) {
	var times []time.Time
	for _, l := range learners {
		for _, e := range l.Entries {
			times = append(times, e.At)
		}
	}
	if len(times) == 0 {
		return
	}
	slices.SortFunc(times, time.Time.Compare)
	moment := times[len(times)*9/10]
	for _, l := range learners {
		known, _ := slices.BinarySearchFunc(l.Entries, moment, func(e Entry, t time.Time) int { return e.At.Compare(t) })
		if known > 0 {
			d.train = append(d.train, Learner{l.User, l.Entries[:known]})
			if known < len(l.Entries) {
				d.test(l, known, k)
			}
		}
	}
	for i := range d.cases {
		d.cases[i].request.At = moment
	}
}

func leftOut(seed uint64, user core.UserID) bool {
	h := fnv.New64a()
	_, _ = h.Write([]byte(strconv.FormatUint(seed, 10) + "/" + strconv.FormatInt(int64(user), 10)))
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return x%5 == 0
}

// rate gives the courses the ratings of what is trained on, and no other.
func (d *divided) rate() {
	d.items = slices.Clone(d.items)
	sums := make([]float64, len(d.items))
	for i := range d.items {
		d.items[i].Ratings = 0
	}
	for _, l := range d.train {
		for _, e := range l.Entries {
			if e.Rating > 0 {
				d.items[e.Course-1].Ratings++
				sums[e.Course-1] += e.Rating
			}
		}
	}
	for i := range d.items {
		d.items[i].Stars = int64(math.Round(sums[i]))
	}
}

// Items implements recommend.Source.
func (d *divided) Items(context.Context) iter.Seq2[recommend.Item, error] {
	return func(yield func(recommend.Item, error) bool) {
		for _, item := range d.items {
			if !yield(item, nil) {
				return
			}
		}
	}
}

// Interactions implements recommend.Source.
func (d *divided) Interactions(context.Context) iter.Seq2[recommend.Interaction, error] {
	return func(yield func(recommend.Interaction, error) bool) {
		for _, l := range d.train {
			for _, e := range l.Entries {
				if !yield(interaction(l.User, e), nil) {
					return
				}
			}
		}
	}
}
