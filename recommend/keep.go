package recommend

import (
	"encoding/json"
	"io"
	"maps"
	"math"
	"slices"
	"sync/atomic"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// The head of a kept model. The version changes with whatever is written.
const (
	keptMagic   = "ustat model"
	keptVersion = 1
)

// save writes what a base knows, after the head and what the strategy adds.
func (b *base) save(w io.Writer, strategy string, more func(*encoder)) error {
	b.updates.Lock()
	defer b.updates.Unlock()
	b.mu.RLock()
	defer b.mu.RUnlock()
	e := &encoder{w: w}
	e.text(keptMagic)
	e.uint(keptVersion)
	e.text(strategy)
	for _, weight := range b.weights {
		e.float(weight)
	}
	if more != nil {
		more(e)
	}
	e.uint(uint64(b.catalogue.len()))
	for i, id := range b.catalogue.ids {
		e.uint(uint64(id))
		item, err := json.Marshal(b.catalogue.items[i])
		if err != nil {
			return err
		}
		e.text(string(item))
	}
	b.saveLearners(e)
	if b.pairs != nil {
		b.pairs.save(e)
	}
	return e.end()
}

func (b *base) saveLearners(e *encoder) {
	e.uint(uint64(len(b.learners)))
	before := core.UserID(0)
	for _, user := range slices.Sorted(maps.Keys(b.learners)) {
		e.uint(uint64(user - before))
		before = user
		h := b.learners[user]
		e.uint(uint64(len(h)))
		at := uint32(0)
		for _, entry := range h {
			e.uint(uint64(entry.courseKind))
			e.uint(uint64(entry.at - at))
			at = entry.at
		}
	}
}

func (t *pairTable) save(e *encoder) {
	o := t.options
	e.uint(uint64(o.Window))
	for _, x := range []float64{o.Tau, o.Back, o.Alpha, o.Shrink, o.Decay} {
		e.float(x)
	}
	for _, r := range t.rows {
		e.uint(uint64(len(r.cols)))
		before := uint32(0)
		for at, col := range r.cols {
			e.uint(uint64(col - before))
			e.uint(uint64(r.vals[at]))
			before = col
		}
	}
}

// load reads what save wrote, by a strategy of the same weights.
func load(r io.Reader, strategy string, weights [Complete + 1]float64, pairs bool, more func(*decoder)) (*base, error) {
	d := newDecoder(r)
	if magic := d.text(); magic != keptMagic {
		if d.err != nil && core.KindOf(d.err) != core.KindFailedPrecondition {
			return nil, d.err // the reader's own
		}
		return nil, ErrForeignModel
	}
	if version, name := d.uint(math.MaxUint64), d.text(); d.err == nil && (version != keptVersion || name != strategy) {
		return nil, ErrForeignModel
	}
	for _, weight := range weights {
		if kept := d.float(); d.err == nil && kept != weight {
			return nil, ErrForeignModel
		}
	}
	if more != nil {
		more(d)
	}
	b := newBase(weights)
	b.loadItems(d)
	b.loadLearners(d)
	if pairs {
		b.loadPairs(d)
	}
	if err := d.end(); err != nil {
		return nil, err
	}
	if b.pairs != nil {
		for i := range uint32(len(b.pairs.rows)) {
			b.pairs.nearest(i)
		}
	}
	return b, nil
}

func (b *base) loadItems(d *decoder) {
	for range d.uint(MaxItems) {
		id := courses.CourseID(d.uint(math.MaxInt64))
		var item Item
		if err := json.Unmarshal([]byte(d.text()), &item); err != nil || (item.ID != 0 && item.ID != id) {
			d.fail(ErrBrokenModel)
			return
		}
		before := b.catalogue.len()
		i, err := b.number(id)
		if err != nil || int(i) != before {
			d.fail(ErrBrokenModel) // a course that is there twice
			return
		}
		b.catalogue.put(i, item)
		b.content.set(i, item)
	}
	b.content.weigh()
}

func (b *base) loadLearners(d *decoder) {
	var room arena
	var h []entry
	user := core.UserID(0)
	for range d.uint(MaxLearners) {
		user += core.UserID(d.uint(math.MaxInt64))
		at := uint64(0)
		h = h[:0]
		for range d.uint(MaxHistory) {
			e := entry{courseKind: uint32(d.uint(math.MaxUint32))}
			at += d.uint(math.MaxUint32)
			e.at = uint32(at)
			if at > math.MaxUint32 || int(e.course()) >= b.catalogue.len() || !e.kind().Valid() {
				d.fail(ErrBrokenModel)
			}
			if d.err != nil {
				return
			}
			h = append(h, e)
		}
		if _, twice := b.learners[user]; twice || len(h) == 0 {
			d.fail(ErrBrokenModel)
			return
		}
		b.learners[user] = room.keep(h)
		b.count(h)
	}
}

func (b *base) loadPairs(d *decoder) {
	n := b.catalogue.len()
	o := pairOptions{Window: int(d.uint(MaxHistory))}
	for _, x := range []*float64{&o.Tau, &o.Back, &o.Alpha, &o.Shrink, &o.Decay} {
		*x = d.float()
	}
	t := &pairTable{options: o, gains: newGains(o, b.weights), catalogue: &b.catalogue, rows: make([]row, n)}
	for i := range t.rows {
		size := int(d.uint(uint64(n)))
		r := row{make([]uint32, size), make([]uint32, size)}
		col := uint64(0)
		for at := range size {
			col += d.uint(uint64(n))
			if col >= uint64(n) && d.err == nil {
				d.fail(ErrBrokenModel)
			}
			r.cols[at], r.vals[at] = uint32(col), uint32(d.uint(math.MaxUint32))
		}
		if d.err != nil {
			return
		}
		t.rows[i] = r
	}
	t.near, t.norms = make([]atomic.Pointer[row], n), newNorms(o, b.popular.n)
	b.pairs = t
}

// Save implements Saver.
func (m *hybridModel) Save(w io.Writer) error {
	return m.save(w, (*Hybrid)(nil).Name(), func(e *encoder) {
		e.uint(uint64(m.mix.Depth))
		for _, weight := range m.mix.Weights {
			e.float(weight)
		}
	})
}

// Load implements Loader.
func (h *Hybrid) Load(r io.Reader) (Model, error) {
	m := &hybridModel{}
	var err error
	m.base, err = load(r, h.Name(), h.weights, true, func(d *decoder) {
		m.mix.Depth = int(d.uint(MaxItems))
		for i := range m.mix.Weights {
			m.mix.Weights[i] = d.float()
		}
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

// Save implements Saver.
func (m *knnModel) Save(w io.Writer) error { return m.save(w, (*ItemKNN)(nil).Name(), nil) }

// Load implements Loader.
func (s *ItemKNN) Load(r io.Reader) (Model, error) {
	b, err := load(r, s.Name(), s.weights, true, nil)
	if err != nil {
		return nil, err
	}
	return &knnModel{b}, nil
}

// Save implements Saver.
func (m *popularityModel) Save(w io.Writer) error {
	return m.save(w, (&Popularity{recent: m.recent}).Name(), nil)
}

// Load implements Loader.
func (s *Popularity) Load(r io.Reader) (Model, error) {
	b, err := load(r, s.Name(), s.weights, false, nil)
	if err != nil {
		return nil, err
	}
	return &popularityModel{b, s.recent}, nil
}

// Save implements Saver.
func (m *affinityModel) Save(w io.Writer) error { return m.save(w, m.strategy.Name(), nil) }

// Load implements Loader.
func (s *CategoryAffinity) Load(r io.Reader) (Model, error) {
	b, err := load(r, s.Name(), s.weights, false, nil)
	if err != nil {
		return nil, err
	}
	return &affinityModel{b, s}, nil
}
