package ustat_test

import (
	"context"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/analytics"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage"
	"github.com/ustat/ustat/storage/sqlite"
)

// measured is a platform with courses of two teachers, one of whom a producer is linked
// to, and events.
type measured struct {
	*ustat.Platform
	backend                        *storage.Backend
	admin, anna, boris, pavel, sam core.Actor
	courses                        []courses.Course // the first three are Anna's, the last one is Boris's
}

func newMeasured(t *testing.T, config *ustat.Config) *measured {
	t.Helper()
	ctx := t.Context()
	m := &measured{backend: must(sqlite.InMemory(ctx, nil))(t)}
	m.Platform = must(ustat.New(m.backend, config))(t)
	require.NoError(t, m.Start(ctx))
	t.Cleanup(func() { require.NoError(t, m.Stop(context.Background())) })
	for actor, u := range map[*core.Actor]accounts.NewUser{
		&m.admin: {Username: "olga", Role: core.Admin}, &m.anna: {Username: "anna", Role: core.Teacher}, &m.boris: {Username: "boris", Role: core.Teacher},
		&m.pavel: {Username: "pavel", Role: core.Producer}, &m.sam: {Username: "sam", Role: core.Student},
	} {
		u.Email = u.Username + "@example.org"
		made := must(m.Accounts.CreateUser(ctx, accounts.System, u))(t)
		*actor = core.Actor{UserID: made.ID, Role: made.Role}
	}
	require.NoError(t, m.Accounts.LinkTeacher(ctx, m.admin, "pavel", "anna"))
	require.NoError(t, m.backend.Courses.Update(ctx, func(ctx context.Context, tx courses.Tx) (err error) {
		var list []courses.Course
		for i, teacher := range []core.Actor{m.anna, m.anna, m.anna, m.boris} {
			slug := "course-" + strconv.Itoa(i)
			status := courses.Published
			if i == 1 {
				status = courses.Draft
			}
			list = append(list, courses.Course{Slug: slug, Title: slug, Status: status, Price: core.Money{Currency: "EUR"}, Teacher: courses.Teacher{ID: teacher.UserID}})
		}
		m.courses, err = tx.InsertCourses(ctx, list)
		return err
	}))
	var events []analytics.Event
	for i, c := range m.courses {
		for range i + 1 {
			events = append(events, analytics.Event{Type: analytics.View, Course: c.ID, User: m.sam.UserID})
		}
		events = append(events,
			analytics.Event{Type: analytics.Enroll, Course: c.ID, User: m.sam.UserID},
			analytics.Event{Type: analytics.LessonComplete, Course: c.ID, Lesson: 1, User: m.sam.UserID},
			analytics.Event{Type: analytics.Purchase, Course: c.ID, User: m.sam.UserID, Amount: core.Money{Minor: int64(100 * (i + 1)), Currency: "EUR"}},
			analytics.Event{Type: analytics.Refund, Course: c.ID, User: m.sam.UserID, Amount: core.Money{Minor: 30, Currency: "EUR"}},
		)
	}
	result, err := m.Analytics.Track(ctx, analytics.Durable, events...)
	require.NoError(t, err)
	require.Equal(t, len(events), result.Accepted)
	return m
}

