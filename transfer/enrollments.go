package transfer

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage"
)

type enrollment struct {
	course, user                 string
	price                        core.Money // no currency: nothing was paid
	status                       courses.EnrollmentStatus
	source                       courses.Source
	enrolled, started, completed time.Time
}

const (
	enrollmentCourse = iota
	enrollmentUser
	enrollmentPrice
	enrollmentCurrency
	enrollmentEnrolled
	enrollmentStatus
	enrollmentSource
	enrollmentStarted
	enrollmentCompleted
)

// enrollments reads enrollments.csv. An empty cell, and a column that is not in the
// file, leave what is stored; of a new enrollment they are a price of 0, now, completed
// where completed_at is there and else active, and the source import.
type enrollments struct {
	store    courses.Store
	accounts accounts.Reader
	clock    core.Clock
	bounded  map[string]bool // slugs of courses with a bound of seats, or with a waiting list, that were written to
}

func newEnrollments(backend *storage.Backend, clock core.Clock) *enrollments {
	return &enrollments{backend.Courses, backend.Accounts, clock, map[string]bool{}}
}

func (t *enrollments) columns() []column {
	return []column{
		{"course", true},
		{"user", true},
		{"price_paid", true},
		{"currency", true},
		{"enrolled_at", true},
		{"status", false},
		{"source", false},
		{"started_at", false},
		{"completed_at", false},
	}
}

func (t *enrollments) parse(c *cells) enrollment {
	row := enrollment{
		course:    c.reference(enrollmentCourse),
		user:      c.reference(enrollmentUser),
		enrolled:  c.time(enrollmentEnrolled),
		started:   c.time(enrollmentStarted),
		completed: c.time(enrollmentCompleted),
	}
	if c.raw(enrollmentPrice) != "" || c.raw(enrollmentCurrency) != "" {
		row.price = c.money(enrollmentPrice, enrollmentCurrency)
	}
	if c.raw(enrollmentStatus) != "" {
		row.status = oneOf(c, enrollmentStatus, courses.EnrollmentStatuses[:]...)
	}
	if c.raw(enrollmentSource) != "" {
		row.source = oneOf(c, enrollmentSource, courses.Sources[:]...)
	}
	return row
}

type enrollmentKey struct{ course, user string }

func (t *enrollments) repeated(r *enrollment, seen *keySet) string {
	if !addKey(seen, enrollmentKey{r.course, core.Fold(r.user)}) {
		return "user"
	}
	return ""
}

func (t *enrollments) plan(ctx context.Context, rows []row[enrollment], refuse refuseFunc) (changes, error) {
	if len(rows) == 0 {
		return changes{}, nil
	}
	around, err := t.look(ctx, rows)
	if err != nil {
		return changes{}, err
	}
	now := core.Time(t.clock.Now())
	var inserts, updates []courses.Enrollment
	for i := range rows {
		r := &rows[i].cell
		seats, user, ok := around.resolve(r, func(column, reason string) { refuse(i, column, reason) })
		if !ok {
			continue
		}
		stored, there := around.stored[learnerKey{seats.Course, user}]
		next := r.over(stored, seats, user, now)
		if column, reason := contradiction(&next); reason != "" {
			refuse(i, column, reason)
			continue
		}
		if next == stored {
			continue
		}
		switch was, is := stored.Status.Seated(), next.Status.Seated(); {
		case was && !is:
			seats.Taken--
		case is && !was && seats.Full():
			refuse(i, "status", fmt.Sprintf("the course has no free seat: there are %d", seats.Capacity))
			continue
		case is && !was:
			seats.Taken++
		}
		if there {
			updates = append(updates, next)
		} else {
			inserts = append(inserts, next)
		}
	}
	// In the order of the indexes, of which most begin with the course; of one course as
	// in the file.
	slices.SortStableFunc(inserts, func(a, b courses.Enrollment) int { return cmp.Compare(a.Course, b.Course) })
	return changes{len(inserts), len(updates), func(ctx context.Context) error {
		return t.write(ctx, inserts, updates, around)
	}}, nil
}

