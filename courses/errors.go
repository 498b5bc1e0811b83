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

// The errors of learning.
var (
	ErrEnrollmentNotFound  = &core.Error{Kind: core.KindNotFound, Code: "courses.enrollment_not_found", Message: "there is no such enrollment"}
	ErrCertificateNotFound = &core.Error{Kind: core.KindNotFound, Code: "courses.certificate_not_found", Message: "there is no such certificate"}
	// ErrEnrolled is for an enrollment that is there already.
	ErrEnrolled = &core.Error{Kind: core.KindConflict, Code: "courses.enrolled", Message: "the user takes this course already"}
	// ErrOwnCourse is for who would enroll in a course that they teach, or run as a producer.
	ErrOwnCourse = &core.Error{Kind: core.KindForbidden, Code: "courses.own_course", Message: "nobody enrolls in a course of their own"}
	// ErrNotOpen is for a course that takes nobody: one that is not published.
	ErrNotOpen = &core.Error{Kind: core.KindFailedPrecondition, Code: "courses.not_open", Message: "the course is not open for enrollment"}
	// ErrPaymentRequired is for a course with a price, and a user without a right to it.
	ErrPaymentRequired = &core.Error{Kind: core.KindFailedPrecondition, Code: "courses.payment_required", Message: "the course must be paid for first"}
	// ErrFull is for an order of a course without a free seat.
	ErrFull = &core.Error{Kind: core.KindFailedPrecondition, Code: "courses.full", Message: "the course has no free seat"}
	// ErrNotSeated is for what needs an enrollment that is active or completed.
	ErrNotSeated = &core.Error{Kind: core.KindFailedPrecondition, Code: "courses.not_seated", Message: "the enrollment does not give access"}
	// ErrLessonLocked is for a lesson that is closed to the learner; the violations name why.
	ErrLessonLocked = &core.Error{Kind: core.KindFailedPrecondition, Code: "courses.lesson_locked", Message: "the lesson is closed"}
	// ErrPrerequisiteCycle is for courses that would come before themselves.
	ErrPrerequisiteCycle = &core.Error{Kind: core.KindFailedPrecondition, Code: "courses.prerequisite_cycle", Message: "a course cannot come before itself"}
	// ErrNotCompleted is for a certificate of a course that is not completed.
	ErrNotCompleted = &core.Error{Kind: core.KindFailedPrecondition, Code: "courses.not_completed", Message: "the course is not completed"}
)

// The errors of a certificate's document.
var (
	// ErrCertificateRevoked is for the document of a certificate that does not count.
	ErrCertificateRevoked = &core.Error{Kind: core.KindFailedPrecondition, Code: "courses.certificate_revoked", Message: "the certificate was revoked"}
	// ErrCertificatesNotSetUp is for a platform without Config.Certificates.
	ErrCertificatesNotSetUp = &core.Error{Kind: core.KindUnavailable, Code: "courses.certificates_not_set_up", Message: "this platform makes no documents of certificates"}
)

// The errors of purchases.
var (
	ErrOrderNotFound   = &core.Error{Kind: core.KindNotFound, Code: "courses.order_not_found", Message: "there is no such order"}
	ErrCouponNotFound  = &core.Error{Kind: core.KindNotFound, Code: "courses.coupon_not_found", Message: "there is no such coupon"}
	ErrPaymentNotFound = &core.Error{Kind: core.KindNotFound, Code: "courses.payment_not_found", Message: "there is no such payment"}
	// ErrProviderNotFound is for a provider of payments that this platform has not.
	ErrProviderNotFound = &core.Error{Kind: core.KindNotFound, Code: "courses.provider_not_found", Message: "there is no such provider of payments"}
	ErrCouponTaken      = &core.Error{Kind: core.KindConflict, Code: "courses.coupon_taken", Message: "there is a coupon with that code"}
	ErrCouponInUse      = &core.Error{Kind: core.KindConflict, Code: "courses.coupon_in_use", Message: "orders have used the coupon: switch it off"}
	// ErrCoupon is for a coupon that does not apply: the violation says why.
	ErrCoupon = &core.Error{Kind: core.KindFailedPrecondition, Code: "courses.coupon_refused", Message: "the coupon does not apply"}
	// ErrEntitled is for an order of who may enroll without one.
	ErrEntitled = &core.Error{Kind: core.KindConflict, Code: "courses.entitled", Message: "the user has a right to this course already: enroll"}
	// ErrFree is for an order of a course that costs nothing.
	ErrFree = &core.Error{Kind: core.KindFailedPrecondition, Code: "courses.free", Message: "the course costs nothing: enroll"}
	// ErrTooManyOrders is for one more than MaxOpenOrders.
	ErrTooManyOrders = &core.Error{Kind: core.KindFailedPrecondition, Code: "courses.too_many_orders", Message: "too many orders of the user wait for their money: pay one, or try again later"}
	// ErrPaymentRefused is for a payment that its provider does not take.
	ErrPaymentRefused = &core.Error{Kind: core.KindFailedPrecondition, Code: "courses.payment_refused", Message: "the provider of payments refuses this payment"}
	// ErrOrderState is for what an order in its status does not allow.
	ErrOrderState = &core.Error{Kind: core.KindFailedPrecondition, Code: "courses.order_state", Message: "the order's status does not allow this"}
	// ErrCallback is for a callback that its provider did not send, or not now.
	ErrCallback = &core.Error{Kind: core.KindUnauthenticated, Code: "courses.bad_callback", Message: "the callback is not the provider's"}
)

// The errors of lesson files.
var (
	ErrFileNotFound = &core.Error{Kind: core.KindNotFound, Code: "courses.file_not_found", Message: "the lesson has no such file"}
	// ErrLessonKind is for the file of a lesson that is a text.
	ErrLessonKind = &core.Error{Kind: core.KindFailedPrecondition, Code: "courses.lesson_kind", Message: "only lessons of the kinds video and file have a file"}
	// ErrFileSize is for a file that is empty or larger than Config.MaxFile.
	ErrFileSize = &core.Error{Kind: core.KindInvalid, Code: "courses.file_size", Message: "the file is empty or too large"}
	// ErrFilesNotSetUp says what a platform lacks to keep files of lessons.
	ErrFilesNotSetUp = &core.Error{Kind: core.KindUnavailable, Code: "courses.files_not_set_up", Message: "this platform keeps no files of lessons"}
)

// ErrNeedCurrency is for prices to be compared in a catalogue of several currencies.
var ErrNeedCurrency = core.Invalid("currency", "required", "", "", "the catalogue has prices in several currencies: name one").WithCode("courses.currency_required")
