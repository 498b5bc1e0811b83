package analytics

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// Course returns the overview of a course: totals in which nothing has happened are zero.
func (s *Service) Course(ctx context.Context, by core.Actor, slug string) (CourseReport, error) {
	ctx = core.WithOperation(ctx, "analytics.Course")
	ref, err := s.course(ctx, by, slug)
	if err != nil {
		return CourseReport{}, err
	}
	totals, missing, err := s.c.Router.Totals(ctx, []Key{Key(ref.ID)})
	if err == nil && len(missing) > 0 {
		err = core.ErrUnavailable.Withf("shard %s does not answer", missing[0]).After(s.c.Router.opt.RetryAfter)
	}
	if err != nil {
		return CourseReport{}, err
	}
	list, err := s.withRatings(ctx, []CourseReport{{Course: ref, CourseTotals: totals[0]}})
	if err != nil {
		return CourseReport{}, err
	}
	return list[0], nil
}

// withRatings adds what courses are rated, by one statement.
func (s *Service) withRatings(ctx context.Context, list []CourseReport) ([]CourseReport, error) {
	ids := make([]courses.CourseID, len(list))
	for i, r := range list {
		ids[i] = r.Course.ID
	}
	numbers, err := s.c.Courses.ReviewNumbers(ctx, ids)
	for i := range list {
		list[i].Ratings = numbers[list[i].Course.ID]
	}
	return list, err
}

// MaxTaught is how many courses of teachers a list or a sum is made of, the youngest ones.
const MaxTaught = 1000

// Courses returns a page of the courses whose analytics the actor may read, by an order:
// for admins all that anything has happened in, for others up to MaxTaught. It fails with
// core.ErrForbidden for who teaches nothing by their role.
func (s *Service) Courses(ctx context.Context, by core.Actor, order TopOrder, page core.Page) (TopPage, error) {
	ctx = core.WithOperation(ctx, "analytics.Courses")
	if s.c.Router == nil {
		return TopPage{}, ErrNotSetUp
	}
	if err := order.check(); err != nil {
		return TopPage{}, err
	}
	read, list := s.topOfAll, "all"
	if !by.IsAdmin() {
		taught, err := s.c.Courses.Taught(ctx, by, 0, MaxTaught)
		if err != nil {
			return TopPage{}, err
		}
		read, list = s.topOf(taught), strconv.FormatInt(int64(by.UserID), 10)
	}
	var missing []string
	top, err := core.ReadPage(s.c.Cursors, fmt.Sprintf("analytics.Courses/%s/%s/%s", list, order.By, order.Currency), page,
		func(after *TopPosition, limit int) (rows []CourseTotals, err error) {
			rows, missing, err = read(ctx, order, after, limit)
			return rows, err
		},
		func(t CourseTotals) *TopPosition { return &TopPosition{order.Value(t), t.Key} })
	if err != nil {
		return TopPage{}, err
	}
	reports, err := s.reports(ctx, by, top.Items)
	return TopPage{core.PageOf[CourseReport]{Items: reports, Next: top.Next}, missing}, err
}

func (o TopOrder) check() error {
	switch {
	case o.By != TopViews && o.By != TopRevenue && o.By != TopCompletion:
		return core.Invalid("sort", "oneof", "views revenue completion", string(o.By), "courses are not ordered by that")
	case (o.By == TopRevenue) != (o.Currency != ""):
		return core.Invalid("currency", "required", "", o.Currency, "an order by revenue needs a currency, and no other takes one")
	case o.Currency != "" && len(o.Currency) != 3:
		return core.Invalid("currency", "iso4217", "", o.Currency, "three letters are expected")
	}
	return nil
}

// topReader reads a page of the best courses, and says which shards are away.
type topReader func(ctx context.Context, order TopOrder, after *TopPosition, limit int) ([]CourseTotals, []string, error)

func (s *Service) topOfAll(ctx context.Context, order TopOrder, after *TopPosition, limit int) ([]CourseTotals, []string, error) {
	return s.c.Router.Top(ctx, order, after, limit)
}

