// Package reviews keeps what learners say of courses: ratings with a text, the numbers
// that are made of them, the answers of teachers and of others, and their moderation.
//
// [Service] holds the rules, [Store] is what it needs of a storage. There is at most one
// review a user and course. Only those that are published are counted, in the very
// transaction that publishes, changes, hides or removes them: the [Stats] of a course
// are never behind.
package reviews

import (
	"time"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// The ids of reviews. They grant nothing.
type (
	ReviewID  int64
	CommentID int64
)

// Status is whether a review is shown.
type Status string

// The statuses. Everybody who sees the course sees its published reviews; the others
// are seen by their author and by admins.
const (
	Pending   Status = "pending"   // waits for an admin
	Published Status = "published" // shown and counted
	Hidden    Status = "hidden"    // was shown until an admin took it away
	Rejected  Status = "rejected"  // an admin would not publish it
)

// Statuses lists every status.
var Statuses = [...]Status{Pending, Published, Hidden, Rejected}

// The bounds of ratings.
const (
	MinRating = 1
	MaxRating = 5
)

// The bounds of texts, in characters.
const (
	MaxText    = 10_000 // of a review or a reply
	MaxComment = 2_000
	MaxReason  = 2_000 // of a moderator, or of a report of abuse
)

// Review is what a user says of a course. Its text is plain text: it is never HTML.
type Review struct {
	ID        ReviewID
	Course    courses.CourseID
	Slug      string // of the course, where the actor sees that; a Store leaves it empty, the Service fills it
	User      core.UserID
	Author    Person // a Store leaves it empty, the Service fills it
	Rating    int    // MinRating to MaxRating
	Text      string // may be empty: a rating alone
	Status    Status
	Reason    string // why it is not published: a code of a Moderator, or an admin's words; for its author and admins
	Trust     int    // 0 to 100, see Trust; of when it was written or last changed; 0 for all but admins
	Helpful   int    // votes
	Voted     bool   // the actor has voted; a Store leaves it false, and so do lists of more than one course
	Comments  int
	Reports   int   // of abuse, that no admin has looked at; 0 for all but admins
	Reply     Reply // of who teaches the course; zero without one
	CreatedAt time.Time
	UpdatedAt time.Time // when rating or text were last changed
	Version   int64     // from 1, one more with each change; votes, comments and reports are none
}

// Person is a user as reviews show them.
type Person struct {
	ID       core.UserID
	Username string
	Name     string
}

// Reply is the answer of a course's side to a review.
type Reply struct {
	Text string
	By   Person // a Store fills the ID alone
	At   time.Time
}

// Stats are the numbers of a course's published reviews.
type Stats struct {
	Course    courses.CourseID
	Count     int64
	Sum       int64    // of the ratings
	Histogram [5]int64 // how many gave 1, 2, 3, 4 and 5
	Version   int64    // one more with each change; 0 of a course that never had a review
}

// Average returns the mean rating, 1 to 5, and false when there is none.
func (s Stats) Average() (float64, bool) {
	if s.Count == 0 {
		return 0, false
	}
	return float64(s.Sum) / float64(s.Count), true
}

// count adds a rating, or with by = -1 takes it back.
func (s *Stats) count(rating int, by int64) {
	s.Count += by
	s.Sum += by * int64(rating)
	s.Histogram[rating-MinRating] += by
}

// Comment is what anybody says below a review. It is plain text.
type Comment struct {
	ID        CommentID
	Review    ReviewID
	User      core.UserID
	Author    Person // a Store leaves it empty
	Text      string
	CreatedAt time.Time
}

// AbuseReason is why a review is reported.
type AbuseReason string

// The reasons.
const (
	Spam      AbuseReason = "spam"
	Offensive AbuseReason = "offensive"
	OffTopic  AbuseReason = "off_topic"
	Fake      AbuseReason = "fake"
	Private   AbuseReason = "private" // it gives somebody's data away
	Other     AbuseReason = "other"
)

// AbuseReasons lists every reason.
var AbuseReasons = [...]AbuseReason{Spam, Offensive, OffTopic, Fake, Private, Other}

// Report says that a review is abusive. There is at most one a user and review.
type Report struct {
	Review  ReviewID
	User    core.UserID
	By      Person // a Store leaves it empty
	Reason  AbuseReason
	Note    string // in the reporter's words; may be empty
	At      time.Time
	Handled bool // an admin has decided since
}

// Action is what was done to a review.
type Action string

// The actions. Approve publishes a review of any other status, Hide takes one away that
// is published or pending, Reject refuses one that is pending.
const (
	Edit    Action = "edit"
	Delete  Action = "delete"
	Approve Action = "approve"
	Hide    Action = "hide"
	Reject  Action = "reject"
	Requeue Action = "requeue" // by as many reports of abuse as Config.ReportThreshold
)

// Revision is a review as it was before an action.
type Revision struct {
	ID     int64
	Review ReviewID
	Course courses.CourseID
	User   core.UserID // the review's author
	Action Action
	Rating int
	Text   string
	Status Status // before the action
	Reason string // of the action
	By     Person // who did it; a Store fills the ID alone
	At     time.Time
}

// Sort names an order of reviews. Ties are broken by id, the greatest first.
type Sort string

// The sorts.
const (
	Recent  Sort = "recent"  // by CreatedAt, the newest first; the default
	Helpful Sort = "helpful" // by votes, the most first
	Rating  Sort = "rating"  // by Rating, the best first
)

// Sorts lists every sort.
var Sorts = [...]Sort{Recent, Helpful, Rating}

// Why somebody may not review a course, for machines.
const (
	ReasonSignedOut   = "signed_out"
	ReasonNotEnrolled = "not_enrolled"     // they have no seat, or have one no longer
	ReasonOwnCourse   = "own_course"       // they teach it
	ReasonLinked      = "linked_course"    // they are a producer of who teaches it
	ReasonProgress    = "progress"         // less than Config.MinPercent
	ReasonReviewed    = "already_reviewed" // Eligibility.Review is theirs
)

// Eligibility says whether somebody may review a course.
type Eligibility struct {
	Allowed bool
	Reasons []string // all that is in the way; none when Allowed
	Review  ReviewID // theirs, where they have one
	// Percent is how far they are, and MinPercent how far they must be.
	Percent, MinPercent int
}
