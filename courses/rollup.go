package courses

import (
	"context"

	"github.com/ustat/ustat/core"
)

// Totals are numbers of a course.
type Totals struct {
	Students    int64 // who hold a seat
	Completions int64 // of them, who are done
	Reviews     int64 // published
	RatingSum   int64 // of these
}

// Average returns the mean rating, 1 to 5, and false when there is none.
func (t Totals) Average() (float64, bool) {
	return Stats{ReviewCount: t.Reviews, RatingSum: t.RatingSum}.AverageRating()
}

// Rollup is what was counted of a course when the rollups were refreshed, and what it was
// listed with at that instant. Where they differ something has written beside the
// platform, or a fault has.
type Rollup struct {
	Course  CourseID
	Counted Totals
	Listed  Totals
}

// RollupReader is the part of Reader about rollups.
type RollupReader interface {
	// Rollups returns up to limit rollups of courses with an id greater than after, by id:
	// of all courses as they were last refreshed, or with wrong only those whose Counted is
	// not their Listed.
	Rollups(ctx context.Context, after CourseID, limit int, wrong bool) ([]Rollup, error)
}

// RollupWriter is the part of Tx about rollups.
type RollupWriter interface {
	// RefreshRollups counts students, completions and published reviews of courses behind
	// after, in the order of ids, and puts the rollups in the place of those before: of all,
	// or of a block where more would keep others waiting. It returns the last course that it
	// has counted, and 0 when none is behind it. What is counted of a course and what it is
	// listed with are of one instant. Where the reviews of a course are kept elsewhere it is
	// taken to have those that it is listed with.
	RefreshRollups(ctx context.Context, after CourseID) (last CourseID, err error)
}

// RefreshRollups counts the students, completions and reviews of all courses anew and
// keeps that beside what they are listed with. It changes nothing that courses are listed
// with, and reads all enrollments and reviews: it is for periodic work.
func (s *Service) RefreshRollups(ctx context.Context) error {
	ctx = core.WithOperation(ctx, "courses.RefreshRollups")
	for after := CourseID(0); ; {
		err := s.store.Update(ctx, func(ctx context.Context, tx Tx) (err error) {
			after, err = tx.RefreshRollups(ctx, after)
			return err
		})
		if err != nil || after == 0 {
			return err
		}
	}
}

// maxWrong bounds what WrongStats returns.
const maxWrong = 1000

// WrongStats returns the courses that were listed with other numbers than they had when
// the rollups were last refreshed, the first 1,000 by id. Reconcile and
// reviews.Service.RecomputeAggregates repair them. Only an admin may.
func (s *Service) WrongStats(ctx context.Context, by core.Actor) ([]Rollup, error) {
	if err := by.RequireAdmin(); err != nil {
		return nil, err
	}
	return s.store.Rollups(core.WithOperation(ctx, "courses.WrongStats"), 0, maxWrong, true)
}
