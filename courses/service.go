package courses

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/blob"
	"github.com/ustat/ustat/blob/media"
	"github.com/ustat/ustat/core"
)

// Users is what the catalogue asks accounts for: the people on a page.
type Users interface {
	UsersByID(ctx context.Context, ids []core.UserID) ([]accounts.User, error)
	NamesByID(ctx context.Context, ids []core.UserID) ([]accounts.Name, error)
	UserByUsername(ctx context.Context, username string) (accounts.User, error)
}

// Producers is what the catalogue asks accounts for: whose courses a producer runs.
type Producers interface {
	// TeacherIDs returns the teachers linked to a producer, in any order, by one
	// statement.
	TeacherIDs(ctx context.Context, producer core.UserID) ([]core.UserID, error)
}

// Config is what a Service is made of.
type Config struct {
	Store     Store
	Users     Users
	Producers Producers // nil means that producers have no teachers
	Cursors   *core.Cursors
	Validator *core.Validator // nil means a new one
	Clock     core.Clock      // nil means the machine's
	// Payments are the providers of payments; the first is taken where an order names
	// none. CheckPayments says which lists are refused.
	Payments []Payments
	// OrderTTL is how long an order waits for its money. Zero means 24 h.
	OrderTTL time.Duration
	// ReturnURL returns where the buyer of an order comes back to from the provider's
	// page. Nil means nowhere.
	ReturnURL func(o Order) string
	Gates     []Gate // close lessons besides the enrollment, the date and the prerequisites, after them

	// Files, Links and Queued are what it takes to keep files of lessons; where one of
	// them is missing, an upload fails with ErrFilesNotSetUp.
	Files  blob.Store
	Links  *blob.Links
	Queued bool // EventFileUploaded is delivered to ProcessLessonFile
	// MaxFile is how many bytes a file of a lesson has at most. Zero means
	// DefaultMaxFile.
	MaxFile int64

	// Certificates makes the documents of certificates. Nil means that there are none: see
	// package courses/certificate.
	Certificates CertificateRenderer

	// Trending are the choices of Service.Trending. TrendingOptions.SetDefaults says which
	// are refused.
	Trending TrendingOptions
}

// Service holds the rules of the catalogue. It is safe for concurrent use.
//
// Every method on a course takes its slug, or one that the course had before a
// rename (which costs one statement more). A course that the actor may not see is
// ErrCourseNotFound, as if it were not there. On one that they see but may not
// change, a change is core.ErrForbidden, and core.ErrUnauthenticated when nobody is
// signed in.
//
// A change checks its whole input first and names every bad field in one
// core.ErrInvalid, then takes the course's lock, so that changes of one course take
// turns. With an IfVersion other than 0, one that is no longer stored is
// core.ErrVersion. A change that is refused changes nothing. Each emits an event
// whose payload is a [Changed]; what an admin or a producer changes leaves a row in
// the audit log.
type Service struct {
	store     Store
	users     Users
	producers Producers
	cursors   *core.Cursors
	validate  *core.Validator
	clock     core.Clock
	payments  []Payments
	orderTTL  time.Duration
	returnURL func(o Order) string
	gates     []Gate
	files     lessonFiles

	certificates CertificateRenderer
	trending     TrendingOptions
}

// NewService returns a Service. Store, Users and Cursors are required.
func NewService(c Config) *Service {
	if c.Validator == nil {
		c.Validator = core.NewValidator()
	}
	if c.Clock == nil {
		c.Clock = core.SystemClock{}
	}
	if c.OrderTTL == 0 {
		c.OrderTTL = 24 * time.Hour
	}
	if c.ReturnURL == nil {
		c.ReturnURL = func(Order) string { return "" }
	}
	_ = c.Trending.SetDefaults() // what is out of bounds was refused
	gates := append([]Gate{enrollmentGate{}, dripGate{c.Clock}, prerequisiteGate{c.Store}}, c.Gates...)
	files := lessonFiles{c.Files, c.Links, c.Queued, cmp.Or(c.MaxFile, DefaultMaxFile), media.NewImages()}
	return &Service{
		store: c.Store, users: c.Users, producers: c.Producers, cursors: c.Cursors, validate: c.Validator, clock: c.Clock,
		payments: askedProviders(c.Payments), orderTTL: c.OrderTTL, returnURL: c.ReturnURL, gates: gates, files: files, certificates: c.Certificates, trending: c.Trending,
	}
}

