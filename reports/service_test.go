package reports_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/blob"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/reports"
	"github.com/ustat/ustat/storage"
	"github.com/ustat/ustat/storage/sqlite"
)

// school is a platform with people who may have reports, and a Service over it.
type school struct {
	t       *testing.T
	p       *ustat.Platform
	b       *storage.Backend
	files   *files
	links   *blob.Links
	clock   *clock
	config  reports.Config
	service *reports.Service
	actors  map[string]core.Actor
}

// clock is a Clock that stands still.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// files is a folder whose Put can be made to do something else.
type files struct {
	*blob.Directory
	path string
	mu   sync.Mutex
	put  func(ctx context.Context, key blob.Key, r io.Reader) (int64, error)
}

func (f *files) Put(ctx context.Context, key blob.Key, r io.Reader) (int64, error) {
	f.mu.Lock()
	put := f.put
	f.mu.Unlock()
	if put != nil {
		return put(ctx, key, r)
	}
	return f.Directory.Put(ctx, key, r)
}

func (f *files) spoil(put func(ctx context.Context, key blob.Key, r io.Reader) (int64, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.put = put
}

func (f *files) names(t *testing.T) (names []string) {
	entries, err := os.ReadDir(f.path)
	require.NoError(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func newSchool(t *testing.T) *school {
	t.Helper()
	b, err := sqlite.InMemory(t.Context(), nil)
	require.NoError(t, err)
	p, err := ustat.New(b, nil)
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, p.Stop(context.Background())) })
	path := t.TempDir()
	dir, err := blob.Dir(path, nil)
	require.NoError(t, err)
	s := &school{t: t, p: p, b: b, files: &files{Directory: dir, path: path}, links: new(blob.Links), clock: &clock{now: core.Time(time.Now())}, actors: map[string]core.Actor{}}
	require.NoError(t, s.links.SetKey([]byte("0123456789abcdef0123456789abcdef")))
	s.config = reports.Config{
		Store: b.Reports, Files: s.files, Queued: true, Courses: p.Courses, Users: p.Accounts, Links: s.links,
		Limiter: core.NewMemoryLimiter(s.clock), Clock: s.clock, PerHour: 1000,
	}
	s.service = reports.NewService(s.config)
	for name, role := range map[string]core.Role{"student": core.Student, "ann": core.Teacher, "bob": core.Teacher, "pro": core.Producer, "root": core.Admin} {
		u, err := p.Accounts.CreateUser(t.Context(), accounts.System, accounts.NewUser{Username: name, Email: name + "@example.org", Role: role})
		require.NoError(t, err)
		s.actors[name] = core.Actor{UserID: u.ID, Role: role}
	}
	require.NoError(t, p.Accounts.LinkTeacher(t.Context(), accounts.System, "pro", "ann"))
	_, err = p.Courses.CreateCategory(t.Context(), accounts.System, courses.NewCategory{Name: "Programming"})
	require.NoError(t, err)
	return s
}

// course makes a course, published where it says so.
func (s *school) course(teacher, title string, published bool) {
	s.t.Helper()
	ctx, by := s.t.Context(), accounts.System
	c, err := s.p.Courses.Create(ctx, by, courses.NewCourse{Title: title, Teacher: teacher, Category: "programming", Price: &core.Money{Minor: 199900, Currency: "RUB"}})
	require.NoError(s.t, err)
	if !published {
		return
	}
	m, err := s.p.Courses.CreateModule(ctx, by, c.Slug, courses.NewModule{Title: "Module"})
	require.NoError(s.t, err)
	_, err = s.p.Courses.CreateLesson(ctx, by, c.Slug, m.ID, courses.NewLesson{Title: "Lesson", Kind: courses.Text})
	require.NoError(s.t, err)
	_, err = s.p.Courses.Submit(ctx, by, c.Slug, 0)
	require.NoError(s.t, err)
	_, err = s.p.Courses.Publish(ctx, by, c.Slug, 0)
	require.NoError(s.t, err)
}

func (s *school) ask(who string, f reports.Filter) reports.Report {
	s.t.Helper()
	r, err := s.service.Request(s.t.Context(), s.actors[who], reports.New{Kind: reports.Courses, Format: "csv", Filter: f})
	require.NoError(s.t, err)
	return r
}

