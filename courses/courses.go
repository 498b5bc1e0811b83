// Package courses keeps the catalogue: courses with their modules and lessons, in
// a tree of categories and under tags; reading, listing and searching it.
//
// [Service] holds the rules, [Store] is what it needs of a storage.
package courses

import (
	"time"

	"github.com/ustat/ustat/core"
)

// The ids of the catalogue. They grant nothing and are not shown outside, where
// courses, categories and tags are named by slug.
type (
	CourseID   int64
	CategoryID int64
	TagID      int64
	ModuleID   int64
	LessonID   int64
)

// Status is where a course is in its life.
type Status string

// The statuses. Everybody sees published courses; the others are seen by those
// who may edit them.
const (
	Draft     Status = "draft"
	InReview  Status = "review"
	Published Status = "published"
	Archived  Status = "archived"
)

// Statuses lists every status.
var Statuses = [...]Status{Draft, InReview, Published, Archived}

// Category is a node of the tree of categories.
type Category struct {
	ID          CategoryID
	Slug        string
	Name        string
	Language    string     // of the name, where that is a translation; a Store leaves it empty
	ParentID    CategoryID // 0 at the top
	Parent      string     // the parent's slug; empty at the top
	CourseCount int        // published courses in it and below it
	Version     int64      // from 1, one more with each change of slug, name or parent
}

// Tag is a free label.
type Tag struct {
	ID       TagID
	Slug     string
	Name     string
	Language string // of the name, where that is a translation; a Store leaves it empty
	Version  int64  // from 1, one more with each change; 0 in the tags of a Course
}

// Teacher is the user who teaches a course, as the catalogue shows them.
type Teacher struct {
	ID       core.UserID
	Username string
	Name     string
}

// Course is one course as lists and pages show it.
type Course struct {
	ID           CourseID
	Slug         string
	Title        string
	Description  string // rich text, sanitized by TextPolicy
	Requirements string // rich text, sanitized by TextPolicy
	TextPolicy   int    // richtext.Version of when the rich text was written; 0 is never
	Language     string // BCP 47, in which the texts are; empty when unknown
	BaseLanguage string // in which its author wrote it; filled on reading, where Language may be a translation's
	Price        core.Money
	Status       Status
	Rejection    string   // why a review sent it back; empty once it is submitted again
	Teacher      Teacher  // a Store fills the ID alone; the Service fills the rest
	Category     Category // ID, Slug and Name
	Tags         []Tag    // by name
	Stats        Stats
	Capacity     int // seats; 0 is no bound
	// PrerequisiteCount is how many courses come before it; Prerequisites are their
	// slugs, which Service.Course alone fills.
	PrerequisiteCount int
	Prerequisites     []string
	CreatedAt         time.Time
	UpdatedAt         time.Time
	PublishedAt       time.Time // of the first publication; zero when it never was
	Version           int64     // from 1, one more with each change of the course itself
}

// Stats are a course's numbers, kept exact by the writes that change them.
type Stats struct {
	ReviewCount int64
	RatingSum   int64
	Students    int64
	Completions int64
}

// AverageRating returns the mean of the ratings, 1 to 5, and false when unrated.
func (s Stats) AverageRating() (float64, bool) {
	if s.ReviewCount == 0 {
		return 0, false
	}
	return float64(s.RatingSum) / float64(s.ReviewCount), true
}

// The prior of the Bayesian mean: a course is ranked as if it had had PriorCount
// reviews of PriorRating before its first real one, so that one review of 5 does
// not beat five hundred of 4.9.
const (
	PriorCount  = 10
	PriorRating = 4
)

// RatingRank returns the key by which courses are ordered by rating: the Bayesian
// mean in millionths of a star, 1,000,000 to 5,000,000, and 0 when unrated, so
// that unrated courses come last.
func (s Stats) RatingRank() int64 {
	if s.ReviewCount == 0 {
		return 0
	}
	return (s.RatingSum + PriorCount*PriorRating) * 1_000_000 / (s.ReviewCount + PriorCount)
}

