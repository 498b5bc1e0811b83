package transfer

import (
	"hash/maphash"
	"strconv"

	"github.com/ustat/ustat/courses"
)

// tree is the tree of categories, stored and of the file, by hashes of slugs, at
// some 100 bytes a category.
type tree struct {
	seed  maphash.Seed
	nodes map[uint64]*node
}

type node struct {
	proposed, kept       uint64 // parents: of the file's row and of the stored one; 0 is the top
	inFile, there, cycle bool
	refused, deep        bool
	visit                int // the walk that has been here, or done
	id                   courses.CategoryID
}

const done = -1

func newTree() *tree { return &tree{maphash.MakeSeed(), map[uint64]*node{}} }

func (t *tree) hash(slug string) uint64 {
	if slug == "" {
		return 0
	}
	return max(1, maphash.String(t.seed, slug))
}

func (t *tree) at(slug string) *node {
	h := t.hash(slug)
	n := t.nodes[h]
	if n == nil {
		n = new(node)
		t.nodes[h] = n
	}
	return n
}

// propose adds a row of the file; a later one of the same slug does not count.
func (t *tree) propose(slug, parent string) {
	n := t.at(slug)
	if n.inFile {
		return
	}
	n.inFile, n.proposed = true, t.hash(parent)
}

func (t *tree) stored(slug, parent string, id courses.CategoryID) {
	n := t.at(slug)
	n.there, n.kept, n.id = true, t.hash(parent), id
}

func (t *tree) give(slug string, id courses.CategoryID) { t.at(slug).id = id }

// id returns a category's id, and 0 for the top and for one not written yet.
func (t *tree) id(slug string) courses.CategoryID {
	if n := t.nodes[t.hash(slug)]; n != nil {
		return n.id
	}
	return 0
}

// refusal returns why a row may not be imported, or "".
func (t *tree) refusal(slug, parent string) string {
	n := t.nodes[t.hash(slug)]
	switch {
	case n != nil && n.inFile && !n.refused:
		return ""
	case n != nil && n.deep:
		return "it, or a category below it, would be deeper than " + strconv.Itoa(courses.MaxDepth)
	case n != nil && n.cycle:
		return quote(parent) + " is below this category: a tree has no cycles"
	}
	return "there is no category " + quote(parent) + ", here or stored"
}

// judge refuses the rows whose parent is unknown, that are on a cycle, or by which a
// category would be too deep. A refused row of a stored category leaves it where it
// is, which may make another cycle: so it looks until nothing is found.
func (t *tree) judge() {
	for found := true; found; {
		found = false
		for _, n := range t.nodes {
			n.visit = 0
		}
		walk := 0
		for h := range t.nodes {
			walk++
			found = t.walk(h, walk) || found
		}
		found = found || t.bound()
	}
}

// bound refuses the rows by which a category would be too deep, once there are no
// cycles, and reports whether it did. What is stored too deep stays.
func (t *tree) bound() bool {
	var guilty []*node
	for h, n := range t.nodes {
		if !n.exists() {
			continue
		}
		depth, row := 0, (*node)(nil) // the nearest row on the way up that puts a category there
		for at := n; at != nil; at = t.nodes[h] {
			if row == nil && at.placed() {
				row = at
			}
			if depth++; depth > courses.MaxDepth && row != nil {
				guilty = append(guilty, row)
				break
			}
			if h = at.parent(); h == 0 {
				break
			}
		}
	}
	for _, n := range guilty {
		n.refused, n.deep = true, true
	}
	return len(guilty) > 0
}

// placed reports whether a row of the file gives the category another parent than it
// has.
func (n *node) placed() bool {
	return n.inFile && !n.refused && (!n.there || n.proposed != n.kept)
}

// walk goes up from a node, refuses what it finds and reports whether it did.
func (t *tree) walk(h uint64, walk int) bool {
	var path []*node
	for h != 0 {
		n := t.nodes[h]
		if n == nil || !n.exists() {
			return refuseLast(path)
		}
		if n.visit == done {
			break
		}
		if n.visit == walk {
			return refuseCycle(path, n)
		}
		n.visit = walk
		path = append(path, n)
		h = n.parent()
	}
	for _, n := range path {
		n.visit = done
	}
	return false
}

// exists reports whether the category will be there after the import.
func (n *node) exists() bool { return n.there || n.inFile && !n.refused }

func (n *node) parent() uint64 {
	if n.inFile && !n.refused {
		return n.proposed
	}
	return n.kept
}

// refuseLast refuses the row at the end of path, whose parent is unknown, and those
// before it that are left without a parent by that.
func refuseLast(path []*node) bool {
	var found bool
	for i := len(path) - 1; i >= 0; i-- {
		if n := path[i]; n.inFile && !n.refused {
			n.refused, found = true, true
		}
		if path[i].there {
			break
		}
	}
	return found
}

// refuseCycle refuses the rows of a cycle that ends at n.
func refuseCycle(path []*node, n *node) bool {
	var found bool
	for i := len(path) - 1; i >= 0; i-- {
		if p := path[i]; p.inFile && !p.refused {
			p.refused, p.cycle, found = true, true, true
		}
		if path[i] == n {
			break
		}
	}
	return found
}