type learnerKey struct {
	course courses.CourseID
	user   core.UserID
}

// learners is what a batch of enrollments refers to and meets.
type learners struct {
	seats  map[string]*courses.Seats // by slug, with the seats that the batch takes
	taken  map[courses.CourseID]int  // as it was stored, of courses with a bound
	users  map[string]accounts.User  // by folded username
	stored map[learnerKey]courses.Enrollment
}

// look resolves names by a fixed number of statements.
func (t *enrollments) look(ctx context.Context, rows []row[enrollment]) (learners, error) {
	l := learners{seats: map[string]*courses.Seats{}, taken: map[courses.CourseID]int{}}
	seats, err := t.store.SeatsOf(ctx, distinct(rows, func(r *enrollment) string { return r.course }))
	if err != nil {
		return l, err
	}
	for i := range seats {
		l.seats[seats[i].Slug] = &seats[i]
		if seats[i].Capacity > 0 {
			l.taken[seats[i].Course] = seats[i].Taken
		}
	}
	l.users, err = usersNamed(ctx, t.accounts, distinct(rows, func(r *enrollment) string { return r.user }))
	if err != nil {
		return l, err
	}
	var pairs []learnerKey
	for i := range rows {
		r := &rows[i].cell
		if s, u := l.seats[r.course], l.users[core.Fold(r.user)]; s != nil && u.ID != 0 {
			pairs = append(pairs, learnerKey{s.Course, u.ID})
		}
	}
	l.stored, err = enrollmentsOf(ctx, t.store, pairs)
	return l, err
}

// usersNamed returns the users of the names, by folded username.
func usersNamed(ctx context.Context, r accounts.Reader, names []string) (map[string]accounts.User, error) {
	found, err := r.UsersByName(ctx, names, nil)
	return indexBy(found, func(u accounts.User) string { return core.Fold(u.Username) }), err
}

// enrollmentsOf returns the enrollments of pairs, without what is counted and named on
// reading.
func enrollmentsOf(ctx context.Context, store courses.Reader, pairs []learnerKey) (map[learnerKey]courses.Enrollment, error) {
	ids, users := make([]courses.CourseID, len(pairs)), make([]core.UserID, len(pairs))
	for i, p := range pairs {
		ids[i], users[i] = p.course, p.user
	}
	found, err := store.EnrollmentsOf(ctx, ids, users)
	stored := make(map[learnerKey]courses.Enrollment, len(found))
	for _, e := range found {
		e.Slug, e.Title, e.Lessons, e.Done = "", "", 0, 0
		stored[learnerKey{e.Course, e.User}] = e
	}
	return stored, err
}

// resolve returns what a row refers to, or refuses it.
func (l *learners) resolve(r *enrollment, refuse func(column, reason string)) (*courses.Seats, core.UserID, bool) {
	seats, user := l.seats[r.course], l.users[core.Fold(r.user)]
	switch {
	case seats == nil:
		refuse("course", "there is no course "+quote(r.course))
	case user.ID == 0:
		refuse("user", "there is no user "+quote(r.user))
	default:
		return seats, user.ID, true
	}
	return nil, 0, false
}

// over returns e with the cells of the row.
func (r *enrollment) over(e courses.Enrollment, seats *courses.Seats, user core.UserID, now time.Time) courses.Enrollment {
	if e.ID == 0 {
		e = courses.Enrollment{
			Course: seats.Course, User: user, Source: courses.SourceImport, PricePaid: core.Money{Currency: seats.Price.Currency}, EnrolledAt: now,
		}
	}
	if r.price.Currency != "" {
		e.PricePaid = r.price
	}
	if r.source != "" {
		e.Source = r.source
	}
	for _, cell := range []struct{ from, to *time.Time }{{&r.enrolled, &e.EnrolledAt}, {&r.started, &e.StartedAt}, {&r.completed, &e.CompletedAt}} {
		if !cell.from.IsZero() {
			*cell.to = *cell.from
		}
	}
	switch {
	case r.status != "":
		e.Status = r.status
	case e.Status == "" || e.Status.Seated():
		e.Status = courses.Active
		if !e.CompletedAt.IsZero() {
			e.Status = courses.Completed
		}
	}
	switch ended := e.Status == courses.Cancelled || e.Status == courses.Refunded; {
	case !ended:
		e.EndedAt = time.Time{}
	case e.EndedAt.IsZero():
		e.EndedAt = now
	}
	return e
}

