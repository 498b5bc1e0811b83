package reports

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/analytics"
	"github.com/ustat/ustat/blob"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// Catalogue is what reports ask courses for.
type Catalogue interface {
	List(ctx context.Context, by core.Actor, filter courses.Filter, sort courses.Sort, page core.Page) (courses.Page[courses.Result], error)
}

// Users is what reports ask accounts for: the role that somebody has now.
type Users interface {
	UsersByID(ctx context.Context, ids []core.UserID) ([]accounts.User, error)
}

// Config is what a Service is made of.
type Config struct {
	// Store, Files and Queued are what it takes to make reports; where one of them is
	// missing, Request fails with ErrNotSetUp.
	Store  Store
	Files  blob.Store
	Queued bool // EventRequested is delivered to Make

	Courses Catalogue
	// Analytics is what Course and Revenue are made of. Nil means that there are none of
	// these: Request fails with ErrNotSetUp.
	Analytics Analytics
	Users     Users
	Links     *blob.Links
	Limiter   core.Limiter
	Clock     core.Clock
	Formats   []Format // beside CSV
	// PerHour is how many reports one may ask for in an hour, from 1. Zero means 20.
	PerHour int
	// Keep is how long a finished report is kept. Zero means DefaultKeep.
	Keep time.Duration
}

// The times of reports.
const (
	DefaultKeep = 7 * 24 * time.Hour
	// KeepUnfinished is how long a report is waited for before it is removed.
	KeepUnfinished = 24 * time.Hour
	// LinkTTL is how long the link that Get gives is good for.
	LinkTTL = blob.DefaultLinkTTL
)

// MaxAttempts is how often a report is begun before it has failed.
const MaxAttempts = 5

// Service holds the rules of reports. It is safe for concurrent use.
type Service struct{ c Config }

// NewService returns a Service. Of the Config, Courses, Users, Links, Limiter and
// Clock are required.
func NewService(c Config) *Service {
	c.Formats = append([]Format{CSV}, c.Formats...)
	c.PerHour, c.Keep = cmp.Or(c.PerHour, 20), cmp.Or(c.Keep, DefaultKeep)
	return &Service{c}
}

// New is what a report is asked for with.
type New struct {
	Kind   string // one of Kinds
	Format string // "csv", or the name of another format of this platform
	Filter Filter
	Key    string // idempotency: the same Key and order give the same report
}

// Request takes an order of somebody who is at least a teacher: the report is Queued,
// and written soon. It fails with core.ErrInvalid naming every bad field, with
// core.ErrUnauthenticated and core.ErrForbidden, with ErrTooMany, with ErrNotSetUp, and for
// Course and Revenue as analytics do.
func (s *Service) Request(ctx context.Context, by core.Actor, in New) (Report, error) {
	ctx = core.WithOperation(ctx, "reports.Request")
	if err := mayAsk(by); err != nil {
		return Report{}, err
	}
	if err := s.ready(); err != nil {
		return Report{}, err
	}
	if err := s.check(in); err != nil {
		return Report{}, err
	}
	if err := s.foresee(ctx, by, in); err != nil {
		return Report{}, err
	}
	user := strconv.FormatInt(int64(by.UserID), 10)
	wait, err := s.c.Limiter.Take(ctx, core.Limit{Key: "reports/" + user, Count: s.c.PerHour, Per: time.Hour})
	if err != nil {
		return Report{}, err
	}
	if wait > 0 {
		return Report{}, ErrTooMany.After(wait)
	}
	now := core.Time(s.c.Clock.Now())
	key := core.IdempotencyKey{Scope: "reports.request/" + user, Key: in.Key, Request: core.RequestHash([]any{in.Kind, in.Format, in.Filter}), At: now}
	order := Report{
		ID: uuid.Must(uuid.NewV7()), Kind: in.Kind, Format: in.Format, Filter: in.Filter, By: by.UserID,
		State: Queued, CreatedAt: now, ExpiresAt: now.Add(KeepUnfinished),
	}
	var made Report
	err = s.c.Store.Update(ctx, func(ctx context.Context, tx Tx) (err error) {
		made, err = core.Once(ctx, tx, key, func() (Report, error) {
			if err := tx.InsertReports(ctx, order); err != nil {
				return Report{}, err
			}
			return order, tx.Emit(ctx, core.NewEvent(EventRequested, "report/"+order.ID.String(), by, now, Requested{order.ID}))
		})
		return err
	})
	return made, err
}

// mayAsk holds who may have reports at all: whoever may edit courses.
func mayAsk(by core.Actor) error {
	switch {
	case by.IsAnonymous():
		return core.ErrUnauthenticated
	case by.Role.Rank() < core.Teacher.Rank():
		return core.ErrForbidden
	}
	return nil
}

