package recommend

import "context"

// PopularityOptions are those of NewPopularity.
type PopularityOptions struct {
	Weights Weights
	// Recent counts who took a course in the year before the request, a month three times as
	// much as the month three before it. By default all who ever took it count alike.
	Recent bool
}

// Popularity recommends what most learners take: everybody the same, without what they took. Its
// only Part is "popularity". Its models are Updater and Saver.
type Popularity struct {
	weights [Complete + 1]float64
	recent  bool
}

// NewPopularity returns the strategy; nil options are the usual ones.
func NewPopularity(o *PopularityOptions) *Popularity {
	if o == nil {
		o = &PopularityOptions{}
	}
	return &Popularity{o.Weights.byKind(), o.Recent}
}

// Name returns "popularity", or "popularity-recent".
func (s *Popularity) Name() string {
	if s.recent {
		return "popularity-recent"
	}
	return "popularity"
}

// Train implements Strategy.
func (s *Popularity) Train(ctx context.Context, src Source, report func(Progress)) (Model, error) {
	b := newBase(s.weights)
	if _, err := b.read(ctx, src, report); err != nil {
		return nil, err
	}
	return &popularityModel{b, s.recent}, nil
}

type popularityModel struct {
	*base
	recent bool
}

// Recommend implements Model.
func (m *popularityModel) Recommend(_ context.Context, r Request) ([]Scored, error) {
	q, err := m.open(r)
	if err != nil {
		return nil, err
	}
	defer q.close()
	q.all(func(i uint32) float64 {
		if m.recent {
			return m.popular.recent(i, q.at)
		}
		return float64(m.popular.n[i]) / unit
	})
	return q.finish(func(c *candidate) Scored {
		return Scored{Course: m.catalogue.ids[c.index], Score: c.score, Parts: []Part{{"popularity", c.score}}, Reason: Reason{Kind: BecausePopular}}
	}), nil
}

// all puts the best of all listed courses into q.list: as many as finish may choose from, those in
// the learner's languages first.
func (q *query) all(score func(i uint32) float64) {
	for i := range uint32(q.catalogue.len()) {
		if !q.barred[i] && q.catalogue.listed[i] {
			q.list = append(q.list, candidate{index: i, score: score(i)})
		}
	}
	// A course in another language comes after all others, so it is worth less than any.
	compare := func(a, b candidate) int {
		if d := q.foreign(a.index) - q.foreign(b.index); d != 0 {
			return d
		}
		return q.byScore(a, b)
	}
	most := diversified * q.K
	selectTop(q.list, most, compare)
	q.list = q.list[:min(most, len(q.list))]
}