// Module is a part of a course.
type Module struct {
	ID          ModuleID
	CourseID    CourseID
	Title       string
	Description string // rich text, sanitized by TextPolicy
	TextPolicy  int    // see Course
	Position    int    // from 1, unique in the course; there may be gaps
	Language    string // in which the texts are; filled on reading
	Version     int64  // from 1, one more with each change
}

// Kind is what a lesson is made of.
type Kind string

// The kinds of lessons.
const (
	Text  Kind = "text"
	Video Kind = "video"
	File  Kind = "file"
)

// Lesson is a step of a module.
type Lesson struct {
	ID             LessonID
	CourseID       CourseID
	ModuleID       ModuleID
	ModulePosition int
	Title          string
	Kind           Kind
	Content        string        // rich text, sanitized by TextPolicy; empty when Locked
	TextPolicy     int           // see Course
	Duration       time.Duration // whole seconds
	FreePreview    bool
	Position       int // from 1, unique in the module; there may be gaps
	// A lesson opens to a learner at OpensAt and OpensAfterDays after their enrollment,
	// whichever is later. Zero are no bounds.
	OpensAt        time.Time
	OpensAfterDays int
	Version        int64 // from 1, one more with each change
	// What follows is of the reader; a Store leaves it empty.
	Language string      // in which the texts are
	Opens    time.Time   // when it opens; zero is at once, or not known before the enrollment
	Locked   bool        // whether it is closed, and so comes without its content
	Reasons  []string    // why it is: ReasonEnrollment and others
	File     *LessonFile // of a video or a file: what they may know of; nil is none
}

// Sort names an order of courses. Ties are broken by id.
type Sort string

// The sorts. Relevance needs a query and is its default; Newest is the default
// without one.
const (
	Newest    Sort = "newest"
	Rating    Sort = "rating" // by Stats.RatingRank, best first, unrated last
	PriceUp   Sort = "price"
	PriceDown Sort = "-price"
	Popular   Sort = "popular" // by students
	Relevance Sort = "relevance"
)

// The sorts of Service.Trending, which no list is asked for: by trend and by ReviewCount
// and RatingSum, the greatest first. They take a Status and ReviewsMin alone, and no After.
const (
	Trending     Sort = "trending"
	MostReviewed Sort = "most_reviewed"
)

// Sorts lists every sort of lists.
var Sorts = [...]Sort{Newest, Rating, PriceUp, PriceDown, Popular, Relevance}

// Filter chooses courses. Zero fields do not filter, except Status.
type Filter struct {
	Query    string // full text, at most MaxQuery bytes
	Category string // slug; courses in it and below it
	Tag      string // slug
	Teacher  string // username
	Language string // the base language: "ru" finds ru and ru-RU
	Status   Status // zero means Published
	Editable bool   // only those that the actor may edit
	// PriceMin and PriceMax bound the price in minor units of Currency, both
	// inclusive; nil is no bound.
	PriceMin, PriceMax *int64
	// Currency keeps courses of that currency. Prices of different currencies are
	// never compared: with a bound or a price sort it is required when the
	// published catalogue has more than one.
	Currency string
	// RatingMin is the least average rating in hundredths of a star, 100 to 500.
	RatingMin int
}

// The bounds of a search.
const (
	MaxQuery = 512 // bytes
	MaxTerms = 16  // distinct words
)

// The bounds of what authors write.
const (
	MaxTags        = 32      // of a course
	MaxModules     = 500     // of a course
	MaxLessons     = 500     // of a module
	MaxCategories  = 10_000  // of the tree
	MaxDepth       = 16      // of a category, where one at the top has 1
	MaxOldSlugs    = 20      // of a course
	MaxRichInput   = 1 << 20 // bytes of a rich text as it is handed in
	MaxDescription = 100_000 // bytes of a description or of requirements, sanitized
	MaxContent     = 1 << 20 // bytes of a lesson's content, sanitized
)
