package recommend

import (
	"context"
	"io"
	"iter"
	"time"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// Kind is what a learner did with a course. A greater kind says more.
type Kind uint8

// The kinds of interactions, weakest first. Start and Complete follow from enrollment and
// progress; clients report only View and Bookmark.
const (
	View     Kind = 1 + iota // looked at its page
	Bookmark                 // put it aside for later
	Start                    // enrolled
	Complete                 // completed
)

var kindNames = [...]string{View: "view", Bookmark: "bookmark", Start: "start", Complete: "complete"}

// Valid reports whether k is one of the kinds.
func (k Kind) Valid() bool { return k >= View && k <= Complete }

// String returns the kind's stable name, such as "bookmark".
func (k Kind) String() string {
	if k.Valid() {
		return kindNames[k]
	}
	return "unknown"
}

// ParseKind returns the kind of a name, and core.ErrInvalid for any other text.
func ParseKind(name string) (Kind, error) {
	for k := View; k <= Complete; k++ {
		if kindNames[k] == name {
			return k, nil
		}
	}
	return 0, core.Invalid("type", "oneof", "view, bookmark, start, complete", name, "must be view, bookmark, start or complete")
}

// begun reports whether the learner takes the course, and does not only look at it.
func (k Kind) begun() bool { return k >= Start }

// Interaction is one thing that a learner did with a course.
type Interaction struct {
	User   core.UserID
	Course courses.CourseID
	Kind   Kind
	At     time.Time // kept to the second
}

// Item is a course as strategies see it. The zero value of a field is "not known".
type Item struct {
	ID         courses.CourseID
	Title      string
	Categories []string // keys of its categories, the broadest first; the last is the narrowest
	Level      string
	Language   string // a BCP 47 tag
	Concepts   []string
	Teacher    core.UserID
	Published  time.Time
	Ratings    int64 // how many ratings it has
	Stars      int64 // their sum, each 1 to 5
	// Unlisted is true for a course that is known, since learners took it, and never recommended: it
	// is archived or a draft again.
	Unlisted bool
}

// Limits of what a model takes.
const (
	MaxItems      = 1 << 20 // courses
	MaxLearners   = 1 << 28
	MaxHistory    = 10_000 // entries of one learner that count; older ones are left out of a Request, and refused by Observe
	MaxK          = 1_000  // of a Request
	MaxFeatures   = 256    // words, concepts and categories of an Item that count
	MaxPreference = 1_000  // categories in a Request
)

// Request asks for courses for one learner.
type Request struct {
	// K is how many courses are wanted, 1 to MaxK.
	K int
	// User is the learner, zero for somebody without an account. It only seeds the choice of the
	// exploration slot: what the model learned of User is not looked up.
	User core.UserID
	// History is what the learner did, in any order. Courses that were begun are never recommended;
	// those only looked at may be.
	History []Interaction
	// Exclude are further courses that are never recommended: own, dismissed, awaiting a seat.
	Exclude []courses.CourseID
	// Preferences are the weights of categories by key, as they are now; a category that is not
	// there has the weight 1.
	Preferences map[string]float64
	// Languages are those that the learner understands; courses in others, where their language is
	// known, come after. Empty is any.
	Languages []string
	// Diversity from 0 to 1 trades score for more distinct categories. Zero, the default, is none.
	Diversity float64
	// Explore gives the last place of the list to a course that few have taken, another each day and learner, so
	// that new courses are seen at all.
	Explore bool
	// At is the moment of the request, which decides what is recent. Zero is the newest
	// interaction that the model has seen.
	At time.Time
}

// Part is a named share of a score, for explanation and tests.
type Part struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
}

// ReasonKind says why a course is recommended.
type ReasonKind string

// The kinds of reasons.
const (
	BecauseTaken     ReasonKind = "because_you_took"   // learners of Reason.Course went on to it
	BecauseContent   ReasonKind = "similar_to"         // it is about what Reason.Course is about
	BecausePreferred ReasonKind = "preferred_category" // the learner prefers Reason.Category
	BecausePopular   ReasonKind = "popular"            // many take it now
	BecauseNew       ReasonKind = "new"                // it is new and gets a chance
)

// Reason explains one recommendation. Course is set for BecauseTaken and BecauseContent, where it is one
// of the request's history (of Similar: the course asked about), Category for BecausePreferred.
type Reason struct {
	Kind     ReasonKind
	Course   courses.CourseID
	Category string
}

