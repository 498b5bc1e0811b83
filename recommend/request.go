package recommend

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// check returns the error of a request that no model takes.
func (r *Request) check() error {
	if err := checkK(r.K); err != nil {
		return err
	}
	if !(r.Diversity >= 0 && r.Diversity <= 1) {
		return core.Invalid("diversity", "range", "0 to 1", strconv.FormatFloat(r.Diversity, 'g', -1, 64), "must be from 0 to 1")
	}
	if len(r.Preferences) > MaxPreference {
		return core.Invalid("preferences", "max", strconv.Itoa(MaxPreference), strconv.Itoa(len(r.Preferences)), "are too many")
	}
	for _, in := range r.History {
		if err := in.check(); err != nil {
			return err
		}
	}
	if !r.At.IsZero() {
		_, err := seconds(r.At)
		return err
	}
	return nil
}

func checkK(k int) error {
	if k < 1 || k > MaxK {
		return core.Invalid("k", "range", "1 to "+strconv.Itoa(MaxK), strconv.Itoa(k), "is out of range")
	}
	return nil
}

// query is a request at work. Its base is locked for reading until close.
type query struct {
	*base
	*scratch
	Request
	history []entry // of courses that the model knows, sorted, the newest MaxHistory
	at      uint32
	out     []Scored
}

// open checks a request, locks the base and bars what is not to be recommended. close must follow,
// unless it fails.
func (b *base) open(r Request) (*query, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	b.mu.RLock()
	q := b.start(r)
	for _, in := range r.History {
		if i, ok := b.catalogue.index[in.Course]; ok {
			q.history = append(q.history, newEntry(i, in.Kind, uint32(in.At.Unix())))
		}
	}
	q.history = condense(q.history, b.catalogue.ids)
	q.history = q.history[max(0, len(q.history)-MaxHistory):]
	for _, e := range q.history {
		if e.kind().begun() {
			q.bar(e.course())
		}
	}
	q.barAll(r.Exclude)
	q.at = b.popular.newest()
	if !r.At.IsZero() {
		q.at = uint32(r.At.Unix())
	}
	return q, nil
}

// start returns an empty query of a locked base.
func (b *base) start(r Request) *query {
	s, ok := b.pool.Get().(*scratch)
	if !ok {
		s = &scratch{}
	}
	s.fit(b.catalogue.len(), len(b.content.weight))
	return &query{base: b, scratch: s, Request: r}
}

func (q *query) barAll(ids []courses.CourseID) {
	for _, id := range ids {
		if i, ok := q.catalogue.index[id]; ok {
			q.bar(i)
		}
	}
}

func (q *query) close() {
	q.scratch.reset()
	q.pool.Put(q.scratch)
	q.mu.RUnlock()
}

// finish orders the scored candidates, cuts them at K and fills up what is missing.
func (q *query) finish(explain func(c *candidate) Scored) []Scored {
	slices.SortFunc(q.list, q.byScore)
	if len(q.Languages) > 0 {
		slices.SortStableFunc(q.list, func(a, b candidate) int { return cmp.Compare(q.foreign(a.index), q.foreign(b.index)) })
	}
	if q.Diversity > 0 {
		q.diversify()
	}
	q.out = make([]Scored, 0, q.K)
	for c := range q.list[:min(q.K, len(q.list))] {
		q.bar(q.list[c].index)
		q.out = append(q.out, explain(&q.list[c]))
	}
	q.fill()
	if q.Explore {
		q.explore()
	}
	return q.out
}

// foreign is 1 for a course in a language that the learner does not understand.
func (q *query) foreign(i uint32) int {
	if language := q.catalogue.items[i].Language; language == "" || len(q.Languages) == 0 || slices.Contains(q.Languages, language) {
		return 0
	}
	return 1
}

// diversified is how many times K the candidates are from which a diverse list is chosen.
const diversified = 3

// diversify chooses K courses one after the other: each earlier one of the same narrow category
// takes Diversity times a twentieth of the spread of scores off.
func (q *query) diversify() {
	pool := q.list[:min(diversified*q.K, len(q.list))]
	if len(pool) < 2 {
		return
	}
	lowest, highest := pool[0].score, pool[0].score
	for _, c := range pool {
		lowest, highest = min(lowest, c.score), max(highest, c.score)
	}
	penalty := q.Diversity * (highest - lowest) / 20
	chosen := map[string]int{}
	for at := range min(q.K, len(pool)) {
		best := at
		worth := func(c candidate) float64 { return c.score - penalty*float64(chosen[q.narrow(c.index)]) }
		for other := at + 1; other < len(pool); other++ {
			if q.foreign(pool[other].index) <= q.foreign(pool[best].index) && worth(pool[other]) > worth(pool[best]) {
				best = other
			}
		}
		c := pool[best]
		copy(pool[at+1:best+1], pool[at:best])
		pool[at] = c
		chosen[q.narrow(c.index)]++
	}
}

// narrow returns the narrowest category of a course.
func (b *base) narrow(i uint32) string {
	if c := b.catalogue.items[i].Categories; len(c) > 0 {
		return c[len(c)-1]
	}
	return ""
}
