package transfer

import (
	"hash/maphash"
	"strconv"

	"github.com/ustat/ustat/core"
)

const (
	filterWords = 1 << 20 // 8 MiB
	filterTests = 4       // bits of a key
	maxRepeated = 1 << 20 // suspects; some 40 MiB of them
)

// keySet finds the keys that stand in a file twice, in memory that does not grow
// with the file, by two passes over it. The first notes each key in a Bloom filter;
// a key that the filter may have had before is a suspect. The second follows the
// suspects alone, by 128-bit hashes, so that no two keys are taken for one. Of ten
// million keys in a file the filter suspects some 100,000 wrongly, which costs
// their memory and no more.
type keySet struct {
	seeds    [2]maphash.Seed
	filter   []uint64
	checking bool               // the first pass
	suspects map[[2]uint64]bool // whether the second pass has had it
}

func newKeySet() *keySet {
	return &keySet{
		seeds:  [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
		filter: make([]uint64, filterWords),
	}
}

// begin forgets all keys and begins the first pass over a file.
func (s *keySet) begin() {
	clear(s.filter)
	s.checking, s.suspects = true, map[[2]uint64]bool{}
}

// checked ends the first pass. The error is for a file with too many suspects.
func (s *keySet) checked() error {
	s.checking = false
	if len(s.suspects) > maxRepeated {
		return core.Invalid("file", "max", strconv.Itoa(maxRepeated), "", "too many keys stand in it twice, or it is longer than ten million rows: part it")
	}
	return nil
}

// addKey adds key and reports whether it was new. In the first pass every key is.
func addKey[K comparable](s *keySet, key K) bool {
	h := maphash.Comparable(s.seeds[0], key)
	if s.checking && !s.filtered(h) || !s.checking && len(s.suspects) == 0 {
		return true
	}
	suspect := [2]uint64{h, maphash.Comparable(s.seeds[1], key)}
	if s.checking {
		if len(s.suspects) <= maxRepeated {
			s.suspects[suspect] = false
		}
		return true
	}
	had, there := s.suspects[suspect]
	if there {
		s.suspects[suspect] = true
	}
	return !had
}

// filtered adds a hash to the filter and reports whether it may have been there.
func (s *keySet) filtered(h uint64) bool {
	there, bits := true, uint64(len(s.filter))*64
	step := h>>32 | 1 // odd, so that the places differ
	for range filterTests {
		word, bit := &s.filter[h%bits/64], uint64(1)<<(h%64)
		there = there && *word&bit != 0
		*word |= bit
		h += step
	}
	return there
}