// Scored is one recommended course. Scores of one list are finite, comparable, and never grow from one
// entry to the next, but where Diversity, Languages or the exploration slot moved an entry; those of
// different strategies do not compare.
type Scored struct {
	Course courses.CourseID
	Score  float64
	Parts  []Part // what the score is made of, named as in the strategy's documentation
	Reason Reason
}

// Model is what a Strategy learned. It is safe for concurrent use, also while it is updated.
type Model interface {
	// Recommend returns at most r.K listed courses, best first, without those of r.Exclude and those begun in r.History, which are
	// left out before the list is cut. It returns fewer only where fewer are left: learners without
	// history, and courses without learners, are served too. An empty model returns an empty list. It
	// returns core.ErrInvalid for K or Diversity out of range and does not keep or change r.
	Recommend(ctx context.Context, r Request) ([]Scored, error)
}

// Similarer is a Model that knows which courses go with a course.
type Similarer interface {
	// Similar returns at most k listed courses that go with the course, best first, without it and those excluded. A
	// course that the model does not know has none. It returns core.ErrInvalid for k out of 1 to MaxK.
	Similar(ctx context.Context, course courses.CourseID, k int, exclude []courses.CourseID) ([]Scored, error)
}

// Updater is a Model that learns change by change. Each change is visible to every request that
// begins after it, whole or not at all.
type Updater interface {
	// Observe adds an interaction, and reports whether that changed anything: the same one again does
	// not. A course that no Item has told of counts and is not recommended. It returns
	// core.ErrInvalid for a kind that is none, a time before 1970 or after 2105, and a learner beyond
	// MaxHistory entries.
	Observe(i Interaction) (changed bool, err error)
	// Withdraw takes out what a learner did with one course, as if it had never been: an enrollment
	// that was cancelled.
	Withdraw(user core.UserID, course courses.CourseID) (changed bool)
	// Forget takes out all that a learner did: the model is then one that never saw them.
	Forget(user core.UserID) (changed bool)
	// Put adds a course or replaces what is known of it. It returns core.ErrInvalid beyond MaxItems
	// courses.
	Put(item Item) error
	// Remove takes a course out of all lists at once: it was deleted.
	Remove(course courses.CourseID)
}

// Saver is a Model that can be kept as bytes; the strategy that trained it is its Loader.
type Saver interface {
	// Save writes the model in a versioned format with a checksum. Updates wait while it is taken; requests
	// do not.
	Save(w io.Writer) error
}

// Source is where training reads from. An error of an iteration ends the training with it.
type Source interface {
	// Items yields every course once.
	Items(ctx context.Context) iter.Seq2[Item, error]
	// Interactions yields every interaction, each learner's together and learners in order of id; the
	// order within a learner does not matter.
	Interactions(ctx context.Context) iter.Seq2[Interaction, error]
}

// Progress says how far a training is.
type Progress struct {
	Stage string // "read", "tune", "count"
	Done  int    // interactions, or settings tried
	Total int    // 0 where it is not known
}

// Strategy is a way to recommend. Implementations are immutable and safe for concurrent use.
type Strategy interface {
	// Name returns the stable name of the strategy, such as "hybrid".
	Name() string
	// Train learns a model from all that src has. It reads src once, a learner at a time, and never looks
	// at the clock: the same data gives the same model. report, which may be nil, is called now and then
	// from the calling goroutine. It returns the error of ctx or src, and no model with it.
	Train(ctx context.Context, src Source, report func(Progress)) (Model, error)
}

// Loader is a Strategy whose models can be kept.
type Loader interface {
	// Load reads what Save wrote. It returns ErrForeignModel for bytes that are no model of this
	// strategy and version, and ErrBrokenModel for ones that are cut or changed.
	Load(r io.Reader) (Model, error)
}

// Errors of models.
var (
	// ErrForeignModel is returned by Load for bytes that are no model of the strategy and version:
	// train anew.
	ErrForeignModel = &core.Error{Kind: core.KindFailedPrecondition, Code: "recommend.foreign_model", Message: "these bytes are no model of this strategy and version"}
	// ErrBrokenModel is returned by Load for a model that was cut short or changed.
	ErrBrokenModel = &core.Error{Kind: core.KindFailedPrecondition, Code: "recommend.broken_model", Message: "the kept model is damaged"}
	// ErrTooManyChanges is returned by Live.Train when more changes came during the training than are kept
	// for it: the previous model stays.
	ErrTooManyChanges = &core.Error{Kind: core.KindUnavailable, Code: "recommend.too_many_changes", Message: "too many changes came while the model was trained"}
	// ErrTraining is returned by Live.Train while another training runs.
	ErrTraining = &core.Error{Kind: core.KindFailedPrecondition, Code: "recommend.training", Message: "a training is running"}
)
