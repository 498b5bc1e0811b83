package ustat_test

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage"
	"github.com/ustat/ustat/transfer"
)

// classroom is a backend with teachers, learners and courses of the first teacher.
type classroom struct {
	t       *testing.T
	backend *storage.Backend
	users   map[string]accounts.User
	courses []courses.Course
}

func newClassroom(t *testing.T, b *storage.Backend, learners int) *classroom {
	t.Helper()
	c := &classroom{t: t, backend: b, users: map[string]accounts.User{}}
	_, err := b.Schema.Migrate(t.Context())
	require.NoError(t, err)
	now := core.Time(time.Now())
	people := []accounts.User{{Username: "teacher", Role: core.Teacher}, {Username: "heir", Role: core.Teacher}}
	for i := range learners {
		people = append(people, accounts.User{Username: fmt.Sprintf("learner-%d", i), Role: core.Student})
	}
	for i := range people {
		people[i].Email, people[i].Active, people[i].CreatedAt, people[i].UpdatedAt = people[i].Username+"@example.org", true, now, now
	}
	require.NoError(t, b.Accounts.Update(t.Context(), func(ctx context.Context, tx accounts.Tx) (err error) {
		people, err = tx.InsertUsers(ctx, people)
		return err
	}))
	for _, u := range people {
		c.users[u.Username] = u
	}
	c.update(func(ctx context.Context, tx courses.Tx) error {
		shelf, err := tx.InsertCategories(ctx, []courses.Category{{Slug: "all", Name: "All"}})
		if err != nil {
			return err
		}
		var list []courses.Course
		for i := range 6 {
			list = append(list, courses.Course{
				Slug: fmt.Sprintf("course-%d", i), Title: "Course", Price: core.Money{Currency: "EUR"}, Status: courses.Published, Category: shelf[0],
				Teacher: courses.Teacher{ID: people[0].ID}, CreatedAt: now, UpdatedAt: now, PublishedAt: now,
			})
		}
		c.courses, err = tx.InsertCourses(ctx, list)
		return err
	})
	return c
}

func (c *classroom) update(fn func(ctx context.Context, tx courses.Tx) error) {
	c.t.Helper()
	require.NoError(c.t, c.backend.Courses.Update(c.t.Context(), fn))
}

func (c *classroom) id(username string) core.UserID { return c.users[username].ID }

// enrollment returns one of a learner in the nth course.
func (c *classroom) enrollment(username string, course int, status courses.EnrollmentStatus) courses.Enrollment {
	e := courses.Enrollment{
		Course: c.courses[course].ID, User: c.id(username), Status: status, Source: courses.SourceFree, PricePaid: core.Money{Currency: "EUR"}, EnrolledAt: core.Time(time.Now()),
	}
	if status == courses.Completed {
		e.CompletedAt = e.EnrolledAt
	}
	return e
}

// put stores enrollments and tells of each of them times times.
func (c *classroom) put(event string, times int, list ...courses.Enrollment) (out []courses.Enrollment) {
	c.t.Helper()
	c.update(func(ctx context.Context, tx courses.Tx) (err error) {
		if out, err = tx.InsertEnrollments(ctx, list); err != nil {
			return err
		}
		for _, e := range slices.Repeat(out, times) {
			if err := c.tell(ctx, tx, event, e); err != nil {
				return err
			}
		}
		return nil
	})
	return out
}

func (c *classroom) tell(ctx context.Context, tx courses.Tx, event string, e courses.Enrollment) error {
	return tx.Emit(ctx, core.NewEvent(event, "enrollment/1", core.Actor{UserID: e.User}, time.Now(), courses.LearningChanged{
		Enrollment: e.ID, Course: e.Course, Teacher: c.id("teacher"), User: e.User, Status: e.Status, At: time.Now(),
	}))
}

// codes returns what a user has been awarded.
func (c *classroom) codes(username string) (codes []string) {
	awards, err := c.backend.Accounts.AwardsOf(context.Background(), []core.UserID{c.id(username)})
	require.NoError(c.t, err)
	for _, a := range awards {
		codes = append(codes, a.Code)
	}
	slices.Sort(codes)
	return codes
}

func (c *classroom) soon(username string, codes ...string) {
	c.t.Helper()
	slices.Sort(codes)
	require.Eventually(c.t, func() bool { return slices.Equal(c.codes(username), codes) }, 30*time.Second, 20*time.Millisecond, "%s: want %v", username, codes)
}

// settled waits until no event waits and no job is worked.
func settled(t *testing.T, b *storage.Backend, db *sql.DB) {
	t.Helper()
	require.Eventually(t, func() bool {
		for _, box := range []core.Outbox{b.Accounts, b.Courses} {
			pending, err := box.Pending(context.Background(), 1)
			require.NoError(t, err)
			if len(pending) > 0 {
				return false
			}
		}
		var open int
		require.NoError(t, db.QueryRow("SELECT count(*) FROM river_job WHERE state NOT IN ('completed', 'discarded', 'cancelled') AND kind LIKE '%achievements%'").Scan(&open))
		return open == 0
	}, 30*time.Second, 20*time.Millisecond)
}

