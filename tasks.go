package ustat

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/reports"
	"github.com/ustat/ustat/reviews"
	"github.com/ustat/ustat/tasks"
)

// Retention says how long is kept what is needed for a while only. Audit rows are
// kept for ever.
type Retention struct {
	// Idempotency is of idempotency keys and their answers, at least 24 h. Zero means
	// 24 h.
	Idempotency time.Duration
	// RefreshTokens is of refresh tokens after they have expired, and of the sessions
	// that they were of, at least 1 h. Zero means 24 h.
	RefreshTokens time.Duration
	// Outbox is of events that were delivered, at least 1 h. Zero means 7 days.
	Outbox time.Duration
	// Jobs is of jobs that are done or discarded, at least 48 h, since who has a job's
	// key knows that it was there. Zero means 7 days.
	Jobs time.Duration
}

const day = 24 * time.Hour

func (r *Retention) setDefaults() error {
	for _, f := range []struct {
		name             string
		value            *time.Duration
		least, otherwise time.Duration
	}{
		{"Idempotency", &r.Idempotency, day, day},
		{"RefreshTokens", &r.RefreshTokens, time.Hour, day},
		{"Outbox", &r.Outbox, time.Hour, 7 * day},
		{"Jobs", &r.Jobs, 2 * day, 7 * day},
	} {
		if *f.value == 0 {
			*f.value = f.otherwise
		}
		if *f.value < f.least {
			return core.Invalid("Retention."+f.name, "min", f.least.String(), f.value.String(), "it is kept for longer than that")
		}
	}
	return nil
}

// CleanupTask is the name of the periodic work that removes what Config.Retention
// says, once an hour.
const CleanupTask = "ustat.cleanup"

// ReconcileTask is the name of the periodic work that counts the students and
// completions of courses anew once a day, and repairs and logs what differs.
const ReconcileTask = "ustat.reconcile"

// ReportsTask is the name of the subscriber that writes reports.
const ReportsTask = "ustat.reports"

// RatingsTask is the name of the subscriber by which the lists of courses follow reviews
// that are kept in another database (where both are in one, it finds nothing to do), and
// the ratings of teachers' profiles follow reviews.
const RatingsTask = "ustat.ratings"

// RecountTask is the name of the periodic work that counts the ratings of every course
// anew, once a day, and repairs what differs.
const RecountTask = "ustat.recount"

// RollupsTask is the name of the periodic work that counts all courses anew beside what
// they are listed with, once a day, and logs what differs. ReconcileTask and RecountTask
// repair it.
const RollupsTask = "ustat.rollups"

// refreshRollups compares the numbers of courses with what is counted of them.
func (p *Platform) refreshRollups(ctx context.Context, _ time.Time) error {
	if err := p.Courses.RefreshRollups(core.WithOperation(ctx, RollupsTask)); err != nil {
		return err
	}
	wrong, err := p.Courses.WrongStats(ctx, accounts.System)
	for _, r := range wrong[:min(10, len(wrong))] {
		p.config.Logger.WarnContext(ctx, "a course is listed with other numbers than it has", "course", r.Course, "listed", r.Listed, "counted", r.Counted, "courses", len(wrong))
	}
	return err
}

// recount repairs the numbers of reviews, and tells the operator that it had to.
func (p *Platform) recount(ctx context.Context, _ time.Time) error {
	found, err := p.Reviews.RecomputeAggregates(ctx, accounts.System, true)
	for _, d := range found {
		p.config.Logger.WarnContext(ctx, "repaired the numbers of a course's reviews", "course", d.Course, "stored", d.Stored, "counted", d.Counted)
	}
	return err
}

// followRating is the job of numbers that have changed.
func (p *Platform) followRating(ctx context.Context, e core.Event) error {
	var now reviews.Rated
	if err := json.Unmarshal(e.Payload, &now); err != nil {
		return tasks.Discard(err)
	}
	if err := p.Courses.SetRating(ctx, now.Course, courses.ReviewNumbers{Count: now.Count, Sum: now.Sum, Version: now.Version, Heat: now.Heat}); err != nil {
		return err
	}
	refs, err := p.Courses.Refs(ctx, accounts.System, []courses.CourseID{now.Course})
	if err != nil {
		return err
	}
	return p.rateTeacher(ctx, refs[now.Course].Teacher)
}