// contradiction returns the column and the reason of what an enrollment cannot be.
func contradiction(e *courses.Enrollment) (column, reason string) {
	switch {
	case e.Status == courses.Completed && e.CompletedAt.IsZero():
		return "completed_at", "a completed enrollment has a time of completion"
	case e.Status == courses.Active && !e.CompletedAt.IsZero():
		return "status", "an active enrollment has no time of completion: this one is completed"
	}
	return "", ""
}

// write writes enrollments which, and whose courses' seats, are as they were planned
// with; else it fails with core.ErrConflict.
func (t *enrollments) write(ctx context.Context, inserts, updates []courses.Enrollment, around learners) error {
	planned := make(map[courses.EnrollmentID]int64, len(updates))
	var ids []courses.CourseID
	for _, e := range inserts {
		ids = append(ids, e.Course)
	}
	for _, e := range updates {
		ids = append(ids, e.Course)
		planned[e.ID] = e.Version
	}
	slugs := map[courses.CourseID]string{}
	for slug, s := range around.seats {
		slugs[s.Course] = slug
	}
	err := t.store.Update(ctx, func(ctx context.Context, tx courses.Tx) error {
		locked, err := tx.LockCourses(ctx, ids)
		if err != nil {
			return err
		}
		var bounded []string
		for _, id := range ids {
			if locked[id] == 0 {
				return errChanged
			}
			if _, is := around.taken[id]; is && !slices.Contains(bounded, slugs[id]) {
				bounded = append(bounded, slugs[id])
			}
		}
		seats, err := tx.SeatsOf(ctx, bounded)
		if err != nil {
			return err
		}
		if len(seats) != len(bounded) || slices.ContainsFunc(seats, func(s courses.Seats) bool {
			return s.Taken != around.taken[s.Course] || s.Capacity != around.seats[s.Slug].Capacity
		}) {
			return errChanged
		}
		if err := unchanged(ctx, planned, tx.LockEnrollments); err != nil {
			return err
		}
		if _, err := tx.InsertEnrollments(ctx, inserts); err != nil {
			return err
		}
		return tx.UpdateEnrollments(ctx, updates)
	})
	if err != nil {
		return err
	}
	for _, list := range [...][]courses.Enrollment{inserts, updates} {
		for _, e := range list {
			if _, is := around.taken[e.Course]; is || e.Status == courses.Waiting {
				t.bounded[slugs[e.Course]] = true
			}
		}
	}
	return nil
}

// finish gives the seats that are free now to those who wait for one, a course at a
// time, as the catalogue does whenever one becomes free.
func (t *enrollments) finish(ctx context.Context, event *core.Event) error {
	for slug := range t.bounded {
		err := t.store.Update(ctx, func(ctx context.Context, tx courses.Tx) error {
			seats, err := tx.SeatsForUpdate(ctx, slug)
			if err != nil {
				return err
			}
			return letIn(ctx, tx, &seats, t.clock.Now())
		})
		if err != nil && core.KindOf(err) != core.KindNotFound { // a course that was deleted meanwhile has no seats
			return err
		}
	}
	return emitCourses(ctx, t.store, event)
}

// letIn gives the free seats of a published course, whose lock is held, to those who wait
// for one. As for every row of an import, nobody is told by an event of their own.
func letIn(ctx context.Context, tx courses.Tx, seats *courses.Seats, at time.Time) error {
	free := seats.Waiting
	if seats.Capacity > 0 {
		free = min(free, seats.Capacity-seats.Taken)
	}
	if free <= 0 || seats.Status != courses.Published {
		return nil
	}
	_, err := tx.Promote(ctx, seats.Course, free, seats.Price.Minor > 0, core.Time(at))
	return err
}
