package courses

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/internal/fault"
)

// The events of a course. Their subject is "course/" and its id, their payload a
// [Changed].
const (
	EventCreated    = "courses.created"
	EventUpdated    = "courses.updated"
	EventSubmitted  = "courses.submitted"
	EventPublished  = "courses.published"
	EventRejected   = "courses.rejected"
	EventArchived   = "courses.archived"
	EventRestored   = "courses.restored"
	EventReassigned = "courses.reassigned"
	EventDeleted    = "courses.deleted"
	EventContent    = "courses.content_changed" // its modules or lessons
	EventTranslated = "courses.translated"      // it, a module or a lesson, into Language, or that was deleted
)

// The events of what courses are filed under. Their subject is "category/" or "tag/"
// and its id, their payload a [ShelfChanged]. The courses below or under it have no
// event of their own, though they are shown otherwise from then on, and though a
// category's deletion and a tag's make their versions grow.
const (
	EventCategoryUpdated = "courses.category_updated"
	EventCategoryDeleted = "courses.category_deleted"
	EventTagUpdated      = "courses.tag_updated"
	EventTagDeleted      = "courses.tag_deleted"
)

// ShelfChanged is the payload of the events of categories and tags.
type ShelfChanged struct {
	Slug     string `json:"slug"`               // after the change, or of what is gone
	Was      string `json:"was,omitempty"`      // the slug before, where that is another
	Parent   string `json:"parent,omitempty"`   // the slug of the category above
	Language string `json:"language,omitempty"` // of the translation that was changed
	MovedTo  string `json:"moved_to,omitempty"` // the slug of what has got the courses of a category that is gone
}

// Changed is the payload of a course's events: the course after the change.
type Changed struct {
	Course   CourseID    `json:"course"`
	Slug     string      `json:"slug"`
	Version  int64       `json:"version"`
	Status   Status      `json:"status"`
	Teacher  core.UserID `json:"teacher"`
	From     core.UserID `json:"from,omitempty"`     // the teacher before, of a course that was reassigned
	Module   ModuleID    `json:"module,omitempty"`   // the one that was changed, where it is one
	Lesson   LessonID    `json:"lesson,omitempty"`   // the one that was changed, where it is one
	Language string      `json:"language,omitempty"` // of a translation
	Reason   string      `json:"reason,omitempty"`   // of a rejection
}

// The events of learning. Their subject is "enrollment/" and its id, their payload a
// [LearningChanged].
const (
	EventEnrolled        = "courses.enrolled"   // has a seat
	EventWaitlisted      = "courses.waitlisted" // waits for one
	EventPromoted        = "courses.promoted"   // has got the seat that was waited for
	EventCancelled       = "courses.cancelled"
	EventRefunded        = "courses.refunded"
	EventLessonCompleted = "courses.lesson_completed"
	EventCompleted       = "courses.completed"

	EventCertificateIssued = "courses.certificate_issued"
)

// The events of bookmarks. Their subject is "course/" and its id, their payload a
// [LearningChanged] without an enrollment, at the price of the course.
const (
	EventBookmarked   = "courses.bookmarked"
	EventUnbookmarked = "courses.unbookmarked"
)

// LearningChanged is the payload of the events of an enrollment: it after the change.
type LearningChanged struct {
	Enrollment EnrollmentID     `json:"enrollment,omitempty"`
	Course     CourseID         `json:"course"`
	Slug       string           `json:"slug"`
	Teacher    core.UserID      `json:"teacher"`
	User       core.UserID      `json:"user"`
	Status     EnrollmentStatus `json:"status,omitempty"`
	Source     Source           `json:"source,omitempty"`
	Price      core.Money       `json:"price"`            // that was paid
	Lesson     LessonID         `json:"lesson,omitempty"` // the one that was completed
	At         time.Time        `json:"at"`
}

// The events of purchases. Their subject is "order/" and its id, their payload an
// [OrderChanged].
const (
	EventOrderCreated  = "courses.order_created"
	EventOrderPaid     = "courses.order_paid"
	EventOrderExpired  = "courses.order_expired"  // not paid in time, or the payment failed
	EventOrderRefunded = "courses.order_refunded" // the money has gone back
)

