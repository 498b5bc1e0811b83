package reviews

import (
	"context"
	"time"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// Moderator looks at what is about to be published. It is asked before a transaction is
// begun, and may take its time within ctx. Implementations are safe for concurrent use.
type Moderator interface {
	// Check says whether a text may be published at once. An error refuses the write.
	Check(ctx context.Context, d Draft) (Verdict, error)
}

// Draft is what somebody is about to say.
type Draft struct {
	Course  courses.CourseID
	User    core.UserID
	Review  ReviewID // the one that is edited, commented on or answered; 0 of a new one
	Comment bool     // it is a comment: Rating is 0
	Reply   bool     // it is the answer of the course's side: Rating is 0
	Rating  int
	Text    string
	At      time.Time
	// Recent are the author's latest reviews without that one, at most MaxRecent, the
	// newest first; none of a comment or a reply. Deleted ones are among them, with the time of
	// their end as CreatedAt and UpdatedAt.
	Recent []Review
}

// MaxRecent bounds Draft.Recent.
const MaxRecent = 50

// Verdict is what a Moderator says.
type Verdict struct {
	Hold   bool   // a review becomes pending; a comment or a reply is refused
	Reason string // why it is held: a code in lower case, such as "links"
}

// The reasons of the default Moderator.
const (
	HeldLinks    = "links"    // more links than Filter.MaxLinks
	HeldRepeated = "repeated" // the author said the same of another course
	HeldBurst    = "burst"    // more reviews in an hour than Filter.PerHour
	HeldWord     = "word"     // a word of Filter.Words
)

// HeldPolicy is why a review waits where all do: Config.PreModerate.
const HeldPolicy = "pre_moderation"
