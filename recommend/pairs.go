package recommend

import (
	"cmp"
	"math"
	"slices"
	"sync/atomic"

	"github.com/ustat/ustat/courses"
)

// unit is how many steps of a counter one whole pair is. Counters are integers, so
// that subtracting what was added leaves nothing; a counter saturates at 16.7 million pairs.
const unit = 256

// neighboursKept is how many neighbours of a course requests look at.
const neighboursKept = 200

// pairOptions say how two courses of one learner count, and how the counts become scores.
type pairOptions struct {
	Window int     // pairs further apart than so many steps do not count
	Tau    float64 // a pair counts exp(-(steps-1)/Tau); infinite: all alike
	Back   float64 // share of a pair that counts against the order it was taken in
	Alpha  float64 // 0 to 1: how popularity is divided away from the known course, the rest from the other
	Shrink float64 // added below the fraction: what few learners did counts less
	Decay  float64 // the history counts Decay^steps from its newest
}

// gains are the steps that pairs add to a counter, by both kinds, distance and direction.
type gains struct {
	window  int
	kind    [Complete + 1]uint32 // of one entry alone
	forward [Complete + 1][Complete + 1][]uint32
	back    [Complete + 1][Complete + 1][]uint32
}

func newGains(o pairOptions, weights [Complete + 1]float64) *gains {
	g := &gains{window: o.Window}
	for a := View; a <= Complete; a++ {
		g.kind[a] = uint32(math.Round(unit * weights[a]))
		for b := View; b <= Complete; b++ {
			g.forward[a][b], g.back[a][b] = make([]uint32, o.Window+1), make([]uint32, o.Window+1)
			for gap := 1; gap <= o.Window; gap++ {
				w := unit * math.Sqrt(weights[a]*weights[b]) * math.Exp(-float64(gap-1)/o.Tau)
				g.forward[a][b][gap] = uint32(math.Round(w))
				g.back[a][b][gap] = uint32(math.Round(w * o.Back))
			}
		}
	}
	return g
}

// row holds the counters of one course, sorted by the other course's index.
type row struct {
	cols []uint32
	vals []uint32
}

// add adds steps to a counter, or takes them away, and returns what it is then; one that is
// zero is dropped.
func (r *row) add(col uint32, steps uint32, sign int) uint32 {
	at, found := slices.BinarySearch(r.cols, col)
	val := int64(0)
	if found {
		val = int64(r.vals[at])
	}
	val = min(max(val+int64(sign)*int64(steps), 0), math.MaxUint32)
	switch {
	case found && val > 0:
		r.vals[at] = uint32(val)
	case found:
		r.cols, r.vals = slices.Delete(r.cols, at, at+1), slices.Delete(r.vals, at, at+1)
	case val > 0:
		r.cols, r.vals = slices.Insert(r.cols, at, col), slices.Insert(r.vals, at, uint32(val))
	}
	return uint32(val)
}

// norms are the powers of how often courses were taken, by which pairs are divided.
type norms struct {
	alpha, shrink float64
	known, other  []float64 // n^alpha, n^(1-alpha)
}

func newNorms(o pairOptions, n []uint64) *norms {
	out := &norms{alpha: o.Alpha, shrink: o.Shrink, known: make([]float64, len(n)), other: make([]float64, len(n))}
	for i := range n {
		out.set(uint32(i), n[i])
	}
	return out
}

func (m *norms) set(i uint32, n uint64) {
	x := float64(n) / unit
	m.known[i], m.other[i] = math.Pow(x, m.alpha), math.Pow(x, 1-m.alpha)
}

// score returns what a counter of the pair says: from the known course i to the other, j.
func (m *norms) score(i, j, steps uint32) float64 {
	return float64(steps) / unit / (m.known[i]*m.other[j] + m.shrink)
}

// best returns the neighboursKept counters of row i with the highest scores, by score and
// then by the lower course.
func (m *norms) best(i uint32, r row, ids []courses.CourseID) row {
	all := make([]ranked, len(r.cols))
	for at, col := range r.cols {
		all[at] = ranked{m.score(i, col, r.vals[at]), col, r.vals[at]}
	}
	top := topRanked(all, neighboursKept, ids)
	out := row{make([]uint32, len(top)), make([]uint32, len(top))}
	for at, t := range top {
		out.cols[at], out.vals[at] = t.index, t.steps
	}
	return out
}

// ranked is a course with a score.
type ranked struct {
	score float64
	index uint32
	steps uint32
}

// topRanked orders the best k of all at its front and returns them: by score, then by the lower
// course.
func topRanked(all []ranked, k int, ids []courses.CourseID) []ranked {
	top := firstRanked(all, k, ids)
	slices.SortFunc(top, compareRanked(ids))
	return top
}

// firstRanked is topRanked, in no order.
func firstRanked(all []ranked, k int, ids []courses.CourseID) []ranked {
	selectTop(all, k, compareRanked(ids))
	return all[:min(k, len(all))]
}

func compareRanked(ids []courses.CourseID) func(a, b ranked) int {
	return func(a, b ranked) int {
		switch {
		case a.score > b.score:
			return -1
		case a.score < b.score:
			return 1
		}
		return cmp.Compare(ids[a.index], ids[b.index])
	}
}

