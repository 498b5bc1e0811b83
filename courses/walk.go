package courses

import "context"

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
}