func (s *school) get(who string, id uuid.UUID) reports.Report {
	s.t.Helper()
	r, err := s.service.Get(s.t.Context(), s.actors[who], id)
	require.NoError(s.t, err)
	return r
}

// rows returns the rows of a report that is done, by its link.
func (s *school) rows(r reports.Report) [][]string {
	s.t.Helper()
	require.Equal(s.t, reports.Done, r.State)
	link, err := s.links.Open(r.Token, s.clock.Now())
	require.NoError(s.t, err)
	f, err := s.files.Open(s.t.Context(), link.Key)
	require.NoError(s.t, err)
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	require.NoError(s.t, err)
	require.Equal(s.t, r.Rows, len(rows)-1)
	return rows
}

func (s *school) titles(who string, f reports.Filter) []string {
	s.t.Helper()
	r := s.ask(who, f)
	require.NoError(s.t, s.service.Make(s.t.Context(), r.ID))
	var titles []string
	for _, row := range s.rows(s.get(who, r.ID))[1:] {
		titles = append(titles, row[1])
	}
	slices.Sort(titles)
	return titles
}

func TestAReportHasTheCoursesThatOneMayEdit(t *testing.T) {
	t.Parallel()
	s := newSchool(t)
	s.course("ann", "Ann draft", false)
	s.course("ann", "=Ann published", true)
	s.course("bob", "Bob draft", false)
	s.course("bob", "Bob published", true)
	ann, bob := []string{"'=Ann published", "Ann draft"}, []string{"Bob draft", "Bob published"}
	require.Equal(t, slices.Concat(ann, bob), s.titles("root", reports.Filter{}))
	require.Equal(t, ann, s.titles("ann", reports.Filter{}))
	require.Equal(t, ann, s.titles("pro", reports.Filter{}))
	require.Equal(t, bob, s.titles("bob", reports.Filter{}))
	require.Equal(t, ann[:1], s.titles("ann", reports.Filter{Status: courses.Published}))
	require.Equal(t, bob[:1], s.titles("bob", reports.Filter{Status: courses.Draft}))
	require.Empty(t, s.titles("bob", reports.Filter{Status: courses.Archived}))

	r := s.ask("ann", reports.Filter{Status: courses.Published})
	require.NoError(t, s.service.Make(t.Context(), r.ID))
	rows := s.rows(s.get("ann", r.ID))
	require.Equal(t, []string{
		"slug", "title", "teacher", "category", "language", "status", "price", "currency", "students", "reviews", "average_rating", "created_at", "published_at",
	}, rows[0])
	require.Equal(t, []string{"ann-published", "'=Ann published", "ann", "programming", "", "published", "1999.00", "RUB", "0", "0", ""}, rows[1][:11])
	for _, text := range rows[1][11:] {
		at, err := time.Parse(time.RFC3339, text)
		require.NoError(t, err)
		require.WithinDuration(t, time.Now(), at, time.Minute)
	}
}

func TestWhoMayHaveReports(t *testing.T) {
	t.Parallel()
	s := newSchool(t)
	order := reports.New{Kind: reports.Courses, Format: "csv"}
	for who, want := range map[string]error{"": core.ErrUnauthenticated, "student": core.ErrForbidden} {
		_, err := s.service.Request(t.Context(), s.actors[who], order)
		require.ErrorIs(t, err, want)
		_, err = s.service.Get(t.Context(), s.actors[who], uuid.New())
		require.ErrorIs(t, err, want)
	}
	r := s.ask("ann", reports.Filter{})
	for _, who := range []string{"bob", "pro"} {
		_, err := s.service.Get(t.Context(), s.actors[who], r.ID)
		require.ErrorIs(t, err, reports.ErrReportNotFound)
	}
	require.Equal(t, reports.Queued, s.get("root", r.ID).State)
	_, err := s.service.Get(t.Context(), s.actors["root"], uuid.New())
	require.ErrorIs(t, err, reports.ErrReportNotFound)
	require.NoError(t, s.service.Make(t.Context(), uuid.New()), "a report that has gone is nobody's failure")
}

