package core

import (
	"context"
	"sync"
	"time"
)

// Limit is how often something may happen: Count times in Per, at once or spread.
type Limit struct {
	Key   string // what is counted: "login/account/anna"
	Count int    // at least 1
	Per   time.Duration
}

// Limiter counts events against limits. Implementations are safe for concurrent
// use.
type Limiter interface {
	// Take counts one event against every limit and returns 0; where one of them is
	// exhausted it counts against none and returns how long to wait.
	Take(ctx context.Context, limits ...Limit) (wait time.Duration, err error)
	// Return takes back one event that Take has counted.
	Return(ctx context.Context, limits ...Limit) error
}

// maxLimits bounds the keys that a MemoryLimiter keeps, at about 150 bytes each.
const maxLimits = 100_000

// MemoryLimiter is the Limiter of one process: a generic cell rate algorithm, one
// time a key. It keeps at most 100,000 keys; where more are in use at once, some
// are forgotten. (GCRA: ITU-T I.371, annex A.)
type MemoryLimiter struct {
	clock Clock
	mu    sync.Mutex
	// full is when a key has its whole Count again.
	full map[string]time.Time
}

// NewMemoryLimiter returns a Limiter by that clock.
func NewMemoryLimiter(clock Clock) *MemoryLimiter {
	return &MemoryLimiter{clock: clock, full: map[string]time.Time{}}
}

// Take implements Limiter.
func (m *MemoryLimiter) Take(_ context.Context, limits ...Limit) (time.Duration, error) {
	now := m.clock.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	var wait time.Duration
	for _, l := range limits {
		wait = max(wait, m.next(l, now).Sub(now)-l.Per)
	}
	if wait > 0 {
		return wait, nil
	}
	for _, l := range limits {
		m.makeRoom(now)
		m.full[l.Key] = m.next(l, now)
	}
	return 0, nil
}

// next returns when the key would be full again after one more event.
func (m *MemoryLimiter) next(l Limit, now time.Time) time.Time {
	full := m.full[l.Key]
	if full.Before(now) {
		full = now
	}
	return full.Add(l.Per / time.Duration(l.Count))
}

// Return implements Limiter.
func (m *MemoryLimiter) Return(_ context.Context, limits ...Limit) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range limits {
		if full, ok := m.full[l.Key]; ok {
			m.full[l.Key] = full.Add(-l.Per / time.Duration(l.Count))
		}
	}
	return nil
}

// Keys returns how many keys are kept.
func (m *MemoryLimiter) Keys() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.full)
}

// makeRoom forgets keys when there are too many: those that are full again, else
// a hundredth of all.
func (m *MemoryLimiter) makeRoom(now time.Time) {
	if len(m.full) < maxLimits {
		return
	}
	for key, full := range m.full {
		if full.Before(now) {
			delete(m.full, key)
		}
	}
	for key := range m.full {
		if len(m.full) < maxLimits-maxLimits/100 {
			return
		}
		delete(m.full, key)
	}
}
