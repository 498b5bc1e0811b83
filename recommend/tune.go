package recommend

import (
	"context"
)

// validation is what settings are tried on: histories without their newest entry, and that entry.
// Nothing but what training was given is in it.
type validation struct {
	base    *base // counts the shortened histories only
	known   histories
	asked   []int   // places in known of the learners that are asked about, and
	answers []entry // what they took next
	tried   int
	report  func(Progress)
}

// Limits of what settings are tried on, so that the time for it is bounded.
const (
	tunedLearners     = 6_000
	tunedInteractions = 2_000_000
)

// newValidation shortens histories with at most tunedInteractions, and asks about at most
// tunedLearners.
func newValidation(b *base, all histories, report func(Progress)) *validation {
	v := &validation{base: newBase(b.weights), report: report}
	v.base.catalogue, v.base.content = b.catalogue, b.content
	for range b.catalogue.ids {
		v.base.popular.grow()
	}
	stride := 1 + all.entries()/tunedInteractions
	var asked []int
	var answers []entry
	for l := 0; l < len(all); l += stride {
		h := all[l]
		if last := len(h) - 1; last > 0 && h[last].kind().begun() {
			asked, answers = append(asked, len(v.known)), append(answers, h[last])
			h = h[:last]
		}
		v.known = append(v.known, h)
		v.base.count(h)
	}
	every := 1 + len(asked)/tunedLearners
	for at := 0; at < len(asked); at += every {
		v.asked, v.answers = append(v.asked, asked[at]), append(v.answers, answers[at])
	}
	return v
}

// know returns a history for a question about it. Its moment is that of the newest known entry.
func (v *validation) know(t *pairTable, l int) known {
	h := v.known[l]
	return newKnown(h, t.options.Decay, &v.base.weights, h[len(h)-1].at)
}

// tuning returns settings to try around the best so far.
type tuning func(o pairOptions) []pairOptions

func tuneWindow(o pairOptions) []pairOptions {
	return vary(o, []window{{6, 3}, {10, 4}, {20, 6}, {30, 12}}, func(o *pairOptions, w window) { o.Window, o.Tau = w.size, w.tau })
}

func tuneShrink(o pairOptions) []pairOptions {
	return vary(o, []float64{1, 2, 5, 10, 20, 40}, func(o *pairOptions, x float64) { o.Shrink = x })
}

func tuneAlpha(o pairOptions) []pairOptions {
	return vary(o, []float64{0.5, 0.6, 0.75, 0.9}, func(o *pairOptions, x float64) { o.Alpha = x })
}

func tuneDecay(o pairOptions) []pairOptions {
	return vary(o, []float64{0.6, 0.7, 0.8, 0.9}, func(o *pairOptions, x float64) { o.Decay = x })
}

func tuneBack(o pairOptions) []pairOptions {
	return vary(o, []float64{0.3, 0.5, 0.7, 1}, func(o *pairOptions, x float64) { o.Back = x })
}

type window struct {
	size int
	tau  float64
}

// vary returns the settings that differ from o by one of values.
func vary[T any](o pairOptions, values []T, set func(*pairOptions, T)) []pairOptions {
	var out []pairOptions
	for _, value := range values {
		other := o
		set(&other, value)
		if other != o {
			out = append(out, other)
		}
	}
	return out
}

// tunePairs tries settings, group after group, and returns the counters of the best.
func (v *validation) tunePairs(ctx context.Context, from pairOptions, tunings ...tuning) (*pairTable, error) {
	best := newPairTable(v.base, v.known, from)
	quality, err := v.quality(ctx, best)
	if err != nil {
		return nil, err
	}
	for _, tuning := range tunings {
		for _, o := range tuning(best.options) {
			var t *pairTable
			if o.countsLike(best.options) {
				t = best.withNorms(v.base, o)
			} else {
				t = newPairTable(v.base, v.known, o)
			}
			q, err := v.quality(ctx, t)
			if err != nil {
				return nil, err
			}
			if q > quality {
				best, quality = t, q
			}
		}
	}
	return best, nil
}

// quality returns the NDCG@10 of the pairs alone, summed over the learners.
func (v *validation) quality(ctx context.Context, t *pairTable) (float64, error) {
	s := &scratch{}
	s.fit(v.base.catalogue.len(), 0)
	sum := 0.0
	for at, l := range v.asked {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		t.addPairs(v.know(t, l), s)
		for _, e := range v.known[l] {
			s.win[e.course()] = 0
		}
		sum += gain(v.rank(v.answers[at].course(), s))
		s.reset()
	}
	v.tried++
	tell(v.report, "tune", v.tried, 0)
	return sum, nil
}

// rank returns how many courses have a higher sum than a course, or the same and a lower id.
func (v *validation) rank(course uint32, s *scratch) int {
	if s.win[course] == 0 {
		return v.base.catalogue.len()
	}
	rank, ids := 0, v.base.catalogue.ids
	for _, j := range s.touched {
		if s.win[j] > s.win[course] || s.win[j] == s.win[course] && ids[j] < ids[course] {
			rank++
		}
	}
	return rank
}

// depths are how many candidates by pairs a mix is learned on and ranks.
var depths = []int{30, 50, 100}

// deeper is how much better a deeper mix must be: it takes longer, and shows fewer different courses.
const deeper = 1.01

// tuneMix learns a mix at each depth on one half of the learners, judges it on the other, and
// returns the best, learned on all. The plain mix stays where none is better.
func (v *validation) tuneMix(ctx context.Context, t *pairTable) (mix, error) {
	best, quality := plainMix, 0.0
	for _, depth := range depths {
		questions, err := v.questions(ctx, t, depth)
		if err != nil {
			return mix{}, err
		}
		half := len(questions) / 2
		a, b := learnMix(questions[:half], depth), learnMix(questions[half:], depth)
		if depth == depths[0] {
			quality = plainMix.quality(questions, v.base.byScore)
		}
		if q := a.quality(questions[half:], v.base.byScore) + b.quality(questions[:half], v.base.byScore); q > quality*deeper {
			best, quality = learnMix(questions, depth), q
		}
		v.tried++
		tell(v.report, "tune", v.tried, 0)
	}
	return best, nil
}

// questions returns those whose answer is among their candidates.
func (v *validation) questions(ctx context.Context, t *pairTable, depth int) ([]question, error) {
	s := &scratch{}
	s.fit(v.base.catalogue.len(), len(v.base.content.weight))
	var out []question
	for at, l := range v.asked {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for _, e := range v.known[l] {
			if e.kind().begun() {
				s.bar(e.course())
			}
		}
		v.base.gather(t, v.know(t, l), s, depth)
		for i, c := range s.list {
			if c.index == v.answers[at].course() {
				out = append(out, question{append([]candidate(nil), s.list...), i})
			}
		}
		s.reset()
	}
	return out, nil
}
