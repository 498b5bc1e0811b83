package analytics

import (
	"math"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/ustat/ustat/core"
)

// ShardStrategy says where keys are. Implementations are safe for concurrent use. One
// that answers otherwise than it did, about a key that has rows, makes these invisible:
// only a Directory can be changed while there is data.
type ShardStrategy interface {
	// Locate returns the name of the shard that holds a key.
	Locate(key Key) string
}

// Modulo puts a key on the shard of its remainder, which is simple and moves nearly all
// keys when a shard is added: 2/3 of them from two to three.
type Modulo struct{ shards []string }

// NewModulo returns the strategy over shards, in their order. It fails with
// core.ErrInvalid as NewJumpHash does.
func NewModulo(shards ...string) (*Modulo, error) {
	return &Modulo{slices.Clone(shards)}, checkNames(shards)
}

// Locate implements ShardStrategy.
func (m *Modulo) Locate(key Key) string {
	if key < 0 {
		key = -key
	}
	return m.shards[key%Key(len(m.shards))]
}

// JumpHash spreads keys evenly and moves as few as can be when a shard is added at the
// end: 1/3 of them from two to three (Lamping and Veach, 2014).
type JumpHash struct{ shards []string }

// NewJumpHash returns the strategy over shards, in their order. It fails with
// core.ErrInvalid where there is none, a name is empty or a name comes twice.
func NewJumpHash(shards ...string) (*JumpHash, error) {
	return &JumpHash{slices.Clone(shards)}, checkNames(shards)
}

// Locate implements ShardStrategy.
func (j *JumpHash) Locate(key Key) string {
	hash, at, next := key.hash(), int64(-1), int64(0)
	for next < int64(len(j.shards)) {
		at = next
		hash = hash*2862933555777941757 + 1
		next = int64(float64(at+1) * (float64(int64(1)<<31) / float64(hash>>33+1)))
	}
	return j.shards[at]
}

// Rendezvous gives each shard its share of the keys by weight, and moves only those that
// a shard which comes or goes wins or loses, whatever the order of the shards.
type Rendezvous struct {
	names   []string
	seeds   []uint64
	weights []float64
}

// NewRendezvous returns the strategy over the weights of shards by name. A weight is
// above 0 and at most 1,000,000. It fails with core.ErrInvalid as NewJumpHash does.
func NewRendezvous(weights map[string]float64) (*Rendezvous, error) {
	r := &Rendezvous{}
	for name := range weights {
		r.names = append(r.names, name)
	}
	slices.Sort(r.names)
	for _, name := range r.names {
		if w := weights[name]; !(w > 0 && w <= 1e6) {
			return nil, core.Invalid("weights["+name+"]", "range", "0-1000000", "", "a weight is above 0 and at most 1,000,000")
		}
		r.seeds = append(r.seeds, xxhash.Sum64String(name))
		r.weights = append(r.weights, weights[name])
	}
	return r, checkNames(r.names)
}

// Locate implements ShardStrategy.
func (r *Rendezvous) Locate(key Key) string {
	best, most := 0, math.Inf(-1)
	for i, seed := range r.seeds {
		// Uniform in (0, 1): the score -w/ln(u) is largest with probability w/Σw.
		uniform := (float64(Key(seed^key.hash()).hash()>>11) + 0.5) / (1 << 53)
		if score := -r.weights[i] / math.Log(uniform); score > most {
			best, most = i, score
		}
	}
	return r.names[best]
}

func checkNames(names []string) error {
	if len(names) == 0 {
		return core.Invalid("shards", "required", "", "", "at least one shard is needed")
	}
	for i, name := range names {
		if !validShardName(name) {
			return core.Invalid("shards", "name", "1-64", name, "the name of a shard is 1 to 64 of a-z, 0-9, _ and -")
		}
		if slices.Index(names, name) < i {
			return core.Invalid("shards", "unique", "", name, "each shard has a name of its own")
		}
	}
	return nil
}

func validShardName(name string) bool {
	if len(name) < 1 || len(name) > 64 {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}
