package reviews

import (
	"context"
	"time"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// Query asks for reviews. Conditions are joined by and; a zero field is none. An index
// serves: Course and Status with any sort; User by Recent; Status by Recent and by
// OldestFirst; nothing by Recent.
type Query struct {
	Course      courses.CourseID
	User        core.UserID
	Status      Status
	Sort        Sort // zero means Recent
	OldestFirst bool // with Recent: the other way round
	After       *Position
	Limit       int
}

// Position is where a page ended: the key of its last row in the order of its sort, and
// its id. The key of Recent is CreatedAt in Unix microseconds.
type Position struct {
	Key int64    `json:"k"`
	ID  ReviewID `json:"i"`
}

// PositionOf returns the place of a review in the order of a sort.
func PositionOf(r *Review, sort Sort) Position {
	switch sort {
	case Helpful:
		return Position{int64(r.Helpful), r.ID}
	case Rating:
		return Position{int64(r.Rating), r.ID}
	}
	return Position{r.CreatedAt.UnixMicro(), r.ID}
}

// Place is where a review stands among those of its course: by Status, CreatedAt and id.
// The zero Place is before all of them.
type Place struct {
	Status Status
	At     time.Time
	ID     ReviewID
}

// PlaceOf returns where a review stands.
func PlaceOf(r *Review) Place { return Place{r.Status, r.CreatedAt, r.ID} }

// Pair names the review of a user on a course.
type Pair struct {
	Course courses.CourseID
	User   core.UserID
}

// Reader is the reading half of Store. Inside a Tx it sees the transaction.
type Reader interface {
	// ReviewByID returns a review, or fails with ErrReviewNotFound.
	ReviewByID(ctx context.Context, id ReviewID) (Review, error)
	// ReviewOf returns the review of a user on a course, or fails with
	// ErrReviewNotFound.
	ReviewOf(ctx context.Context, course courses.CourseID, user core.UserID) (Review, error)
	// Reviews returns up to q.Limit reviews behind q.After, by one statement.
	Reviews(ctx context.Context, q Query) ([]Review, error)
	// ReviewsOf returns those of the reviews that exist, in any order, for imports: at
	// most 1,000 pairs, by one statement.
	ReviewsOf(ctx context.Context, pairs []Pair) ([]Review, error)
	// ReviewsAfter returns up to limit reviews of courses, in the order of ids, which names
	// each once; of one course by (Status, CreatedAt, ID). Of the first course it returns
	// those behind a place. It takes at most 1,000 ids and asks at most two statements.
	ReviewsAfter(ctx context.Context, ids []courses.CourseID, after Place, limit int) ([]Review, error)
	// StatsOf returns the numbers of those of the courses that have any, in any order,
	// by one statement.
	StatsOf(ctx context.Context, ids []courses.CourseID) ([]Stats, error)
	// RatedCourses returns up to limit ids greater than after, in order, of courses that
	// have reviews or numbers, without looking at every review.
	RatedCourses(ctx context.Context, after courses.CourseID, limit int) ([]courses.CourseID, error)
	// Voted returns, in any order, those of the reviews that a user has found helpful,
	// by one statement.
	Voted(ctx context.Context, user core.UserID, ids []ReviewID) ([]ReviewID, error)
	// CommentByID returns a comment, or fails with ErrCommentNotFound.
	CommentByID(ctx context.Context, id CommentID) (Comment, error)
	// Comments returns up to limit comments on a review with an id greater than after,
	// by id.
	Comments(ctx context.Context, review ReviewID, after CommentID, limit int) ([]Comment, error)
	// Reports returns up to limit reports on a review by users with an id greater than
	// after, by user.
	Reports(ctx context.Context, review ReviewID, after core.UserID, limit int) ([]Report, error)
	// History returns up to limit revisions of a review, also of one that is deleted,
	// with an id less than before (0: any), the newest first.
	History(ctx context.Context, review ReviewID, before int64, limit int) ([]Revision, error)
	// Deleted returns up to limit revisions with the Action Delete of reviews that a user
	// wrote, of one course or with 0 of any, the newest first.
	Deleted(ctx context.Context, user core.UserID, course courses.CourseID, limit int) ([]Revision, error)
}

// Tx is the only place where writes exist. An error that a comment names leaves it
// usable.
//
// Whoever changes which ratings of a course are counted locks its Stats first, then the
// review, so that they take turns; votes, comments and reports lock the review alone.
// Where a writing transaction has the database to itself, a lock is a plain read.
type Tx interface {
	core.Tx
	Reader
	// StatsForUpdate returns the numbers of a course, all 0 of one that has none, and
	// keeps others from them until the end of the transaction.
	StatsForUpdate(ctx context.Context, course courses.CourseID) (Stats, error)
	// UpdateStats writes the numbers of s.Course, whose lock its caller holds. A storage
	// that keeps the courses too shows them there in the same transaction, in all that
	// lists courses by rating, and adds heat to the course's trend, as
	// courses.CourseWriter.SetRating does.
	UpdateStats(ctx context.Context, s Stats, heat courses.Heat) error
	// LockStats does what StatsForUpdate does for courses, in the order of their ids.
	LockStats(ctx context.Context, ids []courses.CourseID) error
	// RecountStats counts the ratings of courses anew, whose locks its caller holds, and
	// writes the numbers that differ as UpdateStats does, with the next version. It
	// returns what it has written, by id. The number of its statements depends on the
	// courses in blocks.
	RecountStats(ctx context.Context, ids []courses.CourseID) ([]Stats, error)
	// CountRatings returns what the numbers of a course must be, from its reviews; the
	// version is the stored one. It reads all of them.
	CountRatings(ctx context.Context, course courses.CourseID) (Stats, error)
	// ReviewForUpdate returns a review and keeps others from changing it until the end
	// of the transaction, or fails with ErrReviewNotFound.
	ReviewForUpdate(ctx context.Context, id ReviewID) (Review, error)
	// InsertReviews adds reviews, with Version 1 and without votes, comments and reports,
	// and returns them with their ids, in order. Where the user of one has a review of its
	// course, or two of the list are of one user and course, it is ErrReviewed and adds
	// none. Its caller changes the Stats.
	InsertReviews(ctx context.Context, list ...Review) ([]Review, error)
	// UpdateReview writes Rating, Text, Status, Reason, Trust, Reply and UpdatedAt, and
	// makes the version one more than the stored one, or fails with ErrReviewNotFound.
	UpdateReview(ctx context.Context, r Review) error
	// UpdateReviews writes Rating, Text, Status, Reason, CreatedAt and UpdatedAt of a list,
	// for imports, by a statement a block, and makes the versions one more than the stored
	// ones. Where one is missing it fails with ErrReviewNotFound, and so does the Update.
	UpdateReviews(ctx context.Context, list []Review) error
	// DeleteReview removes a review with its votes, comments and reports, or fails with
	// ErrReviewNotFound. Its history stays.
	DeleteReview(ctx context.Context, id ReviewID) error
	// AddRevision adds to the history, in order; the store gives ids.
	AddRevision(ctx context.Context, list ...Revision) error
	// SetVote adds a vote of a user for a review or takes it away, changes Helpful by
	// that, and says whether it changed anything.
	SetVote(ctx context.Context, review ReviewID, user core.UserID, on bool, at time.Time) (changed bool, err error)
	// InsertComment adds a comment, changes the review's Comments by that, and returns it
	// with its id.
	InsertComment(ctx context.Context, c Comment) (Comment, error)
	// DeleteComment removes a comment of a review and changes the review's Comments by
	// that, or fails with ErrCommentNotFound.
	DeleteComment(ctx context.Context, review ReviewID, id CommentID) error
	// InsertReport adds a report that no admin has looked at, changes the review's
	// Reports by that, and says whether it did: of a user who has reported it before
	// nothing is added.
	InsertReport(ctx context.Context, r Report) (added bool, err error)
	// HandleReports marks all reports on a review as handled: its Reports are 0.
	HandleReports(ctx context.Context, review ReviewID) error
	// ForgetUser removes what a user has left on other reviews: the votes of up to limit
	// of them, the comments of as many and the reports, by which it changes the reviews'
	// numbers; the replies to as many, by which it makes their versions one more; and up to
	// limit revisions of what they have written. It returns how many of these in all: 0
	// when nothing is left. Their reviews stay.
	ForgetUser(ctx context.Context, user core.UserID, limit int) (int, error)
}

// Store keeps reviews. Implementations are safe for concurrent use, keep times in UTC
// with microseconds, and pass storagetest.RunReviews.
type Store interface {
	Reader
	core.Outbox
	// Update runs fn in one transaction: nil commits, an error or a panic rolls back. Fn
	// may run again after a serialization failure, so it touches nothing but tx and
	// assigns results whole.
	Update(ctx context.Context, fn func(ctx context.Context, tx Tx) error) error
}
