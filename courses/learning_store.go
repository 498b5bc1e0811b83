package courses

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/ustat/ustat/core"
)

// EnrollmentQuery asks for enrollments, the newest first by (EnrolledAt, ID), or with
// Course and the status Waiting those who have waited longest first. Conditions are
// joined by and; a zero field is none. User or Course is always set.
type EnrollmentQuery struct {
	User   core.UserID
	Course CourseID
	Status EnrollmentStatus
	After  *Position // EnrolledAt in Unix microseconds, ID
	Limit  int
}

// BookmarkQuery asks for the bookmarks of a user: of published courses, of those in
// which they are seated, and of those of Teachers, where nil is everyone's.
type BookmarkQuery struct {
	User     core.UserID
	Teachers []core.UserID
	After    *Position
	Limit    int
}

// Attendance is a learner before a lesson.
type Attendance struct {
	Enrollment Enrollment
	Course     Course
	Lesson     Lesson
}

// LearningReader reads who takes what, and how far they are. What it returns as filled
// on reading is counted in the statement that reads it.
type LearningReader interface {
	// EnrollmentByID returns an enrollment, or fails with ErrEnrollmentNotFound.
	EnrollmentByID(ctx context.Context, id EnrollmentID) (Enrollment, error)
	// Attendance returns an enrollment with its course and one of its lessons, by one
	// statement, or fails with ErrEnrollmentNotFound. The enrollment's Lessons and Done and
	// the course's Tags are not filled. Where the course has no such lesson, that is empty.
	Attendance(ctx context.Context, id EnrollmentID, lesson LessonID) (Attendance, error)
	// LearnerOf returns what a user is to a course, by one statement.
	LearnerOf(ctx context.Context, course CourseID, user core.UserID) (Learner, error)
	// Enrollments returns up to q.Limit enrollments behind q.After, by one statement.
	Enrollments(ctx context.Context, q EnrollmentQuery) ([]Enrollment, error)
	// EnrollmentsOf returns those enrollments of the users in the courses that exist, in
	// any order, for imports: pairs by position in the two lists, at most 5,000. Lessons
	// and Done are not counted.
	EnrollmentsOf(ctx context.Context, courses []CourseID, users []core.UserID) ([]Enrollment, error)
	// SeatsOf returns the places of those courses that exist, by their present slugs, in
	// any order, by one statement.
	SeatsOf(ctx context.Context, slugs []string) ([]Seats, error)
	// LessonRefs returns those lessons that stand at the places, each once, in any order,
	// with no more than ids and positions.
	LessonRefs(ctx context.Context, places []Place) ([]Placed[Lesson], error)
	// ProgressAt returns what is stored of pairs of an enrollment and a lesson, in any
	// order; their times are ignored.
	ProgressAt(ctx context.Context, pairs []LessonProgress) ([]LessonProgress, error)
	// CompletedLessons returns which lessons of an enrollment's course were completed,
	// those with an id above after, by id, up to limit.
	CompletedLessons(ctx context.Context, id EnrollmentID, after LessonID, limit int) ([]LessonProgress, error)
	// NextLesson returns the first lesson, by module position and position, that an
	// enrollment has not completed, or 0 where there is none.
	NextLesson(ctx context.Context, id EnrollmentID) (LessonID, error)
	// Prerequisites returns the courses that come before one, in order of their ids, by
	// one statement.
	Prerequisites(ctx context.Context, course CourseID) ([]Ref, error)
	// Unmet returns the ids of the prerequisites of a course that a user has not
	// completed, in order. What was completed and refunded since does not count.
	Unmet(ctx context.Context, course CourseID, user core.UserID) ([]CourseID, error)
	// Bookmarked returns up to q.Limit courses behind q.After that a user has marked, the
	// latest first by (At, course), each with the place of its mark: At in Unix
	// microseconds, the id. At most two statements.
	Bookmarked(ctx context.Context, q BookmarkQuery) ([]Hit, error)
}

