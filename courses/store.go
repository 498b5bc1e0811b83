package courses

import (
	"context"

	"github.com/ustat/ustat/core"
)

// ListQuery is a Filter as a store sees it: slugs resolved to ids, text to terms.
// Conditions are joined by and; a zero field is no condition.
type ListQuery struct {
	Status     Status // always set
	Categories []CategoryID
	Tag        TagID
	Teacher    core.UserID
	// Teachers limits the list to their courses when it is not nil.
	Teachers  []core.UserID
	Language  string // matches itself and itself followed by "-", without case
	Currency  string
	PriceMin  *int64
	PriceMax  *int64
	RatingMin int      // hundredths of a star, of the plain mean
	Terms     []string // of fulltext.Query; all must be in the course
	Sort      Sort     // Relevance only with Terms
	After     *Position
	Limit     int
}

// Position is where a page ended: the key of its last row in the order of its
// sort, most significant first.
//
//	Newest     created_at in Unix microseconds, id         (both descending)
//	Rating     Stats.RatingRank, id                        (both descending)
//	PriceUp    price in minor units, id                    (both ascending)
//	PriceDown  price in minor units, id                    (both descending)
//	Popular    Stats.Students, id                          (both descending)
//	Relevance  field, RatingRank, words of the title, id   (the third ascending)
//
// Field is 2 when all terms are in the title, 1 when all are in the title and the
// tags, and 0 elsewhere.
type Position struct {
	Keys []int64 `json:"k"`
	ID   int64   `json:"i"`
}

// Hit is a course of a list with its position in it.
type Hit struct {
	Course   Course
	Position Position
}

// Reader is the reading half of Store. Inside a Tx it sees the transaction.
type Reader interface {
	CourseReader
	TreeReader
	ContentReader
}

// CourseReader reads courses. Each returns them whole but for the teacher's names.
type CourseReader interface {
	// CourseBySlug returns a course, or fails with ErrCourseNotFound.
	CourseBySlug(ctx context.Context, slug string) (Course, error)
	// CoursesBySlug returns those of the courses that exist, in any order.
	CoursesBySlug(ctx context.Context, slugs []string) ([]Course, error)
	// CourseIDs returns the ids of those of the slugs that exist, by one statement.
	CourseIDs(ctx context.Context, slugs []string) (map[string]CourseID, error)
	// ListCourses returns up to q.Limit courses after q.After by at most two
	// statements.
	ListCourses(ctx context.Context, q ListQuery) ([]Hit, error)
	// CountCourses returns how many courses q has, its page aside.
	CountCourses(ctx context.Context, q ListQuery) (int, error)
	// Currencies returns up to two currencies of the courses with that status,
	// the first and the last by name, without looking at every course.
	Currencies(ctx context.Context, status Status) ([]string, error)
}

// TreeReader reads categories and tags.
type TreeReader interface {
	// Categories returns up to limit categories whose slug is greater than after,
	// by slug.
	Categories(ctx context.Context, after string, limit int) ([]Category, error)
	// CategoriesBySlug returns those of the categories that exist, in any order.
	CategoriesBySlug(ctx context.Context, slugs []string) ([]Category, error)
	// Subtree returns the ids of a category and of all below it. An unknown slug
	// is ErrCategoryNotFound.
	Subtree(ctx context.Context, slug string) ([]CategoryID, error)
	// Tags returns up to limit tags whose slug is greater than after, by slug.
	Tags(ctx context.Context, after string, limit int) ([]Tag, error)
	// TagsBySlug returns those of the tags that exist, in any order.
	TagsBySlug(ctx context.Context, slugs []string) ([]Tag, error)
}

// ContentReader reads what courses are made of.
type ContentReader interface {
	// Modules returns up to limit modules of a course with a position greater
	// than after, by position.
	Modules(ctx context.Context, course CourseID, after, limit int) ([]Module, error)
	// ModulesOf returns all modules of the courses, in any order.
	ModulesOf(ctx context.Context, courses []CourseID) ([]Module, error)
	// Lessons returns up to limit lessons of a course, or of one module of it
	// when module is not 0, by module position and position, after the pair.
	Lessons(ctx context.Context, course CourseID, module ModuleID, after [2]int, limit int) ([]Lesson, error)
	// LessonsOf returns all lessons of the modules, in any order.
	LessonsOf(ctx context.Context, modules []ModuleID) ([]Lesson, error)
}

// Tx is one transaction over the catalogue. Lists of rows are written by a number
// of statements that depends on their size in blocks, never by one a row. A
// conflict writes none of the list and leaves the Tx usable.
type Tx interface {
	Reader
	core.Tx
	// InsertCategories adds categories and returns them with ids, in order. Parents
	// are named by ParentID. A taken slug is ErrSlugTaken.
	InsertCategories(ctx context.Context, categories []Category) ([]Category, error)
	// UpdateCategory writes name and parent of the category with c.ID, or fails
	// with ErrCategoryNotFound.
	UpdateCategory(ctx context.Context, c Category) error
	// RecountCategories sets every CourseCount from the courses.
	RecountCategories(ctx context.Context) error
	// EnsureTags adds the tags whose slug is not there yet and returns all of
	// them with ids, in any order. The name of a tag that exists is kept.
	EnsureTags(ctx context.Context, tags []Tag) ([]Tag, error)
	// InsertCourses adds courses with the tags, category and teacher that their
	// ids name, and returns them with ids, in order. A taken slug is ErrSlugTaken.
	InsertCourses(ctx context.Context, courses []Course) ([]Course, error)
	// UpdateCourses writes every field of the courses with these ids, tags too, but
	// not Stats; a zero CreatedAt keeps what is stored. A missing one is
	// ErrCourseNotFound, a taken slug ErrSlugTaken.
	UpdateCourses(ctx context.Context, courses []Course) error
	// InsertModules adds modules and returns them with ids, in order. A taken
	// position is ErrPositionTaken.
	InsertModules(ctx context.Context, modules []Module) ([]Module, error)
	// UpdateModules writes title and description of the modules with these ids.
	// A missing one is ErrModuleNotFound.
	UpdateModules(ctx context.Context, modules []Module) error
	// InsertLessons adds lessons and returns them with ids, in order. A taken
	// position is ErrPositionTaken.
	InsertLessons(ctx context.Context, lessons []Lesson) ([]Lesson, error)
	// UpdateLessons writes title, kind, content, duration and preview of the
	// lessons with these ids. A missing one is ErrLessonNotFound.
	UpdateLessons(ctx context.Context, lessons []Lesson) error
}

// Store keeps the catalogue. Implementations are safe for concurrent use, keep
// times in UTC at microsecond precision, and pass storagetest.Run.
type Store interface {
	Reader
	core.Outbox
	// Update runs fn in one transaction: nil commits; an error or a panic rolls
	// back. fn may run again after a serialization failure, so it only reads what
	// it captured and assigns results whole.
	Update(ctx context.Context, fn func(ctx context.Context, tx Tx) error) error
}
