// Package ustat is an embeddable platform for online courses: accounts, a
// catalogue with full-text search, and what is built on them, as Go services over
// SQLite or PostgreSQL. Package httpapi serves a platform over HTTP.
//
//	backend, err := sqlite.Open(ctx, "school.db", nil)
//	platform, err := ustat.New(backend, nil)
//	err = platform.Start(ctx)
//	page, err := platform.Courses.List(ctx, core.Actor{}, courses.Filter{Query: "databases"}, "", core.Page{})
package ustat

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"database/sql"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/accounts/password"
	"github.com/ustat/ustat/analytics"
	"github.com/ustat/ustat/blob"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/i18n"
	"github.com/ustat/ustat/recommend"
	"github.com/ustat/ustat/reports"
	"github.com/ustat/ustat/reviews"
	"github.com/ustat/ustat/storage"
	"github.com/ustat/ustat/tasks"
)

// CourseService is the name by which users of the project know courses.Service.
type CourseService = courses.Service

// AnalyticsRouter is the name by which users of the project know analytics.Router.
type AnalyticsRouter = analytics.Router

// Recommender is the name by which users of the project know recommend.Service.
type Recommender = recommend.Service

// Config sets what differs from the defaults. A nil Config is all defaults.
type Config struct {
	// CursorKey seals the cursors of lists: at least 32 secret bytes, the same in
	// every process of a platform. Nil means one is made at the first Start and
	// kept in the main database.
	CursorKey []byte
	// TokenKeys are Ed25519 keys of access tokens, at most accounts.MaxTokenKeys: the
	// first signs, all verify, so that keys can be rotated. Nil means one is made at
	// the first Start and kept in the main database.
	TokenKeys []ed25519.PrivateKey
	// RefreshKey derives refresh tokens from each other: at least 32 secret bytes.
	// Nil means one is made at the first Start and kept in the main database.
	RefreshKey []byte
	// LinkKey signs links to files: at least 32 secret bytes, the same in every process
	// of a platform. Nil means one is made at the first Start and kept in the main
	// database.
	LinkKey []byte
	// Files keeps the files that the platform makes and takes: blob.Dir keeps them in a
	// folder, blob/s3 in a bucket, the same for every process of a platform. Without one,
	// or without a Queue, there are no reports and no files of lessons.
	Files blob.Store
	// Trending are the choices of Courses.Trending that differ from the defaults.
	Trending courses.TrendingOptions
	// MaxLessonFile is how many bytes a file of a lesson has at most. Zero means
	// courses.DefaultMaxFile.
	MaxLessonFile int64
	// Certificates makes the documents of certificates: see courses/certificate. Nil means
	// that certificates are issued and verified without one.
	Certificates courses.CertificateRenderer
	// ReportFormats are the formats of reports beside CSV: see reports/xlsx. Every process
	// that works jobs has the same ones.
	ReportFormats []reports.Format
	// Reviews are the rules of reviews that differ from the defaults.
	Reviews reviews.Options
	// Recommend are the choices of recommendations that differ from the defaults.
	Recommend recommend.Options
	// Learners tells who takes which course and how far they are, which is who may review
	// it. Nil means the enrollments of courses.
	Learners reviews.Learners
	// Gates close lessons besides what the platform closes them for itself, after it.
	Gates []courses.Gate
	// Issuer and Audience are written into access tokens and required in them. Empty
	// means "ustat".
	Issuer, Audience string
	// AccessTTL is how long an access token is good for, 1 s to 24 h. Zero means 15
	// minutes.
	AccessTTL time.Duration
	// RefreshTTL is how long a refresh token is good for, AccessTTL to 366 days. Zero
	// means 30 days.
	RefreshTTL time.Duration
	// Limiter counts attempts to sign in, codes of coupons that do not apply, what is
	// written of reviews, and calls that bring events of analytics. Nil means one in this
	// process's memory; where a platform has many processes, give them one that they
	// share. It keeps nothing in the platform's database.
	Limiter core.Limiter
	// Hasher hashes passwords. Nil means argon2id (see accounts/password).
	Hasher accounts.Hasher
	// ManualMigrations makes Start refuse a schema that is behind instead of
	// migrating it: that of the backend, of the queue, and of each shard, also of the
	// one in the main database (Backend.Analytics).
	ManualMigrations bool
	// Queue keeps the jobs by which events are delivered and work is done in the
	// background: see tasks/riverqueue. The platform starts and stops it. Without one
	// events stay in the outboxes, nothing is delivered or cleaned up, and Start fails
	// where there are subscribers, kinds of jobs or periodic work.
	Queue tasks.Queue
	// TaskConcurrency is how many jobs this process works at once, 1 to 1,000. -1 works
	// none, for a web-only process: it still delivers events to the queue. Zero means 10.
	TaskConcurrency int
	// NoRelay keeps this process from delivering events to the queue and from asking for
	// periodic jobs: for a program that does not have all subscribers.
	NoRelay bool
	// Achievements are rules for achievements beside BuiltInAchievements, the same in
	// every process of a platform. One with the Code of a built-in one takes its place, and
	// without Earned it is awarded no more. They are awarded by events, so a Queue is
	// needed.
	Achievements []accounts.Rule
	// Payments are the providers of payments for courses with a price; the first is taken
	// where an order names none. Without one such courses are only granted. What was
	// interrupted is settled by a job: without a Queue, call Courses.SettleOrders.
	Payments []courses.Payments
	// OrderTTL is how long an order waits for its money, 1 minute to 30 days. Zero means
	// 24 h.
	OrderTTL time.Duration
	// PaymentReturnURL returns where the buyer of an order comes back to from the
	// provider's page. Nil means nowhere.
	PaymentReturnURL func(o courses.Order) string
	// Messages are the texts of errors, roles, statuses and certificates in all languages,
	// and the default language: see i18n.NewCatalog. Nil means Russian and English, and
	// English where nothing else is asked for.
	Messages *i18n.Catalog
	// Retention is how long is kept what is needed for a while only.
	Retention Retention
	// Shards are the databases of analytics by name, 1 to 64 of a-z, 0-9, _ and - each; Stop
	// closes them. Nil means the one in the main database, by the name MainShard, which is
	// named here too by who adds others to it. Without any, calls of Analytics fail with
	// analytics.ErrNotSetUp.
	Shards map[string]analytics.Shard
	// ShardStrategy says which shard has what. Nil means an analytics.Directory that is kept
	// in the main database.
	ShardStrategy analytics.ShardStrategy
	// Analytics are the bounds of analytics that differ from the defaults. Its
	// ManualMigrations is the one above.
	Analytics analytics.RouterOptions
	// Charts makes the charts of courses: see analytics/chart. Nil means that there are
	// none.
	Charts analytics.Painter
	// Logger gets what an operator should know. Nil means silence.
	Logger *slog.Logger
	// Clock tells the time. Nil means the machine's.
	Clock core.Clock
}

