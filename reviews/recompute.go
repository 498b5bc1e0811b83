package reviews

import (
	"context"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// Difference is a course whose numbers were not those of its reviews, or that was listed
// with others.
type Difference struct {
	Course  courses.CourseID
	Stored  Stats
	Counted Stats
	Listed  *courses.ReviewNumbers // among the courses; nil where that is not what differs
}

// maxDifferences bounds what RecomputeAggregates returns. All are repaired.
const maxDifferences = 1000

// RecomputeAggregates counts the ratings of every course anew, a course at a time under
// its lock, and returns those whose numbers differ, or that are listed with others, the
// first 1,000 by id. With repair the numbers are written as they were counted, here and
// among the courses, and emitted as by any other change. Where the two are kept apart, a
// course whose event is still on its way is listed with others, and is told again.
//
// Only an admin may. It reads every published review: it is for periodic work and for
// operators. Interrupted, it is called again.
func (s *Service) RecomputeAggregates(ctx context.Context, by core.Actor, repair bool) ([]Difference, error) {
	ctx = core.WithOperation(ctx, "reviews.RecomputeAggregates")
	if err := by.RequireAdmin(); err != nil {
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
		more, err := s.recomputeAll(ctx, t, ids, repair)
		found = append(found, more[:min(len(more), maxDifferences-len(found))]...)
		if err != nil || len(ids) < block {
			return found, err
		}
		after = ids[len(ids)-1]
	}
}

// recomputeAll does it for a block of courses.
func (s *Service) recomputeAll(ctx context.Context, t trail, ids []courses.CourseID, repair bool) (found []Difference, err error) {
	right := make([]Stats, 0, len(ids)) // those that are stored as they were counted
	for _, id := range ids {
		d, err := s.recompute(ctx, t, id, func(d *Difference) bool { return d.Counted != d.Stored }, repair)
		switch {
		case err != nil:
			return found, err
		case d.Counted == d.Stored:
			right = append(right, d.Stored)
		default:
			found = append(found, d)
		}
	}
	// What is read now is at least as new as what was stored: a write meanwhile shows as a
	// greater version.
	listed, err := s.c.Courses.ReviewNumbers(ctx, ids)
	if err != nil {
		return found, err
	}
	for _, stats := range right {
		as, there := listed[stats.Course]
		want := courses.ReviewNumbers{Count: stats.Count, Sum: stats.Sum, Version: stats.Version}
		if !there || as == want || as.Version > want.Version {
			continue
		}
		d, err := s.recompute(ctx, t, stats.Course, func(d *Difference) bool { return d.Stored == stats }, repair)
		if err != nil {
			return found, err
		}
		d.Listed = &as
		found = append(found, d)
	}
	return found, nil
}

// recompute compares what is stored of a course with its reviews, under its lock, and
// where it is wrong by that writes what was counted.
func (s *Service) recompute(ctx context.Context, t trail, id courses.CourseID, isWrong func(d *Difference) bool, repair bool) (d Difference, err error) {
	err = s.c.Store.Update(ctx, func(ctx context.Context, tx Tx) (err error) {
		d = Difference{Course: id}
		if d.Stored, err = tx.StatsForUpdate(ctx, id); err != nil {
			return err
		}
		if d.Counted, err = tx.CountRatings(ctx, id); err != nil || !repair || !isWrong(&d) {
			return err
		}
		return t.rated(ctx, tx, d.Counted, courses.Heat{})
	})
	return d, err
}