func TestAchievementsComeByEventsOnceFromTwoProcesses(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, p place) {
		b := p.backend(t)
		t.Cleanup(func() { require.NoError(t, b.Close()) })
		c := newClassroom(t, b, 101)
		for range 2 {
			p.running(t, ustat.Config{}, nil)
		}
		// One course, then four more, each told of three times.
		c.put(courses.EventCompleted, 3, c.enrollment("learner-0", 0, courses.Completed))
		c.soon("learner-0", ustat.FirstCourse)
		for i := 1; i < 4; i++ {
			c.put(courses.EventCompleted, 3, c.enrollment("learner-0", i, courses.Completed))
		}
		c.put(courses.EventEnrolled, 3, c.enrollment("learner-0", 5, courses.Active))
		settled(t, b, p.handle(t))
		require.Equal(t, []string{ustat.FirstCourse}, c.codes("learner-0"), "four are completed")
		c.put(courses.EventCompleted, 3, c.enrollment("learner-0", 4, courses.Completed))
		c.soon("learner-0", ustat.FirstCourse, ustat.FiveCourses)

		// Six days on end, told of, and the seventh.
		streak := c.put(courses.EventEnrolled, 1, c.enrollment("learner-1", 5, courses.Active))[0]
		start := core.Time(time.Date(2024, 2, 26, 23, 59, 0, 0, time.UTC))
		for d := range 7 {
			if d == 6 {
				settled(t, b, p.handle(t))
				require.Empty(t, c.codes("learner-1"))
			}
			c.update(func(ctx context.Context, tx courses.Tx) error {
				done := courses.LessonProgress{Enrollment: streak.ID, Lesson: courses.LessonID(d + 1), CompletedAt: start.AddDate(0, 0, d)}
				if _, err := tx.CompleteLesson(ctx, done); err != nil {
					return err
				}
				return c.tell(ctx, tx, courses.EventLessonCompleted, streak)
			})
		}
		c.soon("learner-1", ustat.SevenDayStreak)

		// 99 students by now and then the hundredth.
		var more []courses.Enrollment
		for i := 2; i < 94; i++ {
			more = append(more, c.enrollment(fmt.Sprintf("learner-%d", i), 0, courses.Active))
		}
		c.put(courses.EventEnrolled, 1, more...)
		settled(t, b, p.handle(t))
		require.Empty(t, c.codes("teacher"), "99 students")
		c.put(courses.EventPromoted, 2, c.enrollment("learner-94", 0, courses.Active))
		c.soon("teacher", ustat.HundredStudents)
		settled(t, b, p.handle(t))
		var told int
		require.NoError(t, p.handle(t).QueryRow("SELECT count(*) FROM ustat_outbox WHERE type = 'accounts.achievement_awarded'").Scan(&told))
		require.Equal(t, 4, told, "an award is told of once")
	})
}

func TestWhatIsImportedCountsAndAnAdminMayAsk(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, p place) {
		b := p.backend(t)
		t.Cleanup(func() { require.NoError(t, b.Close()) })
		c := newClassroom(t, b, 3)
		platform := p.running(t, ustat.Config{}, nil)
		insert := func(event string, payload any, e courses.Enrollment) {
			c.update(func(ctx context.Context, tx courses.Tx) error {
				if _, err := tx.InsertEnrollments(ctx, []courses.Enrollment{e}); err != nil {
					return err
				}
				if event == "" {
					return nil
				}
				return tx.Emit(ctx, core.NewEvent(event, "file", core.Actor{}, time.Now(), payload))
			})
		}
		insert(transfer.EventImported, transfer.Imported{File: "lessons.csv", Inserted: 1}, c.enrollment("learner-0", 0, courses.Completed))
		settled(t, b, p.handle(t))
		require.Empty(t, c.codes("learner-0"), "lessons alone earn nothing")
		insert(transfer.EventImported, transfer.Imported{File: "enrollments.csv", Inserted: 1}, c.enrollment("learner-1", 0, courses.Completed))
		c.soon("learner-1", ustat.FirstCourse)
		c.soon("learner-0", ustat.FirstCourse)
		insert("", nil, c.enrollment("learner-2", 0, courses.Completed))
		require.NoError(t, platform.Accounts.RecomputeAchievements(t.Context(), accounts.System))
		c.soon("learner-2", ustat.FirstCourse)
	})
}

func TestAnOwnRuleTakesThePlaceOfABuiltInOne(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, p place) {
		b := p.backend(t)
		t.Cleanup(func() { require.NoError(t, b.Close()) })
		c := newClassroom(t, b, 1)
		retired := ustat.BuiltInAchievements()[0]
		require.Equal(t, ustat.FirstCourse, retired.Code)
		retired.Earned = nil
		platform := p.running(t, ustat.Config{Achievements: []accounts.Rule{retired, {
			Achievement: accounts.Achievement{Code: "diligent", Title: "Усердие"}, Types: []string{courses.EventCompleted},
			About: func(e core.Event) []core.UserID { return []core.UserID{e.Actor} },
			Earned: func(_ context.Context, users []core.UserID, _ accounts.Facts) ([]core.UserID, error) {
				return users, nil
			},
		}}}, nil)
		c.put(courses.EventCompleted, 2, c.enrollment("learner-0", 0, courses.Completed))
		c.soon("learner-0", "diligent")
		all, err := platform.Accounts.Achievements(t.Context(), core.Actor{})
		require.NoError(t, err)
		var codes []string
		for _, a := range all {
			codes = append(codes, a.Code)
		}
		require.Equal(t, []string{ustat.FiveCourses, ustat.SevenDayStreak, ustat.HundredStudents, "diligent"}, codes)
		profile, err := platform.Accounts.Profile(t.Context(), "learner-0")
		require.NoError(t, err)
		require.Equal(t, "Усердие", profile.Achievements[0].Title)
	})
}
