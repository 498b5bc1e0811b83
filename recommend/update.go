package recommend

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// Observe implements Updater.
func (b *base) Observe(i Interaction) (changed bool, err error) {
	if err := i.checkUser(); err != nil {
		return false, err
	}
	defer b.lock()()
	course, err := b.number(i.Course)
	if err != nil {
		return false, err
	}
	h := b.learners[i.User]
	next := newEntry(course, i.Kind, uint32(i.At.Unix()))
	if at := find(h, course); at >= 0 {
		next = h[at].merge(next)
		if next == h[at] {
			return false, nil
		}
		h = b.takeOut(h, at)
	} else if len(h) >= MaxHistory {
		return false, core.Invalid("history", "max", strconv.Itoa(MaxHistory), strconv.Itoa(len(h)+1), "the learner has too many courses")
	}
	b.learners[i.User] = b.putIn(h, next)
	return true, nil
}

// Withdraw implements Updater.
func (b *base) Withdraw(user core.UserID, course courses.CourseID) (changed bool) {
	defer b.lock()()
	i, known := b.catalogue.index[course]
	if !known {
		return false
	}
	h := b.learners[user]
	at := find(h, i)
	if at < 0 {
		return false
	}
	b.keep(user, b.takeOut(h, at))
	b.rankAnew()
	return true
}

// Forget implements Updater.
func (b *base) Forget(user core.UserID) (changed bool) {
	defer b.lock()()
	h := b.learners[user]
	if len(h) == 0 {
		return false
	}
	for len(h) > 0 {
		h = b.takeOut(h, len(h)-1)
	}
	b.keep(user, h)
	b.rankAnew()
	return true
}

// Put implements Updater.
func (b *base) Put(item Item) error {
	defer b.lock()()
	if err := b.putItem(item); err != nil {
		return err
	}
	b.content.weigh()
	return nil
}

// Remove implements Updater. Who took the course is still counted, for it says something of others.
func (b *base) Remove(course courses.CourseID) {
	defer b.lock()()
	if i, known := b.catalogue.index[course]; known {
		b.catalogue.put(i, Item{})
		b.content.set(i, Item{})
		b.content.weigh()
	}
}

func (b *base) keep(user core.UserID, h []entry) {
	if len(h) == 0 {
		delete(b.learners, user)
	} else {
		b.learners[user] = h
	}
}

// find returns the place of a course in a history, or -1.
func find(h []entry, course uint32) int {
	return slices.IndexFunc(h, func(e entry) bool { return e.course() == course })
}

// putIn adds an entry to a history, and what it counts.
func (b *base) putIn(h []entry, e entry) []entry {
	ids := b.catalogue.ids
	at, _ := slices.BinarySearchFunc(h, e, func(x, y entry) int {
		return cmp.Or(cmp.Compare(x.at, y.at), cmp.Compare(ids[x.course()], ids[y.course()]))
	})
	b.pairs.countAcross(h, at, at, -1)
	h = slices.Insert(h, at, e)
	b.tally(e, 1)
	b.pairs.countAcross(h, at, at+1, 1)
	b.pairs.countOf(h, at, 1)
	return h
}

// takeOut is putIn undone.
func (b *base) takeOut(h []entry, at int) []entry {
	b.pairs.countOf(h, at, -1)
	b.pairs.countAcross(h, at, at+1, -1)
	b.tally(h[at], -1)
	h = slices.Delete(h, at, at+1)
	b.pairs.countAcross(h, at, at, 1)
	return h
}

// tally counts an entry itself, or takes it away.
func (b *base) tally(e entry, sign int) {
	b.popular.add(e.course(), b.units[e.kind()], e.at, sign)
	if b.pairs != nil {
		b.pairs.norms.set(e.course(), b.popular.n[e.course()])
	}
}

// countAcross counts the pairs of an entry before place before, and one from place from on.
func (t *pairTable) countAcross(h []entry, before, from, sign int) {
	if t == nil {
		return
	}
	for a := max(0, before-t.gains.window); a < before; a++ {
		for c := from; c < len(h) && c-a <= t.gains.window; c++ {
			t.countPair(h, a, c, sign)
		}
	}
}

// countOf counts the pairs of the entry at a place.
func (t *pairTable) countOf(h []entry, at, sign int) {
	if t == nil {
		return
	}
	for a := max(0, at-t.gains.window); a < at; a++ {
		t.countPair(h, a, at, sign)
	}
	for c := at + 1; c < len(h) && c-at <= t.gains.window; c++ {
		t.countPair(h, at, c, sign)
	}
}

// countPair counts the pair of an earlier and a later entry, in both directions.
func (t *pairTable) countPair(h []entry, earlier, later, sign int) {
	a, c, gap := h[earlier], h[later], later-earlier
	t.step(a.course(), c.course(), t.gains.forward[a.kind()][c.kind()][gap], sign)
	t.step(c.course(), a.course(), t.gains.back[c.kind()][a.kind()][gap], sign)
}

// step changes one counter, and what requests read of it.
func (t *pairTable) step(i, j, steps uint32, sign int) {
	val := t.rows[i].add(j, steps, sign)
	near := t.near[i].Load()
	if near == nil {
		return
	}
	last := len(near.cols) - 1
	switch at := slices.Index(near.cols, j); {
	case val == 0 && at >= 0:
		t.near[i].Store(nil)
	case val == 0:
	case at >= 0:
		near.vals[at] = val
	case last+1 < neighboursKept:
		near.cols, near.vals = append(near.cols, j), append(near.vals, val)
	case t.norms.score(i, j, val) > t.norms.score(i, near.cols[last], near.vals[last]):
		t.near[i].Store(nil)
	}
}

// rankAnew has the best of every course found again from the counters alone, so that nothing
// remembers what was taken out.
func (b *base) rankAnew() {
	if b.pairs == nil {
		return
	}
	for i := range b.pairs.near {
		b.pairs.near[i].Store(nil)
	}
}
