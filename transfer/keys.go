package transfer

import "hash/maphash"

// keySet holds which keys a file has had, as 64-bit hashes under a random seed:
// among a million keys two are taken for one with a chance of 1 in 37 million.
type keySet struct {
	seed maphash.Seed
	has  map[uint64]struct{}
}

func newKeySet() *keySet { return &keySet{maphash.MakeSeed(), map[uint64]struct{}{}} }

// addKey adds key and reports whether it was new.
func addKey[K comparable](s *keySet, key K) bool {
	h := maphash.Comparable(s.seed, key)
	if _, ok := s.has[h]; ok {
		return false
	}
	s.has[h] = struct{}{}
	return true
}