// topOf reads the best of a list of courses, which are few.
func (s *Service) topOf(list []courses.Ref) topReader {
	return func(ctx context.Context, order TopOrder, after *TopPosition, limit int) ([]CourseTotals, []string, error) {
		keys := make([]Key, len(list))
		for i, ref := range list {
			keys[i] = Key(ref.ID)
		}
		totals, missing, err := s.c.Router.Totals(ctx, keys)
		slices.SortFunc(totals, func(a, b CourseTotals) int { return compareTop(order, a, b) })
		totals = slices.DeleteFunc(totals, func(t CourseTotals) bool {
			return after != nil && (order.Value(t) > after.Value || order.Value(t) == after.Value && t.Key <= after.Key)
		})
		return totals[:min(limit, len(totals))], missing, err
	}
}

// reports names the courses of totals; those that are gone are left out. Two statements,
// one more for a producer.
func (s *Service) reports(ctx context.Context, by core.Actor, totals []CourseTotals) ([]CourseReport, error) {
	ids := make([]courses.CourseID, len(totals))
	for i, t := range totals {
		ids[i] = t.Key.Course()
	}
	refs, err := s.c.Courses.Refs(ctx, by, ids)
	if err != nil {
		return nil, err
	}
	var list []CourseReport
	for _, t := range totals {
		if ref, ok := refs[t.Key.Course()]; ok {
			list = append(list, CourseReport{Course: ref, CourseTotals: t})
		}
	}
	return s.withRatings(ctx, list)
}

// Funnel returns how many people got how far in a course: they viewed it, enrolled,
// started, completed it. Each of them counts once in a step, whatever the others.
func (s *Service) Funnel(ctx context.Context, by core.Actor, slug string) ([]Step, error) {
	r, err := s.Course(ctx, by, slug)
	if err != nil {
		return nil, err
	}
	return []Step{{"view", r.UniqueViewers}, {"enroll", r.Enrollments}, {"start", r.Starts}, {"complete", r.Completions}}, nil
}

// DropOff returns up to MaxLessons lessons of a course that somebody has started, by id:
// how many learners have started and completed each.
func (s *Service) DropOff(ctx context.Context, by core.Actor, slug string) ([]LessonCounts, error) {
	ctx = core.WithOperation(ctx, "analytics.DropOff")
	ref, err := s.course(ctx, by, slug)
	if err != nil {
		return nil, err
	}
	return s.c.Router.Lessons(ctx, Key(ref.ID), LessonKey{}, MaxLessons)
}

// Retention returns the cohorts of learners by the week of UTC in which they enrolled, from
// the one with from in it to the one with to: for each, how many were active in each week
// after. A zero to is now, a zero from 12 weeks before to. Weeks without an enrollment are
// there with zeros. It fails with core.ErrInvalid
// for more than MaxCohorts weeks and where to is before from.
func (s *Service) Retention(ctx context.Context, by core.Actor, slug string, from, to time.Time) ([]Cohort, error) {
	ctx = core.WithOperation(ctx, "analytics.Retention")
	from, to = s.span(from, to, standardWeeks*7*day)
	if err := checkSpan(from, to, s.c.Clock.Now()); err != nil {
		return nil, err
	}
	first, last, present := WeekOf(from), WeekOf(to), WeekOf(s.c.Clock.Now())
	if int(last-first) >= MaxCohorts {
		return nil, core.Invalid("to", "max", strconv.Itoa(MaxCohorts)+" weeks", to.Format(time.RFC3339), "the span is too long")
	}
	ref, err := s.course(ctx, by, slug)
	if err != nil {
		return nil, err
	}
	counts, err := s.c.Router.Cohorts(ctx, Key(ref.ID), first, last)
	if err != nil {
		return nil, err
	}
	cohorts := make([]Cohort, last-first+1)
	for i := range cohorts {
		week := first + Week(i)
		cohorts[i] = Cohort{Week: week.Start(), Active: make([]int64, min(max(present-week, 0), MaxWeeks))}
	}
	for _, c := range counts {
		switch cohort := &cohorts[c.Week-first]; {
		case c.Later == 0:
			cohort.Size = c.N
		case c.Later <= len(cohort.Active):
			cohort.Active[c.Later-1] = c.N
		}
	}
	return cohorts, nil
}

