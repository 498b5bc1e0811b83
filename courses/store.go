package courses

import (
	"context"
	"time"

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
	Teachers []core.UserID
	// Seated adds to those of Teachers the courses in which that user holds a seat.
	Seated     core.UserID
	Language   string // matches itself and itself followed by "-", without case
	Currency   string
	PriceMin   *int64
	PriceMax   *int64
	RatingMin  int      // hundredths of a star, of the plain mean
	ReviewsMin int      // published reviews; with Trending and MostReviewed alone
	Terms      []string // of fulltext.Query; all must be in the course
	Sort       Sort     // Relevance only with Terms
	After      *Position
	Limit      int
}

// Position is where a page ended: the key of its last row in the order of its
// sort, most significant first.
//
//	Newest     created_at in Unix microseconds, id         (both descending)
//	Rating     Stats.RatingRank, id                        (both descending)
//	PriceUp    price in minor units, id                    (both ascending)
//	PriceDown  price in minor units, id                    (both descending)
//	Popular    Stats.Students, id                          (both descending)
//	Trending, MostReviewed: none
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
	LearningReader
	FactReader
	WalkReader
	OrderReader
	FileReader
	CertificateReader
	RollupReader
	TranslationReader
	AudienceReader
}

// CourseReader reads courses. Each returns them whole but for the teacher's names.
type CourseReader interface {
	// CourseBySlug returns a course by its present slug, or fails with
	// ErrCourseNotFound.
	CourseBySlug(ctx context.Context, slug string) (Course, error)
	// CurrentSlug returns the present slug of the course that had this one before a
	// rename. One that no course had is ErrCourseNotFound; the present slug of a
	// course may be either.
	CurrentSlug(ctx context.Context, old string) (string, error)
	// TakenSlugs returns those of the slugs that no other course may take: the
	// present ones and the old ones, each once, in any order.
	TakenSlugs(ctx context.Context, slugs []string) ([]string, error)
	// CoursesBySlug returns those of the courses that exist, in any order.
	CoursesBySlug(ctx context.Context, slugs []string) ([]Course, error)
	// CourseIDs returns the ids of those of the slugs that exist, by one statement.
	CourseIDs(ctx context.Context, slugs []string) (map[string]CourseID, error)
	// RefBySlug returns what other domains know of a course by its present slug, or
	// fails with ErrCourseNotFound, by one statement.
	RefBySlug(ctx context.Context, slug string) (Ref, error)
	// RefsByID does the same for those of the courses that exist, in any order.
	RefsByID(ctx context.Context, ids []CourseID) ([]Ref, error)
	// RefsByTeachers does the same for up to limit courses of teachers, whatever their
	// status, the youngest first, by one statement.
	RefsByTeachers(ctx context.Context, teachers []core.UserID, limit int) ([]Ref, error)
	// LessonCourses returns the courses of those of the lessons that exist, by one
	// statement.
	LessonCourses(ctx context.Context, ids []LessonID) (map[LessonID]CourseID, error)
	// ReviewNumbers returns the numbers of reviews that those of the courses that exist are
	// listed with, by one statement.
	ReviewNumbers(ctx context.Context, ids []CourseID) (map[CourseID]ReviewNumbers, error)
	// TeacherNumbers adds up the numbers of reviews of a teacher's courses, of whatever
	// status, by one statement along an index. The version is 0.
	TeacherNumbers(ctx context.Context, teacher core.UserID) (ReviewNumbers, error)
	// HasCourses reports whether a user teaches any course, whatever its status.
	HasCourses(ctx context.Context, teacher core.UserID) (bool, error)
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

// ContentReader reads what courses are made of. A module or lesson is always asked
// for with its course, and is not found in another.
type ContentReader interface {
	// Modules returns up to limit modules of a course with a position greater
	// than after, by position.
	Modules(ctx context.Context, course CourseID, after, limit int) ([]Module, error)
	// ModulesOf returns all modules of the courses, in any order.
	ModulesOf(ctx context.Context, courses []CourseID) ([]Module, error)
	// ModuleByID returns a module of the course, or fails with ErrModuleNotFound.
	ModuleByID(ctx context.Context, course CourseID, id ModuleID) (Module, error)
	// ModuleIDs returns the ids of all modules of a course, by position.
	ModuleIDs(ctx context.Context, course CourseID) ([]ModuleID, error)
	// Lessons returns up to limit lessons of a course, or of one module of it
	// when module is not 0, by module position and position, after the pair.
	Lessons(ctx context.Context, course CourseID, module ModuleID, after [2]int, limit int) ([]Lesson, error)
	// LessonsOf returns all lessons of the modules, in any order.
	LessonsOf(ctx context.Context, modules []ModuleID) ([]Lesson, error)
	// LessonsAt calls visit with each lesson that stands at one of the places, once, in
	// any order, one at a time and without keeping them, so that their content need not
	// be in memory together. Visit must not use the store.
	LessonsAt(ctx context.Context, places []LessonPlace, visit func(Lesson)) error
	// ModuleVersions returns the versions of those of the modules that exist.
	ModuleVersions(ctx context.Context, ids []ModuleID) (map[ModuleID]int64, error)
	// LessonVersions returns the versions of those of the lessons that exist.
	LessonVersions(ctx context.Context, ids []LessonID) (map[LessonID]int64, error)
	// LessonByID returns a lesson of the course, or fails with ErrLessonNotFound.
	LessonByID(ctx context.Context, course CourseID, id LessonID) (Lesson, error)
	// LessonIDs returns the ids of all lessons of a module of the course, by
	// position.
	LessonIDs(ctx context.Context, course CourseID, module ModuleID) ([]LessonID, error)
	// CountContent counts what a course has, by one statement.
	CountContent(ctx context.Context, course CourseID) (ContentCount, error)
}

// LessonPlace is where a lesson stands.
type LessonPlace struct {
	Module   ModuleID
	Position int
}

// ContentCount is how much a course has.
type ContentCount struct {
	Modules int
	Lessons int
	Filled  int // modules with a lesson
}

// Tx is one transaction over the catalogue. Lists of rows are written by a number
// of statements that depends on their size in blocks, never by one a row. A
// conflict writes none of the list and leaves the Tx usable.
//
// The store counts versions: inserted rows have Version 1, and each update of a row
// adds 1, whatever the Version that it is handed.
//
// A getter named ForUpdate also takes a lock that lasts until the transaction ends:
// another transaction that asks for it waits, and then reads what the first has
// committed. Where writing transactions take turns anyway, it is a plain read.
// Locks are taken in this order: the tree, then a course, then its teacher, then an
// enrollment, then a tag. Where that cannot be (a tag that is deleted changes its courses), a deadlock is
// what Update runs again.
type Tx interface {
	Reader
	core.Tx
	CourseWriter
	TreeWriter
	ContentWriter
	LearningWriter
	OrderWriter
	FileWriter
	CertificateWriter
	RollupWriter
	TranslationWriter
}

// Standing is what decides whether a user may teach.
type Standing struct {
	Role   core.Role
	Active bool
}

// CourseWriter writes courses.
type CourseWriter interface {
	// CourseForUpdate returns a course by its present slug or an old one and locks
	// it, or fails with ErrCourseNotFound. Whoever changes a course, its modules or
	// its lessons takes this lock first, so that they take turns.
	CourseForUpdate(ctx context.Context, slug string) (Course, error)
	// LockTeachers returns the standing of each of the users and keeps it as it is until
	// the end of the transaction, so that nobody who is given a course loses the right to
	// teach meanwhile. A user whom this database does not hold, since the accounts are
	// elsewhere, is an active core.Teacher: accounts were asked just before.
	LockTeachers(ctx context.Context, ids []core.UserID) (map[core.UserID]Standing, error)
	// LockCourses locks those of the courses that exist, by id, as CourseForUpdate does,
	// and returns their versions.
	LockCourses(ctx context.Context, ids []CourseID) (map[CourseID]int64, error)
	// InsertCourses adds courses with the tags, category and teacher that their
	// ids name, and returns them with ids, in order. A slug that another course has
	// or had is ErrSlugTaken. Whether there is such a teacher is the caller's to know:
	// accounts may live in another store.
	InsertCourses(ctx context.Context, courses []Course) ([]Course, error)
	// UpdateCourses writes every field of the courses with these ids, tags too, but
	// not Stats and the prerequisites; a zero CreatedAt keeps what is stored. A missing one is
	// ErrCourseNotFound. A slug that another course has or had is ErrSlugTaken.
	// The one that a course leaves stays its own, and it may take it again, if it is
	// published or has a PublishedAt before the update; else it is free. More than
	// MaxOldSlugs of a course are ErrTooMany.
	UpdateCourses(ctx context.Context, courses []Course) error
	// SetRating writes the numbers of a course's reviews into its Stats, unless those that
	// are there have a greater or the same version, and with them adds r.Heat to its
	// trend. Of a course that there is not, nothing is written. Neither the course's version nor UpdatedAt change.
	SetRating(ctx context.Context, id CourseID, r ReviewNumbers) error
	// AddTrend adds to the trends of those of the courses that exist, by Heat.On and under
	// locks taken in order of id, by two statements a block. Their versions stay.
	AddTrend(ctx context.Context, heat map[CourseID]Heat) error
	// DeleteCourse removes a course with its modules, lessons, old slugs, statistics,
	// prerequisites, bookmarks and entry of the full-text index. A missing one is ErrCourseNotFound; one that
	// other rows refer to is ErrCourseInUse, after which the Update fails.
	DeleteCourse(ctx context.Context, id CourseID) error
}

// TreeWriter writes categories and tags.
type TreeWriter interface {
	// LockTree makes the transactions that change the tree, or its counts, take turns
	// until the end of this one. A second call in the same Tx does nothing.
	LockTree(ctx context.Context) error
	// CategoriesForUpdate returns all categories in any order and locks the tree, so
	// that two moves at once cannot make a cycle. More than MaxCategories is
	// ErrTooMany.
	CategoriesForUpdate(ctx context.Context) ([]Category, error)
	// InsertCategories adds categories and returns them with ids, in order. Parents
	// are named by ParentID. A taken slug is ErrSlugTaken.
	InsertCategories(ctx context.Context, categories []Category) ([]Category, error)
	// UpdateCategory writes slug, name and parent of the category with c.ID, or
	// fails with ErrCategoryNotFound or ErrSlugTaken.
	UpdateCategory(ctx context.Context, c Category) error
	// MoveCategory gives the courses in one category and the categories right below
	// it to another, by a fixed number of statements. Their versions grow, and the
	// courses get at as their UpdatedAt.
	MoveCategory(ctx context.Context, from, to CategoryID, at time.Time) error
	// DeleteCategory removes a category, or fails with ErrCategoryNotFound, and with
	// ErrCategoryInUse while courses or categories refer to it.
	DeleteCategory(ctx context.Context, id CategoryID) error
	// RecountCategories sets every CourseCount from the courses and writes only
	// those that differ. Of transactions that call it at once each sees the courses
	// of those before it.
	RecountCategories(ctx context.Context) error
	// EnsureTags adds the tags whose slug is not there yet and returns all of
	// them with ids, in any order. The name of a tag that exists is kept.
	EnsureTags(ctx context.Context, tags []Tag) ([]Tag, error)
	// InsertTag adds a tag and returns it with its id. A taken slug is ErrSlugTaken.
	InsertTag(ctx context.Context, tag Tag) (Tag, error)
	// TagForUpdate returns a tag by slug and locks it, or fails with ErrTagNotFound.
	TagForUpdate(ctx context.Context, slug string) (Tag, error)
	// UpdateTag writes slug and name of the tag with t.ID, and indexes the courses
	// that carry it anew, in blocks. It fails with ErrTagNotFound or ErrSlugTaken.
	UpdateTag(ctx context.Context, t Tag) error
	// DeleteTag takes a tag off all courses, whose versions grow and which get at as
	// their UpdatedAt, indexes them anew, in blocks, and removes it. A missing one is
	// ErrTagNotFound.
	DeleteTag(ctx context.Context, id TagID, at time.Time) error
}

// ContentWriter writes modules and lessons. Its callers hold the course's lock.
type ContentWriter interface {
	// InsertModules adds modules and returns them with ids, in order. A taken
	// position is ErrPositionTaken.
	InsertModules(ctx context.Context, modules []Module) ([]Module, error)
	// UpdateModules writes title, description and text policy of the modules with
	// these ids. A missing one is ErrModuleNotFound.
	UpdateModules(ctx context.Context, modules []Module) error
	// DeleteModule removes a module of the course with its lessons, or fails with
	// ErrModuleNotFound. The positions of the others stay.
	DeleteModule(ctx context.Context, course CourseID, id ModuleID) error
	// PlaceModules gives all modules of a course the positions 1, 2, 3, … in the
	// order of ids, which names each once, by a fixed number of statements. The
	// versions of those that change their position grow. An id that is there twice,
	// or that the course does not have, is ErrModuleNotFound. Where one is left out
	// and in the way of another, the Update fails with core.ErrConflict.
	PlaceModules(ctx context.Context, course CourseID, ids []ModuleID) error
	// InsertLessons adds lessons and returns them with ids, in order. A taken
	// position is ErrPositionTaken.
	InsertLessons(ctx context.Context, lessons []Lesson) ([]Lesson, error)
	// UpdateLessons writes title, kind, content, text policy, duration, preview and when
	// they open, of the lessons with these ids. A missing one is ErrLessonNotFound.
	UpdateLessons(ctx context.Context, lessons []Lesson) error
	// DeleteLesson removes a lesson of the course, or fails with ErrLessonNotFound.
	// The positions of the others stay.
	DeleteLesson(ctx context.Context, course CourseID, id LessonID) error
	// PlaceLessons puts lessons of the course into a module of it at the positions
	// 1, 2, 3, … in the order of ids, by a fixed number of statements. Ids names each
	// lesson of the module once, and may name lessons of other modules, which move.
	// The versions of those that change their place grow. An id that is there twice,
	// or that the course does not have, is ErrLessonNotFound. Where a lesson of the
	// module is left out and in the way of another, the Update fails with
	// core.ErrConflict.
	PlaceLessons(ctx context.Context, course CourseID, module ModuleID, ids []LessonID) error
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