// Platform is the assembled services. Its fields are set by New and not changed;
// all are safe for concurrent use.
type Platform struct {
	Accounts  *accounts.Service
	Analytics *analytics.Service
	Courses   *courses.Service
	// Recommend recommends courses. Its models are trained by a job; without a Queue, by
	// its Train.
	Recommend *Recommender
	Reports   *reports.Service
	Reviews   *reviews.Service
	// Messages says what the platform has to say in a reader's language.
	Messages *i18n.Catalog
	// Jobs shows the jobs of the queue to admins.
	Jobs *tasks.Service
	// Tasks takes kinds of jobs, by tasks.Register, and periodic work, by its Every,
	// before Start. See also Subscribe.
	Tasks *tasks.Registry

	backend   *storage.Backend
	config    Config
	validate  *core.Validator
	cursors   *core.Cursors
	tokens    *accounts.Keyring
	links     *blob.Links
	runner    *tasks.Runner // nil without a queue, and before Start
	router    *analytics.Router
	tx        *sql.Tx // of In and Atomic
	following func()  // ends what follow has begun; nil before Start

	mu      sync.Mutex // of Start and Stop
	started atomic.Bool
	stopped atomic.Bool
}

// New assembles a platform over a backend. It checks everything, and does no I/O
// and starts nothing. The backend stays the caller's until Stop closes it.
func New(backend *storage.Backend, config *Config) (*Platform, error) {
	p := &Platform{backend: backend, validate: core.NewValidator(), cursors: new(core.Cursors), tokens: new(accounts.Keyring), links: new(blob.Links), Tasks: tasks.NewRegistry()}
	if config != nil {
		p.config = *config
	}
	if err := p.config.setDefaults(); err != nil {
		return nil, err
	}
	switch {
	case backend == nil:
		return nil, core.Invalid("backend", "required", "", "", "a backend is needed")
	case backend.Accounts == nil:
		return nil, core.Invalid("backend.Accounts", "required", "", "", "a store is needed")
	case backend.Courses == nil:
		return nil, core.Invalid("backend.Courses", "required", "", "", "a store is needed")
	case backend.Reviews == nil:
		return nil, core.Invalid("backend.Reviews", "required", "", "", "a store is needed")
	case backend.Keys == nil && p.config.lacksKeys():
		return nil, core.Invalid("backend.Keys", "required", "", "", "a place for keys, or CursorKey, TokenKeys, RefreshKey and, for Files, LinkKey, is needed")
	}
	if err := p.setKeys(); err != nil {
		return nil, err
	}
	if err := p.openRouter(); err != nil {
		return nil, err
	}
	if err := p.assemble(); err != nil {
		return nil, err
	}
	return p, nil
}

