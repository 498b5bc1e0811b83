package recommend

import (
	"context"
	"math"
)

// ItemKNNOptions are those of NewItemKNN.
type ItemKNNOptions struct {
	Weights Weights
	Shrink  float64 // added below the cosine, so that few learners count less; 0 is tried on the data
	Decay   float64 // the history counts Decay^steps from its newest, over 0 to 1; 0 is 1, all alike
}

// ItemKNN recommends what was taken by the learners who took the same courses, whatever the order: the cosine of
// courses, shrunk. Its only Part is "pairs". Its models are Updater and Saver.
type ItemKNN struct {
	weights [Complete + 1]float64
	options pairOptions
}

// knnWindow is how far apart courses of one learner may be to count.
const knnWindow = 500

// NewItemKNN returns the strategy; nil options are the usual ones.
func NewItemKNN(o *ItemKNNOptions) *ItemKNN {
	p := pairOptions{Window: knnWindow, Tau: math.Inf(1), Back: 1, Alpha: 0.5, Decay: 1}
	if o == nil {
		o = &ItemKNNOptions{}
	}
	if o.Shrink > 0 {
		p.Shrink = o.Shrink
	}
	if o.Decay > 0 && o.Decay < 1 {
		p.Decay = o.Decay
	}
	return &ItemKNN{o.Weights.byKind(), p}
}

// Name returns "item-knn".
func (*ItemKNN) Name() string { return "item-knn" }

// Train implements Strategy.
func (s *ItemKNN) Train(ctx context.Context, src Source, report func(Progress)) (Model, error) {
	b := newBase(s.weights)
	all, err := b.read(ctx, src, report)
	if err != nil {
		return nil, err
	}
	o := s.options
	if o.Shrink == 0 {
		o.Shrink = usualPairs.Shrink
		tuned, err := newValidation(b, all, report).tunePairs(ctx, o, tuneShrink)
		if err != nil {
			return nil, err
		}
		o = tuned.options
	}
	if b.pairs, err = b.countPairs(ctx, all, o, report); err != nil {
		return nil, err
	}
	return &knnModel{b}, nil
}

type knnModel struct{ *base }

// Recommend implements Model.
func (m *knnModel) Recommend(_ context.Context, r Request) ([]Scored, error) {
	q, err := m.open(r)
	if err != nil {
		return nil, err
	}
	defer q.close()
	k := newKnown(q.history, m.pairs.options.Decay, &m.weights, q.at)
	m.pairs.addPairs(k, q.scratch)
	m.best(q.scratch, max(50, diversified*r.K))
	return q.finish(func(c *candidate) Scored {
		return Scored{Course: m.catalogue.ids[c.index], Score: c.score, Parts: []Part{{"pairs", c.score}}, Reason: m.reason(m.pairs, k, c)}
	}), nil
}