func TestABadOrderNamesEveryFieldAndChangesNothing(t *testing.T) {
	t.Parallel()
	s := newSchool(t)
	_, err := s.service.Request(t.Context(), s.actors["ann"], reports.New{Kind: "users", Format: "xlsx", Filter: reports.Filter{Status: "dancing"}})
	e, ok := errors.AsType[*core.Error](err)
	require.True(t, ok)
	require.ErrorIs(t, err, core.ErrInvalid)
	var fields []string
	for _, v := range e.Violations {
		fields = append(fields, v.Field+" "+v.Limit+" "+v.Got)
	}
	require.Equal(t, []string{"kind courses course revenue users", "format csv xlsx", "status draft review published archived dancing"}, fields)
	for name, missing := range map[string]func(c *reports.Config){
		"store of them": func(c *reports.Config) { c.Store = nil }, "store of files": func(c *reports.Config) { c.Files = nil }, "queue": func(c *reports.Config) { c.Queued = false },
	} {
		config := s.config
		missing(&config)
		service := reports.NewService(config)
		_, err := service.Request(t.Context(), s.actors["ann"], reports.New{Kind: reports.Courses, Format: "csv"})
		require.ErrorIs(t, err, reports.ErrNotSetUp)
		require.ErrorContains(t, err, name)
		require.ErrorIs(t, service.Make(t.Context(), uuid.New()), reports.ErrNotSetUp)
	}
	events, err := s.b.Reports.Pending(t.Context(), 10)
	require.NoError(t, err)
	require.Empty(t, events)
}

func TestTheSameKeyGivesTheSameReport(t *testing.T) {
	t.Parallel()
	s := newSchool(t)
	order := reports.New{Kind: reports.Courses, Format: "csv", Key: "k"}
	one, err := s.service.Request(t.Context(), s.actors["ann"], order)
	require.NoError(t, err)
	two, err := s.service.Request(t.Context(), s.actors["ann"], order)
	require.NoError(t, err)
	require.Equal(t, one, two)
	order.Filter.Status = courses.Draft
	_, err = s.service.Request(t.Context(), s.actors["ann"], order)
	require.ErrorIs(t, err, core.ErrKeyReused)
	events, err := s.b.Reports.Pending(t.Context(), 10)
	require.NoError(t, err)
	require.Len(t, events, 1)
	require.Equal(t, reports.EventRequested, events[0].Type)
	var payload reports.Requested
	require.NoError(t, json.Unmarshal(events[0].Payload, &payload))
	require.Equal(t, one.ID, payload.ID)
}

func TestOneAsksForSoManyReportsAnHour(t *testing.T) {
	t.Parallel()
	s := newSchool(t)
	s.config.PerHour = 2
	s.service = reports.NewService(s.config)
	s.ask("ann", reports.Filter{})
	s.ask("ann", reports.Filter{})
	_, err := s.service.Request(t.Context(), s.actors["ann"], reports.New{Kind: reports.Courses, Format: "csv"})
	require.ErrorIs(t, err, reports.ErrTooMany)
	s.ask("bob", reports.Filter{})
	s.clock.advance(time.Hour)
	s.ask("ann", reports.Filter{})
}

func TestTheRoleIsTheOneOfWhenTheReportIsWritten(t *testing.T) {
	t.Parallel()
	s := newSchool(t)
	s.course("ann", "Ann's", true)
	s.course("bob", "Bob's", true)
	fewer, none, gone := s.ask("root", reports.Filter{}), s.ask("pro", reports.Filter{}), s.ask("bob", reports.Filter{})
	system, err := s.service.Request(t.Context(), accounts.System, reports.New{Kind: reports.Courses, Format: "csv"})
	require.NoError(t, err)
	_, err = s.p.Accounts.CreateUser(t.Context(), accounts.System, accounts.NewUser{Username: "root2", Email: "r@example.org", Role: core.Admin})
	require.NoError(t, err)
	_, err = s.p.Accounts.AssignRole(t.Context(), accounts.System, "root", core.Teacher)
	require.NoError(t, err)
	require.NoError(t, s.p.Accounts.UnlinkTeacher(t.Context(), accounts.System, "pro", "ann"))
	_, err = s.p.Accounts.AssignRole(t.Context(), accounts.System, "pro", core.Student)
	require.NoError(t, err)
	_, err = s.p.Accounts.SetActive(t.Context(), accounts.System, "bob", false)
	require.NoError(t, err)
	for _, r := range []reports.Report{fewer, none, gone, system} {
		require.NoError(t, s.service.Make(t.Context(), r.ID))
	}
	admin := s.actors["root"]
	got, err := s.service.Get(t.Context(), admin, fewer.ID)
	require.NoError(t, err)
	require.Len(t, s.rows(got), 1, "a teacher without courses")
	for _, r := range []reports.Report{none, gone} {
		got, err := s.service.Get(t.Context(), admin, r.ID)
		require.NoError(t, err)
		require.Equal(t, reports.Failed, got.State)
		require.Equal(t, "forbidden", got.Code)
		require.Empty(t, got.Token)
	}
	got, err = s.service.Get(t.Context(), accounts.System, system.ID)
	require.NoError(t, err)
	require.Len(t, s.rows(got), 3)
}