// TeachersTask is the name of the subscriber by which the ratings of profiles follow
// courses that get another teacher. With new reviews they follow by RatingsTask.
const TeachersTask = "ustat.teachers"

// followTeacher is the job of a course that was reassigned.
func (p *Platform) followTeacher(ctx context.Context, e core.Event) error {
	var now courses.Changed
	if err := json.Unmarshal(e.Payload, &now); err != nil {
		return tasks.Discard(err)
	}
	if err := p.rateTeacher(ctx, now.From); err != nil {
		return err
	}
	return p.rateTeacher(ctx, now.Teacher)
}

// rateTeacher writes what the courses of a teacher are rated. It looks once more after it
// has written: of two at once the one that wrote last has not read first.
func (p *Platform) rateTeacher(ctx context.Context, teacher core.UserID) error {
	const looks = 10
	for written, n := -1, 0; n < looks; n++ {
		rating, err := p.Courses.TeacherRating(ctx, teacher)
		if err != nil || rating == written {
			return err
		}
		err = p.Accounts.SetRating(ctx, teacher, rating)
		if errors.Is(err, accounts.ErrUserNotFound) { // a course that is gone, or an event of before there was a From
			return nil
		}
		if err != nil {
			return err
		}
		written = rating
	}
	return core.ErrUnavailable.Withf("the rating of a teacher changes too often to be written")
}

// OrdersTask is the name of the periodic work that settles orders which were
// interrupted, once a minute.
const OrdersTask = "ustat.orders"

// settleOrders asks the providers of payments about orders that wait.
func (p *Platform) settleOrders(ctx context.Context, _ time.Time) error {
	_, err := p.Courses.SettleOrders(ctx)
	return err
}

// makeReport is the job of a report that was asked for.
func (p *Platform) makeReport(ctx context.Context, e core.Event) error {
	var asked reports.Requested
	if err := json.Unmarshal(e.Payload, &asked); err != nil {
		return tasks.Discard(err)
	}
	return p.Reports.Make(ctx, asked.ID)
}

// LessonFilesTask is the name of the subscriber that looks at files of lessons.
const LessonFilesTask = "ustat.lesson_files"

// processFile is the job of a file that was uploaded.
func (p *Platform) processFile(ctx context.Context, e core.Event) error {
	var uploaded courses.FileChanged
	if err := json.Unmarshal(e.Payload, &uploaded); err != nil {
		return tasks.Discard(err)
	}
	return p.Courses.ProcessLessonFile(ctx, uploaded.File)
}

// Subscribe adds a subscriber to the events of every store, before Start. Every
// process of a platform that delivers events (see Config.NoRelay) has the same
// subscribers: an event goes to those of the process that takes it over. It fails as
// tasks.Registry.Subscribe does; without Config.Queue, Start fails.
func (p *Platform) Subscribe(s tasks.Subscription) error { return p.Tasks.Subscribe(s) }

// startTasks starts the delivery of events and the work, where there is a queue.
func (p *Platform) startTasks(ctx context.Context) error {
	c := p.config
	if c.Queue == nil {
		if !p.Tasks.Empty() {
			return core.Invalid("Queue", "required", "", "", "there are subscribers, kinds of jobs or periodic work, and no queue to give them anything: set Config.Queue")
		}
		return nil
	}
	if err := p.prepareQueue(ctx); err != nil {
		return err
	}
	if err := p.addBuiltIn(); err != nil {
		return err
	}
	sources := []tasks.Source{{Name: "accounts", Outbox: p.backend.Accounts}, {Name: "courses", Outbox: p.backend.Courses}, {Name: "reviews", Outbox: p.backend.Reviews}}
	if p.backend.Recommend != nil {
		sources = append(sources, tasks.Source{Name: "recommend", Outbox: p.backend.Recommend})
	}
	if p.backend.Reports != nil {
		sources = append(sources, tasks.Source{Name: "reports", Outbox: p.backend.Reports})
	}
	runner, err := tasks.NewRunner(tasks.Config{
		Registry: p.Tasks, Queue: c.Queue, Sources: sources, Concurrency: c.TaskConcurrency, NoRelay: c.NoRelay, Clock: c.Clock, Logger: c.Logger,
	})
	if err != nil {
		return err
	}
	p.runner = runner
	return runner.Start(ctx)
}

