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
	"context"
	"crypto/rand"
	"database/sql"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage"
)

// CourseService is the name by which users of the project know courses.Service.
type CourseService = courses.Service

// Config sets what differs from the defaults. A nil Config is all defaults.
type Config struct {
	// CursorKey seals the cursors of lists: at least 32 secret bytes, the same in
	// every process of a platform. Nil means one is made at the first Start and
	// kept in the main database.
	CursorKey []byte
	// ManualMigrations makes Start refuse a schema that is behind instead of
	// migrating it.
	ManualMigrations bool
	// Logger gets what an operator should know. Nil means silence.
	Logger *slog.Logger
	// Clock tells the time. Nil means the machine's.
	Clock core.Clock
}

// Platform is the assembled services. Its fields are set by New and not changed;
// all are safe for concurrent use.
type Platform struct {
	Accounts *accounts.Service
	Courses  *courses.Service

	backend  *storage.Backend
	config   Config
	validate *core.Validator
	cursors  *core.Cursors

	mu      sync.Mutex // of Start and Stop
	started atomic.Bool
	stopped atomic.Bool
}

// New assembles a platform over a backend. It checks everything, and does no I/O
// and starts nothing. The backend stays the caller's until Stop closes it.
func New(backend *storage.Backend, config *Config) (*Platform, error) {
	p := &Platform{backend: backend, validate: core.NewValidator(), cursors: new(core.Cursors)}
	if config != nil {
		p.config = *config
	}
	if p.config.Clock == nil {
		p.config.Clock = core.SystemClock{}
	}
	if p.config.Logger == nil {
		p.config.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case backend == nil:
		return nil, core.Invalid("backend", "required", "", "", "a backend is needed")
	case backend.Accounts == nil:
		return nil, core.Invalid("backend.Accounts", "required", "", "", "a store is needed")
	case backend.Courses == nil:
		return nil, core.Invalid("backend.Courses", "required", "", "", "a store is needed")
	case backend.Keys == nil && p.config.CursorKey == nil:
		return nil, core.Invalid("backend.Keys", "required", "", "", "a place for keys, or Config.CursorKey, is needed")
	}
	if p.config.CursorKey != nil {
		if err := p.cursors.SetKey(p.config.CursorKey); err != nil {
			return nil, err
		}
	}
	p.assemble()
	return p, nil
}

func (p *Platform) assemble() {
	p.Accounts = accounts.NewService(p.backend.Accounts, p.validate, p.config.Clock)
	p.Courses = courses.NewService(courses.Config{
		Store: p.backend.Courses, Users: p.Accounts, Cursors: p.cursors, Validator: p.validate, Clock: p.config.Clock,
	})
}

// Start migrates the schema (see Config.ManualMigrations), makes the secrets that
// were not configured, and returns. It is called once, before the services are
// used. It fails with storage.ErrSchemaOld or storage.ErrSchemaNew when the
// schema does not fit.
func (p *Platform) Start(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.started.Load() || p.stopped.Load() {
		return core.ErrFailedPrecondition.Withf("a platform is started once")
	}
	if err := p.prepareSchema(ctx); err != nil {
		return err
	}
	if p.config.CursorKey == nil {
		key, err := p.backend.Keys.Key(ctx, "cursors", func() []byte {
			key := make([]byte, core.CursorKeySize)
			rand.Read(key)
			return key
		})
		if err != nil {
			return err
		}
		if err := p.cursors.SetKey(key); err != nil {
			return err
		}
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

// Stop closes the backend. It may be called twice, and unstarted.
func (p *Platform) Stop(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped.Swap(true) {
		return nil
	}
	if p.backend.Close == nil {
		return nil
	}
	return p.backend.Close()
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

// In returns the services inside the caller's transaction: all rules apply, reads
// see the transaction, an Update is a savepoint, a refused call does not poison
// it, and events leave with its commit. Nothing is run again inside: where the
// database asks for that, the error is core.ErrRetry and the host runs its
// transaction again. A bun.Tx joins by its embedded *sql.Tx. Use the result on one
// goroutine and not after the transaction.
//
// The platform must be started. On SQLite the transaction must hold the write lock
// from its start (_txlock=immediate).
func (p *Platform) In(tx *sql.Tx) (*Platform, error) {
	joined, err := p.backend.Join(tx)
	if err != nil {
		return nil, err
	}
	in := &Platform{backend: joined, config: p.config, validate: p.validate, cursors: p.cursors}
	in.started.Store(true)
	in.assemble()
	return in, nil
}
