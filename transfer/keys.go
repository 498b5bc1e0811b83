package transfer

import (
	"hash/maphash"
	"math/bits"
)

// keySet holds which keys a file has had, as 64-bit hashes under a random seed:
// among a million keys two are taken for one with a chance of 1 in 37 million. It
// is the one thing in memory that grows with a file, hence not a map, which takes
// more than twice as much: open addressing, in shards that grow by themselves, so that
// growing copies little.
type keySet struct {
	seed   maphash.Seed
	shards [256]shard
}

// shard holds the hashes with one high byte; 0 is a free slot.
type shard struct {
	slots []uint64
	used  int
}

func newKeySet() *keySet { return &keySet{seed: maphash.MakeSeed()} }

// addKey adds key and reports whether it was new.
func addKey[K comparable](s *keySet, key K) bool {
	h := max(1, maphash.Comparable(s.seed, key))
	return s.shards[h>>56].add(h)
}

func (s *shard) add(h uint64) bool {
	if (s.used+1)*4 > len(s.slots)*3 {
		s.grow()
	}
	slot := s.find(h)
	if *slot == h {
		return false
	}
	*slot = h
	s.used++
	return true
}

// find returns the slot of h, or the free one where it belongs.
func (s *shard) find(h uint64) *uint64 {
	place, _ := bits.Mul64(h<<8, uint64(len(s.slots))) // below the shard's byte
	for i := int(place); ; i++ {
		if i == len(s.slots) {
			i = 0
		}
		if slot := &s.slots[i]; *slot == h || *slot == 0 {
			return slot
		}
	}
}

func (s *shard) grow() {
	old := s.slots
	s.slots = make([]uint64, max(8, len(old)*3/2))
	for _, h := range old {
		if h != 0 {
			*s.find(h) = h
		}
	}
}