// LearningWriter writes who takes what. It keeps Stats.Students and Stats.Completions
// of the courses exact in the same transaction: the seated enrollments, and those that
// were ever completed and are seated.
type LearningWriter interface {
	// SeatsForUpdate returns the places of a course by its present slug or an old one,
	// and locks the course as CourseForUpdate does: who comes for a seat takes turns. An
	// unknown slug is ErrCourseNotFound.
	SeatsForUpdate(ctx context.Context, slug string) (Seats, error)
	// EnrollmentForUpdate returns an enrollment and locks it, after its course where
	// both are locked, or fails with ErrEnrollmentNotFound.
	EnrollmentForUpdate(ctx context.Context, id EnrollmentID) (Enrollment, error)
	// LockEnrollments locks those of the enrollments that exist, in the order of their
	// ids and after their courses, and returns their versions.
	LockEnrollments(ctx context.Context, ids []EnrollmentID) (map[EnrollmentID]int64, error)
	// InsertEnrollments adds enrollments and returns them with ids, in order. A user who
	// has one of the course already is ErrEnrolled, and adds none.
	InsertEnrollments(ctx context.Context, list []Enrollment) ([]Enrollment, error)
	// AddEnrollment is InsertEnrollments of one, to a course that its caller has read by
	// SeatsForUpdate and so has locked, whose trend it writes.
	AddEnrollment(ctx context.Context, e Enrollment, trend int64) (Enrollment, error)
	// UpdateEnrollments writes all but Course, User and what is filled on reading. A
	// missing one is ErrEnrollmentNotFound.
	UpdateEnrollments(ctx context.Context, list []Enrollment) error
	// Promote gives up to n of those who wait for a seat of a course one, who have
	// waited longest by (EnrolledAt, ID) first, and returns them in that order. They are
	// active, or completed where they have a CompletedAt, and enrolled at that time. With
	// paid, those are passed over whose Source is SourceFree and who have no Entitlement.
	// Its caller holds the course's lock.
	Promote(ctx context.Context, course CourseID, n int, paid bool, at time.Time) ([]Enrollment, error)
	// CompleteLesson locks an enrollment as EnrollmentForUpdate does and adds a completed
	// lesson, and says whether that was new: a time that is stored stays. Where there is
	// no such enrollment, nothing is added.
	CompleteLesson(ctx context.Context, p LessonProgress) (added bool, err error)
	// SetProgress adds completed lessons, and writes the times of those that are there,
	// by as many statements as their blocks need. It names each once.
	SetProgress(ctx context.Context, list []LessonProgress) error
	// SetPrerequisites makes courses the prerequisites of one, and counts them beside it.
	// Courses that would come before themselves, whatever the way round, are
	// ErrPrerequisiteCycle, and nothing is changed. Its caller holds the locks of the
	// tree and of the course.
	SetPrerequisites(ctx context.Context, course CourseID, before []CourseID) error
	// SetBookmark adds a mark or takes it away, and says whether that changed anything. A
	// course that is gone is ErrCourseNotFound, after which the Update fails.
	SetBookmark(ctx context.Context, b Bookmark, on bool) (changed bool, err error)
	// CountBookmarks counts the marks of a user.
	CountBookmarks(ctx context.Context, user core.UserID) (int, error)
	// RecountLearning sets students and completions of the courses from their
	// enrollments, of all with no ids, writes only what differs and returns what did.
	RecountLearning(ctx context.Context, ids []CourseID) ([]CourseID, error)
}

// OrderQuery asks for orders, the newest first by ID. Conditions are joined by and; a
// zero field is none.
type OrderQuery struct {
	User   core.UserID
	Course CourseID
	Status OrderStatus
	After  uuid.UUID // that the page begins behind
	Limit  int
}

// OrderReader reads purchases.
type OrderReader interface {
	// OrderByID returns an order, or fails with ErrOrderNotFound.
	OrderByID(ctx context.Context, id uuid.UUID) (Order, error)
	// Orders returns up to q.Limit orders behind q.After, by one statement.
	Orders(ctx context.Context, q OrderQuery) ([]Order, error)
	// UnsettledOrders returns up to limit orders that are Watched and were last looked at
	// before a time, the oldest first.
	UnsettledOrders(ctx context.Context, before time.Time, limit int) ([]Order, error)
	// StrandedOrders returns up to limit orders that are paid and whose buyers wait for a
	// seat of a course that is archived, the oldest first.
	StrandedOrders(ctx context.Context, limit int) ([]Order, error)
	// CouponByCode returns a coupon without regard to case, or fails with
	// ErrCouponNotFound.
	CouponByCode(ctx context.Context, code string) (Coupon, error)
	// Coupons returns up to limit coupons whose folded code is behind after, by it.
	Coupons(ctx context.Context, after string, limit int) ([]Coupon, error)
}

// OrderWriter writes purchases. Locks are taken in this order: the course, then an
// order, then a coupon, then the buyer.
type OrderWriter interface {
	// OrderForUpdate returns an order and locks it, or fails with ErrOrderNotFound.
	OrderForUpdate(ctx context.Context, id uuid.UUID) (Order, error)
	// InsertOrder adds an order. Where the user has a pending one of the course, that is
	// returned instead, and false.
	InsertOrder(ctx context.Context, o Order) (stored Order, added bool, err error)
	// LockBuyer makes the transactions that ask for the same user take turns until the end
	// of this one, and returns how many orders of the user are open: Watched, and not being
	// refunded. The lock comes after those of coupons.
	LockBuyer(ctx context.Context, user core.UserID) (open int, err error)
	// UpdateOrder writes all of an order but what it is about: course, user, price,
	// coupon and total stay. A missing one is ErrOrderNotFound.
	UpdateOrder(ctx context.Context, o Order) error
	// TouchOrders says that orders were looked at.
	TouchOrders(ctx context.Context, at time.Time, ids ...uuid.UUID) error
	// AddPaymentEvent keeps that an event of a provider was seen, and reports whether it
	// was new.
	AddPaymentEvent(ctx context.Context, provider, id string, order uuid.UUID, at time.Time) (added bool, err error)
	// InsertCoupon adds a coupon. A taken code is ErrCouponTaken.
	InsertCoupon(ctx context.Context, c Coupon) (Coupon, error)
	// UpdateCoupon writes all of a coupon but its code and Used. A missing one is
	// ErrCouponNotFound, and a Version that is not the stored one core.ErrVersion.
	UpdateCoupon(ctx context.Context, c Coupon) error
	// DeleteCoupon removes a coupon that no order names, or fails with ErrCouponInUse.
	DeleteCoupon(ctx context.Context, code string) error
	// UseCoupon takes one use of a coupon for a user by guarded statements: false where
	// its limit, or the user's, is reached, or where it is not valid at a time.
	UseCoupon(ctx context.Context, code string, user core.UserID, at time.Time) (bool, error)
	// ReleaseCoupon gives a use back.
	ReleaseCoupon(ctx context.Context, code string, user core.UserID) error
	// SetEntitlement adds or replaces a right to a course.
	SetEntitlement(ctx context.Context, e Entitlement) error
	// DeleteEntitlement takes a right away, and reports whether there was one.
	DeleteEntitlement(ctx context.Context, course CourseID, user core.UserID) (bool, error)
}
