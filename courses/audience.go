package courses

import (
	"context"
	"slices"
	"time"

	"github.com/ustat/ustat/core"
)

// Taken is an enrollment as recommendations see it: who takes what, or took it.
type Taken struct {
	Enrollment  EnrollmentID
	User        core.UserID
	Course      CourseID
	Status      EnrollmentStatus
	EnrolledAt  time.Time
	CompletedAt time.Time // zero when it is not completed
}

// MaxTaken is how many enrollments of one user Audience looks at, the newest first, and
// how many courses of who teaches.
const MaxTaken = 10_000

// AudienceReader reads what recommendations are made of.
type AudienceReader interface {
	// CoursesByID returns those of the courses that exist, whole, in any order, by two
	// statements.
	CoursesByID(ctx context.Context, ids []CourseID) ([]Course, error)
	// CategoriesByID returns those of the categories that exist, in any order, by one
	// statement.
	CategoriesByID(ctx context.Context, ids []CategoryID) ([]Category, error)
	// TakenBy returns up to limit enrollments of a user, the newest first by (EnrolledAt,
	// Enrollment), by one statement.
	TakenBy(ctx context.Context, user core.UserID, limit int) ([]Taken, error)
	// TakenAfter returns up to limit enrollments of all users behind one, by (User,
	// EnrolledAt, Enrollment), by one statement. The zero Taken is before all.
	TakenAfter(ctx context.Context, after Taken, limit int) ([]Taken, error)
	// TaughtBy returns up to limit courses of teachers, of any status, the greatest id
	// first, by one statement.
	TaughtBy(ctx context.Context, teachers []core.UserID, limit int) ([]CourseID, error)
}

// Audience is what an actor is to the courses.
type Audience struct {
	Taken []Taken    // their enrollments of any status, the newest first
	Own   []CourseID // what they, and as a producer the teachers linked to them, teach
}

// Audience returns what the actor is to the courses, and nothing of nobody signed in. Two
// statements, one more for a producer.
func (s *Service) Audience(ctx context.Context, by core.Actor) (Audience, error) {
	ctx = core.WithOperation(ctx, "courses.Audience")
	if by.UserID <= 0 {
		return Audience{}, nil
	}
	may, err := s.scope(ctx, by)
	if err != nil {
		return Audience{}, err
	}
	var a Audience
	if a.Taken, err = s.store.TakenBy(ctx, by.UserID, MaxTaken); err != nil {
		return Audience{}, err
	}
	teachers := may.teachers
	if !slices.Contains(teachers, by.UserID) {
		teachers = append(slices.Clone(teachers), by.UserID)
	}
	a.Own, err = s.store.TaughtBy(ctx, teachers, MaxTaken)
	return a, err
}

// ByID returns those of the courses that exist, also what the actor does not see: see
// Visible. Three statements, one more for a producer and where there are courses of others
// that are not published; none for no ids.
func (s *Service) ByID(ctx context.Context, by core.Actor, ids []CourseID) (map[CourseID]Seen, error) {
	ctx = core.WithOperation(ctx, "courses.ByID")
	if len(ids) == 0 {
		return nil, nil
	}
	may, err := s.scope(ctx, by)
	if err != nil {
		return nil, err
	}
	list, err := s.store.CoursesByID(ctx, ids)
	if err != nil {
		return nil, err
	}
	if err := s.nameTeachers(ctx, list); err != nil {
		return nil, err
	}
	refs := make([]Ref, len(list))
	for i, c := range list {
		refs[i] = Ref{ID: c.ID, Status: c.Status, Teacher: c.Teacher.ID}
	}
	if err := s.judge(ctx, by, may, refs); err != nil {
		return nil, err
	}
	found := make(map[CourseID]Seen, len(list))
	for i := range list {
		may.shown(&list[i])
		found[list[i].ID] = Seen{list[i], refs[i].Visible}
	}
	return found, nil
}

// Seen is a course, and whether who asked for it sees it.
type Seen struct {
	Course
	Visible bool
}

// CategoriesByID returns those of the categories that exist, by one statement; none for no
// ids.
func (s *Service) CategoriesByID(ctx context.Context, ids []CategoryID) (map[CategoryID]Category, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	list, err := s.store.CategoriesByID(ctx, ids)
	found := make(map[CategoryID]Category, len(list))
	for _, c := range list {
		found[c.ID] = c
	}
	return found, err
}