// addBuiltIn adds the platform's own periodic work and subscribers.
func (p *Platform) addBuiltIn() error {
	periodic := []tasks.Periodic{
		{Name: CleanupTask, Every: time.Hour, Timeout: 10 * time.Minute, Do: p.cleanup},
		{Name: ReconcileTask, Every: day, Timeout: 10 * time.Minute, Do: p.reconcile},
		{Name: RecountTask, Every: day, Timeout: time.Hour, Do: p.recount},
		{Name: RollupsTask, Every: day, Timeout: time.Hour, Do: p.refreshRollups},
	}
	if len(p.config.Payments) > 0 {
		periodic = append(periodic, tasks.Periodic{Name: OrdersTask, Every: time.Minute, Timeout: 10 * time.Minute, Do: p.settleOrders})
	}
	if p.backend.Recommend != nil {
		periodic = append(periodic, tasks.Periodic{Name: TrainTask, Every: p.config.Recommend.TrainEvery, Timeout: trainTimeout, Do: p.trainPeriodically})
	}
	for _, work := range periodic {
		if err := p.Tasks.Every(work); err != nil {
			return err
		}
	}
	subscriptions := []tasks.Subscription{
		{Name: RatingsTask, Types: []string{reviews.EventRated}, Handle: p.followRating},
		{Name: TeachersTask, Types: []string{courses.EventReassigned}, Handle: p.followTeacher},
	}
	if p.config.Files != nil {
		subscriptions = append(subscriptions, tasks.Subscription{Name: LessonFilesTask, Types: []string{courses.EventFileUploaded}, Timeout: 10 * time.Minute, Handle: p.processFile})
	}
	if p.backend.Reports != nil {
		subscriptions = append(subscriptions, tasks.Subscription{Name: ReportsTask, Types: []string{reports.EventRequested}, Timeout: 10 * time.Minute, Handle: p.makeReport})
	}
	for _, s := range subscriptions {
		if err := p.Subscribe(s); err != nil {
			return err
		}
	}
	return errors.Join(p.subscribeRecommendations(), p.subscribeAchievements(), p.subscribeAnalytics())
}

func (p *Platform) prepareQueue(ctx context.Context) error {
	if p.config.ManualMigrations {
		return p.config.Queue.Check(ctx)
	}
	return p.config.Queue.Migrate(ctx)
}

// stopTasks ends the delivery and the work. A queue that was not started is closed
// all the same.
func (p *Platform) stopTasks(ctx context.Context) error {
	switch {
	case p.config.Queue == nil:
		return nil
	case p.runner == nil:
		return p.config.Queue.Stop(ctx)
	}
	return p.runner.Stop(ctx)
}

// cleanup removes what has been kept for long enough: a batch at a time, each in a
// short transaction of its own, with a pause after it.
func (p *Platform) cleanup(ctx context.Context, _ time.Time) error {
	ctx = core.WithOperation(ctx, CleanupTask)
	r, now := p.config.Retention, p.config.Clock.Now()
	var errs []error
	type batches struct {
		name   string
		before time.Time
		batch  func(ctx context.Context, before time.Time, limit int) (int, error)
	}
	all := []batches{
		{"events of accounts", now.Add(-r.Outbox), p.backend.Accounts.Forget},
		{"events of courses", now.Add(-r.Outbox), p.backend.Courses.Forget},
		{"events of reviews", now.Add(-r.Outbox), p.backend.Reviews.Forget},
		{"idempotency keys", now.Add(-r.Idempotency), p.forgetInAccounts(accounts.Tx.ForgetKeys)},
		{"idempotency keys of reviews", now.Add(-r.Idempotency), p.forgetInReviews},
		{"refresh tokens", now.Add(-r.RefreshTokens), p.forgetInAccounts(accounts.Tx.ForgetTokens)},
		// A session's tokens are gone by then, with its last one's time.
		{"revoked sessions", now.Add(-r.RefreshTokens - p.config.RefreshTTL), p.forgetInAccounts(accounts.Tx.ForgetSessions)},
		{"jobs", now.Add(-r.Jobs), p.config.Queue.Cleanup},
		{"reports", now, p.Reports.Cleanup},
		{"files of lessons", now, p.Courses.CleanFiles},
	}
	if p.backend.Recommend != nil {
		all = append(all,
			batches{"events of recommendations", now.Add(-r.Outbox), p.backend.Recommend.Forget},
			batches{"what was left of models", now, p.Recommend.Cleanup})
	}
	if p.backend.Reports != nil {
		all = append(all, batches{"events of reports", now.Add(-r.Outbox), p.backend.Reports.Forget})
	}
	for _, what := range all {
		n, err := tasks.Cleanup(ctx, what.before, what.batch)
		if n > 0 {
			p.config.Logger.InfoContext(ctx, "removed what was kept for long enough", "what", what.name, "count", n)
		}
		errs = append(errs, err) // one that fails keeps no other from being removed
	}
	return errors.Join(errs...)
}