// The spans of who names none.
const (
	day           = 24 * time.Hour
	standardDays  = 30
	standardWeeks = 12
)

// span returns a span with its standards: up to now, and so long.
func (s *Service) span(from, to time.Time, long time.Duration) (time.Time, time.Time) {
	if to.IsZero() {
		to = s.c.Clock.Now()
	}
	if from.IsZero() {
		from = to.Add(-long)
	}
	return from, to
}

// checkSpan refuses a span that is no span or lies outside of what events have.
func checkSpan(from, to, now time.Time) error {
	switch {
	case from.Before(Earliest):
		return core.Invalid("from", "min", Earliest.Format(time.DateOnly), from.UTC().Format(time.RFC3339), "there are no events that early")
	case !to.After(from):
		return core.Invalid("to", "after", "from", to.UTC().Format(time.RFC3339), "the end is after the beginning")
	case to.After(now.AddDate(1, 0, 0)):
		return core.Invalid("to", "max", "a year ahead", to.UTC().Format(time.RFC3339), "the end lies too far ahead")
	}
	return nil
}

// TeacherRevenue returns what the courses of a teacher have earned, by currency, and the
// courses that it is made of, the youngest first. It is for the teacher, for producers
// linked to them and for admins.
func (s *Service) TeacherRevenue(ctx context.Context, by core.Actor, teacher string) (RevenueReport, error) {
	ctx = core.WithOperation(ctx, "analytics.TeacherRevenue")
	switch {
	case s.c.Router == nil:
		return RevenueReport{}, ErrNotSetUp
	case by.IsAnonymous():
		return RevenueReport{}, core.ErrUnauthenticated
	}
	user, err := s.c.Users.UserByUsername(ctx, teacher)
	if err != nil {
		return RevenueReport{}, err
	}
	taught, err := s.c.Courses.Taught(ctx, by, user.ID, MaxTaught)
	if err != nil {
		return RevenueReport{}, err
	}
	keys := make([]Key, len(taught))
	for i, ref := range taught {
		keys[i] = Key(ref.ID)
	}
	totals, missing, err := s.c.Router.Totals(ctx, keys)
	if err != nil {
		return RevenueReport{}, err
	}
	report := RevenueReport{Teacher: user.Username, Missing: missing, Courses: make([]CourseReport, len(taught))}
	for i, ref := range taught {
		report.Courses[i] = CourseReport{Course: ref, CourseTotals: totals[i]}
		if report.Total, err = addRevenue(report.Total, totals[i].Revenue); err != nil {
			return RevenueReport{}, err
		}
	}
	report.Courses, err = s.withRatings(ctx, report.Courses)
	return report, err
}

// addRevenue adds to sums by currency, which are checked.
func addRevenue(sum, more []Revenue) ([]Revenue, error) {
	for _, m := range more {
		i := slices.IndexFunc(sum, func(r Revenue) bool { return r.Currency == m.Currency })
		if i < 0 {
			sum = append(sum, m)
			continue
		}
		for _, part := range []struct{ to, more *int64 }{{&sum[i].Gross, &m.Gross}, {&sum[i].Back, &m.Back}} {
			added, err := core.Money{Minor: *part.to, Currency: m.Currency}.Add(core.Money{Minor: *part.more, Currency: m.Currency})
			if err != nil {
				return nil, err
			}
			*part.to = added.Minor
		}
	}
	slices.SortFunc(sum, func(a, b Revenue) int { return strings.Compare(a.Currency, b.Currency) })
	return sum, nil
}
