package recommend

import (
	"context"
	"math"
)

// CategoryAffinityOptions are those of NewCategoryAffinity.
type CategoryAffinityOptions struct {
	Weights Weights
	// Rating and Preference are the shares of a course's stars and of the learner's weight for
	// its category. The zero values of both are 0.7 and 0.3.
	Rating, Preference float64
}

// CategoryAffinity recommends courses of the categories that the learner prefers, the well rated
// first: Rating × damped stars + Preference × weight of the narrowest category, both brought to 0 to 1; equal
// ones by popularity. The weights are those of the Request or, where it has none, 1 and more for what the
// history did, as Weights says. Its Parts are "rating" and "preference". Its models are Updater and Saver.
type CategoryAffinity struct {
	weights            [Complete + 1]float64
	rating, preference float64
}

// NewCategoryAffinity returns the strategy; nil options are the usual ones.
func NewCategoryAffinity(o *CategoryAffinityOptions) *CategoryAffinity {
	if o == nil {
		o = &CategoryAffinityOptions{}
	}
	s := &CategoryAffinity{o.Weights.byKind(), o.Rating, o.Preference}
	if s.rating == 0 && s.preference == 0 {
		s.rating, s.preference = 0.7, 0.3
	}
	return s
}

// Name returns "category-affinity".
func (*CategoryAffinity) Name() string { return "category-affinity" }

// Train implements Strategy.
func (s *CategoryAffinity) Train(ctx context.Context, src Source, report func(Progress)) (Model, error) {
	b := newBase(s.weights)
	if _, err := b.read(ctx, src, report); err != nil {
		return nil, err
	}
	return &affinityModel{b, s}, nil
}

type affinityModel struct {
	*base
	strategy *CategoryAffinity
}

// Recommend implements Model.
func (m *affinityModel) Recommend(_ context.Context, r Request) ([]Scored, error) {
	q, err := m.open(r)
	if err != nil {
		return nil, err
	}
	defer q.close()
	weights := q.preferences()
	highest, most := 1.0, 1.0
	for _, w := range weights {
		highest = max(highest, w)
	}
	for _, n := range m.popular.n {
		most = max(most, float64(n))
	}
	mean := m.meanStars()
	parts := func(i uint32) (rating, preference float64) {
		if w, ok := weights[m.narrow(i)]; ok {
			preference = w / highest
		}
		return m.strategy.rating * (m.stars(i, mean) - 1) / 4, m.strategy.preference * preference
	}
	// Popularity decides between equals only: it adds less than any difference that shows.
	q.all(func(i uint32) float64 {
		rating, preference := parts(i)
		return math.Round((rating+preference)*1e6)/1e6 + 1e-7*float64(m.popular.n[i])/most
	})
	return q.finish(func(c *candidate) Scored {
		rating, preference := parts(c.index)
		reason := Reason{Kind: BecausePopular}
		if preference > 0 {
			reason = Reason{Kind: BecausePreferred, Category: m.narrow(c.index)}
		}
		return Scored{Course: m.catalogue.ids[c.index], Score: c.score, Parts: []Part{{"rating", rating}, {"preference", preference}}, Reason: reason}
	}), nil
}

// preferences returns the learner's weights of categories: the request's, or those that the history
// makes.
func (q *query) preferences() map[string]float64 {
	if len(q.Preferences) > 0 {
		return q.Preferences
	}
	weights := map[string]float64{}
	for _, e := range q.history {
		if category := q.narrow(e.course()); category != "" {
			if weights[category] == 0 {
				weights[category] = 1
			}
			weights[category] += q.weights[e.kind()]
		}
	}
	return weights
}