// ready returns nil when reports can be made, and else says what is missing.
func (s *Service) ready() error {
	switch {
	case s.c.Store == nil:
		return ErrNotSetUp.Withf("this platform makes no reports: its storage has no store of them")
	case s.c.Files == nil:
		return ErrNotSetUp.Withf("this platform makes no reports: it has no store of files")
	case !s.c.Queued:
		return ErrNotSetUp.Withf("this platform makes no reports: it has no queue of jobs")
	}
	return nil
}

func (s *Service) check(in New) error {
	var bad []core.Violation
	oneOf := func(field, got string, known []string) {
		if !slices.Contains(known, got) {
			bad = append(bad, core.Invalid(field, "oneof", strings.Join(known, " "), got, "there is no such "+field).Violations...)
		}
	}
	oneOf("kind", in.Kind, Kinds[:])
	bad = append(bad, in.misplaced()...)
	var formats []string
	for _, f := range s.c.Formats {
		formats = append(formats, f.Name)
	}
	oneOf("format", in.Format, formats)
	if in.Filter.Status != "" {
		oneOf("status", string(in.Filter.Status), statusNames())
	}
	if bad != nil {
		return core.ErrInvalid.With(bad...)
	}
	return nil
}

// misplaced returns the fields of the filter that belong to another kind, and those that
// the kind lacks.
func (in New) misplaced() (bad []core.Violation) {
	f := in.Filter
	if !slices.Contains(Kinds[:], in.Kind) {
		return nil
	}
	for _, field := range []struct {
		name, kind    string
		given, needed bool
	}{
		{"status", Courses, f.Status != "", false},
		{"course", Course, f.Course != "", true},
		{"interval", Course, f.Interval != "", false},
		{"tz", Course, f.Zone != "", false},
		{"from", Course, !f.From.IsZero(), false},
		{"to", Course, !f.To.IsZero(), false},
		{"teacher", Revenue, f.Teacher != "", true},
	} {
		switch {
		case field.given && field.kind != in.Kind:
			bad = append(bad, core.Invalid(field.name, "unexpected", field.kind, "", "this belongs to another kind of report").Violations...)
		case field.needed && !field.given && field.kind == in.Kind:
			bad = append(bad, core.Invalid(field.name, "required", "", "", "this kind of report needs it").Violations...)
		}
	}
	if f.Course != "" && !core.IsSlug(f.Course) {
		bad = append(bad, core.Invalid("course", "slug", "", f.Course, "a slug is expected").Violations...)
	}
	if len(f.Teacher) > 64 || len(f.Zone) > 64 || !core.ValidText(f.Teacher+f.Zone) {
		bad = append(bad, core.Invalid("teacher", "max", "64", "", "names of at most 64 bytes are expected").Violations...)
	}
	return bad
}

// foresee reads what a report will be made of, so that who asks for it learns at once
// what is wrong. A shard that is away now may be back then.
func (s *Service) foresee(ctx context.Context, by core.Actor, in New) (err error) {
	if in.Kind == Courses {
		return nil
	}
	if s.c.Analytics == nil {
		return ErrNotSetUp.Withf("this platform makes no such reports: it has no analytics")
	}
	if in.Kind == Course {
		_, err = s.points(ctx, by, in.Filter)
	} else {
		_, err = s.c.Analytics.TeacherRevenue(ctx, by, in.Filter.Teacher)
	}
	if core.KindOf(err) == core.KindUnavailable && !errors.Is(err, analytics.ErrNotSetUp) {
		return nil
	}
	return err
}

func statusNames() []string {
	var names []string
	for _, status := range courses.Statuses {
		names = append(names, string(status))
	}
	return names
}

// format returns the format of that name.
func (s *Service) format(name string) (Format, error) {
	for _, f := range s.c.Formats {
		if f.Name == name {
			return f, nil
		}
	}
	return Format{}, ErrNotSetUp.Withf("this process does not write the format %q", name)
}

// Get returns a report to who asked for it and to admins; for others it is
// ErrReportNotFound. That of a report which is Done has a link to its file, good for
// LinkTTL. One statement.
func (s *Service) Get(ctx context.Context, by core.Actor, id uuid.UUID) (Report, error) {
	ctx = core.WithOperation(ctx, "reports.Get")
	if err := mayAsk(by); err != nil {
		return Report{}, err
	}
	if s.c.Store == nil {
		return Report{}, s.ready()
	}
	r, err := s.c.Store.ReportByID(ctx, id)
	if err != nil {
		return Report{}, err
	}
	if r.By != by.UserID && !by.IsAdmin() {
		return Report{}, ErrReportNotFound
	}
	if r.State != Done {
		return r, nil
	}
	key := r.Files[len(r.Files)-1]
	r.TokenExpires = s.c.Clock.Now().Add(LinkTTL).Truncate(time.Second)
	r.Token, err = s.c.Links.Sign(blob.Link{
		Key: key, Name: fmt.Sprintf("%s-%s.%s", r.Kind, r.FinishedAt.Format("2006-01-02"), key.Type()), Expires: r.TokenExpires,
	})
	return r, err
}