func TestRunTwiceAtOnceAndAfterAKillOneFileIsKept(t *testing.T) {
	t.Parallel()
	s := newSchool(t)
	s.course("ann", "One", false)
	r := s.ask("ann", reports.Filter{})

	// An attempt that dies when its file is whole, before the report knows.
	killed := make(chan struct{})
	s.files.spoil(func(ctx context.Context, key blob.Key, reader io.Reader) (int64, error) {
		_, err := s.files.Directory.Put(ctx, key, reader)
		require.NoError(t, err)
		close(killed)
		runtime.Goexit()
		return 0, nil
	})
	go func() { _ = s.service.Make(context.Background(), r.ID) }()
	<-killed
	require.Len(t, s.files.names(t), 1)
	require.Equal(t, reports.Running, s.get("ann", r.ID).State)

	// Then one that is slow, and overtaken by another.
	begun, goOn := make(chan struct{}), make(chan struct{})
	s.files.spoil(func(ctx context.Context, key blob.Key, reader io.Reader) (int64, error) {
		close(begun)
		<-goOn
		return s.files.Directory.Put(ctx, key, reader)
	})
	slow := make(chan error, 1)
	go func() { slow <- s.service.Make(context.Background(), r.ID) }()
	<-begun
	s.files.spoil(nil)
	require.NoError(t, s.service.Make(t.Context(), r.ID))
	done := s.get("ann", r.ID)
	require.Len(t, done.Files, 3)
	close(goOn)
	require.NoError(t, <-slow)
	require.NoError(t, s.service.Make(t.Context(), r.ID), "done already")
	again := s.get("ann", r.ID)
	require.Equal(t, done, again)
	require.Equal(t, []string{string(done.Files[2])}, s.files.names(t), "one file is kept")
	require.Len(t, s.rows(again), 2)

	// And as many at once as there may be.
	many := s.ask("ann", reports.Filter{})
	var wg sync.WaitGroup
	errs := make([]error, reports.MaxAttempts)
	for i := range errs {
		wg.Go(func() { errs[i] = s.service.Make(t.Context(), many.ID) })
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	require.Len(t, s.files.names(t), 2)
	s.rows(s.get("ann", many.ID))
}

func TestWhatFailsIsTriedAgainAndThenGivenUp(t *testing.T) {
	t.Parallel()
	s := newSchool(t)
	away := core.ErrUnavailable.Withf("the disk is away")
	s.files.spoil(func(context.Context, blob.Key, io.Reader) (int64, error) { return 0, away })
	r := s.ask("ann", reports.Filter{})
	for range reports.MaxAttempts - 1 {
		require.ErrorIs(t, s.service.Make(t.Context(), r.ID), core.ErrUnavailable)
		require.Equal(t, reports.Running, s.get("ann", r.ID).State)
	}
	require.NoError(t, s.service.Make(t.Context(), r.ID))
	failed := s.get("ann", r.ID)
	require.Equal(t, reports.Failed, failed.State)
	require.Equal(t, "unavailable", failed.Code)

	large := s.ask("ann", reports.Filter{})
	s.files.spoil(func(context.Context, blob.Key, io.Reader) (int64, error) { return 0, blob.ErrTooLarge })
	require.NoError(t, s.service.Make(t.Context(), large.ID))
	require.Equal(t, "blob.too_large", s.get("ann", large.ID).Code)

	// A process that dies each time.
	dies := s.ask("ann", reports.Filter{})
	for range reports.MaxAttempts {
		ctx, cancel := context.WithCancel(t.Context())
		s.files.spoil(func(context.Context, blob.Key, io.Reader) (int64, error) {
			cancel()
			return 0, ctx.Err()
		})
		require.ErrorIs(t, s.service.Make(ctx, dies.ID), context.Canceled)
	}
	require.NoError(t, s.service.Make(t.Context(), dies.ID))
	require.Equal(t, "reports.given_up", s.get("ann", dies.ID).Code)

	// A format that panics, whose Writer is closed all the same.
	s.files.spoil(nil)
	broken := &brokenWriter{}
	s.config.Formats = []reports.Format{{Name: "broken", Type: blob.CSV, New: func(io.Writer) (reports.Writer, error) { return broken, nil }}}
	s.service = reports.NewService(s.config)
	panics, err := s.service.Request(t.Context(), s.actors["ann"], reports.New{Kind: reports.Courses, Format: "broken"})
	require.NoError(t, err)
	require.ErrorContains(t, s.service.Make(t.Context(), panics.ID), "the format is broken")
	require.True(t, broken.closed)
	require.Empty(t, s.files.names(t))
}

type brokenWriter struct{ closed bool }

func (*brokenWriter) Row(...reports.Cell) error { panic("the format is broken") }

func (w *brokenWriter) Close() error {
	w.closed = true
	return nil
}

func TestCleanupRemovesWhatHasExpired(t *testing.T) {
	t.Parallel()
	s := newSchool(t)
	done, waiting := s.ask("ann", reports.Filter{}), s.ask("ann", reports.Filter{})
	require.NoError(t, s.service.Make(t.Context(), done.ID))
	cleanup := func(want int) {
		t.Helper()
		n, err := s.service.Cleanup(t.Context(), s.clock.Now(), 10)
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
	cleanup(0)
	s.clock.advance(reports.KeepUnfinished + time.Second)
	cleanup(1)
	_, err := s.service.Get(t.Context(), s.actors["ann"], waiting.ID)
	require.ErrorIs(t, err, reports.ErrReportNotFound)
	require.Len(t, s.files.names(t), 1)
	s.clock.advance(reports.DefaultKeep)
	cleanup(1)
	cleanup(0)
	require.Empty(t, s.files.names(t))
}

// many is a Catalogue of n courses, of which none is kept.
type many struct{ n int }

func (m many) List(_ context.Context, _ core.Actor, _ courses.Filter, _ courses.Sort, page core.Page) (courses.Page[courses.Result], error) {
	at := 0
	if page.Cursor != "" {
		if _, err := fmt.Sscan(page.Cursor, &at); err != nil {
			return courses.Page[courses.Result]{}, err
		}
	}
	var out courses.Page[courses.Result]
	for range min(page.Limit, m.n-at) {
		out.Items = append(out.Items, courses.Result{Course: courses.Course{Slug: fmt.Sprint("course-", at), Title: strings.Repeat("title ", 20)}})
		at++
	}
	if at < m.n {
		out.Next = fmt.Sprint(at)
	}
	return out, nil
}

func TestMemoryDoesNotGrowWithTheCourses(t *testing.T) {
	n := 50_000
	if os.Getenv("USTAT_TEST_SCALE") != "" {
		n = 2_000_000
	}
	s := newSchool(t)
	s.config.Courses = many{n}
	s.service = reports.NewService(s.config)
	var before, after runtime.MemStats
	var peak uint64
	s.files.spoil(func(ctx context.Context, key blob.Key, r io.Reader) (int64, error) {
		runtime.GC()
		runtime.ReadMemStats(&before)
		block, reads, total := make([]byte, 32<<10), 0, int64(0)
		for {
			got, err := r.Read(block)
			total += int64(got)
			if reads++; reads%200 == 0 {
				runtime.ReadMemStats(&after)
				peak = max(peak, after.HeapAlloc)
			}
			if err != nil {
				_, err = s.files.Directory.Put(ctx, key, bytes.NewReader(nil))
				return total, err
			}
		}
	})
	r := s.ask("root", reports.Filter{Status: courses.Draft})
	require.NoError(t, s.service.Make(t.Context(), r.ID))
	require.Equal(t, n, s.get("root", r.ID).Rows)
	t.Logf("%d rows, %d KiB of heap beyond what was there", n, int64(peak-before.HeapAlloc)>>10)
	require.Less(t, peak, before.HeapAlloc+24<<20)
}
