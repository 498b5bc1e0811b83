package courses

import (
	"context"
	"time"
)

// Place is where a module or a lesson stands among those of all courses. The order of
// places is that of the course's slug, the module's position and the lesson's.
type Place struct {
	Course         string // slug
	Module, Lesson int    // positions; the lesson's is 0 for a module
}

// Placed is a module or a lesson with the slug of its course.
type Placed[T any] struct {
	Course string
	Item   T
}

// EnrollmentPlace is where an enrollment stands among those of all courses: by the
// course's slug, EnrolledAt and id.
type EnrollmentPlace struct {
	Course string
	At     time.Time
	ID     EnrollmentID
}

// WalkReader reads everything in an order that does not depend on ids, a page by one
// key after another, for exports.
type WalkReader interface {
	// CoursesAfter returns up to limit courses of any status, whole, whose slug is
	// greater than after, by slug, by two statements.
	CoursesAfter(ctx context.Context, after string, limit int) ([]Course, error)
	// ModulesAfter returns up to limit modules of all courses behind a place, in order,
	// by one statement.
	ModulesAfter(ctx context.Context, after Place, limit int) ([]Placed[Module], error)
	// LessonsAfter returns up to limit lessons of all courses behind a place, in order,
	// by one statement.
	LessonsAfter(ctx context.Context, after Place, limit int) ([]Placed[Lesson], error)
	// EnrollmentsAfter returns up to limit enrollments of all courses behind a place, in
	// order, by at most two statements. Lessons and Done are not counted.
	EnrollmentsAfter(ctx context.Context, after EnrollmentPlace, limit int) ([]Enrollment, error)
	// ProgressOf calls visit with what enrollments have completed of the lessons that
	// their courses have, in the order of the enrollments' places and the lessons', one at
	// a time and without keeping them, by one statement. Visit must not use the store.
	ProgressOf(ctx context.Context, ids []EnrollmentID, visit func(at Place, p LessonProgress) error) error
}