// Page is one page of a list.
type Page[T any] = core.PageOf[T]

// Course returns a course. Three statements, one more for a producer, for a course of
// somebody else that is not published and for one with prerequisites each.
func (s *Service) Course(ctx context.Context, by core.Actor, slug string) (Course, error) {
	ctx = core.WithOperation(ctx, "courses.Course")
	c, may, err := s.visibleCourse(ctx, by, slug)
	if err != nil {
		return Course{}, err
	}
	return s.whole(ctx, by, may, c)
}

// visibleCourse returns a course that the actor sees and what else they may.
func (s *Service) visibleCourse(ctx context.Context, by core.Actor, slug string) (Course, scope, error) {
	c, may, _, err := s.visit(ctx, by, slug, false)
	return c, may, err
}

// visit is visibleCourse with what the actor is to the course, which costs one
// statement more: always with asLearner, else only where it decides whether they see
// it. It is not asked of those who may edit the course, nor of nobody.
func (s *Service) visit(ctx context.Context, by core.Actor, slug string, asLearner bool) (Course, scope, Learner, error) {
	learner := Learner{User: by.UserID}
	fail := func(err error) (Course, scope, Learner, error) { return Course{}, scope{}, learner, err }
	if !core.ValidText(slug) {
		return fail(ErrCourseNotFound)
	}
	may, err := s.scope(ctx, by)
	if err != nil {
		return fail(err)
	}
	c, err := s.courseBySlug(ctx, slug)
	if err != nil {
		return fail(err)
	}
	if (asLearner || c.Status != Published) && !by.IsAnonymous() && !may.edits(c.Teacher.ID) {
		if learner, err = s.store.LearnerOf(ctx, c.ID, by.UserID); err != nil {
			return fail(err)
		}
		may = may.with(learner)
	}
	if !may.sees(&c) {
		return fail(ErrCourseNotFound)
	}
	may.shown(&c)
	return c, may, learner, nil
}

// courseBySlug reads a course by its present slug, or else by an old one.
func (s *Service) courseBySlug(ctx context.Context, slug string) (Course, error) {
	c, err := s.store.CourseBySlug(ctx, slug)
	if !errors.Is(err, ErrCourseNotFound) {
		return c, err
	}
	present, err := s.store.CurrentSlug(ctx, slug)
	if err != nil {
		return Course{}, err
	}
	return s.store.CourseBySlug(ctx, present)
}

// whole names the teacher of a course by one statement, and those of its prerequisites
// that the actor sees by one where there are any, and one more where some are not
// published. Who may edit the course is told all, to be able to take them away.
func (s *Service) whole(ctx context.Context, by core.Actor, may scope, c Course) (Course, error) {
	if c.PrerequisiteCount > 0 {
		before, err := s.store.Prerequisites(ctx, c.ID)
		if err == nil && !may.edits(c.Teacher.ID) {
			err = s.judge(ctx, by, may, before)
		}
		if err != nil {
			return Course{}, err
		}
		c.Prerequisites = make([]string, 0, len(before))
		for _, r := range before {
			if r.Visible || may.edits(c.Teacher.ID) {
				c.Prerequisites = append(c.Prerequisites, r.Slug)
			}
		}
	}
	list := []Course{c}
	err := s.nameTeachers(ctx, list)
	return list[0], err
}

// answer names the teacher of a course that has just been committed by who may edit it. Whatever comes
// between, what is stored is not refused any more: the caller's end does not count,
// and where the names cannot be had it is core.ErrOutcomeUnknown, to look again.
func (s *Service) answer(ctx context.Context, c Course) (Course, error) {
	c, err := s.whole(context.WithoutCancel(ctx), core.Actor{}, scope{all: true}, c)
	if err != nil {
		return Course{}, core.ErrOutcomeUnknown.Because(err)
	}
	return c, nil
}

// nameTeachers fills the teachers of courses by one statement.
func (s *Service) nameTeachers(ctx context.Context, list []Course) error {
	ids := make([]core.UserID, 0, len(list))
	for _, c := range list {
		if !slices.Contains(ids, c.Teacher.ID) {
			ids = append(ids, c.Teacher.ID)
		}
	}
	names, err := s.users.NamesByID(ctx, ids)
	if err != nil {
		return err
	}
	for i := range list {
		for _, n := range names {
			if n.ID == list[i].Teacher.ID {
				list[i].Teacher.Username, list[i].Teacher.Name = n.Username, n.Name
			}
		}
	}
	return nil
}
