package recommend

import (
	"cmp"
	"encoding/binary"
	"hash/fnv"
	"math"
	"slices"

	"github.com/ustat/ustat/core"
)

// fill adds what learners get of whom nothing is known, or too little: courses of preferred
// categories, then all others, the popular and well rated first.
func (q *query) fill() {
	missing := q.K - len(q.out)
	if missing == 0 {
		return
	}
	lowest := 0.0
	if len(q.out) > 0 {
		lowest = q.out[len(q.out)-1].Score
	}
	stars := q.meanStars()
	q.list = q.list[:0]
	for i := range uint32(q.catalogue.len()) {
		if !q.barred[i] && q.catalogue.listed[i] {
			q.list = append(q.list, candidate{index: i, score: q.liking(i) * q.worth(i, stars)})
		}
	}
	compare := func(a, b candidate) int {
		return cmp.Or(cmp.Compare(q.foreign(a.index), q.foreign(b.index)),
			cmp.Compare(b2i(q.liking(b.index) > 1), b2i(q.liking(a.index) > 1)), q.byScore(a, b))
	}
	selectTop(q.list, missing, compare)
	q.list = q.list[:min(missing, len(q.list))]
	slices.SortFunc(q.list, compare)
	for _, c := range q.list {
		reason := Reason{Kind: BecausePopular}
		if q.liking(c.index) > 1 {
			reason = Reason{Kind: BecausePreferred, Category: q.liked(c.index)}
		}
		q.bar(c.index)
		// What fills up never scores above what was found.
		score := lowest - 1 + c.score/(1+c.score)
		q.out = append(q.out, Scored{Course: q.catalogue.ids[c.index], Score: score, Parts: []Part{{"popularity", c.score}}, Reason: reason})
	}
	for at := 1; at < len(q.out); at++ {
		q.out[at].Score = min(q.out[at].Score, q.out[at-1].Score)
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// ratedLike is how many ratings of the mean a course is given beside its own.
const ratedLike = 5

// meanStars returns the mean of all ratings, 3 of none.
func (b *base) meanStars() float64 {
	sum, n := 0.0, 0.0
	for i := range b.catalogue.items {
		sum += float64(b.catalogue.items[i].Stars)
		n += float64(b.catalogue.items[i].Ratings)
	}
	if n == 0 {
		return 3
	}
	return sum / n
}

// stars returns the damped mean of a course's ratings, from 1 to 5.
func (b *base) stars(i uint32, mean float64) float64 {
	item := &b.catalogue.items[i]
	return (float64(item.Stars) + ratedLike*mean) / (float64(item.Ratings) + ratedLike)
}

// worth is how popular a course is at the moment of the request, times its stars from 0 to 1.
func (q *query) worth(i uint32, mean float64) float64 {
	// What was never taken, or long ago, is ordered by its stars, behind the rest.
	return (q.popular.recent(i, q.at) + math.Log1p(float64(q.popular.n[i])/unit)/100 + 1e-6) * q.stars(i, mean) / 5
}

// liking returns the greatest weight of a course's categories among the preferences, and 1 of none.
func (q *query) liking(i uint32) float64 {
	weight := 1.0
	for _, category := range q.catalogue.items[i].Categories {
		weight = max(weight, q.Preferences[category])
	}
	return weight
}

// liked returns the category that liking speaks of.
func (q *query) liked(i uint32) string {
	best := ""
	for _, category := range q.catalogue.items[i].Categories {
		if best == "" || q.Preferences[category] >= q.Preferences[best] {
			best = category
		}
	}
	return best
}

// How few learners a new course has, and among how many such courses explore chooses.
const (
	exploredTaken = 5
	exploredAmong = 50
)

// explore gives the last place to a course that few have taken, of the category of the best one
// where there is one: another each day and learner.
func (q *query) explore() {
	if len(q.out) < q.K || q.K < 2 {
		return // every course is there, or there is no place to give
	}
	first := q.narrow(q.catalogue.index[q.out[0].Course])
	var fresh []uint32
	for i := range uint32(q.catalogue.len()) {
		if !q.barred[i] && q.catalogue.listed[i] && q.popular.n[i] < exploredTaken*unit {
			fresh = append(fresh, i)
		}
	}
	if len(fresh) == 0 {
		return
	}
	slices.SortFunc(fresh, func(a, b uint32) int {
		x, y := &q.catalogue.items[a], &q.catalogue.items[b]
		return cmp.Or(cmp.Compare(q.foreign(a), q.foreign(b)), cmp.Compare(b2i(q.narrow(b) == first), b2i(q.narrow(a) == first)),
			y.Published.Compare(x.Published), cmp.Compare(x.ID, y.ID))
	})
	fresh = fresh[:min(exploredAmong, len(fresh))]
	same := 0
	for same < len(fresh) && q.foreign(fresh[same]) == q.foreign(fresh[0]) && (q.narrow(fresh[same]) == first) == (q.narrow(fresh[0]) == first) {
		same++
	}
	chosen := fresh[dice(q.User, q.at/(24*3600))%uint64(same)]
	q.out[q.K-1] = Scored{Course: q.catalogue.ids[chosen], Score: q.out[q.K-1].Score, Reason: Reason{Kind: BecauseNew}}
}

// dice returns a number that a learner and a day determine.
func dice(user core.UserID, day uint32) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint64(nil, uint64(user)), day))
	x := h.Sum64()
	return x ^ x>>32
}
