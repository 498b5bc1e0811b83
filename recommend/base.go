package recommend

import (
	"context"
	"sync"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// Weights are what kinds of interactions count. The zero value is the usual View 0.1, Bookmark 0.3,
// Start 0.5, Complete 1.0.
type Weights struct{ View, Bookmark, Start, Complete float64 }

// byKind returns the weights by kind.
func (w Weights) byKind() [Complete + 1]float64 {
	if w == (Weights{}) {
		w = Weights{View: 0.1, Bookmark: 0.3, Start: 0.5, Complete: 1}
	}
	return [...]float64{View: w.View, Bookmark: w.Bookmark, Start: w.Start, Complete: w.Complete}
}

// base is what every model here keeps: the courses, what each learner did, how popular
// courses are and, where the strategy asks for them, the pairs.
type base struct {
	// updates is held by an update before mu, and by Save: while it is taken no writer waits at mu, where
	// one would hold up the requests behind it.
	updates   sync.Mutex
	mu        sync.RWMutex // held to read by requests, to write by updates
	weights   [Complete + 1]float64
	units     [Complete + 1]uint32
	catalogue catalogue
	content   content
	popular   popular
	learners  ledger
	pairs     *pairTable // nil where the strategy has none
	pool      sync.Pool  // of *scratch
}

func newBase(weights [Complete + 1]float64) *base {
	b := &base{weights: weights, catalogue: newCatalogue(), content: newContent(), learners: ledger{}}
	b.units = newGains(pairOptions{}, weights).kind
	return b
}

// lock begins an update, and returns what ends it.
func (b *base) lock() (unlock func()) {
	b.updates.Lock()
	b.mu.Lock()
	return func() {
		b.mu.Unlock()
		b.updates.Unlock()
	}
}

// number returns the number of a course and gives it room in every part.
func (b *base) number(id courses.CourseID) (uint32, error) {
	before := b.catalogue.len()
	i, err := b.catalogue.number(id)
	if err == nil && b.catalogue.len() > before {
		b.content.grow()
		b.popular.grow()
		if b.pairs != nil {
			b.pairs.grow()
		}
	}
	return i, err
}

// read fills a base from a source, and returns all histories for counting.
func (b *base) read(ctx context.Context, src Source, report func(Progress)) (histories, error) {
	if err := b.readItems(ctx, src); err != nil {
		return nil, err
	}
	all, users, err := b.readHistories(ctx, src, report)
	if err != nil {
		return nil, err
	}
	for l, user := range users {
		b.learners[user] = all[l]
		b.count(all[l])
	}
	return all, nil
}

func (b *base) readItems(ctx context.Context, src Source) error {
	for item, err := range src.Items(ctx) {
		if err != nil {
			return err
		}
		if err := b.putItem(item); err != nil {
			return err
		}
	}
	b.content.weigh()
	return nil
}

// putItem keeps what is known of a course. The content is to be weighed afterwards.
func (b *base) putItem(item Item) error {
	i, err := b.number(item.ID)
	if err == nil {
		b.catalogue.put(i, item)
		b.content.set(i, item)
	}
	return err
}

// readHistories reads learner after learner; of one longer than MaxHistory the newest entries count.
func (b *base) readHistories(ctx context.Context, src Source, report func(Progress)) (histories, []core.UserID, error) {
	var all histories
	var room arena
	var users []core.UserID
	var current []entry // of the last of users
	end := func() {
		if len(users) > 0 {
			h := condense(current, b.catalogue.ids)
			all = append(all, room.keep(h[max(0, len(h)-MaxHistory):]))
			current = current[:0]
		}
	}
	read := 0
	for in, err := range src.Interactions(ctx) {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = in.checkUser()
		}
		if err != nil {
			return nil, nil, err
		}
		if last := len(users) - 1; last < 0 || users[last] != in.User {
			if last >= 0 && users[last] > in.User {
				return nil, nil, core.ErrInternal.Withf("the source yields learner %d after learner %d", in.User, users[last])
			}
			end()
			users = append(users, in.User)
		}
		i, err := b.number(in.Course)
		if err != nil {
			return nil, nil, err
		}
		current = append(current, newEntry(i, in.Kind, uint32(in.At.Unix())))
		if read++; read%100_000 == 0 {
			tell(report, "read", read, 0)
		}
	}
	end()
	return all, users, nil
}

// count adds a history to the popularity of its courses.
func (b *base) count(h []entry) {
	for _, e := range h {
		b.popular.add(e.course(), b.units[e.kind()], e.at, 1)
	}
}

func tell(report func(Progress), stage string, done, total int) {
	if report != nil {
		report(Progress{stage, done, total})
	}
}
