package recommend

import (
	"cmp"
	"math"
)

// The signals of a candidate: what the score of the hybrid is made of.
const (
	sigPairs    = iota // log of what the history says by pairs
	sigNoPair          // 1 where it says nothing
	sigContent         // similarity to the history
	sigNext            // similarity to its newest course
	sigNarrow          // share of the history in the same narrow category
	sigBroad           // and in the same broad one
	sigLanguage        // in the same language
	sigLevel           // of the same level
	sigPopular         // log of all who took it
	sigTrend           // log of those who took it lately
	sigAge             // log of the months that it is there
	numSignals
)

// signalNames are the names of Parts.
var signalNames = [numSignals]string{"pairs", "no_pair", "content", "content_next", "category", "broad_category", "language", "level", "popularity", "trend", "age"}

type signalValues [numSignals]float64

// pairsFloor keeps the logarithm of the pairs finite, and weak evidence alike.
const pairsFloor = 1e-3

// known is a learner's history as signals use it, the newest entry first.
type known struct {
	entries []entry
	share   []float64 // of each entry: Decay^steps times the weight of its kind
	total   float64   // of the shares
	at      uint32    // the moment of the request
}

// historyKept is how many entries of a history a request looks at; with a Decay of
// 0.9 the next one would count 0.5 % of the newest.
const historyKept = 50

// newKnown returns the newest entries of a sorted history.
func newKnown(h []entry, decay float64, weights *[Complete + 1]float64, at uint32) known {
	n := min(len(h), historyKept)
	k := known{entries: make([]entry, n), share: make([]float64, n), at: at}
	fade := 1.0
	for i := range n {
		k.entries[i] = h[len(h)-1-i]
		k.share[i] = fade * weights[k.entries[i].kind()]
		k.total += k.share[i]
		fade *= decay
	}
	if k.total == 0 { // of kinds that weigh nothing
		k.total = 1
	}
	return k
}

// candidate is a course with its signals.
type candidate struct {
	index  uint32
	win    float64 // what the history says by pairs
	score  float64
	signal signalValues
}

// scratch is what one request works in. Its sums and marks are zero between requests.
type scratch struct {
	win           []float64 // of each course
	touched       []uint32  // courses with a sum in win
	barred        []bool    // of each course: not to be recommended
	marked        []uint32  // courses that are barred
	profile, next []float64 // of each feature
	ranked        []ranked
	list          []candidate
}

func (s *scratch) fit(courses, features int) {
	if len(s.win) < courses {
		s.win, s.barred = make([]float64, courses), make([]bool, courses)
	}
	if len(s.profile) < features {
		s.profile, s.next = make([]float64, features), make([]float64, features)
	}
}

func (s *scratch) bar(i uint32) {
	if !s.barred[i] {
		s.barred[i] = true
		s.marked = append(s.marked, i)
	}
}

// reset brings the zeros back.
func (s *scratch) reset() {
	for _, j := range s.touched {
		s.win[j] = 0
	}
	for _, i := range s.marked {
		s.barred[i] = false
	}
	s.touched, s.marked, s.list = s.touched[:0], s.marked[:0], s.list[:0]
}

// addPairs sums what the history's pairs say into s.
func (t *pairTable) addPairs(k known, s *scratch) {
	for at, e := range k.entries {
		i := e.course()
		near := t.nearest(i)
		for n, j := range near.cols {
			if s.win[j] == 0 {
				s.touched = append(s.touched, j)
			}
			s.win[j] += k.share[at] * t.norms.score(i, j, near.vals[n])
		}
	}
}

// best puts the most candidates with the highest sums into s.list, in no order, and bars them.
func (b *base) best(s *scratch, most int) {
	s.ranked = s.ranked[:0]
	for _, j := range s.touched {
		if s.win[j] > 0 && !s.barred[j] && b.catalogue.listed[j] {
			s.ranked = append(s.ranked, ranked{score: s.win[j], index: j})
		}
	}
	for _, r := range firstRanked(s.ranked, most, b.catalogue.ids) {
		s.bar(r.index)
		s.list = append(s.list, candidate{index: r.index, win: r.score, score: r.score})
	}
}

// byScore orders candidates: the best first, equal ones by the lower course.
func (b *base) byScore(x, y candidate) int {
	return cmp.Or(cmp.Compare(y.score, x.score), cmp.Compare(b.catalogue.ids[x.index], b.catalogue.ids[y.index]))
}

// How many courses come in by content alone: contentEach of each of the contentOf newest entries.
// So a course that nobody took yet is found.
const (
	contentOf   = 3
	contentEach = 5
)

// gather puts the candidates for a history into s.list with their signals: the most by pairs, and those by content.
func (b *base) gather(t *pairTable, k known, s *scratch, most int) {
	t.addPairs(k, s)
	b.best(s, most)
	for _, e := range k.entries[:min(contentOf, len(k.entries))] {
		found := 0
		for _, near := range b.content.similar(e.course(), b.catalogue.ids) {
			if found == contentEach {
				break
			}
			if !s.barred[near.index] && b.catalogue.listed[near.index] {
				s.bar(near.index)
				s.list = append(s.list, candidate{index: near.index, win: s.win[near.index]})
				found++
			}
		}
	}
	b.describe(k, s)
}

// describe fills in the signals of the candidates.
func (b *base) describe(k known, s *scratch) {
	if len(k.entries) == 0 {
		return
	}
	for at, e := range k.entries {
		b.content.addTo(s.profile, e.course(), k.share[at]/k.total)
	}
	b.content.addTo(s.next, k.entries[0].course(), 1)
	for c := range s.list {
		b.fill(&s.list[c], k, s)
	}
	for _, e := range k.entries {
		b.content.clear(s.profile, e.course())
	}
	b.content.clear(s.next, k.entries[0].course())
}

func (b *base) fill(c *candidate, k known, s *scratch) {
	v := &c.signal
	*v = signalValues{
		sigPairs:   math.Log(c.win + pairsFloor),
		sigContent: b.content.similarity(s.profile, c.index),
		sigNext:    b.content.similarity(s.next, c.index),
		sigPopular: math.Log(float64(b.popular.n[c.index])/unit + 1),
		sigTrend:   math.Log(b.popular.recent(c.index, k.at) + 1),
		sigAge:     math.Log(b.popular.age(c.index, k.at) + 1),
	}
	if c.win == 0 {
		v[sigNoPair] = 1
	}
	item := &b.catalogue.items[c.index]
	for at, e := range k.entries {
		other := &b.catalogue.items[e.course()]
		share := k.share[at] / k.total
		if n, m := len(item.Categories), len(other.Categories); n > 0 && m > 0 {
			if item.Categories[n-1] == other.Categories[m-1] {
				v[sigNarrow] += share
			}
			if item.Categories[0] == other.Categories[0] {
				v[sigBroad] += share
			}
		}
		if item.Language == other.Language {
			v[sigLanguage] += share
		}
		if item.Level == other.Level {
			v[sigLevel] += share
		}
	}
}