func TestWhoReadsTheAnalyticsOfACourse(t *testing.T) {
	t.Parallel()
	m := newMeasured(t, nil)
	ctx := t.Context()
	from, to := time.Now().AddDate(0, 0, -1), time.Now().AddDate(0, 0, 1)
	for name, read := range map[string]func(by core.Actor) error{
		"overview":  func(by core.Actor) error { _, err := m.Analytics.Course(ctx, by, "course-0"); return err },
		"funnel":    func(by core.Actor) error { _, err := m.Analytics.Funnel(ctx, by, "course-0"); return err },
		"drop-off":  func(by core.Actor) error { _, err := m.Analytics.DropOff(ctx, by, "course-0"); return err },
		"retention": func(by core.Actor) error { _, err := m.Analytics.Retention(ctx, by, "course-0", from, to); return err },
		"series": func(by core.Actor) error {
			_, err := m.Analytics.Series(ctx, by, "course-0", analytics.ByDay, nil, from, to)
			return err
		},
		"revenue": func(by core.Actor) error { _, err := m.Analytics.TeacherRevenue(ctx, by, "anna"); return err },
	} {
		for _, by := range []core.Actor{m.admin, m.anna, m.pavel} {
			require.NoError(t, read(by), "%s for %s", name, by.Role)
		}
		for _, by := range []core.Actor{m.boris, m.sam} {
			require.ErrorIs(t, read(by), core.ErrForbidden, "%s for %s", name, by.Role)
		}
		require.ErrorIs(t, read(core.Actor{}), core.ErrUnauthenticated, name)
	}
	for _, by := range []core.Actor{m.boris, m.sam, {}} {
		_, err := m.Analytics.Course(ctx, by, "course-1")
		require.ErrorIs(t, err, courses.ErrCourseNotFound, "a draft is not there for %s", by.Role)
	}
	for _, by := range []core.Actor{m.anna, m.pavel, m.sam, {}} {
		_, err := m.Analytics.Events(ctx, by, "course-0", core.Page{})
		require.Error(t, err, "the log is for admins")
		_, err = m.Analytics.Recount(ctx, by, "course-0", false)
		require.Error(t, err)
	}
	for by, want := range map[core.Actor]error{m.admin: nil, m.sam: nil, m.anna: core.ErrForbidden, {}: core.ErrUnauthenticated} {
		report, err := m.Analytics.User(ctx, by, "sam")
		require.ErrorIs(t, err, want)
		if want == nil {
			require.Equal(t, int64(4), report.Enrollments)
			require.Equal(t, int64(4), report.LessonsCompleted)
			require.Equal(t, int64(1), report.ActiveDays)
		}
		_, err = m.Analytics.Activity(ctx, by, "sam", from, to)
		require.ErrorIs(t, err, want)
	}
}

func TestTheReportsOfACourse(t *testing.T) {
	t.Parallel()
	m := newMeasured(t, nil)
	ctx := t.Context()
	report, err := m.Analytics.Course(ctx, m.anna, "course-2")
	require.NoError(t, err)
	require.Equal(t, analytics.Counters{Views: 3, LessonCompletions: 1, Purchases: 1, Refunds: 1, Enrollments: 1, Starts: 1}, report.Counters)
	require.Equal(t, int64(1), report.UniqueViewers)
	require.Equal(t, []analytics.Revenue{{Currency: "EUR", Gross: 300, Back: 30}}, report.Revenue)
	require.Zero(t, report.CompletionRate())
	funnel, err := m.Analytics.Funnel(ctx, m.anna, "course-2")
	require.NoError(t, err)
	require.Equal(t, []analytics.Step{{Name: "view", People: 1}, {Name: "enroll", People: 1}, {Name: "start", People: 1}, {Name: "complete", People: 0}}, funnel)
	now := time.Now()
	points, err := m.Analytics.Series(ctx, m.anna, "course-2", analytics.ByDay, nil, now.AddDate(0, 0, -2), now.Add(time.Second))
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(points), 3)
	require.Equal(t, int64(3), points[len(points)-1].Views+points[len(points)-2].Views)
	cohorts, err := m.Analytics.Retention(ctx, m.anna, "course-2", now.AddDate(0, 0, -7), now)
	require.NoError(t, err)
	require.Len(t, cohorts, 2)
	require.Equal(t, int64(1), cohorts[0].Size+cohorts[1].Size)
	_, err = m.Analytics.Retention(ctx, m.anna, "course-2", now.AddDate(-2, 0, 0), now)
	require.ErrorIs(t, err, core.ErrInvalid)
	revenue, err := m.Analytics.TeacherRevenue(ctx, m.pavel, "anna")
	require.NoError(t, err)
	require.Equal(t, []analytics.Revenue{{Currency: "EUR", Gross: 600, Back: 90}}, revenue.Total)
	require.Len(t, revenue.Courses, 3)
	events, err := m.Analytics.Events(ctx, m.admin, "course-2", core.Page{Limit: 4})
	require.NoError(t, err)
	require.Len(t, events.Items, 4)
	rest, err := m.Analytics.Events(ctx, m.admin, "course-2", core.Page{Limit: 4, Cursor: events.Next})
	require.NoError(t, err)
	require.Len(t, rest.Items, 3)
	require.Empty(t, rest.Next)
}

