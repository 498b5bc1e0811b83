package recommend

import (
	"math"
	"slices"
	"sync/atomic"

	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/courses/fulltext"
)

// content compares courses by what the catalogue says of them: the words of the title,
// concepts and categories, level and language, each weighted by how rare it is.
type content struct {
	features map[string]uint32
	having   [][]uint32                 // of each feature, the courses that have it, in order
	of       [][]uint32                 // of each course, its features, sorted
	weight   []float64                  // of each feature
	norm     []float64                  // of each course
	near     []atomic.Pointer[[]ranked] // of each course, the most similar; nil where they have to be found
}

func newContent() content { return content{features: map[string]uint32{}} }

func (c *content) grow() {
	c.of, c.norm = append(c.of, nil), append(c.norm, 0)
	c.near = growPointers(c.near)
}

// growPointers returns pointers with room for one more.
func growPointers[T any](p []atomic.Pointer[T]) []atomic.Pointer[T] {
	if len(p) < cap(p) {
		return p[:len(p)+1]
	}
	grown := make([]atomic.Pointer[T], len(p)+1, 2*len(p)+16)
	for i := range p {
		grown[i].Store(p[i].Load())
	}
	return grown
}

// words returns the names of an item's features, sorted, at most MaxFeatures.
func words(item Item) []string {
	var names []string
	for _, term := range fulltext.Query(item.Title) {
		names = append(names, "w:"+term)
	}
	for _, concept := range item.Concepts {
		names = append(names, "k:"+concept)
	}
	for _, category := range item.Categories {
		names = append(names, "c:"+category)
	}
	if item.Level != "" {
		names = append(names, "l:"+item.Level)
	}
	if item.Language != "" {
		names = append(names, "t:"+item.Language)
	}
	names = names[:min(len(names), MaxFeatures)]
	slices.Sort(names)
	return slices.Compact(names)
}

// set replaces the features of a course. weigh must follow.
func (c *content) set(i uint32, item Item) {
	for _, f := range c.of[i] {
		at, _ := slices.BinarySearch(c.having[f], i)
		c.having[f] = slices.Delete(c.having[f], at, at+1)
	}
	of := make([]uint32, 0, 16)
	for _, name := range words(item) {
		f, ok := c.features[name]
		if !ok {
			f = uint32(len(c.having))
			c.features[name], c.having = f, append(c.having, nil)
		}
		of = append(of, f)
	}
	c.of[i] = slices.Clip(of)
	for _, f := range c.of[i] {
		at, _ := slices.BinarySearch(c.having[f], i)
		c.having[f] = slices.Insert(c.having[f], at, i)
	}
}

// weigh computes the weights of features and the lengths of courses anew, and forgets who is
// similar to whom.
func (c *content) weigh() {
	n := 0
	for _, of := range c.of {
		if len(of) > 0 {
			n++
		}
	}
	c.weight = slices.Grow(c.weight[:0], len(c.having))[:len(c.having)]
	for f, having := range c.having {
		c.weight[f] = 0
		if len(having) > 0 {
			c.weight[f] = math.Log(float64(n+1) / float64(len(having)))
		}
	}
	for i, of := range c.of {
		sum := 0.0
		for _, f := range of {
			sum += c.weight[f] * c.weight[f]
		}
		c.norm[i] = math.Sqrt(sum)
		c.near[i].Store(nil)
	}
}

// addTo adds share times the course's direction to a profile, a sum for each feature.
func (c *content) addTo(profile []float64, i uint32, share float64) {
	if c.norm[i] == 0 {
		return
	}
	for _, f := range c.of[i] {
		profile[f] += share * c.weight[f] / c.norm[i]
	}
}

// clear takes what addTo left of a course out of a profile.
func (c *content) clear(profile []float64, i uint32) {
	for _, f := range c.of[i] {
		profile[f] = 0
	}
}

// similarity returns how far a course points where the profile does: the share
// that addTo was given for a course just like it, 0 for one that has nothing of it.
func (c *content) similarity(profile []float64, i uint32) float64 {
	if c.norm[i] == 0 {
		return 0
	}
	sum := 0.0
	for _, f := range c.of[i] {
		sum += profile[f] * c.weight[f]
	}
	return sum / c.norm[i]
}

// How similar courses are found: similarKept of them, by features that at most one course in
// commonFeature has, which spares the long lists of those that say little.
const (
	similarKept   = 30
	commonFeature = 20
)

// similar returns the courses most similar to a course by what they share of rare features, best
// first, equal ones by the lower course.
func (c *content) similar(i uint32, ids []courses.CourseID) []ranked {
	if list := c.near[i].Load(); list != nil {
		return *list
	}
	sums := map[uint32]float64{}
	for _, f := range c.of[i] {
		if len(c.having[f]) <= max(similarKept, len(c.of)/commonFeature) {
			for _, j := range c.having[f] {
				sums[j] += c.weight[f] * c.weight[f]
			}
		}
	}
	delete(sums, i)
	all := make([]ranked, 0, len(sums))
	for j, sum := range sums {
		all = append(all, ranked{score: sum / (c.norm[i] * c.norm[j]), index: j})
	}
	list := slices.Clone(topRanked(all, similarKept, ids))
	c.near[i].Store(&list)
	return list
}

// between returns the similarity of two courses, 0 to 1.
func (c *content) between(i, j uint32) float64 {
	sum := 0.0
	for _, f := range c.of[i] {
		if slices.Contains(c.of[j], f) {
			sum += c.weight[f] * c.weight[f]
		}
	}
	if sum == 0 {
		return 0
	}
	return sum / (c.norm[i] * c.norm[j])
}
