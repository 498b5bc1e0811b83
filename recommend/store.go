package recommend

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// Record is an interaction as it is kept. Of a learner and a course each kind counts once,
// and View once a day (in UTC); of a learner an ID counts once.
type Record struct {
	ID uuid.UUID // the call, the event or the row of an import that told of it
	Interaction
	// Category is that of the course when it was recorded, by whose weight its growth is
	// added; 0 of none, and after the learner's preferences were reset.
	Category courses.CategoryID
	Variant  string // which strategy the learner was served by; empty where that is not known
}

// Slot is what, beside its learner, course and kind, an interaction counts once of: the day
// of a View, counted from 1970 in UTC, and 0 of others.
func (r Record) Slot() int64 {
	const day = 24 * 60 * 60
	if r.Kind != View {
		return 0
	}
	return r.At.Unix() / day
}

// Growth is what is added to the weight of a category, as it counts at Landmark.
type Growth struct {
	User     core.UserID
	Category courses.CategoryID
	By       float64 // less than 0 takes away
	Most     float64 // what it may grow to; what is above already stays
}

// Dismissal says that a learner does not want to be shown a course.
type Dismissal struct {
	User   core.UserID
	Course courses.CourseID
	At     time.Time
}

// Removal says that what a learner did was taken back, so that a model that was kept
// before must be told.
type Removal struct {
	User   core.UserID
	Course courses.CourseID // 0: all of them
	At     time.Time
}

// KeptModel describes the model of a strategy that is kept.
type KeptModel struct {
	Strategy string
	ID       uuid.UUID
	Chunks   int
	Size     int64 // bytes
	// BeganAt is when its training began: what happened before, it has seen.
	BeganAt time.Time
	SavedAt time.Time
}

// MaxChunk is how many bytes a chunk of a kept model has at most.
const MaxChunk = 256 << 10

// Reader is the reading half of Store. Inside a Tx it sees the transaction. Times are
// UTC with microseconds.
type Reader interface {
	// History returns up to limit records of a learner, the newest first by At, by one
	// statement along an index.
	History(ctx context.Context, user core.UserID, limit int) ([]Record, error)
	// RecordByID returns a record of a learner, or fails with ErrRecordNotFound.
	RecordByID(ctx context.Context, user core.UserID, id uuid.UUID) (Record, error)
	// RecordsAfter returns up to limit records behind one, by (User, Course, Kind, Slot), by
	// one statement along an index. The zero Record is before all.
	RecordsAfter(ctx context.Context, after Record, limit int) ([]Record, error)
	// Growths returns what the weights of a learner's categories have grown by, the greatest
	// first, up to limit. Most is 0.
	Growths(ctx context.Context, user core.UserID, limit int) ([]Growth, error)
	// Dismissed returns up to limit courses that a learner has dismissed, the latest first.
	Dismissed(ctx context.Context, user core.UserID, limit int) ([]courses.CourseID, error)
	// Model returns the kept model of a strategy, or fails with ErrNoModel.
	Model(ctx context.Context, strategy string) (KeptModel, error)
	// ModelChunk returns a chunk of a model, from 0, or fails with ErrNoModel where it is
	// not there, or no more.
	ModelChunk(ctx context.Context, id uuid.UUID, n int) ([]byte, error)
	// Removals returns up to limit removals of since or later behind after, in the order in which they
	// were written. The zero Position is before all; the last one's is returned with them.
	Removals(ctx context.Context, since time.Time, after Position, limit int) ([]Removal, Position, error)
}

// Position is where a page of removals ended. It is opaque.
type Position int64

// Tx is the only place where writes exist. An error that a comment names leaves it usable.
type Tx interface {
	core.Tx
	Reader
	// AddRecords adds those of the records that do not count already, and returns their ids in
	// any order, by a statement a block. Of two at once of which one counts the other waits
	// for the end of the first's transaction.
	AddRecords(ctx context.Context, list []Record) (added []uuid.UUID, err error)
	// Grow adds to the weights of categories, each pair of User and Category once in the list,
	// by one statement each: a weight that is not there begins with 0 and is not taken below it.
	Grow(ctx context.Context, list []Growth) error
	// RemoveRecords removes what a learner did with a course and returns it.
	RemoveRecords(ctx context.Context, user core.UserID, course courses.CourseID) ([]Record, error)
	// ResetPreferences removes the weights of a learner's categories, and makes the Category
	// of their records 0.
	ResetPreferences(ctx context.Context, user core.UserID) error
	// SetDismissed adds a dismissal or takes it away, and says whether it changed anything.
	SetDismissed(ctx context.Context, d Dismissal, on bool) (changed bool, err error)
	// CountDismissed returns how many courses a learner has dismissed.
	CountDismissed(ctx context.Context, user core.UserID) (int, error)
	// AddRemoval adds a removal.
	AddRemoval(ctx context.Context, r Removal) error
	// ForgetUser removes up to limit records and up to limit dismissals of a learner, and the
	// weights of their categories, and returns how many rows in all: 0 when nothing is left.
	ForgetUser(ctx context.Context, user core.UserID, limit int) (int, error)
	// ForgetCourse removes up to limit records and up to limit dismissals of a course, and
	// returns how many in all. What the weights of categories have grown by stays.
	ForgetCourse(ctx context.Context, course courses.CourseID, limit int) (int, error)
	// ForgetRemovals removes up to limit removals of before, and returns how many. Those of all that
	// a learner did stay: no training sees what was before them.
	ForgetRemovals(ctx context.Context, before time.Time, limit int) (int, error)
	// AddModelChunk keeps a chunk, of 1 to MaxChunk bytes, of a model that is being saved.
	AddModelChunk(ctx context.Context, id uuid.UUID, n int, data []byte, at time.Time) error
	// SetModel makes a model whose chunks are there the kept one of its strategy, and removes the chunks
	// of the one before. Where the training of that began later it does nothing and returns false.
	SetModel(ctx context.Context, m KeptModel) (bool, error)
	// ForgetChunks removes up to limit chunks that were kept before a time and are of no kept
	// model, and returns how many.
	ForgetChunks(ctx context.Context, before time.Time, limit int) (int, error)
}

// Store keeps what learners did and models. Implementations are safe for concurrent use
// and pass storagetest.RunRecommend.
type Store interface {
	Reader
	core.Outbox
	// Update runs fn in one transaction: nil commits, an error or a panic rolls back. Fn
	// may run again after a serialization failure, so it touches nothing but tx and
	// assigns results whole.
	Update(ctx context.Context, fn func(ctx context.Context, tx Tx) error) error
}

// Errors of stores.
var (
	ErrRecordNotFound = &core.Error{Kind: core.KindNotFound, Code: "recommend.interaction_not_found", Message: "there is no such interaction"}
	ErrNoModel        = &core.Error{Kind: core.KindNotFound, Code: "recommend.no_model", Message: "no such model is kept"}
)