func TestTheBestCoursesOfEachActor(t *testing.T) {
	t.Parallel()
	m := newMeasured(t, nil)
	slugs := func(by core.Actor, order analytics.TopOrder) (slugs []string) {
		t.Helper()
		page := core.Page{Limit: 2}
		for {
			got, err := m.Analytics.Courses(t.Context(), by, order, page)
			require.NoError(t, err)
			require.Empty(t, got.Missing)
			for _, r := range got.Items {
				slugs = append(slugs, r.Course.Slug)
			}
			if page.Cursor = got.Next; got.Next == "" {
				return slugs
			}
		}
	}
	views, revenue := analytics.TopOrder{By: analytics.TopViews}, analytics.TopOrder{By: analytics.TopRevenue, Currency: "EUR"}
	for _, order := range []analytics.TopOrder{views, revenue} {
		require.Equal(t, []string{"course-3", "course-2", "course-1", "course-0"}, slugs(m.admin, order))
		require.Equal(t, []string{"course-2", "course-1", "course-0"}, slugs(m.anna, order))
		require.Equal(t, []string{"course-2", "course-1", "course-0"}, slugs(m.pavel, order))
		require.Equal(t, []string{"course-3"}, slugs(m.boris, order))
	}
	_, err := m.Analytics.Courses(t.Context(), m.sam, views, core.Page{})
	require.ErrorIs(t, err, core.ErrForbidden)
	_, err = m.Analytics.Courses(t.Context(), core.Actor{}, views, core.Page{})
	require.ErrorIs(t, err, core.ErrUnauthenticated)
	first, err := m.Analytics.Courses(t.Context(), m.anna, views, core.Page{Limit: 2})
	require.NoError(t, err)
	_, err = m.Analytics.Courses(t.Context(), m.pavel, views, core.Page{Limit: 2, Cursor: first.Next})
	require.ErrorIs(t, err, core.ErrCursor, "a cursor is its actor's")
	for _, bad := range []analytics.TopOrder{{}, {By: analytics.TopRevenue}, {By: analytics.TopViews, Currency: "EUR"}} {
		_, err = m.Analytics.Courses(t.Context(), m.admin, bad, core.Page{})
		require.ErrorIs(t, err, core.ErrInvalid)
	}
}

func TestWhatClientsMaySend(t *testing.T) {
	t.Parallel()
	m := newMeasured(t, nil)
	id := uuid.Must(uuid.NewV7())
	send := func(by core.Actor, events ...analytics.FromClient) analytics.Result {
		t.Helper()
		result, err := m.Analytics.Collect(t.Context(), by, "network", events)
		require.NoError(t, err)
		return result
	}
	got := send(m.sam,
		analytics.FromClient{Slug: "course-0", Event: analytics.Event{ID: id, Type: analytics.View, User: m.anna.UserID, Course: m.courses[3].ID}},
		analytics.FromClient{Slug: "course-0", Event: analytics.Event{Type: analytics.Purchase, Amount: core.Money{Minor: 1, Currency: "EUR"}}},
		analytics.FromClient{Slug: "course-1", Event: analytics.Event{Type: analytics.View}}, // a draft
		analytics.FromClient{Slug: "nothing", Event: analytics.Event{Type: analytics.View}},
		analytics.FromClient{Event: analytics.Event{Type: analytics.Search}},
		analytics.FromClient{Slug: "course-0", Event: analytics.Event{Type: "dance"}},
	)
	require.Equal(t, 2, got.Accepted)
	var refused []int
	for _, r := range got.Refused {
		refused = append(refused, r.Index)
	}
	slices.Sort(refused)
	require.Equal(t, []int{1, 2, 3, 5}, refused)
	for _, r := range got.Refused {
		require.ErrorIs(t, r.Err, map[int]error{1: analytics.ErrServerOnly, 2: courses.ErrCourseNotFound, 3: courses.ErrCourseNotFound, 5: core.ErrInvalid}[r.Index])
	}
	log, err := m.Analytics.Events(t.Context(), m.admin, "course-0", core.Page{})
	require.NoError(t, err)
	i := slices.IndexFunc(log.Items, func(e analytics.Event) bool { return e.ID == id })
	require.GreaterOrEqual(t, i, 0)
	require.Equal(t, m.sam.UserID, log.Items[i].User, "events are the actor's own")
	require.Equal(t, 1, send(m.sam, analytics.FromClient{Slug: "course-0", Event: analytics.Event{ID: id, Type: analytics.View}}).Duplicates)
	require.Equal(t, 1, send(core.Actor{}, analytics.FromClient{Slug: "course-0", Event: analytics.Event{Type: analytics.View, Session: "a"}}).Accepted)
}