// setDefaults fills in what is not set and checks what is.
func (c *Config) setDefaults() (err error) {
	c.Clock = cmp.Or[core.Clock](c.Clock, core.SystemClock{})
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	c.Issuer, c.Audience = cmp.Or(c.Issuer, "ustat"), cmp.Or(c.Audience, "ustat")
	c.AccessTTL, c.RefreshTTL = cmp.Or(c.AccessTTL, 15*time.Minute), cmp.Or(c.RefreshTTL, 30*24*time.Hour)
	if c.Messages == nil {
		if c.Messages, err = i18n.NewCatalog(nil); err != nil {
			return err
		}
	}
	if c.Limiter == nil {
		c.Limiter = core.NewMemoryLimiter(c.Clock)
	}
	if c.AccessTTL < time.Second || c.AccessTTL > 24*time.Hour {
		return core.Invalid("AccessTTL", "range", "1s-24h", c.AccessTTL.String(), "1 second to 24 hours are expected")
	}
	if c.RefreshTTL < c.AccessTTL || c.RefreshTTL > 366*24*time.Hour {
		return core.Invalid("RefreshTTL", "range", "AccessTTL-366d", c.RefreshTTL.String(), "AccessTTL to 366 days are expected")
	}
	if c.TaskConcurrency < -1 || c.TaskConcurrency > 1000 {
		return core.Invalid("TaskConcurrency", "range", "1-1000", strconv.Itoa(c.TaskConcurrency), "between 1 and 1,000 jobs are worked at once, or none with -1")
	}
	if c.OrderTTL != 0 && (c.OrderTTL < time.Minute || c.OrderTTL > 30*24*time.Hour) {
		return core.Invalid("OrderTTL", "range", "1m-30d", c.OrderTTL.String(), "1 minute to 30 days are expected")
	}
	if err := courses.CheckPayments(c.Payments); err != nil {
		return err
	}
	if err := c.Retention.setDefaults(); err != nil {
		return err
	}
	if i := slices.Index(c.Gates, nil); i >= 0 {
		return core.Invalid("Gates["+strconv.Itoa(i)+"]", "required", "", "", "a gate is expected")
	}
	own := len(c.Achievements)
	c.Achievements = withBuiltIn(c.Achievements)
	if err := accounts.CheckRules(c.Achievements); err != nil {
		return ownRules(err, len(c.Achievements)-own)
	}
	if err := c.Trending.SetDefaults(); err != nil {
		return err
	}
	if err := c.Recommend.SetDefaults(); err != nil {
		return err
	}
	if c.MaxLessonFile < 0 {
		return core.Invalid("MaxLessonFile", "min", "1", strconv.FormatInt(c.MaxLessonFile, 10), "a file has at least a byte's room")
	}
	if c.Hasher == nil {
		c.Hasher, err = password.New(password.Options{})
	}
	return err
}

// lacksKeys reports whether keys must be made.
func (c *Config) lacksKeys() bool {
	return c.CursorKey == nil || c.TokenKeys == nil || c.RefreshKey == nil || c.LinkKey == nil && c.Files != nil
}

// setKeys gives the services the keys that are configured.
func (p *Platform) setKeys() error {
	c := p.config
	if c.CursorKey != nil {
		if err := p.cursors.SetKey(c.CursorKey); err != nil {
			return err
		}
	}
	if c.TokenKeys != nil {
		if err := p.tokens.SetTokenKeys(c.TokenKeys); err != nil {
			return err
		}
	}
	if c.LinkKey != nil {
		if err := p.links.SetKey(c.LinkKey); err != nil {
			return err
		}
	}
	if c.RefreshKey != nil {
		return p.tokens.SetRefreshKey(c.RefreshKey)
	}
	return nil
}

