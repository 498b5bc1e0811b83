package courses

import "github.com/ustat/ustat/core"

// Things that are not there, or not for this actor.
var (
	ErrCourseNotFound   = &core.Error{Kind: core.KindNotFound, Code: "courses.not_found", Message: "there is no such course"}
	ErrCategoryNotFound = &core.Error{Kind: core.KindNotFound, Code: "courses.category_not_found", Message: "there is no such category"}
	ErrTagNotFound      = &core.Error{Kind: core.KindNotFound, Code: "courses.tag_not_found", Message: "there is no such tag"}
	ErrModuleNotFound   = &core.Error{Kind: core.KindNotFound, Code: "courses.module_not_found", Message: "there is no such module"}
	ErrLessonNotFound   = &core.Error{Kind: core.KindNotFound, Code: "courses.lesson_not_found", Message: "there is no such lesson"}
)

// Clashes with what is stored.
var (
	// ErrSlugTaken is for a slug that another has, or that another course had once.
	ErrSlugTaken     = &core.Error{Kind: core.KindConflict, Code: "courses.slug_taken", Message: "the slug is taken"}
	ErrPositionTaken = &core.Error{Kind: core.KindConflict, Code: "courses.position_taken", Message: "the position is taken"}
	// ErrCourseInUse is for a course that other rows refer to.
	ErrCourseInUse = &core.Error{Kind: core.KindConflict, Code: "courses.in_use", Message: "the course is in use: archive it"}
)

// Right input at the wrong time.
var (
	// ErrTransition is for a status that does not follow from the present one.
	ErrTransition = &core.Error{Kind: core.KindFailedPrecondition, Code: "courses.invalid_transition", Message: "the course cannot go from its status to that one"}
	// ErrIncomplete names by its violations all that a course lacks.
	ErrIncomplete = &core.Error{Kind: core.KindFailedPrecondition, Code: "courses.incomplete", Message: "the course is not complete"}
	// ErrNotDeletable is for a course that was published, or that has students or
	// reviews: it can be archived.
	ErrNotDeletable = &core.Error{Kind: core.KindFailedPrecondition, Code: "courses.not_deletable", Message: "a course that was published, or has students or reviews, is not deleted: archive it"}
	// ErrLastLesson is for what would leave a published course, or one in review,
	// without a lesson.
	ErrLastLesson = &core.Error{Kind: core.KindFailedPrecondition, Code: "courses.last_lesson", Message: "a course that is published or in review keeps at least one lesson"}
	// ErrTooMany is for one more than a bound of this package allows; the violation
	// names it.
	ErrTooMany = &core.Error{Kind: core.KindFailedPrecondition, Code: "courses.too_many", Message: "there is no room for one more"}
	// ErrCategoryCycle is for a category below itself.
	ErrCategoryCycle = &core.Error{Kind: core.KindFailedPrecondition, Code: "courses.category_cycle", Message: "a category cannot be below itself"}
	// ErrCategoryInUse is for a category that has courses or categories below it.
	ErrCategoryInUse = &core.Error{Kind: core.KindFailedPrecondition, Code: "courses.category_in_use", Message: "the category has courses or categories below it: say where they go"}
)

// ErrNeedCurrency is for prices to be compared in a catalogue of several currencies.
var ErrNeedCurrency = core.Invalid("currency", "required", "", "", "the catalogue has prices in several currencies: name one").WithCode("courses.currency_required")
