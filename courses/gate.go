package courses

import "context"

// Why a lesson is closed, for machines.
const (
	ReasonEnrollment    = "enrollment_required"
	ReasonPayment       = "payment_required"      // the course costs something, and the visitor has no right to it
	ReasonPrerequisites = "prerequisite_required" // courses that must be completed first: see Course.Prerequisites
	ReasonNotYet        = "not_yet_open"          // it opens at Lesson.Opens
)

// Visit is somebody before the lessons of a course.
type Visit struct {
	Learner Learner // with the Right; of a visitor who is not signed in its User is 0
	Course  *Course // without Tags, where a lesson is completed or resumed
}

// Gate decides which lessons are open to a visitor. It is asked before a transaction
// is begun, about lessons of one course at a time, and not at all about free previews,
// nor for those who may edit the course. It must be safe for concurrent use.
type Gate interface {
	// Closed returns, for each of the lessons in order, the reasons for which it is
	// closed: codes in lower case, or none for an open one. It needs a fixed number of
	// statements, however many lessons there are.
	Closed(ctx context.Context, v Visit, lessons []Lesson) ([][]string, error)
}