// OrderChanged is the payload of the events of an order: it after the change.
type OrderChanged struct {
	Order    uuid.UUID   `json:"order"`
	Course   CourseID    `json:"course"`
	Slug     string      `json:"slug"`
	Teacher  core.UserID `json:"teacher"`
	User     core.UserID `json:"user"`
	Status   OrderStatus `json:"status"`
	Price    core.Money  `json:"price"` // of the course
	Total    core.Money  `json:"total"` // that is paid
	Coupon   string      `json:"coupon,omitempty"`
	Provider string      `json:"provider,omitempty"`
	Code     string      `json:"code,omitempty"` // of why it was expired or refunded
	At       time.Time   `json:"at"`
}

// ordered returns an event of an order.
func (t trail) ordered(event string, teacher core.UserID, o *Order) core.Event {
	return core.NewEvent(event, o.subject(), t.by, t.at, t.purchase(teacher, o))
}

func (t trail) purchase(teacher core.UserID, o *Order) OrderChanged {
	return OrderChanged{
		Order: o.ID, Course: o.Course, Slug: o.Slug, Teacher: teacher, User: o.User, Status: o.Status, Price: o.Price, Total: o.Total,
		Coupon: o.Coupon, Provider: o.Provider, Code: o.Code, At: core.Time(t.at),
	}
}

func (o *Order) subject() string { return "order/" + o.ID.String() }

// trail is who does what, for events and the audit log.
type trail struct {
	by core.Actor
	at time.Time
}

func (s *Service) trail(by core.Actor) trail { return trail{by, s.clock.Now()} }

// changed emits an event of a course and, where it must be, leaves an audit row of
// the same name.
func (t trail) changed(ctx context.Context, tx Tx, event string, c *Course, detail Changed, privileged bool) error {
	detail.Course, detail.Slug, detail.Version, detail.Status, detail.Teacher = c.ID, c.Slug, c.Version, c.Status, c.Teacher.ID
	subject := "course/" + strconv.FormatInt(int64(c.ID), 10)
	if privileged || audited(t.by, c) {
		if err := t.audit(ctx, tx, event, subject, detail); err != nil {
			return err
		}
	}
	if err := fault.Hit("courses.changed.after_audit"); err != nil {
		return err
	}
	return tx.Emit(ctx, core.NewEvent(event, subject, t.by, t.at, detail))
}

// learned returns an event of an enrollment.
func (t trail) learned(event string, teacher core.UserID, e *Enrollment, lesson LessonID) core.Event {
	return core.NewEvent(event, e.subject(), t.by, t.at, t.learning(teacher, e, lesson))
}

// auditLearning leaves an audit row of what somebody does to another's enrollment.
func (t trail) auditLearning(ctx context.Context, tx Tx, action string, teacher core.UserID, e *Enrollment) error {
	return t.audit(ctx, tx, action, e.subject(), t.learning(teacher, e, 0))
}

func (t trail) learning(teacher core.UserID, e *Enrollment, lesson LessonID) LearningChanged {
	return LearningChanged{
		Enrollment: e.ID, Course: e.Course, Slug: e.Slug, Teacher: teacher, User: e.User, Status: e.Status, Source: e.Source,
		Price: e.PricePaid, Lesson: lesson, At: core.Time(t.at),
	}
}

func (e *Enrollment) subject() string { return "enrollment/" + strconv.FormatInt(int64(e.ID), 10) }

// shelf leaves an audit row of a category or a tag, and emits the event of the same
// name. The creation of one has none: no course is under it.
func (t trail) shelf(ctx context.Context, tx Tx, event, subject string, detail ShelfChanged) error {
	if err := t.audit(ctx, tx, event, subject, detail); err != nil {
		return err
	}
	if strings.HasSuffix(event, "_created") {
		return nil
	}
	return tx.Emit(ctx, core.NewEvent(event, subject, t.by, t.at, detail))
}

func (t trail) audit(ctx context.Context, tx Tx, action, subject string, detail any) error {
	text, err := json.Marshal(detail)
	if err != nil {
		return core.ErrInternal.Because(err)
	}
	return tx.Audit(ctx, core.AuditEntry{Actor: t.by.UserID, Action: action, Subject: subject, Detail: text, At: t.at})
}
