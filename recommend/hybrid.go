package recommend

import (
	"context"
	"slices"

	"github.com/ustat/ustat/courses"
)

// HybridOptions are those of NewHybrid.
type HybridOptions struct {
	Weights Weights // of the kinds of interactions
}

// Hybrid is the default strategy. It finds candidates by counting which courses learners took near one
// another and in which order, adds those that the catalogue describes alike, and ranks them by a
// mix of signals: pairs, content, categories, language, level, popularity and its trend. How pairs are
// counted and how the mix weighs is tried on the newest course of each learner of the very data that
// it is trained on, so that there is nothing to set.
//
// Its Parts are "pairs", "no_pair", "content", "content_next", "category", "broad_category", "language", "level",
// "popularity", "trend" and "age", each a signal times its weight; their sum is the score. Its models are Updater,
// Similarer and Saver.
type Hybrid struct{ weights [Complete + 1]float64 }

// NewHybrid returns the strategy; nil options are the usual ones.
func NewHybrid(o *HybridOptions) *Hybrid {
	if o == nil {
		o = &HybridOptions{}
	}
	return &Hybrid{o.Weights.byKind()}
}

// Name returns "hybrid".
func (*Hybrid) Name() string { return "hybrid" }

// usualPairs is where the tuning begins.
var usualPairs = pairOptions{Window: 10, Tau: 4, Back: 0.5, Alpha: 0.75, Shrink: 5, Decay: 0.8}

// Train implements Strategy.
func (h *Hybrid) Train(ctx context.Context, src Source, report func(Progress)) (Model, error) {
	b := newBase(h.weights)
	all, err := b.read(ctx, src, report)
	if err != nil {
		return nil, err
	}
	v := newValidation(b, all, report)
	tuned, err := v.tunePairs(ctx, usualPairs, tuneWindow, tuneShrink, tuneAlpha, tuneDecay, tuneBack)
	if err != nil {
		return nil, err
	}
	m := &hybridModel{base: b}
	if m.mix, err = v.tuneMix(ctx, tuned); err != nil {
		return nil, err
	}
	if b.pairs, err = b.countPairs(ctx, all, tuned.options, report); err != nil {
		return nil, err
	}
	return m, nil
}

// countPairs counts all pairs, and finds the best of each course.
func (b *base) countPairs(ctx context.Context, all histories, o pairOptions, report func(Progress)) (*pairTable, error) {
	tell(report, "count", 0, b.catalogue.len())
	t := newPairTable(b, all, o)
	for i := range uint32(b.catalogue.len()) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		t.nearest(i)
	}
	tell(report, "count", b.catalogue.len(), b.catalogue.len())
	return t, nil
}

type hybridModel struct {
	*base
	mix mix
}

// Recommend implements Model.
func (m *hybridModel) Recommend(_ context.Context, r Request) ([]Scored, error) {
	q, err := m.open(r)
	if err != nil {
		return nil, err
	}
	defer q.close()
	k := newKnown(q.history, m.pairs.options.Decay, &m.weights, q.at)
	m.gather(m.pairs, k, q.scratch, max(m.mix.Depth, 2*r.K))
	for c := range q.list {
		q.list[c].score = m.mix.score(&q.list[c].signal)
	}
	return q.finish(func(c *candidate) Scored {
		return Scored{Course: m.catalogue.ids[c.index], Score: c.score, Parts: m.mix.parts(&c.signal), Reason: m.reason(m.pairs, k, c)}
	}), nil
}

// parts returns the signals that count, each by its weight.
func (m *mix) parts(v *signalValues) []Part {
	parts := make([]Part, 0, numSignals)
	for i, w := range m.Weights {
		if w*v[i] != 0 {
			parts = append(parts, Part{signalNames[i], w * v[i]})
		}
	}
	return parts
}

// reason names the entry of the history that speaks loudest for a candidate.
func (b *base) reason(t *pairTable, k known, c *candidate) Reason {
	best, which := 0.0, 0
	kind := BecauseTaken
	for at, e := range k.entries {
		near := t.nearest(e.course())
		if n := slices.Index(near.cols, c.index); n >= 0 {
			if score := k.share[at] * t.norms.score(e.course(), c.index, near.vals[n]); score > best {
				best, which = score, at
			}
		}
	}
	if best == 0 {
		kind = BecauseContent
		for at, e := range k.entries {
			if score := k.share[at] * b.content.between(e.course(), c.index); score > best {
				best, which = score, at
			}
		}
	}
	return Reason{Kind: kind, Course: b.catalogue.ids[k.entries[which].course()]}
}

// Similar implements Similarer: by pairs and by content, each as the history of a learner with
// this one course.
func (m *hybridModel) Similar(_ context.Context, course courses.CourseID, k int, exclude []courses.CourseID) ([]Scored, error) {
	if err := checkK(k); err != nil {
		return nil, err
	}
	m.mu.RLock()
	q := m.start(Request{K: k})
	defer q.close()
	i, ok := m.catalogue.index[course]
	if !ok {
		return []Scored{}, nil
	}
	q.barAll(exclude)
	q.bar(i)
	only := known{entries: []entry{newEntry(i, Start, 0)}, share: []float64{1}, total: 1, at: m.popular.newest()}
	m.gather(m.pairs, only, q.scratch, max(m.mix.Depth, 2*k))
	for c := range q.list {
		// What goes with a course is asked, not what sells: of the mix only the ties to it count.
		v := &q.list[c].signal
		v[sigPopular], v[sigTrend], v[sigAge] = 0, 0, 0
		q.list[c].score = m.mix.score(v)
	}
	slices.SortFunc(q.list, m.byScore)
	out := make([]Scored, 0, k)
	for c := range q.list[:min(k, len(q.list))] {
		c := &q.list[c]
		out = append(out, Scored{Course: m.catalogue.ids[c.index], Score: c.score, Parts: m.mix.parts(&c.signal), Reason: m.reason(m.pairs, only, c)})
	}
	return out, nil
}