// reconcile repairs the statistics of courses. There is something to repair only after
// a fault, or after somebody has written to the database beside the platform.
func (p *Platform) reconcile(ctx context.Context, _ time.Time) error {
	changed, err := p.Courses.Reconcile(core.WithOperation(ctx, ReconcileTask))
	if len(changed) > 0 {
		p.config.Logger.WarnContext(ctx, "repaired the statistics of courses", "count", len(changed), "courses", changed[:min(10, len(changed))])
	}
	return err
}

func (p *Platform) forgetInAccounts(forget func(tx accounts.Tx, ctx context.Context, before time.Time, limit int) (int, error)) func(context.Context, time.Time, int) (int, error) {
	return func(ctx context.Context, before time.Time, limit int) (n int, err error) {
		err = p.backend.Accounts.Update(ctx, func(ctx context.Context, tx accounts.Tx) (err error) {
			n, err = forget(tx, ctx, before, limit)
			return err
		})
		return n, err
	}
}

// forgetInReviews forgets the keys of reviews, which are none of the accounts' where they
// are kept apart.
func (p *Platform) forgetInReviews(ctx context.Context, before time.Time, limit int) (n int, err error) {
	err = p.backend.Reviews.Update(ctx, func(ctx context.Context, tx reviews.Tx) (err error) {
		n, err = tx.ForgetKeys(ctx, before, limit)
		return err
	})
	return n, err
}

// audit writes an audit row by itself, for services without a store of their own.
func (p *Platform) audit(ctx context.Context, entry core.AuditEntry) error {
	return p.backend.Accounts.Update(ctx, func(ctx context.Context, tx accounts.Tx) error { return tx.Audit(ctx, entry) })
}

// In returns the services inside the caller's transaction: all rules apply, reads
// see the transaction, an Update is a savepoint, a refused call does not poison
// it, and events leave with its commit. Nothing is run again inside: where the
// database asks for that, the error is core.ErrRetry and the host runs its
// transaction again. A bun.Tx joins by its embedded *sql.Tx. Use the result on one
// goroutine and not after the transaction.
//
// Orders with something to pay are not made inside: no provider is called in a
// transaction.
//
// The platform must be started. On SQLite the transaction must hold the write lock
// from its start (_txlock=immediate).
func (p *Platform) In(tx *sql.Tx) (*Platform, error) {
	joined, err := p.backend.Join(tx)
	if err != nil {
		return nil, err
	}
	in := &Platform{
		backend: joined, config: p.config, validate: p.validate, cursors: p.cursors, tokens: p.tokens, links: p.links, router: p.router, Tasks: p.Tasks,
		Recommend: p.Recommend, tx: tx,
	}
	in.started.Store(true)
	return in, in.assemble()
}

// Atomic runs fn in one transaction of the platform's database and hands it the
// services inside, as In does: nil commits all that they did, an error or a panic
// rolls it back, and events leave with the commit. Rows of the caller's own are
// written with Tx. A transaction that meets a concurrent one is run again, so fn
// only reads what it captured and assigns results whole; it uses no other services
// than those it is handed. It fails with core.ErrCannotJoin where a store cannot take
// part, and inside another transaction.
func (p *Platform) Atomic(ctx context.Context, fn func(p *Platform) error) error {
	if p.backend.Atomic == nil {
		return core.ErrCannotJoin.Withf("there is no transaction of the platform's own to be had here")
	}
	return p.backend.Atomic(core.WithOperation(ctx, "ustat.Atomic"), func(tx *sql.Tx) error {
		in, err := p.In(tx)
		if err != nil {
			return err
		}
		return fn(in)
	})
}

// Tx returns the transaction that the platform is inside, of In or Atomic, or nil.
func (p *Platform) Tx() *sql.Tx { return p.tx }

// TaskStats returns what this process has delivered and worked since its Start.
func (p *Platform) TaskStats() tasks.Stats {
	if p.runner == nil {
		return tasks.Stats{}
	}
	return p.runner.Stats()
}