func TestEventsAreNotPartOfATransaction(t *testing.T) {
	t.Parallel()
	m := newMeasured(t, nil)
	require.NoError(t, m.Atomic(t.Context(), func(in *ustat.Platform) error {
		_, err := in.Analytics.Track(t.Context(), analytics.Durable, analytics.Event{Type: analytics.View, Course: m.courses[0].ID})
		require.ErrorIs(t, err, core.ErrCannotJoin)
		return nil
	}))
}

func TestAPlatformWithSeveralShards(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	shards := map[string]analytics.Shard{}
	for _, name := range []string{"one", "two", "three"} {
		shards[name] = must(sqlite.OpenShard(ctx, filepath.Join(t.TempDir(), name+".db"), nil))(t)
	}
	m := newMeasured(t, &ustat.Config{Shards: shards})
	report, err := m.Analytics.Course(ctx, m.anna, "course-2")
	require.NoError(t, err)
	require.Equal(t, int64(3), report.Views)
	require.Equal(t, []string{"one", "three", "two"}, m.Analytics.Router().Names())

	backend := must(sqlite.InMemory(ctx, nil))(t)
	t.Cleanup(func() { _ = backend.Close() })
	backend.Shards = nil
	_, err = ustat.New(backend, &ustat.Config{Shards: shards})
	require.ErrorIs(t, err, core.ErrInvalid, "nothing says where events are")
	backend.Analytics = nil
	p := must(ustat.New(backend, nil))(t)
	_, err = p.Analytics.Track(ctx, analytics.Durable)
	require.ErrorIs(t, err, analytics.ErrNotSetUp)
	_, err = p.Analytics.Course(ctx, core.Actor{}, "go")
	require.ErrorIs(t, err, analytics.ErrNotSetUp)
}

// TestTheMainShardIsGrownOutOf adds a shard to a platform that had none, and moves a
// bucket there.
func TestTheMainShardIsGrownOutOf(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	dir := t.TempDir()
	backend := must(sqlite.Open(ctx, filepath.Join(dir, "main.db"), nil))(t)
	p := must(ustat.New(backend, nil))(t)
	require.NoError(t, p.Start(ctx))
	_, err := p.Analytics.Track(ctx, analytics.Durable, analytics.Event{Type: analytics.View, Course: 7, User: 1})
	require.NoError(t, err)
	require.NoError(t, p.Stop(ctx))

	backend = must(sqlite.Open(ctx, filepath.Join(dir, "main.db"), nil))(t)
	second := must(sqlite.OpenShard(ctx, filepath.Join(dir, "second.db"), nil))(t)
	p = must(ustat.New(backend, &ustat.Config{
		Shards:    map[string]analytics.Shard{ustat.MainShard: backend.Analytics, "second": second},
		Analytics: analytics.RouterOptions{LoadEvery: 10 * time.Millisecond},
	}))(t)
	require.NoError(t, p.Start(ctx))
	t.Cleanup(func() { require.NoError(t, p.Stop(context.Background())) })
	mover := must(analytics.NewMover(p.Analytics.Router()))(t)
	require.NoError(t, mover.Move(ctx, analytics.Key(7).Bucket(), "second", nil))
	for shard, want := range map[analytics.Shard]int{backend.Analytics: 0, second: 1} {
		keys, err := shard.Keys(ctx, 0, 10)
		require.NoError(t, err)
		require.Len(t, keys, want)
	}
	totals, missing, err := p.Analytics.Router().Totals(ctx, []analytics.Key{7})
	require.NoError(t, err)
	require.Empty(t, missing)
	require.Equal(t, int64(1), totals[0].Views)
}
