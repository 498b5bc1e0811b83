package recommend

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// The weight of a category begins with 1, and grows by what each interaction with a course
// of it adds: that halves every HalfLife. It is never more than MaxWeight.
const (
	BaseWeight = 1.0
	MaxWeight  = 10.0
	HalfLife   = 90 * 24 * time.Hour
)

// growth is what an interaction of a kind adds to the weight of its category.
var growth = [...]float64{View: 0.1, Bookmark: 0.3, Start: 0.5, Complete: 1}

// Growth is kept by forward decay (Cormode, Shkapenyuk, Srivastava, Xu, "Forward Decay: A
// Practical Time Decay Model for Streaming Systems", ICDE 2009): as it counts at the
// landmark, which is one sum whatever the order of the interactions, and which nobody
// rewrites as time goes by. Doubles have room for more than two centuries of it.
var landmark = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// scale returns how much more counts what happens at a time than at the landmark.
func scale(at time.Time) float64 { return math.Exp2(at.Sub(landmark).Seconds() / HalfLife.Seconds()) }

// grown returns what a record adds to the weight of its category.
func (r Record) grown() Growth {
	by := scale(r.At)
	return Growth{User: r.User, Category: r.Category, By: growth[r.Kind] * by, Most: (MaxWeight - BaseWeight) * by}
}

// weight returns the weight of a category now.
func (g Growth) weight(now time.Time) float64 { return min(MaxWeight, BaseWeight+g.By/scale(now)) }

// summed returns the growth of records by category; back takes it away.
func summed(list []Record, back bool) []Growth {
	of := map[[2]int64]*Growth{}
	var out []*Growth
	for _, r := range list {
		if r.Category == 0 {
			continue
		}
		g := r.grown()
		if back {
			g.By = -g.By
		}
		key := [2]int64{int64(r.User), int64(r.Category)}
		if sum := of[key]; sum != nil {
			sum.By, sum.Most = sum.By+g.By, max(sum.Most, g.Most)
			continue
		}
		of[key] = &g
		out = append(out, &g)
	}
	sums := make([]Growth, len(out))
	for i, g := range out {
		sums[i] = *g
	}
	return sums
}

// key is what models know a category by: its slug may change.
func key(id courses.CategoryID) string { return strconv.FormatInt(int64(id), 10) }

// CategoryKey returns what an Item of the platform's catalogue names a category by.
func CategoryKey(id courses.CategoryID) string { return key(id) }

// categoryOf returns the category of a key, and 0 of none.
func categoryOf(key string) courses.CategoryID {
	id, err := strconv.ParseInt(key, 10, 64)
	if err != nil {
		return 0
	}
	return courses.CategoryID(id)
}

// Preference is the weight of a category for a learner.
type Preference struct {
	Category courses.Category
	Weight   float64 // BaseWeight to MaxWeight, as it is now
}

// Preferences returns the weights of the categories that the actor has met, the greatest
// first; all others have BaseWeight. Two statements.
func (s *Service) Preferences(ctx context.Context, by core.Actor) ([]Preference, error) {
	ctx = core.WithOperation(ctx, "recommend.Preferences")
	if err := signedIn(by); err != nil {
		return nil, err
	}
	if s.c.Store == nil {
		return nil, ErrNotSetUp
	}
	growths, err := s.c.Store.Growths(ctx, by.UserID, MaxPreference)
	if err != nil {
		return nil, err
	}
	ids := make([]courses.CategoryID, len(growths))
	for i, g := range growths {
		ids[i] = g.Category
	}
	named, err := s.c.Courses.CategoriesByID(ctx, ids)
	if err != nil {
		return nil, err
	}
	now := s.c.Clock.Now()
	list := make([]Preference, 0, len(growths))
	for _, g := range growths {
		if c, there := named[g.Category]; there {
			list = append(list, Preference{c, g.weight(now)})
		}
	}
	slices.SortStableFunc(list, func(a, b Preference) int {
		return cmp.Or(cmp.Compare(b.Weight, a.Weight), cmp.Compare(a.Category.Slug, b.Category.Slug))
	})
	return list, nil
}

// ResetPreferences makes the weights of all categories BaseWeight for the actor. What they
// did stays known; it adds to no weight any more.
func (s *Service) ResetPreferences(ctx context.Context, by core.Actor) error {
	ctx = core.WithOperation(ctx, "recommend.ResetPreferences")
	if err := signedIn(by); err != nil {
		return err
	}
	if s.c.Store == nil {
		return ErrNotSetUp
	}
	return s.c.Store.Update(ctx, func(ctx context.Context, tx Tx) error { return tx.ResetPreferences(ctx, by.UserID) })
}