// selectTop moves the k first of all to its front, in no order (Hoare's selection).
func selectTop[T any](all []T, k int, compare func(a, b T) int) {
	lo, hi := 0, len(all)-1
	for lo < hi && k > lo && k <= hi {
		pivot := all[lo+(hi-lo)/2]
		i, j := lo, hi
		for i <= j {
			for compare(all[i], pivot) < 0 {
				i++
			}
			for compare(all[j], pivot) > 0 {
				j--
			}
			if i <= j {
				all[i], all[j] = all[j], all[i]
				i++
				j--
			}
		}
		switch {
		case k-1 <= j:
			hi = j
		case k-1 >= i:
			lo = i
		default:
			return
		}
	}
}

// pairTable are the counters of pairs, and what requests read of them.
type pairTable struct {
	options   pairOptions
	gains     *gains
	norms     *norms
	catalogue *catalogue
	rows      []row
	near      []atomic.Pointer[row] // the best of each row; nil where they have to be found again
}

// newPairTable counts the pairs of histories, for the courses and the popularity of b.
func newPairTable(b *base, h histories, o pairOptions) *pairTable {
	t := &pairTable{options: o, gains: newGains(o, b.weights), catalogue: &b.catalogue}
	t.rows = countRows(h, b.catalogue.len(), t.gains)
	t.near, t.norms = make([]atomic.Pointer[row], len(t.rows)), newNorms(o, b.popular.n)
	return t
}

// withNorms returns the same counters under options that count alike and score otherwise.
func (t *pairTable) withNorms(b *base, o pairOptions) *pairTable {
	return &pairTable{
		options: o, gains: t.gains, catalogue: t.catalogue, rows: t.rows,
		near: make([]atomic.Pointer[row], len(t.rows)), norms: newNorms(o, b.popular.n),
	}
}

// nearest returns the best counters of a course.
func (t *pairTable) nearest(i uint32) row {
	if r := t.near[i].Load(); r != nil {
		return *r
	}
	r := t.norms.best(i, t.rows[i], t.catalogue.ids)
	t.near[i].Store(&r)
	return r
}

func (t *pairTable) grow() {
	t.norms.known, t.norms.other = append(t.norms.known, 0), append(t.norms.other, 0)
	t.rows, t.near = append(t.rows, row{}), growPointers(t.near)
}

// histories are those of many learners.
type histories [][]entry

// entries returns how many there are.
func (h histories) entries() int {
	n := 0
	for _, entries := range h {
		n += len(entries)
	}
	return n
}

// arena hands out room for histories, many in one piece.
type arena struct{ free []entry }

// arenaPiece is how many entries a piece has.
const arenaPiece = 1 << 16

// keep returns a copy of a history which an append does not grow into others.
func (a *arena) keep(h []entry) []entry {
	if len(h) > len(a.free) {
		a.free = make([]entry, max(arenaPiece, len(h)))
	}
	kept := a.free[:len(h):len(h)]
	a.free = a.free[len(h):]
	copy(kept, h)
	return kept
}

// occurrence is where a course stands in the histories.
type occurrence struct {
	learner uint32
	pos     uint16
}

// countRows returns the counters of each of n courses.
func countRows(h histories, n int, g *gains) []row {
	rows := make([]row, n)
	starts, where := h.occurrences(n)
	sums := make([]uint64, n)
	var touched []uint32
	for i := range rows {
		for _, o := range where[starts[i]:starts[i+1]] {
			touched = g.addAround(h[o.learner], int(o.pos), sums, touched)
		}
		slices.Sort(touched)
		rows[i] = row{make([]uint32, len(touched)), make([]uint32, len(touched))}
		for at, col := range touched {
			rows[i].cols[at], rows[i].vals[at] = col, uint32(min(sums[col], math.MaxUint32))
			sums[col] = 0
		}
		touched = touched[:0]
	}
	return rows
}

// addAround adds the pairs of the entry at pos of a history, as the known course, to
// sums, and the courses that had none to touched.
func (g *gains) addAround(h []entry, pos int, sums []uint64, touched []uint32) []uint32 {
	known := h[pos].kind()
	visit := func(other uint32, steps uint32) {
		if sums[other] == 0 && steps > 0 {
			touched = append(touched, other)
		}
		sums[other] += uint64(steps)
	}
	for gap := 1; gap <= g.window && pos+gap < len(h); gap++ {
		e := h[pos+gap]
		visit(e.course(), g.forward[known][e.kind()][gap])
	}
	for gap := 1; gap <= g.window && gap <= pos; gap++ {
		e := h[pos-gap]
		visit(e.course(), g.back[known][e.kind()][gap])
	}
	return touched
}

// occurrences returns, for each course of n, the range of where that holds its places.
func (h histories) occurrences(n int) (starts []int, where []occurrence) {
	starts = make([]int, n+1)
	for _, entries := range h {
		for _, e := range entries {
			starts[e.course()+1]++
		}
	}
	for i := range n {
		starts[i+1] += starts[i]
	}
	where = make([]occurrence, starts[n])
	next := slices.Clone(starts[:n])
	for l, entries := range h {
		for pos, e := range entries {
			where[next[e.course()]] = occurrence{uint32(l), uint16(pos)}
			next[e.course()]++
		}
	}
	return starts, where
}

// countsLike reports whether counters under both options are the same.
func (o pairOptions) countsLike(other pairOptions) bool {
	return o.Window == other.Window && o.Tau == other.Tau && o.Back == other.Back
}
