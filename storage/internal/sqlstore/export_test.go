package sqlstore

import (
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/reviews"
	"github.com/ustat/ustat/storage"
)

// ProfilesOf is profilesOf, for a look at its plan.
var ProfilesOf = profilesOf

// Numbered is numbered.
var Numbered = numbered

// ReviewsPage returns the query of a page of reviews of a backend, for a look at its plan.
func ReviewsPage(b *storage.Backend, q reviews.Query) (query string, args []any) {
	return b.Reviews.(*reviewsStore).db.reviewsPage(q)
}

// EnrollmentsWithin returns the query of a page of the walk over the enrollments of a
// course.
func EnrollmentsWithin(b *storage.Backend, after courses.EnrollmentPlace, limit int) (query string, args []any) {
	return b.Courses.(*coursesStore).db.enrollmentsWithin(after, limit)
}
