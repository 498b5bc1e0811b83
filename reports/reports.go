// Package reports writes what the platform knows as files for spreadsheets and for
// other programs, in the background.
//
// [Service.Request] takes an order, [Service.Make] is the job that writes the file, and
// [Service.Get] gives a link to it that expires. What a report shows is what the one
// who asked for it may see while it is written.
package reports

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/ustat/ustat/analytics"
	"github.com/ustat/ustat/blob"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// The kinds of reports.
const (
	Courses = "courses" // on the courses that one may edit
	Course  = "course"  // on what happened in one course, by hours, days, weeks or months
	Revenue = "revenue" // on what the courses of a teacher have earned
)

// Kinds lists every kind.
var Kinds = [...]string{Courses, Course, Revenue}

// State is how far a report is.
type State string

// The states: a report is Queued, Running, and then Done or Failed for good.
const (
	Queued  State = "queued"
	Running State = "running"
	Done    State = "done"
	Failed  State = "failed"
)

// States lists every state.
var States = [...]State{Queued, Running, Done, Failed}

// Filter chooses what is reported. Zero fields do not filter; those of another kind are
// refused.
type Filter struct {
	Status courses.Status `json:"status,omitempty"` // of Courses
	// Of Course: its slug, which is needed, and what analytics.Service.Series takes: a zero
	// To is when the report is written, a zero From 30 days before. Interval is a day
	// without one.
	Course   string         `json:"course,omitempty"`
	Interval analytics.Unit `json:"interval,omitempty"`
	Zone     string         `json:"tz,omitempty"` // of IANA; empty is UTC
	From     time.Time      `json:"from,omitzero"`
	To       time.Time      `json:"to,omitzero"`
	// Of Revenue: the username of the teacher, which is needed.
	Teacher string `json:"teacher,omitempty"`
}

// Report is an order and what has become of it.
type Report struct {
	ID     uuid.UUID
	Kind   string
	Format string // the Name of a Format
	Filter Filter
	By     core.UserID // who asked for it
	State  State
	// Files are the keys of the attempts so far. Of a report that is Done the last one
	// is its file; the others may be there or not.
	Files      []blob.Key
	Rows       int    // without the header; 0 until it is Done
	Code       string // why it has Failed: a code of core.Error
	CreatedAt  time.Time
	FinishedAt time.Time // zero until it is Done or Failed
	ExpiresAt  time.Time // when it is removed, with its files

	// Token and TokenExpires are of a link to the file, that Service.Get makes. They are
	// not stored.
	Token        string
	TokenExpires time.Time
}

func (r *Report) finished() bool { return r.State == Done || r.State == Failed }

// isAttempt reports whether key is of the latest attempt of a report under way.
func (r *Report) isAttempt(key blob.Key) bool {
	return !r.finished() && len(r.Files) > 0 && r.Files[len(r.Files)-1] == key
}

// EventRequested is the type of the event by which a report is asked for; its payload
// is a Requested.
const EventRequested = "reports.requested"

// Requested is the payload of EventRequested.
type Requested struct {
	ID uuid.UUID `json:"id"`
}

// The errors of reports.
var (
	ErrReportNotFound = &core.Error{Kind: core.KindNotFound, Code: "reports.not_found", Message: "there is no such report"}
	// ErrNotSetUp says what a platform lacks to make reports.
	ErrNotSetUp = &core.Error{Kind: core.KindUnavailable, Code: "reports.not_set_up", Message: "this platform makes no reports"}
	// ErrTooMany is returned when one asks for more reports than Config.PerHour.
	ErrTooMany = &core.Error{Kind: core.KindRateLimited, Code: "reports.too_many", Message: "too many reports were asked for: come back later"}
	// ErrGivenUp is why a report has failed whose attempts all ended without an answer.
	ErrGivenUp = &core.Error{Kind: core.KindInternal, Code: "reports.given_up", Message: "the report could not be written"}
)

// Reader is the reading half of Store. Inside a Tx it sees the transaction.
type Reader interface {
	// ReportByID returns a report, or fails with ErrReportNotFound.
	ReportByID(ctx context.Context, id uuid.UUID) (Report, error)
	// ExpiredReports returns up to limit reports whose ExpiresAt is before a time, the
	// first to expire first.
	ExpiredReports(ctx context.Context, before time.Time, limit int) ([]Report, error)
}

// Tx is the only place where writes exist.
type Tx interface {
	core.Tx
	Reader
	// InsertReports adds reports, of which the caller has made the IDs, all or none. One
	// whose ID is there is core.ErrConflict, which leaves the Tx usable.
	InsertReports(ctx context.Context, list ...Report) error
	// ReportForUpdate returns a report and keeps others from changing it until the end
	// of the transaction, or fails with ErrReportNotFound.
	ReportForUpdate(ctx context.Context, id uuid.UUID) (Report, error)
	// UpdateReport writes State, Files, Rows, Code, FinishedAt and ExpiresAt of the report
	// with that ID, or fails with ErrReportNotFound.
	UpdateReport(ctx context.Context, r Report) error
	// DeleteReports removes those of the reports that are there and returns how many.
	DeleteReports(ctx context.Context, ids ...uuid.UUID) (int, error)
}

// Store keeps reports, without their files. Implementations are safe for concurrent
// use, keep times in UTC with microseconds, and pass storagetest.RunReports.
type Store interface {
	Reader
	core.Outbox
	// Update runs fn in one transaction: nil commits, an error or a panic rolls back.
	// Fn may run again after a serialization failure, so it touches nothing but tx and
	// assigns results whole.
	Update(ctx context.Context, fn func(ctx context.Context, tx Tx) error) error
}
