package reviews

import (
	"context"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// Difference is a course whose numbers were not those of its reviews.
type Difference struct {
	Course  courses.CourseID
	Stored  Stats
	Counted Stats
}

// maxDifferences bounds what RecomputeAggregates returns. All are repaired.
const maxDifferences = 1000

// RecomputeAggregates counts the ratings of every course anew, a course at a time under
// its lock, and returns those whose numbers differ, the first 1,000 by id. With repair
// their numbers are written as they were counted, and emitted as by any other change.
// Only an admin may. It reads every published review: it is for periodic work and for
// operators. Interrupted, it is called again.
func (s *Service) RecomputeAggregates(ctx context.Context, by core.Actor, repair bool) ([]Difference, error) {
	ctx = core.WithOperation(ctx, "reviews.RecomputeAggregates")
	if err := adminsOnly(by); err != nil {
		return nil, err
	}
	const block = 200
	var found []Difference
	t := s.trail(by)
	for after := courses.CourseID(0); ; {
		ids, err := s.c.Store.RatedCourses(ctx, after, block)
		if err != nil {
			return found, err
		}
		for _, id := range ids {
			d, err := s.recompute(ctx, t, id, repair)
			if err != nil {
				return found, err
			}
			if d != nil && len(found) < maxDifferences {
				found = append(found, *d)
			}
			after = id
		}
		if len(ids) < block {
			return found, nil
		}
	}
}

// recompute does it for a course, and returns nil where its numbers are right.
func (s *Service) recompute(ctx context.Context, t trail, id courses.CourseID, repair bool) (found *Difference, err error) {
	err = s.c.Store.Update(ctx, func(ctx context.Context, tx Tx) error {
		found = nil
		stored, err := tx.StatsForUpdate(ctx, id)
		if err != nil {
			return err
		}
		counted, err := tx.CountRatings(ctx, id)
		if err != nil || counted == stored {
			return err
		}
		found = &Difference{Course: id, Stored: stored, Counted: counted}
		if !repair {
			return nil
		}
		return t.rated(ctx, tx, counted)
	})
	return found, err
}
