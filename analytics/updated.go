package analytics

import (
	"time"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// EventUpdated says that the analytics of a course have changed, by what has happened in
// it or in its reviews: at most once in UpdateEvery for a course, when that is over. Views
// and searches alone tell of nothing. Its subject is "course/" and the course's id, its
// payload an [Updated].
//
// It has no numbers: it is for who may read them, which are the course's teacher, producers
// linked to them and admins, and who delivers it asks who they are then.
const EventUpdated = "analytics.updated"

// UpdateEvery is how long changes of a course are gathered before EventUpdated.
const UpdateEvery = 5 * time.Second

// Updated is the payload of EventUpdated.
type Updated struct {
	Course  courses.CourseID `json:"course"`
	Slug    string           `json:"slug"`
	Teacher core.UserID      `json:"teacher"`
	At      time.Time        `json:"at"` // the changes are of before
}
