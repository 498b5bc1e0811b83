// Package made makes learners and courses for tests and benchmarks: seeded, of any size, never held
// in memory.
package made

import (
	"context"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"time"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/recommend"
)

// Platform is a recommend.Source. Popularity follows Zipf's law; half of the steps of a learner
// stay in the topic, most of them going on to one of the courses that follow the one before.
type Platform struct {
	Seed     uint64
	Courses  int
	Learners int
	Mean     int // courses of a learner, at least 2, geometrically distributed
}

// topics is how many there are; a course's is its number modulo topics.
const topics = 40

// Items implements recommend.Source.
func (p Platform) Items(context.Context) iter.Seq2[recommend.Item, error] {
	return func(yield func(recommend.Item, error) bool) {
		for i := 1; i <= p.Courses; i++ {
			if !yield(p.Item(i), nil) {
				return
			}
		}
	}
}

// Item returns a course, numbered from 1.
func (p Platform) Item(i int) recommend.Item {
	topic := i % topics
	return recommend.Item{
		ID: courses.CourseID(i), Title: fmt.Sprintf("topic%d lesson%d", topic, i%997), Language: "en",
		Categories: []string{fmt.Sprintf("broad%d", topic%8), fmt.Sprintf("narrow%d", topic)},
	}
}

// Interactions implements recommend.Source.
func (p Platform) Interactions(context.Context) iter.Seq2[recommend.Interaction, error] {
	return func(yield func(recommend.Interaction, error) bool) {
		for user := 1; user <= p.Learners; user++ {
			for _, in := range p.History(user) {
				if !yield(in, nil) {
					return
				}
			}
		}
	}
}

// History returns what a learner did, in order of time.
func (p Platform) History(user int) []recommend.Interaction {
	r := rand.New(rand.NewPCG(p.Seed, uint64(user)))
	n := 2
	for float64(n) < 20*float64(p.Mean) && r.Float64() > 1/float64(p.Mean-1) {
		n++
	}
	at := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(r.IntN(3*365*24)) * time.Hour)
	out := make([]recommend.Interaction, 0, n)
	taken := map[int]bool{}
	course := p.draw(r)
	for range n {
		for taken[course] {
			course = p.draw(r)
		}
		taken[course] = true
		out = append(out, recommend.Interaction{User: core.UserID(user), Course: courses.CourseID(course), Kind: recommend.Start, At: at})
		at = at.Add(time.Duration(1+r.IntN(400)) * time.Hour)
		if r.IntN(2) == 0 {
			course = 1 + (course-1+topics*(1+r.IntN(3)))%p.Courses
		} else {
			course = p.draw(r)
		}
	}
	return out
}

// draw returns a course by Zipf's law with the exponent 1, spread over the topics.
func (p Platform) draw(r *rand.Rand) int {
	rank := int(math.Exp(r.Float64()*math.Log(float64(p.Courses)+1))) - 1
	return 1 + min(rank, p.Courses-1)
}