// makeKeys makes the keys that are not configured, once, and keeps them in the
// main database.
func (p *Platform) makeKeys(ctx context.Context) error {
	for _, k := range []struct {
		name  string
		given bool
		set   func(secret []byte) error
	}{
		{"cursors", p.config.CursorKey != nil, p.cursors.SetKey},
		{"tokens", p.config.TokenKeys != nil, p.setTokenSeed},
		{"refresh", p.config.RefreshKey != nil, p.tokens.SetRefreshKey},
		{"links", p.config.LinkKey != nil || p.config.Files == nil, p.links.SetKey},
	} {
		if k.given {
			continue
		}
		secret, err := p.backend.Keys.Key(ctx, k.name, freshKey)
		if err == nil {
			err = k.set(secret)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *Platform) setTokenSeed(seed []byte) error {
	if len(seed) != ed25519.SeedSize {
		return core.ErrInternal.Withf("the stored key of tokens has %d bytes", len(seed))
	}
	return p.tokens.SetTokenKeys([]ed25519.PrivateKey{ed25519.NewKeyFromSeed(seed)})
}

// freshKey returns 32 random bytes, which every key is made of.
func freshKey() []byte {
	key := make([]byte, 32)
	rand.Read(key)
	return key
}

func (p *Platform) assemble() (err error) {
	c := p.config
	p.Messages = c.Messages
	p.Accounts = accounts.NewService(accounts.Config{
		Store: p.backend.Accounts, Validate: p.validate, Clock: c.Clock, Cursors: p.cursors, Limiter: c.Limiter, Hasher: c.Hasher,
		Keys: p.tokens, Teaching: teaching{p}, Rules: c.Achievements, Facts: facts{p}, Issuer: c.Issuer, Audience: c.Audience, AccessTTL: c.AccessTTL, RefreshTTL: c.RefreshTTL,
	})
	providers := c.Payments
	if p.tx != nil { // no provider is called inside a transaction
		providers = nil
	}
	p.Courses = courses.NewService(courses.Config{
		Store: p.backend.Courses, Users: p.Accounts, Producers: p.Accounts, Cursors: p.cursors, Validator: p.validate, Clock: c.Clock,
		Payments: providers, OrderTTL: c.OrderTTL, ReturnURL: c.PaymentReturnURL, Limiter: c.Limiter,
		Gates: c.Gates,
		Files: c.Files, Links: p.links, Queued: c.Queue != nil, MaxFile: c.MaxLessonFile, Certificates: c.Certificates, Language: c.Messages.Default(), Trending: c.Trending,
	})
	p.Analytics = analytics.NewService(analytics.Config{
		Router: p.router, Joined: p.tx != nil, Courses: p.Courses, Users: p.Accounts, Cursors: p.cursors, Limiter: c.Limiter, Painter: c.Charts, Clock: c.Clock,
	})
	p.Reports = reports.NewService(reports.Config{
		Store: p.backend.Reports, Files: c.Files, Queued: c.Queue != nil, Courses: p.Courses, Analytics: p.Analytics, Users: p.Accounts, Links: p.links,
		Limiter: c.Limiter, Clock: c.Clock, Formats: c.ReportFormats,
	})
	p.Jobs = tasks.NewService(tasks.ServiceConfig{Queue: c.Queue, Cursors: p.cursors, Clock: c.Clock, Audit: p.audit})
	if c.Learners == nil {
		c.Learners = enrollments{p.Courses}
	}
	p.Reviews, err = reviews.NewService(reviews.Config{
		Store: p.backend.Reviews, Courses: p.Courses, Users: p.Accounts, Learners: c.Learners, Cursors: p.cursors, Validate: p.validate, Clock: c.Clock,
		Limiter: c.Limiter, Options: c.Reviews,
	})
	if err != nil {
		return err
	}
	if p.tx == nil {
		p.Recommend, err = recommend.NewService(recommend.Config{
			Store: p.backend.Recommend, Courses: p.Courses, Catalogue: catalogue{p.backend}, Limiter: c.Limiter, Clock: c.Clock, Options: c.Recommend,
		})
	} else {
		p.Recommend = p.Recommend.In(p.backend.Recommend, p.Courses)
	}
	return err
}

// OpenLink opens the file that a link grants, whoever has it; the caller closes it. It
// fails with blob.ErrLink, with blob.ErrExpired, with blob.ErrNotFound, and with
// core.ErrUnavailable where there is no Config.Files.
func (p *Platform) OpenLink(ctx context.Context, token string) (*blob.File, blob.Link, error) {
	if p.config.Files == nil {
		return nil, blob.Link{}, core.ErrUnavailable.Withf("this platform has no store of files")
	}
	link, err := p.links.Open(token, p.config.Clock.Now())
	if err != nil {
		return nil, blob.Link{}, err
	}
	file, err := p.config.Files.Open(ctx, link.Key)
	return file, link, err
}

// enrollments answers reviews from courses.
type enrollments struct{ courses *courses.Service }

// Learner implements reviews.Learners.
func (e enrollments) Learner(ctx context.Context, course courses.CourseID, user core.UserID) (reviews.Learner, error) {
	l, err := e.courses.Learner(ctx, course, user)
	return reviews.Learner{Enrolled: l.Enrollment.Status.Seated(), Percent: l.Enrollment.Percent()}, err
}

// facts answers the rules of achievements from courses, which come after accounts.
type facts struct{ p *Platform }

func (f facts) CompletedCourses(ctx context.Context, users []core.UserID) (map[core.UserID]int, error) {
	return f.p.Courses.CompletedCourses(ctx, users)
}

func (f facts) LongestStreaks(ctx context.Context, users []core.UserID) (map[core.UserID]int, error) {
	return f.p.Courses.LongestStreaks(ctx, users)
}

func (f facts) StudentsTaught(ctx context.Context, teachers []core.UserID) (map[core.UserID]int, error) {
	return f.p.Courses.StudentsTaught(ctx, teachers)
}

// teaching answers accounts from courses, which come after them.
type teaching struct{ p *Platform }

// HasCourses implements accounts.Teaching.
func (t teaching) HasCourses(ctx context.Context, teacher core.UserID) (bool, error) {
	return t.p.Courses.HasCourses(ctx, teacher)
}

// Start migrates the schema and the queue (see Config.ManualMigrations), makes the
// secrets that were not configured, starts the background work and returns. It is
// called once, before the services are used. Ctx counts for the start alone: the work
// goes on until Stop. It fails with storage.ErrSchemaOld, storage.ErrSchemaNew or
// tasks.ErrNotMigrated when the schema does not fit; Stop is due then too.
func (p *Platform) Start(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.started.Load() || p.stopped.Load() {
		return core.ErrFailedPrecondition.Withf("a platform is started once")
	}
	if err := p.prepareSchema(ctx); err != nil {
		return err
	}
	if p.router != nil {
		if err := p.router.Prepare(ctx); err != nil {
			return err
		}
	}
	if err := p.makeKeys(ctx); err != nil {
		return err
	}
	if err := p.startTasks(ctx); err != nil {
		return err
	}
	if err := p.startRecommending(ctx); err != nil {
		return err
	}
	p.started.Store(true)
	return nil
}

func (p *Platform) prepareSchema(ctx context.Context) error {
	if p.backend.Schema == nil {
		return nil
	}
	if p.config.ManualMigrations {
		return p.backend.Schema.Check(ctx)
	}
	applied, err := p.backend.Schema.Migrate(ctx)
	if err != nil {
		return err
	}
	if len(applied) > 0 {
		p.config.Logger.InfoContext(ctx, "migrated the schema", "migrations", applied)
	}
	return nil
}

// Stop ends the delivery of events, waits for the jobs that are worked until ctx ends
// and then cancels them, writes the events of analytics that wait, and closes
// the queue, the shards and the backend. Jobs that were not finished are worked by
// another process or after the next start. It may be called
// twice, and unstarted.
func (p *Platform) Stop(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped.Swap(true) {
		return nil
	}
	if p.following != nil {
		p.following()
	}
	err := errors.Join(p.stopTasks(ctx), p.closeShards(ctx))
	if p.backend.Close == nil {
		return err
	}
	return errors.Join(err, p.backend.Close())
}

// Ready returns nil when the platform is started, not stopped, and its database
// answers.
func (p *Platform) Ready(ctx context.Context) error {
	if !p.started.Load() || p.stopped.Load() {
		return core.ErrUnavailable.Withf("the platform is not running")
	}
	if p.backend.Ping == nil {
		return nil
	}
	return p.backend.Ping(ctx)
}
